//! What real web servers sent over SCGI and uwsgi (`fixtures/streams/{scgi,uwsgi}/SERVER/REQUEST`),
//! through the two request heads: whole, byte by byte, and cut at every place.
// A test that cannot read its fixtures has nothing better to do than to panic.
#![allow(clippy::unwrap_used)]

use cgigate::{
    head::{Event, Head, Wire, pairs},
    scgi::Scgi,
    uwsgi::Uwsgi,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

const MAX_PARAMS: usize = 1 << 20;

/// What a stream came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    params: Vec<u8>,
    params_ended: bool,
    body: Vec<u8>,
}

fn hear<W: Wire>(pieces: &[&[u8]]) -> Heard {
    let (mut head, mut heard) = (Head::<W>::new(MAX_PARAMS), Heard::default());
    let mut held = vec![];
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let (used, event) = head.next(&held).expect("real servers keep the protocol");
            match event {
                Some(Event::Params(piece)) => heard.params.extend_from_slice(piece),
                Some(Event::ParamsEnd) => heard.params_ended = true,
                None => {
                    held.drain(..used);
                    break;
                }
            }
            held.drain(..used);
        }
    }
    heard.body = held;
    heard
}

fn streams(protocol: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams").join(protocol);
    let mut found = Vec::new();
    for server in fs::read_dir(&root).expect("the folder is part of the project") {
        for stream in fs::read_dir(server.unwrap().path()).unwrap() {
            let path = stream.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    assert!(found.len() > 100, "{} streams in {}", found.len(), root.display());
    found
}

fn the_same_however_cut<W: Wire>(protocol: &str) {
    for (path, bytes) in streams(protocol) {
        let whole = hear::<W>(&[&bytes]);
        let single: Vec<_> = bytes.chunks(1).collect();
        assert_eq!(hear::<W>(&single), whole, "{} byte by byte", path.display());
        // Every place for the short ones, and a prime stride for the others.
        let stride = if bytes.len() < 1200 { 1 } else { 13 };
        for cut in (0..bytes.len()).step_by(stride) {
            let cut_once = hear::<W>(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(cut_once, whole, "{} cut at {cut}", path.display());
        }
    }
}

/// The body is as long as CONTENT_LENGTH says, where it says so, and REQUEST_METHOD is there.
fn every_one_is_a_request_with_its_body<W: Wire>(protocol: &str) {
    for (path, bytes) in streams(protocol) {
        let path = path.display();
        let Heard { params, params_ended, body } = hear::<W>(&[&bytes]);
        let found: Result<Vec<_>, _> = pairs::<W>(&params)
            .map(|pair| pair.map(|(name, value)| (&params[name], &params[value])))
            .collect();
        let found = found.unwrap_or_else(|error| panic!("{path}: {error}"));
        let value =
            |wanted: &[u8]| found.iter().find(|(name, _)| *name == wanted).map(|pair| pair.1);
        assert!(params_ended, "{path}");
        assert!(value(b"REQUEST_METHOD").is_some(), "{path}");
        let length = value(b"CONTENT_LENGTH").unwrap_or_default();
        let length = std::str::from_utf8(length).unwrap().parse().unwrap_or(0);
        assert_eq!(body.len(), length, "{path}");
    }
}

#[test]
fn scgi_streams_are_heard_the_same_however_they_are_cut() {
    the_same_however_cut::<Scgi>("scgi");
}

#[test]
fn uwsgi_streams_are_heard_the_same_however_they_are_cut() {
    the_same_however_cut::<Uwsgi>("uwsgi");
}

#[test]
fn every_scgi_stream_is_a_request_with_its_body() {
    every_one_is_a_request_with_its_body::<Scgi>("scgi");
}

#[test]
fn every_uwsgi_stream_is_a_request_with_its_body() {
    every_one_is_a_request_with_its_body::<Uwsgi>("uwsgi");
}
