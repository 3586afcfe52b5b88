//! `cgigate get` from outside: against the testbed, and against responders that behave to order.
//! Against php-fpm it is asked by `scripts/servers/php_fpm.py`.

// A test that cannot start the executable has nothing better to do than to panic.
#![allow(clippy::unwrap_used)]

use cgigate::fcgi::{self, ProtocolStatus, RecordType, RequestId, end_request, stream, words};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    num::NonZeroU16,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

const ID: RequestId = RequestId(NonZeroU16::MIN);

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cgigate-get-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The testbed on a Unix socket and on TCP, until the test ends.
struct Testbed {
    child: Child,
    unix: String,
    tcp: String,
    folder: Folder,
}

fn testbed(name: &str) -> Testbed {
    let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/testbed");
    assert!(built.exists(), "no {}: cargo build --example testbed", built.display());
    let folder = Folder::new(name);
    let unix = format!("unix:{}", folder.0.join("s").display());
    let mut command = Command::new(built);
    command.env_clear().args(["fastcgi", "--listen", &unix, "--listen", "127.0.0.1:0"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready: Vec<_> = said.by_ref().take(2).map(Result::unwrap).collect();
    thread::spawn(move || said.count()); // What it logs goes somewhere.
    let port = ready.iter().find_map(|line| line.split_once("127.0.0.1:")).expect("two lines").1;
    let tcp = format!("127.0.0.1:{}", port.split(',').next().unwrap());
    Testbed { child, unix, tcp, folder }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Testbed {
    fn get(&self, args: &[&str]) -> Got {
        got(command(&self.unix, args).output().unwrap())
    }
}

fn command(connect: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    command.env_clear().args(["get", "--connect", connect]).args(args).stdin(Stdio::null());
    command
}

/// What came of it.
#[derive(Debug)]
struct Got {
    code: Option<i32>,
    body: Vec<u8>,
    said: String,
}

fn got(Output { status, stdout, stderr }: Output) -> Got {
    Got { code: status.code(), body: stdout, said: String::from_utf8(stderr).unwrap() }
}

impl Got {
    #[track_caller]
    fn is(&self, body: &str) {
        let found = (self.code, String::from_utf8_lossy(&self.body), &*self.said);
        assert_eq!(found, (Some(0), body.into(), ""));
    }

    /// Failed, and the last line says why.
    #[track_caller]
    fn failed(&self, why: &str) {
        assert_eq!(self.code, Some(1), "{self:?}");
        let line = self.said.lines().last().unwrap_or_default();
        assert!(line.starts_with("cgigate: ") && line.ends_with(why), "{line:?} for {why:?}");
    }
}

/// A responder that takes one connection and does with it what it was told.
struct Scripted {
    address: String,
    thread: JoinHandle<()>,
    _folder: Folder,
}

fn scripted(name: &str, act: impl FnOnce(UnixStream) + Send + 'static) -> Scripted {
    let folder = Folder::new(name);
    let path = folder.0.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = thread::spawn(move || act(listener.accept().unwrap().0));
    Scripted { address: format!("unix:{}", path.display()), thread, _folder: folder }
}

impl Scripted {
    fn get(self, args: &[&str]) -> Got {
        let got = got(command(&self.address, args).output().unwrap());
        self.thread.join().unwrap();
        got
    }
}

/// Reads a request to the end of its STDIN.
fn hear(stream: &mut UnixStream) -> Vec<u8> {
    const END: &[u8] = b"\x01\x05\0\x01\0\0\0\0";
    let (mut all, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    while !all.ends_with(END) {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "the request breaks off");
        all.extend_from_slice(&piece[..n]);
    }
    all
}

/// Answers a whole request with these bytes, and hangs up.
fn answers(name: &str, bytes: &[u8], args: &[&str]) -> Got {
    let bytes = bytes.to_vec();
    let answer = scripted(name, move |mut stream| {
        hear(&mut stream);
        stream.write_all(&bytes).unwrap();
    });
    answer.get(args)
}

fn stdout(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    stream(&mut wire, RecordType::Stdout, ID, text.as_bytes());
    wire
}

fn end(app_status: u32, status: ProtocolStatus) -> Vec<u8> {
    let mut wire = Vec::new();
    end_request(&mut wire, ID, app_status, status);
    wire
}

fn whole(text: &str) -> Vec<u8> {
    [stdout(text), end(0, ProtocolStatus::RequestComplete)].concat()
}

#[test]
fn the_testbed_is_asked_over_every_kind_of_socket() {
    let testbed = testbed("sockets");
    testbed.get(&["/hello"]).is("Hello World\n");
    let port = testbed.tcp.rsplit_once(':').unwrap().1;
    for address in [&*testbed.tcp, &format!(":{port}"), &format!("localhost:{port}")] {
        got(command(address, &["/hello"]).output().unwrap()).is("Hello World\n");
    }
    let name = format!("unix:@cgigate-get-{}", std::process::id());
    let mut server = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    server.args(["fastcgi", "--listen", &name]).env_clear().stderr(Stdio::piped());
    let mut child = server.spawn().unwrap();
    let ready = BufReader::new(child.stderr.take().unwrap()).lines().next();
    let hello = got(command(&name, &["/hello"]).output().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready.is_some());
    hello.is("Hello World\n");
}

#[test]
fn bodies_of_any_size_go_there_and_come_back() {
    let testbed = testbed("bodies");
    let body: Vec<u8> =
        (0..10u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = testbed.folder.file("body", &body);
    let at_file = format!("@{}", file.display());
    let echo = testbed.get(&["-d", &at_file, "/echo"]);
    assert_eq!((echo.code, &*echo.said), (Some(0), ""));
    assert!(echo.body == body, "{} bytes came back", echo.body.len());
    testbed.get(&["-d", &at_file, "/count"]).is("10485760\n");
    testbed.get(&["-d", &at_file, "/noread"]).is("ignored\n");
    testbed.get(&["-d", "hello", "/echo"]).is("hello");
    testbed.get(&["-d", "", "/count"]).is("0\n");
    // stdin: a file, of which some was read already, and a pipe.
    let mut half = File::open(&file).unwrap();
    half.read_exact(&mut vec![0; 1 << 20]).unwrap();
    let of_file = command(&testbed.unix, &["-d", "@-", "/count"]).stdin(half).output().unwrap();
    got(of_file).is("9437184\n");
    for more in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
        let args = [&["-d", "@-", "/count"], more].concat();
        let mut command = command(&testbed.unix, &args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&body).unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"10485760\n", "{more:?}");
    }
    testbed.get(&["/bytes?n=1000"]).is(&"x".repeat(1000));
    testbed.get(&["/stream?chunks=3&size=5"]).is(&"x".repeat(15));
}

#[test]
fn a_body_in_chunks_is_sent_as_it_comes_and_its_echo_seen_before_it_ends() {
    let testbed = testbed("chunks");
    let args = ["-d", "@-", "-H", "Transfer-Encoding: chunked", "/echo"];
    let mut command = command(&testbed.unix, &args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for word in ["first", "and another"] {
        stdin.write_all(word.as_bytes()).unwrap();
        let mut back = vec![0; word.len()];
        stdout.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_exit_status_is_the_answers() {
    let testbed = testbed("status");
    for code in ["200", "204", "301", "304"] {
        assert_eq!(testbed.get(&[&format!("/status?code={code}")]).code, Some(0), "{code}");
    }
    testbed.get(&["/status?code=404"]).failed(": the answer is 404 Not Found");
    let failed = testbed.get(&["/fault?when=before"]);
    failed.failed(": the answer is 500 Internal Server Error");
    assert!(failed.body.starts_with(b"A server error occurred."), "{failed:?}");
    let cut = testbed.get(&["/fault?when=after"]);
    cut.failed(": the connection was closed before the answer was whole");
    assert_eq!(cut.body, b"partial\n");
    testbed.get(&["/fault?when=after&length=9"]).failed(": the application ended with appStatus 1");
    testbed
        .get(&["--timeout", "100ms", "/sleep?ms=60000"])
        .failed(": no progress for 100ms (--timeout)");
    testbed.get(&["/nobody"]).failed(": the answer is 404 Not Found");
    testbed.get(&["/fault?how=abort"]).failed(" before the answer was whole");
}

#[test]
fn stderr_goes_to_stderr_and_headers_are_shown_when_asked_for() {
    let testbed = testbed("stderr");
    let logged = testbed.get(&["/stderr"]);
    assert_eq!((logged.code, &*logged.body), (Some(0), &b"logged\n"[..]));
    assert_eq!(logged.said, "a line for the log\n");
    let head =
        "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 12\r\nStatus: 200 OK\r\n\r\n";
    testbed.get(&["-i", "/hello"]).is(&format!("{head}Hello World\n"));
    testbed.get(&["-i", "-X", "HEAD", "/hello"]).is(head);
    let many = String::from_utf8(testbed.get(&["-i", "/headers?n=2"]).body).unwrap();
    assert!(many.contains("X-1: 1\r\nX-2: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"), "{many}");
}

#[test]
fn the_request_is_what_was_said() {
    let testbed = testbed("request");
    let page = |args: &[&str]| {
        let got = testbed.get(args);
        assert_eq!((got.code, &*got.said), (Some(0), ""));
        String::from_utf8(got.body).unwrap()
    };
    let environ = page(&["-H", "X-A: b c", "--param", "SERVER_NAME=other", "/environ/a%20b?x=1"]);
    for line in ["HTTP_X_A=b c", "SERVER_NAME=other", "PATH_INFO=/a b", "QUERY_STRING=x=1"] {
        assert!(environ.lines().any(|found| found == line), "{line} in {environ}");
    }
    assert!(page(&["-d", "x", "/environ"]).contains("REQUEST_METHOD=POST\n"));
    let role = ["--role", "authorizer", "-i"];
    let passed = page(&[&role[..], &["/?user=tester"]].concat());
    assert!(passed.contains("Variable-WHO: tester\r\n"), "{passed}");
    testbed.get(&[&role[..], &["/?user=x"]].concat()).failed(": the answer is 403 Forbidden");
    let file = testbed.folder.file("data", b"shout\n");
    let file = file.to_str().unwrap();
    testbed.get(&["--role", "filter", "--filter-data", file, "/"]).is("SHOUT\n");
}

#[test]
fn variables_stand_for_options_and_the_command_line_wins() {
    let testbed = testbed("variables");
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        command.env_clear().arg("get").args(args).stdin(Stdio::null());
        command.env("CGIGATE_CONNECT", &testbed.unix).env("CGIGATE_METHOD", "PUT");
        command.env("CGIGATE_HEADER", "X-One: a b\nX-Two: c").env("CGIGATE_PARAM", "ONE=1 TWO=2");
        command.env("CGIGATE_INCLUDE", "no").env("CGIGATE_DATA", "hello");
        let done = got(command.output().unwrap());
        assert_eq!((done.code, &*done.said), (Some(0), ""));
        String::from_utf8(done.body).unwrap()
    };
    let lines = |page: &str, expected: &[&str]| {
        for line in expected {
            assert!(page.lines().any(|found| found == *line), "{line} in {page}");
        }
    };
    let all = run(&["/environ"]);
    lines(&all, &["REQUEST_METHOD=PUT", "HTTP_X_ONE=a b", "HTTP_X_TWO=c", "ONE=1", "TWO=2"]);
    assert_eq!(run(&["/echo"]), "hello");
    let over = run(&["/environ", "-X", "PATCH", "-H", "X-One: d\te", "--param", "ONE=x y"]);
    lines(&over, &["REQUEST_METHOD=PATCH", "HTTP_X_ONE=d\te", "ONE=x y"]);
    assert!(!over.contains("HTTP_X_TWO") && !over.contains("TWO="), "{over}");
}

#[test]
fn ping_prints_what_the_responder_says_of_itself() {
    let testbed = testbed("ping");
    let ping = testbed.get(&["--ping"]);
    assert_eq!(ping.code, Some(0));
    let said = String::from_utf8(ping.body).unwrap();
    assert!(said.contains("FCGI_MPXS_CONNS=1\n") && said.lines().count() == 3, "{said}");
    let ping = |name: &str, bytes: &'static [u8]| {
        let answer = scripted(name, move |mut stream| {
            stream.read_exact(&mut [0; 8]).unwrap();
            stream.write_all(bytes).unwrap();
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        answer.get(&["--ping"])
    };
    ping("ping-a", b"\x01\x0a\0\0\0\x05\x01\0\x01\x02A\x1b1_").is("A=\\x1b1\n");
    ping("ping-b", b"\x01\x0b\0\0\0\x08\0\0\x09\0\0\0\0\0\0\0")
        .failed(": GET_VALUES is not known there");
    ping("ping-c", b"").failed(": the connection was closed before the answer was whole");
    ping("ping-d", b"\x01\x0a\0\0\0\x01\0\0\x05")
        .failed(": the name-value pair at byte 0 is cut short");
    ping("ping-e", b"HTTP/1.1 400 Bad Request\r\n\r\n")
        .failed(": version 72 where a record of FastCGI 1 should begin");
}

#[test]
fn captured_streams_are_told_in_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams/fastcgi");
    let decode = |path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        got(command.env_clear().args(["get", "--decode"]).arg(path).output().unwrap())
    };
    let mut told = 0;
    for server in fs::read_dir(root).unwrap() {
        for stream in fs::read_dir(server.unwrap().path()).unwrap() {
            let path = stream.unwrap().path();
            let lines: Vec<_> = words(&fs::read(&path).unwrap()).collect();
            let begins = lines.iter().any(|line| line.starts_with("BEGIN_REQUEST id="));
            assert!(begins, "{}", path.display());
            decode(&path).is(&(lines.join("\n") + "\n"));
            told += 1;
        }
    }
    assert!(told > 400, "{told} streams");
    let folder = Folder::new("decode");
    let file = folder.file("cut", b"\x01\x05\0\x01\0\0\0\0\x01\x05\0");
    let cut = decode(&file);
    assert_eq!(cut.body, b"STDIN id=1 len=0 pad=0\n");
    cut.failed(": byte 8: 3 bytes of a header of 8");
    let mut stdin = command(":1", &["--decode", "-"]);
    got(stdin.stdin(File::open(&file).unwrap()).output().unwrap()).failed(" of a header of 8");
    decode(&folder.0.join("none")).failed("No such file or directory (os error 2)");
}

#[test]
fn what_a_responder_does_wrong_is_said() {
    let complete = ProtocolStatus::RequestComplete;
    let closed = ": the connection was closed before the answer was whole";
    for (name, bytes, why) in [
        ("mute", vec![], closed),
        ("half", stdout("Status: 200 OK\r\n\r\nhalf"), closed),
        ("header", b"\x01\x06\0\x01".to_vec(), closed),
        (
            "garbage",
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            ": version 72 where a record of FastCGI 1 should begin",
        ),
        (
            "id",
            b"\x01\x06\0\x02\0\x01\0\0x".to_vec(),
            ": a record of type 6 for request 2, which is not under way",
        ),
        (
            "null",
            b"\x01\x06\0\0\0\x01\0\0x".to_vec(),
            "for request 0, which no application may send",
        ),
        (
            "role",
            end(0, ProtocolStatus::UnknownRole),
            ": the request was refused with UNKNOWN_ROLE",
        ),
        ("over", end(0, ProtocolStatus::Overloaded), ": the request was refused with OVERLOADED"),
        (
            "mpx",
            end(0, ProtocolStatus::CantMpxConn),
            ": the request was refused with CANT_MPX_CONN",
        ),
        (
            "status",
            b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x09\0\0\0".to_vec(),
            "protocol status 9, which there is not",
        ),
        (
            "app",
            [stdout("A: b\n\nx"), end(3, complete)].concat(),
            ": the application ended with appStatus 3",
        ),
        ("empty", end(0, complete), ": STDOUT was empty, without a header block"),
        ("head", whole("Status: 200 OK\r\n"), ": STDOUT ended within the header block"),
        ("html", whole("<html>\n"), ": line 1 of the header block is no field: \"<html>\""),
        (
            "code",
            whole("Status: fine\n\n"),
            ": Status is \"fine\", which does not begin with three digits",
        ),
        (
            "short",
            whole("Content-Length: 5\n\nabc"),
            ": the body has 3 bytes, and Content-Length says 5",
        ),
        ("teapot", whole("Status: 418\n\n"), ": the answer is 418"),
    ] {
        let failed = answers(&format!("wrong-{name}"), &bytes, &["/x"]);
        failed.failed(why);
        assert!(failed.said.starts_with("cgigate: get /x from unix:"), "{failed:?}");
        assert_eq!(failed.said.lines().count(), 1, "{failed:?}");
    }
}

#[test]
fn what_a_responder_may_do_is_understood() {
    answers("no-status", &whole("Content-Type: text/plain\n\nhi"), &["/"]).is("hi");
    answers("location", &whole("Location: /elsewhere\n\n"), &["/"]).is("");
    let junk = [whole("A: b\n\nhi"), b"junk behind the end".to_vec()].concat();
    answers("junk", &junk, &["/"]).is("hi");
    // STDERR in between, whose last line is left open; padding; management records.
    let mut wire =
        b"\x01\x06\0\x01\0\x05\x03\0A: b\n###\x01\x07\0\x01\0\x03\0\0oh \x01\x0a\0\0\0\0\0\0"
            .to_vec();
    wire.extend_from_slice(b"\x01\x0b\0\0\0\x08\0\0\x63\0\0\0\0\0\0\0");
    stream(&mut wire, RecordType::Stdout, ID, b"\nhi");
    stream(&mut wire, RecordType::Stderr, ID, b"no");
    stream(&mut wire, RecordType::Stderr, ID, b"");
    stream(&mut wire, RecordType::Stdout, ID, b"");
    wire.extend(end(0, ProtocolStatus::RequestComplete));
    let mixed = answers("mixed", &wire, &["/"]);
    assert_eq!((mixed.code, &*mixed.body, &*mixed.said), (Some(0), &b"hi"[..], "oh no\n"));
}

#[test]
fn an_answer_before_the_body_is_read_stops_neither_side() {
    let folder = Folder::new("early-body");
    let file = folder.file("body", &vec![b'x'; 10 << 20]);
    let at_file = format!("@{}", file.display());
    let page = "y".repeat(10 << 20);
    let wire = stdout(&format!("A: b\n\n{page}"));
    let answer = scripted("early", move |mut stream| {
        // Nothing is read until all of the answer is written.
        stream.write_all(&wire).unwrap();
        let request = hear(&mut stream);
        assert!(request.len() > 10 << 20);
        stream.write_all(&end(0, ProtocolStatus::RequestComplete)).unwrap();
    });
    let got = answer.get(&["-d", &at_file, "/"]);
    assert_eq!((got.code, &*got.said), (Some(0), ""));
    assert!(got.body == page.as_bytes());
    // Answered, ended and closed without a look at the body.
    let answer = scripted("deaf", |mut stream| {
        stream.write_all(&whole("A: b\n\nenough")).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Read);
    });
    answer.get(&["-d", &at_file, "/"]).is("enough");
}

#[test]
fn an_answer_is_seen_as_it_comes_and_memory_stays_small() {
    const MIB: usize = 1 << 20;
    let folder = Folder::new("seen-body");
    let path = folder.0.join("sparse");
    File::create(&path).unwrap().set_len(64 * MIB as u64).unwrap();
    let (go_on, gone_on) = mpsc::channel::<()>();
    let answer = scripted("seen", move |mut stream| {
        let (mut read, mut piece) = (0, vec![0; MIB]);
        while read < 64 * MIB {
            read += stream.read(&mut piece).unwrap();
        }
        stream.write_all(&stdout("A: b\n\n")).unwrap();
        for _ in 0..64 {
            stream.write_all(&stdout(&"y".repeat(MIB))).unwrap();
        }
        gone_on.recv().unwrap();
        stream.write_all(&end(0, ProtocolStatus::RequestComplete)).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let at_file = format!("@{}", path.display());
    let mut child =
        command(&answer.address, &["-d", &at_file, "/"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut seen = child.stdout.take().unwrap();
    // All of it, and the request has not ended yet.
    seen.read_exact(&mut vec![0; 64 * MIB]).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let most: usize = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < 24 << 10, "{most} KiB");
    go_on.send(()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    answer.thread.join().unwrap();
}

#[test]
fn whoever_stops_reading_hears_nothing_more() {
    let testbed = testbed("unread");
    let mut command = command(&testbed.unix, &["/bytes?n=100000000"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    let got = got(child.wait_with_output().unwrap());
    assert_eq!((got.code, &*got.said), (Some(1), ""));
}

#[test]
fn nobody_there_and_nobody_listening_are_failures_of_one_line() {
    let folder = Folder::new("nobody");
    let none = format!("unix:{}", folder.0.join("none").display());
    let refused = got(command(&none, &["/x"]).output().unwrap());
    refused.failed(": connect: No such file or directory (os error 2)");
    assert!(refused.said.starts_with(&format!("cgigate: get /x from {none}: ")), "{refused:?}");
    let path = folder.0.join("stale");
    drop(UnixListener::bind(&path).unwrap());
    let stale = format!("unix:{}", path.display());
    got(command(&stale, &["/x"]).output().unwrap()).failed("Connection refused (os error 111)");
    // One that takes nothing, while there is much to be sent.
    let file = folder.file("body", &vec![b'x'; 4 << 20]);
    let at_file = format!("@{}", file.display());
    let (done, wait) = mpsc::channel::<()>();
    let deaf = scripted("takes-nothing", move |_stream| {
        let _ = wait.recv();
    });
    let args = ["--timeout", "100ms", "-d", &at_file, "/x"];
    got(command(&deaf.address, &args).output().unwrap())
        .failed(": no progress for 100ms (--timeout)");
    drop(done);
    deaf.thread.join().unwrap();
    let args = ["-d", "@/nonexistent/body", "/x"];
    got(command(&none, &args).output().unwrap()).failed("No such file or directory (os error 2)");
}

#[test]
fn wrong_usage_is_2() {
    for args in [
        &[][..],
        &["hello"],
        &["--ping", "/x"],
        &["--ping", "--decode", "x"],
        &["--timeout", "soon", "/x"],
        &["--role", "king", "/x"],
        &["-X", "NO METHOD", "/x"],
        &["-H", "nothing", "/x"],
        &["--param", "nothing", "/x"],
        &["--connect", "fd:3", "/x"],
        &["--connect", "9000", "/x"],
        &["--nonsense"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        let got = got(command.env_clear().arg("get").args(args).output().unwrap());
        assert_eq!(got.code, Some(2), "{args:?}: {got:?}");
        assert!(!got.said.is_empty() && got.body.is_empty(), "{args:?}: {got:?}");
    }
}

/// The documented way through [`fcgi::Client`]: what `get` sends is what the other side hears.
#[test]
fn what_is_sent_is_the_whole_request_in_order() {
    let (tell, heard) = mpsc::channel();
    let answer = scripted("order", move |mut stream| {
        tell.send(hear(&mut stream)).unwrap();
        stream.write_all(&whole("A: b\n\n")).unwrap();
    });
    answer.get(&["-d", "body", "/p"]).is("");
    let request = heard.recv().unwrap();
    let lines: Vec<_> = fcgi::words(&request).collect();
    assert_eq!(lines[0], "BEGIN_REQUEST id=1 len=8 pad=0 role=1 (RESPONDER)");
    assert!(lines[2].contains("\n    CONTENT_LENGTH=4"), "{}", lines[2]);
    assert_eq!(lines[3..], ["STDIN id=1 len=4 pad=0 \"body\"", "STDIN id=1 len=0 pad=0"]);
}
