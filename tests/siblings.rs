//! The SCGI and uwsgi servers over real sockets: what a web server may do to them, what they must
//! not mind, and each limit with its answer.
#![cfg(target_os = "linux")]

mod fastcgi_peer;

use cgigate::{
    Body, Environ, Response, StartResponse,
    gateway::{Protocol, Settings},
    scgi,
    types::{Exception, FileWrapper, is_departure},
    uwsgi,
};
use fastcgi_peer::{Apps, Gate, House, PLAIN, Peer, count, echo, hello};
use std::{
    fs,
    io::{Read, Write},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

const BOTH: [Protocol; 2] = [Protocol::Scgi, Protocol::Uwsgi];

fn fault<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut write = start_response.call("200 OK", &[PLAIN])?;
    write.write_all(b"half")?;
    Err("the other half is lost".into())
}

fn logs<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut errors = environ.errors;
    errors.write_all(b"a line ")?;
    errors.write_all(b"for the log\nand no end")?;
    start_response.call("200 OK", &[PLAIN])?;
    Ok("logged\n".into())
}

fn megabytes<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[PLAIN])?;
    Ok(vec![b'x'; 8 << 20].into())
}

/// A house with an application that waits at the gate.
fn open(protocol: Protocol, settings: Settings) -> (House, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let wait = gate.app();
    let apps = Apps::default()
        .with("/hello", hello)
        .with("/count", count)
        .with("/echo", echo)
        .with("/fault", fault)
        .with("/logs", logs)
        .with("/megabytes", megabytes)
        .with("/wait", wait);
    (House::speaking(protocol, apps, settings), gate)
}

fn four_threads() -> Settings {
    Settings { threads: 4, ..Settings::default() }
}

fn house(protocol: Protocol) -> House {
    open(protocol, four_threads()).0
}

/// The head of a request with a body of `length` bytes.
fn head(protocol: Protocol, path: &str, length: usize, more: &[(&str, &str)]) -> Vec<u8> {
    let text = length.to_string();
    let mut vars = vec![("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", ""), ("PATH_INFO", path)];
    vars.extend(more);
    // The name keeps the gateway from taking its peer for nginx.
    vars.push(("SERVER_SOFTWARE", "test"));
    let mut wire = Vec::new();
    match protocol {
        Protocol::FastCgi => panic!("it has tests of its own"),
        Protocol::Scgi => scgi::head(&mut wire, length as u64, &vars),
        Protocol::Uwsgi => {
            vars.push(("CONTENT_LENGTH", &text));
            uwsgi::head(&mut wire, &vars)
        }
    }
    .expect("a head that can be sent");
    wire
}

fn get(protocol: Protocol, path: &str) -> Vec<u8> {
    head(protocol, path, 0, &[])
}

fn post(protocol: Protocol, path: &str, body: &[u8]) -> Vec<u8> {
    [&head(protocol, path, body.len(), &[]), body].concat()
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 % 251) as u8).collect()
}

/// Sends, and takes all that comes until the end.
fn ask(mut peer: Peer, wire: &[u8]) -> Vec<u8> {
    peer.send(wire);
    peer.rest()
}

fn split(answer: &[u8]) -> (String, &[u8]) {
    let blank = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let blank = blank.unwrap_or_else(|| panic!("no header block in {}", answer.escape_ascii()));
    (String::from_utf8_lossy(&answer[..blank]).into_owned(), &answer[blank + 4..])
}

/// The status of an answer, where that protocol has it.
fn assert_status(protocol: Protocol, answer: &[u8], status: &str) {
    let front = if protocol == Protocol::Scgi { "Status: " } else { "HTTP/1.1 " };
    let (head, _) = split(answer);
    assert!(head.starts_with(&format!("{front}{status} ")), "{protocol}: {head}");
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_answer_has_the_shape_of_its_protocol_and_ends_with_the_connection() {
    for (protocol, first) in [(Protocol::Scgi, "Status: "), (Protocol::Uwsgi, "HTTP/1.1 ")] {
        let house = house(protocol);
        let rest = "200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello World\n";
        for connect in [House::unix, House::tcp] {
            let answer = ask(connect(&house), &get(protocol, "/hello"));
            assert_eq!(String::from_utf8_lossy(&answer), format!("{first}{rest}"));
        }
        assert_eq!(house.log(), "");
    }
}

#[test]
fn bodies_of_all_awkward_sizes_come_back() {
    for protocol in BOTH {
        let house = house(protocol);
        for length in [0, 1, 81_919, 81_920, 81_921, 1 << 20] {
            let body = body(length);
            let mut peer = house.unix();
            peer.send_aside(post(protocol, "/echo", &body));
            assert!(split(&peer.rest()).1 == body, "{protocol}: {length}");
        }
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    for protocol in BOTH {
        let house = house(protocol);
        let mut peer = house.tcp();
        for byte in post(protocol, "/echo", b"slowly") {
            peer.send(&[byte]);
        }
        assert_eq!(split(&peer.rest()).1, b"slowly");
    }
}

#[test]
fn a_peer_may_write_its_whole_body_before_it_reads_a_byte() {
    for protocol in BOTH {
        let body = body(4 << 20);
        let answer = ask(house(protocol).unix(), &post(protocol, "/echo", &body));
        assert!(split(&answer).1 == body, "{protocol}");
    }
}

#[test]
fn sixty_four_connections_and_four_threads() {
    for protocol in BOTH {
        let house = house(protocol);
        for _ in 0..3 {
            let mut peers: Vec<Peer> = (0..64).map(|_| house.unix()).collect();
            peers.iter_mut().for_each(|peer| peer.send(&get(protocol, "/hello")));
            for peer in &mut peers {
                assert_eq!(split(&peer.rest()).1, b"Hello World\n");
            }
        }
    }
}

#[test]
fn while_every_thread_is_in_an_application_requests_wait_and_too_many_are_answered_503() {
    for protocol in BOTH {
        let settings = Settings { threads: 1, max_queue: 1, ..four_threads() };
        let (house, gate) = open(protocol, settings);
        let mut first = house.unix();
        first.send(&get(protocol, "/wait"));
        gate.await_waiting(1);
        let mut peers = [house.unix(), house.unix()];
        peers.iter_mut().for_each(|peer| peer.send(&get(protocol, "/wait")));
        // Which of the two may wait is of no matter: the other is answered while nothing ends.
        let (told, tell) = mpsc::channel();
        for mut peer in peers {
            let told = told.clone();
            thread::spawn(move || told.send(peer.rest()));
        }
        let refused = tell.recv_timeout(Duration::from_secs(20)).expect("an answer");
        assert_status(protocol, &refused, "503");
        assert!(split(&refused).0.contains("\r\nRetry-After: "), "{}", refused.escape_ascii());
        gate.open();
        let waited = tell.recv_timeout(Duration::from_secs(20)).expect("an answer");
        assert_eq!(
            (split(&waited).1, split(&first.rest()).1),
            (&b"waited\n"[..], &b"waited\n"[..])
        );
    }
}

/// The body of a request that is turned away may still be on its way: closing then would reset the
/// connection, and the answer with it.
#[test]
fn a_request_that_is_turned_away_is_answered_whatever_it_goes_on_to_send() {
    for protocol in BOTH {
        let (house, gate) = open(protocol, Settings { threads: 1, max_queue: 0, ..four_threads() });
        let mut first = house.unix();
        first.send(&get(protocol, "/wait"));
        gate.await_waiting(1);
        let mut peer = house.tcp();
        peer.send(&head(protocol, "/count", 1 << 20, &[]));
        assert_status(protocol, &peer.rest(), "503");
        peer.send(&body(1 << 20));
        gate.open();
        assert_eq!(split(&first.rest()).1, b"waited\n");
    }
}

#[test]
fn a_connection_too_many_is_answered_503() {
    for protocol in BOTH {
        let (house, gate) = open(protocol, Settings { max_connections: 1, ..four_threads() });
        let mut first = house.unix();
        first.send(&get(protocol, "/wait"));
        gate.await_waiting(1);
        let answer = ask(house.unix(), &get(protocol, "/hello"));
        assert_status(protocol, &answer, "503");
        assert!(split(&answer).0.contains("\r\nRetry-After: "));
        gate.open();
        assert_eq!(split(&first.rest()).1, b"waited\n");
    }
}

#[test]
fn variables_that_are_too_long_or_too_many_are_answered_431() {
    for protocol in BOTH {
        let (house, _) = open(protocol, Settings { max_params: 1000, ..four_threads() });
        let long = "x".repeat(1000);
        let answer = ask(house.unix(), &head(protocol, "/hello", 0, &[("HTTP_X", &long)]));
        assert_status(protocol, &answer, "431");
        let (house, _) = open(protocol, Settings { max_variables: 10, ..four_threads() });
        let many = [("A", ""); 10];
        assert_status(protocol, &ask(house.unix(), &head(protocol, "/hello", 0, &many)), "431");
        assert_status(protocol, &ask(house.unix(), &get(protocol, "/hello")), "200");
    }
}

#[test]
fn a_body_over_the_limit_is_answered_413_before_it_comes() {
    for protocol in BOTH {
        let (house, _) = open(protocol, Settings { max_body: Some(1000), ..four_threads() });
        let answer = ask(house.unix(), &head(protocol, "/count", 1001, &[]));
        assert_status(protocol, &answer, "413");
        // One that is sent all the same is read over.
        let answer = ask(house.tcp(), &post(protocol, "/count", &body(300_000)));
        assert_status(protocol, &answer, "413");
        assert_eq!(split(&ask(house.unix(), &post(protocol, "/count", &body(1000)))).1, b"1000\n");
    }
}

#[test]
fn a_request_that_stands_still_is_answered_408_and_silence_with_nothing() {
    for protocol in BOTH {
        let read_timeout = Some(Duration::from_millis(300));
        let (house, _) = open(protocol, Settings { read_timeout, ..four_threads() });
        let wire = head(protocol, "/count", 10, &[]);
        for cut in [1, 3, wire.len() / 2] {
            assert_status(protocol, &ask(house.unix(), &wire[..cut]), "408");
        }
        assert_status(protocol, &ask(house.unix(), &wire), "408");
        assert_eq!(house.unix().rest(), b"");
    }
}

#[test]
fn a_body_cut_short_is_not_taken_for_a_whole_one() {
    for protocol in BOTH {
        let house = house(protocol);
        let mut peer = house.tcp();
        peer.send(&head(protocol, "/count", 100, &[]));
        peer.send(b"only this");
        peer.stop_sending();
        assert_status(protocol, &peer.rest(), "400");
    }
}

#[test]
fn a_body_ends_at_its_length_whatever_follows() {
    for protocol in BOTH {
        let house = house(protocol);
        for connect in [House::unix, House::tcp] {
            let wire = [&post(protocol, "/echo", b"hello")[..], b"\r\nand more"].concat();
            assert_eq!(split(&ask(connect(&house), &wire)).1, b"hello");
        }
    }
}

/// nginx, where its configuration has a `scgi_param CONTENT_LENGTH $content_length`.
#[test]
fn a_length_that_comes_again_and_empty_is_no_other() {
    let vars = [("CONTENT_LENGTH", "")];
    let wire = [&head(Protocol::Scgi, "/count", 2, &vars)[..], b"hi"].concat();
    assert_eq!(split(&ask(house(Protocol::Scgi).unix(), &wire)).1, b"2\n");
    let wire = head(Protocol::Scgi, "/count", 2, &[("CONTENT_LENGTH", "3")]);
    assert_status(Protocol::Scgi, &ask(house(Protocol::Scgi).unix(), &wire), "400");
}

#[test]
fn without_a_length_there_is_no_body() {
    let mut wire = Vec::new();
    uwsgi::head(&mut wire, &[("REQUEST_METHOD", "POST"), ("PATH_INFO", "/count")]).expect("short");
    wire.extend_from_slice(b"no body");
    assert_eq!(split(&ask(house(Protocol::Uwsgi).unix(), &wire)).1, b"0\n");
}

#[test]
fn a_peer_that_only_stops_sending_is_still_answered() {
    for protocol in BOTH {
        for connect in [House::unix, House::tcp] {
            let (house, gate) = open(protocol, four_threads());
            let mut peer = connect(&house);
            peer.send(&get(protocol, "/wait"));
            peer.stop_sending();
            gate.await_waiting(1);
            gate.open();
            assert_eq!(split(&peer.rest()).1, b"waited\n");
        }
    }
}

#[test]
fn a_hang_up_cancels_what_runs_and_fails_what_reads() {
    for protocol in BOTH {
        let (told, tell) = mpsc::channel::<bool>();
        let told = Mutex::new(told);
        let read = cgigate::app(move |mut environ, _| {
            let say = |what| told.lock().expect("one request").send(what).expect("the test waits");
            say(true);
            let error: Exception =
                environ.input.read(&mut [0; 10]).expect_err("nothing ever comes").into();
            while !environ.request.is_cancelled() {
                thread::sleep(Duration::from_millis(1));
            }
            say(is_departure(&error));
            Err(error)
        });
        let house = House::speaking(protocol, Apps::default().with("/read", read), four_threads());
        let mut peer = house.unix();
        peer.send(&head(protocol, "/read", 10, &[]));
        assert!(tell.recv().expect("the application has begun"));
        drop(peer);
        let departure = tell.recv_timeout(Duration::from_secs(20)).expect("it was told");
        assert!(departure, "ConnectionAborted");
        until("a socket is left", || house.sockets() == 0);
        assert_eq!(house.log(), "", "a departure is nobody's fault");
    }
}

#[test]
fn hang_ups_at_every_stage_leave_no_descriptor_and_no_thread() {
    for protocol in BOTH {
        let house = house(protocol);
        let wire = post(protocol, "/echo", b"hello, is anybody there?");
        for at in 0..300 {
            house.unix().send(&wire[..at * wire.len() / 300]);
        }
        for _ in 0..20 {
            house.unix().send(&get(protocol, "/megabytes"));
            house.unix().send(&head(protocol, "/echo", 1 << 20, &[]));
        }
        until("sockets are left", || house.sockets() == 0);
        // All four threads answer.
        let mut peers: Vec<Peer> = (0..8).map(|_| house.unix()).collect();
        peers.iter_mut().for_each(|peer| peer.send(&get(protocol, "/hello")));
        peers.iter_mut().for_each(|peer| assert_eq!(split(&peer.rest()).1, b"Hello World\n"));
    }
}

#[test]
fn what_is_of_another_protocol_is_closed_unanswered_and_logged() {
    let scgi = house(Protocol::Scgi);
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\0\x0d\0\0", b"1:a;"] {
        assert_eq!(ask(scgi.unix(), garbage), b"", "{}", garbage.escape_ascii());
    }
    assert!(scgi.log().contains("a connection was closed: the request does not begin with"));
    let malformed = b"24:CONTENT_LENGTH\x000\0SCGI\x002\0,";
    assert_status(Protocol::Scgi, &ask(scgi.unix(), malformed), "400");
}

#[test]
fn a_packet_of_another_modifier_is_refused_clearly() {
    let house = house(Protocol::Uwsgi);
    for packet in [&b"\x05\x06\0\0\x01\0A\x01\0b"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"] {
        assert_status(Protocol::Uwsgi, &ask(house.tcp(), packet), "501");
    }
    // The answer is out before the line is.
    until("the log lacks a line", || {
        house.log().contains("a connection was closed: a packet of modifier1 5, where only 0")
    });
    let malformed = b"\0\x06\0\0\x01\0A\x09\0b";
    assert_status(Protocol::Uwsgi, &ask(house.unix(), malformed), "400");
}

#[test]
fn a_fault_after_the_headers_ends_the_connection_and_is_logged() {
    for protocol in BOTH {
        let house = house(protocol);
        assert_eq!(split(&ask(house.unix(), &get(protocol, "/fault"))).1, b"half");
        assert!(house.log().contains("the other half is lost"), "{}", house.log());
    }
}

#[test]
fn what_applications_say_of_errors_is_in_the_log_of_the_gateway() {
    for protocol in BOTH {
        let house = house(protocol);
        assert_eq!(split(&ask(house.unix(), &get(protocol, "/logs"))).1, b"logged\n");
        until("the log lacks a line", || house.log() == "a line for the logand no end");
    }
}

#[test]
fn a_file_goes_through_the_wrapper_whole() {
    let path = std::env::temp_dir().join(format!("cgigate-sibling-file-{}", std::process::id()));
    fs::write(&path, body(3_000_000)).expect("a temporary folder");
    for protocol in BOTH {
        let from = path.clone();
        let file = cgigate::app(move |_, start_response| {
            start_response.call("200 OK", &[PLAIN])?;
            Ok(Body::File(FileWrapper::new(fs::File::open(&from)?)))
        });
        let house = House::speaking(protocol, Apps::default().with("/file", file), four_threads());
        assert!(split(&ask(house.unix(), &get(protocol, "/file"))).1 == body(3_000_000));
    }
    fs::remove_file(path).expect("it was there");
}

#[test]
fn a_stop_ends_what_is_in_flight_first() {
    for protocol in BOTH {
        let (house, gate) = open(protocol, four_threads());
        let (_silent, mut peer) = (house.unix(), house.unix());
        peer.send(&get(protocol, "/wait"));
        gate.await_waiting(1);
        house.stop();
        gate.open();
        assert_eq!(split(&peer.rest()).1, b"waited\n");
        house.await_end();
    }
}
