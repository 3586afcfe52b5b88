//! Reload, replacement and stop under load: not one request fails.
//!
//! `scripts/test-reload` runs these against a release build, and those that need nginx.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use fleet::{
    Server, folder, kill, lives,
    load::{Kept, Load, To},
    talk::{Protocol, Talk},
    testbed, until_true,
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const RELOADS: usize = 10;

fn directly(server: &Server) -> Vec<(To, usize)> {
    let to = |keep| To::FastCgi { socket: server.socket.clone(), keep };
    vec![(to(true), 6), (to(false), 3)]
}

fn assert_whole(load: Load) {
    let (answered, failed) = load.end();
    assert_eq!(failed, Vec::<String>::new(), "beside {answered} that were answered");
}

fn reload(server: &mut Server, load: &Load) {
    server.signal("-HUP");
    server.until("new workers serve");
    load.go_on(50);
}

#[test]
fn ten_reloads_under_load_lose_nothing() {
    let mut server = Server::start("ten-reloads", &["--workers", "2", "--threads", "4"]);
    server.until("fastcgi on");
    let (pid, load) = (server.pid(), Load::on(&directly(&server)));
    for _ in 0..RELOADS {
        reload(&mut server, &load);
    }
    assert_whole(load);
    assert!(lives(pid), "the supervisor is the same");
    // Only the last ones are there in the end.
    until_true("the old ones go", || server.workers().len() == 2);
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn one_worker_is_reloaded_as_well_as_several() {
    let mut server = Server::start("one-reload", &["--threads", "4"]);
    server.until("fastcgi on");
    let load = Load::on(&directly(&server));
    for _ in 0..3 {
        reload(&mut server, &load);
    }
    assert_whole(load);
}

#[test]
fn http_is_reloaded_without_a_loss_too() {
    let options = ["--workers", "2", "--threads", "8", "--listen", ":0"];
    let mut server = Server::of("http-reload", "http", &testbed(), &options);
    let line = server.until("http on 127.0.0.1:");
    let port = line.rsplit(':').next().unwrap().split(',').next().unwrap().parse().unwrap();
    let to = |keep| To::Http { port, mount: "", keep };
    let load = Load::on(&[(to(true), 5), (to(false), 2)]);
    for _ in 0..3 {
        reload(&mut server, &load);
    }
    assert_whole(load);
}

#[test]
fn an_idle_connection_outlives_the_worker_that_had_it() {
    let mut server = Server::start("idle", &["--workers", "1", "--threads", "2"]);
    server.until("fastcgi on");
    let mut idle: Vec<Kept> = (0..500).map(|_| Kept::connect(&server.socket).unwrap()).collect();
    for connection in &mut idle {
        assert_eq!(connection.ask("/hello", b"", true).unwrap(), b"Hello World\n");
    }
    let mut half = Kept::connect(&server.socket).unwrap();
    let request = half.request("/echo", b"in two halves", true);
    half.send(&request[..21]).unwrap();
    for _ in 0..2 {
        let old = server.workers();
        server.signal("-HUP");
        server.until("new workers serve");
        // The half request stays where it was begun, and is answered there.
        if request.len() > 21 {
            half.send(&request[21..]).unwrap();
        }
        assert_eq!(half.answer().unwrap(), b"in two halves");
        until_true("the old one goes", || old.iter().all(|pid| !lives(*pid)));
        for connection in &mut idle {
            assert_eq!(connection.ask("/hello", b"", true).unwrap(), b"Hello World\n");
        }
        let again = half.request("/echo", b"in two halves", true);
        half.send(&again[..21]).unwrap();
        assert_eq!(again, request);
    }
}

/// A copy of the testbed that can be replaced, and back.
struct Replaceable {
    folder: PathBuf,
    path: PathBuf,
}

impl Replaceable {
    fn new(name: &str) -> Self {
        let folder = folder(name);
        let path = folder.join("gateway");
        copy_testbed(&path);
        Self { folder, path }
    }

    fn put(&self, make: impl FnOnce(&Path)) {
        let next = self.folder.join("next");
        let _ = fs::remove_file(&next);
        make(&next);
        fs::rename(next, &self.path).unwrap();
    }

    fn put_testbed(&self) {
        self.put(copy_testbed);
    }

    fn put_script(&self, text: &str, mode: u32) {
        self.put(|next| {
            fs::write(next, text).unwrap();
            fs::set_permissions(next, fs::Permissions::from_mode(mode)).unwrap();
        });
    }
}

/// By a process of its own: what this one has open to be written, a child that another test starts
/// just now has too, and nobody could execute it (ETXTBSY).
fn copy_testbed(to: &Path) {
    assert!(Command::new("cp").arg(testbed()).arg(to).status().unwrap().success());
}

impl Drop for Replaceable {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_new_executable_that_does_not_start_leaves_the_old_one_serving() {
    let executable = Replaceable::new("broken-executable");
    let options = ["--workers", "2", "--threads", "4"];
    let mut server = Server::of("broken", "fastcgi", &executable.path, &options);
    server.until("fastcgi on");
    let (before, load) = (server.workers(), Load::on(&directly(&server)));
    let fails = |server: &mut Server, why: &str| {
        server.signal("-HUP");
        let line = server.until("reload: ");
        // A shell writes its own in pieces, into the same line.
        assert!(line.contains("cgigate: reload: ") && line.contains(why), "{line}");
        assert!(line.ends_with("; the old workers go on serving"), "{line}");
        load.go_on(20);
    };
    executable.put_script("#!/bin/sh\nexit 3\n", 0o755);
    fails(&mut server, "ended before it was ready: exit status: 3");
    executable.put_script("no program at all\n", 0o755);
    fails(&mut server, "ended before it was ready: exit status: 127");
    executable.put_script("#!/bin/sh\n", 0o644);
    fails(&mut server, "start ");
    fs::remove_file(&executable.path).unwrap();
    fails(&mut server, "No such file");
    // Who dies meanwhile is replaced by what the others are, not by what has its name.
    executable.put_script("#!/bin/sh\nexit 3\n", 0o755);
    until_true("those that failed are gone", || server.workers() == before);
    let (answered, failed) = load.end();
    assert_eq!(failed, Vec::<String>::new(), "beside {answered} that were answered");
    kill("-KILL", before[0]);
    server.until("another takes its place");
    until_true("two workers", || server.workers().len() == 2);
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
    // And a good one is taken again.
    executable.put_testbed();
    server.signal("-HUP");
    server.until("reload: 2 new workers serve");
    assert_eq!(server.get("/hello"), ("Hello World\n".into(), true));
}

/// Whoever waits for it would wait for ever.
#[test]
fn a_new_executable_that_never_gets_ready_leaves_the_old_one_serving() {
    let executable = Replaceable::new("slow-executable");
    let options = ["--workers", "2", "--threads", "4", "--start-timeout", "300ms"];
    let mut server = Server::of("slow", "fastcgi", &executable.path, &options);
    server.until("fastcgi on");
    let (before, load) = (server.workers(), Load::on(&directly(&server)));
    executable.put_script("#!/bin/sh\nexec sleep 600\n", 0o755);
    server.signal("-HUP");
    let line = server.until("reload: ");
    let why = "cgigate: reload: it is not ready after 300 ms; the old workers go on serving";
    assert_eq!(line, why);
    until_true("those that never got ready are gone", || server.workers() == before);
    load.go_on(20);
    assert_whole(load);
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
}

/// Whoever has started it, and knows its pid, does not look after it: spawn-fcgi does not.
#[test]
fn a_process_on_descriptor_0_is_reloaded_as_well_and_keeps_its_pid() {
    let executable = Replaceable::new("alone-executable");
    for options in [&[][..], &["scgi"], &["http"]] {
        executable.put_testbed();
        let mut server = Server::alone("alone", &executable.path, options);
        server.until(" on unix:");
        let protocol = options.first().copied().unwrap_or("fastcgi");
        let socket = server.socket.clone();
        let (protocol, _) = *Protocol::ALL.iter().find(|(_, name)| *name == protocol).unwrap();
        let hello = |kept: &mut Option<Talk>| {
            let talk = kept.take().map_or_else(|| Talk::connect(protocol, &socket), Ok);
            let mut talk = talk.unwrap();
            let wire = talk.request(1, "/hello", b"", true);
            talk.send(&wire).unwrap();
            let (body, stays) = talk.answer().unwrap();
            assert_eq!(body, b"Hello World\n");
            *kept = stays.then_some(talk);
        };
        let (mut kept, pid) = (None, server.pid());
        hello(&mut kept);
        let mut busy = Talk::connect(protocol, &server.socket).unwrap();
        let wire = busy.request(2, "/sleep?ms=500", b"", false);
        busy.send(&wire).unwrap();
        // What does not start costs nothing.
        executable.put_script("#!/bin/sh\nexit 3\n", 0o755);
        kill("-HUP", pid);
        server.until("cgigate: reload: the new process is not ready; the old one goes on");
        hello(&mut kept);
        executable.put_testbed();
        for round in 0..3 {
            kill("-HUP", pid);
            match round {
                0 => server.until("a new process serves, the old one finishes"),
                _ => server.until("reload: 1 new workers serve"),
            };
            hello(&mut kept);
            hello(&mut None);
        }
        assert_eq!(busy.answer().unwrap().0, b"slept 500\n");
        assert!(lives(pid), "it is known by its pid");
        until_true("one serves, and no other", || server.workers().len() == 1);
        kill("-TERM", pid);
        assert_eq!(server.end(), Some(0));
    }
}

#[test]
fn a_process_on_descriptor_0_loses_nothing_under_load() {
    let mut server = Server::alone("alone-load", &testbed(), &["fastcgi", "--threads", "4"]);
    server.until("fastcgi on");
    let load = Load::on(&directly(&server));
    for round in 0..4 {
        server.signal("-HUP");
        server.until(if round == 0 { "a new process serves" } else { "new workers serve" });
        load.go_on(50);
    }
    assert_whole(load);
    let worker = server.workers()[0];
    server.signal("-TERM");
    assert_eq!(server.end(), Some(0));
    assert!(!lives(worker));
}

#[test]
fn workers_that_have_served_enough_are_replaced_and_lose_nothing() {
    let options = ["--workers", "2", "--threads", "4", "--max-requests", "100"];
    let mut server = Server::start("max-requests", &options);
    server.until("fastcgi on");
    let (before, load) = (server.workers(), Load::on(&directly(&server)));
    load.go_on(1500);
    assert_whole(load);
    until_true("all are new", || server.workers().iter().all(|pid| !before.contains(pid)));
    assert_eq!(server.unheard(), Vec::<String>::new(), "nothing that an operator need know");
}

#[test]
fn a_stop_under_load_answers_all_that_was_taken() {
    let mut server = Server::start("stop", &["--workers", "2", "--threads", "8"]);
    server.until("fastcgi on");
    let asked: Vec<_> = (0..12)
        .map(|_| {
            let mut connection = Kept::connect(&server.socket).unwrap();
            let request = connection.request("/sleep?ms=700", b"", true);
            connection.send(&request).unwrap();
            connection
        })
        .collect();
    // All are taken up when the last of them has been: their answers are on their way.
    server.get("/hello");
    server.signal("-TERM");
    for mut connection in asked {
        assert_eq!(connection.answer().unwrap(), b"slept 700\n");
    }
    assert!(Kept::connect(&server.socket).is_err(), "nobody listens");
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start("twice", &["--workers", "2"]);
    server.until("fastcgi on");
    let mut connection = Kept::connect(&server.socket).unwrap();
    let request = connection.request("/sleep?ms=60000", b"", true);
    connection.send(&request).unwrap();
    server.get("/hello");
    server.signal("-TERM");
    until_true("nobody listens", || Kept::connect(&server.socket).is_err());
    let began = std::time::Instant::now();
    server.signal("-TERM");
    assert_eq!(server.end(), Some(1));
    assert!(began.elapsed() < std::time::Duration::from_secs(20) && connection.answer().is_err());
}

#[test]
fn a_worker_that_is_killed_takes_only_its_own_requests_with_it() {
    let mut server = Server::start("killed", &["--workers", "2", "--threads", "4"]);
    server.until("fastcgi on");
    let load = Load::on(&directly(&server));
    for _ in 0..3 {
        load.go_on(10);
        // Clients that failed have gone: others come for each round.
        let more = Load::on(&directly(&server));
        let victim = server.workers()[0];
        kill("-KILL", victim);
        server.until(&format!("worker {victim} died"));
        until_true("two workers", || server.workers().len() == 2);
        let fresh = To::FastCgi { socket: server.socket.clone(), keep: false };
        // Whoever connects after that is served.
        let unharmed = Load::on(&[(fresh, 2)]);
        unharmed.go_on(50);
        assert_whole(unharmed);
        let (_, failed) = more.end();
        // One request a connection; at most as many as there were connections.
        assert!(failed.len() <= 9, "{failed:?}");
    }
    let (answered, failed) = load.end();
    assert!(answered > 0 && failed.len() <= 9, "{failed:?}");
}

/// nginx in front of a server's socket.
struct Nginx {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Nginx {
    fn before(server: &Server) -> Self {
        let folder = folder("reload-nginx");
        // Free a moment ago; nobody else is known to look for one here.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/serve-nginx");
        let address = format!("unix:{}", server.socket.display());
        let process = Command::new(script)
            .args([folder.as_os_str(), port.to_string().as_ref(), address.as_ref()])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until_true("nginx is up", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { process, folder, port }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("error.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        kill("-TERM", self.process.id());
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
#[ignore = "needs nginx; scripts/test-reload runs it"]
fn ten_reloads_under_load_through_nginx_lose_nothing() {
    let executable = Replaceable::new("nginx-executable");
    let options = ["--workers", "2", "--threads", "4", "--max-requests", "2000"];
    let mut server = Server::of("nginx", "fastcgi", &executable.path, &options);
    server.until("fastcgi on");
    let nginx = Nginx::before(&server);
    let to = |mount| To::Http { port: nginx.port, mount, keep: true };
    let load = Load::on(&[(to("/keep"), 8), (to("/plain"), 4)]);
    for number in 0..RELOADS {
        if number % 2 == 1 {
            executable.put_script("#!/bin/sh\nexit 3\n", 0o755);
            server.signal("-HUP");
            server.until("the old workers go on serving");
            executable.put_testbed();
        }
        reload(&mut server, &load);
    }
    assert_whole(load);
    // nginx asks a second time where a kept connection ends under its hands, and says so here.
    assert_eq!(nginx.log(), "");
}
