//! Request heads of HTTP/1.0 and 1.1 (RFC 9112): bytes in, a request out. There is no socket here.
//!
//! Two readers of one request must not understand it in two ways, for that is how requests are
//! smuggled past the one in front: what is ambiguous is refused by either of the [`Rules`].

use super::{
    fields::{Said, check_host, fields},
    refused::{LINE_END, Refused},
    request_line::{RequestLine, request_line, split_target},
};

/// How strictly requests are read.
///
/// ```
/// use cgigate::simple_server::{Options, Rules};
///
/// assert_eq!(Options::default().rules, Rules::Wsgiref);
/// assert_eq!(Options::http().rules, Rules::Strict);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// As much of what `http.server` takes as is safe: any minor version, HTTP/1.1 without Host,
    /// control characters in values, lines of 64 KiB, heads that end with the stream.
    Wsgiref,
    /// RFC 9112 to the letter, request lines of 8 KiB and heads of 64 KiB at the most.
    Strict,
}

impl Rules {
    /// Bytes of the request line with its end.
    pub(super) const fn longest_line(self) -> usize {
        match self {
            Self::Wsgiref => 64 << 10,
            Self::Strict => 8 << 10,
        }
    }

    /// Bytes of all of the head.
    pub(super) const fn longest_head(self) -> usize {
        match self {
            Self::Wsgiref => usize::MAX,
            Self::Strict => 64 << 10,
        }
    }
}

/// How many header lines there may be.
pub(super) const MAX_FIELDS: usize = 100;

/// A request without its body: what `http.server` keeps in a handler's attributes.
///
/// ```
/// use cgigate::simple_server::Request;
///
/// fn is_from_a_browser(request: &Request) -> bool {
///     request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Sec-Fetch-Mode"))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The request line as the client sent it, without its end.
    pub requestline: Vec<u8>,
    /// The method: a token.
    pub command: String,
    /// The request target as the client sent it (RFC 9112 section 3.2).
    pub target: Vec<u8>,
    /// Path and query of the target: `/` at the front, `//` taken for `/`; empty for `OPTIONS *`.
    pub path: Vec<u8>,
    /// `HTTP/1.1`, as the client sent it.
    pub request_version: String,
    /// Names and values of the header fields, in order. Names are tokens.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The host that the target names, which goes before the Host field (RFC 9112 section 3.2.2).
    pub authority: Option<Vec<u8>>,
    /// Where the body ends.
    pub framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The client speaks HTTP/1.1: it understands chunks, and keeps connections unless told not to.
    pub is_modern: bool,
    /// The client would like to send another request on this connection.
    pub keep_alive: bool,
}

/// Where the body of a request ends (RFC 9112 section 6.3).
///
/// ```
/// use cgigate::simple_server::Framing;
///
/// /// Whether it can be known that a body is a small one before it is there.
/// fn is_small(framing: Framing) -> bool {
///     match framing {
///         Framing::Length(length) => length <= 64 << 10,
///         Framing::Chunked => false,
///     }
/// }
///
/// assert!(is_small(Framing::Length(100)) && !is_small(Framing::Chunked));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the last of its chunks.
    Chunked,
}

const NUL: Refused = Refused::bad("the path has a NUL");

/// The request whose head this is, all of it and nothing behind it.
pub(super) fn parse(head: &[u8], rules: Rules) -> Result<Request, Refused> {
    let end = head.iter().position(|&byte| byte == b'\n').ok_or(LINE_END)?;
    let line = head[..end].strip_suffix(b"\r").ok_or(LINE_END)?;
    let RequestLine { command, target, version, is_modern } = request_line(line, rules)?;
    let (authority, path) = split_target(command, target, rules)?;
    // To C a name ends at a NUL: it would be another file's.
    let bare = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    if bare.windows(3).any(|three| three == b"%00") {
        return Err(NUL);
    }
    let headers = fields(&head[end + 1..], rules)?;
    let said = Said::of(&headers, rules)?;
    if rules == Rules::Strict {
        said.check_hosts(is_modern)?;
    }
    if let Some(authority) = authority {
        check_host(authority)?;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned(); // Both are ASCII.
    Ok(Request {
        framing: said.framing(is_modern)?,
        requestline: line.into(),
        command: text(command),
        target: target.into(),
        path: path.into_owned(),
        request_version: text(version),
        headers,
        authority: authority.map(Into::into),
        expects_continue: said.expects_continue(is_modern),
        is_modern,
        keep_alive: said.keep_alive(is_modern),
    })
}

/// What can be understood of a request that ends somewhere in its head, or is refused: of `bytes`,
/// with which it begins, the lines that are whole, and no more than there may be.
pub(super) fn as_far_as_it_came(bytes: &[u8]) -> Option<Request> {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').take(1 + MAX_FIELDS);
    let whole = lines.take_while(|line| line.ends_with(b"\r\n") && *line != b"\r\n");
    let head = [whole.collect::<Vec<_>>().concat(), b"\r\n".to_vec()].concat();
    // Of a head that is not whole, Host may be among what is missing.
    parse(&head, Rules::Wsgiref).ok()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
