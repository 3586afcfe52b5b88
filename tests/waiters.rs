//! How many threads wait for what comes: as many as there are CPUs, but for one connection one. Alone
//! in its process, for it counts the threads of that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fastcgi_peer;

use cgigate::{gateway::Settings, types::app};
use fastcgi_peer::{Apps, House, PLAIN, Peer, hello, request};
use std::{
    fs,
    hint::spin_loop,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

const THREADS: usize = 4;

/// Threads of the server that neither wait for what comes nor serve it: they are parked.
fn spares() -> usize {
    let parked = format!("{} ", libc::SYS_futex);
    let begins = |file: PathBuf, with: &str| {
        fs::read_to_string(file).is_ok_and(|content| content.starts_with(with))
    };
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let workers = tasks.filter(|task| begins(task.join("comm"), "worker "));
    workers.filter(|worker| begins(worker.join("syscall"), &parked)).count()
}

fn ask(peer: &mut Peer) {
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

/// Asks again and again until so many threads are there for the next request.
fn until_awake(wanted: usize, peers: &mut [&mut Peer]) {
    let started = Instant::now();
    while spares() != THREADS - wanted {
        peers.iter_mut().for_each(|peer| ask(peer));
        assert!(started.elapsed() < PATIENCE, "{} threads are parked", spares());
    }
}

#[test]
fn one_connection_has_one_thread_and_what_comes_beside_its_request_finds_another() {
    let free = Arc::new(AtomicBool::new(false));
    let computes = Arc::clone(&free);
    let compute = app(move |_, start_response| {
        while !computes.load(Ordering::Relaxed) {
            spin_loop();
        }
        start_response.call("200 OK", &[PLAIN])?;
        Ok("computed\n".into())
    });
    let apps = Apps::default().with("/hello", hello).with("/compute", compute);
    let house = House::open(apps, Settings { threads: THREADS, waiters: 2, ..Settings::default() });
    let mut first = house.unix();
    until_awake(1, &mut [&mut first]);
    first.send(&request(1, "/compute", true));
    first.send(&request(2, "/hello", true));
    assert_eq!(first.answer(2).body(), b"Hello World\n");
    free.store(true, Ordering::Relaxed);
    assert_eq!(first.answer(1).body(), b"computed\n");
    free.store(false, Ordering::Relaxed);
    until_awake(1, &mut [&mut first]);
    first.send(&request(1, "/compute", true));
    // Nobody waits now; who connects is answered nevertheless.
    let mut second = house.unix();
    ask(&mut second);
    free.store(true, Ordering::Relaxed);
    assert_eq!(first.answer(1).body(), b"computed\n");
    until_awake(2, &mut [&mut first, &mut second]);
    drop(second);
    until_awake(1, &mut [&mut first]);
}
