//! `--status-path`, `--ping-path`, `--admin`: what a running server says of itself is true.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod operated;

use operated::{Server, kill};
use serde_json::Value;
use std::{
    fs::{DirEntry, read_dir, read_to_string},
    io::Read,
    os::unix::net::UnixStream,
    process::Stdio,
};

const ADMIN: [&str; 2] = ["--admin", "unix:{folder}/admin"];

fn number(status: &Value, path: &str) -> u64 {
    status.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {status}"))
}

fn of_status(status: &Value, code: u16) -> u64 {
    status.pointer(&format!("/requests/by_status/{code}")).and_then(Value::as_u64).unwrap_or(0)
}

/// All that is under way, in order of the processes.
fn in_flight(status: &Value) -> Vec<String> {
    let processes = status["processes"].as_array().unwrap();
    let requests = processes.iter().flat_map(|it| it["in_flight"].as_array().unwrap());
    requests.map(|it| it["request"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_server_answers_for_itself_behind_every_web_server() {
    let options = ["--status-path", "/of/status", "--ping-path", "/of/ping"];
    let server = Server::start("fastcgi", &options);
    assert_eq!(server.get("/of/ping"), ("pong\n".into(), Some(0)));
    assert_eq!(server.get("/hello").1, Some(0));
    assert_eq!(server.get("/nothing").1, Some(1));
    let (text, _) = server.get("/of/status");
    for line in ["requests: 3", "requests 200: 2", "requests 4xx: 1", "processes: 1", "restarts: 0"]
    {
        assert!(text.lines().any(|it| it == line), "no {line:?} in {text}");
    }
    assert!(!text.contains("in flight: "), "{text}");
    let own = "s GET /of/status";
    assert!(server.get("/of/status?full").0.lines().any(|line| line.ends_with(own)));
    assert_eq!(server.get("/of/status?format=xml").1, Some(1));
    // Nothing below is the server's own, and nothing is where nobody asked for it.
    assert_eq!(server.get("/of/status/more").1, Some(1));
    let without = Server::start("fastcgi", &[]);
    assert_eq!(without.get("/of/ping").1, Some(1));
}

#[test]
fn the_same_over_http_scgi_and_uwsgi() {
    let options = ["--status-path", "/status", "--ping-path", "/ping"];
    let server = Server::start("http", &options);
    let (head, body) = server.http("socket", "/%70ing?x");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && body == "pong\n", "{head}");
    let (head, body) = server.http("socket", "/status?format=json");
    for guard in [
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'",
        "Cache-Control: no-store",
    ] {
        assert!(head.lines().any(|line| line == guard), "no {guard:?} in {head}");
    }
    let status: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((of_status(&status, 200), number(&status, "/threads/busy")), (1, 1));
    let (head, _) = operated::http(server.connect(), "POST", "/status");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("Allow: GET, HEAD"), "{head}");
    assert_eq!(operated::http(server.connect(), "HEAD", "/ping").1, "");
    // What the server refuses is counted like what applications answer.
    let (head, _) = server.http("socket", "/a b");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let (_, body) = server.http("socket", "/status?format=json");
    assert_eq!(of_status(&serde_json::from_str(&body).unwrap(), 400), 1);

    let server = Server::start("scgi", &options);
    let vars =
        b"CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/ping\x00";
    let wire = [format!("{}:", vars.len()).as_bytes(), vars, b","].concat();
    let answer = ask(server.connect(), &wire);
    assert!(answer.starts_with("Status: 200 OK\r\n") && answer.ends_with("\r\npong\n"), "{answer}");

    let server = Server::start("uwsgi", &options);
    let vars = b"\x0e\0REQUEST_METHOD\x03\0GET\x0b\0REQUEST_URI\x05\0/ping";
    let wire = [&[0, vars.len() as u8, 0, 0], &vars[..]].concat();
    let answer = ask(server.connect(), &wire);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\npong\n"), "{answer}");
}

fn ask(mut socket: UnixStream, wire: &[u8]) -> String {
    std::io::Write::write_all(&mut socket, wire).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_full_house_still_answers_on_its_admin_socket() {
    for threads in [1, 2] {
        let options = [&ADMIN[..], &["--threads", "1", "--graceful-timeout", "10ms"]].concat();
        let mut server = match threads {
            1 => Server::start_alone("fastcgi", &options),
            _ => Server::start("fastcgi", &[&options[..], &["--workers", "2"]].concat()),
        };
        server.until("admin on unix:");
        assert_eq!(server.status()["supervisor"].is_null(), threads == 1);
        let (mut sleeping, mut status) = (Vec::new(), Value::Null);
        for number_of in 1..=threads {
            sleeping.push(server.client("/sleep?ms=600000&secret"));
            let all_sleep = |it: &Value| number(it, "/threads/busy") == number_of;
            status = server.until_status("a sleeper", all_sleep);
        }
        assert_eq!(number(&status, "/threads/idle"), 0);
        assert_eq!(in_flight(&status), vec!["GET /sleep"; threads as usize]);
        let waiting = [server.client("/hello"), server.client("/hello")];
        server.until_status("a queue", |it| number(it, "/queued") == 2);
        assert_eq!(server.http("admin", "/ping").1, "pong\n");
        assert!(server.http("admin", "/hello").0.starts_with("HTTP/1.1 404 "));
        assert_eq!(server.stop(), Some(0));
        for mut client in sleeping.into_iter().chain(waiting) {
            client.wait().unwrap();
        }
    }
}

#[test]
fn totals_outlive_the_workers_that_counted_them() {
    let mut server = Server::start("fastcgi", &[&ADMIN[..], &["--workers", "2"]].concat());
    (0..8).for_each(|_| assert_eq!(server.get("/hello").1, Some(0)));
    let status = server.status();
    assert_eq!((of_status(&status, 200), number(&status, "/bytes/sent")), (8, 8 * 12));
    assert_eq!(number(&status, "/supervisor/pid"), u64::from(server.pid()));

    let mut sleeper = server.client("/sleep?ms=600000");
    let found = server.until_status("a sleeper", |it| number(it, "/in_flight") == 1);
    let processes = found["processes"].as_array().unwrap();
    let sleeps = |it: &&Value| !it["in_flight"].as_array().unwrap().is_empty();
    let killed = processes.iter().find(sleeps).unwrap()["pid"].as_u64().unwrap();
    kill("-KILL", killed as u32);
    sleeper.wait().unwrap();
    let status = server.until_status("another worker", |it| {
        let gone = |it: &Value| it["pid"].as_u64() != Some(killed);
        let processes = it["processes"].as_array().unwrap();
        processes.len() == 2 && processes.iter().all(gone)
    });
    assert_eq!((of_status(&status, 200), number(&status, "/in_flight")), (8, 0));
    assert_eq!(number(&status, "/restarts"), 1);

    server.signal("-HUP");
    server.until("reload: 2 new workers serve");
    (0..4).for_each(|_| assert_eq!(server.get("/hello").1, Some(0)));
    let status = server.until_status("the end of the old ones", |it| {
        let new = |it: &Value| it["generation"].as_u64() == Some(2);
        let processes = it["processes"].as_array().unwrap();
        processes.len() == 2 && processes.iter().all(new)
    });
    assert_eq!((of_status(&status, 200), number(&status, "/reloads")), (12, 1));
    assert_eq!(server.stop(), Some(0));
    assert!(!server.path("admin").exists(), "the admin socket's file is gone");
}

/// Under load no request is counted twice, and none is missing.
#[test]
fn each_request_is_counted_once_whoever_answers_it() {
    let server = Server::start("fastcgi", &[&ADMIN[..], &["--workers", "2"]].concat());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let vars: [(&[u8], &[u8]); 2] =
                        [(b"REQUEST_METHOD", b"GET"), (b"PATH_INFO", b"/hello")];
                    let mut answer = Vec::new();
                    server.send(&vars).read_to_end(&mut answer).unwrap();
                    assert!(answer.windows(12).any(|it| it == b"Hello World\n"));
                }
            });
        }
    });
    // The answer is out a moment before it is counted.
    let status = server.until_status("the last", |it| of_status(it, 200) == 800);
    for histogram in ["app_seconds", "queue_seconds"] {
        assert_eq!(number(&status, &format!("/{histogram}/count")), 800);
        assert_eq!(number(&status, &format!("/{histogram}/up_to/30.0")), 800);
    }
}

#[test]
fn connections_that_wait_at_a_unix_socket_are_counted() {
    let server = Server::start("fastcgi", &[&ADMIN[..], &["--workers", "2"]].concat());
    let workers = server.workers();
    workers.iter().for_each(|pid| kill("-STOP", *pid));
    // The signal is sent; each thread stops when it next looks.
    let stands = |task: std::io::Result<DirEntry>| {
        read_to_string(task.unwrap().path().join("stat")).is_ok_and(|stat| stat.contains(") T "))
    };
    for pid in &workers {
        while !read_dir(format!("/proc/{pid}/task")).unwrap().all(stands) {
            std::thread::yield_now();
        }
    }
    let waiting: Vec<_> = (0..3).map(|_| server.connect()).collect();
    let status = server.until_status("a queue", |it| number(it, "/listeners/0/waiting") == 3);
    let address = format!("unix:{}", server.path("socket").display());
    assert_eq!(status["listeners"][0]["address"], address);
    workers.iter().for_each(|pid| kill("-CONT", *pid));
    server.until_status("nobody", |it| number(it, "/listeners/0/waiting") == 0);
    drop(waiting);
}

#[test]
fn nothing_that_a_client_says_stands_on_a_page_as_it_came() {
    let options = [&ADMIN[..], &["--max-params", "4M", "--graceful-timeout", "10ms"]].concat();
    let server = Server::start("fastcgi", &options);
    let evil = b"/sleep/<script>alert(1)</script>\"\\\x1b[2J\r\nX: y\0\xff\xe2\x80\xae&'";
    let long = [b"/sleep/", &[b'a'; 1 << 20][..]].concat();
    let sleep = |uri: &[u8], method: &[u8]| {
        server.send(&[
            (b"REQUEST_METHOD", method),
            (b"REQUEST_URI", uri),
            (b"PATH_INFO", b"/sleep"),
            (b"QUERY_STRING", b"ms=600000"),
        ])
    };
    let _held = [sleep(evil, b"<b>\r\n"), sleep(&long, b"GET")];
    server.until_status("two of them", |it| number(it, "/in_flight") == 2);
    for format in ["text", "json", "openmetrics"] {
        let (_, body) = server.http("admin", &format!("/status?full&format={format}"));
        assert!(!body.chars().any(|c| c != '\n' && c.is_control()), "{body:?}");
        assert!(!body.contains(['<', '>', '&']), "{body}");
        assert!(body.len() < 64 << 10, "{} bytes of {format}", body.len());
        assert!(!body.lines().any(|line| line.starts_with("X: y")), "{body}");
    }
    let (_, text) = server.http("admin", "/status?full");
    let escaped = r"\x3cb\x3e\x0d\x0a /sleep/\x3cscript\x3ealert(1)\x3c/script\x3e\x22\x5c\x1b[2J";
    assert!(text.contains(escaped), "{text}");
    assert!(text.lines().any(|line| line.ends_with("aaaa...")), "{text}");
    let status = server.status();
    assert!(in_flight(&status)[0].starts_with("<b>\r\n /sleep/<script>"), "{status}");
}

/// OpenMetrics 1.0, "Text Format": what its grammar and its rules for counters, histograms and
/// units want of an exposition.
#[test]
fn the_metrics_are_openmetrics() {
    let server = Server::start("fastcgi", &[&ADMIN[..], &["--workers", "2"]].concat());
    for path in ["/hello", "/nothing", "/hello", "/sleep?ms=20"] {
        server.get(path);
    }
    server.until_status("all", |it| number(it, "/requests/total") == 4);
    let (head, body) = server.http("admin", "/metrics");
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(&format!("Content-Type: {content_type}")), "{head}");
    let lines = body.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let (mut family, mut kind, mut seen) = ("", "", Vec::new());
    let (mut last, mut bound) = (0.0, f64::NEG_INFINITY);
    for line in lines.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (what, rest) = comment.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            if what == "TYPE" {
                assert!(!seen.contains(&name), "{name} comes twice");
                seen.push(name);
                (family, kind) = (name, value);
                (last, bound) = (0.0, f64::NEG_INFINITY);
                assert!(["counter", "gauge", "histogram", "info"].contains(&value), "{line}");
            }
            assert_eq!(name, family, "{line}");
            assert!(what != "UNIT" || name.ends_with(&format!("_{value}")), "{line}");
            assert!(["TYPE", "UNIT", "HELP"].contains(&what), "{line}");
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let (name, labels) = match sample.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (sample, ""),
        };
        let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} in {family}"));
        match kind {
            "counter" => assert!(suffix == "_total" && value >= 0.0, "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            "info" => assert!(suffix == "_info" && value == 1.0, "{line}"),
            _ => match suffix {
                "_bucket" => {
                    let le = labels.strip_prefix("le=\"").unwrap().strip_suffix('"').unwrap();
                    let le = if le == "+Inf" { f64::INFINITY } else { le.parse().unwrap() };
                    assert!(le > bound && value >= last, "{line}");
                    (bound, last) = (le, value);
                }
                "_count" => assert!(bound.is_infinite() && value == last, "{line}"),
                _ => assert!(suffix == "_sum" && value >= 0.0, "{line}"),
            },
        }
    }
    for sample in [
        "cgigate_requests_total{code=\"200\"} 3",
        "cgigate_requests_total{code=\"404\"} 1",
        "cgigate_app_duration_seconds_count 4",
        "cgigate_threads{state=\"busy\"} 0",
        "cgigate_processes 2",
    ] {
        assert!(body.lines().any(|line| line == sample), "no {sample:?} in {body}");
    }
}

#[test]
fn an_admin_socket_that_others_could_reach_wants_to_be_told_who_may() {
    for (options, why) in [
        (["--admin", "0.0.0.0:0"], "--allow CIDR"),
        (["--admin", "nowhere"], "is no address"),
        (["--status-path", "status"], "is no path"),
        (["--ping-path", "/ping?x"], "is no path"),
    ] {
        let mut server = Server::begin("fastcgi", &options, Stdio::null());
        server.until(why);
        assert_eq!(server.end(), Some(2));
    }
    let options = ["--admin", "0.0.0.0:0", "--allow", "10.99.0.0/16"];
    let server = Server::start("fastcgi", &options);
    server.until("admin on 0.0.0.0:");
    let said = server.said();
    let port = said.split("admin on 0.0.0.0:").nth(1).unwrap().trim();
    // This machine's loopback is not among them.
    let mut socket = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    assert!(!matches!(socket.read(&mut [0]), Ok(1..)), "nobody else may");
}
