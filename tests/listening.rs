//! Who may connect, and where: the executable with its listeners, from outside.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
};

/// `FCGI_GET_VALUES` for `FCGI_MPXS_CONNS`.
const GET_VALUES: &[u8] = b"\x01\x09\0\0\0\x11\0\0\x0f\0FCGI_MPXS_CONNS";

/// A server that has said that it is ready; it ends with the test.
struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    ready: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    command.args(args).env_clear().stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, stderr, ready: String::new() };
        server.ready = server.line();
        server
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line
    }

    /// The port that the ready line tells.
    fn port(&self) -> u16 {
        let (_, rest) = self.ready.rsplit_once(':').expect(&self.ready);
        rest.split(',').next().unwrap().parse().expect(&self.ready)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes back until the peer closes; nothing where it resets.
fn ask(stream: &mut (impl Read + Write), request: &[u8], enough: usize) -> Vec<u8> {
    let mut answer = Vec::new();
    if stream.write_all(request).is_ok() {
        match stream.take(enough as u64).read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    answer
}

fn get(port: u16) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    ask(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", usize::MAX)
}

fn refused(args: &[&str], environ: &[(&str, &str)]) -> String {
    let output = command(args).envs(environ.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn an_address_that_others_reach_wants_a_list() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9000"] {
        let why = refused(&["fastcgi", "--listen", address], &[]);
        assert!(why.starts_with("cgigate: --listen ") && why.contains("--allow"), "{why}");
    }
    let server = Server::start(&["http", "--listen", "0.0.0.0:0", "--allow", "127.0.0.0/8"]);
    assert!(get(server.port()).starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn what_the_list_does_not_name_is_closed_unanswered() {
    let server = Server::start(&["http", "--listen", ":0", "--allow", "10.0.0.0/8"]);
    assert_eq!(get(server.port()), b"");
    let mut server = Server::start(&["fastcgi", "--listen", ":0", "--allow", "10.0.0.0/8"]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    assert_eq!(ask(&mut stream, GET_VALUES, usize::MAX), b"");
    let line = server.line();
    assert!(line.starts_with("cgigate: accept 127.0.0.1: not among those"), "{line}");
}

#[test]
fn a_list_that_cannot_be_read_is_wrong_usage() {
    let why = refused(&["fastcgi"], &[("FCGI_WEB_SERVER_ADDRS", "127.0.0.1,example.test")]);
    assert!(why.contains("FCGI_WEB_SERVER_ADDRS: \"example.test\" is no network"), "{why}");
    let why = refused(&["fastcgi", "--allow", "10.0.0.0/33"], &[]);
    assert!(why.contains("\"10.0.0.0/33\" is no network"), "{why}");
}

#[test]
fn over_a_unix_socket_users_are_told_apart() {
    let folder = folder("uid");
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    for (listed, answered) in [(uid, true), (uid + 1, false)] {
        let path = folder.join(format!("{listed}"));
        let listen = format!("unix:{}", path.display());
        let server =
            Server::start(&["fastcgi", "--listen", &listen, "--allow-uid", &listed.to_string()]);
        assert!(server.ready.starts_with(&format!("cgigate: fastcgi on {listen}, ")));
        let mut stream = UnixStream::connect(&path).unwrap();
        let answer = ask(&mut stream, GET_VALUES, 8);
        assert_eq!(answer.starts_with(&[1, 10]), answered, "{answer:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
