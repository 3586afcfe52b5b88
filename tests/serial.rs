//! One connection over a stream that blocks gives the answers that the workers give.
#![cfg(target_os = "linux")]
// A test that cannot read its fixtures has nothing better to do than to panic.
#![allow(clippy::unwrap_used)]

mod fastcgi_peer;

use cgigate::{
    Environ, Response, StartResponse, Vars,
    fcgi::Role,
    gateway::{
        Dispatch,
        Protocol::{self, FastCgi, Scgi, Uwsgi},
        Refusal, Serial, Settings,
    },
    handlers::Handler,
    types::{Application, ClientGone, is_departure},
};
use fastcgi_peer::{
    Apps, House, PLAIN, abort, begin, echo, get_values, head, params, post, request, stdin, talks,
};
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// A web server that says what it has to say in pieces of some bytes, and listens.
struct Wire<'w> {
    /// Nothing of one turn is said before all of the last.
    turns: VecDeque<&'w [u8]>,
    step: usize,
    heard: Vec<u8>,
}

impl<'w> Wire<'w> {
    fn new(said: &'w [u8], step: usize) -> Self {
        Self { turns: turns(said).into(), step, heard: Vec::new() }
    }
}

/// What is said, cut where an id is used again: a web server waits for the answer before.
fn turns(said: &[u8]) -> Vec<&[u8]> {
    let (mut turns, mut open, mut from, mut at) = (Vec::new(), Vec::new(), 0, 0);
    while let Some([1, kind, id1, id0, len1, len0, padding, _]) = said.get(at..at + 8) {
        if *kind == 1 {
            let id = [id1, id0];
            if open.contains(&id) {
                turns.push(&said[from..at]);
                (from, open) = (at, Vec::new());
            }
            open.push(id);
        }
        at += 8 + usize::from(u16::from_be_bytes([*len1, *len0])) + usize::from(*padding);
    }
    turns.push(&said[from..]);
    turns
}

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(turn) = self.turns.front_mut() else { return Ok(0) };
        let step = self.step.min(buffer.len());
        let n = turn.take(step as u64).read(buffer)?;
        if turn.is_empty() {
            self.turns.pop_front();
        }
        Ok(n)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ask(apps: Apps, settings: Settings, said: &[u8], step: usize) -> Vec<u8> {
    ask_in(FastCgi, apps, settings, said, step)
}

fn ask_in(protocol: Protocol, apps: Apps, settings: Settings, said: &[u8], step: usize) -> Vec<u8> {
    let apps = Arc::new(apps.speaking(protocol));
    let mut connection = Serial::new(protocol, Wire::new(said, step), apps, settings);
    connection.run();
    connection.into_stream().heard
}

fn heard(apps: Apps, said: &[u8]) -> Vec<(u8, u16, Vec<u8>)> {
    records(&ask(apps, Settings::default(), said, usize::MAX))
}

fn records(mut wire: &[u8]) -> Vec<(u8, u16, Vec<u8>)> {
    let mut records = Vec::new();
    while let [1, kind, id1, id0, len1, len0, padding, 0, rest @ ..] = wire {
        let len = usize::from(u16::from_be_bytes([*len1, *len0]));
        records.push((*kind, u16::from_be_bytes([*id1, *id0]), rest[..len].to_vec()));
        wire = &rest[len + usize::from(*padding)..];
    }
    assert!(wire.is_empty(), "{}", wire.escape_ascii());
    records
}

/// What was asked, and with which body.
fn mirror<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut body = Vec::new();
    environ.input.read_to_end(&mut body)?;
    let method = environ.vars.native("REQUEST_METHOD").unwrap_or_default();
    let answer = format!("{method} {} bytes {}\n", body.len(), body.escape_ascii());
    start_response.call("200 OK", &[PLAIN])?;
    Ok(answer.into())
}

fn logged<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    writeln!(environ.errors, "a line for the log")?;
    start_response.call("200 OK", &[PLAIN])?;
    Ok("logged\n".into())
}

fn apps() -> Apps {
    Apps::default().with("/mirror", mirror).with("/echo", echo).with("/logged", logged)
}

fn streams(protocol: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams").join(protocol);
    let servers = fs::read_dir(&root).unwrap().map(|server| server.unwrap().path());
    let files = servers.flat_map(|server| fs::read_dir(server).unwrap());
    let found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    assert!(found.len() > 20, "{} streams in {}", found.len(), root.display());
    found.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Of each request what it was answered, whatever came between; of the connection the rest.
fn answers(wire: &[u8]) -> BTreeMap<(u16, u8), Vec<u8>> {
    let mut answers = BTreeMap::<_, Vec<u8>>::new();
    for (kind, id, content) in records(wire) {
        answers.entry((id, kind)).or_default().extend(content);
    }
    answers
}

/// The answers of the workers and of one connection by itself to what a web server said.
fn assert_same(protocol: Protocol, folder: &str, view: impl Fn(&[u8]) -> Vec<u8>) {
    let settings = Settings { multiplex: false, threads: 4, ..Settings::default() };
    let house = House::speaking(protocol, Apps::default().otherwise(mirror), settings.clone());
    for (path, said) in streams(folder) {
        // When an abort is heard is a matter of time.
        if protocol == FastCgi && records(&said).iter().any(|(kind, ..)| *kind == 2) {
            continue;
        }
        let mut peer = house.unix();
        let (mut expected, turns) = (Vec::new(), turns(&said));
        for (n, turn) in turns.iter().enumerate() {
            peer.send(turn);
            if n + 1 < turns.len() {
                expected.extend(peer.until_end_request());
            }
        }
        peer.stop_sending();
        expected.extend(peer.rest());
        let expected = view(&expected);
        for step in [1, 1000, usize::MAX] {
            let apps = Apps::default().otherwise(mirror);
            let answer = ask_in(protocol, apps, settings.clone(), &said, step);
            let (answer, path) = (view(&answer), path.display());
            assert!(
                answer == expected,
                "{path} in pieces of {step}:\n{}\n{}",
                answer.escape_ascii(),
                expected.escape_ascii()
            );
        }
    }
}

#[test]
fn fastcgi_as_servers_sent_it_has_the_workers_answers() {
    assert_same(FastCgi, "fastcgi", |wire| format!("{:?}", answers(wire)).into());
}

#[test]
fn scgi_and_uwsgi_as_servers_sent_it_have_the_workers_answers() {
    assert_same(Scgi, "scgi", <[u8]>::to_vec);
    assert_same(Uwsgi, "uwsgi", <[u8]>::to_vec);
}

#[test]
fn requests_that_come_interleaved_are_answered_one_after_the_other() {
    let mut said = get_values();
    said.extend([1, 3].map(|id| head(id, Role::Responder, "/mirror", true, Some(4))).concat());
    stdin(&mut said, 3, b"th");
    stdin(&mut said, 1, b"on");
    stdin(&mut said, 3, b"ree");
    stdin(&mut said, 1, b"e!");
    stdin(&mut said, 1, b"");
    stdin(&mut said, 3, b"");
    for step in [1, usize::MAX] {
        let wire = ask(apps(), Settings::default(), &said, step);
        let all = answers(&wire);
        assert_eq!(all[&(0, 10)], b"\x0f\x01FCGI_MPXS_CONNS0");
        assert!(all[&(1, 6)].ends_with(b"POST 4 bytes one!\n"));
        assert!(all[&(3, 6)].ends_with(b"POST 4 bytes thre\n"), "as long as was said");
        let order: Vec<_> = records(&wire).into_iter().filter(|(kind, ..)| *kind == 3).collect();
        assert_eq!(order.iter().map(|(_, id, _)| *id).collect::<Vec<_>>(), [1, 3]);
    }
}

#[test]
fn a_block_and_the_header_block_leave_in_one_record_and_the_end_with_them() {
    let wire = heard(apps(), &request(5, "/mirror", false));
    let kinds: Vec<_> =
        wire.iter().map(|(kind, id, content)| (*kind, *id, content.len())).collect();
    let [(6, 5, first), (6, 5, 0), (3, 5, 8)] = kinds[..] else { panic!("{kinds:?}") };
    assert_eq!(wire[0].2.len(), first);
    let text = String::from_utf8_lossy(&wire[0].2);
    assert!(text.contains("Status: 200 OK\r\n\r\nPOST 0 bytes"), "{text}");
}

#[test]
fn a_request_that_is_aborted_before_it_is_whole_is_only_ended() {
    let mut said = begin(1);
    said.extend(abort(1));
    said.extend(request(1, "/mirror", true));
    let wire = heard(apps(), &said);
    let kinds: Vec<_> = wire.iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [3, 6, 6, 3]);
}

#[test]
fn an_application_that_reads_hears_of_the_abort() {
    let heard_of = Arc::new(Mutex::new(None));
    let note = Arc::clone(&heard_of);
    let reads = cgigate::app(move |mut environ: Environ<'_>, _: &mut dyn StartResponse| {
        let error = io::copy(&mut environ.input, &mut io::sink()).unwrap_err().into();
        *note.lock().unwrap() = Some(is_departure(&error));
        Err(error)
    });
    let mut said = head(1, Role::Responder, "/reads", true, Some(10));
    stdin(&mut said, 1, b"half");
    said.extend(abort(1));
    said.extend(request(1, "/mirror", true));
    let wire = ask(apps().with("/reads", reads), Settings::default(), &said, 1);
    assert_eq!(*heard_of.lock().unwrap(), Some(true));
    let kinds: Vec<_> = records(&wire).iter().map(|(kind, ..)| *kind).collect();
    assert_eq!(kinds, [3, 6, 6, 3], "END_REQUEST and nothing else, then the next");
}

#[test]
fn a_body_that_ends_with_the_connection_is_an_error_of_the_application() {
    let mut said = head(1, Role::Responder, "/mirror", true, Some(10));
    stdin(&mut said, 1, b"half");
    let all = answers(&ask(apps(), Settings::default(), &said, usize::MAX));
    let text = String::from_utf8_lossy(&all[&(1, 6)]);
    assert!(text.contains("Status: 400 Bad Request"), "{text}");
    assert_eq!(all[&(1, 3)], [0; 8]);
}

#[test]
fn limits_and_roles_are_refused_in_the_applications_place() {
    let status = |settings: Settings, said: &[u8]| {
        let all = answers(&ask(apps(), settings, said, usize::MAX));
        String::from_utf8_lossy(&all[&(1, 6)]).into_owned()
    };
    let small = || Settings { max_params: 100, max_body: Some(3), ..Settings::default() };
    assert!(status(small(), &post(1, "/echo", b"four")).contains("Status: 413 "));
    let mut said = begin(1);
    params(&mut said, 1, &[b'x'; 200]);
    assert!(status(small(), &said).contains("Status: 431 "));
    let few = Settings { max_variables: 2, ..Settings::default() };
    assert!(status(few, &request(1, "/mirror", true)).contains("Status: 431 "));
    let filter = head(1, Role::Filter, "/mirror", true, Some(0));
    assert_eq!(heard(apps(), &filter), [(3, 1, vec![0, 0, 0, 0, 3, 0, 0, 0])]);
}

/// Applications, and what was refused in their place: the status and the path.
struct Told(Apps, Mutex<Vec<String>>);

impl Dispatch for Told {
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
        self.0.dispatch(role, vars)
    }

    fn serves(&self, role: Role) -> bool {
        self.0.serves(role)
    }

    fn handler(&self, protocol: Protocol) -> &(dyn Handler + Sync) {
        self.0.handler(protocol)
    }

    fn refused(&self, refusal: Refusal, request: Option<(Role, &Vars)>) {
        let path = request.and_then(|(_, vars)| vars.native("PATH_INFO"));
        let line = format!("{} {}", refusal.status, path.unwrap_or_default());
        self.1.lock().unwrap().push(line);
    }
}

/// Nobody was told, and what was kept for that went with the connection.
#[test]
fn what_was_refused_is_told_as_far_as_it_is_known() {
    let told = Arc::new(Told(apps(), Mutex::default()));
    let mut said = post(1, "/echo", b"four");
    // Its PARAMS have no end.
    let head = head(2, Role::Responder, "/mirror", true, None);
    said.extend_from_slice(&head[..head.len() - 8]);
    params(&mut said, 2, &[b'x'; 200]);
    let settings = Settings { max_params: 100, max_body: Some(3), ..Settings::default() };
    let apps = Arc::clone(&told);
    Serial::new(FastCgi, Wire::new(&said, usize::MAX), apps, settings).run();
    assert_eq!(
        *told.1.lock().unwrap(),
        ["413 Content Too Large /echo", "431 Request Header Fields Too Large /mirror"]
    );
}

#[test]
fn what_is_not_of_the_protocol_ends_the_connection() {
    let mut said = request(1, "/mirror", true);
    said.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    said.extend(request(1, "/mirror", true));
    let apps = apps();
    let log = apps.log_book();
    assert_eq!(answers(&ask(apps, Settings::default(), &said, usize::MAX)).len(), 2, "one answer");
    assert!(log.lock().unwrap().starts_with("a connection was closed: "));
}

#[test]
fn a_kept_connection_goes_on_and_one_that_is_not_kept_ends() {
    let mut said = request(1, "/mirror", true);
    said.extend(request(1, "/mirror", false));
    said.extend(request(1, "/mirror", true));
    let ends = heard(apps(), &said).iter().filter(|(kind, ..)| *kind == 3).count();
    assert_eq!(ends, 2);
}

#[test]
fn nothing_of_wsgi_errors_is_on_the_wire_where_it_must_not_be() {
    let all = answers(&ask(apps(), Settings::default(), &request(1, "/logged", true), 9));
    assert_eq!(all[&(1, 7)], b"a line for the log\n");
    let (apps, said) = (apps(), request(1, "/logged", true));
    let log = apps.log_book();
    let (wire, settings) = (Wire::new(&said, 9), Settings::default());
    let mut connection = Serial::new(FastCgi, wire, Arc::new(apps), settings).without_stderr();
    connection.run();
    let all = answers(&connection.into_stream().heard);
    assert!(!all.contains_key(&(1, 7)) && all[&(1, 6)].ends_with(b"logged\n"));
    assert_eq!(*log.lock().unwrap(), "a line for the log");
}

#[test]
fn where_there_is_no_stderr_whole_lines_go_to_the_log() {
    let scgi = &b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,"[..];
    for (protocol, said) in [(Scgi, scgi), (Uwsgi, &[0; 4])] {
        let apps = Apps::default().otherwise(logged);
        let log = apps.log_book();
        let answer = ask_in(protocol, apps, Settings::default(), said, 9);
        assert!(answer.ends_with(b"\r\n\r\nlogged\n"), "{}", answer.escape_ascii());
        assert_eq!(*log.lock().unwrap(), "a line for the log");
    }
}

/// nginx takes a header block for too large where its buffer, of 4 KiB by default, is full of the log.
#[test]
fn what_is_logged_before_the_answer_follows_it_up_to_a_limit() {
    for (lines, block, first) in [(3, 5, 6), (3, 20_000, 6), (3, 200_000, 6), (200, 5, 7)] {
        let wire = heard(
            apps().with("/talk", talks(lines, vec![b'x'; block])),
            &request(1, "/talk", true),
        );
        assert_eq!(wire[0].0, first, "{lines} lines, {block} bytes");
        let of = |kind| wire.iter().filter(move |record| record.0 == kind);
        let said = |kind| of(kind).flat_map(|(.., content)| content).copied().collect::<Vec<_>>();
        assert!(said(6).ends_with(&vec![b'x'; block]), "{lines} lines, {block} bytes");
        assert_eq!(said(7), vec![b'e'; lines * 1000]);
        // Each stream has its end.
        assert!(of(6).next_back().unwrap().2.is_empty() && of(7).next_back().unwrap().2.is_empty());
    }
}

/// Nobody keeps what an application logs without end.
#[test]
fn what_is_logged_after_the_header_block_leaves_while_the_application_runs() {
    let (mut server, ours) = UnixStream::pair().unwrap();
    let (heard, hears) = mpsc::channel();
    let hears = Mutex::new(hears);
    let talks = cgigate::app(move |mut environ, start_response| {
        start_response.call("200 OK", &[PLAIN])?.write_all(b"begun\n")?;
        environ.errors.write_all(&[b'e'; 100_000])?;
        hears.lock().unwrap().recv_timeout(Duration::from_secs(20))?;
        Ok("done\n".into())
    });
    let serving = thread::spawn(move || {
        let apps = apps().with("/talk", talks);
        Serial::new(FastCgi, ours, Arc::new(apps), Settings::default()).run();
    });
    server.write_all(&request(1, "/talk", false)).unwrap();
    let mut wire = vec![0; 100_000];
    server.read_exact(&mut wire).unwrap();
    heard.send(()).unwrap();
    server.read_to_end(&mut wire).unwrap();
    let all = answers(&wire);
    assert!(all[&(1, 7)] == [b'e'; 100_000] && all[&(1, 6)].ends_with(b"begun\ndone\n"));
    serving.join().unwrap();
}

#[test]
fn what_is_logged_without_an_answer_comes_with_the_end_of_the_request() {
    let leaves = cgigate::app(|mut environ: Environ<'_>, _: &mut dyn StartResponse| {
        writeln!(environ.errors, "nobody is there")?;
        Err(ClientGone.into())
    });
    let wire = heard(apps().with("/leaves", leaves), &request(1, "/leaves", true));
    let said: Vec<_> = wire.iter().map(|(kind, _, content)| (*kind, content.len())).collect();
    assert_eq!(said, [(7, 16), (6, 0), (7, 0), (3, 8)]);
}

/// HAProxy 2.6 dies as a whole where the connection ends behind a STDERR that has none.
#[test]
fn stderr_has_an_end_where_the_answer_is_cut() {
    let fails = cgigate::app(|_, start_response| {
        start_response.call("200 OK", &[PLAIN])?.write_all(b"begun\n")?;
        Err("something broke".into())
    });
    let wire = heard(apps().with("/fails", fails), &request(1, "/fails", true));
    let kinds: Vec<_> = wire.iter().map(|(kind, ..)| *kind).collect();
    let [6, 7, .., 7] = kinds[..] else { panic!("{kinds:?}") };
    assert!(wire.last().unwrap().2.is_empty() && wire[1].2.starts_with(b"something broke"));
}

/// Both sides write more than the system keeps for either.
#[test]
fn a_server_that_writes_all_before_it_reads_is_not_waited_for() {
    let (mut server, ours) = UnixStream::pair().unwrap();
    let serving = thread::spawn(move || {
        Serial::new(FastCgi, ours, Arc::new(apps()), Settings::default()).run();
    });
    let body = vec![b'x'; 4 << 20];
    server.write_all(&post(1, "/echo", &body)).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut wire = Vec::new();
    server.read_to_end(&mut wire).unwrap();
    let all = answers(&wire);
    assert!(all[&(1, 6)].ends_with(&body) && all[&(1, 3)] == [0; 8]);
    serving.join().unwrap();
}

#[test]
fn a_request_that_stands_still_is_answered_408() {
    let (mut server, ours) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    server.write_all(&begin(1)).unwrap();
    Serial::new(FastCgi, ours, Arc::new(apps()), Settings::default()).run();
    let mut wire = Vec::new();
    server.read_to_end(&mut wire).unwrap();
    let all = answers(&wire);
    assert!(String::from_utf8_lossy(&all[&(1, 6)]).contains("Status: 408 "));
}
