//! `check_environ`, `check_status`, `check_headers`, `check_content_type`: in wsgiref's order, so
//! that the first of several faults is the one that wsgiref names.

use super::{Sink, WsgiWarning};
use crate::{
    headers::check_name,
    types::{Environ, Vars, Violation},
    util::is_hop_by_hop,
};

/// What the server gives (PEP 3333, "environ Variables").
///
/// ```
/// use cgigate::{Vars, types::Violation, util::setup_testing_defaults, validate::check_environ};
///
/// let mut test = setup_testing_defaults(Vars::default());
/// assert_eq!(check_environ(&test.environ(), &|_| {}), Ok(()));
/// test.vars.remove("SERVER_NAME");
/// let broken = check_environ(&test.environ(), &|_| {});
/// assert_eq!(broken, Err(Violation::EnvironKey("SERVER_NAME")));
/// ```
///
/// # Errors
/// The first rule that is broken: the server's fault.
pub fn check_environ(environ: &Environ<'_>, warn: &Sink) -> Result<(), Violation> {
    let vars = &*environ.vars;
    for key in ["REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT"] {
        if !vars.contains(key) {
            return Err(Violation::EnvironKey(key));
        }
    }
    for key in ["HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"] {
        if vars.contains(key) {
            return Err(Violation::EnvironHttpKey(key));
        }
    }
    if !vars.contains("QUERY_STRING") {
        warn(WsgiWarning::QueryString);
    }
    let method = vars.get("REQUEST_METHOD").unwrap_or_default();
    if !is_known(method) {
        warn(WsgiWarning::RequestMethod(method.into()));
    }
    check_path(vars, warn)?;
    if vars.filled("SERVER_PROTOCOL").is_none() {
        warn(WsgiWarning::EnvironKey("SERVER_PROTOCOL"));
    }
    Ok(())
}

fn is_known(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET" | b"HEAD" | b"POST" | b"OPTIONS" | b"PATCH" | b"PUT" | b"DELETE" | b"TRACE"
    )
}

/// SCRIPT_NAME, PATH_INFO, and CONTENT_LENGTH between them.
fn check_path(vars: &Vars, warn: &Sink) -> Result<(), Violation> {
    // FastCGI section 6.3: an authorizer is told of no paths.
    let pathless = vars.get("FCGI_ROLE") == Some(b"AUTHORIZER");
    // PEP 3333 lets a server omit what would be empty, and CGI servers do so.
    for key in ["SCRIPT_NAME", "PATH_INFO"] {
        if !pathless && !vars.contains(key) {
            warn(WsgiWarning::EnvironKey(key));
        }
    }
    let no_path = |name| vars.filled(name).filter(|value| !value.starts_with(b"/"));
    if let Some(name) = no_path("SCRIPT_NAME") {
        return Err(Violation::ScriptName(name.into()));
    }
    if let Some(path) = no_path("PATH_INFO") {
        return Err(Violation::PathInfo(path.into()));
    }
    if let Some(length) = vars.filled("CONTENT_LENGTH")
        && !is_length(length)
    {
        return Err(Violation::ContentLength(length.into()));
    }
    match vars.filled("SCRIPT_NAME") {
        None if !pathless && !vars.contains("PATH_INFO") => Err(Violation::NoPath),
        Some(b"/") => Err(Violation::ScriptNameSlash),
        _ => Ok(()),
    }
}

/// Plain digits of at most 64 bits: all that two programs read alike.
fn is_length(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    digits.is_some_and(|digits| digits.parse::<u64>().is_ok())
}

/// The status that an application gives, without line end.
///
/// ```
/// use cgigate::validate::check_status;
///
/// let warn = |warning| panic!("{warning}");
/// assert_eq!(check_status(b"200 OK", &warn), Ok(()));
/// assert!(check_status(b"OK", &warn).is_err());
/// ```
///
/// # Errors
/// The first rule that is broken: the application's fault.
pub fn check_status(status: &[u8], warn: &Sink) -> Result<(), Violation> {
    code(status)?;
    if status.get(3) != Some(&b' ') {
        warn(WsgiWarning::Status(status.into()));
    } else if status.iter().any(u8::is_ascii_control) {
        warn(WsgiWarning::StatusControl(status.into()));
    }
    Ok(())
}

/// The number in the first word of a status: `int(status.split(None, 1)[0])`.
pub(super) fn code(status: &[u8]) -> Result<u16, Violation> {
    let word = status.split(|&byte| is_space(byte)).find(|word| !word.is_empty());
    let word = word.unwrap_or_default();
    if word.len() != 3 {
        return Err(Violation::StatusCodeLength(word.into()));
    }
    let digits = word.iter().all(u8::is_ascii_digit);
    let code = word.iter().fold(0, |code, digit| code * 10 + u16::from(digit & 15));
    if digits && code >= 100 { Ok(code) } else { Err(Violation::StatusCodeInvalid(word.into())) }
}

/// White space to Python's `str.split`, as far as one byte goes.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | 0x1c..=b' ' | 0x85 | 0xa0)
}

/// The header fields that an application gives: names and values.
///
/// ```
/// use cgigate::validate::check_headers;
///
/// let warn = |warning| panic!("{warning}");
/// assert_eq!(check_headers(&[(b"Vary", b"Accept")], &warn), Ok(()));
/// assert!(check_headers(&[(b"Status", b"404 Not Found")], &warn).is_err());
/// ```
///
/// # Errors
/// The first rule that is broken: the application's fault.
pub fn check_headers(fields: &[(&[u8], &[u8])], warn: &Sink) -> Result<(), Violation> {
    for (at, &(name, value)) in fields.iter().enumerate() {
        check_field(name, value)?;
        if value.iter().any(|&byte| matches!(byte, b'\t' | 0x7f)) {
            warn(WsgiWarning::HeaderValue(value.into()));
        }
        if is_hop_by_hop(name) {
            warn(WsgiWarning::HopByHop(name.into()));
        }
        let mut before = fields[..at].iter();
        if is_single(name) && before.any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            warn(WsgiWarning::Repeated(name.into()));
        }
    }
    Ok(())
}

fn check_field(name: &[u8], value: &[u8]) -> Result<(), Violation> {
    if name.eq_ignore_ascii_case(b"status") {
        return Err(Violation::HeaderStatus(value.into()));
    }
    if name.iter().any(|byte| b":\n".contains(byte)) {
        return Err(Violation::HeaderNameSplit(name.into()));
    }
    if check_name(name).is_err() {
        return Err(Violation::HeaderName(name.into()));
    }
    if name.ends_with(b"-") || name.ends_with(b"_") {
        return Err(Violation::HeaderNameEnd(name.into()));
    }
    match value.iter().find(|&&byte| byte < b' ' && byte != b'\t') {
        Some(&bad) => Err(Violation::HeaderValue { value: value.into(), bad }),
        None => Ok(()),
    }
}

/// Fields of which RFC 9110 and 9111 know one a response, and no list.
fn is_single(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"age",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"date",
        b"etag",
        b"expires",
        b"last-modified",
        b"location",
        b"retry-after",
        b"server",
    ];
    NAMES.iter().any(|single| single.eq_ignore_ascii_case(name))
}

/// Whether a response has a Content-Type exactly where it has content, by its status.
///
/// ```
/// use cgigate::{types::Violation, validate::check_content_type};
///
/// assert_eq!(check_content_type(b"200 OK", &[]), Err(Violation::NoContentType(vec![])));
/// assert_eq!(check_content_type(b"204 No Content", &[]), Ok(()));
/// ```
///
/// # Errors
/// It has none, or one too many; or the status has no code.
pub fn check_content_type(status: &[u8], fields: &[(&[u8], &[u8])]) -> Result<(), Violation> {
    let code = code(status)?;
    let typed = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    match (typed, matches!(code, 204 | 304)) {
        (true, true) => Err(Violation::ContentTypeWithout(code)),
        (false, false) => {
            let owned = |(name, value): &(&[u8], &[u8])| (name.to_vec(), value.to_vec());
            Err(Violation::NoContentType(fields.iter().map(owned).collect()))
        }
        _ => Ok(()),
    }
}
