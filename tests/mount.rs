//! `--mount`: what web servers sent that name neither SCRIPT_NAME nor PATH_INFO rightly, or are
//! mounted at the root (`fixtures/streams`), has both right below the mount.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    fn mounted(mount: &str) -> Self {
        let name = format!("cgigate-mount-{}-{}", std::process::id(), mount.len());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let listen = format!("unix:{}", folder.join("s").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        command.args(["fastcgi", "--app", "environ", "--mount", mount, "--listen", &listen]);
        let mut child = command.env_clear().stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("fastcgi on"), "{line}");
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
const PATHS: [(&str, &[u8]); 6] = [
    ("get-1", b""),
    ("get-slash-1", b"/"),
    ("get-path-query-1", b"/some/path"),
    ("path-dotdot-1", b"/b/c"),
    ("path-double-slash-1", b"/a/b/"),
    ("path-latin1-1", b"/caf\xe9"),
];

/// Replays what the set-ups named `*-kind` sent; gives how many requests that were.
fn replay(kind: &str, mount: &str, below: &str) -> usize {
    let server = Server::mounted(mount);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams/fastcgi");
    let mut replayed = 0;
    for set_up in fs::read_dir(root).unwrap() {
        let set_up = set_up.unwrap().path();
        if !set_up.to_string_lossy().ends_with(kind) {
            continue;
        }
        for (request, path) in PATHS {
            let Ok(wire) = fs::read(set_up.join(request)) else { continue };
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

#[test]
fn rule_19_stock_set_ups_are_right_below_the_mount() {
    assert!(replay("-stock", "/stock", "") >= 6);
}

#[test]
fn rule_19_plain_proxy_pass_is_right_below_the_mount() {
    assert!(replay("-raw", "/raw", "") >= 4);
}

#[test]
fn rule_19_root_set_ups_are_right_at_the_root() {
    assert!(replay("-root", "/", "/x") >= 12);
}
