//! `cgigate http` and its clients, those that conform and those that mean no good: raw sockets
//! against the executable.
// All of it is tests, the helpers too.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

/// A server that has said that it is ready; it ends with the test.
struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    ready: String,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        Self::of_command(Command::new(env!("CARGO_BIN_EXE_cgigate")).arg("http").args(args))
    }

    fn of_command(command: &mut Command) -> Self {
        command.env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, stderr, ready: String::new() };
        server.ready = server.line();
        server
    }

    fn of(app: &str, args: &[&str]) -> Self {
        Self::start(&[&["--listen", ":0", "--threads", "2", "--app", app], args].concat())
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    fn connect(&self) -> TcpStream {
        let (_, rest) = self.ready.rsplit_once(':').expect(&self.ready);
        let port: u16 = rest.split(',').next().unwrap().parse().expect(&self.ready);
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// All that comes back, until the server closes; what was sent may not all be read.
    fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(request.as_ref());
        rest(&mut stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rest(stream: &mut impl Read) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), ErrorKind::ConnectionReset, "{e}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// One answer with a Content-Length, or in chunks; what follows stays unread.
fn answer(stream: &mut impl Read) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(stream));
    }
    let head = String::from_utf8(head).unwrap();
    if head.contains("\r\nTransfer-Encoding: chunked\r\n") {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&line(stream), 16).unwrap();
            body.extend((0..size).map(|_| byte(stream)));
            assert_eq!(line(stream), "");
            if size == 0 {
                return (head, String::from_utf8(body).unwrap());
            }
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.map_or(0, |digits| digits.parse().unwrap());
    let body = (0..length).map(|_| byte(stream)).collect();
    (head, String::from_utf8(body).unwrap())
}

fn byte(stream: &mut impl Read) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    byte[0]
}

fn line(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(byte(stream));
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).unwrap()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[test]
fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let server = Server::of("echo", &[]);
    let mut stream = server.connect();
    let mut sent = Vec::new();
    for n in 0..50 {
        let body = format!("body {n}");
        sent.extend(
            format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                .bytes(),
        );
    }
    stream.write_all(&sent).unwrap();
    for n in 0..50 {
        assert_eq!(answer(&mut stream).1, format!("body {n}"));
    }
    // And one after the other, byte by byte.
    for byte in GET {
        stream.write_all(&[*byte]).unwrap();
    }
    assert!(answer(&mut stream).0.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_connection_is_kept_as_the_client_says() {
    let server = Server::of("hello", &[]);
    let closed = server.ask(CLOSE);
    assert!(closed.contains("\r\nConnection: close\r\n") && closed.ends_with("Hello World\n"));
    let old = server.ask("GET / HTTP/1.0\r\n\r\n");
    assert!(old.contains("\r\nConnection: close\r\n") && old.ends_with("Hello World\n"));
    let mut stream = server.connect();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
        assert!(answer(&mut stream).0.contains("\r\nConnection: keep-alive\r\n"));
    }
    // Who has said all it has to say is still answered.
    stream.write_all(GET).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).ends_with("Hello World\n"));
}

#[test]
fn head_has_no_body_and_what_follows_is_the_next_answer() {
    let server = Server::of("hello", &[]);
    let mut stream = server.connect();
    stream.write_all(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    stream.write_all(CLOSE).unwrap();
    let both = rest(&mut stream);
    let (head, next) = both.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nContent-Length: 12"), "{both}");
    assert!(next.starts_with("HTTP/1.1 200 OK\r\n"), "{both}");
}

#[test]
fn a_body_in_chunks_has_a_length_for_the_application_and_trailers_go_nowhere() {
    let server = Server::of("environ", &[]);
    let mut stream = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream
        .write_all(b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nContent-Length: 3\r\nX-T: t\r\n\r\n")
        .unwrap();
    let (_, body) = answer(&mut stream);
    assert!(body.contains("CONTENT_LENGTH=11\n"), "{body}");
    assert!(!body.contains("TRANSFER_ENCODING") && !body.contains("HTTP_X_T"), "{body}");
    drop(server);

    let server = Server::of("echo", &[]);
    let mut stream = server.connect();
    // Beyond what is kept in memory, and more than comes at once.
    let block = "0123456789".repeat(30_000);
    stream.write_all(head.as_bytes()).unwrap();
    for piece in ["", &format!("{:x}\r\n", block.len()), &block, "\r\n0\r\n\r\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
    }
    let (head, body) = answer(&mut stream);
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
    assert!(body == block, "{} bytes", body.len());
    stream.write_all(CLOSE).unwrap();
    assert!(rest(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn a_100_is_sent_when_the_body_is_wanted_and_only_then() {
    let expect = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n";
    let server = Server::of("echo", &[]);
    for (framing, body) in [
        ("Content-Length: 4", &b"body"[..]),
        ("Transfer-Encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n"),
    ] {
        let mut stream = server.connect();
        stream.write_all(format!("{expect}{framing}\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(line(&mut stream), "HTTP/1.1 100 Continue");
        assert_eq!(line(&mut stream), "");
        stream.write_all(body).unwrap();
        assert_eq!(answer(&mut stream).1, "body");
    }
    let server = Server::of("hello", &["--max-body", "10"]);
    let unread = server.ask(format!("{expect}Content-Length: 4\r\n\r\n"));
    assert!(unread.starts_with("HTTP/1.1 200 OK\r\n"), "{unread}");
    assert!(unread.contains("\r\nConnection: close\r\n"), "the body may come or not: {unread}");
    let long = server.ask(format!("{expect}Content-Length: 11\r\n\r\n"));
    assert!(long.starts_with("HTTP/1.1 413 "), "{long}");
    let other = server.ask("GET / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n");
    assert!(other.starts_with("HTTP/1.1 417 "), "{other}");
}

#[test]
fn what_could_smuggle_a_request_is_refused_and_the_connection_closed() {
    let server = Server::of("echo", &[]);
    let post =
        |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}");
    let chunked = |body: &str| post("Transfer-Encoding: chunked", body);
    for (request, status) in [
        (post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"), "400"),
        (post("Content-Length: 5\r\nContent-Length: 6", "hello"), "400"),
        (post("Content-Length: 5, 5", "hello"), "400"),
        (post("Content-Length: +5", "hello"), "400"),
        (post("Content-Length: -1", ""), "400"),
        (post("Content-Length: 0x5", "hello"), "400"),
        (post("Content-Length: 5\r\n ", "hello"), "400"),
        (post("Content-Length : 5", "hello"), "400"),
        (post("Content-Length:\r\n 5", "hello"), "400"),
        (post("Content-Length: 5\x0b", "hello"), "400"),
        (post("Content-Length: 5\nX: y", "hello"), "400"),
        (post("X: y\rContent-Length: 5", "hello"), "400"),
        (post("X: y\0", ""), "400"),
        (post("X y: z", ""), "400"),
        (post("no colon", ""), "400"),
        (post(" X: y", ""), "400"),
        (post("Host: other", ""), "400"),
        (post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding : chunked", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding:\x0bchunked", "0\r\n\r\n"), "400"),
        (post("Transfer-Encoding: xchunked", "0\r\n\r\n"), "501"),
        (post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), "501"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), "400"),
        (chunked("5\r\nhelloX\r\n0\r\n\r\n"), "400"),
        (chunked("5\nhello\n0\n\n"), "400"),
        (chunked("5\r\nhello\n0\r\n\r\n"), "400"),
        (chunked("-5\r\nhello\r\n0\r\n\r\n"), "400"),
        (chunked("0x5\r\nhello\r\n0\r\n\r\n"), "400"),
        (chunked("5 \r\nhello\r\n0\r\n\r\n"), "400"),
        (chunked("fffffffffffffffff\r\n"), "400"),
        (chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), "400"),
        (chunked("0\r\nX: y\n\r\n"), "400"),
        (chunked("0\r\nGET / HTTP/1.1\r\n\r\n"), "400"),
        ("GET / HTTP/1.1\nHost: h\n\n".into(), "400"),
        ("GET /\tHTTP/1.1\r\nHost: h\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\n\r\n".into(), "400"),
        ("GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n".into(), "400"),
        ("GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n".into(), "400"),
        ("GET /#x HTTP/1.1\r\nHost: h\r\n\r\n".into(), "400"),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n".into(), "400"),
        ("GET /\r\n\r\n".into(), "400"),
    ] {
        let got = server.ask([request.as_bytes(), GET].concat());
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {got}");
        assert_eq!(got.matches("HTTP/1.1 ").count(), 1, "{request:?}: {got}");
        assert!(got.contains("\r\nConnection: close\r\n"), "{request:?}: {got}");
    }
    // The target's host goes before the field's.
    let server = Server::of("environ", &[]);
    let absolute = "GET http://one/x HTTP/1.1\r\nHost: two\r\nConnection: close\r\n\r\n";
    let got = server.ask(absolute);
    assert!(got.contains("HTTP_HOST=one\n") && got.contains("PATH_INFO=/x\n"), "{got}");
    // Of equal lengths there is one.
    let twice = "Content-Length: 5\r\nContent-Length: 5\r\nConnection: close";
    assert!(server.ask(post(twice, "hello")).contains("CONTENT_LENGTH=5\n"));
}

#[test]
fn what_is_too_long_is_refused() {
    let server = Server::of("echo", &["--max-body", "10"]);
    let post = "POST / HTTP/1.1\r\nHost: h\r\n";
    for (request, status) in [
        (format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(8 << 10)), "414"),
        (format!("GET /{}", "x".repeat(1 << 20)), "414"),
        (format!("{post}X: {}", "x".repeat(1 << 20)), "431"),
        (format!("{post}{}", "X: y\r\n".repeat(20_000)), "431"),
        (format!("{post}{}\r\n", "X: y\r\n".repeat(101)), "431"),
        (format!("{post}Content-Length: 11\r\n\r\nhello world"), "413"),
        (format!("{post}Content-Length: 99999999999999999999\r\n\r\n"), "413"),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"), "413"),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello world"), "413"),
    ] {
        let mut stream = server.connect();
        let _ = stream.write_all(request.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let got = rest(&mut stream);
        assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.80?}: {got}");
    }
}

#[test]
fn who_stands_still_is_told_so_and_who_is_idle_is_closed() {
    let server = Server::of("echo", &["--read-timeout", "200ms", "--idle-timeout", "300ms"]);
    for partial in [
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\nbo",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let got = server.ask(partial);
        let got = got.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&got);
        // Of the long one the echo has begun already, and its end tells.
        let begun = got.starts_with("HTTP/1.1 200 ") && !got.ends_with("0\r\n\r\n");
        assert!(got.starts_with("HTTP/1.1 408 ") || begun, "{partial:?}: {got}");
    }
    assert_eq!(server.ask(""), "");
    let mut kept = server.connect();
    kept.write_all(GET).unwrap();
    answer(&mut kept);
    assert_eq!(rest(&mut kept), "");
}

#[test]
fn idle_and_slow_clients_hold_no_thread_and_little_memory() {
    let server = Server::of("hello", &[]);
    let resident = || {
        let status = format!("/proc/{}/status", server.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let before = resident();
    let mut held: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for (n, stream) in held.iter_mut().enumerate() {
        let partial: &[u8] = match n % 3 {
            0 => b"",
            1 => b"GET / HTTP/1.1\r\nX: ",
            _ => b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
        };
        stream.write_all(partial).unwrap();
    }
    let began = Instant::now();
    for _ in 0..20 {
        assert!(server.ask(CLOSE).ends_with("Hello World\n"));
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB for 300 connections");
    // Each of them is served when it does go on.
    let kept = &mut held[1];
    kept.write_all(b"y\r\nHost: h\r\n\r\n").unwrap();
    assert_eq!(answer(kept).1, "Hello World\n");
}

#[test]
fn who_stands_still_in_a_body_gives_its_thread_up_when_others_want_it() {
    let server = Server::of("echo", &["--read-timeout", "30s"]);
    let mut still: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut still {
        let head =
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        // Its application waits for the body now, and with both of them there is no thread left.
        assert_eq!(line(stream), "HTTP/1.1 100 Continue");
    }
    // The client's own patience is 20 s, shorter than what each has while nobody else waits.
    assert!(server.ask(CLOSE).starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn connections_beyond_the_limit_are_told_to_come_back() {
    let server = Server::of("hello", &["--max-connections", "2"]);
    let mut held: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut held {
        stream.write_all(GET).unwrap();
        answer(stream);
    }
    let got = server.ask(GET);
    assert!(got.starts_with("HTTP/1.1 503 ") && got.contains("\r\nRetry-After: 1\r\n"), "{got}");
    held[0].write_all(GET).unwrap();
    assert_eq!(answer(&mut held[0]).1, "Hello World\n");
}

#[test]
fn when_descriptors_run_out_the_idlest_go() {
    let exe = env!("CARGO_BIN_EXE_cgigate");
    let mut limited = Command::new("sh");
    limited.args([
        "-c",
        "ulimit -n 40 && exec \"$0\" http --listen :0 --threads 2 --app hello",
        exe,
    ]);
    let server = Server::of_command(&mut limited);
    let mut idle: Vec<_> = (0..100).map(|_| server.connect()).collect();
    assert!(server.ask(CLOSE).ends_with("Hello World\n"));
    assert_eq!(rest(&mut idle[0]), "", "the first of them went");
    let last = idle.last_mut().unwrap();
    last.write_all(CLOSE).unwrap();
    assert!(rest(last).ends_with("Hello World\n"));
}

#[test]
fn a_signal_ends_the_server_with_what_is_in_flight_answered() {
    let mut server = Server::of("echo", &[]);
    let mut idle = server.connect();
    idle.write_all(GET).unwrap();
    answer(&mut idle);
    let mut flying = server.connect();
    flying
        .write_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        )
        .unwrap();
    // The application has it now.
    assert_eq!(line(&mut flying), "HTTP/1.1 100 Continue");
    assert_eq!(line(&mut flying), "");
    let kill = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    assert_eq!(rest(&mut idle), "", "who has nothing in flight is closed");
    flying.write_all(b"body").unwrap();
    assert!(rest(&mut flying).contains("body"));
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_request_has_a_line_in_the_log() {
    let mut server = Server::of("hello", &[]);
    server.ask("GET /\"a\\?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(server.line().starts_with("cgigate: open http://"));
    let line = server.line();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with(" +0000] \"GET /\\x22a\\\\?b HTTP/1.1\" 200 12\n"), "{line}");
    server.ask("GET /\r\n");
    assert!(server.line().contains("] code 400, message "));
    assert!(server.line().ends_with("] \"GET /\" 400 -\n"));
}

#[test]
fn ipv6_and_unix_sockets_are_no_different() {
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let server = Server::start(&["--listen", "[::1]:0", "--app", "environ"]);
        let (_, rest_of) = server.ready.rsplit_once(':').unwrap();
        let port: u16 = rest_of.split(',').next().unwrap().parse().unwrap();
        let mut stream = TcpStream::connect(("::1", port)).unwrap();
        stream.write_all(CLOSE).unwrap();
        let got = rest(&mut stream);
        assert!(got.contains("REMOTE_ADDR=::1\n") && got.contains("SERVER_NAME=[::1]\n"), "{got}");
    }
    let path = std::env::temp_dir().join(format!("cgigate-http-{}.sock", std::process::id()));
    let address = format!("unix:{}", path.display());
    let server = Server::start(&["--listen", &address, "--app", "hello"]);
    assert!(server.ready.contains(&address), "{}", server.ready);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(CLOSE).unwrap();
    assert!(rest(&mut stream).ends_with("Hello World\n"));
    drop(server);
    let _ = std::fs::remove_file(path);
}

#[test]
fn curl_agrees() {
    let server = Server::of("echo", &[]);
    let (_, rest_of) = server.ready.rsplit_once(':').unwrap();
    let url = format!("http://127.0.0.1:{}/", rest_of.split(',').next().unwrap());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "20", "--data-binary", "hello", "-H", "Expect: 100-continue"]);
    // Two requests on one connection, in chunks there and back.
    curl.args(["-H", "Transfer-Encoding: chunked", "-w", " %{num_connects} ", &url, &url]);
    match curl.output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stdout), "hello 1 hello 0 "),
        Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "only curl may be missing"),
    }
}
