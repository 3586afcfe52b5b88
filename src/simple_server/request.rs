//! Request heads of HTTP/1.0 and 1.1 (RFC 9112): bytes in, a request out. There is no socket here.
//!
//! Two readers of one request must not understand it in two ways, for that is how requests are
//! smuggled past the one in front: what is ambiguous is refused by either of the [`Rules`].

use std::borrow::Cow;

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

/// A request that is answered with its status and nothing else; the reason holds no byte of it.
///
/// ```
/// use cgigate::simple_server::Refused;
///
/// let refused = Refused { status: "400 Bad Request", why: "a line does not end in CR LF" };
/// assert_eq!(refused.to_string(), "400 Bad Request: a line does not end in CR LF");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {why}")]
pub struct Refused {
    /// Code and reason phrase.
    pub status: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

impl Refused {
    /// The three digits.
    ///
    /// ```
    /// use cgigate::simple_server::Refused;
    ///
    /// let refused = Refused { status: "414 URI Too Long", why: "the request line is too long" };
    /// assert_eq!(refused.code(), 414);
    /// ```
    pub fn code(&self) -> u16 {
        self.status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(500)
    }

    pub(super) const fn bad(why: &'static str) -> Self {
        Self { status: "400 Bad Request", why }
    }
}

const SYNTAX: Refused = Refused::bad("the request line is not: method, target, version");
const VERSION: Refused = Refused::bad("the version is not HTTP/1.0 or HTTP/1.1");
const TARGET: Refused = Refused::bad("the target is neither a path nor an http URI");
const NUL: Refused = Refused::bad("the path has a NUL");
pub(super) const LINE_END: Refused = Refused::bad("a line does not end in CR LF");
const FIELD: Refused = Refused::bad("a header line is not: name, colon, value");
const HOST: Refused = Refused::bad("there is not one Host, and a host");
const LENGTH: Refused = Refused::bad("Content-Length is not one number");
const CODING: Refused = Refused::bad("Transfer-Encoding does not tell where the body ends");
const TWICE: Refused = Refused::bad("a field came twice that may come once");
const TOO_NEW: Refused =
    Refused { status: "505 HTTP Version Not Supported", why: "the version is above HTTP/1.1" };
pub(super) const LINE_TOO_LONG: Refused =
    Refused { status: "414 URI Too Long", why: "the request line is too long" };
pub(super) const HEAD_TOO_LONG: Refused = Refused {
    status: "431 Request Header Fields Too Large",
    why: "the header lines are too long, or too many",
};
const UNKNOWN_CODING: Refused =
    Refused { status: "501 Not Implemented", why: "the only transfer coding here is chunked" };
const EXPECTATION: Refused =
    Refused { status: "417 Expectation Failed", why: "the only expectation here is 100-continue" };
pub(super) const BODY_TOO_LONG: Refused =
    Refused { status: "413 Content Too Large", why: "the body is longer than this server takes" };

/// What Python's `split` and `strip` take for white space, in ASCII.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f)
}

/// `tchar` (RFC 9110 section 5.6.2).
fn is_token(word: &[u8]) -> bool {
    let tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !word.is_empty() && word.iter().all(tchar)
}

pub(super) struct RequestLine<'l> {
    command: &'l [u8],
    target: &'l [u8],
    version: &'l [u8],
    is_modern: bool,
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

/// The request whose head this is, all of it and nothing behind it.
pub(super) fn parse(head: &[u8], rules: Rules) -> Result<Request, Refused> {
    let end = head.iter().position(|&byte| byte == b'\n').ok_or(LINE_END)?;
    let line = head[..end].strip_suffix(b"\r").ok_or(LINE_END)?;
    let RequestLine { command, target, version, is_modern } = request_line(line, rules)?;
    let (authority, path) = split_target(command, target, rules)?;
    // Names that C knows end there.
    let bare = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    if bare.windows(3).any(|three| three == b"%00") {
        return Err(NUL);
    }
    let headers = fields(&head[end + 1..], rules)?;
    let mut said = Said::default();
    for (name, value) in &headers {
        said.take(name, trim(value), rules)?;
    }
    if rules == Rules::Strict {
        said.check_host(is_modern)?;
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
        // RFC 9110 section 10.1.1: of an HTTP/1.0 client the expectation is none.
        expects_continue: said.expects_continue && is_modern,
        is_modern,
        keep_alive: if is_modern { !said.close } else { said.keep_alive && !said.close },
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

/// The authority of a target that has one, and its path with the query.
type Target<'t> = (Option<&'t [u8]>, Cow<'t, [u8]>);

/// RFC 9112 section 3.2: the forms of the target.
fn split_target<'t>(command: &[u8], target: &'t [u8], rules: Rules) -> Result<Target<'t>, Refused> {
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

/// The header fields. Under wsgiref's rules a value keeps the white space at its end.
fn fields(block: &[u8], rules: Rules) -> Result<Vec<(String, Vec<u8>)>, Refused> {
    // httparse has control characters in values refused, which Python lets pass: there it sees
    // others in their places, and where it finds a value tells where the real one is. NUL and CR
    // never pass.
    let masked: Cow<'_, [u8]> = match rules {
        Rules::Strict => Cow::Borrowed(block),
        Rules::Wsgiref => {
            let harmless = |&byte: &u8| match byte {
                b'\t' | b'\n' | b'\r' | 0 => byte,
                byte if byte.is_ascii_control() => b'?',
                byte => byte,
            };
            Cow::Owned(block.iter().map(harmless).collect())
        }
    };
    let mut found = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let found = match httparse::parse_headers(&masked, &mut found) {
        Ok(httparse::Status::Complete((_, found))) => found,
        Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LONG),
        Ok(httparse::Status::Partial) | Err(_) => return Err(FIELD),
    };
    let value = |field: &httparse::Header<'_>| {
        let start = field.value.as_ptr().addr() - masked.as_ptr().addr();
        let end = start + field.value.len();
        let behind = block[end..].iter().take_while(|byte| b" \t".contains(byte)).count();
        match rules {
            Rules::Strict => block[start..end].to_vec(),
            Rules::Wsgiref => block[start..end + behind].to_vec(),
        }
    };
    Ok(found.iter().map(|field| (field.name.to_owned(), value(field))).collect())
}

/// What the header fields say about the request itself.
#[derive(Default)]
struct Said {
    hosts: usize,
    types: usize,
    authorizations: usize,
    length: Option<u64>,
    codings: Option<Vec<u8>>,
    expects_continue: bool,
    close: bool,
    keep_alive: bool,
}

impl Said {
    fn take(&mut self, name: &str, value: &[u8], rules: Rules) -> Result<(), Refused> {
        let strict = rules == Rules::Strict;
        let count = match name.to_ascii_lowercase().as_str() {
            "host" => {
                if strict {
                    check_host(value)?;
                }
                self.hosts += 1;
                return Ok(());
            }
            "content-type" => &mut self.types,
            "authorization" => &mut self.authorizations,
            "content-length" => return self.take_length(value, strict),
            "transfer-encoding" => {
                match &mut self.codings {
                    None => self.codings = Some(value.into()),
                    Some(codings) => codings.extend([b",", value].concat()),
                }
                return Ok(());
            }
            "expect" if value.eq_ignore_ascii_case(b"100-continue") => {
                self.expects_continue = true;
                return Ok(());
            }
            "expect" if strict => return Err(EXPECTATION),
            "connection" => {
                let says = |word: &str| {
                    let mut options = value.split(|&byte| byte == b',');
                    options.any(|option| trim(option).eq_ignore_ascii_case(word.as_bytes()))
                };
                self.close |= says("close");
                self.keep_alive |= says("keep-alive");
                return Ok(());
            }
            _ => return Ok(()),
        };
        *count += 1;
        if strict && *count > 1 { Err(TWICE) } else { Ok(()) }
    }

    /// RFC 9112 section 6.3: anything but digits is an error that ends the connection.
    fn take_length(&mut self, value: &[u8], strict: bool) -> Result<(), Refused> {
        if value.is_empty() && !strict {
            return Ok(());
        }
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(LENGTH);
        }
        let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        let length = length.ok_or(BODY_TOO_LONG)?;
        match self.length.replace(length) {
            Some(other) if other != length => Err(LENGTH),
            _ => Ok(()),
        }
    }

    /// RFC 9112 section 3.2: one Host, and in HTTP/1.1 not without.
    fn check_host(&self, is_modern: bool) -> Result<(), Refused> {
        match self.hosts {
            0 if is_modern => Err(HOST),
            0 | 1 => Ok(()),
            _ => Err(HOST),
        }
    }

    /// RFC 9112 section 6.1: both at once is an attack, and HTTP/1.0 knows no codings.
    fn framing(&self, is_modern: bool) -> Result<Framing, Refused> {
        let Some(codings) = &self.codings else {
            return Ok(Framing::Length(self.length.unwrap_or(0)));
        };
        if self.length.is_some() || !is_modern {
            return Err(CODING);
        }
        let is_chunked = |coding: &&[u8]| trim(coding).eq_ignore_ascii_case(b"chunked");
        let codings: Vec<_> = codings.split(|&byte| byte == b',').collect();
        if codings.iter().any(|coding| trim(coding).is_empty()) {
            return Err(CODING);
        }
        // Chunked comes once, and last; what comes before it nobody here can undo.
        match codings.iter().filter(|coding| is_chunked(coding)).count() {
            1 if codings.len() == 1 => Ok(Framing::Chunked),
            1 if codings.last().is_some_and(is_chunked) => Err(UNKNOWN_CODING),
            0 => Err(UNKNOWN_CODING),
            _ => Err(CODING),
        }
    }
}

/// A value without the white space around it (OWS, RFC 9110 section 5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| b" \t".contains(byte);
    let start = value.iter().take_while(|byte| blank(byte)).count();
    let end = value.iter().rev().take_while(|byte| blank(byte)).count();
    value.get(start..value.len() - end).unwrap_or_default()
}

/// RFC 9110 section 7.2: a host and a port, and nothing that would make it something else in a URL.
fn check_host(host: &[u8]) -> Result<(), Refused> {
    let good = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%:[]!$&'()*+,;=".contains(&byte);
    if host.iter().all(good) { Ok(()) } else { Err(HOST) }
}

#[cfg(test)]
mod tests {
    use super::super::head_scan::HeadScan;
    use super::*;
    use proptest::prelude::*;

    fn read_by(bytes: &[u8], rules: Rules) -> Result<Option<Request>, Refused> {
        match HeadScan::new(rules).scan(bytes)? {
            Some(head) => parse(&bytes[head], rules).map(Some),
            None => Ok(None),
        }
    }

    fn read(bytes: impl AsRef<[u8]>) -> Request {
        read_by(bytes.as_ref(), Rules::Strict).unwrap().expect("all of a head")
    }

    #[test]
    fn what_is_ambiguous_malformed_or_too_much_is_refused() {
        let host = "Host: a\r\n\r\n";
        let post = "POST / HTTP/1.1\r\n";
        let long = "x".repeat(8 << 10);
        let wide = "x".repeat(60 << 10);
        let many: String = (0..=MAX_FIELDS).map(|n| format!("X-{n}: 1\r\n")).collect();
        for (request, status) in [
            // Line ends, lines that are no fields, names that are no tokens.
            ("GET / HTTP/1.1\nHost: a\n\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nX: a\rContent-Length: 5\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\n X: folded\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".into(), "400"),
            (format!("{post}Content-Length : 5\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding : chunked\r\n{host}"), "400"),
            (format!("{post}Content-Length\t: 5\r\n{host}"), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX(): 1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: 1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\0X: 1\r\n\r\n".into(), "400"),
            // Host.
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), "400"),
            (format!("GET / HTTP/1.1\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n{host}"), "400"),
            (format!("GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n{host}"), "400"),
            // The request line.
            (format!("G{{T / HTTP/1.1\r\n{host}"), "400"),
            (format!("GET  / HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /\tHTTP/1.1\r\n{host}"), "400"),
            (format!("GET / HTTP/1.1 \r\n{host}"), "400"),
            (format!(" GET / HTTP/1.1\r\n{host}"), "400"),
            (format!("GET / x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET * HTTP/1.1\r\n{host}"), "400"),
            (format!("GET ftp://a/ HTTP/1.1\r\n{host}"), "400"),
            (format!("GET http:///x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET http://u@a/ HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /#x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /\0 HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /\x7f HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /%3f%00 HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /%%00?x HTTP/1.1\r\n{host}"), "400"),
            (format!("CONNECT a:1 HTTP/1.1\r\n{host}"), "400"),
            (format!("CONNECT / HTTP/1.1\r\n{host}"), "400"),
            ("GET /\r\n".into(), "400"),
            ("GET / HTTP/0.9\r\n\r\n".into(), "400"),
            ("GET / HTTP/1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1.1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.01\r\n\r\n".into(), "400"),
            ("GET / HTTP/2.0\r\n".into(), "505"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "505"),
            ("GET / http/1.1\r\n\r\n".into(), "400"),
            ("\r\n\r\n".into(), "400"),
            ("\x16\x03\x01\x02\n".into(), "400"),
            // Where the body ends.
            (format!("{post}Content-Length: 5, 5\r\n{host}"), "400"),
            (format!("{post}Content-Length: +5\r\n{host}"), "400"),
            (format!("{post}Content-Length: -5\r\n{host}"), "400"),
            (format!("{post}Content-Length: 0x5\r\n{host}"), "400"),
            (format!("{post}Content-Length: 5 5\r\n{host}"), "400"),
            (format!("{post}Content-Length: 1_0\r\n{host}"), "400"),
            (format!("{post}Content-Length: 5.0\r\n{host}"), "400"),
            (format!("{post}Content-Length:\r\n{host}"), "400"),
            (format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n{host}"), "400"),
            (format!("{post}Content-Length: 5\r\ncontent-length: 05x\r\n{host}"), "400"),
            (format!("{post}Content-Length: 99999999999999999999\r\n{host}"), "413"),
            (format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: x\r\nContent-Length: 1\r\n{host}"), "400"),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), "400"),
            (format!("{post}Transfer-Encoding: chunked, chunked\r\n{host}"), "400"),
            (
                format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n{host}"),
                "400",
            ),
            (format!("{post}Transfer-Encoding: chunked, x\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: chunked,\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: ,chunked\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: \r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: \x0bchunked\r\n{host}"), "400"),
            (format!("{post}Transfer-Encoding: xchunked\r\n{host}"), "501"),
            (format!("{post}Transfer-Encoding: \"chunked\"\r\n{host}"), "501"),
            (format!("{post}Transfer-Encoding: chunked;q=1\r\n{host}"), "501"),
            (format!("{post}Transfer-Encoding: gzip, chunked\r\n{host}"), "501"),
            (format!("{post}Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n{host}"), "501"),
            (format!("{post}Transfer-Encoding: identity\r\n{host}"), "501"),
            (format!("{post}Expect: more\r\n{host}"), "417"),
            // Too much.
            (format!("GET /{long} HTTP/1.1\r\n{host}"), "414"),
            (format!("GET /{long}"), "414"),
            (format!("GET / HTTP/1.1\r\nX: {wide}\r\nY: {wide}\r\n{host}"), "431"),
            (format!("GET / HTTP/1.1\r\nX: {wide}{wide}"), "431"),
            (format!("GET / HTTP/1.1\r\n{many}{host}"), "431"),
        ] {
            let Err(refused) = read_by(request.as_bytes(), Rules::Strict) else {
                panic!("accepted: {request:?}");
            };
            assert!(refused.status.starts_with(status), "{refused}, not {status}: {request:?}");
        }
    }

    #[test]
    fn wsgirefs_rules_take_what_is_odd_and_refuse_what_is_dangerous() {
        for good in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/01.07\r\n\r\n",
            "GET / HTTP/0.8\r\n\r\n",
            "get / HTTP/1.0\r\nHost: a\r\nHost: b\r\nX: a\x1bb\r\n\r\n",
            "CONNECT / HTTP/1.0\r\nContent-Length:\r\nExpect: more\r\n\r\n",
            "GET / HTTP/1.0\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        ] {
            let read = read_by(good.as_bytes(), Rules::Wsgiref);
            assert!(matches!(read, Ok(Some(_))), "{good:?}: {read:?}");
        }
        for bad in [
            "GET / HTTP/0.9\r\n\r\n",
            "GET / HTTP/1.12345678901\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nX\x01: a\r\n\r\n",
            "GET / HTTP/1.1\r\nX : a\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
            "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            let read = read_by(bad.as_bytes(), Rules::Wsgiref);
            assert!(read.is_err(), "{bad:?}: {read:?}");
        }
    }

    #[test]
    fn a_value_is_found_where_it_is_whatever_it_holds() {
        let head = b"GET / HTTP/1.0\r\nA: \x01b\x7f \t\r\nB:\r\nC: \xc3\xa9\r\n\r\n";
        let request = read_by(head, Rules::Wsgiref).unwrap().unwrap();
        let values: Vec<_> = request.headers.iter().map(|(_, value)| &value[..]).collect();
        assert_eq!(values, [&b"\x01b\x7f \t"[..], b"", b"\xc3\xa9"]);
        let strict = read(b"GET / HTTP/1.0\r\nA: b \t\r\n\r\n");
        assert_eq!(strict.headers, [("A".to_owned(), b"b".to_vec())]);
    }

    #[test]
    fn the_end_of_the_stream_ends_a_head_where_wsgiref_has_it_so() {
        for (sent, headers) in [
            ("GET / HTTP/1.0", 0),
            ("GET / HTTP/1.0\r", 0),
            ("GET / HTTP/1.0\r\n", 0),
            ("GET / HTTP/1.0\r\nA: b", 1),
            ("\r\nGET / HTTP/1.0\r\nA: b\r\nC: d\r\n", 2),
        ] {
            let (mut bytes, mut scan) = (sent.as_bytes().to_vec(), HeadScan::new(Rules::Wsgiref));
            assert_eq!(scan.scan(&bytes), Ok(None), "{sent:?}");
            assert!(scan.end(&mut bytes), "{sent:?}");
            let head = scan.scan(&bytes).unwrap().expect("a head");
            assert_eq!(parse(&bytes[head], Rules::Wsgiref).unwrap().headers.len(), headers);
        }
        for nothing in ["", "\r\n", "   \r\n"] {
            let (mut bytes, mut scan) =
                (nothing.as_bytes().to_vec(), HeadScan::new(Rules::Wsgiref));
            assert_eq!(scan.scan(&bytes), Ok(None), "{nothing:?}");
            assert!(!scan.end(&mut bytes), "{nothing:?}");
        }
    }

    #[test]
    fn the_forms_of_the_target() {
        for (line, path, host) in [
            ("GET http://x:8?q HTTP/1.1", "/?q", Some("x:8")),
            ("GET HTTP://x/y?q?r HTTP/1.1", "/y?q?r", Some("x")),
            ("OPTIONS * HTTP/1.1", "", None),
            ("GET //x/../y HTTP/1.0", "/x/../y", None),
            ("GET /?//x HTTP/1.0", "/?//x", None),
        ] {
            let request = read(format!("{line}\r\nHost: h\r\n\r\n"));
            assert_eq!(request.path, path.as_bytes(), "{line}");
            assert_eq!(request.authority.as_deref(), host.map(str::as_bytes), "{line}");
            assert_eq!(request.requestline, line.as_bytes());
        }
    }

    #[test]
    fn a_connection_is_kept_by_default_in_1_1_and_if_asked_in_1_0() {
        for (version, connection, kept) in [
            ("1.1", "X: y", true),
            ("1.1", "Connection: x, Close", false),
            ("1.0", "X: y", false),
            ("1.0", "Connection: Keep-Alive", true),
            ("1.0", "Connection: keep-alive\r\nConnection: close", false),
        ] {
            let request = read(format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n\r\n"));
            assert_eq!(request.keep_alive, kept, "{version} {connection}");
        }
        let chunked = read(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert_eq!(chunked.framing, Framing::Chunked);
        let expects = read(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n");
        assert!(expects.expects_continue && expects.framing == Framing::Length(0));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_are_one_request_or_refused(
            line in "[A-Z]{1,5} [ -~]{1,20} HTTP/1\\.[01]\r\n",
            rest in proptest::collection::vec(any::<u8>(), 0..80),
            strict: bool,
        ) {
            let rules = if strict { Rules::Strict } else { Rules::Wsgiref };
            let bytes = [line.as_bytes(), b"Host: a\r\n", &rest, b"\r\n\r\n"].concat();
            let whole = HeadScan::new(rules).scan(&bytes);
            prop_assert!(whole != Ok(None));
            let mut scan = HeadScan::new(rules);
            let mut came = Ok(None);
            for end in 0..=bytes.len() {
                came = scan.scan(&bytes[..end]);
                if came != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(&came, &whole);
            if let Ok(Some(head)) = came {
                let _ = parse(&bytes[head], rules);
            }
        }
    }
}
