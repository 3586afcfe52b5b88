//! The checks, in the order of the specification's sections as far as one needs another.

use super::{
    Check, Miss, Outcome, Responder,
    wire::{Heard, ID, OTHER, Record, Talk, begin, failed, in_records, pairs, record},
};
use crate::{
    cli::get::response::Response,
    fcgi::{self, RecordType, RequestId, VALUES, get_values},
};
use std::num::NonZeroU16;

const RESPONDER: u16 = 1;
const AUTHORIZER: u16 = 2;
/// FCGI_CANT_MPX_CONN
const CANT_MPX_CONN: u8 = 1;
/// FCGI_UNKNOWN_ROLE
const UNKNOWN_ROLE: u8 = 3;

/// All of them.
pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "answers",
        section: "6.2",
        rule: "a request is answered by a CGI response and END_REQUEST",
        run: answers,
    },
    Check {
        name: "records",
        section: "3.3",
        rule: "whole records of version 1, of an application's types, under the request's id",
        run: records,
    },
    Check {
        name: "stdout-end",
        section: "3.3",
        rule: "STDOUT is ended by an empty record before END_REQUEST",
        run: stdout_end,
    },
    Check {
        name: "padding",
        section: "3.3",
        rule: "padding of any length is passed over",
        run: padding,
    },
    Check {
        name: "in-pieces",
        section: "3.3",
        rule: "records may come byte by byte",
        run: in_pieces,
    },
    Check {
        name: "largest-id",
        section: "3.3",
        rule: "an id may be as large as 65535",
        run: largest_id,
    },
    Check {
        name: "inactive-id",
        section: "3.3",
        rule: "records of a request that was never begun are ignored",
        run: inactive_id,
    },
    Check {
        name: "version",
        section: "3.3",
        rule: "what is of another version is not served",
        run: version,
    },
    Check {
        name: "long-pairs",
        section: "3.4",
        rule: "names and values of 128 bytes and more have lengths of four bytes",
        run: long_pairs,
    },
    Check {
        name: "pairs-cut",
        section: "3.4",
        rule: "parameters that end within a pair are not served",
        run: pairs_cut,
    },
    Check {
        name: "closes",
        section: "3.5",
        rule: "without KEEP_CONN the connection is closed after END_REQUEST",
        run: closes,
    },
    Check {
        name: "get-values",
        section: "4.1",
        rule: "GET_VALUES is answered at once, by one GET_VALUES_RESULT",
        run: values,
    },
    Check {
        name: "get-values-unknown",
        section: "4.1",
        rule: "names that it does not know are left out of it",
        run: values_unknown,
    },
    Check {
        name: "unknown-type",
        section: "4.2",
        rule: "a management record of an unknown type is answered by UNKNOWN_TYPE",
        run: unknown_type,
    },
    Check {
        name: "unknown-type-then",
        section: "4.2",
        rule: "and the connection goes on",
        run: unknown_type_then,
    },
    Check {
        name: "keep-conn",
        section: "5.1",
        rule: "with KEEP_CONN the same id is served again on the same connection",
        run: keep_conn,
    },
    Check {
        name: "unknown-role",
        section: "5.1",
        rule: "a role that there is not is refused with UNKNOWN_ROLE",
        run: unknown_role,
    },
    Check {
        name: "interleaved",
        section: "5.1",
        rule: "of two requests at once both are served, or one refused with CANT_MPX_CONN",
        run: interleaved,
    },
    Check {
        name: "params-in-pieces",
        section: "5.2",
        rule: "a pair may lie across records of PARAMS",
        run: params_in_pieces,
    },
    Check {
        name: "params-long",
        section: "5.2",
        rule: "parameters may be longer than a record",
        run: params_long,
    },
    Check {
        name: "stdin-in-pieces",
        section: "5.3",
        rule: "a body may come in records of one byte",
        run: stdin_in_pieces,
    },
    Check {
        name: "stdin-long",
        section: "5.3",
        rule: "a body may be longer than any buffer, and unread",
        run: stdin_long,
    },
    Check {
        name: "abort",
        section: "5.4",
        rule: "ABORT_REQUEST is answered by END_REQUEST",
        run: abort,
    },
    Check {
        name: "authorizer",
        section: "6.3",
        rule: "an authorizer answers without any STDIN, or is refused with UNKNOWN_ROLE",
        run: authorizer,
    },
];

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

impl Responder<'_> {
    /// The parameters of a POST.
    fn post(&self, length: usize) -> Pairs {
        let mut params = self.params.clone();
        let length = length.to_string();
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("CONTENT_TYPE", "application/octet-stream"),
            ("CONTENT_LENGTH", &length),
        ] {
            params.retain(|(known, _)| known != name.as_bytes());
            params.push((name.into(), value.into()));
        }
        params
    }

    /// A conversation of what is sent at once, until `id` has ended.
    fn ask(&self, request: Vec<u8>, id: RequestId) -> Result<Heard, Miss> {
        let mut talk = Talk::begin(self)?;
        talk.send(request)?;
        talk.hear(|heard| heard.end(id).is_some())?;
        Ok(talk.heard)
    }

    /// The status of the plainest request; without one there is nothing to compare with.
    fn plain(&self, post: bool) -> Result<u16, Miss> {
        let status = self.plain[usize::from(post)].get_or_init(|| {
            let (params, body) =
                if post { (self.post(3), &b"abc"[..]) } else { (self.params.clone(), &b""[..]) };
            let heard = self.ask(whole(ID, &params, body, false), ID).ok()?;
            heard.answered(ID).ok()?;
            status(&heard.stdout(ID)).ok()
        });
        let what = if post { "POST" } else { "GET" };
        status.ok_or_else(|| Miss::Skipped(format!("a plain {what} is not answered")))
    }

    /// The request was answered as the plainest one is.
    fn same(&self, heard: &Heard, id: RequestId, post: bool) -> Outcome {
        let plain = self.plain(post)?;
        heard.answered(id)?;
        match status(&heard.stdout(id))? {
            status if status == plain => Ok(()),
            status => Err(failed(format!("status {status}, and in the plainest way {plain}"))),
        }
    }

    fn get(&self, id: RequestId, keep_conn: bool) -> Vec<u8> {
        whole(id, &self.params, b"", keep_conn)
    }

    /// What it says of multiplexing, if it does.
    fn multiplexes(&self) -> Option<bool> {
        let heard = asked_for(self, &VALUES).ok()?.heard;
        let result = heard.records.iter().find(|record| record.is(RecordType::GetValuesResult))?;
        let pairs = fcgi::pairs(&result.content).collect::<Result<Vec<_>, _>>().ok()?;
        let mpxs =
            pairs.into_iter().find(|(name, _)| &result.content[name.clone()] == b"FCGI_MPXS_CONNS");
        mpxs.map(|(_, value)| &result.content[value] == b"1")
    }
}

/// A whole request, as most web servers send it.
fn whole(id: RequestId, params: &[(Vec<u8>, Vec<u8>)], body: &[u8], keep_conn: bool) -> Vec<u8> {
    [
        begin(id, RESPONDER, keep_conn),
        in_records(RecordType::Params, id, &pairs(params), 32 << 10),
        in_records(RecordType::Stdin, id, body, 32 << 10),
    ]
    .concat()
}

/// The status of a CGI response.
fn status(stdout: &[u8]) -> Result<u16, Miss> {
    let mut response = Response::default();
    let begun = response.next(stdout).map(|_| ());
    let status = begun.and_then(|()| response.finish(false));
    status.map(|status| status.code).map_err(|error| failed(format!("no CGI response: {error}")))
}

// --- 3.3 ---

fn answers(responder: &Responder<'_>) -> Outcome {
    let heard = responder.ask(responder.get(ID, false), ID)?;
    heard.answered(ID)?;
    status(&heard.stdout(ID)).map(|_| ())
}

fn records(responder: &Responder<'_>) -> Outcome {
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

fn stdout_end(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let heard = responder.ask(responder.get(ID, false), ID)?;
    let mut stdout = heard.records.iter().filter(|record| record.is(RecordType::Stdout));
    match stdout.next_back() {
        None => Err(failed("no STDOUT at all")),
        Some(last) if last.content.is_empty() => Ok(()),
        Some(_) => Err(failed("END_REQUEST comes while STDOUT is open")),
    }
}

fn padding(responder: &Responder<'_>) -> Outcome {
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

fn in_pieces(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut talk = Talk::begin(responder)?;
    talk.send_slowly(responder.get(ID, false), 1)?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    responder.same(&talk.heard, ID, false)
}

fn largest_id(responder: &Responder<'_>) -> Outcome {
    let id = RequestId(NonZeroU16::MAX);
    responder.same(&responder.ask(responder.get(id, false), id)?, id, false)
}

fn inactive_id(responder: &Responder<'_>) -> Outcome {
    let before = record(RecordType::Stdin, OTHER, b"whose?", 0);
    let request = [before, responder.get(ID, false)].concat();
    responder.same(&responder.ask(request, ID)?, ID, false)
}

fn version(responder: &Responder<'_>) -> Outcome {
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

// --- 3.4, 3.5 ---

fn long_pairs(responder: &Responder<'_>) -> Outcome {
    let mut params = responder.params.clone();
    for length in [127, 128, 300] {
        let name = [&b"HTTP_X_"[..], &vec![b'N'; length - 7]].concat();
        params.push((name, vec![b'v'; length]));
    }
    responder.same(&responder.ask(whole(ID, &params, b"", false), ID)?, ID, false)
}

fn pairs_cut(responder: &Responder<'_>) -> Outcome {
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

fn closes(responder: &Responder<'_>) -> Outcome {
    responder.plain(false)?;
    let mut talk = Talk::begin(responder)?;
    talk.send(responder.get(ID, false))?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    match talk.hear(|_| false)?.closed {
        true => Ok(()),
        false => Err(failed("it stays open")),
    }
}

// --- 4 ---

/// GET_VALUES and nothing behind it.
fn asked_for(responder: &Responder<'_>, names: &[&[u8]]) -> Result<Talk, Miss> {
    let mut talk = Talk::begin(responder)?;
    let mut request = Vec::new();
    get_values(&mut request, names);
    talk.send(request)?;
    talk.hear(|heard| !heard.records.is_empty())?;
    Ok(talk)
}

fn values(responder: &Responder<'_>) -> Outcome {
    let mut talk = asked_for(responder, &VALUES)?;
    let heard = talk.hear_shortly(|_| false)?;
    match &heard.records[..] {
        [result] if result.is(RecordType::GetValuesResult) && result.id == 0 => {
            for pair in fcgi::pairs(&result.content) {
                let (name, value) = pair?;
                let (name, value) = (&result.content[name], &result.content[value]);
                if !VALUES.contains(&name) || !value.iter().all(u8::is_ascii_digit) {
                    let (name, value) = (name.escape_ascii(), value.escape_ascii());
                    return Err(failed(format!("{name}={value}")));
                }
            }
            Ok(())
        }
        [] => Err(failed(heard.in_words())),
        [result] => Err(failed(format!("a record of type {}, id {}", result.kind, result.id))),
        more => Err(failed(format!("{} records", more.len()))),
    }
}

fn values_unknown(responder: &Responder<'_>) -> Outcome {
    let talk = asked_for(responder, &[b"FCGI_MPXS_CONNS", b"CGIGATE_CONFORM"])?;
    let result = talk.heard.records.iter().find(|record| record.is(RecordType::GetValuesResult));
    let Some(result) = result else {
        return Err(Miss::Skipped(format!("no GET_VALUES_RESULT: {}", talk.heard.in_words())));
    };
    for pair in fcgi::pairs(&result.content) {
        let (name, value) = pair?;
        let (name, value) = (&result.content[name], &result.content[value]);
        if name == b"CGIGATE_CONFORM" {
            return Err(failed(format!("it has a value, {:?}", value.escape_ascii().to_string())));
        }
    }
    Ok(())
}

/// A type that no version of the protocol has.
const STRANGE: u8 = 99;

fn strange(responder: &Responder<'_>) -> Result<Talk, Miss> {
    let mut talk = Talk::begin(responder)?;
    talk.send(vec![1, STRANGE, 0, 0, 0, 0, 0, 0])?;
    talk.hear(|heard| !heard.records.is_empty())?;
    Ok(talk)
}

fn unknown_type(responder: &Responder<'_>) -> Outcome {
    let heard = strange(responder)?.heard;
    match heard.records.first() {
        Some(first) if first.is(RecordType::UnknownType) && first.id == 0 => {
            match first.content.first() {
                Some(&STRANGE) => Ok(()),
                named => Err(failed(format!("it names type {named:?} instead of {STRANGE}"))),
            }
        }
        _ => Err(failed(heard.in_words())),
    }
}

fn unknown_type_then(responder: &Responder<'_>) -> Outcome {
    let mut talk = strange(responder)?;
    talk.send(responder.get(ID, false))?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    responder.same(&talk.heard, ID, false)
}

// --- 5 ---

fn keep_conn(responder: &Responder<'_>) -> Outcome {
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

fn unknown_role(responder: &Responder<'_>) -> Outcome {
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

fn interleaved(responder: &Responder<'_>) -> Outcome {
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

fn params_in_pieces(responder: &Responder<'_>) -> Outcome {
    let request = [
        begin(ID, RESPONDER, false),
        in_records(RecordType::Params, ID, &pairs(&responder.params), 1),
        in_records(RecordType::Stdin, ID, b"", 1),
    ];
    responder.same(&responder.ask(request.concat(), ID)?, ID, false)
}

fn params_long(responder: &Responder<'_>) -> Outcome {
    let mut params = responder.params.clone();
    for name in ["HTTP_X_A", "HTTP_X_B"] {
        params.push((name.into(), vec![b'v'; 40_000]));
    }
    responder.same(&responder.ask(whole(ID, &params, b"", false), ID)?, ID, false)
}

fn stdin_in_pieces(responder: &Responder<'_>) -> Outcome {
    let body = [b'x'; 1000];
    let request = [
        begin(ID, RESPONDER, false),
        in_records(RecordType::Params, ID, &pairs(&responder.post(body.len())), 32 << 10),
        in_records(RecordType::Stdin, ID, &body, 1),
    ];
    responder.same(&responder.ask(request.concat(), ID)?, ID, true)
}

fn stdin_long(responder: &Responder<'_>) -> Outcome {
    let body = vec![b'x'; 1 << 20];
    let request = whole(ID, &responder.post(body.len()), &body, false);
    responder.same(&responder.ask(request, ID)?, ID, true)
}

fn abort(responder: &Responder<'_>) -> Outcome {
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

// --- 6 ---

fn authorizer(responder: &Responder<'_>) -> Outcome {
    let pathless = |name: &[u8]| {
        [&b"PATH_INFO"[..], b"SCRIPT_NAME", b"PATH_TRANSLATED", b"CONTENT_LENGTH"].contains(&name)
    };
    let mut params = responder.params.clone();
    params.retain(|(name, _)| !pathless(name));
    let request = [
        begin(ID, AUTHORIZER, false),
        in_records(RecordType::Params, ID, &pairs(&params), 32 << 10),
    ];
    let heard = responder.ask(request.concat(), ID)?;
    match heard.end(ID) {
        // Section 5.5: that it has none.
        Some(UNKNOWN_ROLE) => Ok(()),
        _ => {
            heard.answered(ID)?;
            status(&heard.stdout(ID)).map(|_| ())
        }
    }
}
