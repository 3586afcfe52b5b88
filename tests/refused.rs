//! `--record DIR`: what the gateway refuses by itself is a fixture too, and says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod operated;

use cgigate::{
    fcgi::{self, RecordType, RequestId, Role},
    scgi, uwsgi,
};
use operated::{PATIENCE, Server, testbed};
use std::{
    fs,
    io::{Read, Write},
    num::NonZeroU16,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

const PROTOCOLS: [&str; 4] = ["fastcgi", "scgi", "uwsgi", "http"];
const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SECRET: &str = "0123456789abcdef";

/// Longer than any test.
const LONG: &str = "/sleep?ms=600000";

/// A server that records, refuses, and ends at once.
fn recording(protocol: &str, options: &[&str]) -> Server {
    let usual = ["--record", "{folder}/records", "--graceful-timeout", "10ms"];
    Server::start(protocol, &[&usual[..], options].concat())
}

/// A request with a secret; `more` are variables, which are header fields over HTTP.
fn request(protocol: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let cookie = format!("session={SECRET}");
    let usual = [
        ("REQUEST_METHOD", "GET"),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("HTTP_COOKIE", &*cookie),
    ];
    let vars = [&usual, more].concat();
    let mut wire = Vec::new();
    match protocol {
        "fastcgi" => {
            let vars: Vec<_> = vars.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            return operated::request(&vars);
        }
        "scgi" => scgi::head(&mut wire, 0, &vars).unwrap(),
        "uwsgi" => uwsgi::head(&mut wire, &vars).unwrap(),
        _ => {
            write!(wire, "GET {path}?{query} HTTP/1.1\r\nHost: h\r\nCookie: {cookie}\r\n").unwrap();
            for (name, value) in more {
                let name = name.trim_start_matches("HTTP_").replace('_', "-");
                write!(wire, "{name}: {value}\r\n").unwrap();
            }
            wire.extend_from_slice(b"Connection: close\r\n\r\n");
        }
    }
    wire
}

fn ask(server: &Server, wire: &[u8]) -> UnixStream {
    let mut socket = server.connect();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(wire).unwrap();
    socket
}

fn answer(mut socket: UnixStream) -> String {
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends it, and is answered with that status.
fn is_answered(server: &Server, protocol: &str, wire: &[u8], status: &str) {
    let answer = answer(ask(server, wire));
    assert!(answer.contains(status), "{protocol}: {answer}");
}

/// Waits until there are so many records.
fn records(server: &Server, count: usize) -> Vec<PathBuf> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = fs::read_dir(server.path("records")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let hidden = |path: &PathBuf| path.file_name().unwrap().as_encoded_bytes()[0] == b'.';
        let mut records: Vec<_> = paths.filter(|path| !hidden(path)).collect();
        if records.len() >= count {
            records.sort();
            assert_eq!(records.len(), count, "{records:?}");
            return records;
        }
        assert!(Instant::now() < deadline, "{count} records never came: {records:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn file(record: &Path, name: &str) -> String {
    String::from_utf8_lossy(&fs::read(record.join(name)).unwrap_or_default()).into_owned()
}

/// What `check` and `scripts/check-fixtures` say of the records, each line of it, without folders.
fn verdicts(server: &Server) -> [String; 2] {
    let folder = server.path("records");
    let mut check = Command::new(testbed());
    check.env_clear().arg("check").arg(&folder);
    let mut script = Command::new(Path::new(ROOT).join("scripts/check-fixtures"));
    let records = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    script.args(records).env("CGIGATE", testbed());
    let folder = format!("{}/", folder.display());
    [check, script].map(|mut command| {
        let said = command.output().unwrap().stdout;
        String::from_utf8(said).unwrap().replace(&folder, "")
    })
}

/// The record of a request that was refused for the moment: its secret blanked, its answer there,
/// and nothing to be replayed.
fn is_skipped(server: &Server, protocol: &str, record: &Path, status: &str, why: &str) {
    let code = &status[..3];
    assert_eq!(file(record, "refused"), format!("{code}: {why}\n"), "{protocol}");
    let stdout = file(record, "stdout");
    assert!(stdout.starts_with(&format!("Status: {status}\r\n")), "{protocol}: {stdout}");
    assert!(stdout.ends_with(&format!("\r\n\r\n{status}\n")), "{protocol}: {stdout}");
    let environ = file(record, "environ");
    assert!(environ.contains("REQUEST_METHOD=GET\n"), "{protocol}: {environ}");
    let blank = "x".repeat(SECRET.len());
    assert!(environ.contains(&format!("HTTP_COOKIE=session={blank}\n")), "{protocol}: {environ}");
    let name = record.file_name().unwrap().to_str().unwrap();
    for said in verdicts(server) {
        let line = format!("SKIPPED {name}: {code}: {why}; not an application's answer\n");
        assert!(said.contains(&line), "{protocol}: {said}");
        assert!(said.ends_with("0 passed, 0 failed, 1 skipped\n"), "{protocol}: {said}");
    }
}

/// A server with a thread in an application that stays there, and who asked for it.
fn busy(protocol: &str, options: &[&str]) -> (Server, UnixStream) {
    let server = recording(protocol, options);
    let asks = ask(&server, &request(protocol, LONG, &[]));
    server.until_status("a full house", |status| status["threads"]["busy"] == 1);
    (server, asks)
}

/// One request more is answered 503, and its record is skipped.
fn is_turned_away(server: &Server, protocol: &str, why: &str) {
    let status = "503 Service Unavailable";
    is_answered(server, protocol, &request(protocol, "/hello", &[]), status);
    is_skipped(server, protocol, &records(server, 1)[0], status, why);
}

#[test]
fn a_full_house() {
    let options = ["--threads", "1", "--queue-timeout", "100ms", "--admin", "unix:{folder}/admin"];
    for protocol in PROTOCOLS {
        let (server, _busy) = busy(protocol, &options);
        let why = match protocol {
            "http" => "the request waited for too long",
            _ => "it waited for a thread for too long",
        };
        is_turned_away(&server, protocol, why);
    }
}

#[test]
fn more_requests_than_may_wait() {
    let options = ["--threads", "1", "--max-queue", "1", "--admin", "unix:{folder}/admin"];
    for protocol in PROTOCOLS {
        let (server, _busy) = busy(protocol, &options);
        let _waits = ask(&server, &request(protocol, "/hello", &[]));
        server.until_status("a full queue", |status| status["queued"] == 1);
        let why = match protocol {
            "http" => "there are too many requests",
            _ => "too many requests waited for a thread",
        };
        is_turned_away(&server, protocol, why);
    }
}

/// Over HTTP such a connection is answered before anything is read of it.
#[test]
fn more_connections_than_there_may_be() {
    let options = ["--max-connections", "1", "--admin", "unix:{folder}/admin"];
    for protocol in ["fastcgi", "scgi", "uwsgi"] {
        let (server, _busy) = busy(protocol, &options);
        is_turned_away(&server, protocol, "there were too many connections");
    }
}

#[test]
fn an_application_that_takes_too_long() {
    for protocol in PROTOCOLS {
        let server = recording(protocol, &["--request-timeout", "200ms", "--threads", "4"]);
        let status = "504 Gateway Timeout";
        is_answered(&server, protocol, &request(protocol, LONG, &[]), status);
        let record = &records(&server, 1)[0];
        let why = "the application took longer than --request-timeout";
        is_skipped(&server, protocol, record, status, why);
        // Whoever mends the application has its name.
        assert!(file(record, "environ").contains("CGIGATE_APP=sleep\n"), "{protocol}");
    }
}

/// What the application answers in the end went to nobody.
#[test]
fn an_application_that_comes_back_too_late_has_not_answered() {
    let options = ["--record", "{folder}/records", "--admin", "unix:{folder}/admin"];
    let options = [&options[..], &["--request-timeout", "100ms", "--threads", "2"]].concat();
    let mut server = Server::start_alone("fastcgi", &options);
    let slow = request("fastcgi", "/sleep?ms=300", &[]);
    is_answered(&server, "fastcgi", &slow, "504 Gateway Timeout");
    server.until_status("the application is back", |status| status["threads"]["busy"] == 0);
    assert_eq!(server.stop(), Some(0));
    assert!(file(&records(&server, 1)[0], "refused").starts_with("504: "));
}

/// It was recorded as 500, which was not what the client had been told.
#[test]
fn a_body_that_ends_early_is_its_applications_answer() {
    let server = recording("fastcgi", &[]);
    let mut wire = request("fastcgi", "/count", &[("CONTENT_LENGTH", "10")]);
    wire.truncate(wire.len() - 8);
    let id = RequestId(NonZeroU16::MIN);
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"body");
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"");
    is_answered(&server, "fastcgi", &wire, "400 Bad Request");
    assert_eq!(file(&records(&server, 1)[0], "app"), "count\n");
    for said in verdicts(&server) {
        assert_eq!(said, "1 passed, 0 failed, 0 skipped\n");
    }
}

/// The request as far as its variables are there, with its last bytes missing.
fn cut_off(protocol: &str) -> Vec<u8> {
    let whole = request(protocol, "/hello", &[("HTTP_X_LAST", "and so on")]);
    match protocol {
        // The empty records of PARAMS and STDIN.
        "fastcgi" => whole[..whole.len() - 16].to_vec(),
        "http" => whole[..whole.len() - 20].to_vec(),
        _ => whole[..whole.len() - 8].to_vec(),
    }
}

#[test]
fn a_request_that_stands_still() {
    for protocol in PROTOCOLS {
        let options = ["--read-timeout", "200ms", "--access-log", "{folder}/access"];
        let server = recording(protocol, &options);
        let status = "408 Request Timeout";
        is_answered(&server, protocol, &cut_off(protocol), status);
        let record = &records(&server, 1)[0];
        let why = match protocol {
            "http" => "the request stood still for too long",
            _ => "its variables stood still for too long",
        };
        is_skipped(&server, protocol, record, status, why);
        // So does the access log know what it was.
        let log = file(&server.folder, "access");
        assert!(log.contains("\"GET /hello") && log.contains("\" 408 "), "{protocol}: {log}");
    }
}

#[test]
fn a_body_that_stands_still() {
    let server = recording("fastcgi", &["--read-timeout", "200ms"]);
    let mut wire = request("fastcgi", "/count", &[("CONTENT_LENGTH", "10")]);
    wire.truncate(wire.len() - 8);
    let id = RequestId(NonZeroU16::MIN);
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"body");
    is_answered(&server, "fastcgi", &wire, "408 Request Timeout");
    let record = &records(&server, 1)[0];
    let why = "its body stood still for too long";
    is_skipped(&server, "fastcgi", record, "408 Request Timeout", why);
    assert_eq!(file(record, "stdin"), "body");
    assert!(file(record, "environ").contains("CGIGATE_APP=count\n"));
}

#[test]
fn more_variables_than_there_may_be() {
    let names: Vec<_> = (0..101).map(|number| format!("HTTP_X_{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (&**name, "v")).collect();
    for protocol in PROTOCOLS {
        let options: &[&str] = match protocol {
            "http" => &[],
            _ => &["--max-variables", "50"],
        };
        let server = recording(protocol, options);
        let status = "431 Request Header Fields Too Large";
        is_answered(&server, protocol, &request(protocol, "/hello", &many), status);
        let record = &records(&server, 1)[0];
        if protocol == "http" {
            let why = "the header lines are too long, or too many";
            is_skipped(&server, protocol, record, status, why);
            continue;
        }
        // CGI knows no such limit: it is refused again on sockets alone.
        let refused = "431: it has more variables than --max-variables";
        assert_eq!(file(record, "refused"), format!("{refused}\n"), "{protocol}");
        let [check, script] = verdicts(&server);
        assert_eq!(check, "1 passed, 0 failed, 0 skipped\n", "{protocol}");
        let skipped = format!("{refused}; not an application's answer\n0 passed, 0 failed, 1");
        assert!(script.contains(&skipped), "{protocol}: {script}");
        let environ = file(record, "environ");
        let more = environ.replace("CGIGATE_MAX_VARIABLES=50", "CGIGATE_MAX_VARIABLES=500");
        assert_ne!(environ, more, "{protocol}");
        fs::write(record.join("environ"), more).unwrap();
        let [check, _] = verdicts(&server);
        assert!(check.contains("as FastCGI, SCGI, uwsgi: stdout differs in line 1\n"), "{check}");
        assert!(check.contains("got:      \"Status: 200 OK\\r\\n\""), "{check}");
    }
}

#[test]
fn variables_that_are_too_long() {
    let long = "v".repeat(70 << 10);
    let id = RequestId(NonZeroU16::MIN);
    for protocol in ["fastcgi", "http"] {
        let options: &[&str] = match protocol {
            "http" => &[],
            _ => &["--max-params", "2k"],
        };
        let server = recording(protocol, options);
        let wire = match protocol {
            // What came before the last record is known.
            "fastcgi" => {
                let mut wire = cut_off(protocol);
                fcgi::stream(&mut wire, RecordType::Params, id, &[b'v'; 2048]);
                wire
            }
            _ => request(protocol, "/hello", &[("HTTP_X_LONG", &long)]),
        };
        let status = "431 Request Header Fields Too Large";
        is_answered(&server, protocol, &wire, status);
        let record = &records(&server, 1)[0];
        let why = match protocol {
            "http" => "the header lines are too long, or too many",
            _ => "its variables are longer than --max-params",
        };
        is_skipped(&server, protocol, record, status, why);
    }
}

/// What follows from the request itself is refused again, whatever is spoken that can carry it.
fn is_replayed(server: &Server, protocol: &str, refused: &str) {
    is_replayed_as(server, protocol, refused, "CGI, FastCGI, SCGI, uwsgi, HTTP");
}

fn is_replayed_as(server: &Server, protocol: &str, refused: &str, shapes: &str) {
    let record = &records(server, 1)[0];
    assert_eq!(file(record, "refused"), format!("{refused}\n"), "{protocol}");
    for said in verdicts(server) {
        assert_eq!(said, "1 passed, 0 failed, 0 skipped\n", "{protocol}");
    }
    // The very same answer, and for no other reason.
    let stdout = file(record, "stdout").replace("Status: 4", "Status: 5");
    fs::write(record.join("stdout"), stdout).unwrap();
    let [check, script] = verdicts(server);
    let differs = format!(": as {shapes}: stdout differs in line 1\n");
    assert!(check.contains(&differs), "{protocol}: {check}");
    assert!(script.ends_with("0 passed, 1 failed, 0 skipped\n"), "{protocol}: {script}");
}

#[test]
fn a_length_that_is_none() {
    for protocol in ["fastcgi", "uwsgi"] {
        let server = recording(protocol, &[]);
        let wire = request(protocol, "/hello", &[("CONTENT_LENGTH", "5, 7")]);
        is_answered(&server, protocol, &wire, "400 Bad Request");
        // SCGI has no other length than a number.
        let refused = "400: CONTENT_LENGTH is no length";
        is_replayed_as(&server, protocol, refused, "CGI, FastCGI, uwsgi, HTTP");
    }
}

#[test]
fn a_body_that_is_too_long() {
    for protocol in PROTOCOLS {
        let server = recording(protocol, &["--max-body", "10"]);
        let mut wire = Vec::new();
        match protocol {
            "scgi" => {
                let vars = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/count")];
                scgi::head(&mut wire, 11, &vars).unwrap();
            }
            _ => wire = request(protocol, "/count", &[("CONTENT_LENGTH", "11")]),
        }
        is_answered(&server, protocol, &wire, "413 Content Too Large");
        let why = match protocol {
            "http" => "the body is longer than this server takes",
            _ => "its body is longer than --max-body",
        };
        is_replayed(&server, protocol, &format!("413: {why}"));
    }
}

/// The web server is told what is wrong with it, in its log.
#[test]
fn a_mount_that_is_none() {
    let server = recording("fastcgi", &[]);
    let wire = request("fastcgi", "/hello", &[("CGIGATE_MOUNT", "a/..")]);
    is_answered(&server, "fastcgi", &wire, "Status: 500 ");
    let record = &records(&server, 1)[0];
    assert_eq!(file(record, "refused"), "500: no path to mount at; use / or /path\n");
    for said in verdicts(&server) {
        assert_eq!(said, "1 passed, 0 failed, 0 skipped\n");
    }
}

#[test]
fn an_answer_without_a_body() {
    let server = recording("fastcgi", &["--max-body", "10"]);
    let more = [("REQUEST_METHOD", "HEAD"), ("CONTENT_LENGTH", "11")];
    is_answered(&server, "fastcgi", &request("fastcgi", "/count", &more), "Status: 413 ");
    assert!(file(&records(&server, 1)[0], "stdout").ends_with("Content-Length: 22\r\n\r\n"));
    is_replayed(&server, "fastcgi", "413: its body is longer than --max-body");
}

#[test]
fn no_such_application() {
    for protocol in PROTOCOLS {
        let server = recording(protocol, &[]);
        is_answered(&server, protocol, &request(protocol, "/nobody", &[]), "404 Not Found");
        let why = "there is no such application, or it is outside of the mount";
        is_replayed(&server, protocol, &format!("404: {why}"));
    }
}

/// Of chunks nobody has added up the length: another time they may be others.
#[test]
fn chunks_that_are_too_many() {
    let server = recording("http", &["--max-body", "10"]);
    let head = String::from_utf8(request("http", "/count", &[("TRANSFER_ENCODING", "chunked")]));
    let wire = head.unwrap() + "b\r\nhello world\r\n0\r\n\r\n";
    let status = "413 Content Too Large";
    is_answered(&server, "http", wire.as_bytes(), status);
    let record = &records(&server, 1)[0];
    is_skipped(&server, "http", record, status, "the body is longer than this server takes");
}

#[test]
fn a_body_of_no_length_that_is_too_long() {
    let server = recording("fastcgi", &["--max-body", "10"]);
    let mut wire = request("fastcgi", "/count", &[]);
    wire.truncate(wire.len() - 8);
    let id = RequestId(NonZeroU16::MIN);
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"hello world");
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"");
    let status = "413 Content Too Large";
    is_answered(&server, "fastcgi", &wire, status);
    let record = &records(&server, 1)[0];
    is_skipped(&server, "fastcgi", record, status, "its body is longer than --max-body");
}

/// HTTP alone has its rules, and can be read by whoever is less strict.
#[test]
fn what_only_http_refuses() {
    let server = recording("http", &[]);
    let whole = String::from_utf8(request("http", "/hello", &[])).unwrap();
    let status = "400 Bad Request";
    is_answered(&server, "http", whole.replace("Host: h\r\n", "").as_bytes(), status);
    let record = &records(&server, 1)[0];
    is_skipped(&server, "http", record, status, "there is not one Host, and a host");
}

/// Where nothing of a request is understood its secrets could not be found either.
#[test]
fn what_is_no_request_is_left_to_the_access_log() {
    for (protocol, garbage) in [
        ("fastcgi", &b"GET / HTTP/1.1\r\n\r\n"[..]),
        ("scgi", b"70:garbage"),
        ("uwsgi", b"\x05\x00\x00\x00"),
        ("http", b"\x16\x03\x01\x02\x00\x01\n\r\n"),
        ("http", b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n"),
    ] {
        let server = recording(protocol, &["--read-timeout", "200ms"]);
        answer(ask(&server, garbage));
        is_answered(&server, protocol, &request(protocol, "/nobody", &[]), "404 Not Found");
        is_replayed(
            &server,
            protocol,
            "404: there is no such application, or it is outside of the mount",
        );
    }
}

/// A fixture is a responder's.
#[test]
fn an_authorizer_is_not_recorded() {
    let options = ["--record", "{folder}/records", "--max-variables", "1"];
    let mut server = Server::start("fastcgi", &options);
    let id = RequestId(NonZeroU16::MIN);
    let (mut wire, mut params) = (Vec::new(), Vec::new());
    fcgi::begin_request(&mut wire, id, Role::Authorizer, false);
    for name in ["A", "B", "C"] {
        fcgi::pair(&mut params, name.as_bytes(), b"value");
    }
    fcgi::stream(&mut wire, RecordType::Params, id, &params);
    fcgi::stream(&mut wire, RecordType::Params, id, b"");
    is_answered(&server, "fastcgi", &wire, "431 ");
    assert_eq!(server.stop(), Some(0));
    records(&server, 0);
}
