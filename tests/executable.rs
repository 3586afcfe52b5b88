//! The shipped executable as its users start it: by a command line, or with a socket handed over.

// A test that cannot start the executable has nothing better to do than to panic.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

fn cgigate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    command.env_clear();
    command
}

/// A server that is stopped at the end, in a folder of its own.
struct Server {
    child: Child,
    folder: PathBuf,
    socket: PathBuf,
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn serve(name: &str, args: &[&str]) -> Server {
    speak("fastcgi", name, args)
}

fn speak(protocol: &str, name: &str, args: &[&str]) -> Server {
    let folder = folder(name);
    let socket = folder.join("s");
    let listen = format!("unix:{}", socket.display());
    let mut command = cgigate();
    command.args([protocol, "--listen", &listen]).args(args).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("cgigate: {protocol} on {listen}, 1 workers x ")), "{line}");
    Server { child, folder, socket }
}

impl Server {
    /// All that comes back for `wire`, once no more is sent.
    fn ask(&self, wire: &[u8]) -> Vec<u8> {
        converse(UnixStream::connect(&self.socket).unwrap(), wire)
    }
}

fn converse(mut stream: UnixStream, wire: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // One that breaks off what it does not like is no failure of ours.
    let _ = stream.write_all(wire);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("no end after 10 s, {} bytes after a stream of {}", answer.len(), wire.len())
        }
        _ => answer,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn what_real_servers_sent_is_answered_on_the_socket() {
    let server = serve("replay", &["--app", "environ"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams/fastcgi");
    let mut answered = 0;
    for entry in fs::read_dir(root).unwrap() {
        for stream in fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = stream.unwrap().path();
            let wire = fs::read(&path).unwrap();
            let answer = server.ask(&wire);
            // Responders are answered; the shipped executable has no authorizer (UNKNOWN_ROLE), and
            // an ABORT_REQUEST before the parameters has an END_REQUEST for its answer.
            if contains(&answer, b"REQUEST_METHOD=") {
                assert!(contains(&answer, b"Status: 200 OK\r\n\r\n"), "{}", path.display());
                assert!(!contains(&answer, b"HTTP_PROXY="), "{}", path.display());
                answered += 1;
            } else {
                let end = [1, 3, 0];
                assert!(contains(&answer, &end) || answer.is_empty(), "{}", path.display());
            }
        }
    }
    assert!(answered > 400, "{answered} were answered");
}

/// As web servers do it, without a word that nothing more comes.
fn ask_by(server: &Server, pieces: std::slice::Chunks<'_, u8>) -> Vec<u8> {
    let mut stream = UnixStream::connect(&server.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    pieces.for_each(|piece| stream.write_all(piece).unwrap());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn what_real_servers_sent_by_scgi_and_uwsgi_is_answered_whole_and_byte_by_byte() {
    for (protocol, status) in [("scgi", "Status: 200 OK\r\n"), ("uwsgi", "HTTP/1.1 200 OK\r\n")] {
        let server = speak(protocol, &format!("replay-{protocol}"), &["--app", "environ"]);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams").join(protocol);
        let mut answered = 0;
        for entry in fs::read_dir(root).unwrap() {
            for stream in fs::read_dir(entry.unwrap().path()).unwrap() {
                let path = stream.unwrap().path();
                let wire = fs::read(&path).unwrap();
                let answer = ask_by(&server, wire.chunks(wire.len()));
                assert!(answer.starts_with(status.as_bytes()), "{}", path.display());
                let is_head = path.file_name().is_some_and(|name| name == "head-1");
                assert!(contains(&answer, b"REQUEST_METHOD=") != is_head, "{}", path.display());
                assert!(!contains(&answer, b"HTTP_PROXY="), "{}", path.display());
                assert_eq!(ask_by(&server, wire.chunks(1)), answer, "{}", path.display());
                answered += 1;
            }
        }
        assert!(answered > 130, "{answered} were answered");
    }
}

#[test]
fn a_listening_socket_on_descriptor_0_is_served_without_a_word() {
    let folder = folder("stdin");
    let path = folder.join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let stdin: std::os::fd::OwnedFd = listener.into();
    let child = cgigate().stdin(stdin).stderr(Stdio::null()).env("CGIGATE_APP", "hello").spawn();
    let server = Server { child: child.unwrap(), folder, socket: path };
    let mut wire = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend_from_slice(&[1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0]);
    assert!(contains(&server.ask(&wire), b"Hello World\n"));
}

fn refused(args: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = cgigate().args(args).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_cannot_be_is_said_in_one_line_and_by_the_exit_status() {
    let (code, text) = refused(&["fastcgi", "--app", "nine"]);
    assert_eq!((code, text.lines().count()), (Some(2), 1), "{text}");
    assert!(text.starts_with("cgigate: --app nine: no such application"), "{text}");
    let (code, text) = refused(&["fastcgi", "--listen", "nonsense"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("\"nonsense\" is no address"), "{text}");
    assert_eq!(refused(&["fastcgi", "--listen", "0.0.0.0:0"]).0, Some(2));
    let busy = serve("busy", &[]);
    let listen = format!("unix:{}", busy.socket.display());
    let (code, text) = refused(&["fastcgi", "--listen", &listen]);
    assert_eq!(code, Some(1));
    assert!(text.contains("something still answers there"), "{text}");
    assert_eq!(refused(&[]).0, Some(2), "no command: the help, on stderr");
}

#[test]
fn a_value_that_cannot_be_is_named_with_what_may_stand_there() {
    for (variable, args, wanted) in [
        (
            "CGIGATE_A=",
            &["--threads", "x"][..],
            "'x' for '--threads <N>': \"x\" is no number: use 1 to 65535",
        ),
        (
            "CGIGATE_A=",
            &["--threads", "-3"],
            "'-3' for '--threads <N>': \"-3\" is no number: use 1 ",
        ),
        (
            "CGIGATE_A=",
            &["--max-queue", ""],
            "'' for '--max-queue <N>': \"\" is no number: use 0 or more",
        ),
        (
            "CGIGATE_A=",
            &["--max-body", "-1"],
            "'-1' for '--max-body <SIZE>': \"-1\" is no size: use bytes",
        ),
        ("CGIGATE_THREADS=0", &[], "'0' for CGIGATE_THREADS: \"0\" is no number: use 1 to 65535"),
        ("CGIGATE_THREADS=0", &["--threads=x"], "'x' for '--threads <N>': \"x\" is no number"),
        ("CGIGATE_MULTIPLEX=no", &[], "'no' for CGIGATE_MULTIPLEX; [possible values: on, off]"),
    ] {
        let (name, value) = variable.split_once('=').unwrap();
        let output = cgigate().arg("fastcgi").args(args).env(name, value).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
        assert!(text.starts_with(&format!("cgigate: invalid value {wanted}")), "{args:?}: {text}");
    }
}

#[test]
fn at_the_desk_only_what_a_client_could_ask_is_asked() {
    for (args, wanted) in [
        (&["cgi", "hello"], "\"hello\" is no path: a PATH begins with /"),
        (&["iis", "-XG T"], "\"G T\" is no method: use a word, as GET"),
    ] {
        let (code, text) = refused(args);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let out = |args: &[&str]| String::from_utf8(cgigate().args(args).output().unwrap().stdout);
    let demo = out(&["cgi", "/demo?a=1"]).unwrap();
    assert!(demo.starts_with("Status: 200 OK\r\n") && demo.contains("QUERY_STRING = 'a=1'"));
    assert!(out(&["apps"]).unwrap().starts_with("demo "));
    let version = concat!("cgigate ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(
        (out(&["--version"]).unwrap(), out(&["-V"]).unwrap()),
        (version.into(), version.into())
    );
    let threads = cgigate().args(["fastcgi", "--help"]).output().unwrap().stdout;
    assert!(contains(&threads, b"CGIGATE_THREADS"));
}
