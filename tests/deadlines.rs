//! `--request-timeout`, `--slow-log`, `--queue-timeout`, `--read-timeout`, `--idle-timeout`: each
//! holds, and costs nobody else anything.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod operated;

use cgigate::{
    fcgi::{self, ProtocolStatus, RecordType, RequestId, Role},
    scgi, uwsgi,
};
use operated::{PATIENCE, Server};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroU16,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

const ADMIN: [&str; 4] = ["--admin", "unix:{folder}/admin", "--threads", "4"];
const LIMIT: [&str; 2] = ["--request-timeout", "300ms"];

/// Longer than any test.
const LONG: &str = "/sleep?ms=600000";

fn number(status: &Value, path: &str) -> u64 {
    status.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {status}"))
}

fn of_status(status: &Value, code: u16) -> u64 {
    status.pointer(&format!("/requests/by_status/{code}")).and_then(Value::as_u64).unwrap_or(0)
}

/// A request on a connection that may be kept.
fn request(id: u16, path: &str, keep: bool) -> Vec<u8> {
    let (mut wire, mut params) = (Vec::new(), Vec::new());
    let id = RequestId(NonZeroU16::new(id).unwrap());
    fcgi::begin_request(&mut wire, id, Role::Responder, keep);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    for (name, value) in [("REQUEST_METHOD", "GET"), ("PATH_INFO", path), ("QUERY_STRING", query)] {
        fcgi::pair(&mut params, name.as_bytes(), value.as_bytes());
    }
    fcgi::stream(&mut wire, RecordType::Params, id, &params);
    fcgi::stream(&mut wire, RecordType::Params, id, b"");
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"");
    wire
}

/// The next record: type, id and content; `None` at the end.
fn record(socket: &mut UnixStream) -> Option<(u8, u16, Vec<u8>)> {
    let mut header = [0; 8];
    socket.read_exact(&mut header).ok()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let mut content = vec![0; len + usize::from(header[6])];
    socket.read_exact(&mut content).unwrap();
    content.truncate(len);
    Some((header[1], u16::from_be_bytes([header[2], header[3]]), content))
}

/// STDOUT of one request up to END_REQUEST, whose content comes with it.
fn answer(socket: &mut UnixStream, id: u16) -> (String, Vec<u8>) {
    let mut stdout = Vec::new();
    loop {
        match record(socket).expect("END_REQUEST comes first") {
            (6, it, content) if it == id => stdout.extend(content),
            (3, it, content) if it == id => {
                return (String::from_utf8_lossy(&stdout).into_owned(), content);
            }
            _ => {}
        }
    }
}

#[test]
fn who_waits_for_too_long_is_answered_504_and_the_worker_is_replaced() {
    let options = [&ADMIN[..], &LIMIT, &["--access-log", "{folder}/access"]].concat();
    let mut server = Server::start("fastcgi", &options);
    let before = server.workers();
    let mut kept = server.connect();
    let began = Instant::now();
    kept.write_all(&request(1, LONG, true)).unwrap();
    let (text, end) = answer(&mut kept, 1);
    assert!(text.contains("Status: 504 Gateway Timeout\r\n"), "{text}");
    assert_eq!(end, [0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(began.elapsed() >= Duration::from_millis(300), "not before its time");
    // The log says what it was, and where the thread is: in the testbed's own file.
    server.until("cgigate: overdue: GET /sleep: ");
    server.until("no answer has begun: 504");
    server.until("/testbed/faults.rs:");
    // Its id is free, on the same connection, although its thread sleeps on.
    for _ in 0..4 {
        kept.write_all(&request(1, "/hello", true)).unwrap();
        assert!(answer(&mut kept, 1).0.ends_with("\r\n\r\nHello World\n"));
    }
    let status = server.until_status("another worker", |it| {
        let processes = it["processes"].as_array().unwrap();
        let new = |it: &Value| !before.contains(&(it["pid"].as_u64().unwrap() as u32));
        processes.len() == 1 && new(&processes[0])
    });
    assert_eq!((of_status(&status, 504), number(&status, "/restarts")), (1, 0));
    assert_eq!(of_status(&status, 200), 4);
    // The connection has moved with it.
    kept.write_all(&request(1, "/hello", true)).unwrap();
    assert!(answer(&mut kept, 1).0.ends_with("\r\n\r\nHello World\n"));
    let log = std::fs::read_to_string(server.path("access")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains(" 504 0 ")).count(), 1, "{log}");
    drop(kept);
    assert_eq!(server.stop(), Some(0));
}

/// The worker goes when those that share it are done: not before, and it waits for nobody else.
#[test]
fn neighbours_finish_first() {
    let options = ["--request-timeout", "3s", "--threads", "4", "--admin", "unix:{folder}/admin"];
    let server = Server::start("fastcgi", &options);
    let before = server.workers()[0];
    let mut overdue = server.connect();
    overdue.write_all(&request(1, LONG, false)).unwrap();
    server.until_status("the first", |it| number(it, "/in_flight") == 1);
    // So much younger, and so much longer may it take.
    std::thread::sleep(Duration::from_millis(2500));
    let mut neighbour = server.connect();
    let whole = request(1, "/count", false);
    let (begin, end) = whole.split_at(whole.len() - 8);
    neighbour.write_all(begin).unwrap();
    server.until_status("the second", |it| number(it, "/in_flight") == 2);
    assert!(answer(&mut overdue, 1).0.contains("Status: 504 "));
    assert!(record(&mut overdue).is_none(), "it was not to be kept");
    neighbour.write_all(end).unwrap();
    assert!(answer(&mut neighbour, 1).0.ends_with("\r\n\r\n0\n"));
    // Long before --graceful-timeout.
    server.until_status("the end of the old one", |it| {
        let processes = it["processes"].as_array().unwrap();
        processes.iter().all(|it| it["pid"].as_u64() != Some(before.into()))
    });
}

#[test]
fn an_answer_that_has_begun_is_cut_so_that_it_shows() {
    let stream = "/stream?chunks=1000000&size=10&delay_ms=20";
    let options = [&LIMIT[..], &["--access-log", "{folder}/access", "--log-format", "json"]];
    let server = Server::start("fastcgi", &options.concat());
    let logged = || std::fs::read_to_string(server.path("access")).unwrap().lines().count();
    // Alone on its connection: no END_REQUEST, and the end.
    let mut alone = server.connect();
    alone.write_all(&request(1, stream, true)).unwrap();
    let mut types = Vec::new();
    while let Some((kind, ..)) = record(&mut alone) {
        types.push(kind);
    }
    assert!(types.len() > 2 && types.iter().all(|kind| *kind == 6), "{types:?}");
    server.until("its answer was cut off");
    // Beside another one: END_REQUEST says that it failed, and the other goes on.
    let mut shared = server.connect();
    shared.write_all(&[request(1, stream, true), request(2, stream, true)].concat()).unwrap();
    let failed = [0, 0, 0, 1, ProtocolStatus::RequestComplete as u8, 0, 0, 0];
    let mut ended = 0;
    while let Some((kind, _, content)) = record(&mut shared) {
        if kind == 3 {
            assert_eq!(content, failed);
            assert!(logged() >= 2, "whoever has its end finds it in the log");
            ended += 1;
        }
    }
    assert_eq!(ended, 1, "the second was alone by then");
}

#[test]
fn whoever_answers_in_time_is_left_alone() {
    let server = Server::start("fastcgi", &[&ADMIN[..], &["--request-timeout", "30s"]].concat());
    for _ in 0..50 {
        assert_eq!(server.get("/hello"), ("Hello World\n".into(), Some(0)));
        assert_eq!(server.get("/sleep?ms=1"), ("slept 1\n".into(), Some(0)));
    }
    assert_eq!(server.status()["restarts"], 0);
    assert!(!server.said().contains("overdue"), "{}", server.said());
}

/// Answer and deadline at the same moment: one of the two is sent, whole, and never both.
#[test]
fn who_begins_the_answer_has_it() {
    let server = Server::start("fastcgi", &["--request-timeout", "20ms", "--threads", "8"]);
    let (mut done, mut late) = (0, 0);
    std::thread::scope(|scope| {
        let rounds: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut counts = (0, 0);
                    for round in 0..15 {
                        let mut socket = server.connect();
                        let path = format!("/sleep?ms={}", 17 + round % 5);
                        socket.write_all(&request(1, &path, false)).unwrap();
                        let (text, end) = answer(&mut socket, 1);
                        assert_eq!(end, [0; 8]);
                        assert!(record(&mut socket).is_none());
                        assert_eq!(text.matches("Status: ").count(), 1, "{text}");
                        match text.contains("Status: 200 OK\r\n") {
                            true => {
                                assert!(text.contains("\r\n\r\nslept "), "{text}");
                                counts.0 += 1;
                            }
                            false => {
                                assert!(text.ends_with("\r\n\r\n504 Gateway Timeout\n"), "{text}");
                                counts.1 += 1;
                            }
                        }
                    }
                    counts
                })
            })
            .collect();
        for round in rounds {
            let counts = round.join().unwrap();
            (done, late) = (done + counts.0, late + counts.1);
        }
    });
    assert_eq!(done + late, 30);
}

#[test]
fn the_other_protocols_have_the_limit_too() {
    for protocol in ["scgi", "uwsgi"] {
        let front = if protocol == "scgi" { "Status: " } else { "HTTP/1.1 " };
        let server = Server::start(protocol, &LIMIT);
        let get = |path, query| {
            let vars = [("REQUEST_METHOD", "GET"), ("PATH_INFO", path), ("QUERY_STRING", query)];
            let mut wire = Vec::new();
            match protocol {
                "scgi" => scgi::head(&mut wire, 0, &vars).unwrap(),
                _ => uwsgi::head(&mut wire, &vars).unwrap(),
            }
            ask(server.connect(), &wire)
        };
        let answer = get("/sleep", "ms=600000");
        assert!(answer.starts_with(&format!("{front}504 Gateway Timeout\r\n")), "{answer}");
        server.until("cgigate: overdue: GET /sleep: ");
        let answer = get("/stream", "chunks=1000000&size=10&delay_ms=20");
        assert!(answer.starts_with(&format!("{front}200 OK\r\n")), "{answer}");
        server.until("its answer was cut off");
        assert!(get("/hello", "").ends_with("\r\n\r\nHello World\n"));
    }

    let mut server =
        Server::start("http", &[&LIMIT[..], &["--graceful-timeout", "100ms"]].concat());
    let (head, _) = server.http("socket", LONG);
    assert!(head.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{head}");
    server.until("cgigate: overdue: GET /sleep: ");
    assert_eq!(server.http("socket", "/hello").1, "Hello World\n");
    // In chunks the last one is missing.
    let stream = "GET /stream?chunks=1000000&size=10&delay_ms=20 HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = ask(server.connect(), stream.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn an_application_is_told_how_much_time_it_has() {
    for protocol in ["fastcgi", "http"] {
        let get = |server: &Server| match protocol {
            "http" => server.http("socket", "/deadline").1,
            _ => server.get("/deadline").0,
        };
        let server = Server::start(protocol, &["--request-timeout", "100s"]);
        let left: u64 = get(&server).trim_end().parse().unwrap();
        assert!((1..=100_000).contains(&left), "{left} ms");
        assert_eq!(get(&Server::start(protocol, &[])), "none\n");
    }
}

/// A body that only the end of its connection ends must not end like a whole one.
#[test]
fn over_tcp_an_old_client_sees_a_reset() {
    let server = Server::start("http", &[&LIMIT[..], &["--listen", "127.0.0.1:0"]].concat());
    server.until("http on 127.0.0.1:");
    let said = server.said();
    let port = said.split("http on 127.0.0.1:").nth(1).unwrap().split(',').next().unwrap();
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    socket.write_all(b"GET /stream?chunks=1000000&size=10&delay_ms=20 HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let error = socket.read_to_end(&mut answer).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(answer.starts_with(b"HTTP/1.1 200 "));
}

fn ask(mut socket: UnixStream, wire: &[u8]) -> String {
    socket.write_all(wire).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn what_is_slow_is_told_with_its_place_and_answered_all_the_same() {
    for protocol in ["fastcgi", "http"] {
        let server = Server::start(protocol, &["--slow-log", "50ms"]);
        let path = "/sleep?ms=400&secret=1";
        match protocol {
            "http" => assert_eq!(server.http("socket", path).1, "slept 400\n"),
            _ => assert_eq!(server.get(path), ("slept 400\n".into(), Some(0))),
        }
        server.until("cgigate: slow: GET /sleep: ");
        server.until(" and it is still running (process ");
        server.until(" std::thread::");
        let said = server.said();
        assert!(said.lines().any(|line| line.contains("#0 0x")), "{said}");
        let told = said.lines().filter(|line| line.starts_with("cgigate:"));
        assert!(!told.clone().any(|line| line.contains("secret")), "a query is private: {said}");
        assert!(!told.clone().any(|line| line.contains("::threads::")), "not our own: {said}");
        assert_eq!(said.matches("cgigate: slow: ").count(), 1, "{said}");
    }
}

/// With every thread lost a process that nobody replaces ends, so that whoever started it starts
/// another.
#[test]
fn a_process_alone_goes_on_until_it_has_lost_its_last_thread() {
    let options = ["--request-timeout", "200ms", "--threads", "2"];
    let mut server = Server::start_alone("fastcgi", &options);
    let mut lost = server.connect();
    lost.write_all(&request(1, LONG, true)).unwrap();
    assert!(answer(&mut lost, 1).0.contains("Status: 504 "));
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), Some(0)));
    lost.write_all(&request(1, LONG, true)).unwrap();
    assert!(answer(&mut lost, 1).0.contains("Status: 504 "));
    server.until("no thread has come back; it ends");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn who_waits_for_a_thread_for_too_long_is_answered_503_without_running() {
    let more = ["--threads", "1", "--queue-timeout", "100ms", "--graceful-timeout", "10ms"];
    for protocol in ["fastcgi", "http"] {
        let admin = [&ADMIN[..2], &more].concat();
        let server = Server::start(protocol, &admin);
        let mut busy = server.connect();
        match protocol {
            "http" => write!(busy, "GET {LONG} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap(),
            _ => busy.write_all(&request(1, LONG, false)).unwrap(),
        }
        server.until_status("a full house", |it| number(it, "/threads/busy") == 1);
        let text = match protocol {
            "http" => server.http("socket", "/hello").0,
            _ => {
                let mut late = server.connect();
                late.write_all(&request(1, "/hello", false)).unwrap();
                answer(&mut late, 1).0
            }
        };
        assert!(text.contains(" 503 Service Unavailable\r\n"), "{text}");
        assert!(text.contains("Retry-After: 1"), "{text}");
        server.until_status("a 503", |it| of_status(it, 503) == 1);
    }
}

#[test]
fn a_request_that_stands_still_is_answered_408_and_an_idle_connection_is_closed() {
    for protocol in ["fastcgi", "http"] {
        let options = ["--read-timeout", "200ms", "--idle-timeout", "200ms"];
        let server = Server::start(protocol, &options);
        let half: Vec<u8> = match protocol {
            "http" => b"GET /hello HTTP/1.1\r\nHos".to_vec(),
            _ => request(1, "/hello", true)[..30].to_vec(),
        };
        let mut slow = server.connect();
        slow.write_all(&half).unwrap();
        let mut answer = Vec::new();
        slow.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.contains("408 Request Timeout"), "{protocol}: {text:?}");
        let mut idle = server.connect();
        idle.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(idle.read(&mut [0]).unwrap(), 0, "{protocol}");
    }
}

#[test]
fn none_takes_a_limit_away_that_a_variable_sets() {
    let environ = [("CGIGATE_REQUEST_TIMEOUT", "10ms"), ("CGIGATE_MAX_BODY", "none")];
    let none = ["request", "read", "write", "queue", "idle"]
        .map(|limit| format!("--{limit}-timeout=none"));
    let none = none.each_ref().map(String::as_str);
    for protocol in ["fastcgi", "http"] {
        let mut server = Server::start_with(protocol, &none, &environ);
        let mut socket = server.connect();
        let asked = match protocol {
            "http" => b"GET /sleep?ms=100 HTTP/1.0\r\n\r\n".to_vec(),
            _ => request(1, "/sleep?ms=100", false),
        };
        socket.write_all(&asked).unwrap();
        let mut said = Vec::new();
        socket.read_to_end(&mut said).unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("slept 100\n"), "{protocol}: {said}");
        assert_eq!(server.stop(), Some(0));
    }
}

#[test]
fn a_limit_that_would_refuse_each_request_is_wrong_usage() {
    for limit in ["--request-timeout", "--read-timeout", "--write-timeout"] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cgigate"))
            .args(["fastcgi", "--listen", "unix:/nowhere/socket", limit, "0"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{limit}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(limit) && said.contains("use 30s, 5m, or none"), "{said}");
    }
}

#[test]
fn the_usage_says_what_is_not_limited() {
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_cgigate"))
        .args(["fastcgi", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("not in CGI, which has no second thread"), "{help}");
}
