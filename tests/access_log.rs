//! `--access-log`, `--error-log`: each request has its line, and no log can stop a server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod operated;

use operated::{PATIENCE, Server};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

const ACCESS: [&str; 2] = ["--access-log", "{folder}/access"];
const JSON: [&str; 2] = ["--log-format", "json"];

/// Lines of a file, once there are so many.
fn lines(path: &Path, count: usize) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= count && text.ends_with('\n') {
            return text.lines().map(Into::into).collect();
        }
        assert!(Instant::now() < deadline, "no {count} lines, but: {text}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a file has `part` in it.
fn until(path: &Path, part: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(path).unwrap_or_default().contains(part) {
        assert!(Instant::now() < deadline, "no {part:?} in {}", path.display());
        thread::sleep(Duration::from_millis(2));
    }
}

/// The fields of a line in combined format: words, `[…]` and `"…"`.
fn fields(line: &str) -> Vec<&str> {
    let (mut fields, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let (end, skip) = match rest.as_bytes()[0] {
            b'[' => (rest.find(']').unwrap() + 1, 1),
            b'"' => (rest[1..].find('"').unwrap() + 2, 1),
            _ => (rest.find(' ').unwrap_or(rest.len()), 1),
        };
        fields.push(&rest[..end]);
        rest = rest.get(end + skip..).unwrap_or_default();
    }
    fields
}

const ASKED: [(&[u8], &[u8]); 9] = [
    (b"REQUEST_METHOD", b"GET"),
    (b"REQUEST_URI", b"/hello?a=b&c"),
    (b"PATH_INFO", b"/hello"),
    (b"SERVER_PROTOCOL", b"HTTP/1.1"),
    (b"REMOTE_ADDR", b"192.0.2.7"),
    (b"REMOTE_USER", b"ann"),
    (b"HTTP_REFERER", b"http://h/"),
    (b"HTTP_USER_AGENT", b"curl/8 (x)"),
    (b"HTTP_TRACEPARENT", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
];

fn answered(server: &Server, vars: &[(&[u8], &[u8])]) {
    let mut answer = Vec::new();
    server.send(vars).read_to_end(&mut answer).unwrap();
}

#[test]
fn a_request_has_a_line_in_the_combined_format() {
    let server = Server::start("fastcgi", &ACCESS);
    answered(&server, &ASKED);
    lines(&server.path("access"), 1);
    answered(
        &server,
        &[(b"REQUEST_METHOD", b"GET"), (b"PATH_INFO", b"/status"), (b"QUERY_STRING", b"code=404")],
    );
    let lines = lines(&server.path("access"), 2);
    let of = fields(&lines[0]);
    assert_eq!(of[..3], ["192.0.2.7", "-", "ann"]);
    // [25/Nov/2026:10:00:00 +0000]
    let date: Vec<_> = of[3].trim_matches(['[', ']']).split(['/', ':', ' ']).collect();
    assert!(date.len() == 7 && date[1].len() == 3 && date[6] == "+0000", "{date:?}");
    assert_eq!(
        of[4..],
        [r#""GET /hello?a=b&c HTTP/1.1""#, "200", "12", r#""http://h/""#, r#""curl/8 (x)""#]
    );
    let of = fields(&lines[1]);
    assert_eq!(of[..3], ["-"; 3]);
    assert_eq!(of[4..6], [r#""GET /status?code=404""#, "404"]);
    assert_eq!(of[7..], [r#""-""#; 2]);
}

#[test]
fn as_json_it_says_more() {
    let server = Server::start("fastcgi", &[ACCESS, JSON].concat());
    answered(&server, &ASKED);
    answered(
        &server,
        &[
            (b"REQUEST_METHOD", b"GET"),
            (b"PATH_INFO", b"/sleep"),
            (b"QUERY_STRING", b"ms=30"),
            (b"REQUEST_ID", b"abc-1"),
        ],
    );
    answered(&server, &[(b"PATH_INFO", b"/fault"), (b"QUERY_STRING", b"when=after&how=error")]);
    let lines: Vec<Value> = lines(&server.path("access"), 3)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let by = |part: &str| {
        lines.iter().find(|line| line["uri"].as_str().unwrap().starts_with(part)).unwrap()
    };
    let hello = by("/hello");
    for (name, value) in [
        ("client", "192.0.2.7"),
        ("user", "ann"),
        ("method", "GET"),
        ("uri", "/hello?a=b&c"),
        ("protocol", "HTTP/1.1"),
        ("referer", "http://h/"),
        ("user_agent", "curl/8 (x)"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("ending", "whole"),
    ] {
        assert_eq!(hello[name], value, "{name}");
    }
    assert_eq!((&hello["status"], &hello["sent"]), (&200.into(), &12.into()));
    assert_eq!(hello["pid"], server.workers()[0]);
    let time = hello["time"].as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T", "{time}");
    assert!(hello["queue"].as_f64().unwrap() >= 0.0);
    let sleep = by("/sleep");
    assert!(sleep["app"].as_f64().unwrap() >= 0.03, "{sleep}");
    assert_eq!((&sleep["request_id"], &sleep["user"]), (&"abc-1".into(), &Value::Null));
    assert_ne!(hello["request_id"], by("/fault")["request_id"]);
    assert_eq!(by("/fault")["ending"], "cut");
}

/// Field notes, bug 19.
#[test]
fn nothing_that_a_client_says_ends_a_line_or_begins_another() {
    for json in [false, true] {
        let options = [&ACCESS[..], &["--max-params", "8M"], if json { &JSON[..] } else { &[] }];
        let server = Server::start("fastcgi", &options.concat());
        let evil = b"\x1b[2J\r\n1.2.3.4 - - \"\\ \0\x7f\xff\xe2\x80\xae<script>";
        let long = vec![b'a'; 1 << 18];
        for value in [&evil[..], &long] {
            let vars = [ASKED[1], ASKED[0]].map(|(name, _)| (name, value));
            let more = ASKED[3..].iter().map(|(name, _)| (*name, value));
            let vars: Vec<_> = vars.into_iter().chain(more).collect();
            answered(&server, &vars);
            lines(&server.path("access"), 1);
        }
        let lines = lines(&server.path("access"), 2);
        assert_eq!(lines.len(), 2);
        for line in &lines {
            assert!(!line.chars().any(char::is_control), "{line}");
        }
        assert!(lines[1].len() > 6 << 18, "nothing is cut: {}", lines[1].len());
        if json {
            let line: Value = serde_json::from_str(&lines[0]).unwrap();
            assert!(line["uri"].as_str().unwrap().starts_with("\x1b[2J\r\n1.2.3.4 - - \"\\ \0"));
            assert!(!lines[0].contains(['<', '>']));
        } else {
            assert!(lines[0].is_ascii());
            assert_eq!(fields(&lines[0]).len(), 9, "{}", lines[0]);
            assert!(lines[0].starts_with(r"\x1b[2J\x0d\x0a1.2.3.4\x20-\x20-\x20\x22\x5c\x20\x00"));
        }
    }
}

#[test]
fn each_line_is_whole_whoever_writes_beside_it() {
    let server = Server::start("fastcgi", &[&ACCESS[..], &JSON, &["--workers", "2"]].concat());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| answered(&server, &ASKED)));
        }
    });
    for line in lines(&server.path("access"), 400) {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|why| panic!("{why}: {line}"));
        assert_eq!(line["status"], 200);
    }
}

#[test]
fn what_is_refused_has_a_line_too() {
    let options = [&ACCESS[..], &["--max-params", "1k", "--max-body", "10"]].concat();
    let server = Server::start("fastcgi", &options);
    answered(&server, &[ASKED[0], ASKED[1], (b"CONTENT_LENGTH", b"11")]);
    // The answer is out before the line is.
    lines(&server.path("access"), 1);
    answered(&server, &[(b"X", &[b'x'; 2000])]);
    let of = lines(&server.path("access"), 2);
    assert_eq!(fields(&of[0])[4..6], [r#""GET /hello?a=b&c""#, "413"]);
    assert_eq!(fields(&of[1])[4..6], [r#""- -""#, "431"]);

    let mut server = Server::start("http", &ACCESS);
    assert!(server.http("socket", "/a b").0.starts_with("HTTP/1.1 400 "));
    lines(&server.path("access"), 1);
    assert!(server.http("socket", "/hello").0.starts_with("HTTP/1.1 200 "));
    let of = lines(&server.path("access"), 2);
    assert_eq!(fields(&of[0])[5], "400");
    assert_eq!(fields(&of[1])[4..6], [r#""GET /hello HTTP/1.1""#, "200"]);
    assert_eq!(server.stop(), Some(0));
    let said = server.said();
    assert!(!said.contains("GET /hello"), "one line is enough: {said}");
}

#[test]
fn all_processes_go_on_in_new_files_when_they_are_told_to() {
    let options = [&ACCESS[..], &["--error-log", "{folder}/error", "--workers", "2"]].concat();
    let sandboxed = [&options[..], &["--sandbox"]].concat();
    for workers in [&options[..], &options[..4], &sandboxed] {
        let mut server = Server::begin("fastcgi", workers, Stdio::null());
        server.until("cgigate: ");
        if server.said().contains("no Landlock") {
            continue;
        }
        until(&server.path("error"), "fastcgi on unix:");
        answered(&server, &ASKED);
        lines(&server.path("access"), 1);
        for name in ["access", "error"] {
            fs::rename(server.path(name), server.path(&format!("{name}.1"))).unwrap();
        }
        server.signal("-USR1");
        // Each of the processes has its own time: until the old file is nobody's any more.
        let pids: Vec<u32> = server.workers().into_iter().chain([server.pid()]).collect();
        let deadline = Instant::now() + PATIENCE;
        let has_old = |pid: &u32| {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let targets = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
            targets.filter_map(|it| Some(it.extension()? == "1")).any(|old| old)
        };
        while pids.iter().any(has_old) {
            assert!(Instant::now() < deadline, "the old files are still in use");
            thread::sleep(Duration::from_millis(2));
        }
        (0..8).for_each(|_| answered(&server, &ASKED));
        assert_eq!(lines(&server.path("access"), 8).len(), 8);
        assert_eq!(lines(&server.path("access.1"), 1).len(), 1);
        if workers.len() > 4 {
            server.get("/fault?when=before&how=abort");
            until(&server.path("error"), "another takes its place");
        }
        assert_eq!(server.stop(), Some(0));
        assert!(!server.said().contains("died"), "that is the log's: {}", server.said());
    }
}

#[test]
fn a_full_disk_costs_lines_and_one_complaint() {
    for options in
        [&["--access-log", "/dev/full"][..], &["--access-log", "/dev/full", "--log-format", "json"]]
    {
        let mut server = Server::start("fastcgi", options);
        for _ in 0..20 {
            assert_eq!(server.get("/hello"), ("Hello World\n".into(), Some(0)));
        }
        assert_eq!(server.stop(), Some(0));
        assert_eq!(server.said().matches("write to /dev/full: ").count(), 1, "{}", server.said());
    }
    let mut server = Server::start("fastcgi", &["--error-log", "/dev/full", "--workers", "2"]);
    server.get("/fault?when=before&how=panic");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), Some(0)));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_log_that_cannot_be_opened_is_an_error_before_anybody_is_served() {
    for option in ["--access-log", "--error-log"] {
        for workers in ["1", "2"] {
            let options = [option, "/nowhere/at/all", "--workers", workers];
            let mut server = Server::begin("fastcgi", &options, Stdio::null());
            server.until("cgigate: open the log /nowhere/at/all: No such file");
            assert_eq!(server.end(), Some(1));
        }
    }
}

#[test]
fn the_lines_can_go_to_stdout() {
    let options = ["--access-log", "-", "--workers", "2"];
    let (reader, writer) = std::io::pipe().unwrap();
    let server = Server::begin("fastcgi", &options, writer.into());
    server.until("fastcgi on");
    answered(&server, &ASKED);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.contains("\"GET /hello?a=b&c HTTP/1.1\" 200 12 "), "{line}");
}

/// `wsgi.errors` is the server's own log where the protocol carries none.
#[test]
fn what_applications_log_stays_one_line_a_line() {
    let server = Server::start("http", &["--error-log", "{folder}/error"]);
    assert_eq!(server.http("socket", "/stderr").1, "logged\n");
    until(&server.path("error"), "a line for the log\n");
    assert!(!server.said().contains("a line for the log"));
    assert_eq!(
        server.http("socket", "/fault?when=before&how=panic").0.get(..12),
        Some("HTTP/1.1 500")
    );
    until(&server.path("error"), "the application panicked at ");
}

/// systemd.exec(5): who writes to the journal says how much it matters.
#[test]
fn lines_for_the_journal_begin_with_their_level() {
    use std::os::unix::fs::MetadataExt;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let it =
        fs::File::from(std::os::fd::OwnedFd::from(writer.try_clone().unwrap())).metadata().unwrap();
    for (stream, prefix) in [(format!("{}:{}", it.dev(), it.ino()), "<6>"), ("8:1".into(), "")] {
        let mut process = std::process::Command::new(operated::testbed())
            .args(["fastcgi", "--listen", "127.0.0.1:0"])
            .env("JOURNAL_STREAM", stream)
            .stdin(Stdio::null())
            .stderr(writer.try_clone().unwrap())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            said.push(byte[0]);
        }
        let said = String::from_utf8(said).unwrap();
        assert!(said.starts_with(&format!("{prefix}cgigate: fastcgi on 127.0.0.1:")), "{said}");
        process.kill().unwrap();
        process.wait().unwrap();
    }
}
