//! `--mount`, rule 19: what web servers sent (`fixtures/streams`), as they come and by their stock
//! parameters, has SCRIPT_NAME and PATH_INFO right below the mount, whatever they say of both.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    fn mounted(protocol: &str, mount: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("cgigate-mount-{name}"));
        fs::create_dir_all(&folder).unwrap();
        let listen = format!("unix:{}", folder.join("s").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        command.args([protocol, "--app", "environ", "--mount", mount, "--listen", &listen]);
        let mut child = command.env_clear().stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(" on unix:"), "{line}");
        Self { child, folder }
    }

    fn ask(&self, wire: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.folder.join("s")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(wire).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The path behind the mount that each captured request asked for.
const PATHS: [(&str, &[u8]); 30] = [
    ("absolute-uri", b"/x"),
    ("auth-basic", b"/"),
    ("cookie-twice", b"/"),
    ("get", b""),
    ("get-path-query", b"/some/path"),
    ("get-slash", b"/"),
    ("get-with-body", b"/p"),
    ("hdr-dup", b"/"),
    ("hop-by-hop", b"/"),
    ("host-upper", b"/"),
    ("method-odd", b"/f"),
    ("path-backslash", b"/a\\b"),
    ("path-dotdot", b"/b/c"),
    ("path-dotdot-encoded", b"/b"),
    ("path-double-slash", b"/a/b/"),
    ("path-latin1", b"/caf\xe9"),
    ("path-newline", b"/a\nb\r\nX-Evil: 1"),
    ("path-pct25", b"/a%2Fb%"),
    ("path-plus-space", b"/a+b c?d#e"),
    ("path-raw8bit", b"/caf\xc3\xa9-\xe9"),
    ("post-chunked", b"/p"),
    ("post-empty", b"/p"),
    ("post-expect", b"/p"),
    ("post-form", b"/p"),
    ("post-no-length", b"/p"),
    ("query-empty", b"/"),
    ("query-isindex-help", b""),
    ("query-isindex-option", b""),
    ("query-raw8bit", b"/"),
    ("range", b"/"),
];

/// Replays what the set-ups sent whose names `is_of_kind` knows; gives how many requests that were.
fn replay(protocol: &str, is_of_kind: impl Fn(&str) -> bool, mount: &str, below: &str) -> usize {
    let server = Server::mounted(protocol, mount);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams").join(protocol);
    let mut replayed = 0;
    for set_up in fs::read_dir(root).unwrap() {
        let set_up = set_up.unwrap().path();
        if !is_of_kind(set_up.file_name().unwrap().to_str().unwrap()) {
            continue;
        }
        for (request, path) in PATHS {
            let Ok(wire) = fs::read(set_up.join(format!("{request}-1"))) else { continue };
            // HAProxy gave up, and said no more.
            if !wire.windows(11).any(|window| window == b"REQUEST_URI") {
                continue;
            }
            let answer = server.ask(&wire);
            let script_name = mount.trim_end_matches('/');
            let wanted = [b"\nPATH_INFO=", below.as_bytes(), path, b"\n"].concat();
            let named = format!("\nSCRIPT_NAME={script_name}\n");
            for wanted in [&wanted[..], named.as_bytes()] {
                let found = answer.windows(wanted.len()).any(|window| window == wanted);
                let shown = String::from_utf8_lossy(&answer);
                assert!(found, "{set_up:?} {request}: no {}\n{shown}", wanted.escape_ascii());
            }
            replayed += 1;
        }
    }
    replayed
}

fn ends_in(kinds: &'static [&'static str]) -> impl Fn(&str) -> bool {
    move |name| kinds.iter().any(|kind| name.ends_with(kind))
}

#[test]
fn rule_19_stock_parameters_are_right_below_the_mount() {
    for (protocol, least) in [("fastcgi", 20), ("scgi", 10), ("uwsgi", 10)] {
        let replayed = replay(protocol, ends_in(&["-stock"]), "/stock", "");
        assert!(replayed >= least, "{protocol}: {replayed}");
    }
}

#[test]
fn rule_19_plain_proxy_pass_is_right_below_the_mount() {
    assert!(replay("fastcgi", ends_in(&["-raw"]), "/raw", "") >= 8);
    assert!(replay("fastcgi", ends_in(&["-sethandler"]), "/sethandler", "") >= 8);
    assert!(replay("fastcgi", ends_in(&["-generic"]), "/generic", "") >= 8);
    // Of mod_proxy_scgi the whole path comes in SCRIPT_NAME.
    assert!(replay("scgi", ends_in(&["apache-proxy-scgi"]), "/app", "") >= 25);
}

#[test]
fn rule_19_root_set_ups_are_right_at_the_root() {
    assert!(replay("fastcgi", ends_in(&["-root"]), "/", "/x") >= 60);
}

#[test]
fn rule_19_what_was_right_already_stays_so() {
    let usual = |name: &str| {
        let others = ["-stock", "-raw", "-sethandler", "-generic", "-root", "-nobuf", "-auth"];
        !others.iter().any(|kind| name.ends_with(kind)) && name != "apache-authnz-fcgi"
    };
    for (protocol, least) in [("fastcgi", 250), ("scgi", 75), ("uwsgi", 75)] {
        let replayed = replay(protocol, usual, "/app", "");
        assert!(replayed >= least, "{protocol}: {replayed}");
    }
}
