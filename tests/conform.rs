//! `cgigate conform`: the rules of FastCGI turned on a responder, ours and worse ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

fn conform(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    let Output { status, stdout, stderr } =
        command.env_clear().arg("conform").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A socket in a folder that is gone at the end.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn address(&self) -> String {
        format!("unix:{}", self.0.join("s").display())
    }

    fn listen(&self) -> UnixListener {
        UnixListener::bind(self.0.join("s")).unwrap()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn this_responder_keeps_every_rule() {
    let testbed = PathBuf::from(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/testbed");
    for (executable, args) in [
        (testbed, &["--path", "/noread"][..]),
        (env!("CARGO_BIN_EXE_cgigate").into(), &["--path", "/echo?a=1", "--param", "X=y"]),
    ] {
        let mut server = Command::new(executable);
        server.env_clear().args(["fastcgi", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut server = server.stdin(Stdio::null()).spawn().unwrap();
        let mut log = BufReader::new(server.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let address = line.split(" on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
        let (code, said, _) = conform(&[&[&address, "--timeout", "30s"][..], args].concat());
        server.kill().unwrap();
        server.wait().unwrap();
        let (last, lines) = (said.lines().last().unwrap(), said.lines().count() - 1);
        assert!(
            last.ends_with(" passed, 0 failed, 0 skipped") || last.contains(" 0 failed, 1 "),
            "{said}"
        );
        assert!(code == Some(0) && lines >= 24, "{said}");
    }
}

#[test]
fn one_that_says_nothing_cannot_hold_it_up() {
    let socket = Socket::new("conform-silent");
    let listener = socket.listen();
    let kept = thread::spawn(move || {
        // Kept open, and never read.
        (0..30).map_while(|_| listener.accept().ok()).map(|(stream, _)| stream).collect::<Vec<_>>()
    });
    let begun = Instant::now();
    let args = [&socket.address(), "--timeout", "100ms", "--only", "-"];
    let (code, said, _) = conform(&args);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(said.contains("FAILED  get-values ") && said.contains("silence"), "{said}");
    assert!(said.contains("SKIPPED params-long ") && code == Some(1), "{said}");
    drop((kept, socket));
}

#[test]
fn one_that_closes_and_one_that_speaks_something_else_fail() {
    for (name, answer) in [("closes", &b""[..]), ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n")] {
        let socket = Socket::new(&format!("conform-{name}"));
        let listener = socket.listen();
        let serving = thread::spawn(move || {
            for mut stream in listener.incoming().take(3).flatten() {
                // The first only asks whether anybody is there.
                let _ = std::io::Write::write_all(&mut stream, answer);
            }
        });
        let args = [&socket.address(), "--only", "answers", "--timeout", "2s"];
        let (code, said, _) = conform(&args);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with("FAILED  answers  6.2  a request is answered"), "{said}");
        assert!(said.contains("no END_REQUEST, but ") && said.contains("was closed"), "{said}");
        assert!(said.ends_with("\n0 passed, 1 failed, 0 skipped\n"), "{said}");
        drop((serving, socket));
    }
}

#[test]
fn nobody_there_is_one_line_and_nonsense_is_wrong_usage() {
    let socket = Socket::new("conform-nobody");
    let address = socket.address();
    let (code, said, error) = conform(&[&address]);
    assert_eq!((code, &*said, error.lines().count()), (Some(1), "", 1), "{error}");
    assert!(error.starts_with(&format!("cgigate: conform {address}: connect: ")), "{error}");
    let _listener = socket.listen();
    for args in [&["nonsense"][..], &[], &[&address, "--param", "x"], &[&address, "--only", "nine"]]
    {
        assert_eq!(conform(args).0, Some(2), "{args:?}");
    }
}
