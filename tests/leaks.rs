//! Nothing of one request is in what the next can see: variables, bodies, buffers, error pages.
//!
//! One thread serves all, so that each request has the memory of the one before it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use cgigate::{
    fcgi::{self, RecordType, RequestId, Role},
    scgi,
};
use fleet::{LIMIT, Server, folder, testbed};
use std::{
    io::{Read, Write},
    net::TcpStream,
    num::NonZeroU16,
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

const SECRET: &str = "s3cr3t-of-the-first";
const ID: RequestId = RequestId(NonZeroU16::MIN);

/// What the second request may ask for.
const SEEN: [&str; 12] = [
    "/environ",
    "/demo",
    "/hello",
    "/echo",
    "/count",
    "/nowhere",
    "/fault?how=panic",
    "/fault?when=after&how=error",
    "/bytes?n=100000",
    "/headers?n=3",
    "/status?code=404",
    "/stderr",
];

/// Variables of a request; those of the first have the secret wherever there is room for it.
fn vars(target: &str, length: usize, secret: Option<&str>) -> Vec<(String, String)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut vars = vec![
        own("CONTENT_LENGTH", &length.to_string()),
        own("REQUEST_METHOD", if length > 0 { "POST" } else { "GET" }),
        own("PATH_INFO", path),
        own("QUERY_STRING", query),
    ];
    if let Some(secret) = secret {
        for name in
            ["REMOTE_USER", "HTTP_COOKIE", "HTTP_AUTHORIZATION", "CONTENT_TYPE", "SCRIPT_NAME"]
        {
            vars.push(own(name, secret));
        }
        vars.push(own(secret, "a name"));
        vars.push(own("HTTP_COOKIE", secret)); // Joined with the one above.
    }
    vars
}

fn begin(wire: &mut Vec<u8>, vars: &[(String, String)]) {
    fcgi::begin_request(wire, ID, Role::Responder, true);
    let mut params = Vec::new();
    for (name, value) in vars {
        fcgi::pair(&mut params, name.as_bytes(), value.as_bytes());
    }
    fcgi::stream(wire, RecordType::Params, ID, &params);
    fcgi::stream(wire, RecordType::Params, ID, b"");
}

fn whole(target: &str, body: &[u8], secret: Option<&str>) -> Vec<u8> {
    let mut wire = Vec::new();
    begin(&mut wire, &vars(target, body.len(), secret));
    if !body.is_empty() {
        fcgi::stream(&mut wire, RecordType::Stdin, ID, body);
    }
    fcgi::stream(&mut wire, RecordType::Stdin, ID, b"");
    wire
}

/// What the first request may be, and how far it may come.
fn firsts() -> Vec<(&'static str, Vec<u8>)> {
    let body = SECRET.repeat(500);
    let secret = |target| whole(target, body.as_bytes(), Some(SECRET));
    let mut aborted = Vec::new();
    begin(&mut aborted, &vars("/echo", body.len(), Some(SECRET)));
    fcgi::stream(&mut aborted, RecordType::Stdin, ID, &body.as_bytes()[..3000]);
    fcgi::abort_request(&mut aborted, ID);
    let mut incomplete = Vec::new();
    fcgi::begin_request(&mut incomplete, ID, Role::Responder, true);
    let mut params = Vec::new();
    fcgi::pair(&mut params, b"REMOTE_USER", SECRET.as_bytes());
    fcgi::stream(&mut incomplete, RecordType::Params, ID, &params);
    fcgi::abort_request(&mut incomplete, ID);
    let too_long = whole("/hello", b"", Some(&SECRET.repeat(20_000)));
    vec![
        ("echoed", secret("/echo")),
        ("counted", secret("/count")),
        ("left alone", secret("/noread")),
        ("listed", secret("/environ")),
        ("panicked over", secret("/fault?how=panic")),
        ("cut", secret("/fault?when=after&how=error&length=100")),
        ("aborted", aborted),
        ("aborted among its variables", incomplete),
        ("too long", too_long),
    ]
}

/// All bytes up to END_REQUEST, of whatever stream.
fn answer(socket: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let mut header = [0; 8];
        socket.read_exact(&mut header).unwrap();
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; len + usize::from(header[6])];
        socket.read_exact(&mut content).unwrap();
        all.extend_from_slice(&header);
        all.extend_from_slice(&content);
        if header[1] == 3 {
            return all;
        }
    }
}

fn has_secret(bytes: &[u8]) -> bool {
    // Some of it is as bad as all of it.
    bytes.windows(8).any(|window| SECRET.as_bytes().windows(8).any(|part| part == window))
}

fn connect(path: &Path) -> UnixStream {
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

#[test]
fn over_fastcgi_the_second_request_sees_nothing_of_the_first() {
    let mut server = Server::start("leaks", &["--threads", "1"]);
    server.until("fastcgi on");
    let mut seen = 0;
    for (what, first) in firsts() {
        for target in SEEN {
            for same_connection in [true, false] {
                let mut socket = connect(&server.socket);
                socket.write_all(&first).unwrap();
                let before = answer(&mut socket);
                seen += usize::from(has_secret(&before));
                if !same_connection {
                    socket = connect(&server.socket);
                }
                let body: &[u8] = if target == "/echo" { b"b" } else { b"" };
                socket.write_all(&whole(target, body, None)).unwrap();
                // Without a length only the end of the connection tells that something is missing.
                let after = match target.contains("when=after") {
                    true => {
                        let mut rest = Vec::new();
                        socket.read_to_end(&mut rest).unwrap();
                        rest
                    }
                    false => answer(&mut socket),
                };
                let text = String::from_utf8_lossy(&after);
                assert!(!has_secret(&after), "{what}, then {target}: {text}");
            }
        }
    }
    assert!(seen > 0, "the first request's own answers have it");
}

#[test]
fn what_is_open_at_the_same_time_is_kept_apart_too() {
    let mut server = Server::start("leaks-beside", &["--threads", "1"]);
    server.until("fastcgi on");
    let mut socket = connect(&server.socket);
    // One begins, and another comes between its variables and its body.
    let other = RequestId(NonZeroU16::new(2).unwrap());
    let mut wire = Vec::new();
    begin(&mut wire, &vars("/echo", SECRET.len(), Some(SECRET)));
    fcgi::begin_request(&mut wire, other, Role::Responder, true);
    let mut params = Vec::new();
    for (name, value) in vars("/environ", 0, None) {
        fcgi::pair(&mut params, name.as_bytes(), value.as_bytes());
    }
    fcgi::stream(&mut wire, RecordType::Params, other, &params);
    fcgi::stream(&mut wire, RecordType::Params, other, b"");
    fcgi::stream(&mut wire, RecordType::Stdin, ID, SECRET.as_bytes());
    fcgi::stream(&mut wire, RecordType::Stdin, other, b"");
    fcgi::stream(&mut wire, RecordType::Stdin, ID, b"");
    socket.write_all(&wire).unwrap();
    let mut both = answer(&mut socket);
    both.extend(answer(&mut socket));
    let (mut at, mut of_other) = (0, Vec::new());
    while at < both.len() {
        let len = 8 + usize::from(u16::from_be_bytes([both[at + 4], both[at + 5]]));
        if both[at + 3] == 2 {
            of_other.extend_from_slice(&both[at + 8..at + len]);
        }
        at += len + usize::from(both[at + 6]);
    }
    assert!(has_secret(&both) && !has_secret(&of_other));
    assert!(String::from_utf8_lossy(&of_other).contains("PATH_INFO="));
}

#[test]
fn over_scgi_and_http_the_second_request_sees_nothing_of_the_first() {
    let folder = folder("leaks-others");
    let socket = folder.join("scgi");
    let mut command = Command::new(testbed());
    command.args(["scgi", "--threads", "1", "--listen", &format!("unix:{}", socket.display())]);
    let mut server = Server::run(folder, command.args(["--listen", "http+:0"]));
    server.until("scgi on");
    let line = server.until("http on");
    let port: u16 = line.rsplit(':').next().unwrap().split(',').next().unwrap().parse().unwrap();
    let over_scgi = |target: &str, body: &str, secret| {
        let vars = vars(target, body.len(), secret);
        let pairs: Vec<_> = vars.iter().skip(1).collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let mut wire = Vec::new();
        scgi::head(&mut wire, body.len() as u64, &pairs).unwrap();
        wire.extend_from_slice(body.as_bytes());
        let mut socket = connect(&socket);
        socket.write_all(&wire).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        answer
    };
    let over_http = |socket: &mut TcpStream, target: &str, body: &str, fields: &str| {
        let length = body.len();
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{fields}\r\n"
        );
        socket.write_all(format!("{request}{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        answer
    };
    let (body, mut seconds) = (SECRET.repeat(500), 0);
    for target in SEEN {
        for first in ["/echo", "/noread", "/environ", "/fault?how=panic"] {
            let _ = over_scgi(first, &body, Some(SECRET));
            let after = over_scgi(target, "", None);
            let text = String::from_utf8_lossy(&after);
            assert!(!has_secret(&after), "scgi {first}, then {target}: {text}");
            // On one connection, both sent at once.
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            let fields = format!("Cookie: {SECRET}\r\nAuthorization: Basic {SECRET}\r\n");
            let length = body.len();
            let kept = format!(
                "POST {first} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
            );
            socket.write_all(kept.as_bytes()).unwrap();
            let both = over_http(&mut socket, target, "", "Connection: close\r\nX-Mark: 2\r\n");
            let starts: Vec<_> =
                (0..both.len()).filter(|at| both[*at..].starts_with(b"HTTP/1.1 ")).collect();
            // A connection on which a fault left a body unread is not kept: then there is one.
            if let [_, second] = starts[..] {
                seconds += 1;
                let text = String::from_utf8_lossy(&both[second..]);
                assert!(!has_secret(&both[second..]), "http {first}, then {target}: {text}");
            }
        }
    }
    assert!(seconds > 2 * SEEN.len(), "most connections are kept");
}
