//! Sections 2 and 3: records as servers order them, and clients that go away.

use crate::door::{Door, House, asked, record, records, stream};
use std::io::{Read, Write};

const GET: &[u8] = b"\x0e\x03REQUEST_METHODGET\x09\x06PATH_INFO/hello";

fn begin(id: u16, role: u8, flags: u8) -> Vec<u8> {
    record(1, id, &[0, role, flags, 0, 0, 0, 0, 0])
}

#[test]
fn section_2_an_authorizer_is_answered_with_no_stdin_and_with_an_empty_one() {
    let house = House::behind(Door::FastCgi);
    for stdin in [vec![], record(5, 1, b"")] {
        for (query, code) in [("user=tester", "200 OK"), ("user=nobody", "403 Forbidden")] {
            let params = [b"\x0c\x0bQUERY_STRING", query.as_bytes()].concat();
            // Apache keeps its sending side open: the answer must not wait for more.
            let mut socket = house.connect();
            let asked = [begin(1, 2, 0), stream(4, 1, &params), stdin.clone()].concat();
            socket.write_all(&asked).unwrap();
            let mut wire = Vec::new();
            socket.read_to_end(&mut wire).unwrap();
            let answer = records(&wire).into_answer();
            assert_eq!((answer.status(), answer.ending), (code, Some(0)), "{query}");
            let who = answer.field("Variable-WHO");
            assert_eq!(who, (code == "200 OK").then_some("tester"));
        }
    }
}

#[test]
fn section_2_an_authorizer_is_found_by_its_role_whatever_app_responds() {
    let house = House::with(Door::FastCgi, &["--app", "environ"]);
    let params = b"\x0c\x0bQUERY_STRINGuser=tester";
    let wire = house.converse(&[begin(1, 2, 0), stream(4, 1, params)].concat());
    assert_eq!(records(&wire).into_answer().status(), "200 OK");
}

#[test]
fn section_2_an_abort_may_be_the_second_record() {
    // HAProxy, of a path that it cannot decode.
    let house = House::behind(Door::FastCgi);
    let wire = house.converse(&[begin(1, 1, 1), record(2, 1, b"")].concat());
    let answer = records(&wire);
    assert_eq!(answer.0.len(), 1, "{:?}", answer.0);
    assert_eq!(answer.of(3, 1), [&[0; 8][..]]);
    assert_eq!(house.ask(&asked("GET /hello")).body, b"Hello World\n");
}

#[test]
fn section_2_odd_ids_come_interleaved_also_where_mpxs_conns_was_denied() {
    for multiplex in ["on", "off"] {
        let house = House::with(Door::FastCgi, &["--multiplex", multiplex]);
        let ids = [1, 3, 5];
        let mut wire = record(9, 0, b"\x0f\x00FCGI_MPXS_CONNS");
        wire.extend(ids.iter().flat_map(|id| begin(*id, 1, 1)));
        wire.extend(ids.iter().flat_map(|id| stream(4, *id, GET)));
        wire.extend(ids.iter().flat_map(|id| record(5, *id, b"")));
        let answer = records(&house.converse(&wire));
        let says = if multiplex == "on" { b'1' } else { b'0' };
        assert_eq!(answer.of(10, 0)[0].last(), Some(&says));
        for id in ids {
            let stdout = answer.of(6, id).concat();
            assert!(stdout.ends_with(b"\r\n\r\nHello World\n"), "{id}: {}", stdout.escape_ascii());
            assert_eq!(answer.of(3, id), [&[0; 8][..]]);
        }
    }
}

#[test]
fn section_3_a_body_cut_short_is_not_taken_for_a_whole_one() {
    for door in [Door::Cgi, Door::FastCgi, Door::Scgi, Door::Uwsgi] {
        let short = asked("POST /count").with("CONTENT_LENGTH", "10").unmeasured(b"12345");
        let answer = House::behind(door).ask(&short);
        assert_eq!(answer.status(), "400 Bad Request", "{door:?}");
    }
}

#[test]
fn section_3_whoever_only_stops_sending_is_answered() {
    // nginx takes a client's half-close for an abort; those behind it do not.
    for door in [Door::FastCgi, Door::Scgi, Door::Uwsgi] {
        // `ask` stops sending as soon as all is sent.
        let answer = House::behind(door).ask(&asked("GET /sleep?ms=100"));
        assert_eq!(answer.body, b"slept 100\n", "{door:?}");
    }
}
