//! How a server comes by its sockets, and what its service manager hears of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use fleet::{LIMIT, Server, folder, kill, lives, load::Kept, testbed, until_true};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::FileTypeExt,
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::Path,
    process::Command,
};

fn gateway(args: &[&str]) -> Command {
    let mut command = Command::new(testbed());
    command.args(args).env_clear();
    command
}

fn ask(mut socket: impl Read + Write, wire: &[u8]) -> String {
    socket.write_all(wire).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn port(line: &str) -> u16 {
    let (_, rest) = line.rsplit_once(':').expect(line);
    rest.split(',').next().unwrap().parse().expect(line)
}

#[test]
fn one_process_speaks_several_protocols_and_keeps_them_over_a_reload() {
    let folder = folder("protocols");
    let at = |name: &str| format!("unix:{}", folder.join(name).display());
    let (scgi, uwsgi) = (format!("scgi+{}", at("scgi")), format!("uwsgi+{}", at("uwsgi")));
    let mut command = gateway(&["fastcgi", "--app", "hello", "--threads", "3"]);
    for address in [&at("s"), &scgi, &uwsgi, "http+127.0.0.1:0"] {
        command.args(["--listen", address]);
    }
    let mut server = Server::run(folder.clone(), &mut command);
    for protocol in ["fastcgi", "scgi", "uwsgi"] {
        let line = server.line().unwrap();
        assert!(line.starts_with(&format!("cgigate: {protocol} on unix:")), "{line}");
        assert!(line.ends_with(", 1 workers x 3 threads"), "{line}");
    }
    let line = server.line().unwrap();
    assert!(line.starts_with("cgigate: http on 127.0.0.1:"), "{line}");
    let port = port(&line);
    let mut http = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut fastcgi = Kept::connect(&server.socket).unwrap();
    for round in 0..2 {
        // On connections that outlive the worker, and on new ones.
        assert_eq!(fastcgi.ask("/", b"", true).unwrap(), b"Hello World\n");
        http.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut answer = [0; 15];
        http.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        while !answer.ends_with(b"World\n") {
            answer.rotate_left(1);
            http.read_exact(&mut answer[14..]).unwrap();
        }
        assert_eq!(server.get("/"), ("Hello World\n".into(), true));
        let socket = UnixStream::connect(folder.join("scgi")).unwrap();
        let answer = ask(socket, b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,");
        assert!(answer.starts_with("Status: 200 OK") && answer.ends_with("Hello World\n"));
        let socket = UnixStream::connect(folder.join("uwsgi")).unwrap();
        let answer = ask(socket, b"\0\0\0\0");
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Hello World\n"));
        if round == 0 {
            let old = server.workers();
            server.signal("-HUP");
            server.until("new workers serve");
            until_true("the old one goes", || !lives(old[0]));
        }
    }
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    assert!(!folder.join("scgi").exists() && !folder.join("uwsgi").exists());
}

#[test]
fn a_protocol_that_is_none_is_wrong_usage() {
    let output = gateway(&["fastcgi", "--listen", "gopher+:70"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\"gopher+:70\" is no address"));
}

#[test]
fn an_abstract_socket_has_a_name_and_no_file() {
    let name = format!("cgigate-activation-{}", std::process::id());
    let listen = format!("unix:@{name}");
    let mut server =
        Server::run(folder("abstract"), &mut gateway(&["fastcgi", "--listen", &listen]));
    let line = server.until("fastcgi on");
    assert!(line.starts_with(&format!("cgigate: fastcgi on {listen}, ")), "{line}");
    assert_eq!(server.get_at(&listen, "/hello"), ("Hello World\n".into(), true));
    server.signal("-HUP");
    server.until("new workers serve");
    assert_eq!(server.get_at(&listen, "/hello"), ("Hello World\n".into(), true));
    let output = gateway(&["fastcgi", "--listen", &listen]).output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{why}");
    assert!(why.starts_with(&format!("cgigate: listen on {listen}: ")), "{why}");
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    assert!(UnixStream::connect_addr(&address).is_err());
}

#[test]
fn a_stale_file_is_replaced_a_live_one_refused_and_what_is_no_socket_left_alone() {
    let folder = folder("stale");
    let path = folder.join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket(), "it is left behind");
    let listen = format!("unix:{}", path.display());
    let mut server = Server::run(folder.clone(), &mut gateway(&["fastcgi", "--listen", &listen]));
    server.until("fastcgi on");
    let refused = |path: &Path| {
        let listen = format!("unix:{}", path.display());
        let output = gateway(&["fastcgi", "--listen", &listen]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let why = refused(&path);
    assert!(why.ends_with(": something still answers there; stop it first\n"), "{why}");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    let file = folder.join("file");
    fs::write(&file, "precious").unwrap();
    assert!(refused(&file).ends_with(": there is a file that is no socket\n"));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    // The file of a live server that somebody has removed, or put another in its place.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    drop(other);
}

/// What a service manager hears, message by message.
struct Manager(UnixDatagram);

impl Manager {
    fn hear(&self) -> String {
        let mut message = [0; 512];
        let n = self.0.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..n]).into_owned()
    }

    /// Up to a message that begins so.
    fn until(&self, begin: &str) -> String {
        loop {
            let message = self.hear();
            if message.starts_with(begin) {
                return message;
            }
        }
    }
}

#[test]
fn a_service_manager_hears_how_it_goes() {
    let folder = folder("notify");
    let manager = UnixDatagram::bind(folder.join("notify")).unwrap();
    manager.set_read_timeout(Some(LIMIT)).unwrap();
    let manager = Manager(manager);
    let listen = format!("unix:{}", folder.join("s").display());
    let mut command = gateway(&["fastcgi", "--listen", &listen, "--workers", "2"]);
    command.env("NOTIFY_SOCKET", folder.join("notify")).env("WATCHDOG_USEC", "100000");
    let pid_file = folder.join("pid");
    command.arg("--pid-file").arg(&pid_file);
    let mut server = Server::run(folder, &mut command);
    assert_eq!(manager.until("READY="), "READY=1");
    assert_eq!(manager.until("STATUS=2"), "STATUS=2 of 2 workers serve");
    assert_eq!(manager.until("WATCHDOG="), "WATCHDOG=1");
    let pid = || fs::read_to_string(&pid_file).unwrap();
    assert_eq!(pid(), format!("{}\n", server.pid()));

    server.signal("-HUP");
    let reloading = manager.until("RELOADING=");
    let (first, at) = reloading.split_once('\n').unwrap();
    assert_eq!(first, "RELOADING=1");
    let at = at.strip_prefix("MONOTONIC_USEC=").expect(&reloading);
    assert!(at.parse::<u64>().is_ok_and(|micros| micros > 0), "{reloading}");
    assert_eq!(manager.until("READY="), "READY=1");
    server.until("new workers serve");
    assert_eq!(pid(), format!("{}\n", server.pid()), "the same after HUP");

    let victim = *server.workers().last().unwrap();
    kill("-KILL", victim);
    server.until("another takes its place");
    assert_eq!(manager.until("STATUS=1"), "STATUS=1 of 2 workers serve");
    assert_eq!(manager.until("STATUS=2"), "STATUS=2 of 2 workers serve");
    server.signal("-TERM");
    assert_eq!(manager.until("STOPPING="), "STOPPING=1");
    assert_eq!(server.end(), Some(0));
    assert!(!pid_file.exists());
}

#[test]
fn variables_of_the_process_are_passed_on_by_name() {
    let folder = folder("pass-env");
    let listen = format!("unix:{}", folder.join("s").display());
    let mut command = gateway(&["fastcgi", "--listen", &listen, "--pass-env", "SECRET"]);
    command.env("SECRET", "of the house").env("OTHER", "no").env("REQUEST_SCHEME", "mine");
    command.env("CGIGATE_PASS_ENV", "OTHER").args(["--pass-env", "ABSENT"]);
    command.args(["--pass-env", "REQUEST_SCHEME"]);
    let mut server = Server::run(folder, &mut command);
    server.until("fastcgi on");
    let (environ, _) = server.get("/environ");
    let has = |line: &str| environ.lines().any(|it| it == line);
    assert!(has("SECRET=of the house") && !environ.contains("OTHER"), "{environ}");
    assert!(!environ.contains("ABSENT") && !has("REQUEST_SCHEME=mine"), "the wire wins: {environ}");
    let refused = gateway(&["fastcgi", "--pass-env", "HTTP_PROXY"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn with_few_descriptors_it_serves_whom_it_can_and_all_of_them_in_the_end() {
    let folder = folder("few");
    let listen = format!("unix:{}", folder.join("s").display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(testbed());
    command.args(["fastcgi", "--listen", &listen, "--threads", "4"]).env_clear();
    let mut server = Server::run(folder, &mut command);
    server.until("fastcgi on");
    let idle: Vec<_> = (0..100).map(|_| Kept::connect(&server.socket).unwrap()).collect();
    server.until("cannot accept a connection");
    let mut late = Kept::connect(&server.socket).unwrap();
    let request = late.request("/hello", b"", true);
    late.send(&request).unwrap();
    drop(idle);
    assert_eq!(late.answer().unwrap(), b"Hello World\n");
    for _ in 0..2 {
        server.signal("-HUP");
        server.until("new workers serve");
        assert_eq!(late.ask("/hello", b"", true).unwrap(), b"Hello World\n");
    }
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_log_that_may_not_grow_any_more_stops_nobody() {
    let folder = folder("file-limit");
    let listen = format!("unix:{}", folder.join("s").display());
    let log = folder.join("log");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(testbed());
    command.args(["fastcgi", "--listen", &listen, "--access-log"]).arg(&log).env_clear();
    let mut server = Server::run(folder, &mut command);
    server.until("fastcgi on");
    let mut peer = Kept::connect(&server.socket).unwrap();
    for _ in 0..100 {
        assert_eq!(peer.ask("/hello", b"", true).unwrap(), b"Hello World\n");
    }
    server.until("serving goes on, lines are lost");
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_log_that_takes_nothing_more_stops_nobody() {
    let folder = folder("full-disk");
    let socket = folder.join("s");
    for log in ["/dev/full", "closed"] {
        let mut command =
            gateway(&["scgi", "--listen", &format!("unix:{}", socket.display()), "--workers", "2"]);
        match log {
            "closed" => command.stderr(std::process::Stdio::piped()),
            full => command.stderr(fs::OpenOptions::new().write(true).open(full).unwrap()),
        };
        let mut server = command.stdin(std::process::Stdio::null()).spawn().unwrap();
        drop(server.stderr.take());
        until_true("it listens", || UnixStream::connect(&socket).is_ok());
        let get = |path: &str| {
            let mut wire = Vec::new();
            cgigate::scgi::head(&mut wire, 0, &[("PATH_INFO", path)]).unwrap();
            ask(UnixStream::connect(&socket).unwrap(), &wire)
        };
        for signal in ["-HUP", "-USR1"] {
            // Where the protocol has no place for them, an application's errors are the log's.
            assert!(get("/stderr").ends_with("\r\n\r\nlogged\n"));
            assert!(get("/fault").starts_with("Status: 500 "));
            kill(signal, server.id());
        }
        assert!(get("/hello").ends_with("Hello World\n"));
        kill("-TERM", server.id());
        assert_eq!(server.wait().unwrap().code(), Some(0), "{log}");
    }
    let _ = fs::remove_dir_all(folder);
}
