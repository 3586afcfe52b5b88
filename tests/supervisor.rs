//! `--workers`: several processes that serve, and one that looks after them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use fleet::Server;
use std::path::Path;

#[test]
fn so_many_processes_serve_and_a_stop_ends_them_all() {
    let mut server = Server::start("many", &["--workers", "3", "--threads", "2"]);
    assert!(server.until("fastcgi on").contains(", 3 workers x 2 threads"));
    let workers = server.workers();
    assert_eq!(workers.len(), 3);
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    assert!(server.get("/demo").0.contains("wsgi.multiprocess = True"));
    assert!(server.get("/demo").0.contains("wsgi.multithread = True"));
    server.signal("-TERM");
    let socket = server.socket.clone();
    assert_eq!(server.end(), Some(0));
    assert!(!socket.exists(), "the socket's file is gone");
    for pid in workers {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "worker {pid} is still there");
    }
}

#[test]
fn one_process_of_one_thread_says_so() {
    let mut server = Server::start("alone", &["--threads", "1"]);
    assert!(server.until("fastcgi on").contains(", 1 workers x 1 threads"));
    assert_eq!(server.workers().len(), 1, "under a supervisor, which is what has the pid");
    let environ = server.get("/demo").0;
    assert!(environ.contains("wsgi.multiprocess = False"), "{environ}");
    assert!(environ.contains("wsgi.multithread = False"), "{environ}");
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
