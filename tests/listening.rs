//! Who may connect, and where: the executable with its listeners, from outside.
// All of it is tests, the helpers too.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{
            fs::MetadataExt,
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
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
        Self::of(&mut command(args))
    }

    fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
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

    /// The next line that has this in it; empty when it has ended.
    fn lines_until(&mut self, part: &str) -> String {
        loop {
            let line = self.line();
            if line.is_empty() || line.contains(part) {
                return line;
            }
        }
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
    ask(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", usize::MAX)
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
    let mut server = Server::start(&["http", "--listen", ":0", "--allow", "10.0.0.0/8"]);
    assert_eq!(get(server.port()), b"");
    let line = server.lines_until("accept");
    assert!(line.starts_with("cgigate: accept 127.0.0.1: not among those"), "{line}");
    let mut server = Server::start(&["fastcgi", "--listen", ":0", "--allow", "10.0.0.0/8"]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    assert_eq!(ask(&mut stream, GET_VALUES, usize::MAX), b"");
    let line = server.line();
    assert!(line.starts_with("cgigate: accept 127.0.0.1: not among those"), "{line}");
}

#[test]
fn a_mapped_address_is_the_address_itself() {
    let allow = ["--allow", "127.0.0.0/8"];
    let mut command = command(&[&["fastcgi", "--listen", "[::]:0"], &allow[..]].concat());
    let server = Server::of(&mut command);
    if server.ready.contains("listen on") {
        return; // No IPv6 here.
    }
    assert!(answers(&mut TcpStream::connect(("127.0.0.1", server.port())).unwrap()));
    // Of IPv6 itself it says nothing.
    assert!(!answers(&mut TcpStream::connect(("::1", server.port())).unwrap()));
}

#[test]
fn the_list_of_the_specification_is_read() {
    for (list, answered) in [("10.0.0.1,127.0.0.1", true), ("10.0.0.1,::1", false)] {
        let mut command = command(&["fastcgi", "--listen", ":0"]);
        let server = Server::of(command.env("FCGI_WEB_SERVER_ADDRS", list));
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        assert_eq!(answers(&mut stream), answered, "{list}");
    }
}

/// As unit files write long lists; once only single blanks were understood.
#[test]
fn any_white_space_stands_between_the_values_of_a_variable() {
    for listen in [":0 :0", "  :0\n\t:0\n"] {
        let mut server = Server::of(command(&["fastcgi"]).env("CGIGATE_LISTEN", listen));
        let second = server.line();
        for line in [&server.ready, &second] {
            assert!(line.starts_with("cgigate: fastcgi on 127.0.0.1:"), "{listen:?}: {line}");
        }
    }
    let why = refused(&["fastcgi"], &[("CGIGATE_ALLOW", "10.0.0.0/8\n\tx")]);
    assert!(why.contains("invalid value 'x' for CGIGATE_ALLOW: \"x\" is no network"), "{why}");
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

fn answers(stream: &mut (impl Read + Write)) -> bool {
    ask(stream, GET_VALUES, 8).starts_with(&[1, 10])
}

#[test]
fn a_socket_on_descriptor_0_is_served_without_a_word() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::of(command(&[]).stdin(OwnedFd::from(listener)));
    assert!(server.ready.starts_with(&format!("cgigate: fastcgi on {address}, ")));
    assert!(answers(&mut TcpStream::connect(address).unwrap()));
    // It is reloaded like others (tests/reload.rs).
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert!(server.line().starts_with("cgigate: reload: a new process serves"));
    assert!(answers(&mut TcpStream::connect(address).unwrap()));
}

#[test]
fn with_a_command_a_socket_on_descriptor_0_speaks_its_protocol() {
    let scgi = &b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,"[..];
    for (protocol, wire, front) in [("scgi", scgi, "Status: "), ("uwsgi", b"\0\0\0\0", "HTTP/1.1 ")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            Server::of(command(&[protocol, "--app", "hello"]).stdin(OwnedFd::from(listener)));
        assert!(server.ready.starts_with(&format!("cgigate: {protocol} on {address}, ")));
        let answer = ask(&mut TcpStream::connect(address).unwrap(), wire, usize::MAX);
        assert!(answer.starts_with(front.as_bytes()), "{}", answer.escape_ascii());
        assert!(answer.ends_with(b"\r\n\r\nHello World\n"), "{}", answer.escape_ascii());
    }
}

#[test]
fn scgi_and_uwsgi_have_the_list_of_who_may_connect_too() {
    for protocol in ["scgi", "uwsgi"] {
        let why = refused(&[protocol, "--listen", "0.0.0.0:0"], &[]);
        assert!(why.starts_with("cgigate: --listen ") && why.contains("--allow"), "{why}");
        let mut server = Server::start(&[protocol, "--listen", ":0", "--allow", "10.0.0.0/8"]);
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        assert_eq!(ask(&mut stream, b"\0\0\0\0", usize::MAX), b"");
        assert!(server.line().starts_with("cgigate: accept 127.0.0.1: not among those"));
    }
}

#[test]
fn sockets_of_a_service_manager_are_all_served() {
    let folder = folder("systemd");
    let path = folder.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let manager = UnixDatagram::bind(folder.join("notify")).unwrap();
    for (listen, fdname) in [(&["fastcgi", "--listen", "systemd:web"][..], "web"), (&[], "other")] {
        // The shell gets the socket on 0, as only std's streams can be handed to a child.
        let script = "export LISTEN_PID=$$; exec \"$0\" \"$@\" 3<&0 </dev/null";
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_cgigate")]).args(listen).env_clear();
        shell.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", fdname);
        shell.env("NOTIFY_SOCKET", folder.join("notify"));
        let socket = OwnedFd::from(listener.try_clone().unwrap());
        let server = Server::of(shell.stdin(socket).stderr(Stdio::piped()));
        let ready = format!("cgigate: fastcgi on unix:{}, ", path.display());
        assert!(server.ready.starts_with(&ready), "{}", server.ready);
        let mut state = [0; 64];
        // It says more than that (tests/activation.rs), before and behind it.
        while !state.starts_with(b"READY=1\0") {
            state = [0; 64];
            manager.recv(&mut state).unwrap();
        }
        assert!(answers(&mut UnixStream::connect(&path).unwrap()));
    }
    assert!(path.exists(), "the file is the manager's");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_socket_and_a_pid_file_are_there_while_it_serves() {
    let folder = folder("owner");
    let (path, pid) = (folder.join("s"), folder.join("pid"));
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    // Only root can give files away.
    let owner = if uid == 0 { 54321 } else { uid };
    let listen = format!("unix:{}", path.display());
    let mut command = command(&["fastcgi", "--listen", &listen, "--socket-mode", "0606"]);
    command.args(["--socket-owner", &owner.to_string()]).arg("--pid-file").arg(&pid);
    let mut server = Server::of(&mut command);
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (owner, 0o606), "{}", server.ready);
    let number = server.child.id().to_string();
    assert_eq!(std::fs::read_to_string(&pid).unwrap(), format!("{number}\n"));
    assert!(Command::new("kill").arg(&number).status().unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "both are gone");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn rights_are_given_up_for_good() {
    let server = Server::start(&["http", "--listen", ":0", "--user", "nobody"]);
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        assert!(server.ready.starts_with("cgigate: become nobody (only root can): "));
        return;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let ids = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(|id| id.parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    let (uids, gids) = (ids("Uid:"), ids("Gid:"));
    assert!(uids.iter().all(|uid| *uid == uids[0] && *uid != 0), "{status}");
    assert!(gids.iter().all(|gid| *gid == gids[0] && *gid != 0), "{status}");
    assert!(!ids("Groups:").contains(&0), "{status}");
    assert!(get(server.port()).starts_with(b"HTTP/1.1 200 OK"));
    let unknown = Server::start(&["http", "--listen", ":0", "--user", "no-such-user"]);
    assert_eq!(unknown.ready, "cgigate: --user no-such-user: there is no such user\n");
}
