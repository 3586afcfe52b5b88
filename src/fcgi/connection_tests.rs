//! Conversations fed whole, byte by byte and cut at each place.

use super::super::{Whole, begin_request, pair, stream};
use super::*;
use proptest::prelude::*;

const LIMITS: Limits = Limits { max_requests: 4, max_params: 100 };

fn id(n: u16) -> RequestId {
    RequestId(NonZeroU16::new(n).unwrap())
}

/// An event, with the pieces of a stream joined so that cuts do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Bytes(&'static str, u16, Vec<u8>),
    Other(String),
}

/// By events alone.
fn feed(pieces: &[&[u8]]) -> (Vec<Seen>, Option<ProtocolError>) {
    feed_by(pieces, false)
}

/// `wholes`: requests that lie in one piece are asked for first.
fn feed_by(pieces: &[&[u8]], wholes: bool) -> (Vec<Seen>, Option<ProtocolError>) {
    let (mut connection, mut seen, mut held) = (Connection::new(LIMITS), Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            if wholes && let Some((used, whole)) = connection.whole(&held) {
                let Whole { id, keep_conn, params, ended } = whole;
                let begin = Event::Begin { id, role: Role::Responder, keep_conn };
                seen.push(Seen::Other(format!("{begin:?}")));
                seen.push(Seen::Bytes("params", id.0.get(), params.to_vec()));
                seen.push(Seen::Other(format!("{:?}", Event::ParamsEnd { id })));
                let end = ended.then(|| format!("{:?}", Event::StdinEnd { id }));
                seen.extend(end.map(Seen::Other));
                held.drain(..used);
                continue;
            }
            let (used, event) = match connection.next(&held) {
                Ok(progress) => progress,
                Err(error) => return (seen, Some(error)),
            };
            let (stream, id, bytes) = match event {
                None => {
                    held.drain(..used);
                    break;
                }
                Some(Event::Params { id, piece }) => ("params", id, piece),
                Some(Event::Stdin { id, piece }) => ("stdin", id, piece),
                Some(Event::Data { id, piece }) => ("data", id, piece),
                Some(other) => {
                    seen.push(Seen::Other(format!("{other:?}")));
                    held.drain(..used);
                    continue;
                }
            };
            match seen.last_mut() {
                Some(Seen::Bytes(s, n, all)) if *s == stream && *n == id.0.get() => {
                    all.extend_from_slice(bytes);
                }
                _ => seen.push(Seen::Bytes(stream, id.0.get(), bytes.to_vec())),
            }
            held.drain(..used);
        }
    }
    (seen, None)
}

/// The same events whole, byte by byte and cut at every place; returns them.
fn the_same_however_cut(wire: &[u8]) -> (Vec<Seen>, Option<ProtocolError>) {
    let whole = feed(&[wire]);
    assert_eq!(feed_by(&[wire], true), whole, "in one piece");
    assert_eq!(feed(&wire.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    for cut in 0..=wire.len() {
        assert_eq!(feed_by(&[&wire[..cut], &wire[cut..]], true), whole, "cut at {cut}");
    }
    whole
}

fn others(seen: &[Seen]) -> Vec<&str> {
    fn text(seen: &Seen) -> Option<&str> {
        match seen {
            Seen::Other(text) => text.split_whitespace().next(),
            Seen::Bytes(..) => None,
        }
    }
    seen.iter().filter_map(text).collect()
}

fn padded(wire: &mut Vec<u8>, kind: u8, id: u16, content: &[u8], padding: u8) {
    let ([i1, i0], [l1, l0]) = (id.to_be_bytes(), (content.len() as u16).to_be_bytes());
    wire.extend_from_slice(&[1, kind, i1, i0, l1, l0, padding, 0xee]);
    wire.extend_from_slice(content);
    wire.extend(std::iter::repeat_n(0xaa, padding.into()));
}

#[test]
fn a_request_with_a_body_and_padding_everywhere() {
    let mut wire = Vec::new();
    padded(&mut wire, 1, 1, &[0, 1, 1, 9, 9, 9, 9, 9], 3);
    let mut params = Vec::new();
    pair(&mut params, b"A", b"1");
    padded(&mut wire, 4, 1, &params[..2], 7);
    padded(&mut wire, 4, 1, &params[2..], 0);
    padded(&mut wire, 4, 1, b"", 255);
    padded(&mut wire, 5, 1, b"hello", 1);
    padded(&mut wire, 5, 1, b"", 8);
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!(error, None);
    assert_eq!(others(&seen), ["Begin", "ParamsEnd", "StdinEnd"]);
    assert!(seen.contains(&Seen::Bytes("params", 1, params)));
    assert!(seen.contains(&Seen::Bytes("stdin", 1, b"hello".to_vec())));
}

#[test]
fn interleaved_requests_are_told_apart() {
    let mut wire = Vec::new();
    for n in [1, 3] {
        begin_request(&mut wire, id(n), Role::Responder, true);
    }
    for n in [3, 1] {
        stream(&mut wire, RecordType::Params, id(n), b"");
        stream(&mut wire, RecordType::Stdin, id(n), &[n as u8; 3]);
    }
    stream(&mut wire, RecordType::Stdin, id(3), b"");
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!(error, None);
    assert!(seen.contains(&Seen::Bytes("stdin", 3, vec![3; 3])));
    assert!(seen.contains(&Seen::Bytes("stdin", 1, vec![1; 3])));
}

#[test]
fn management_records_are_answered_and_the_connection_goes_on() {
    let mut wire = Vec::new();
    let mut asked = Vec::new();
    pair(&mut asked, b"FCGI_MPXS_CONNS", b"");
    padded(&mut wire, 9, 0, &asked, 5);
    padded(&mut wire, 99, 0, b"whatever", 1);
    begin_request(&mut wire, id(1), Role::Responder, false);
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!(error, None);
    let text = format!("{seen:?}");
    assert!(text.contains("Values { asked: 4 }") && text.contains("UnknownType(99)"), "{text}");
    assert_eq!(others(&seen).last(), Some(&"Begin"));
}

#[test]
fn an_unknown_role_and_a_request_too_many_are_refused_and_their_records_ignored() {
    let mut wire = Vec::new();
    padded(&mut wire, 1, 9, &[0, 9, 1, 0, 0, 0, 0, 0], 0);
    padded(&mut wire, 4, 9, b"xx", 0);
    for n in 1..=5 {
        begin_request(&mut wire, id(n), Role::Responder, true);
    }
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!(error, None);
    let text = format!("{seen:?}");
    assert!(text.contains("UnknownRole") && text.contains("Overloaded"), "{text}");
    assert_eq!(others(&seen).iter().filter(|event| **event == "Begin").count(), 4);
}

#[test]
fn an_abort_may_come_at_any_moment_and_records_of_no_request_are_ignored() {
    let mut wire = Vec::new();
    padded(&mut wire, 2, 7, b"", 0); // never begun
    padded(&mut wire, 5, 7, b"stray", 0);
    begin_request(&mut wire, id(7), Role::Responder, true);
    padded(&mut wire, 2, 7, b"", 0); // before the first PARAMS
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!((others(&seen), error), (vec!["Begin", "Abort"], None));
}

#[test]
fn an_authorizer_has_its_answer_after_params_and_a_filter_its_data_after_stdin() {
    let mut wire = Vec::new();
    begin_request(&mut wire, id(1), Role::Authorizer, true);
    stream(&mut wire, RecordType::Params, id(1), b"");
    stream(&mut wire, RecordType::Stdin, id(1), b"");
    begin_request(&mut wire, id(2), Role::Filter, true);
    for kind in [RecordType::Params, RecordType::Stdin] {
        stream(&mut wire, kind, id(2), b"");
    }
    stream(&mut wire, RecordType::Data, id(2), b"data");
    stream(&mut wire, RecordType::Data, id(2), b"");
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!(error, None);
    let want = ["Begin", "ParamsEnd", "Begin", "ParamsEnd", "StdinEnd", "DataEnd"];
    assert_eq!(others(&seen), want);
}

#[test]
fn what_breaks_the_protocol_says_so() {
    let begun = |more: &dyn Fn(&mut Vec<u8>)| {
        let mut wire = Vec::new();
        begin_request(&mut wire, id(1), Role::Responder, true);
        more(&mut wire);
        the_same_however_cut(&wire).1
    };
    let params = |wire: &mut Vec<u8>| stream(wire, RecordType::Params, id(1), b"");
    assert_eq!(the_same_however_cut(b"GET / HTTP/1.1\r\n").1, Some(ProtocolError::Version(b'G')));
    let short = |wire: &mut Vec<u8>| padded(wire, 1, 2, b"short", 0);
    assert_eq!(begun(&short), Some(ProtocolError::Length { kind: 1, content_len: 5 }));
    let again = |wire: &mut Vec<u8>| begin_request(wire, id(1), Role::Responder, true);
    assert_eq!(begun(&again), Some(ProtocolError::IdInUse(id(1))));
    let late = |wire: &mut Vec<u8>| (0..2).for_each(|_| params(wire));
    assert_eq!(begun(&late), Some(ProtocolError::Order { kind: 4, id: 1 }));
    let early = |wire: &mut Vec<u8>| padded(wire, 5, 1, b"x", 0);
    assert_eq!(begun(&early), Some(ProtocolError::Order { kind: 5, id: 1 }));
}

#[test]
fn params_over_the_limit_are_told_of_once_and_the_rest_is_read_over() {
    let mut wire = Vec::new();
    begin_request(&mut wire, id(1), Role::Responder, true);
    for len in [60, 41, 10, 0] {
        stream(&mut wire, RecordType::Params, id(1), &vec![b'x'; len]);
    }
    stream(&mut wire, RecordType::Stdin, id(1), b"body");
    padded(&mut wire, 2, 1, b"", 0);
    let (seen, error) = the_same_however_cut(&wire);
    assert_eq!(error, None);
    assert_eq!(others(&seen), ["Begin", "ParamsTooLong", "Abort"]);
    assert!(seen.contains(&Seen::Bytes("params", 1, vec![b'x'; 60])));
}

#[test]
fn id_zero_is_for_management_records_alone() {
    for kind in 1..=8 {
        let mut wire = Vec::new();
        padded(&mut wire, kind, 0, &[0; 8], 0);
        let (_, error) = the_same_however_cut(&wire);
        assert_eq!(error, Some(ProtocolError::Order { kind, id: 0 }));
    }
    // The answers of management records are not answered.
    for kind in [10, 11] {
        let mut wire = Vec::new();
        padded(&mut wire, kind, 0, &[0; 8], 3);
        assert_eq!(the_same_however_cut(&wire), (vec![], None));
    }
}

#[test]
fn a_flood_of_requests_is_refused_and_takes_no_memory() {
    let mut connection = Connection::new(LIMITS);
    let mut refused = 0;
    for n in 1..=u16::MAX {
        let mut wire = Vec::new();
        begin_request(&mut wire, id(n), Role::Responder, true);
        let (used, event) = connection.next(&wire).unwrap();
        assert_eq!(used, wire.len());
        refused += usize::from(matches!(event, Some(Event::Answer(Answer::Refuse { .. }))));
    }
    assert_eq!(refused, usize::from(u16::MAX) - LIMITS.max_requests);
    assert!(connection.open.capacity() <= 2 * LIMITS.max_requests);
}

/// Records of a few requests, each stream in order, in any interleaving.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let step = (1u16..=3, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20), 0u8..9);
    proptest::collection::vec(step, 0..24).prop_map(|steps| {
        let (mut wire, mut phases) = (Vec::new(), [0u8; 4]);
        for (id, choice, content, padding) in steps {
            let phase = &mut phases[usize::from(id)];
            let end = choice % 3 == 0 || content.is_empty();
            let content = if end { &[] } else { &content[..] };
            match *phase {
                0 => padded(&mut wire, 1, id, &[0, 1, 1, 0, 0, 0, 0, 0], padding),
                1 => padded(&mut wire, 4, id, content, padding),
                2 => padded(&mut wire, 5, id, content, padding),
                _ => padded(&mut wire, 2, id, b"", padding),
            }
            *phase = (*phase + u8::from(*phase == 0 || end)).min(3);
        }
        wire
    })
}

proptest! {
    #[test]
    fn any_interleaving_gives_the_same_events_however_it_is_cut(
        wire in records(), cuts in proptest::collection::vec(0usize..2000, 0..8)
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().filter(|cut| *cut < wire.len()).collect();
        cuts.sort_unstable();
        let mut at = 0;
        let mut pieces = Vec::new();
        for cut in cuts {
            pieces.push(&wire[at..cut]);
            at = cut;
        }
        pieces.push(&wire[at..]);
        prop_assert_eq!(feed(&pieces), feed(&[&wire]));
        prop_assert_eq!(feed_by(&pieces, true), feed(&[&wire]));
    }

    /// Two requests of the usual shape, and some bytes that are not as they should be.
    #[test]
    fn a_request_in_one_piece_is_the_same_as_its_events(
        ids in (1u16..=2, 1u16..=2), roles in (0u8..=4, 1u8..=1), params in 0usize..120,
        paddings in proptest::collection::vec(0u8..3, 8), body in 0usize..3,
        changes in proptest::collection::vec((0usize..400, any::<u8>()), 0..3), cut in 0usize..800,
    ) {
        let mut wire = Vec::new();
        for (n, role, padding) in [(ids.0, roles.0, &paddings[..4]), (ids.1, roles.1, &paddings[4..])] {
            padded(&mut wire, 1, n, &[0, role, 1, 0, 0, 0, 0, 0], padding[0]);
            padded(&mut wire, 4, n, &vec![b'x'; params], padding[1]);
            padded(&mut wire, 4, n, b"", padding[2]);
            padded(&mut wire, 5, n, &vec![b'y'; body], padding[3]);
        }
        for (at, byte) in changes {
            if let Some(changed) = wire.get_mut(at) {
                *changed = byte;
            }
        }
        let (before, behind) = wire.split_at(cut.min(wire.len()));
        prop_assert_eq!(feed_by(&[before, behind], true), feed(&[&wire]));
    }

    #[test]
    fn any_bytes_are_events_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(feed(&[&bytes]), feed(&bytes.chunks(1).collect::<Vec<_>>()));
    }
}
