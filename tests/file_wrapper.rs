//! What `wsgi.file_wrapper` may be given, over every protocol: the kernel sends some of it, the rest
//! is read. Whichever it is, nobody can tell.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fastcgi_peer;

use cgigate::{
    Application, app,
    gateway::{
        Protocol::{self, FastCgi, Scgi, Uwsgi},
        Settings,
    },
    types::FileWrapper,
};
use fastcgi_peer::{Apps, House, PLAIN, request};
use std::{
    fs::File,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

/// Says that it has 4096 bytes, and has some few: so does one that shrinks while it is sent.
const SHORTER_THAN_IT_SAYS: &str = "/sys/devices/system/cpu/online";

fn wraps(
    open: impl Fn() -> std::io::Result<File> + Send + Sync + 'static,
    len: Option<u64>,
    content_length: Option<&'static str>,
) -> impl Application {
    app(move |_, start_response| {
        let length = content_length.map(|length| ("Content-Length", length));
        let fields: Vec<_> = [PLAIN].into_iter().chain(length).collect();
        start_response.call("200 OK", &fields)?;
        Ok(FileWrapper::file(open()?, len).into())
    })
}

/// The answer of `app` over `protocol`, without a frame around it; whether it ended as a whole one
/// does; and what was logged.
fn ask(protocol: Protocol, app: impl Application + 'static) -> (Vec<u8>, bool, String) {
    let house = House::speaking(protocol, Apps::default().otherwise(app), Settings::default());
    let mut peer = house.unix();
    match protocol {
        FastCgi => {
            peer.send(&request(1, "/", true));
            let mut answer = fastcgi_peer::Answer::default();
            loop {
                // One that ends in the middle of a record fails here.
                match peer.next_record() {
                    Some((3, _, content)) => {
                        let whole = content[..4] == [0; 4];
                        return (answer.stdout, whole, log(&house, &answer.stderr));
                    }
                    Some((7, _, content)) => answer.stderr.extend(content),
                    Some((6, _, content)) => answer.stdout.extend(content),
                    Some((kind, ..)) => panic!("a record of type {kind}"),
                    None => return (answer.stdout, false, log(&house, &answer.stderr)),
                }
            }
        }
        Scgi => peer.send(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,"),
        Uwsgi => peer.send(b"\0\0\0\0"),
    }
    // How it ends is not told over these.
    (peer.rest(), true, log(&house, b""))
}

fn log(house: &House, stderr: &[u8]) -> String {
    house.log() + &String::from_utf8_lossy(stderr)
}

#[test]
fn what_has_no_length_before_it_is_read_is_read_to_its_end() {
    let pipe = || {
        let mut echo = Command::new("echo");
        let echo = echo.arg("through a pipe").stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(OwnedFd::from(echo.spawn()?.stdout.unwrap()).into())
    };
    let version = std::fs::read("/proc/version").unwrap();
    let online = std::fs::read(SHORTER_THAN_IT_SAYS).unwrap();
    for protocol in [FastCgi, Scgi, Uwsgi] {
        for (what, want, answer) in [
            ("a pipe", &b"through a pipe\n"[..], ask(protocol, wraps(pipe, None, None))),
            ("of a pipe", b"through", ask(protocol, wraps(pipe, Some(7), None))),
            ("proc(5)", &version, ask(protocol, wraps(|| File::open("/proc/version"), None, None))),
            ("a device", &[0; 9], ask(protocol, wraps(|| File::open("/dev/zero"), Some(9), None))),
            (
                "sysfs(5)",
                &online,
                ask(protocol, wraps(|| File::open(SHORTER_THAN_IT_SAYS), None, None)),
            ),
        ] {
            let (answer, whole, log) = answer;
            let shown = answer.escape_ascii();
            assert!(answer.ends_with(&[b"\r\n\r\n", want].concat()), "{protocol}, {what}: {shown}");
            assert!(whole && log.is_empty(), "{protocol}, {what}: {log}");
        }
    }
}

#[test]
fn a_file_that_has_shrunk_ends_as_one_that_was_too_short() {
    let online = std::fs::read(SHORTER_THAN_IT_SAYS).unwrap();
    for protocol in [FastCgi, Scgi, Uwsgi] {
        let app = wraps(|| File::open(SHORTER_THAN_IT_SAYS), None, Some("4096"));
        let (answer, whole, log) = ask(protocol, app);
        assert!(answer.ends_with(&online), "{protocol}: {}", answer.escape_ascii());
        let complaint = format!("the response has {} bytes, and its Content-", online.len());
        assert!(log.starts_with(&complaint), "{protocol}: {log}");
        assert!(!whole || protocol != FastCgi);
    }
}

#[test]
fn what_cannot_be_read_is_a_500_and_logged() {
    for protocol in [FastCgi, Scgi, Uwsgi] {
        let (answer, _, log) = ask(protocol, wraps(|| File::open("/"), None, None));
        let page = String::from_utf8_lossy(&answer);
        assert!(page.contains(" 500 Internal Server Error\r\n"), "{protocol}: {page}");
        assert!(log.contains("directory"), "{protocol}: {log:?}");
    }
}

#[test]
fn more_of_a_file_than_the_content_length_says_is_cut_and_logged() {
    let whole = std::fs::read("LICENSE").unwrap();
    for protocol in [FastCgi, Scgi, Uwsgi] {
        let (answer, _, log) = ask(protocol, wraps(|| File::open("LICENSE"), None, Some("10")));
        assert!(answer.ends_with(&[b"\r\n\r\n", &whole[..10]].concat()), "{protocol}");
        assert!(log.starts_with("the response was longer than"), "{protocol}: {log:?}");
    }
}
