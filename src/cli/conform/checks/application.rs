//! Section 5 of the FastCGI specification: how a request begins, what comes of it, and its end.

use crate::{
    cli::conform::{
        Miss, Outcome,
        records::{RESPONDER, begin, in_records, pairs, record, whole},
        responder::Responder,
        wire::{Heard, ID, OTHER, Talk, failed},
    },
    fcgi::{self, ProtocolStatus, RecordType},
};

/// FCGI_CANT_MPX_CONN
const CANT_MPX_CONN: u8 = ProtocolStatus::CantMpxConn as u8;
/// FCGI_UNKNOWN_ROLE
pub(super) const UNKNOWN_ROLE: u8 = ProtocolStatus::UnknownRole as u8;

pub(super) fn keep_conn(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut talk = Talk::begin(responder)?;
    for turn in ["first", "second"] {
        talk.heard = Heard { closed: talk.heard.closed, ..Heard::default() };
        talk.send(responder.get(ID, true))?;
        let heard = talk.hear(|heard| heard.end(ID).is_some())?;
        responder.same(heard, ID, false).map_err(|miss| match miss {
            Miss::Failed(why) => failed(format!("the {turn} one: {why}")),
            skipped @ Miss::Skipped(_) => skipped,
        })?;
    }
    Ok(())
}

pub(super) fn unknown_role(responder: &Responder<'_>) -> Outcome {
    let request = [
        begin(ID, 9, false),
        in_records(RecordType::Params, ID, &pairs(&responder.params), 32 << 10),
        in_records(RecordType::Stdin, ID, b"", 1),
    ];
    let heard = responder.ask(request.concat(), ID)?;
    match heard.end(ID) {
        Some(UNKNOWN_ROLE) => Ok(()),
        Some(status) => Err(failed(format!("END_REQUEST with protocol status {status}"))),
        None => Err(failed(heard.in_words())),
    }
}

pub(super) fn interleaved(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let said = responder.multiplexes();
    let params = pairs(&responder.params);
    let (half, rest) = params.split_at(params.len() / 2);
    let both = |kind, content: &[u8]| {
        [record(kind, ID, content, 0), record(kind, OTHER, content, 0)].concat()
    };
    let request = [
        begin(ID, RESPONDER, true),
        begin(OTHER, RESPONDER, true),
        both(RecordType::Params, half),
        both(RecordType::Params, rest),
        both(RecordType::Params, b""),
        both(RecordType::Stdin, b""),
    ];
    let mut talk = Talk::begin(responder)?;
    talk.send(request.concat())?;
    let heard = talk.hear(|heard| heard.end(ID).is_some() && heard.end(OTHER).is_some())?;
    match heard.end(OTHER) {
        Some(CANT_MPX_CONN) if said == Some(true) => {
            return Err(failed("CANT_MPX_CONN, and FCGI_MPXS_CONNS is said to be 1"));
        }
        Some(CANT_MPX_CONN) => {}
        _ => responder.same(heard, OTHER, false).map_err(|miss| match miss {
            Miss::Failed(why) => failed(format!("the second one: {why}")),
            skipped @ Miss::Skipped(_) => skipped,
        })?,
    }
    responder.same(heard, ID, false)
}

pub(super) fn params_in_pieces(responder: &Responder<'_>) -> Outcome {
    let request = [
        begin(ID, RESPONDER, false),
        in_records(RecordType::Params, ID, &pairs(&responder.params), 1),
        in_records(RecordType::Stdin, ID, b"", 1),
    ];
    responder.same(&responder.ask(request.concat(), ID)?, ID, false)
}

pub(super) fn params_long(responder: &Responder<'_>) -> Outcome {
    let mut params = responder.params.clone();
    for name in ["HTTP_X_A", "HTTP_X_B"] {
        params.push((name.into(), vec![b'v'; 40_000]));
    }
    responder.same(&responder.ask(whole(ID, &params, b"", false), ID)?, ID, false)
}

pub(super) fn stdin_in_pieces(responder: &Responder<'_>) -> Outcome {
    let body = [b'x'; 1000];
    let request = [
        begin(ID, RESPONDER, false),
        in_records(RecordType::Params, ID, &pairs(&responder.post(body.len())), 32 << 10),
        in_records(RecordType::Stdin, ID, &body, 1),
    ];
    responder.same(&responder.ask(request.concat(), ID)?, ID, true)
}

pub(super) fn stdin_long(responder: &Responder<'_>) -> Outcome {
    let body = vec![b'x'; 1 << 20];
    let request = whole(ID, &responder.post(body.len()), &body, false);
    responder.same(&responder.ask(request, ID)?, ID, true)
}

pub(super) fn abort(responder: &Responder<'_>) -> Outcome {
    let mut request = [
        begin(ID, RESPONDER, true),
        in_records(RecordType::Params, ID, &pairs(&responder.post(10)), 32 << 10),
    ]
    .concat();
    fcgi::abort_request(&mut request, ID);
    let heard = responder.ask(request, ID)?;
    match heard.end(ID) {
        Some(_) => Ok(()),
        None => Err(failed(heard.in_words())),
    }
}
