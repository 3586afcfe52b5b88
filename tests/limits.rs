//! Every limit of the FastCGI server has its answer, over real sockets; nothing else suffers.
#![cfg(target_os = "linux")]

mod fastcgi_peer;

use cgigate::{
    Body, Environ, Response, StartResponse,
    fcgi::{RecordType, RequestId, Role, begin_request, stream},
    gateway::Settings,
    types::Blocks,
};
use fastcgi_peer::{
    Apps, Gate, House, PLAIN, Peer, abort, begin, count, get_values, head, hello, post, request,
    request_with, stdin,
};
use std::{
    io::{ErrorKind, Write},
    num::NonZeroU16,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const SHORT: Duration = Duration::from_millis(300);

/// A hundred MiB, block by block.
fn large<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    struct Large(Vec<u8>, usize);
    impl Blocks for Large {
        fn next_block(&mut self) -> Result<Option<&[u8]>, cgigate::Exception> {
            self.1 += 1;
            Ok((self.1 <= 25).then_some(&self.0))
        }
    }
    start_response.call("200 OK", &[PLAIN])?;
    Ok(Body::Blocks(Box::new(Large(vec![b'x'; 4 << 20], 0))))
}

fn open(settings: Settings) -> (House, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let wait = gate.app();
    let apps = Apps::default().with("/hello", hello).with("/count", count).with("/large", large);
    (House::open(apps.with("/wait", wait), settings), gate)
}

fn is_well(peer: &mut Peer) {
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

fn is_refused(peer: &mut Peer, id: u16, status: &str) {
    let answer = peer.answer(id);
    assert!(answer.head().contains(&format!("Status: {status} ")), "{}", answer.head());
    assert_eq!(answer.head().contains("Retry-After: "), status == "503", "{}", answer.head());
}

#[test]
fn too_many_variables_are_answered_431() {
    let (house, _) = open(Settings { max_variables: 100, ..Settings::default() });
    let mut peer = house.unix();
    for (variables, refused) in [(100, false), (101, true), (100_000, true)] {
        let mut wire = begin(1);
        let mut params = b"\x09\x06PATH_INFO/hello".to_vec();
        params.extend((1..variables).flat_map(|_| *b"\x01\x01A1"));
        fastcgi_peer::params(&mut wire, 1, &params);
        stdin(&mut wire, 1, b"");
        peer.send_aside(wire);
        match refused {
            true => is_refused(&mut peer, 1, "431"),
            false => assert_eq!(peer.answer(1).body(), b"Hello World\n"),
        }
    }
}

/// A request that began on a connection where another runs was never looked at.
#[test]
fn parameters_that_never_end_are_answered_408_also_beside_a_running_request() {
    let (house, gate) = open(Settings { read_timeout: Some(SHORT), ..Settings::default() });
    for mut peer in [house.unix(), house.tcp()] {
        peer.send(&request(1, "/wait", true));
        gate.await_waiting(1);
        // A byte now and then is no end.
        peer.send(&begin(2));
        let mut wire = Vec::new();
        stream(&mut wire, RecordType::Params, RequestId(NonZeroU16::new(2).unwrap()), &[b'x'; 20]);
        for byte in wire {
            peer.send(&[byte]);
            thread::sleep(Duration::from_millis(20));
        }
        is_refused(&mut peer, 2, "408");
        gate.open();
        assert_eq!(peer.answer(1).body(), b"waited\n");
        is_well(&mut peer);
        gate.close();
    }
}

/// What others received counted as progress of a body that stood still.
#[test]
fn a_body_that_stands_still_is_answered_408_however_much_its_neighbours_say() {
    let (house, _) = open(Settings { read_timeout: Some(SHORT), ..Settings::default() });
    let mut peer = house.unix();
    let mut wire = head(9, Role::Responder, "/count", true, Some(10));
    stdin(&mut wire, 9, b"five.");
    peer.send(&wire);
    let began = Instant::now();
    let (id, answer) = loop {
        peer.send(&request(1, "/hello", true));
        let (id, answer) = peer.any_answer();
        if id == 9 || began.elapsed() > Duration::from_secs(20) {
            break (id, answer);
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert!(id == 9 && answer.head().contains("Status: 408 "), "{id}: {}", answer.head());
}

#[test]
fn an_idle_connection_is_closed_and_the_time_of_a_request_does_not_count() {
    // Long enough for a request that is sent at once, also on a machine that has much to do.
    let idle_timeout = Some(Duration::from_secs(1));
    let (house, gate) = open(Settings { idle_timeout, ..Settings::default() });
    for connect in [House::unix, House::tcp] {
        let mut busy = connect(&house);
        busy.send(&request(1, "/wait", true));
        gate.await_waiting(1);
        let mut idle = connect(&house);
        is_well(&mut idle);
        assert!(idle.at_end());
        // Longer than the limit since anything came: and still not idle.
        gate.open();
        assert_eq!(busy.answer(1).body(), b"waited\n");
        is_well(&mut busy);
        assert!(busy.at_end());
        gate.close();
    }
}

/// The limit was looked at when a thread came free, however late.
#[test]
fn a_request_that_waits_too_long_for_a_thread_is_answered_503() {
    let settings = Settings { threads: 1, queue_timeout: Some(SHORT), ..Settings::default() };
    let (house, gate) = open(settings);
    let (mut slow, mut peer) = (house.unix(), house.tcp());
    slow.send(&request(1, "/wait", true));
    gate.await_waiting(1);
    peer.send(&request(1, "/hello", true));
    is_refused(&mut peer, 1, "503");
    gate.open();
    assert_eq!(slow.answer(1).body(), b"waited\n");
    is_well(&mut peer);
}

/// Spares were called for threads that slept, and for no others: as many applications that compute
/// as there are CPUs kept everybody waiting, whatever `threads` said.
#[test]
fn who_computes_for_long_keeps_nobody_waiting_while_there_are_spare_threads() {
    let over = Arc::new(AtomicBool::new(false));
    let (begun, ends) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&over));
    let begins = Arc::clone(&begun);
    let compute = cgigate::app(move |_, start_response| {
        begins.fetch_add(1, Ordering::SeqCst);
        while !ends.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        start_response.call("200 OK", &[PLAIN])?;
        Ok("computed\n".into())
    });
    let apps = Apps::default().with("/hello", hello).with("/compute", compute);
    let house = House::open(apps, Settings { threads: 3, waiters: 1, ..Settings::default() });
    let mut busy = [house.unix(), house.unix()];
    busy.iter_mut().for_each(|peer| peer.send(&request(1, "/compute", true)));
    is_well(&mut house.unix());
    assert_eq!(begun.load(Ordering::SeqCst), 2);
    over.store(true, Ordering::SeqCst);
    busy.iter_mut().for_each(|peer| assert_eq!(peer.answer(1).body(), b"computed\n"));
}

#[test]
fn a_connection_too_many_is_answered_503_and_ends() {
    let (house, _) = open(Settings { max_connections: 2, ..Settings::default() });
    let (mut one, mut two) = (house.unix(), house.tcp());
    is_well(&mut one);
    is_well(&mut two);
    let mut three = house.unix();
    three.send(&request(1, "/hello", true));
    is_refused(&mut three, 1, "503");
    assert!(three.at_end());
    is_well(&mut one);
    is_well(&mut two);
    drop(two);
    // There is room again as soon as the two that went are closed.
    loop {
        let mut four = house.unix();
        four.send(&request(1, "/hello", true));
        if four.answer(1).body() == b"Hello World\n" {
            break;
        }
        assert!(four.at_end());
    }
}

#[test]
fn requests_too_many_on_one_connection_are_refused_and_the_others_served() {
    let settings = Settings { max_requests_per_connection: 3, ..Settings::default() };
    let (house, gate) = open(settings);
    let mut peer = house.unix();
    let asked: Vec<u8> = (1..=5).flat_map(|id| request(id, "/wait", true)).collect();
    peer.send(&asked);
    for id in [4, 5] {
        let answer = peer.answer(id);
        assert_eq!((answer.protocol_status, answer.stdout.len()), (2, 0), "FCGI_OVERLOADED");
    }
    gate.open();
    (1..=3).for_each(|id| assert_eq!(peer.answer(id).body(), b"waited\n"));
    is_well(&mut peer);
}

#[test]
fn without_multiplexing_what_comes_interleaved_is_served_one_after_the_other() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let alone = cgigate::app(move |_, start_response| {
        seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(5));
        running.fetch_sub(1, Ordering::SeqCst);
        start_response.call("200 OK", &[PLAIN])?;
        Ok("alone\n".into())
    });
    let gate = Arc::new(Gate::default());
    let wait = gate.app();
    let apps = Apps::default().with("/alone", alone).with("/wait", wait).with("/count", count);
    let house = House::open(apps, Settings { multiplex: false, ..Settings::default() });
    for stops in [false, true] {
        let mut peer = house.unix();
        peer.send(&get_values());
        assert!(peer.record().2.ends_with(b"FCGI_MPXS_CONNS0"));
        // Interleaved: a body that ends last, and an abort of one that waits.
        let mut wire = head(1, Role::Responder, "/count", true, Some(5));
        (2..=9).for_each(|id| wire.extend(request(id, "/alone", true)));
        wire.extend(abort(7));
        stdin(&mut wire, 1, b"12345");
        stdin(&mut wire, 1, b"");
        peer.send(&wire);
        if stops {
            peer.stop_sending();
        }
        assert_eq!(peer.answer(7).stdout, b"");
        assert_eq!(peer.answer(1).body(), b"5\n");
        for id in [2, 3, 4, 5, 6, 8, 9] {
            assert_eq!(peer.answer(id).body(), b"alone\n", "{id}");
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }
    // A hang-up leaves nobody waiting behind the one that runs.
    let mut peer = house.unix();
    peer.send(&[request(1, "/wait", true), request(2, "/wait", true)].concat());
    gate.await_waiting(1);
    drop(peer);
    gate.open();
    let mut next = house.unix();
    next.send(&request(1, "/alone", false));
    assert_eq!(next.answer(1).body(), b"alone\n");
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_and_its_thread_comes_free() {
    let settings = Settings { threads: 1, write_timeout: Some(SHORT), ..Settings::default() };
    let (house, _) = open(settings);
    for connect in [House::unix, House::tcp] {
        let mut slow = connect(&house);
        slow.send(&request(1, "/large", true));
        // The only thread is at it, and not at whoever comes next.
        slow.record();
        is_well(&mut connect(&house));
        assert!(slow.ends_without_end_request());
    }
}

/// What the protocol itself answers found nobody who gave it up. And once in a hundred times, on a busy
/// machine, the kernel kept open what was closed while another thread looked for events.
#[test]
fn a_peer_that_asks_and_never_listens_is_given_up() {
    let (house, _) = open(Settings { write_timeout: Some(SHORT), ..Settings::default() });
    let peer = house.unix();
    peer.send_aside(get_values().repeat(20_000));
    let deadline = Instant::now() + Duration::from_secs(20);
    while house.sockets() == 0 {
        assert!(Instant::now() < deadline, "it was never accepted");
    }
    while house.sockets() > 0 {
        assert!(Instant::now() < deadline, "{} sockets are left", house.sockets());
        thread::sleep(Duration::from_millis(10));
    }
}

/// He was read on as long as he sent.
#[test]
fn who_is_given_up_while_he_goes_on_sending_hears_of_it() {
    let (house, _) = open(Settings::default());
    let more = get_values().repeat(1000);
    for _ in 0..20 {
        let mut peer = house.unix();
        // He reads nothing of the answers: they are too many soon.
        let end = peer.send_until_closed(&more);
        let heard = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(heard.contains(&end.kind()), "{end}");
    }
}

/// What the gateway said while somebody wrote was his to send, and stayed unsaid if he had filled the
/// socket with his own.
#[test]
fn a_short_answer_is_not_forgotten_behind_a_long_one() {
    let gate = Arc::new(Gate::default());
    let door = Arc::clone(&gate);
    let fill = cgigate::app(move |environ, start_response| {
        let size = environ.vars.native("QUERY_STRING").unwrap_or_default().parse()?;
        let mut write = start_response.call("200 OK", &[PLAIN])?;
        write.write_all(&vec![b'x'; size])?;
        door.pass();
        Ok("".into())
    });
    let house = House::open(Apps::default().with("/fill", fill), Settings::default());
    // One of them fills the socket.
    for size in (300_000..500_000_usize).step_by(4096) {
        let mut peer = house.unix();
        let size = size.to_string();
        peer.send(&request_with(1, "/fill", true, &[("QUERY_STRING", &size)]));
        assert_eq!(peer.record().0, 6, "STDOUT");
        let refused = head(2, Role::Filter, "/fill", true, None);
        peer.send(&refused);
        assert_eq!(peer.answer(2).protocol_status, 3, "FCGI_UNKNOWN_ROLE");
        gate.open();
        peer.answer(1);
        gate.close();
    }
}

/// The lock of the writing half went back to whoever had just let it go.
#[test]
fn a_long_answer_lets_its_neighbours_in() {
    for multiplex in [false, true] {
        let (house, _) = open(Settings { multiplex, ..Settings::default() });
        let mut peer = house.unix();
        peer.send(&request(1, "/large", true));
        if !multiplex {
            assert_eq!(peer.answer(1).body().len(), 100 << 20);
            continue;
        }
        let neighbours: Vec<u8> = (2..=6).flat_map(|id| request(id, "/hello", true)).collect();
        peer.send(&neighbours);
        for id in 2..=6 {
            let (answer, before) = peer.answer_among_others(id);
            assert_eq!(answer.body(), b"Hello World\n");
            assert!(before < 100 << 20, "all of it came before the neighbours");
        }
        assert_eq!(peer.answer(1).body().len(), 100 << 20);
    }
}

#[test]
fn a_panic_outside_of_applications_costs_its_connection_and_nothing_else() {
    for threads in [1, 4] {
        let gate = Arc::new(Gate::default());
        let door = Arc::clone(&gate);
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let wait = cgigate::app(move |environ, start_response| {
            door.pass();
            tell.store(environ.request.is_cancelled(), Ordering::SeqCst);
            start_response.call("200 OK", &[PLAIN])?;
            Ok("waited\n".into())
        });
        let apps = Apps::default().with("/hello", hello).with("/wait", wait).with_panics();
        let house = House::open(apps, Settings { threads, ..Settings::default() });
        let mut other = house.unix();
        is_well(&mut other);
        let mut authorizer = Vec::new();
        begin_request(&mut authorizer, RequestId(NonZeroU16::MIN), Role::Authorizer, true);
        for wire in [request(1, "/panic", true), authorizer] {
            for _ in 0..10 {
                let mut peer = house.unix();
                peer.send(&wire);
                assert!(peer.ends_without_end_request());
                is_well(&mut other);
            }
        }
        if threads > 1 {
            let mut peer = house.tcp();
            peer.send(&request(1, "/wait", true));
            gate.await_waiting(1);
            peer.send(&request(2, "/panic", true));
            assert!(peer.ends_without_end_request());
            gate.open();
        }
        let log = house.log();
        assert_eq!(log.matches("while reading; its connection was closed").count(), 10, "{log}");
        assert!(log.contains("a panic while dispatching; its connection was closed"), "{log}");
        let deadline = Instant::now() + Duration::from_secs(20);
        while house.sockets() > 1 {
            assert!(Instant::now() < deadline, "{} sockets are left", house.sockets());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn after_a_stop_nobody_is_let_in_while_what_is_in_flight_ends() {
    let (house, gate) = open(Settings::default());
    let mut peer = house.unix();
    peer.send(&[request(1, "/wait", true), post(2, "/count", b"12")].concat());
    gate.await_waiting(1);
    assert_eq!(peer.answer(2).body(), b"2\n");
    house.stop();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !house.is_closed() {
        assert!(Instant::now() < deadline, "the listeners are still open");
        thread::sleep(Duration::from_millis(5));
    }
    gate.open();
    assert_eq!(peer.answer(1).body(), b"waited\n");
    assert!(peer.at_end());
    house.await_end();
}
