//! The FastCGI server over real sockets: what a web server may do to it, and what it must not mind.
#![cfg(target_os = "linux")]

mod fastcgi_peer;

use cgigate::{
    Body, Environ, Response, StartResponse,
    fcgi::Role,
    gateway::Settings,
    types::{Exception, is_departure},
};
use fastcgi_peer::{
    Apps, Gate, House, PLAIN, Peer, begin, count, echo, get_values, hello, post, request, talks,
};
use std::{
    fs,
    io::{self, Read, Write},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

fn fault<'r>(_: Environ<'r>, _: &mut dyn StartResponse) -> Response<'r> {
    panic!("as it was asked to")
}

fn cut<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let length = [PLAIN, ("Content-Length", "100")];
    let known = environ.get("QUERY_STRING") == Some(b"known");
    let mut write =
        start_response.call("200 OK", if known { &length[..] } else { &length[..1] })?;
    write.write_all(b"half")?;
    Err("the other half is lost".into())
}

fn megabytes<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[PLAIN])?;
    Ok(vec![b'x'; 8 << 20].into())
}

fn apps() -> Apps {
    Apps::default()
        .with("/hello", hello)
        .with("/count", count)
        .with("/echo", echo)
        .with("/fault", fault)
        .with("/cut", cut)
        .with("/megabytes", megabytes)
}

fn house(threads: usize) -> House {
    House::open(apps(), Settings { threads, ..Settings::default() })
}

/// A house with an application that waits at the gate.
fn gated(threads: usize) -> (House, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let wait = gate.app();
    let apps = apps().with("/wait", wait);
    (House::open(apps, Settings { threads, ..Settings::default() }), gate)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

#[test]
fn a_kept_connection_is_served_again_and_again() {
    let house = house(4);
    for mut peer in [house.unix(), house.tcp()] {
        for _ in 0..100 {
            peer.send(&request(1, "/hello", true));
            let answer = peer.answer(1);
            assert_eq!(answer.body(), b"Hello World\n");
            assert_eq!(answer.records, 3, "one STDOUT, its end, END_REQUEST");
            assert!(answer.head().ends_with("Status: 200 OK"), "{}", answer.head());
        }
    }
}

#[test]
fn a_connection_that_is_not_kept_ends_after_its_answer() {
    let house = house(4);
    let mut peer = house.unix();
    peer.send(&request(7, "/hello", false));
    assert_eq!(peer.answer(7).body(), b"Hello World\n");
    assert!(peer.at_end());
}

#[test]
fn more_connections_than_threads_are_all_served() {
    let house = house(4);
    let mut peers: Vec<Peer> = (0..64).map(|_| house.unix()).collect();
    for _ in 0..3 {
        peers.iter_mut().for_each(|peer| peer.send(&request(1, "/hello", true)));
        for peer in &mut peers {
            assert_eq!(peer.answer(1).body(), b"Hello World\n");
        }
    }
}

#[test]
fn bodies_of_all_awkward_sizes_come_back() {
    let house = house(4);
    let mut peer = house.unix();
    for length in [0, 1, 7, 8, 65_527, 65_528, 65_535, 65_536, 81_920, 131_071, 1 << 20] {
        let body = body(length);
        peer.send_aside(post(1, "/echo", &body));
        assert!(peer.answer(1).body() == body, "{length}");
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let house = house(4);
    let mut peer = house.tcp();
    for byte in post(3, "/echo", b"slowly") {
        peer.send(&[byte]);
    }
    assert_eq!(peer.answer(3).body(), b"slowly");
}

#[test]
fn a_peer_may_write_its_whole_body_before_it_reads_a_byte() {
    let house = house(2);
    let mut peer = house.unix();
    let body = body(4 << 20);
    peer.send(&post(1, "/echo", &body));
    assert!(peer.answer(1).body() == body);
}

#[test]
fn two_bodies_at_once_reach_two_applications() {
    for threads in [1, 4] {
        let house = house(threads);
        let mut peer = house.unix();
        let (one, two) = (body(300_000), body(200_001));
        let mut wire = fastcgi_peer::head(1, Role::Responder, "/echo", true, Some(one.len()));
        wire.extend(fastcgi_peer::head(2, Role::Responder, "/count", true, Some(two.len())));
        let mut pieces = (one.chunks(5_000), two.chunks(3_000));
        loop {
            let (first, second) = (pieces.0.next(), pieces.1.next());
            if first.is_none() && second.is_none() {
                break;
            }
            first.into_iter().for_each(|piece| fastcgi_peer::stdin(&mut wire, 1, piece));
            second.into_iter().for_each(|piece| fastcgi_peer::stdin(&mut wire, 2, piece));
        }
        fastcgi_peer::stdin(&mut wire, 2, b"");
        fastcgi_peer::stdin(&mut wire, 1, b"");
        peer.send_aside(wire);
        assert!(peer.answer(1).body() == one, "{threads} threads");
        assert_eq!(peer.answer(2).body(), b"200001\n", "{threads} threads");
    }
}

#[test]
fn a_slow_request_holds_nobody_back_on_its_own_connection() {
    let (house, gate) = gated(4);
    let mut peer = house.unix();
    // In the same read as the slow one; later; and behind a body that is not whole.
    let mut both = request(1, "/wait", true);
    both.extend(request(2, "/hello", true));
    peer.send(&both);
    assert_eq!(peer.answer(2).body(), b"Hello World\n");
    gate.await_waiting(1);
    peer.send(&request(3, "/hello", true));
    assert_eq!(peer.answer(3).body(), b"Hello World\n");
    peer.send(&fastcgi_peer::head(4, Role::Responder, "/wait", true, Some(10)));
    gate.await_waiting(2);
    peer.send(&request(5, "/hello", true));
    assert_eq!(peer.answer(5).body(), b"Hello World\n");
    gate.open();
    assert_eq!(peer.answer(1).body(), b"waited\n");
    assert_eq!(peer.answer(4).body(), b"waited\n");
}

#[test]
fn while_every_thread_is_in_an_application_the_protocol_is_still_answered() {
    let (house, gate) = gated(2);
    let mut slow: Vec<Peer> = (0..2).map(|_| house.unix()).collect();
    slow.iter_mut().for_each(|peer| peer.send(&request(1, "/wait", true)));
    gate.await_waiting(2);
    let mut peer = house.unix();
    peer.send(&fastcgi_peer::get_values());
    assert_eq!(peer.record().0, 10, "GET_VALUES_RESULT");
    peer.send(&fastcgi_peer::begin(9));
    peer.send(&fastcgi_peer::abort(9));
    assert_eq!(peer.answer(9).stdout, b"", "an abort before the first PARAMS");
    gate.open();
    slow.iter_mut().for_each(|peer| assert_eq!(peer.answer(1).body(), b"waited\n"));
}

#[test]
fn a_queue_that_is_full_is_answered_503() {
    let gate = Arc::new(Gate::default());
    let wait = gate.app();
    let settings = Settings { threads: 1, max_queue: 1, ..Settings::default() };
    let house = House::open(Apps::default().with("/wait", wait), settings);
    let mut first = house.unix();
    first.send(&request(1, "/wait", true));
    gate.await_waiting(1);
    let mut peer = house.unix();
    let mut wire = request(1, "/wait", true);
    wire.extend(request(2, "/wait", true));
    peer.send(&wire);
    // Of two requests one may wait; which one is of no matter.
    let (refused, answer) = peer.any_answer();
    assert!(answer.head().contains("Status: 503 "), "{}", answer.head());
    assert!(answer.head().contains("Retry-After: "), "{}", answer.head());
    gate.open();
    assert_eq!(peer.answer(3 - refused).body(), b"waited\n");
    assert_eq!(first.answer(1).body(), b"waited\n");
}

#[test]
fn an_abort_ends_a_running_request_once_and_its_reads_fail() {
    let (told, tell) = mpsc::channel::<bool>();
    let told = Mutex::new(told);
    let read = cgigate::app(move |mut environ, _| {
        told.lock().expect("one request").send(false).expect("the test waits");
        let error: Exception =
            environ.input.read(&mut [0; 10]).expect_err("nothing ever comes").into();
        let cancelled = environ.request.is_cancelled();
        let told = told.lock().expect("one request").send(cancelled && is_departure(&error));
        told.expect("the test waits");
        Err(error)
    });
    let house = House::open(apps().with("/read", read), Settings::default());
    let mut peer = house.unix();
    peer.send(&fastcgi_peer::head(1, Role::Responder, "/read", true, Some(10)));
    assert!(!tell.recv().expect("the application has begun"));
    peer.send(&fastcgi_peer::abort(1));
    let answer = peer.answer(1);
    assert_eq!((answer.stdout.len(), answer.records), (0, 1), "END_REQUEST and nothing else");
    assert!(tell.recv().expect("the application was told"));
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
    assert_eq!(house.log(), "", "a departure is nobody's fault");
}

/// The second request took the first one's place in the receive buffer, and so its body.
#[test]
fn a_request_that_takes_an_aborted_ones_id_does_not_get_its_body() {
    let house = house(2);
    let mut peer = house.unix();
    let mut wire = fastcgi_peer::head(1, Role::Responder, "/echo", true, Some(9));
    fastcgi_peer::stdin(&mut wire, 1, b"theirs");
    wire.extend(fastcgi_peer::abort(1));
    wire.extend(post(1, "/echo", b"ours"));
    for _ in 0..20 {
        peer.send(&wire);
        let aborted = peer.answer(1);
        assert_eq!((aborted.stdout.len(), aborted.records), (0, 1));
        assert_eq!(peer.answer(1).body(), b"ours");
    }
}

#[test]
fn a_hang_up_cancels_what_runs() {
    let (told, tell) = mpsc::channel::<()>();
    let told = Mutex::new(told);
    let until = cgigate::app(move |environ, _| {
        while !environ.request.is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
        told.lock().expect("one request").send(()).expect("the test waits");
        Err("too late for anybody".into())
    });
    let house = House::open(
        Apps::default().with("/until", until),
        Settings { threads: 1, ..Settings::default() },
    );
    let mut peer = house.unix();
    peer.send(&request(1, "/until", true));
    drop(peer);
    tell.recv_timeout(Duration::from_secs(10)).expect("the application was told");
}

/// What came last, and may not even be understood or is answered at once, and the peer's end come in
/// one event: there is no other.
#[test]
fn a_hang_up_right_behind_other_records_cancels_what_runs() {
    let (say, heard) = mpsc::channel();
    let say = Arc::new(Mutex::new(say));
    let hear = || heard.recv_timeout(Duration::from_secs(10));
    for threads in [1, 4] {
        let say = Arc::clone(&say);
        let until = cgigate::app(move |environ, _| {
            let say = |what| say.lock().expect("one request").send(what).expect("the test waits");
            say("runs");
            while !environ.request.is_cancelled() {
                thread::sleep(Duration::from_millis(1));
            }
            say("was cancelled");
            Err("too late for anybody".into())
        });
        let settings = Settings { threads, ..Settings::default() };
        let house = House::open(Apps::default().with("/until", until), settings);
        let garbage = vec![0xff; 16];
        for (what, last) in [("garbage", garbage), ("question", get_values()), ("other", begin(2))]
        {
            for _ in 0..50 {
                let mut peer = house.unix();
                peer.send(&request(1, "/until", true));
                assert_eq!(hear(), Ok("runs"));
                peer.send(&last);
                drop(peer);
                assert_eq!(hear(), Ok("was cancelled"), "{what}, {threads} threads");
            }
        }
    }
}

/// With its only thread in the application: the steward listens then.
#[test]
fn after_an_abort_or_a_hang_up_writes_fail_and_nothing_is_logged() {
    let (told, tell) = mpsc::channel::<bool>();
    let told = Mutex::new(told);
    let write = cgigate::app(move |environ, start_response| {
        let mut write = start_response.call("200 OK", &[PLAIN])?;
        write.write_all(b"begun")?;
        while !environ.request.is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
        let error = write.write_all(b"more").expect_err("nobody takes it");
        let aborted = error.kind() == io::ErrorKind::ConnectionAborted;
        let error: Exception = error.into();
        let told = told.lock().expect("one request").send(aborted && is_departure(&error));
        told.expect("the test waits");
        Err(error)
    });
    let settings = Settings { threads: 1, ..Settings::default() };
    let house = House::open(apps().with("/write", write), settings);
    let mut peer = house.unix();
    peer.send(&request(1, "/write", true));
    assert_eq!(peer.record().0, 6, "what was written before");
    peer.send(&fastcgi_peer::abort(1));
    assert!(tell.recv_timeout(Duration::from_secs(10)).expect("the application was told"));
    let answer = peer.answer(1);
    assert_eq!((answer.stdout.len(), answer.records, answer.app_status), (0, 1, 0));
    peer.send(&request(1, "/write", true));
    assert_eq!(peer.record().0, 6, "what was written before");
    drop(peer);
    assert!(tell.recv_timeout(Duration::from_secs(10)).expect("the application was told"));
    let mut next = house.tcp();
    next.send(&request(1, "/hello", true));
    assert_eq!(next.answer(1).body(), b"Hello World\n");
    assert_eq!(house.log(), "");
}

#[test]
fn a_peer_that_only_stops_sending_is_still_answered() {
    for connect in [House::unix, House::tcp] {
        let (house, gate) = gated(4);
        let mut peer = connect(&house);
        peer.send(&request(1, "/wait", true));
        peer.stop_sending();
        gate.await_waiting(1);
        gate.open();
        assert_eq!(peer.answer(1).body(), b"waited\n");
        assert!(peer.at_end());
    }
}

#[test]
fn a_body_cut_short_is_not_taken_for_a_whole_one() {
    let house = house(4);
    let mut peer = house.tcp();
    let mut wire = fastcgi_peer::head(1, Role::Responder, "/count", true, Some(100));
    fastcgi_peer::stdin(&mut wire, 1, b"only this");
    peer.send(&wire);
    peer.stop_sending();
    let answer = peer.answer(1);
    assert!(answer.head().contains("Status: 400 "), "{}", answer.head());

    // STDIN ended before CONTENT_LENGTH: the same, and the connection goes on.
    let mut peer = house.unix();
    fastcgi_peer::stdin(&mut wire, 1, b"");
    peer.send(&wire);
    assert!(peer.answer(1).head().contains("Status: 400 "));
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

#[test]
fn garbage_ends_its_connection_and_harms_no_other() {
    let house = house(4);
    let mut good = house.unix();
    let garbage: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0xff; 64], &[1, 1, 0, 1, 0, 7, 0, 0], &[1, 5]];
    for bytes in garbage {
        let mut bad = house.unix();
        bad.send(bytes);
        bad.stop_sending();
        assert!(bad.at_end(), "{bytes:?}");
        good.send(&request(1, "/hello", true));
        assert_eq!(good.answer(1).body(), b"Hello World\n");
    }
}

#[test]
fn malformed_parameters_never_run_an_application() {
    let house = house(4);
    let mut peer = house.unix();
    let mut wire = fastcgi_peer::begin(1);
    fastcgi_peer::params(&mut wire, 1, b"\x09\x0cPATH_INFO");
    peer.send(&wire);
    assert!(peer.answer(1).head().contains("Status: 400 "));
    let settings = Settings { max_params: 1000, ..Settings::default() };
    let house = House::open(apps(), settings);
    let mut peer = house.unix();
    let mut wire = fastcgi_peer::begin(1);
    fastcgi_peer::params(&mut wire, 1, &[0; 1001]);
    peer.send(&wire);
    assert!(peer.answer(1).head().contains("Status: 431 "));
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

#[test]
fn a_body_over_the_limit_is_answered_413() {
    let house = House::open(apps(), Settings { max_body: Some(1000), ..Settings::default() });
    let mut peer = house.unix();
    peer.send(&post(1, "/count", &body(1001)));
    assert!(peer.answer(1).head().contains("Status: 413 "));
    let mut wire = fastcgi_peer::head(2, Role::Responder, "/count", true, None);
    fastcgi_peer::stdin(&mut wire, 2, &body(1001));
    fastcgi_peer::stdin(&mut wire, 2, b"");
    peer.send(&wire);
    assert!(peer.answer(2).head().contains("Status: 413 "), "found out on the way");
    peer.send(&post(3, "/count", &body(1000)));
    assert_eq!(peer.answer(3).body(), b"1000\n");
}

#[test]
fn an_unknown_role_is_refused_and_an_unknown_type_named() {
    let house = house(4);
    let mut peer = house.unix();
    peer.send(&fastcgi_peer::head(1, Role::Filter, "/hello", true, None));
    assert_eq!(peer.answer(1).protocol_status, 3);
    peer.send(&[1, 77, 0, 0, 0, 0, 0, 0]);
    let (kind, id, content) = peer.record();
    assert_eq!((kind, id, content[0]), (11, 0, 77));
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

#[test]
fn after_a_panic_the_next_request_on_the_connection_is_served() {
    let house = house(4);
    let mut peer = house.unix();
    peer.send(&request(1, "/fault", true));
    let answer = peer.answer(1);
    assert!(answer.head().contains("Status: 500 "), "{}", answer.head());
    let log = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert!(log.contains("as it was asked to"), "{log}");
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

#[test]
fn a_response_that_is_cut_ends_so_that_the_client_can_tell() {
    let house = house(4);
    let mut peer = house.unix();
    let known = fastcgi_peer::request_with(1, "/cut", true, &[("QUERY_STRING", "known")]);
    peer.send(&known);
    let answer = peer.answer(1);
    assert_eq!((answer.body(), answer.app_status), (&b"half"[..], 1));
    peer.send(&request(1, "/cut", true));
    assert!(peer.ends_without_end_request(), "without a length only that tells");

    let (house, gate) = gated(4);
    let mut peer = house.unix();
    peer.send(&request(2, "/wait", true));
    gate.await_waiting(1);
    peer.send(&request(1, "/cut", true));
    assert_eq!(peer.answer(1).app_status, 1, "another request is open on the connection");
    gate.open();
    assert_eq!(peer.answer(2).body(), b"waited\n");
}

#[test]
fn a_request_that_stands_still_is_answered_408() {
    let read_timeout = Some(Duration::from_millis(100));
    let house = House::open(apps(), Settings { read_timeout, ..Settings::default() });
    let mut peer = house.unix();
    peer.send(&fastcgi_peer::begin(1));
    assert!(peer.answer(1).head().contains("Status: 408 "), "before its parameters");
    peer.send(&fastcgi_peer::head(2, Role::Responder, "/count", true, Some(10)));
    assert!(peer.answer(2).head().contains("Status: 408 "), "before its body");
    peer.send(&request(3, "/hello", true));
    assert_eq!(peer.answer(3).body(), b"Hello World\n");
}

#[test]
fn slow_readers_do_not_keep_others_from_being_served() {
    let house = house(8);
    let mut slow: Vec<Peer> = (0..4).map(|_| house.unix()).collect();
    slow.iter_mut().for_each(|peer| peer.send(&request(1, "/megabytes", true)));
    let mut peer = house.unix();
    for _ in 0..50 {
        peer.send(&request(1, "/hello", true));
        assert_eq!(peer.answer(1).body(), b"Hello World\n");
    }
    for peer in &mut slow {
        assert_eq!(peer.answer(1).body().len(), 8 << 20);
    }
}

#[test]
fn idle_connections_beside_a_busy_one_take_nothing_from_it() {
    let house = house(2);
    let mut idle: Vec<Peer> = (0..200).map(|_| house.unix()).collect();
    let mut peer = house.unix();
    for _ in 0..100 {
        peer.send(&request(1, "/hello", true));
        assert_eq!(peer.answer(1).body(), b"Hello World\n");
    }
    for peer in &mut idle {
        peer.send(&request(1, "/hello", true));
        assert_eq!(peer.answer(1).body(), b"Hello World\n");
    }
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    let (house, gate) = gated(4);
    let mut peer = house.unix();
    peer.send(&request(1, "/wait", true));
    gate.await_waiting(1);
    house.stop();
    gate.open();
    assert_eq!(peer.answer(1).body(), b"waited\n");
    assert!(peer.at_end());
    house.await_end();
}

#[test]
fn connections_dropped_at_every_stage_leave_nothing_behind() {
    let house = house(4);
    let wire = post(1, "/echo", b"hello, is anybody there?");
    for at in 0..1000 {
        let mut peer = house.unix();
        peer.send(&wire[..at * wire.len() / 1000]);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while house.sockets() > 0 {
        assert!(Instant::now() < deadline, "{} sockets are left", house.sockets());
        thread::sleep(Duration::from_millis(10));
    }
    let mut peer = house.unix();
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

#[test]
fn sixty_thousand_begins_are_refused_and_cost_next_to_nothing() {
    let house = house(2);
    let mut peer = house.unix();
    let begins: Vec<u8> = (1..=u16::MAX).flat_map(fastcgi_peer::begin).collect();
    peer.send_aside(begins);
    let limit = Settings::default().max_requests_per_connection;
    for _ in 0..usize::from(u16::MAX) - limit {
        let (kind, _, content) = peer.record();
        assert_eq!((kind, content[4]), (3, 2), "END_REQUEST with FCGI_OVERLOADED");
    }
}

/// Connections that open and close, requests of one to four ids cut and mixed at random places,
/// applications of three speeds: a wake-up that is lost makes this stand still.
#[test]
fn no_wake_up_is_lost() {
    let sleepy = cgigate::app(|environ, start_response| {
        let millis = environ.get("QUERY_STRING").and_then(|q| q.first()).map_or(0, |c| c - b'0');
        thread::sleep(Duration::from_millis(millis.into()));
        start_response.call("200 OK", &[PLAIN])?;
        Ok("slept\n".into())
    });
    let house =
        House::open(apps().with("/sleepy", sleepy), Settings { threads: 4, ..Settings::default() });
    let until = Instant::now() + Duration::from_secs(4);
    thread::scope(|scope| {
        for seed in 1..=12u64 {
            let house = &house;
            scope.spawn(move || {
                let mut dice = Dice(seed);
                while Instant::now() < until {
                    let mut peer = house.unix();
                    for _ in 0..dice.roll(20) {
                        exchange(&mut peer, &mut dice);
                    }
                }
            });
        }
    });
}

fn exchange(peer: &mut Peer, dice: &mut Dice) {
    let ids = 1 + dice.roll(4) as u16;
    let mut wire = Vec::new();
    for id in 1..=ids {
        let millis = ["0", "1", "3"][dice.roll(3) as usize];
        match dice.roll(3) {
            0 => wire.extend(request(id, "/hello", true)),
            1 => wire.extend(post(id, "/count", &body(dice.roll(20_000) as usize))),
            _ => {
                let query = [("QUERY_STRING", millis)];
                wire.extend(fastcgi_peer::request_with(id, "/sleepy", true, &query));
            }
        }
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(1 + dice.roll(rest.len() as u64) as usize);
        peer.send(now);
        rest = later;
        if dice.roll(4) == 0 {
            thread::sleep(Duration::from_micros(dice.roll(2000)));
        }
    }
    for id in 1..=ids {
        assert_eq!(peer.answer(id).app_status, 0);
    }
}

/// Marsaglia's xorshift: the same rolls for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn a_file_goes_through_the_wrapper_whole() {
    let path = std::env::temp_dir().join(format!("cgigate-file-{}", std::process::id()));
    fs::write(&path, body(300_000)).expect("a temporary folder");
    let from = path.clone();
    let file = cgigate::app(move |environ, start_response| {
        start_response.call("200 OK", &[PLAIN])?;
        let _ = environ;
        Ok(Body::File(cgigate::types::FileWrapper::new(fs::File::open(&from)?)))
    });
    let house = House::open(apps().with("/file", file), Settings::default());
    let mut peer = house.unix();
    peer.send(&request(1, "/file", true));
    assert!(peer.answer(1).body() == body(300_000));
    fs::remove_file(path).expect("it was there");
}

#[test]
fn what_is_logged_before_the_answer_follows_it_up_to_a_limit() {
    for (lines, block, first) in [(3, 5, 6), (3, 20_000, 6), (3, 200_000, 6), (200, 5, 7)] {
        let house =
            House::open(apps().with("/talk", talks(lines, body(block))), Settings::default());
        let mut peer = house.unix();
        peer.send(&request(1, "/talk", true));
        let begin = peer.record();
        assert_eq!(begin.0, first, "{lines} lines, {block} bytes");
        let (mut stdout, mut stderr, mut record) = (Vec::new(), 0, begin);
        while record.0 != 3 {
            match record {
                (6, _, content) => stdout.extend(content),
                (7, _, content) => stderr += content.len(),
                (kind, ..) => panic!("a record of type {kind}"),
            }
            record = peer.record();
        }
        assert!(stdout.ends_with(&body(block)), "{lines} lines, {block} bytes");
        assert_eq!(stderr, lines * 1000);
    }
}
