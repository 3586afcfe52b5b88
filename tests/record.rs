//! `--record DIR`: what was asked of a running gateway is a fixture, and replays green.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;

use built::example;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A folder of a test, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn records(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join("records")).unwrap();
        let mut records: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        records.sort();
        records
    }

    /// All that is in any file of any record.
    fn text(&self) -> String {
        let files = self.records().into_iter().flat_map(|record| fs::read_dir(record).unwrap());
        let texts = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
    }

    /// `check` and `scripts/check-fixtures` find nothing wrong with so many records.
    fn replays(&self, count: usize) {
        let records = self.records();
        assert_eq!(records.len(), count, "{records:?}");
        let mut check = Command::new(example("testbed"));
        check.env_clear().arg("check").arg(self.0.join("records"));
        let mut script = Command::new(Path::new(ROOT).join("scripts/check-fixtures"));
        script.args(records).env("CGIGATE", example("testbed"));
        for mut command in [check, script] {
            let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
            let last = format!("{count} passed, 0 failed, 0 skipped");
            assert_eq!(said.lines().last(), Some(&*last), "{said}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A recording gateway.
struct Served {
    process: Child,
    address: String,
    log: BufReader<std::process::ChildStderr>,
}

impl Served {
    fn new(protocol: &str, folder: &Folder, args: &[&str]) -> Self {
        let mut process = Command::new(example("testbed"))
            .env_clear()
            .args([protocol, "--listen", "127.0.0.1:0", "--record"])
            .arg(folder.0.join("records"))
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let (_, address) = line.split_once(" on ").expect(&line);
        let address = address.split(',').next().unwrap().to_owned();
        Self { process, address, log }
    }

    /// Asks over FastCGI; what comes back, and whether it is good, is not of interest here.
    fn get(&self, args: &[&str]) {
        let mut get = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        get.env_clear().args(["get", "--connect", &self.address]).args(args).output().unwrap();
    }

    /// Asks over HTTP, and waits for the end of the answer.
    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Ends it, which waits for what is still to be written; the rest of its log.
    fn stop(mut self) -> String {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{log}");
        log
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_fastcgi_asked_is_replayed() {
    let folder = Folder::new("record-fastcgi");
    let served = Served::new("fastcgi", &folder, &[]);
    let requests: [&[&str]; 15] = [
        &["/hello"],
        &["/headers?n=3"],
        &["/stream?chunks=3&size=5&delay_ms=1"],
        &["/stream?chunks=0"],
        &["/status?code=204"],
        &["/status?code=404"],
        &["/fault"],
        &["/fault?how=panic"],
        &["/fault?when=after&how=error"],
        &["/stderr"],
        &["/nobody"],
        &["-X", "HEAD", "/bytes?n=10"],
        &["-d", "a body", "/echo"],
        &["-d", "another", "/noread"],
        &["-d", "of no length", "-H", "Transfer-Encoding: chunked", "/count"],
    ];
    requests.iter().for_each(|args| served.get(args));
    served.stop();
    folder.replays(requests.len());
}

#[test]
fn what_http_asked_is_replayed_and_so_is_what_was_refused_by_options() {
    let folder = Folder::new("record-http");
    let served = Served::new("http", &folder, &["--max-body", "10", "--mount", "/app"]);
    for request in [
        "GET /app/hello HTTP/1.0\r\n\r\n",
        "POST /app/echo HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody",
        "POST /app/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\n\r\n",
        "GET /elsewhere HTTP/1.0\r\n\r\n",
        "GET /app/nobody HTTP/1.0\r\n\r\n",
    ] {
        served.send(request);
    }
    served.stop();
    folder.replays(5);
}

#[test]
fn a_cgi_process_records_too_and_so_does_the_desk() {
    let folder = Folder::new("record-cgi");
    for path in ["/demo", "/environ", "/nobody", "/echo"] {
        let mut cgi = Command::new(example("testbed"));
        cgi.env_clear().env("CGIGATE_RECORD", folder.0.join("records")).env("PATH_INFO", path);
        let vars = [("REQUEST_METHOD", "POST"), ("SERVER_PROTOCOL", "HTTP/1.1"), ("V", "1\n2")];
        cgi.envs(vars).env("CONTENT_LENGTH", "2").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut cgi = cgi.spawn().unwrap();
        // One that does not read its body may have gone.
        let _ = cgi.stdin.take().unwrap().write_all(b"ab");
        assert_eq!(cgi.wait_with_output().unwrap().status.code(), Some(0));
    }
    let mut desk = Command::new(example("testbed"));
    let desk = desk.env_clear().args(["cgi", "--record"]).arg(folder.0.join("records"));
    assert!(desk.args(["/hello"]).output().unwrap().status.success());
    // A file is found again below the root that it was found in.
    fs::write(folder.0.join("page.txt"), "a page\n").unwrap();
    let mut files = Command::new(example("testbed"));
    files.env_clear().env("CGIGATE_RECORD", folder.0.join("records")).env("REQUEST_METHOD", "GET");
    files.env("CGIGATE_FILES_ROOT", &folder.0).env("PATH_INFO", "/files/page.txt");
    let answer = files.env("HTTP_RANGE", "bytes=2-").output().unwrap().stdout;
    assert!(answer.ends_with(b"\r\n\r\npage\n"), "{}", answer.escape_ascii());
    folder.replays(6);
}

#[test]
fn secrets_are_blanked_unless_asked_for() {
    let cookie = "Cookie: a=1; session=0123456789abcdef";
    let secrets = ["0123456789abcdef", "dXNlcjpwYXNzd29yZA==", "a=1"];
    for (args, kept) in [(&[][..], false), (&["--record-secrets"][..], true)] {
        let folder = Folder::new(&format!("record-secrets-{kept}"));
        let served = Served::new("fastcgi", &folder, args);
        let auth = "Authorization: Basic dXNlcjpwYXNzd29yZA==";
        // What the page repeats is as secret as what was sent.
        served.get(&["-H", cookie, "-H", auth, "/environ"]);
        served.get(&["-d", "0123456789abcdef", "-H", cookie, "/echo"]);
        served.get(&["/headers?n=1"]);
        served.stop();
        let text = folder.text();
        for secret in secrets {
            assert_eq!(text.contains(secret), kept, "{secret}: {text}");
        }
        assert!(kept || text.contains("Set-Cookie: a={SECRET}\r\n"), "{text}");
        folder.replays(3);
    }
}

#[test]
fn number_and_size_are_bounded_and_nothing_is_left_unfinished() {
    let folder = Folder::new("record-bounds");
    let served = Served::new("fastcgi", &folder, &["--record-count", "2", "--record-size", "1k"]);
    served.get(&["/bytes?n=1025"]);
    served.get(&["-d", &"x".repeat(1025), "/count"]);
    served.get(&["-H", &format!("X-Long: {}", "x".repeat(1025)), "/demo"]);
    served.get(&["-H", &format!("X-Long: {}", "x".repeat(1025)), "/nobody"]);
    for _ in 0..4 {
        served.get(&["/hello"]);
    }
    let log = served.stop();
    folder.replays(2);
    let name = |record: PathBuf| record.file_name().unwrap().to_str().unwrap().to_owned();
    let names: Vec<_> = folder.records().into_iter().map(name).collect();
    assert!(names.iter().all(|name| name.starts_with("hello-")), "{names:?}");
    assert_eq!(log.matches("--record-count").count(), 1, "{log}");
}

#[test]
fn a_folder_that_cannot_be_is_said_and_no_reason_for_cgi_not_to_answer() {
    let folder = Folder::new("record-nowhere");
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    let mut server = Command::new(example("testbed"));
    let done = server.args(["fastcgi", "--listen", "127.0.0.1:0", "--record"]).arg(&file).output();
    let done = done.unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.starts_with(&format!("cgigate: --record {}: ", file.display())), "{said}");

    let mut cgi = Command::new(example("testbed"));
    cgi.env_clear().env("CGIGATE_RECORD", &file).env("REQUEST_METHOD", "GET");
    let done = cgi.env("CGIGATE_APP", "hello").output().unwrap();
    assert!(done.stdout.ends_with(b"Hello World\n"));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.starts_with(&format!("cgigate: CGIGATE_RECORD {}: ", file.display())), "{said}");
}
