//! The examples: the tests that each has in its own file, to copy from, and here what takes a process
//! to see. Built as tests of their own, cargo would not build them as programs.
#![cfg(target_os = "linux")]
// All of this file is tests.
#![allow(clippy::unwrap_used)]
// Their `main` is for the programs.
#![allow(dead_code)]

#[path = "../examples/authorizer.rs"]
mod authorizer;
#[path = "../examples/events.rs"]
mod events;
#[cfg(feature = "tower")]
#[path = "../examples/axum.rs"]
mod guestbook;
#[path = "../examples/middleware.rs"]
mod middleware;
#[path = "../examples/upload.rs"]
mod upload;

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples").join(name)
}

/// One CGI request.
fn cgi(name: &str, vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(example(name));
    let usual = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/cgi-bin/example"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("QUERY_STRING", ""),
    ];
    command.env_clear().envs(usual).envs(vars.iter().copied()).stdin(Stdio::null());
    command
}

#[test]
fn each_is_a_cgi_program() {
    for (name, path, text) in [
        ("hello", "/", "Hello, world!"),
        ("middleware", "/", "Ask for /time"),
        ("middleware", "/time", "It is "),
        ("events", "/", "EventSource"),
        ("upload", "/", "multipart/form-data"),
    ] {
        let done = cgi(name, &[("PATH_INFO", path)]).output().unwrap();
        let out = String::from_utf8(done.stdout).unwrap();
        assert!(out.starts_with("Status: 200 OK\r\n") && out.contains(text), "{name}: {out}");
        assert_eq!(
            (done.status.code(), done.stderr.escape_ascii().to_string()),
            (Some(0), String::new())
        );
    }
}

#[test]
fn events_come_one_by_one_until_nobody_listens() {
    let vars = [("QUERY_STRING", "events"), ("HTTP_LAST_EVENT_ID", "7")];
    let mut child = cgi("events", &vars).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut came = String::new();
    while !came.ends_with("data: 9\n\n") {
        let mut piece = [0; 4096];
        let n = stdout.read(&mut piece).unwrap();
        assert!(n > 0, "{came}");
        came.push_str(std::str::from_utf8(&piece[..n]).unwrap());
        // Each event is a write of its own.
        assert!(came.matches("data:").count() <= 2);
    }
    let (head, body) = came.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nX-Accel-Buffering: no"), "{head}");
    assert_eq!(body, "id: 8\ndata: 8\n\nid: 9\ndata: 9\n\n");
    drop(stdout);
    child.wait().unwrap();
}

#[test]
fn the_authorizer_says_what_it_lacks() {
    let lacks = Command::new(example("authorizer")).env_remove("PEOPLE").output().unwrap();
    assert_eq!(lacks.status.code(), Some(1));
    assert_eq!(lacks.stderr, b"authorizer: read who may pass: set PEOPLE to a file\n");
    let people = std::env::temp_dir().join(format!("people-{}", std::process::id()));
    std::fs::write(&people, "ann:secret\n").unwrap();
    let mut asks = cgi("authorizer", &[("HTTP_AUTHORIZATION", "Basic YW5uOnNlY3JldA==")]);
    let out = asks.env("PEOPLE", &people).output().unwrap().stdout;
    std::fs::remove_file(&people).unwrap();
    assert!(out.starts_with(b"Status: 200 OK\r\n"), "{}", out.escape_ascii());
}
