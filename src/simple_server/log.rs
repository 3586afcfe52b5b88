//! `log_request`: a line on stderr for each request.

use crate::types::{Vars, to_native};
use std::{net::IpAddr, time::SystemTime};

/// `GET /path HTTP/1.1`, as far as the request came.
pub(super) fn request_line(vars: &Vars) -> String {
    let words = ["REQUEST_METHOD", "REQUEST_URI", "SERVER_PROTOCOL"];
    let words = words.map(|name| to_native(vars.get(name).unwrap_or(b"-")));
    words.join(" ").escape_default().to_string()
}

/// Says what became of a request.
pub(super) fn access(peer: IpAddr, line: &str, status: u16, bytes: u64) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    crate::sys::say(format_args!("{peer} - - [{date}] \"{line}\" {status} {bytes}"));
}
