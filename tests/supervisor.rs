//! `--workers`: several processes that serve, and one that looks after them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use fleet::{Server, folder, kill, lives, load::Kept, testbed, until_true};
use std::{fs, path::Path, process::Command};

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

/// Connections with a slow request on each, by the worker that has it: known by its sockets.
fn spread(server: &Server, workers: &[u32]) -> Vec<(u32, Kept)> {
    let is_socket = |path: &Path| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
    };
    let count = |pid: &u32| {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        entries.filter(|entry| is_socket(&entry.path())).count()
    };
    let mut connections: Vec<(u32, Kept)> = Vec::new();
    while !workers.iter().all(|pid| connections.iter().any(|(of, _)| of == pid)) {
        let before: Vec<_> = workers.iter().map(count).collect();
        let mut connection = Kept::connect(&server.socket).unwrap();
        let request = connection.request("/sleep?ms=1500", b"", true);
        connection.send(&request).unwrap();
        let mut taken = None;
        until_true("somebody takes it", || {
            taken = workers.iter().zip(&before).position(|(pid, before)| count(pid) > *before);
            taken.is_some()
        });
        connections.push((workers[taken.unwrap()], connection));
    }
    connections
}

#[test]
fn an_abort_takes_the_requests_of_its_own_process_and_no_others() {
    let mut server = Server::start("abort", &["--workers", "2", "--threads", "4"]);
    server.until("fastcgi on");
    let workers = server.workers();
    let mut connections = spread(&server, &workers);
    // Beside a slow request, on the connection that came last: its worker has no other, and so has
    // threads that are free.
    let (victim, connection) = connections.last_mut().unwrap();
    let victim = *victim;
    let mut abort = Vec::new();
    let id = cgigate::fcgi::RequestId(2.try_into().unwrap());
    cgigate::fcgi::begin_request(&mut abort, id, cgigate::fcgi::Role::Responder, true);
    let mut params = Vec::new();
    cgigate::fcgi::pair(&mut params, b"PATH_INFO", b"/fault");
    cgigate::fcgi::pair(&mut params, b"QUERY_STRING", b"how=abort");
    for piece in [&params[..], b""] {
        cgigate::fcgi::stream(&mut abort, cgigate::fcgi::RecordType::Params, id, piece);
    }
    cgigate::fcgi::stream(&mut abort, cgigate::fcgi::RecordType::Stdin, id, b"");
    connection.send(&abort).unwrap();
    server.until(&format!("worker {victim} died"));
    for (worker, mut connection) in connections {
        let answer = connection.answer();
        assert_eq!(answer.is_ok(), worker != victim, "{worker}, where {victim} died: {answer:?}");
    }
}

#[test]
fn when_none_can_live_it_gives_up_and_says_so() {
    let needed = folder("needed");
    let mut command = Command::new(testbed());
    let own = folder("hopeless");
    command.args(["fastcgi", "--listen", &format!("unix:{}", own.join("s").display())]);
    command.arg("--sandbox").arg("--sandbox-read").arg(&needed);
    let mut server = Server::run(own, &mut command);
    let line = server.line().unwrap();
    if line.contains("no Landlock") {
        return;
    }
    assert!(line.starts_with("cgigate: fastcgi on"), "{line}");
    // What workers need to start is gone: who lives goes on, and who comes dies at once.
    fs::remove_dir(needed).unwrap();
    server.signal("-HUP");
    server.until("the old workers go on serving");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    kill("-KILL", server.workers()[0]);
    server.until("cgigate: give up: ");
    let socket = server.socket.clone();
    assert_eq!(server.end(), Some(1));
    assert!(!socket.exists());
}

/// SIGSTOP, and SIGKILL for who does not hear: a supervisor waits for none of its workers.
#[test]
fn a_worker_that_is_stopped_holds_up_neither_a_reload_nor_a_stop() {
    let options = ["--workers", "2", "--threads", "2", "--graceful-timeout", "100ms"];
    let mut server = Server::start("stopped", &options);
    server.until("fastcgi on");
    let old = server.workers();
    kill("-STOP", old[0]);
    // Who is in its queue already is lost with it; who comes now finds the other.
    server.signal("-USR1");
    server.signal("-HUP");
    server.until("reload: 2 new workers serve");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    server.until(&format!("worker {} does not end in time: it is killed", old[0]));
    until_true("the old ones are gone", || old.iter().all(|pid| !lives(*pid)));
    let new = server.workers();
    assert_eq!(new.len(), 2);
    new.iter().for_each(|pid| kill("-STOP", *pid));
    server.signal("-TERM");
    server.until("stop: workers that do not end in time are killed");
    assert_eq!(server.end(), Some(0));
    assert!(new.iter().all(|pid| !lives(*pid)));
}

/// The server went on with one worker fewer, for ever.
#[test]
fn who_takes_the_place_of_a_dead_one_and_never_gets_ready_is_killed_and_replaced() {
    let own = folder("never-ready");
    let log = own.join("access");
    let mut command = Command::new(testbed());
    command.args(["fastcgi", "--listen", &format!("unix:{}", own.join("s").display())]);
    command.args(["--workers", "2", "--start-timeout", "300ms", "--access-log"]).arg(&log);
    let mut server = Server::run(own, &mut command);
    server.until("fastcgi on");
    let victim = server.workers()[0];
    // Whoever opens a pipe waits for somebody to read it.
    fs::remove_file(&log).unwrap();
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    kill("-KILL", victim);
    server.until("another takes its place");
    server.until("does not get ready in time: it is killed");
    server.until("ended before it was ready: signal: 9");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    fs::remove_file(&log).unwrap();
    fs::write(&log, "").unwrap();
    let has_log = |pid: &u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|fd| fs::read_link(fd.path()).ok());
        targets.any(|target| target == log)
    };
    until_true("a second one", || server.workers().iter().filter(|pid| has_log(pid)).count() == 1);
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_supervisor_that_is_killed_leaves_nobody_behind() {
    let mut server = Server::start("orphans", &["--workers", "2"]);
    server.until("fastcgi on");
    let workers = server.workers();
    let mut connection = Kept::connect(&server.socket).unwrap();
    let request = connection.request("/sleep?ms=300", b"", true);
    connection.send(&request).unwrap();
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    server.signal("-KILL");
    assert_eq!(connection.answer().unwrap(), b"slept 300\n", "what is in flight ends");
    until_true("the workers end", || workers.iter().all(|pid| !lives(*pid)));
}
