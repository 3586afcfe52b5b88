//! What the process as a whole owes: memory, descriptors, threads, patience, an orderly end.

use crate::{
    peer::{Came, Testbed},
    wire::{KEEP, RESPONDER, STDIN, begin, get, head, post, record, stream},
};
use std::{
    thread,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(30);

/// Waits for what becomes true by itself.
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_true() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn sixty_thousand_begins_cost_less_than_a_mebibyte() {
    let testbed = Testbed::start(&["--threads", "2"]);
    let mut peer = testbed.unix();
    peer.send(&get(1, "/hello"));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
    let before = testbed.status("VmRSS");
    peer.send_aside((1..=u16::MAX).flat_map(|id| begin(id, RESPONDER, KEEP)).collect());
    let mut refused = 0;
    while refused < usize::from(u16::MAX) - 1000 {
        assert_eq!(peer.next(), Came::Record);
        refused = peer.answers.len();
    }
    assert!(peer.answers.values().all(|answer| answer.end == Some((0, 2))), "FCGI_OVERLOADED");
    let grown = testbed.status("VmRSS").saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more");
}

/// A length that is only claimed takes no memory.
#[test]
fn what_is_claimed_and_never_sent_costs_nothing() {
    let testbed = Testbed::start(&["--threads", "4"]);
    let claim = |id| {
        let mut wire = begin(id, RESPONDER, KEEP);
        wire.extend([1, 4, 0, id as u8, 0xff, 0xff, 0xff, 0]);
        wire.extend(b"\xff\xff\xff\xff\xff\xff\xff\xffx");
        wire
    };
    let huge = head(1, "/count", &[("CONTENT_LENGTH", "9000000000000000000")]);
    let mut first = testbed.unix();
    first.send(&get(1, "/hello"));
    first.answer(1);
    let before = testbed.status("VmRSS");
    let mut peers: Vec<_> = (0..200).map(|_| testbed.unix()).collect();
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.send(&if n < 198 { claim(1) } else { huge.clone() });
    }
    first.send(&get(1, "/hello"));
    first.answer(1);
    let grown = testbed.status("VmRSS").saturating_sub(before);
    assert!(grown < 3 << 20, "{grown} bytes more for 200 connections");
}

#[test]
fn a_gibibyte_up_and_a_gibibyte_down_grow_nothing() {
    const MIB: usize = 1 << 20;
    // A build without optimization does a quarter of it in the same time.
    let mib = if cfg!(debug_assertions) { 256 } else { 1024 };
    let testbed = Testbed::start(&["--threads", "2"]);
    let mut peer = testbed.unix();
    peer.send(&post(1, "/count", &vec![0; 4 * MIB]));
    peer.answer(1);
    // Its own: a piece that came too fast lay in a file, whose pages are the system's to take.
    let before = testbed.status("RssAnon");
    let length = (mib * MIB).to_string();
    peer.send(&head(1, "/count", &[("CONTENT_LENGTH", &length)]));
    let piece = record(STDIN, 1, &[0; 32 << 10]);
    (0..mib * MIB / (32 << 10)).for_each(|_| peer.send(&piece));
    peer.send(&record(STDIN, 1, b""));
    assert_eq!(peer.answer(1).body(), format!("{length}\n").as_bytes());
    let up = testbed.status("RssAnon").saturating_sub(before);
    peer.send(&get(1, &format!("/bytes?n={length}")));
    let mut came = 0;
    while peer.answers.get(&1).is_none_or(|answer| answer.end.is_none()) {
        assert_eq!(peer.next(), Came::Record);
        if let Some(answer) = peer.answers.get_mut(&1) {
            came += std::mem::take(&mut answer.stdout).len();
        }
    }
    assert!(came > mib * MIB, "{came} bytes");
    let down = testbed.status("RssAnon").saturating_sub(before);
    assert!(up < 1 << 20 && down < 1 << 20, "{up} bytes more up, {down} down");
}

/// nginx has to send all of a body before its answer begins: it goes through files then.
#[test]
fn a_body_there_and_back_takes_half_a_mebibyte_and_leaves_no_file() {
    const LENGTH: usize = 32 << 20;
    let body: Vec<u8> = (0..LENGTH as u32).map(|n| (n >> 3) as u8).collect();
    for server in ["Apache/2.4.66", "nginx/1.22.1"] {
        // One thread: of several each takes its buffers when it first works, whatever it does.
        let testbed = Testbed::start(&["--threads", "1"]);
        let mut peer = testbed.unix();
        peer.send(&get(1, "/hello"));
        peer.answer(1);
        let (idle, length) = (testbed.status("RssAnon"), LENGTH.to_string());
        let vars = [("CONTENT_LENGTH", &length[..]), ("SERVER_SOFTWARE", server)];
        let mut wire = head(1, "/echo", &vars);
        wire.extend(stream(STDIN, 1, &body, 32 << 10));
        peer.send_aside(wire.clone());
        let (mut peak, mut back, mut files) = (0, Vec::new(), 0);
        while peer.answers.get(&1).is_none_or(|answer| answer.end.is_none()) {
            assert_eq!(peer.next(), Came::Record);
            if let Some(answer) = peer.answers.get_mut(&1) {
                back.append(&mut answer.stdout);
            }
            peak = peak.max(testbed.status("RssAnon"));
            files = files.max(testbed.nameless_files());
        }
        assert!(back.ends_with(&body), "{server}: {} bytes", back.len());
        let above = peak.saturating_sub(idle);
        assert!(above <= 512 << 10, "{server}: {above} bytes above idle");
        // A peer that reads slowly may make one necessary.
        assert!(files > 0 || server.starts_with("Apache"), "{server}: in no file");
        until("the files are gone", || testbed.nameless_files() == 0);
        peer.answers.clear();
        peer.send_aside(wire[..LENGTH / 2].to_vec());
        until("it is in a file again", || testbed.nameless_files() > 0);
        drop(peer);
        until("the files are gone with their peer", || testbed.nameless_files() == 0);
    }
}

#[test]
fn connections_dropped_at_every_stage_leave_no_descriptor_and_no_thread() {
    for multiplex in ["on", "off"] {
        let testbed = Testbed::start(&["--threads", "4", "--multiplex", multiplex]);
        let mut first = testbed.unix();
        first.send(&get(1, "/hello"));
        first.answer(1);
        drop(first);
        let sleeps = [get(1, "/sleep?ms=1"), post(2, "/echo", &[b'x'; 500])].concat();
        let large = [get(1, "/bytes?n=1000000"), get(2, "/hello")].concat();
        let (mut descriptors, mut threads) = (0, 0);
        until("it never came to rest", || {
            let now = (testbed.descriptors(), testbed.status("Threads"));
            let rests = now == (descriptors, threads);
            (descriptors, threads) = now;
            rests
        });
        for n in 0..1000 {
            let wire = if n % 2 == 0 { &sleeps } else { &large };
            let at = (n + 1) * wire.len() / 1000;
            let mut peer = if n % 4 < 2 { testbed.unix() } else { testbed.tcp() };
            peer.send(&wire[..at]);
            if n % 3 == 0 {
                peer.stop_sending();
            }
        }
        until("descriptors are left behind", || testbed.descriptors() <= descriptors);
        assert_eq!(testbed.status("Threads"), threads);
        let mut peer = testbed.tcp();
        peer.send(&get(1, "/hello"));
        assert_eq!(peer.answer(1).body(), b"Hello World\n");
    }
}

#[test]
fn two_hundred_idle_connections_take_nothing_from_a_busy_one() {
    for threads in ["1", "16"] {
        let testbed = Testbed::start(&["--threads", threads]);
        let mut idle: Vec<_> =
            (0..200).map(|n| if n % 2 == 0 { testbed.unix() } else { testbed.tcp() }).collect();
        // Some have been used, some have said half a header.
        for (n, peer) in idle.iter_mut().enumerate() {
            match n % 4 {
                0 | 1 => {
                    peer.send(&get(1, "/hello"));
                    assert_eq!(peer.answer(1).body(), b"Hello World\n");
                }
                2 => peer.send(&get(1, "/hello")[..5]),
                _ => {}
            }
        }
        let mut busy = testbed.unix();
        for _ in 0..200 {
            busy.send(&get(1, "/hello"));
            assert_eq!(busy.answer(1).body(), b"Hello World\n");
        }
        for (n, peer) in idle.iter_mut().enumerate() {
            peer.send(&get(1, "/hello")[if n % 4 == 2 { 5 } else { 0 }..]);
            assert_eq!(peer.answer(1).body(), b"Hello World\n");
        }
    }
}

/// 10,000 connections are promised, and 1,024 descriptors are what a process begins with.
#[test]
fn it_opens_as_many_descriptors_as_it_may() {
    let testbed = Testbed::start(&[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", testbed.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
}

#[test]
fn slow_readers_get_all_of_it_and_keep_nobody_waiting() {
    let testbed = Testbed::start(&["--threads", "16"]);
    let mut slow: Vec<_> =
        (0..12).map(|n| if n % 2 == 0 { testbed.unix() } else { testbed.tcp() }).collect();
    slow.iter_mut().for_each(|peer| peer.send(&get(1, "/bytes?n=20000000")));
    for mut peer in [testbed.unix(), testbed.tcp()] {
        for _ in 0..50 {
            peer.send(&get(1, "/hello"));
            assert_eq!(peer.answer(1).body(), b"Hello World\n");
        }
    }
    for peer in &mut slow {
        assert_eq!(peer.answer(1).body().len(), 20_000_000);
    }
}

#[test]
fn a_slow_reader_gives_its_only_thread_back_in_time() {
    let testbed = Testbed::start(&["--threads", "1", "--write-timeout", "300ms"]);
    for unix in [true, false] {
        let connect = || if unix { testbed.unix() } else { testbed.tcp() };
        let mut slow = connect();
        slow.send(&get(1, "/bytes?n=100000000"));
        let mut peer = connect();
        peer.send(&get(1, "/hello"));
        assert_eq!(peer.answer(1).body(), b"Hello World\n");
    }
}

#[test]
fn a_stop_closes_the_door_at_once_and_ends_what_is_in_flight() {
    for name in ["-TERM", "-INT", "-QUIT"] {
        let mut testbed = Testbed::start(&["--threads", "4"]);
        let (mut slow, mut idle) = (testbed.unix(), testbed.tcp());
        idle.send(&get(1, "/hello"));
        idle.answer(1);
        slow.send(&get(1, "/stream?chunks=2&size=1&delay_ms=700"));
        while slow.answers.get(&1).is_none_or(|answer| answer.stdout.is_empty()) {
            assert_eq!(slow.next(), Came::Record);
        }
        testbed.signal(name);
        idle.read_to_end();
        until("it still listens", || !testbed.is_listening());
        assert!(slow.answers[&1].end.is_none(), "the door was closed before the answer's end");
        assert_eq!(slow.answer(1).body(), b"xx");
        slow.read_to_end();
        assert_eq!(testbed.exit_code(), Some(0), "{name}");
    }
}

#[test]
fn a_second_signal_or_the_end_of_its_time_ends_it_at_once() {
    for (args, signals) in [(["--graceful-timeout", "100ms"], 1), (["--graceful-timeout", "1h"], 2)]
    {
        let mut testbed = Testbed::start(&args);
        let mut peer = testbed.unix();
        peer.send(&get(1, "/stream?chunks=2&size=1&delay_ms=60000"));
        while peer.answers.get(&1).is_none_or(|answer| answer.stdout.is_empty()) {
            assert_eq!(peer.next(), Came::Record);
        }
        testbed.signal("-TERM");
        until("it still listens", || !testbed.is_listening());
        if signals == 2 {
            testbed.signal("-TERM");
        }
        let code = testbed.exit_code();
        assert_eq!(code == Some(0), signals == 1, "{code:?}");
    }
}
