//! The first line of a request (RFC 9112 section 3): method, target, version.

use super::{refused::Refused, request::Rules};
use std::borrow::Cow;

const SYNTAX: Refused = Refused::bad("the request line is not: method, target, version");
const VERSION: Refused = Refused::bad("the version is not HTTP/1.0 or HTTP/1.1");
const TOO_NEW: Refused =
    Refused { status: "505 HTTP Version Not Supported", why: "the version is above HTTP/1.1" };
const TARGET: Refused = Refused::bad("the target is neither a path nor an http URI");

/// The words of a request line, and what its version comes to.
pub(super) struct RequestLine<'l> {
    pub(super) command: &'l [u8],
    pub(super) target: &'l [u8],
    pub(super) version: &'l [u8],
    pub(super) is_modern: bool,
}

/// RFC 9112 section 3: three words, one space between them.
pub(super) fn request_line(line: &[u8], rules: Rules) -> Result<RequestLine<'_>, Refused> {
    let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
    // Two words are a request of HTTP/0.9, which nobody sends any more.
    let [command, .., version] = words[..] else { return Err(SYNTAX) };
    if words.len() == 2 {
        return Err(SYNTAX);
    }
    let is_modern = is_modern(version, rules)?;
    let [_, target, _] = words[..] else { return Err(SYNTAX) };
    if !is_token(command) || target.is_empty() {
        return Err(SYNTAX);
    }
    let odd = |byte: &u8| match rules {
        Rules::Wsgiref => is_space(*byte) || *byte == 0,
        Rules::Strict => byte.is_ascii_control(),
    };
    if target.iter().any(odd) {
        return Err(SYNTAX);
    }
    Ok(RequestLine { command, target, version, is_modern })
}

/// Whether the version is HTTP/1.1 or one that is read like it.
fn is_modern(version: &[u8], rules: Rules) -> Result<bool, Refused> {
    let numbers = version.strip_prefix(b"HTTP/").ok_or(VERSION)?;
    let mut parts = numbers.split(|&byte| byte == b'.');
    let (Some(major), Some(minor), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(VERSION);
    };
    let longest = match rules {
        Rules::Wsgiref => 10,
        Rules::Strict => 1,
    };
    let number = |digits: &[u8]| {
        let good = digits.len() <= longest && digits.iter().all(u8::is_ascii_digit);
        let digits = std::str::from_utf8(digits).ok().filter(|_| good)?;
        digits.parse::<u64>().ok()
    };
    match (number(major), number(minor)) {
        (Some(2..), Some(_)) => Err(TOO_NEW),
        (Some(1), Some(minor)) => Ok(minor > 0),
        // http.server knows of 0.9 alone that it has no header fields.
        (Some(0), Some(minor)) if minor != 9 && rules == Rules::Wsgiref => Ok(false),
        _ => Err(VERSION),
    }
}

/// The authority of a target that has one, and its path with the query.
pub(super) type Target<'t> = (Option<&'t [u8]>, Cow<'t, [u8]>);

/// RFC 9112 section 3.2: the forms of the target.
pub(super) fn split_target<'t>(
    command: &[u8],
    target: &'t [u8],
    rules: Rules,
) -> Result<Target<'t>, Refused> {
    if target == b"*" && command == b"OPTIONS" {
        return Ok((None, Cow::Borrowed(b"")));
    }
    // A tunnel is asked for by host and port; whoever read more into the answer would be misled.
    // Fragments stay with the client.
    if (command == b"CONNECT" && rules == Rules::Strict) || target.contains(&b'#') {
        return Err(TARGET);
    }
    if target[0] == b'/' {
        // Two slashes would make a host of the first segment, where a path is sent back as a URL.
        let slashes = target.iter().take_while(|byte| **byte == b'/').count();
        return Ok((None, Cow::Borrowed(&target[slashes - 1..])));
    }
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme.as_bytes()))
    });
    let rest = &target[scheme.ok_or(TARGET)?.len()..];
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() {
        return Err(TARGET);
    }
    // Section 3.2.1: an empty path is the root's.
    let path = match path.first() {
        Some(b'/') => Cow::Borrowed(path),
        _ => Cow::Owned([b"/", path].concat()),
    };
    Ok((Some(authority), path))
}

/// What Python's `split` and `strip` take for white space, in ASCII.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f)
}

/// `tchar` (RFC 9110 section 5.6.2).
fn is_token(word: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(tchar)
}
