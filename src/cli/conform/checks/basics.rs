//! Section 3 of the FastCGI specification: records, ids, name-value pairs, and the end of a connection.

use crate::{
    cli::conform::{
        Outcome,
        records::{RESPONDER, begin, in_records, pairs, record, whole},
        responder::{Responder, status},
        wire::{ID, OTHER, Record, Talk, failed},
    },
    fcgi::{RecordType, RequestId},
};
use std::num::NonZeroU16;

pub(super) fn records(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut talk = Talk::begin(responder)?;
    talk.send(responder.get(ID, false))?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    // What follows END_REQUEST would be another request's.
    let heard = talk.hear_shortly(|_| false)?;
    for Record { version, kind, id, content } in &heard.records {
        let ours = [RecordType::Stdout, RecordType::Stderr, RecordType::EndRequest];
        let known = ours.iter().any(|ours| *ours as u8 == *kind);
        if *version != 1 || !known || *id != ID.0.get() {
            return Err(failed(format!("a record of version {version}, type {kind}, id {id}")));
        }
        if *kind == RecordType::EndRequest as u8 && content.len() != 8 {
            return Err(failed(format!("END_REQUEST with {} bytes", content.len())));
        }
    }
    let ends = heard.records.iter().filter(|record| record.ends(ID).is_some()).count();
    let last = heard.records.last().is_some_and(|record| record.ends(ID).is_some());
    match (ends, last, heard.rest.len()) {
        (1, true, 0) => Ok(()),
        (1, true, rest) => Err(failed(format!("{rest} bytes behind END_REQUEST"))),
        (1, false, _) => Err(failed("records behind END_REQUEST")),
        (ends, ..) => Err(failed(format!("{ends} times END_REQUEST"))),
    }
}

pub(super) fn stdout_end(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let heard = responder.ask(responder.get(ID, false), ID)?;
    let mut stdout = heard.records.iter().filter(|record| record.is(RecordType::Stdout));
    match stdout.next_back() {
        None => Err(failed("no STDOUT at all")),
        Some(last) if last.content.is_empty() => Ok(()),
        Some(_) => Err(failed("END_REQUEST comes while STDOUT is open")),
    }
}

pub(super) fn padding(responder: &Responder<'_>) -> Outcome {
    let body = vec![b'x'; 0xffff];
    let request = [
        begin(ID, RESPONDER, false),
        record(RecordType::Params, ID, &pairs(&responder.post(body.len())), 255),
        record(RecordType::Params, ID, b"", 7),
        record(RecordType::Stdin, ID, &body, 255),
        record(RecordType::Stdin, ID, b"", 255),
    ];
    responder.same(&responder.ask(request.concat(), ID)?, ID, true)
}

pub(super) fn in_pieces(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut talk = Talk::begin(responder)?;
    talk.send_slowly(responder.get(ID, false), 1)?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    responder.same(&talk.heard, ID, false)
}

pub(super) fn largest_id(responder: &Responder<'_>) -> Outcome {
    let id = RequestId(NonZeroU16::MAX);
    responder.same(&responder.ask(responder.get(id, false), id)?, id, false)
}

pub(super) fn inactive_id(responder: &Responder<'_>) -> Outcome {
    let before = record(RecordType::Stdin, OTHER, b"whose?", 0);
    let request = [before, responder.get(ID, false)].concat();
    responder.same(&responder.ask(request, ID)?, ID, false)
}

pub(super) fn version(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut request = begin(ID, RESPONDER, false);
    request[0] = 2;
    request.extend(&responder.get(ID, false)[request.len()..]);
    let mut talk = Talk::begin(responder)?;
    talk.send(request)?;
    match talk.hear_shortly(|heard| heard.end(ID).is_some())?.end(ID) {
        Some(0) => Err(failed("it was served all the same")),
        _ => Ok(()),
    }
}

pub(super) fn long_pairs(responder: &Responder<'_>) -> Outcome {
    let mut params = responder.params.clone();
    for length in [127, 128, 300] {
        let name = [&b"HTTP_X_"[..], &vec![b'N'; length - 7]].concat();
        params.push((name, vec![b'v'; length]));
    }
    responder.same(&responder.ask(whole(ID, &params, b"", false), ID)?, ID, false)
}

pub(super) fn pairs_cut(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut params = pairs(&responder.params);
    params.extend_from_slice(b"\x05\x20HTTP_");
    let request = [
        begin(ID, RESPONDER, false),
        in_records(RecordType::Params, ID, &params, 32 << 10),
        in_records(RecordType::Stdin, ID, b"", 1),
    ];
    let mut talk = Talk::begin(responder)?;
    talk.send(request.concat())?;
    let heard = talk.hear_shortly(|heard| heard.end(ID).is_some())?;
    match (heard.end(ID), status(&heard.stdout(ID))) {
        (Some(0), Ok(status @ 200..=399)) => {
            Err(failed(format!("it was served, with status {status}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn closes(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut talk = Talk::begin(responder)?;
    talk.send(responder.get(ID, false))?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    match talk.hear(|_| false)?.closed {
        true => Ok(()),
        false => Err(failed("it stays open")),
    }
}
