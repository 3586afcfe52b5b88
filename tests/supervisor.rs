//! `--workers`: several processes that serve, and one that looks after them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

struct Server {
    process: Child,
    said: BufReader<ChildStderr>,
    socket: PathBuf,
}

impl Server {
    /// The testbed with so many workers, once it is ready.
    fn start(name: &str, options: &[&str]) -> Self {
        let socket = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        let mut command = Command::new(testbed());
        command.args(["fastcgi", "--listen", &format!("unix:{}", socket.display())]);
        command.args(options).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut process = command.spawn().unwrap();
        let said = BufReader::new(process.stderr.take().unwrap());
        Self { process, said, socket }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// Lines up to one that has this in it.
    fn until(&mut self, part: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "it ended without saying {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    /// What the executable's own client gets, and whether its exit status is 0.
    fn get(&self, path: &str) -> (String, bool) {
        let address = format!("unix:{}", self.socket.display());
        let output = Command::new(env!("CARGO_BIN_EXE_cgigate"))
            .args(["get", "--connect", &address, path])
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// The processes that it has started.
    fn workers(&self) -> Vec<u32> {
        let pid = self.process.id();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Waits for its end: the exit status.
    fn end(mut self) -> Option<i32> {
        while !self.line().is_empty() {}
        self.process.wait().unwrap().code()
    }
}

fn testbed() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/testbed");
    assert!(built.exists(), "no {}: cargo build --example testbed", built.display());
    built
}

#[test]
fn so_many_processes_serve_and_a_stop_ends_them_all() {
    let mut server = Server::start("many", &["--workers", "3", "--threads", "2"]);
    assert!(server.until("fastcgi on").contains(", 3 workers x 2 threads"));
    let workers = server.workers();
    assert_eq!(workers.len(), 3);
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    assert!(server.get("/demo").0.contains("wsgi.multiprocess = True"));
    server.signal("-TERM");
    let socket = server.socket.clone();
    assert_eq!(server.end(), Some(0));
    assert!(!socket.exists(), "the socket's file is gone");
    for pid in workers {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "worker {pid} is still there");
    }
}

#[test]
fn a_worker_that_dies_takes_its_own_requests_with_it_and_another_takes_its_place() {
    let mut server = Server::start("dies", &["--workers", "2", "--threads", "2"]);
    server.until("fastcgi on");
    let (_, whole) = server.get("/fault?when=before&how=abort");
    assert!(!whole);
    server.until("another takes its place");
    for _ in 0..8 {
        assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    }
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_reload_brings_new_workers_and_the_old_ones_go() {
    let mut server = Server::start("reload", &["--workers", "2", "--threads", "2"]);
    server.until("fastcgi on");
    let before = server.workers();
    server.signal("-HUP");
    server.until("reload: 2 new workers serve");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    let after = server.workers();
    assert!(after.iter().filter(|pid| !before.contains(pid)).count() == 2, "{before:?} {after:?}");
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_number_of_workers_that_is_none_is_an_error_of_usage() {
    let mut server = Server::start("never", &["--workers", "0"]);
    assert!(server.until("workers").contains("use 1 to 1024, or auto"));
    assert_eq!(server.end(), Some(2));
}
