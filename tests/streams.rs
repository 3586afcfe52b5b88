//! What real web servers sent over FastCGI (`fixtures/streams/fastcgi/SERVER/REQUEST`), through the
//! core: whole, byte by byte, and cut at every place.

// A test that cannot read its fixtures has nothing better to do than to panic.
#![allow(clippy::unwrap_used)]

use cgigate::fcgi::{Connection, Event, Limits, RequestId, pairs};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const LIMITS: Limits = Limits { max_requests: 100, max_params: 1 << 20 };

/// What a stream came to: for each request its streams and how far it got.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    requests: BTreeMap<u16, Request>,
    answers: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    params: Vec<u8>,
    stdin: Vec<u8>,
    params_ended: bool,
    stdin_ended: bool,
    aborted: bool,
}

impl Heard {
    fn of(&mut self, id: RequestId) -> &mut Request {
        self.requests.entry(id.0.get()).or_default()
    }
}

/// Feeds the pieces one after the other; what was not used is there again with the next.
fn hear(pieces: &[&[u8]]) -> Heard {
    let (mut connection, mut heard, mut held) = (Connection::new(LIMITS), Heard::default(), vec![]);
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut used = 0;
        loop {
            let (n, event) =
                connection.next(&held[used..]).expect("real servers keep the protocol");
            let Some(event) = event else {
                used += n;
                break;
            };
            let mut finished = None;
            match event {
                Event::Begin { id, .. } => {
                    heard.of(id);
                }
                Event::Params { id, piece } => heard.of(id).params.extend_from_slice(piece),
                Event::ParamsEnd { id } => heard.of(id).params_ended = true,
                Event::Stdin { id, piece } => heard.of(id).stdin.extend_from_slice(piece),
                Event::StdinEnd { id } => {
                    heard.of(id).stdin_ended = true;
                    finished = Some(id);
                }
                Event::Abort { id } => {
                    heard.of(id).aborted = true;
                    finished = Some(id);
                }
                Event::Answer(_) => heard.answers += 1,
                other => panic!("no captured stream has a {other:?}"),
            }
            used += n;
            // The next request on a kept connection comes under the same id.
            finished.map(|id| connection.finish(id).expect("it was open"));
        }
        held.drain(..used);
    }
    heard
}

fn streams() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams/fastcgi");
    let mut found = Vec::new();
    for server in fs::read_dir(&root).expect("the folder is part of the project") {
        for stream in fs::read_dir(server.unwrap().path()).unwrap() {
            let path = stream.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    assert!(found.len() > 400, "{} streams in {}", found.len(), root.display());
    found
}

#[test]
fn captured_streams_are_heard_the_same_however_they_are_cut() {
    for (path, bytes) in streams() {
        let whole = hear(&[&bytes]);
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(hear(&single), whole, "{} byte by byte", path.display());
        // Every place for the short ones, and a prime stride for the others.
        let stride = if bytes.len() < 1200 { 1 } else { 13 };
        for cut in (0..bytes.len()).step_by(stride) {
            let cut_once = hear(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(cut_once, whole, "{} cut at {cut}", path.display());
        }
    }
}

#[test]
fn every_request_of_a_captured_stream_has_its_variables() {
    let mut requests = 0;
    for (path, bytes) in streams() {
        let heard = hear(&[&bytes]);
        for request in heard.requests.values().filter(|request| request.params_ended) {
            let found: Result<Vec<_>, _> = pairs(&request.params).collect();
            let found = found.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let names: Vec<_> =
                found.iter().map(|(name, _)| &request.params[name.clone()]).collect();
            assert!(names.contains(&&b"REQUEST_METHOD"[..]), "{}", path.display());
            requests += 1;
        }
    }
    assert!(requests > 400, "{requests} requests");
}
