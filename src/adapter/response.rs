//! From the head of an `http::Response` to `start_response`.

use crate::{
    types::{Exception, StartResponse},
    util::is_hop_by_hop,
};
use http::{StatusCode, response::Parts};

/// Says `head`, but for what is not the application's to say.
pub(super) fn start(head: &Parts, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
    let fields =
        head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    let mut fields = fields.filter(|(name, _)| *name != b"status" && !is_hop_by_hop(name));
    start_response.start_response(&status(head.status), &mut fields, None)
}

/// The status line's text: IANA's reason, for the number alone would be none.
fn status(status: StatusCode) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or("Unassigned");
    [status.as_str().as_bytes(), b" ", reason.as_bytes()].concat()
}
