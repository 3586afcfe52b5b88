//! Somebody sets the time of day, ten years on and back: no deadline is changed by that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod operated;

use operated::{PATIENCE, Server};
use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;

/// Compiles what lies about the time of day.
fn jump(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clocks/jump.c");
    let library = folder.join("jump.so");
    let done =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(done.unwrap().success(), "cc, which links Rust as well");
    library
}

/// Sends one request on a connection that is kept, and takes its answer: head and body.
fn ask(socket: &mut UnixStream, path: &str) -> (String, String) {
    write!(socket, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let n = socket.read(&mut buffer).unwrap();
        assert!(n > 0, "it ended after {answer:?}");
        answer.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if body.len() == length.parse::<usize>().unwrap() {
            return (head.into(), body.into());
        }
    }
}

fn year(head: &str) -> i32 {
    let date = head.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap();
    date.split(' ').nth(3).unwrap().parse().unwrap()
}

#[test]
fn who_sets_the_time_of_day_changes_no_deadline() {
    let folder = std::env::temp_dir().join(format!("cgigate-clocks-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (library, off) = (jump(&folder), folder.join("off"));
    let set = |seconds: i64| {
        let next = folder.join("next");
        fs::write(&next, seconds.to_string()).unwrap();
        fs::rename(next, &off).unwrap();
    };
    set(0);
    let options = ["--request-timeout", "2s", "--read-timeout", "20s", "--idle-timeout", "20s"];
    let options = [&options[..], &["--queue-timeout", "20s", "--graceful-timeout", "1s"]].concat();
    let options = [&options[..], &["--admin", "unix:{folder}/admin"]].concat();
    let environ =
        [("LD_PRELOAD", library.to_str().unwrap()), ("CLOCK_JUMP", off.to_str().unwrap())];
    let mut server = Server::start_with("http", &options, &environ);
    let mut kept = server.connect();
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let now = year(&ask(&mut kept, "/hello").0);
    for (jump, later) in [(TEN_YEARS, 9), (-TEN_YEARS, -11)] {
        // While one runs, one is on its way in, and one is idle.
        let mut half = server.connect();
        half.write_all(b"GET /hello HTTP/1.1\r\n").unwrap();
        let mut running = server.connect();
        running.write_all(b"GET /sleep?ms=300 HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        server.until_status("it runs", |status| status["in_flight"] == 1);
        set(jump);
        let (head, body) = ask(&mut kept, "/hello");
        assert_eq!(body, "Hello World\n");
        assert!((year(&head) - now - later).abs() <= 1, "the clock has been set: {head}");
        half.write_all(b"Host: h\r\nConnection: close\r\n\r\n").unwrap();
        for (mut socket, end) in [(half, "Hello World\n"), (running, "slept 300\n")] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut answer = String::new();
            while !answer.ends_with(end) {
                let mut byte = [0];
                assert_eq!(socket.read(&mut byte).unwrap(), 1, "{answer}");
                answer.push(char::from(byte[0]));
            }
        }
        // And what is to come at its time comes.
        let began = Instant::now();
        let (head, _) = ask(&mut server.connect(), "/sleep?ms=600000");
        assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
        assert!(began.elapsed() >= Duration::from_secs(2));
        let status = server.status();
        assert!(status["uptime"].as_f64().unwrap() < 3600.0, "{}", status["uptime"]);
        server.until_status("another worker", |status| status["in_flight"] == 0);
    }
    assert_eq!(server.stop(), Some(0));
    fs::remove_dir_all(folder).unwrap();
}
