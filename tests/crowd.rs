//! Ten thousand peers that have connected and say nothing, and the few descriptors of a system that
//! allows no more: who speaks is served as ever.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use fleet::{
    Server, folder, lives,
    talk::{Protocol, Talk},
    testbed, until_true,
};
use std::{fs, process::Command};

/// The default of `--max-connections`.
const CROWD: usize = 10_000;

fn start(name: &str, protocol: &str, limit: &str, options: &[&str]) -> Server {
    let folder = folder(name);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(testbed());
    command.args([protocol, "--listen", &format!("unix:{}", folder.join("s").display())]);
    let mut server = Server::run(folder, command.args(options));
    server.until(&format!("{protocol} on"));
    server
}

fn hello(peer: &mut Talk) -> Vec<u8> {
    let wire = peer.request(1, "/hello", b"", true);
    peer.send(&wire).unwrap();
    peer.answer().unwrap().0
}

/// So many descriptors for this process, as for those that it starts; false where that is not allowed.
fn can_have(descriptors: usize) -> bool {
    let pid = std::process::id().to_string();
    let limit = format!("--nofile={descriptors}:{descriptors}");
    let have = fs::read_to_string("/proc/self/limits").unwrap();
    let line = have.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    soft == "unlimited"
        || soft.parse::<usize>().unwrap() >= descriptors
        || Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success()
}

/// A number that the kernel tells of a process.
fn told(pid: u32, what: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn memory(pid: u32) -> usize {
    told(pid, "RssAnon")
}

/// A table that grows makes everybody wait who opens something (`make_room_for_descriptors`).
#[test]
fn there_is_room_for_all_connections_before_the_first_one_comes() {
    for name in ["fastcgi", "http"] {
        for (limit, most, room) in [("4096", "3000", 3001), ("512", "3000", 512)] {
            let server =
                start(&format!("room-{name}-{limit}"), name, limit, &["--max-connections", most]);
            let there = told(server.workers()[0], "FDSize");
            assert!((room..=8192).contains(&there), "{name}, {limit}: {there}");
        }
    }
}

#[test]
fn ten_thousand_that_say_nothing_cost_little_and_outlive_a_reload() {
    if !can_have(CROWD + 500) {
        eprintln!("SKIPPED: this system allows fewer descriptors");
        return;
    }
    for (protocol, name) in [(Protocol::FastCgi, "fastcgi"), (Protocol::Http, "http")] {
        let options = ["--threads", "4", "--idle-timeout", "30m"];
        let mut server = start(&format!("crowd-{name}"), name, "$(ulimit -Hn)", &options);
        let worker = server.workers()[0];
        let socket = server.socket.clone();
        let connect = || Talk::connect(protocol, &socket).unwrap();
        assert_eq!(hello(&mut connect()), b"Hello World\n");
        let before = memory(worker);
        let mut crowd: Vec<Talk> = (0..CROWD).map(|_| connect()).collect();
        assert_eq!(hello(&mut crowd[CROWD - 1]), b"Hello World\n", "{name}");
        let each = (memory(worker).saturating_sub(before) << 10) / CROWD;
        assert!(each < 1024, "{each} bytes for each that says nothing");
        for peer in &mut crowd {
            assert_eq!(hello(peer), b"Hello World\n", "{name}");
        }
        // One more is too many, and is told so.
        let mut more = connect();
        let wire = more.request(1, "/hello", b"", true);
        more.send(&wire).unwrap();
        let refused = more.answer().map_err(|error| error.to_string());
        let refused = refused.expect_err(name);
        assert!(refused.contains("503"), "{name}: {refused}");
        drop(more);
        server.signal("-HUP");
        server.until("new workers serve");
        for peer in &mut crowd {
            assert_eq!(hello(peer), b"Hello World\n", "{name}");
        }
        until_true("the old one goes", || !lives(worker));
        server.signal("-TERM");
        assert_eq!(server.end(), Some(0));
    }
}

#[test]
fn with_few_descriptors_every_protocol_serves_whom_it_can_and_all_of_them_in_the_end() {
    for (protocol, name) in Protocol::ALL {
        let mut server = start(&format!("few-{name}"), name, "64", &["--threads", "4"]);
        let socket = server.socket.clone();
        let connect = || Talk::connect(protocol, &socket).unwrap();
        let idle: Vec<_> = (0..100).map(|_| connect()).collect();
        let mut late = connect();
        let wire = late.request(1, "/hello", b"", true);
        late.send(&wire).unwrap();
        drop(idle);
        assert_eq!(late.answer().unwrap().0, b"Hello World\n", "{name}");
        // There is one for a reload, too.
        server.signal("-HUP");
        server.until("new workers serve");
        let mut next = Talk::connect(protocol, &server.socket).unwrap();
        assert_eq!(hello(&mut next), b"Hello World\n", "{name}");
        server.signal("-TERM");
        assert_eq!(server.end(), Some(0));
    }
}
