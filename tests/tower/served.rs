//! One router, unchanged, over everything that the gateway speaks.

use crate::{
    router::router,
    ways::{Server, WAYS, Way},
};
use cgigate::gateway::Protocol;
use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

#[test]
fn a_router_answers_over_every_protocol() {
    for way in WAYS {
        let server = Server::start(way, cgigate::tower(router()), 2);
        let hello = server.get("/hello");
        assert!(
            hello.contains("200 OK\r\n") && hello.ends_with("\r\n\r\nHello World\n"),
            "{way:?}: {hello}"
        );
        assert!(hello.contains("content-type: text/plain; charset=utf-8\r\n"), "{hello}");
        assert!(hello.contains("content-length: 12\r\n"), "{hello}");
        assert!(server.get("/nowhere").contains(" 404 Not Found\r\n"), "{way:?}");
        assert!(server.get("/echo").contains(" 405 Method Not Allowed\r\n"), "{way:?}");
        assert!(server.get("/sleep").ends_with("\r\n\r\nslept\n"), "{way:?}");
        let connection = server.get("/connection");
        assert!(connection.contains("x-kept: 1\r\n"), "{connection}");
        assert!(way == Way::Http || !connection.contains("onnection: "), "{connection}");
        let meta = server.get("/meta/a/b?c=d");
        let wanted = "path=a/b\nuri=/meta/a/b?c=d\nscript=\nuser=\nagent=caf\\xc3\\xa9\n";
        assert!(meta.ends_with(wanted), "{way:?}: {meta}");
        assert!(server.log().is_none_or(|log| log.is_empty()));
    }
}

#[test]
fn bodies_of_all_awkward_sizes_come_back() {
    for way in WAYS {
        let server = Server::start(way, cgigate::tower(router()), 2);
        for length in [1, 16_383, 16_384, 81_921, 4 << 20] {
            let body = body(length);
            let peer = server.begin("/echo", length, b"");
            peer.send_aside([server.piece(&body), server.end()].concat());
            let answer = server.finish(peer);
            let blank = answer.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
            let came = &answer[blank + 4..];
            assert!(came == body, "{way:?}: {} of {length}", came.len());
            for (path, wanted) in
                [("/count", format!("{length}\n")), ("/task", format!("Ok(Ok({length}))\n"))]
            {
                let peer = server.begin(path, length, b"");
                peer.send_aside([server.piece(&body), server.end()].concat());
                let answer = server.finish(peer);
                assert!(answer.ends_with(wanted.as_bytes()), "{way:?}: {}", answer.escape_ascii());
            }
        }
    }
}

#[test]
fn faults_are_a_500_and_in_the_log() {
    for way in WAYS {
        let server = Server::start(way, cgigate::tower(router()), 2);
        let page = "A server error occurred.  Please contact the administrator.";
        let answer = server.get("/fault/panic");
        assert!(
            answer.contains(" 500 Internal Server Error\r\n") && answer.ends_with(page),
            "{answer}"
        );
        // A task's panic is its own affair.
        assert!(server.get("/fault/task").ends_with("\r\n\r\ntrue\n"), "{way:?}");
        // FastCGI's goes to the web server.
        if let (Way::Gateway(Protocol::Scgi | Protocol::Uwsgi), Some(log)) = (way, server.log()) {
            assert!(log.contains("a panic, as asked for"), "{way:?}: {log}");
        }
        assert!(server.get("/hello").ends_with("Hello World\n"), "{way:?}");
    }
}

/// Which is compiled there.
#[test]
fn what_the_readme_shows_is_what_the_documentation_shows() {
    let read = |name| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    let (readme, docs) = (read("README.md").unwrap(), read("docs/tower.md").unwrap());
    let (_, block) = readme.split_once("```rust\nuse axum").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    assert!(docs.contains(&format!("```rust,no_run\nuse axum{block}```")), "{block}");
}

/// Runs the gateway as a web server runs a CGI program.
fn cgi(vars: &[(&str, &str)], body: &[u8]) -> (String, String, Option<i32>) {
    let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/towered");
    let mut command = Command::new(built);
    command.env_clear().envs(vars.iter().copied()).env("GATEWAY_INTERFACE", "CGI/1.1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_router_is_a_cgi_program() {
    let get = ("REQUEST_METHOD", "GET");
    let (out, err, code) = cgi(&[get, ("PATH_INFO", "/hello")], b"");
    assert_eq!((&*err, code), ("", Some(0)));
    assert!(
        out.starts_with("Status: 200 OK\r\n") && out.ends_with("\r\n\r\nHello World\n"),
        "{out}"
    );
    let vars =
        [get, ("SCRIPT_NAME", "/cgi-bin/x"), ("PATH_INFO", "/meta/a b"), ("REMOTE_USER", "ann")];
    let (out, ..) = cgi(&vars, b"");
    assert!(
        out.ends_with("path=a b\nuri=/meta/a%20b\nscript=/cgi-bin/x\nuser=ann\nagent=\n"),
        "{out}"
    );
    let (out, ..) = cgi(&[get, ("PATH_INFO", "/sleep")], b"");
    assert!(out.ends_with("slept\n"), "{out}");

    // The body is written whole before anything is read, as Apache does it.
    let body = vec![b'x'; 2 << 20];
    let length = body.len().to_string();
    let vars = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/echo"), ("CONTENT_LENGTH", &length)];
    let (out, err, code) = cgi(&vars, &body);
    let (_, came) = out.split_once("\r\n\r\n").unwrap();
    assert!(came.as_bytes() == body && err.is_empty() && code == Some(0), "{} {err}", came.len());

    let (out, err, _) = cgi(&[get, ("PATH_INFO", "/fault/panic")], b"");
    assert!(
        out.starts_with("Status: 500 ") && err.contains("a panic, as asked for"),
        "{out} {err}"
    );
}
