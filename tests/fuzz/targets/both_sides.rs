//! What the one side says, the other hears: bodies of the fuzzer's making, there and back.
#![no_main]

use cgigate::fcgi::{
    Client, Connection, Event, Limits, ProtocolStatus, RecordType, Reply, Request, RequestId, Role,
    end_request, pairs, stream,
};
use libfuzzer_sys::fuzz_target;
use std::num::NonZeroU16;

const ID: RequestId = RequestId(NonZeroU16::MIN);

fuzz_target!(|input: (Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>, u8)| {
    let (params, body, step) = input;
    let step = usize::from(step).max(1);
    let lent: Vec<_> = params.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let (mut client, mut wire) = (Client::new(), Vec::new());
    let request = Request { id: ID, role: Role::Responder, keep_conn: true, params: &lent };
    client.begin(&mut wire, &request).expect("the first of the connection");
    for piece in body.chunks(step) {
        stream(&mut wire, RecordType::Stdin, ID, piece);
    }
    stream(&mut wire, RecordType::Stdin, ID, b"");

    let mut connection = Connection::new(Limits { max_requests: 1, max_params: usize::MAX });
    let (mut heard, mut answer, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for piece in wire.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            let (used, event) = connection.next(&held).expect("our own client keeps the protocol");
            match event {
                None => {
                    held.drain(..used);
                    break;
                }
                Some(Event::Params { piece, .. }) => heard.extend_from_slice(piece),
                Some(Event::Stdin { piece, .. }) => {
                    stream(&mut answer, RecordType::Stdout, ID, piece);
                }
                Some(_) => {}
            }
            held.drain(..used);
        }
    }
    assert_eq!(connection.finish(ID), Some(true));
    assert!(connection.is_fresh());
    let named: Result<Vec<_>, _> =
        pairs(&heard).map(|pair| pair.map(|(name, value)| (&heard[name], &heard[value]))).collect();
    assert_eq!(named.as_ref(), Ok(&lent));

    end_request(&mut answer, ID, 0, ProtocolStatus::RequestComplete);
    let (mut back, mut ended) = (Vec::new(), false);
    let mut at = 0;
    while let (used, Some(reply)) = client.next(&answer[at..]).expect("and so does our gateway") {
        at += used;
        match reply {
            Reply::Stdout { piece, .. } => back.extend_from_slice(piece),
            Reply::End { .. } => ended = true,
            other => panic!("nobody said {other:?}"),
        }
    }
    assert!(ended && client.is_idle());
    assert_eq!(back, body);
});
