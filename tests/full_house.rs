//! Several workers that share their listeners: who is full leaves new connections to who is not, and
//! when all are full those that wait are timed and refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod operated;

use cgigate::{scgi, uwsgi};
use operated::{PATIENCE, Server};
use serde_json::Value;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
};

const PROTOCOLS: [&str; 4] = ["fastcgi", "scgi", "uwsgi", "http"];

/// Longer than any test.
const LONG: &str = "ms=600000";

/// Sends a request of that protocol.
fn ask(server: &Server, protocol: &str, path: &str, query: &str) -> UnixStream {
    let vars = [("REQUEST_METHOD", "GET"), ("PATH_INFO", path), ("QUERY_STRING", query)];
    let mut wire = Vec::new();
    match protocol {
        "fastcgi" => {
            wire =
                operated::request(&vars.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        }
        "scgi" => scgi::head(&mut wire, 0, &vars).unwrap(),
        "uwsgi" => uwsgi::head(&mut wire, &vars).unwrap(),
        _ => write!(wire, "GET {path}?{query} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .unwrap(),
    }
    let mut socket = server.connect();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&wire).unwrap();
    socket
}

fn answer(mut socket: UnixStream) -> String {
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn busy(status: &Value) -> u64 {
    status["threads"]["busy"].as_u64().unwrap()
}

/// The worker that was full took every other connection, and let it wait for half a minute.
#[test]
fn who_is_full_leaves_new_connections_to_who_is_not() {
    let options = ["--workers", "2", "--threads", "1", "--graceful-timeout", "10ms"];
    let options = [&options[..], &["--admin", "unix:{folder}/admin"]].concat();
    for protocol in PROTOCOLS {
        let server = Server::start(protocol, &options);
        let _one = ask(&server, protocol, "/sleep", LONG);
        server.until_status("a full worker", |status| busy(status) == 1);
        for _ in 0..30 {
            let answer = answer(ask(&server, protocol, "/hello", ""));
            assert!(answer.contains("Hello World\n"), "{protocol}: {answer}");
        }
        let status = server.status();
        assert_eq!((busy(&status), &status["queued"]), (1, &0.into()), "{protocol}");
    }
}

#[test]
fn when_all_are_full_who_waits_for_too_long_is_refused() {
    let options = ["--workers", "2", "--threads", "1", "--graceful-timeout", "10ms"];
    let options = [&options[..], &["--admin", "unix:{folder}/admin"]].concat();
    let options = [&options[..], &["--queue-timeout", "1s"]].concat();
    for protocol in PROTOCOLS {
        let server = Server::start(protocol, &options);
        let mut sleeping = Vec::new();
        for number in 1..=2 {
            sleeping.push(ask(&server, protocol, "/sleep", LONG));
            server
                .until_status(&format!("another full {protocol}"), |status| busy(status) == number);
        }
        let waiting: Vec<_> = (0..3).map(|_| ask(&server, protocol, "/hello", "")).collect();
        for answer in waiting.into_iter().map(answer) {
            assert!(answer.contains("503 Service Unavailable\r\n"), "{protocol}: {answer}");
            assert!(answer.contains("Retry-After: "), "{protocol}: {answer}");
        }
        // Whoever comes after one that dies has room, and is known to have it.
        operated::kill("-KILL", server.workers()[0]);
        server.until("another takes its place");
        while !answer(ask(&server, protocol, "/hello", "")).contains("Hello World\n") {}
        for _ in 0..10 {
            let answer = answer(ask(&server, protocol, "/hello", ""));
            assert!(answer.contains("Hello World\n"), "{protocol}: {answer}");
        }
    }
}
