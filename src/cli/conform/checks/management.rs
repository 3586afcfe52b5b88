//! Section 4 of the FastCGI specification: records of no request.

use crate::{
    cli::conform::{
        Miss, Outcome,
        responder::Responder,
        wire::{ID, Talk, failed},
    },
    fcgi::{self, RecordType, VALUES},
};

pub(super) fn values(responder: &Responder<'_>) -> Outcome {
    let mut talk = responder.get_values(&VALUES)?;
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

pub(super) fn values_unknown(responder: &Responder<'_>) -> Outcome {
    let talk = responder.get_values(&[b"FCGI_MPXS_CONNS", b"CGIGATE_CONFORM"])?;
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

pub(super) fn unknown_type(responder: &Responder<'_>) -> Outcome {
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

pub(super) fn unknown_type_then(responder: &Responder<'_>) -> Outcome {
    let mut talk = strange(responder)?;
    talk.send(responder.get(ID, false))?;
    talk.hear(|heard| heard.end(ID).is_some())?;
    responder.same(&talk.heard, ID, false)
}
