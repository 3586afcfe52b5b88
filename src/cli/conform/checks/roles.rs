//! Section 6 of the FastCGI specification: what a responder answers, and an authorizer.

use super::application::UNKNOWN_ROLE;
use crate::{
    cli::conform::{
        Outcome,
        records::{begin, in_records, pairs},
        responder::{Responder, status},
        wire::ID,
    },
    fcgi::{RecordType, Role},
};

const AUTHORIZER: u16 = Role::Authorizer as u16;

pub(super) fn answers(responder: &Responder<'_>) -> Outcome {
    let heard = responder.ask(responder.get(ID, false), ID)?;
    heard.answered(ID)?;
    status(&heard.stdout(ID)).map(|_| ())
}

pub(super) fn authorizer(responder: &Responder<'_>) -> Outcome {
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
