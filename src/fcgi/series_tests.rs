//! What was received as a series is heard as what lay on the wire.

use super::*;
use crate::fcgi::{Event, Limits, Role, abort_request, begin_request, get_values, stream};
use proptest::prelude::*;
use std::num::NonZeroU16;

const LIMITS: Limits = Limits { max_requests: 2, max_params: 40 };

fn id(id: u16) -> RequestId {
    RequestId(NonZeroU16::new(id).unwrap())
}

/// Two requests, of which the bodies are going to come.
fn begin() -> Vec<u8> {
    let mut wire = Vec::new();
    for id in [id(1), id(2)] {
        begin_request(&mut wire, id, Role::Responder, true);
        stream(&mut wire, RecordType::Params, id, b"");
    }
    wire
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Body(RequestId, Vec<u8>),
    Event(String),
}

/// What is heard of `input`, and how much of it is left; pieces that follow each other are joined.
fn hear(connection: &mut Connection, input: &[u8]) -> (Vec<Said>, usize) {
    let (mut said, mut at) = (Vec::new(), 0);
    loop {
        let event = match connection.next(&input[at..]) {
            Ok((used, event)) => {
                at += used;
                event
            }
            Err(error) => {
                said.push(Said::Event(error.to_string()));
                return (said, 0);
            }
        };
        match (event, said.last_mut()) {
            (None, _) => return (said, input.len() - at),
            (Some(Event::Stdin { id, piece }), Some(Said::Body(last, body))) if *last == id => {
                body.extend_from_slice(piece);
            }
            (Some(Event::Stdin { id, piece }), _) => said.push(Said::Body(id, piece.to_vec())),
            (Some(event), _) => said.push(Said::Event(format!("{event:?}"))),
        }
    }
}

/// One connection, received in two ways: with what stood over.
struct Both {
    plain: (Connection, Vec<u8>),
    series: (Connection, Vec<u8>),
}

impl Both {
    fn new() -> Self {
        let new = || (Connection::new(LIMITS), Vec::new());
        Self { plain: new(), series: new() }
    }

    /// Receives at most `most` bytes into a room of that length, and compares: how many it were. While
    /// it receives, somebody else may finish with a request.
    fn receive(&mut self, wire: &[u8], room: usize, most: usize, finish: Option<u16>) -> usize {
        let (connection, tail) = &mut self.series;
        let series = connection.series().filter(|_| tail.is_empty());
        let (mut room, mut aside) = (vec![0xee; room], Aside::default());
        let mut came = 0;
        let len = match series {
            Some(mut series) => {
                for slice in series.slices(&mut room, &mut aside) {
                    let n = slice.len().min(wire.len().min(most) - came);
                    slice[..n].copy_from_slice(&wire[came..came + n]);
                    came += n;
                }
                finish.map(|n| connection.finish(id(n)));
                let len = series.join(&mut room, &aside, came);
                connection.go_on(&series);
                len
            }
            None => {
                came = wire.len().min(most);
                finish.map(|n| connection.finish(id(n)));
                room = [tail, &wire[..came]].concat();
                room.len()
            }
        };
        let (said, left) = hear(connection, &room[..len]);
        *tail = room[len - left..len].to_vec();

        let (connection, tail) = &mut self.plain;
        finish.map(|n| connection.finish(id(n)));
        tail.extend_from_slice(&wire[..came]);
        let (expected, left) = hear(connection, tail);
        tail.drain(..tail.len() - left);
        assert_eq!((said, &self.series.1), (expected, &self.plain.1));
        came
    }
}

#[test]
fn the_contents_of_records_that_are_alike_lie_side_by_side() {
    let (mut connection, mut wire) = (Connection::new(LIMITS), begin());
    let body: Vec<u8> = (0..7_000_u32).map(|n| (n % 251) as u8).collect();
    for content in body.chunks(1_000) {
        stream(&mut wire, RecordType::Stdin, id(1), content);
    }
    // Two records are alike, and of the third there is some.
    let (before, wire) = wire.split_at(begin().len() + 2 * 1_008 + 308);
    hear(&mut connection, before);
    let mut series = connection.series().unwrap();
    assert_eq!(series, Series { id: id(1), left: 700, content_len: 1_000 });

    let (mut room, mut aside) = (vec![0; 4_000], Aside::default());
    let slices = series.slices(&mut room, &mut aside);
    let lengths: Vec<_> = slices.iter().map(|slice| slice.len()).collect();
    assert_eq!(lengths[..8], [700, 8, 1_000, 8, 1_000, 8, 1_000, 8]);
    assert_eq!(lengths[8..9], [44], "the headers have to fit, too");
    assert!(lengths[9..].iter().all(|&len| len == 0));
    let mut came = 0;
    for slice in slices {
        slice.copy_from_slice(&wire[came..came + slice.len()]);
        came += slice.len();
    }
    let len = series.join(&mut room, &aside, came);
    assert!(room[..len] == body[2_300..2_300 + 3_744]);
    connection.go_on(&series);
    assert_eq!(hear(&mut connection, &room[..len]).0, [Said::Body(id(1), room[..len].to_vec())]);
    assert_eq!(connection.series().unwrap().left, 956);
}

#[test]
fn what_is_not_alike_is_no_series() {
    let mut connection = Connection::new(LIMITS);
    hear(&mut connection, &begin());
    let mut say = |kind, n, content: &[u8]| {
        let mut wire = Vec::new();
        stream(&mut wire, kind, id(n), content);
        hear(&mut connection, &wire);
        connection.series().is_some()
    };
    let stdin = RecordType::Stdin;
    assert!(!say(stdin, 1, b"one") && say(stdin, 1, b"two") && !say(stdin, 1, b"three"));
    assert!(!say(stdin, 2, b"other") && !say(stdin, 1, b"three") && say(stdin, 1, b"three"));
    assert!(!say(stdin, 1, b"") && !say(stdin, 2, b"three") && say(stdin, 2, b"three"));
    connection.finish(id(2));
    assert_eq!(connection.series(), None, "nobody wants it");
    let mut again = Vec::new();
    begin_request(&mut again, id(2), Role::Responder, true);
    stream(&mut again, RecordType::Params, id(2), b"\x01\x01A1");
    stream(&mut again, RecordType::Params, id(2), b"");
    stream(&mut again, RecordType::Stdin, id(2), b"");
    assert!(connection.whole(&again).is_some());
    assert_eq!(connection.series(), None, "that was another's");
}

/// Records: mostly of bodies, and mostly alike.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let alike = (1u16..=2, 1usize..40, 1usize..12).prop_map(|(n, len, count)| {
        let mut wire = Vec::new();
        (0..count * len).map(|n| n as u8).collect::<Vec<_>>().chunks(len).for_each(|content| {
            stream(&mut wire, RecordType::Stdin, id(n), content);
        });
        wire
    });
    let padded = (1u16..=2, 1usize..40, 0u8..9, 1usize..4).prop_map(|(n, len, padding, count)| {
        let mut record = header(RecordType::Stdin, n, len as u16).to_vec();
        record[6] = padding;
        record.resize(HEADER_LEN + len + usize::from(padding), 0xaa);
        record.repeat(count)
    });
    let other = (0usize..5, 1u16..=2).prop_map(|(which, n)| {
        let mut wire = Vec::new();
        match which {
            0 => abort_request(&mut wire, id(n)),
            1 => get_values(&mut wire, &[b"FCGI_MAX_REQS"]),
            2 => stream(&mut wire, RecordType::Stdin, id(n), b""),
            3 => stream(&mut wire, RecordType::Data, id(3), b"of nobody"),
            _ => begin_request(&mut wire, id(3), Role::Responder, true),
        }
        wire
    });
    let broken = prop::collection::vec(any::<u8>(), 1..20);
    prop_oneof![16 => alike, 4 => padded, 4 => other, 1 => broken]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_series_is_heard_as_what_lay_on_the_wire(
        records in prop::collection::vec(records(), 1..12),
        reads in prop::collection::vec((1usize..300, prop::option::weighted(0.02, 1u16..=2)), 1..9),
        room in size_of::<Aside>() + 1..1_000,
    ) {
        let (mut both, wire) = (Both::new(), [begin(), records.concat()].concat());
        let (mut at, mut reads) = (0, reads.iter().cycle());
        while at < wire.len() {
            let &(most, finish) = reads.next().unwrap();
            at += both.receive(&wire[at..], room, most, finish);
        }
    }
}
