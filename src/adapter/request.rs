//! From an environ to the head of an `http::Request`. The table is at the head of the room.

use super::MetaVariables;
use crate::types::{Environ, RequestFault, Vars};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header, request::Parts,
    uri::PathAndQuery,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// The longest URI that `http` takes, in bytes.
const LONGEST: usize = (u16::MAX - 1) as usize;

/// What `http` does not take in a query; the rest stays as the client wrote it.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// The same in a path.
const SPELLED: &AsciiSet = &QUERY.add(b'`').add(b'?');

/// What has to be encoded in a path that was decoded (RFC 3986 section 3.3).
const DECODED: &AsciiSet =
    &SPELLED.add(b'%').add(b'[').add(b']').add(b'\\').add(b'^').add(b'{').add(b'|').add(b'}');

/// All of the request but its body.
pub(super) fn parts(environ: &Environ<'_>) -> Result<Parts, RequestFault> {
    let vars = &*environ.vars;
    let method = vars.get("REQUEST_METHOD").unwrap_or_default();
    let method =
        Method::from_bytes(method).map_err(|_| RequestFault::NotHttp("REQUEST_METHOD".into()))?;
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri(vars)?;
    parts.version = version(vars.get("SERVER_PROTOCOL").unwrap_or_default());
    parts.headers = headers(vars)?;
    parts.extensions.insert(MetaVariables::of(environ));
    Ok(parts)
}

/// CONTENT_LENGTH, where it is one.
pub(super) fn content_length(vars: &Vars) -> Option<u64> {
    let digits = vars.filled("CONTENT_LENGTH")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn version(protocol: &[u8]) -> Version {
    match protocol {
        b"HTTP/0.9" => Version::HTTP_09,
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2.0" | b"HTTP/2" => Version::HTTP_2,
        b"HTTP/3.0" | b"HTTP/3" => Version::HTTP_3,
        _ => Version::HTTP_11,
    }
}

fn uri(vars: &Vars) -> Result<Uri, RequestFault> {
    let path = vars.get("PATH_INFO").unwrap_or_default();
    let query = vars.filled("QUERY_STRING");
    // `OPTIONS *` is about the server, not about one of its paths.
    if path == b"*" && query.is_none() {
        return Ok(PathAndQuery::from_static("*").into());
    }
    let mut target = String::with_capacity(path.len() + query.map_or(0, <[u8]>::len) + 16);
    let (path, set) = match spelled(vars, path) {
        Some(path) => (path, SPELLED),
        None => (path, DECODED),
    };
    if !path.starts_with(b"/") {
        target.push('/');
    }
    target.extend(percent_encode(path, set));
    if let Some(query) = query {
        target.push('?');
        target.extend(percent_encode(query, QUERY));
    }
    if target.len() > LONGEST {
        return Err(RequestFault::TargetTooLong);
    }
    let target = PathAndQuery::from_maybe_shared(target);
    Ok(target.map_err(|_| RequestFault::NotHttp("PATH_INFO".into()))?.into())
}

/// PATH_INFO as the client wrote it: what follows SCRIPT_NAME in REQUEST_URI, if all of it says the
/// same. Where the web server has rewritten or tidied the path, it does not.
fn spelled<'v>(vars: &'v Vars, path_info: &[u8]) -> Option<&'v [u8]> {
    let uri = vars.get("REQUEST_URI")?;
    let path = uri.split(|&byte| byte == b'?').next()?;
    let path = strip_spelled(path, vars.get("SCRIPT_NAME").unwrap_or_default())?;
    let rest = strip_spelled(path, path_info)?;
    (rest.is_empty() && path.starts_with(b"/")).then_some(path)
}

/// What follows in `path` behind a spelling of `decoded`.
fn strip_spelled<'p>(mut path: &'p [u8], decoded: &[u8]) -> Option<&'p [u8]> {
    for &wanted in decoded {
        let (byte, rest) = match path {
            [b'%', high, low, rest @ ..] => (hex(*high)? << 4 | hex(*low)?, rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        if byte != wanted {
            return None;
        }
        path = rest;
    }
    Some(path)
}

fn hex(digit: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn headers(vars: &Vars) -> Result<HeaderMap, RequestFault> {
    let count = vars.names().filter(|name| name.starts_with(b"HTTP_")).count() + 2;
    let headers = HeaderMap::try_with_capacity(count);
    let mut headers = headers.map_err(|_| RequestFault::ParamsTooLong)?;
    let mut spelling = Vec::new();
    for (variable, value) in vars.iter() {
        let name = match variable {
            b"CONTENT_TYPE" if !value.is_empty() => header::CONTENT_TYPE,
            // Both come by their own names; chunks, where there were any, have been decoded.
            b"HTTP_CONTENT_TYPE" | b"HTTP_CONTENT_LENGTH" | b"HTTP_TRANSFER_ENCODING" => continue,
            _ => {
                match variable.strip_prefix(b"HTTP_").and_then(|name| field(name, &mut spelling)) {
                    Some(name) => name,
                    None => continue,
                }
            }
        };
        let value = HeaderValue::from_bytes(value).map_err(|_| not_http(variable))?;
        headers.try_append(name, value).map_err(|_| RequestFault::ParamsTooLong)?;
    }
    if let Some(length) = content_length(vars) {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(headers)
}

/// The name of a header field (RFC 3875 section 4.1.18); `None` where the variable was made of none.
fn field(name: &[u8], spelling: &mut Vec<u8>) -> Option<HeaderName> {
    spelling.clear();
    spelling.extend(name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }));
    HeaderName::from_bytes(spelling).ok()
}

fn not_http(variable: &[u8]) -> RequestFault {
    RequestFault::NotHttp(String::from_utf8_lossy(variable).into_owned())
}
