//! Answers fed whole, byte by byte and cut at each place; and both sides against each other.

use super::super::{
    Answer, Connection, Event, Limits, VALUES, Values, end_request, pairs, unknown_type,
    values_result,
};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn id(n: u16) -> RequestId {
    RequestId(NonZeroU16::new(n).unwrap())
}

fn client(ids: &[u16]) -> Client {
    let mut client = Client::new();
    for n in ids {
        let (id, role) = (id(*n), Role::Responder);
        let request = Request { id, role, keep_conn: true, params: &[] };
        client.begin(&mut Vec::new(), &request).unwrap();
    }
    client
}

/// The replies as text, with the pieces of a stream joined so that cuts do not show.
fn feed(mut client: Client, pieces: &[&[u8]]) -> (Vec<(String, Vec<u8>)>, Option<ReplyError>) {
    let (mut seen, mut held) = (Vec::<(String, Vec<u8>)>::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let (used, reply) = match client.next(&held) {
                Ok(progress) => progress,
                Err(error) => return (seen, Some(error)),
            };
            let Some(reply) = reply else {
                held.drain(..used);
                break;
            };
            let (what, bytes) = match reply {
                Reply::Stdout { id, piece } => (format!("stdout {}", id.0), piece),
                Reply::Stderr { id, piece } => (format!("stderr {}", id.0), piece),
                Reply::Values { pairs } => ("values".into(), pairs),
                other => (format!("{other:?}"), &[][..]),
            };
            match seen.last_mut() {
                Some((last, all)) if *last == what => all.extend_from_slice(bytes),
                _ => seen.push((what, bytes.to_vec())),
            }
            held.drain(..used);
        }
    }
    (seen, None)
}

fn the_same_however_cut(ids: &[u16], wire: &[u8]) -> (Vec<(String, Vec<u8>)>, Option<ReplyError>) {
    let whole = feed(client(ids), &[wire]);
    assert_eq!(feed(client(ids), &wire.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    for cut in 0..=wire.len() {
        assert_eq!(feed(client(ids), &[&wire[..cut], &wire[cut..]]), whole, "cut at {cut}");
    }
    whole
}

#[test]
fn answers_of_two_requests_are_told_apart_and_padding_is_ignored() {
    let mut wire = b"\x01\x06\0\x01\0\x02\x03\xeehi...".to_vec();
    stream(&mut wire, RecordType::Stderr, id(2), b"oh");
    stream(&mut wire, RecordType::Stdout, id(1), b"");
    wire.extend_from_slice(b"\x01\x03\0\x01\0\x08\x02\0\0\0\0\x05\0\xaa\xaa\xaa__");
    end_request(&mut wire, id(2), 0, ProtocolStatus::Overloaded);
    let (seen, error) = the_same_however_cut(&[1, 2], &wire);
    assert_eq!(error, None);
    let end = |n, app_status, protocol_status| {
        format!("{:?}", Reply::End { id: id(n), app_status, protocol_status })
    };
    let expected = [
        ("stdout 1".to_owned(), b"hi".to_vec()),
        ("stderr 2".to_owned(), b"oh".to_vec()),
        (format!("{:?}", Reply::StdoutEnd { id: id(1) }), vec![]),
        (end(1, 5, ProtocolStatus::RequestComplete), vec![]),
        (end(2, 0, ProtocolStatus::Overloaded), vec![]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn management_records_are_replies_without_a_request() {
    let mut wire = Vec::new();
    let values = Values { max_conns: 10, max_reqs: 20, mpxs_conns: true };
    values_result(&mut wire, 0b111, &values);
    unknown_type(&mut wire, 99);
    let (seen, error) = the_same_however_cut(&[], &wire);
    assert_eq!(error, None);
    let content = &seen[0].1;
    let found: Vec<_> = pairs(content).map(|pair| &content[pair.unwrap().1]).collect();
    assert_eq!(found, [&b"10"[..], b"20", b"1"]);
    assert_eq!(seen[1].0, "UnknownType(99)");
}

#[test]
fn what_no_application_may_send_is_an_error() {
    use ReplyError::{Length, NotOpen, Status, Unexpected, Version};
    let (one, two) = (id(1), id(2));
    for (wire, error) in [
        (&b"\x02\x06\0\x01\0\0\0\0"[..], Version(2)),
        (b"HTTP/1.1", Version(b'H')),
        (b"\x01\x06\0\x02\0\x01\0\0x", NotOpen { kind: 6, id: two }),
        (b"\x01\x03\0\x02\0\x08\0\0\0\0\0\0\0\0\0\0", NotOpen { kind: 3, id: two }),
        (b"\x01\x03\0\x01\0\x07\0\0", Length { kind: 3, content_len: 7 }),
        (b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x04\0\0\0", Status { id: one, status: 4 }),
        (b"\x01\x06\0\0\0\0\0\0", Unexpected { kind: 6, id: 0 }),
        (b"\x01\x01\0\x01\0\x08\0\0", Unexpected { kind: 1, id: 1 }),
        (b"\x01\x0b\0\x01\0\x08\0\0", Unexpected { kind: 11, id: 1 }),
        (b"\x01\x63\0\0\0\0\0\0", Unexpected { kind: 99, id: 0 }),
        (b"\x01\x0a\0\0\xff\xff\0\0", Length { kind: 10, content_len: 65_535 }),
    ] {
        let (_, seen) = the_same_however_cut(&[1], wire);
        assert_eq!(seen, Some(error), "{}", wire.escape_ascii());
    }
}

#[test]
fn a_request_ends_once() {
    let mut wire = Vec::new();
    end_request(&mut wire, id(1), 0, ProtocolStatus::RequestComplete);
    end_request(&mut wire, id(1), 0, ProtocolStatus::RequestComplete);
    let (seen, error) = the_same_however_cut(&[1], &wire);
    assert_eq!(seen.len(), 1);
    assert_eq!(error, Some(ReplyError::NotOpen { kind: 3, id: id(1) }));
}

#[test]
fn an_id_in_use_begins_no_second_request() {
    let mut out = Vec::new();
    let request = Request { id: id(1), role: Role::Responder, keep_conn: true, params: &[] };
    assert_eq!(client(&[1]).begin(&mut out, &request), Err(IdInUse(id(1))));
    assert!(out.is_empty());
}

#[test]
fn get_values_is_answered_by_the_other_side() {
    let mut wire = Vec::new();
    get_values(&mut wire, &[VALUES[2], b"NO_SUCH", VALUES[0]]);
    let mut connection = Connection::new(Limits { max_requests: 1, max_params: 0 });
    let (_, event) = connection.next(&wire).unwrap();
    assert_eq!(event, Some(Event::Answer(Answer::Values { asked: 0b101 })));
}

#[derive(Clone, Debug)]
struct Sent {
    params: Vec<(Vec<u8>, Vec<u8>)>,
    stdin: Vec<u8>,
    aborted: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = |most| prop::collection::vec(any::<u8>(), 0..most);
    let params = prop::collection::vec((text(200), text(200)), 0..4);
    (params, text(3000), any::<bool>()).prop_map(|(params, stdin, aborted)| Sent {
        params,
        stdin,
        aborted,
    })
}

/// What a gateway that echoes would say, cut into pieces of `step`.
fn echo(wire: &[u8], step: usize) -> Vec<u8> {
    let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
    let (mut out, mut held, mut params) = (Vec::new(), Vec::new(), BTreeMap::new());
    for piece in wire.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            let (used, event) = connection.next(&held).unwrap();
            let Some(event) = event else {
                held.drain(..used);
                break;
            };
            match event {
                Event::Params { id, piece } => {
                    params.entry(id).or_insert_with(Vec::new).extend_from_slice(piece);
                }
                Event::ParamsEnd { id } => {
                    let params = params.remove(&id).unwrap_or_default();
                    if !params.is_empty() {
                        stream(&mut out, RecordType::Stderr, id, &params);
                    }
                }
                Event::Stdin { id, piece } => stream(&mut out, RecordType::Stdout, id, piece),
                Event::StdinEnd { id } | Event::Abort { id } => {
                    let status = u32::from(matches!(event, Event::Abort { .. }));
                    end_request(&mut out, id, status, ProtocolStatus::RequestComplete);
                    assert_eq!(connection.finish(id), Some(true));
                }
                _ => {}
            }
            held.drain(..used);
        }
    }
    assert!(connection.is_fresh());
    out
}

/// One record that an application may send under ids 1 to 3, with its padding.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let content = prop::collection::vec(any::<u8>(), 0..40);
    let kinds = prop::sample::select(vec![6, 6, 7, 10, 11]);
    (kinds, 1..4u8, content, 0..9u8).prop_map(|(kind, id, mut content, padding)| {
        let id = if kind < 10 { id } else { 0 };
        if kind == 11 {
            content.resize(8, 0);
        }
        let mut wire = vec![1, kind, 0, id, 0, content.len() as u8, padding, 0];
        wire.append(&mut content);
        wire.resize(wire.len() + usize::from(padding), 0xee);
        wire
    })
}

proptest! {
    #[test]
    fn both_sides_understand_each_other(
        requests in prop::collection::vec(sent(), 1..6),
        step in 1..2000usize,
        back in 1..2000usize,
    ) {
        // Records of all requests in turn, so that they interleave.
        let (mut client, mut wire) = (Client::new(), Vec::new());
        for (n, sent) in requests.iter().enumerate() {
            let params: Vec<_> = sent.params.iter().map(|(n, v)| (&n[..], &v[..])).collect();
            let (id, role) = (id(n as u16 + 1), Role::Responder);
            client.begin(&mut wire, &Request { id, role, keep_conn: true, params: &params }).unwrap();
        }
        for at in 0..3 {
            for (n, sent) in requests.iter().enumerate() {
                let third = sent.stdin.len().div_ceil(3).max(1);
                if let Some(piece) = sent.stdin.chunks(third).nth(at) {
                    stream(&mut wire, RecordType::Stdin, id(n as u16 + 1), piece);
                }
            }
        }
        for (n, sent) in requests.iter().enumerate() {
            match sent.aborted {
                true => abort_request(&mut wire, id(n as u16 + 1)),
                false => stream(&mut wire, RecordType::Stdin, id(n as u16 + 1), b""),
            }
        }
        let answer = echo(&wire, step);

        let mut came = BTreeMap::<RequestId, (Vec<u8>, Vec<u8>, Option<u32>)>::new();
        let mut held = Vec::new();
        for piece in answer.chunks(back) {
            held.extend_from_slice(piece);
            loop {
                let (used, reply) = client.next(&held).unwrap();
                match reply {
                    Some(Reply::Stdout { id, piece }) => {
                        came.entry(id).or_default().0.extend_from_slice(piece);
                    }
                    Some(Reply::Stderr { id, piece }) => {
                        came.entry(id).or_default().1.extend_from_slice(piece);
                    }
                    Some(Reply::End { id, app_status, .. }) => {
                        came.entry(id).or_default().2 = Some(app_status);
                    }
                    Some(other) => panic!("nobody said {other:?}"),
                    None => {
                        held.drain(..used);
                        break;
                    }
                }
                held.drain(..used);
            }
        }
        prop_assert!(client.is_idle());
        for (n, sent) in requests.iter().enumerate() {
            let (stdout, stderr, status) = &came[&id(n as u16 + 1)];
            prop_assert_eq!(stdout, &sent.stdin);
            let mut expected = Vec::new();
            for (name, value) in &sent.params {
                pair(&mut expected, name, value);
            }
            prop_assert_eq!(stderr, &expected);
            prop_assert_eq!(*status, Some(u32::from(sent.aborted)));
        }
    }

    #[test]
    fn interleaved_replies_are_the_same_however_cut(
        records in prop::collection::vec(record(), 0..12),
        cuts in prop::collection::vec(1..50usize, 1..8),
        junk in prop::option::of(prop::collection::vec(any::<u8>(), 1..30)),
    ) {
        let mut wire = records.concat();
        for n in 1..4 {
            end_request(&mut wire, id(n), n.into(), ProtocolStatus::RequestComplete);
        }
        wire.extend(junk.clone().unwrap_or_default());
        let (seen, error) = feed(client(&[1, 2, 3]), &[&wire]);
        let (mut rest, mut pieces) = (&wire[..], Vec::new());
        for cut in cuts.iter().cycle() {
            let (piece, left) = rest.split_at(rest.len().min(*cut));
            pieces.push(piece);
            rest = left;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&feed(client(&[1, 2, 3]), &pieces), &(seen.clone(), error));
        let ends = seen.iter().filter(|(what, _)| what.starts_with("End {")).count();
        prop_assert_eq!(ends, 3);
        prop_assert!(junk.is_some() || error.is_none());
    }

    #[test]
    fn a_buffer_of_the_least_size_never_stands_still(records in prop::collection::vec(any::<(u8, u16)>(), 1..6)) {
        let mut wire = Vec::new();
        for (kind, len) in records {
            let content = vec![b'x'; usize::from(len)];
            let values = vec![b'v'; usize::from(MAX_VALUES)];
            match kind % 3 {
                0 => stream(&mut wire, RecordType::Stdout, id(1), &content),
                1 => stream(&mut wire, RecordType::Stderr, id(1), &content),
                _ => {
                    wire.extend_from_slice(&header(RecordType::GetValuesResult, 0, MAX_VALUES));
                    wire.extend_from_slice(&values);
                }
            }
        }
        let (mut client, mut rest) = (client(&[1]), &wire[..]);
        while !rest.is_empty() {
            let (used, reply) = client.next(&rest[..rest.len().min(Client::MIN_BUFFER)]).unwrap();
            prop_assert!(used > 0 || reply.is_some());
            rest = &rest[used..];
        }
    }

    #[test]
    fn no_bytes_bring_it_down(bytes: Vec<u8>) {
        feed(client(&[1, 256]), &[&bytes]);
        super::super::words(&bytes).count();
    }
}
