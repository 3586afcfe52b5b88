//! Long bodies, there and back: beside others, in the middle of which something happens, and from a
//! web server that sends no more of one once its answer has begun.
#![cfg(target_os = "linux")]

mod fastcgi_peer;

use cgigate::{
    Body, Environ, Response, StartResponse,
    fcgi::Role,
    gateway::Settings,
    types::{Blocks, Exception, FileWrapper, InputStream, Request},
};
use fastcgi_peer::{Apps, Gate, House, PLAIN, Peer, head_with, hello, request, stdin};
use std::{
    fs,
    io::{BufRead, Read, Seek, SeekFrom, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

const MIB: usize = 1 << 20;

/// Web servers that send a body while they read its answer, and one that does not.
const SERVERS: [&str; 2] = ["Apache/2.4.66", "nginx/1.22.1"];

/// The body, from where it was received.
fn echo<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[PLAIN])?;
    Ok(Body::Blocks(Box::new(Echo { input: environ.input, lent: 0 })))
}

struct Echo<'r> {
    input: InputStream<'r>,
    lent: usize,
}

impl Blocks for Echo<'_> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        self.input.consume(self.lent);
        let block = self.input.fill_buf()?;
        self.lent = block.len();
        Ok(if block.is_empty() { None } else { Some(block) })
    }
}

/// The body by way of a buffer that fits nothing, and with what `fill_buf` gives in between.
fn mixed<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut write = start_response.call("200 OK", &[PLAIN])?;
    let mut buffer = vec![0; 70_001];
    loop {
        let n = environ.input.read(&mut buffer)?;
        if n == 0 {
            return Ok(Body::Empty);
        }
        write.write_all(&buffer[..n])?;
        let lent = environ.input.fill_buf()?;
        let half = lent.len().div_ceil(2);
        write.write_all(&lent[..half])?;
        environ.input.consume(half);
    }
}

fn apps() -> Apps {
    Apps::default().with("/hello", hello).with("/echo", echo).with("/mixed", mixed)
}

fn house(threads: usize) -> House {
    House::open(apps(), Settings { threads, ..Settings::default() })
}

fn body(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn head(id: u16, path: &str, server: &str, length: usize) -> Vec<u8> {
    let length = length.to_string();
    let vars = [("CONTENT_LENGTH", &length[..]), ("SERVER_SOFTWARE", server)];
    head_with(id, Role::Responder, path, true, vars)
}

fn post(id: u16, path: &str, server: &str, body: &[u8], piece: usize) -> Vec<u8> {
    let mut wire = head(id, path, server, body.len());
    body.chunks(piece).for_each(|piece| stdin(&mut wire, id, piece));
    stdin(&mut wire, id, b"");
    wire
}

fn is_well(peer: &mut Peer) {
    peer.send(&request(1, "/hello", true));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

#[test]
fn sixteen_mebibytes_come_back_however_they_are_cut_and_read() {
    let body = body(16 * MIB + 12_345);
    for (threads, path, piece) in
        [(1, "/echo", 32 << 10), (4, "/mixed", 65_535), (2, "/echo", 8_184), (2, "/mixed", 1_000)]
    {
        let house = house(threads);
        for mut peer in [house.unix(), house.tcp()] {
            for server in SERVERS {
                peer.send_aside(post(1, path, server, &body, piece));
                assert!(peer.answer(1).body() == body, "{path} in {piece}, {server}");
                is_well(&mut peer);
            }
        }
    }
}

/// Records that are alike are received with their contents side by side.
#[test]
fn a_body_whose_records_are_alike_for_a_while_comes_back_as_it_was() {
    let body = body(16 * MIB);
    let alike = [(12, 32 << 10), (1, 7), (3, 65_535), (9, 8_184), (40, 8_192), (1, 40_000)];
    let (mut records, mut rest) = (Vec::new(), &body[..]);
    for (count, length) in alike.into_iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(count * length));
        now.chunks(length).for_each(|piece| stdin(&mut records, 1, piece));
        // Of nobody, and with padding.
        records.extend_from_slice(b"\x01\x05\0\x09\0\x01\x02\0.??");
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    stdin(&mut records, 1, b"");
    let house = house(2);
    for mut peer in [house.unix(), house.tcp()] {
        for server in SERVERS {
            peer.send_aside([head(1, "/echo", server, body.len()), records.clone()].concat());
            assert!(peer.answer(1).body() == body, "{server}");
            is_well(&mut peer);
        }
    }
}

#[test]
fn a_long_file_comes_whole_from_wherever_it_is_begun() {
    let path = std::env::temp_dir().join(format!("cgigate-long-file-{}", std::process::id()));
    let whole = body(3 * MIB + 12_345);
    fs::write(&path, &whole).expect("a temporary folder");
    let (from, begins) = (path.clone(), Arc::new(AtomicU64::new(0)));
    let at = Arc::clone(&begins);
    let file = cgigate::app(move |_environ, start_response| {
        start_response.call("200 OK", &[PLAIN])?;
        let mut file = fs::File::open(&from)?;
        file.seek(SeekFrom::Start(at.load(Ordering::SeqCst)))?;
        Ok(FileWrapper::file(file, None).into())
    });
    let house = House::open(apps().with("/file", file), Settings::default());
    for mut peer in [house.unix(), house.tcp()] {
        for begin in [0, 1, 4_095, 4_097, 65_536, 2 * MIB + 7, 3 * MIB] {
            begins.store(begin as u64, Ordering::SeqCst);
            peer.send(&request(1, "/file", true));
            assert!(peer.answer(1).body() == &whole[begin..], "from {begin}");
        }
    }
    fs::remove_file(path).expect("it was there");
}

/// nginx has the whole body before it sends the first byte, and sends none once the header block
/// of the answer has come.
#[test]
fn nginx_has_sent_all_of_a_body_before_its_answer_begins() {
    let body = body(16 * MIB);
    for threads in [1, 4] {
        let house = house(threads);
        for mut peer in [house.unix(), house.tcp()] {
            for path in ["/echo", "/mixed", "/echo"] {
                let wire = post(1, path, SERVERS[1], &body, 32 << 10);
                let sent = peer.send_until_answered(&wire);
                assert_eq!(sent, wire.len(), "{path}, {threads} threads: the answer came before");
                assert!(peer.answer(1).body() == body);
            }
        }
    }
}

#[test]
fn a_short_request_in_the_middle_of_a_long_body_is_answered_there() {
    let body = body(8 * MIB);
    for threads in [2, 4] {
        for server in SERVERS {
            let house = house(threads);
            let mut peer = house.unix();
            // The answer to the first half may not fit: it is taken while that is sent.
            let mut wire = head(1, "/echo", server, body.len());
            let (first, second) = body.split_at(5 * MIB);
            first.chunks(32 << 10).for_each(|piece| stdin(&mut wire, 1, piece));
            wire.extend(request(2, "/hello", true));
            peer.send_aside(wire);
            assert_eq!(peer.answer(2).body(), b"Hello World\n", "{server}, {threads} threads");
            let mut wire = Vec::new();
            second.chunks(32 << 10).for_each(|piece| stdin(&mut wire, 1, piece));
            stdin(&mut wire, 1, b"");
            peer.send_aside(wire);
            assert!(peer.answer(1).body() == body, "{server}, {threads} threads");
            is_well(&mut peer);
        }
    }
}

/// A house with `/pause`: it echoes what comes, but when it has had `after` bytes it does something
/// else first.
fn pausing(
    threads: usize,
    after: usize,
    pause: impl Fn(&Request) + Send + Sync + 'static,
) -> House {
    let pause = cgigate::app(move |mut environ, start_response| {
        let mut write = start_response.call("200 OK", &[PLAIN])?;
        let mut had = 0;
        loop {
            let piece = environ.input.fill_buf()?;
            let n = piece.len();
            if n == 0 {
                return Ok(Body::Empty);
            }
            write.write_all(piece)?;
            environ.input.consume(n);
            had += n;
            if had - n < after && had >= after {
                pause(environ.request);
            }
        }
    });
    let settings = Settings { threads, ..Settings::default() };
    House::open(apps().with("/pause", pause), settings)
}

/// Sends a body piece by piece, each when the one before has come back: the application waits for
/// every one of them.
fn in_step(peer: &mut Peer, pieces: usize, piece: &[u8]) {
    let mut back = 0;
    for n in 1..=pieces {
        let mut wire = Vec::new();
        stdin(&mut wire, 1, piece);
        peer.send(&wire);
        while back < n * piece.len() {
            let (kind, id, content) = peer.record();
            assert_eq!((kind, id), (6, 1));
            back += content.len();
        }
    }
}

/// While an application reads a long body for itself, epoll is silent about its connection.
#[test]
fn an_application_that_pauses_in_a_long_body_holds_nobody_back() {
    let (piece, pieces) = (body(20_000), 20);
    for threads in [1, 4] {
        let gate = Arc::new(Gate::default());
        let door = Arc::clone(&gate);
        let house = pausing(threads, pieces * piece.len(), move |_| door.pass());
        let mut peer = house.unix();
        for _ in 0..2 {
            peer.send(&head(1, "/pause", SERVERS[0], (pieces + 1) * piece.len()));
            in_step(&mut peer, pieces, &piece);
            gate.await_waiting(1);
            // With one thread only what needs none is answered.
            if threads > 1 {
                peer.send(&request(2, "/hello", true));
                assert_eq!(peer.answer(2).body(), b"Hello World\n");
            } else {
                peer.send(&fastcgi_peer::get_values());
                assert_eq!(peer.record().0, 10);
            }
            gate.open();
            let mut wire = Vec::new();
            stdin(&mut wire, 1, &piece);
            stdin(&mut wire, 1, b"");
            peer.send(&wire);
            assert!(peer.answer(1).stdout.ends_with(&piece), "{threads} threads");
            gate.close();
        }
        is_well(&mut peer);
    }
}

#[test]
fn a_hang_up_or_an_abort_is_heard_while_an_application_pauses_in_a_long_body() {
    let (piece, pieces) = (body(20_000), 20);
    for (threads, aborts) in [(1, false), (4, false), (1, true), (4, true)] {
        let (say, heard) = mpsc::channel();
        let say = Mutex::new(say);
        let house = pausing(threads, pieces * piece.len(), move |request| {
            while !request.is_cancelled() {
                thread::sleep(Duration::from_millis(1));
            }
            say.lock().expect("one request").send(()).expect("the test listens");
        });
        let mut peer = house.unix();
        peer.send(&head(1, "/pause", SERVERS[0], (pieces + 1) * piece.len()));
        in_step(&mut peer, pieces, &piece);
        if aborts {
            peer.send(&fastcgi_peer::abort(1));
        } else {
            drop(peer);
        }
        let limit = Duration::from_secs(30);
        heard.recv_timeout(limit).unwrap_or_else(|_| panic!("{threads} threads, abort: {aborts}"));
        is_well(&mut house.unix());
        assert_eq!(house.log(), "", "a departure is nobody's fault");
    }
}

#[test]
fn a_long_body_that_is_aborted_in_the_middle_ends_once_and_the_next_is_served() {
    let body = body(8 * MIB);
    for threads in [1, 4] {
        for server in SERVERS {
            let house = house(threads);
            let mut peer = house.unix();
            for _ in 0..2 {
                let mut wire = head(1, "/echo", server, 2 * body.len());
                body.chunks(32 << 10).for_each(|piece| stdin(&mut wire, 1, piece));
                wire.extend(fastcgi_peer::abort(1));
                peer.send_aside(wire);
                let answer = peer.answer(1);
                assert_eq!((answer.app_status, answer.protocol_status), (0, 0), "{server}");
                assert!(server != SERVERS[1] || answer.stdout.is_empty(), "it had not begun");
                peer.send_aside(post(1, "/echo", server, &body, 32 << 10));
                assert!(peer.answer(1).body() == body, "{server}, {threads} threads");
            }
            assert_eq!(house.log(), "", "a departure is nobody's fault");
        }
    }
}

#[test]
fn a_peer_that_reads_slowly_gets_all_of_it_and_keeps_no_other_waiting() {
    let body = body(4 * MIB);
    for server in SERVERS {
        let house = house(2);
        let (mut slow, mut other) = (house.unix(), house.unix());
        slow.send_aside(post(1, "/echo", server, &body, 32 << 10));
        let mut back = Vec::new();
        loop {
            let (kind, _, content) = slow.record();
            if kind == 3 {
                break;
            }
            back.extend(content);
            is_well(&mut other);
        }
        assert!(back.ends_with(&body), "{server}");
    }
}
