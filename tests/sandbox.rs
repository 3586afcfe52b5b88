//! `--sandbox`: an application that tries to break out, with it and without.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use fleet::{Server, folder, testbed};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

struct House {
    server: Server,
    outside: PathBuf,
    ready: String,
}

/// A server with folders of its own: temporary files, files to serve, and one that is none of its
/// business.
fn house(name: &str, options: &[&str]) -> House {
    let folder = folder(name);
    let (temporary, files, outside) = (folder.join("t"), folder.join("f"), folder.join("o"));
    for folder in [&temporary, &files, &outside] {
        fs::create_dir(folder).unwrap();
    }
    fs::write(files.join("page"), "a page").unwrap();
    let mut command = Command::new(testbed());
    command.args(["fastcgi", "--listen", &format!("unix:{}", folder.join("s").display())]);
    command.args(options).env_clear();
    command.env("TMPDIR", temporary).env("CGIGATE_FILES_ROOT", files);
    let mut server = Server::run(folder, &mut command);
    let ready = server.line().unwrap();
    House { server, outside, ready }
}

impl House {
    /// Whether this kernel has Landlock; if it has not, the server has said so.
    fn is_confined(&self) -> bool {
        let confined = !self.ready.contains("no Landlock");
        assert!(confined || self.ready.starts_with("cgigate: --sandbox: "), "{}", self.ready);
        confined
    }

    /// What the application got done.
    fn done(&self) -> Vec<String> {
        self.done_at(&self.outside)
    }

    fn done_at(&self, folder: &Path) -> Vec<String> {
        let (text, _) = self.server.get(&format!("/breakout?folder={}", folder.display()));
        let done = text.lines().filter_map(|line| line.strip_suffix(": done"));
        done.map(Into::into).collect()
    }
}

#[test]
fn without_it_an_application_may_what_its_user_may() {
    let house = house("free", &[]);
    assert_eq!(house.done(), ["read", "write", "temporary", "execute", "listen"]);
}

#[test]
fn in_it_an_application_cannot_break_out_and_all_else_works() {
    let mut house = house("confined", &["--sandbox", "--workers", "2"]);
    if !house.is_confined() {
        return;
    }
    let done = house.done();
    // That nobody listens is for a kernel that is younger than the rest.
    assert!(done == ["temporary"] || done == ["temporary", "listen"], "{done:?}");
    assert_eq!(house.server.get("/files/page"), ("a page".into(), true));
    assert_eq!(house.server.get("/hello"), ("Hello World\n".into(), true));
    assert!(house.server.get("/fault?how=panic").0.contains("A server error occurred"));
    // The supervisor is free: it starts others.
    house.server.signal("-HUP");
    house.server.until("2 new workers serve");
    assert!(!house.done().contains(&"read".to_owned()));
    house.server.signal("-TERM");
    assert_eq!(house.server.end(), Some(0));
}

#[test]
fn what_is_named_can_be_reached() {
    let outside = std::env::temp_dir().join(format!("cgigate-named-{}", std::process::id()));
    fs::create_dir_all(&outside).unwrap();
    let write = outside.to_str().unwrap();
    let options = ["--sandbox", "--sandbox-read", "/etc", "--sandbox-write", write];
    let house = house("opened", &options);
    if house.is_confined() {
        let done = house.done_at(&outside);
        assert_eq!(done[..3], ["read", "write", "temporary"], "{done:?}");
        assert!(!house.done().contains(&"write".to_owned()));
    }
    let _ = fs::remove_dir_all(outside);
}

#[test]
fn a_path_that_is_not_there_is_told_at_the_start() {
    let house = house("nowhere", &["--sandbox", "--sandbox-read", "/nowhere"]);
    if house.is_confined() {
        assert!(house.ready.starts_with("cgigate: --sandbox: /nowhere: "), "{}", house.ready);
        assert_eq!(house.server.end(), Some(1));
    }
}
