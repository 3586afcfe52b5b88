//! Requests of HTTP/1.0 and 1.1 (RFC 9112): bytes in, a request out. There is no socket here.
//!
//! Strict: what two readers could understand in two ways is refused, for that is how requests are
//! smuggled past the one in front.

use percent_encoding::percent_decode;

/// Bytes of the request line, and of all of the head.
const MAX_LINE: usize = 8 << 10;
const MAX_HEAD: usize = 64 << 10;
const MAX_FIELDS: usize = 100;

/// A request without its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// What of RFC 3875's variables the request itself says. Names occur once.
    pub(super) variables: Vec<(String, Vec<u8>)>,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// Where the body ends (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
}

/// The status of a request that is not answered otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

const BAD: Refused = Refused("400 Bad Request");
const LINE_TOO_LONG: Refused = Refused("414 URI Too Long");
const HEAD_TOO_LONG: Refused = Refused("431 Request Header Fields Too Large");
const NOT_IMPLEMENTED: Refused = Refused("501 Not Implemented");
const BAD_VERSION: Refused = Refused("505 HTTP Version Not Supported");

/// How many bytes the head takes, once all of it is there.
pub(super) fn head_length(bytes: &[u8]) -> Result<Option<usize>, Refused> {
    // Section 2.2: one empty line may precede, which old clients sent after a body.
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let mut at = start;
    while let Some(end) = bytes[at..].iter().position(|&byte| byte == b'\n') {
        let line = bytes[at..at + end].strip_suffix(b"\r").ok_or(BAD)?;
        if line.contains(&b'\r') {
            return Err(BAD);
        }
        if at == start {
            check_request_line(line)?;
        }
        at += end + 1;
        if at > MAX_HEAD {
            return Err(HEAD_TOO_LONG);
        }
        if line.is_empty() {
            return Ok(Some(at));
        }
    }
    match bytes.len() {
        _ if at == start && bytes.len() > MAX_LINE => Err(LINE_TOO_LONG),
        all if all > MAX_HEAD => Err(HEAD_TOO_LONG),
        _ => Ok(None),
    }
}

/// As soon as there is a line, for after one without a version (HTTP/0.9) nothing more would come.
fn check_request_line(line: &[u8]) -> Result<(), Refused> {
    if line.len() > MAX_LINE {
        return Err(LINE_TOO_LONG);
    }
    let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
    let [_, _, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]] = words[..] else {
        return Err(BAD);
    };
    match (major, minor) {
        (b'1', b'0'..=b'9') => Ok(()),
        (b'2'..=b'9', b'0'..=b'9') => Err(BAD_VERSION),
        _ => Err(BAD),
    }
}

/// The request whose head this is, all of it and nothing behind it.
pub(super) fn parse(head: &[u8]) -> Result<Request, Refused> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(BAD),
        Err(httparse::Error::TooManyHeaders) => return Err(HEAD_TOO_LONG),
        Err(httparse::Error::Version) => return Err(BAD_VERSION),
        Err(_) => return Err(BAD),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(BAD);
    };
    let target = Target::of(method, target)?;
    let mut fields = Fields::default();
    for field in parsed.headers.iter() {
        fields.add(field.name, field.value)?;
    }
    fields.finish(minor, target.authority)?;

    let path = percent_decode(target.path.as_bytes()).collect::<Vec<_>>();
    if path.contains(&0) {
        return Err(BAD);
    }
    let mut variables: Vec<(String, Vec<u8>)> = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("REQUEST_METHOD", method),
        ("REQUEST_URI", target.whole),
        ("QUERY_STRING", target.query),
        ("SERVER_PROTOCOL", if minor == 0 { "HTTP/1.0" } else { "HTTP/1.1" }),
        ("SCRIPT_NAME", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into();
    variables.push(("PATH_INFO".into(), path));
    variables.append(&mut fields.variables);
    let framing = match fields.chunked {
        true => Framing::Chunked,
        false => Framing::Length(fields.length.unwrap_or(0)),
    };
    // Section 10.1.1 of RFC 9110: of an HTTP/1.0 client the expectation is none.
    Ok(Request { variables, framing, expects_continue: fields.expects_continue && minor > 0 })
}

/// The request's target (section 3.2).
struct Target<'t> {
    /// Of the absolute form, which wins over Host.
    authority: Option<&'t str>,
    /// Path and query.
    whole: &'t str,
    path: &'t str,
    query: &'t str,
}

impl<'t> Target<'t> {
    fn of(method: &str, target: &'t str) -> Result<Self, Refused> {
        let (authority, whole) = match target {
            "*" if method == "OPTIONS" => (None, target),
            _ if method == "CONNECT" => return Err(NOT_IMPLEMENTED),
            _ if target.starts_with('/') => (None, target),
            _ => {
                let (scheme, rest) = target.split_once("://").ok_or(BAD)?;
                if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                    return Err(BAD);
                }
                let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority).filter(|a| !a.is_empty()).ok_or(BAD).map(Some)?, path)
            }
        };
        // Fragments stay with the client.
        if whole.contains('#') {
            return Err(BAD);
        }
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        // Section 3.2.1: an empty path is the root's.
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { authority, whole: if whole.is_empty() { "/" } else { whole }, path, query })
    }
}

/// Header fields on their way to variables.
#[derive(Default)]
struct Fields {
    variables: Vec<(String, Vec<u8>)>,
    hosts: usize,
    length: Option<u64>,
    codings: Option<Vec<u8>>,
    chunked: bool,
    expects_continue: bool,
}

impl Fields {
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refused> {
        let name = name.to_ascii_uppercase();
        match name.as_str() {
            "HOST" => {
                check_host(value)?;
                self.hosts += 1;
            }
            "CONTENT-LENGTH" if self.length.is_some() => return Err(BAD),
            "CONTENT-LENGTH" => self.length = Some(length(value)?),
            "TRANSFER-ENCODING" if self.codings.is_some() => return Err(NOT_IMPLEMENTED),
            "TRANSFER-ENCODING" => self.codings = Some(value.to_ascii_lowercase()),
            "EXPECT" if value.eq_ignore_ascii_case(b"100-continue") => self.expects_continue = true,
            "EXPECT" => return Err(Refused("417 Expectation Failed")),
            // HTTP_PROXY is configuration to many programs (CVE-2016-5385).
            "PROXY" => return Ok(()),
            // `X_Y` and `X-Y` would become one variable, and one in front may have checked only
            // the other.
            _ if name.contains('_') => return Ok(()),
            _ => {}
        }
        let name = match name.as_str() {
            "CONTENT-LENGTH" | "CONTENT-TYPE" => name.replace('-', "_"),
            _ => format!("HTTP_{}", name.replace('-', "_")),
        };
        match self.variables.iter_mut().find(|(there, _)| *there == name) {
            None => self.variables.push((name, value.into())),
            Some((_, old)) if name.starts_with("HTTP_") => {
                let joint: &[u8] = if name == "HTTP_COOKIE" { b"; " } else { b", " };
                old.extend_from_slice(joint);
                old.extend_from_slice(value);
            }
            Some(_) => return Err(BAD), // Two types.
        }
        Ok(())
    }

    /// What only all the fields together tell.
    fn finish(&mut self, minor: u8, authority: Option<&str>) -> Result<(), Refused> {
        // Section 3.2: one Host, and in HTTP/1.1 not without.
        if self.hosts > 1 || (self.hosts == 0 && minor > 0) {
            return Err(BAD);
        }
        if let Some(authority) = authority {
            check_host(authority.as_bytes())?;
            self.variables.retain(|(name, _)| name != "HTTP_HOST");
            self.variables.push(("HTTP_HOST".into(), authority.into()));
        }
        // Section 6.1: both at once is an attack, and HTTP/1.0 knows no codings.
        if let Some(codings) = &self.codings {
            if self.length.is_some() || minor == 0 {
                return Err(BAD);
            }
            if codings != b"chunked" {
                return Err(NOT_IMPLEMENTED);
            }
            self.chunked = true;
        }
        Ok(())
    }
}

/// RFC 9110 section 7.2: a host and a port, and nothing that would make it something else in a URL.
fn check_host(host: &[u8]) -> Result<(), Refused> {
    let good = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%:[]!$&'()*+,;=".contains(&byte);
    if host.iter().all(good) { Ok(()) } else { Err(BAD) }
}

fn length(value: &[u8]) -> Result<u64, Refused> {
    let digits = std::str::from_utf8(value).map_err(|_| BAD)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BAD);
    }
    digits.parse().map_err(|_| Refused("413 Content Too Large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Request, Refused> {
        match head_length(bytes)? {
            Some(length) => parse(&bytes[..length]),
            None => Err(Refused("more")),
        }
    }

    fn get(request: &Request, name: &str) -> Option<String> {
        let found = request.variables.iter().find(|(there, _)| there == name);
        found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    }

    #[test]
    fn what_is_ambiguous_malformed_or_too_much_is_refused() {
        let host = "Host: a\r\n\r\n";
        let long = "x".repeat(MAX_LINE);
        let wide = "x".repeat(MAX_HEAD);
        let many: String = (0..=MAX_FIELDS).map(|n| format!("X-{n}: 1\r\n")).collect();
        for (request, status) in [
            ("GET / HTTP/1.1\nHost: a\n\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\n X: folded\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "400"),
            ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), "400"),
            (format!("G{{T / HTTP/1.1\r\n{host}"), "400"),
            (format!("GET  / HTTP/1.1\r\n{host}"), "400"),
            (format!("GET / x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET * HTTP/1.1\r\n{host}"), "400"),
            (format!("GET ftp://a/ HTTP/1.1\r\n{host}"), "400"),
            (format!("GET http:///x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET http://u@a/ HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /#x HTTP/1.1\r\n{host}"), "400"),
            (format!("GET /%00 HTTP/1.1\r\n{host}"), "400"),
            (format!("CONNECT a:1 HTTP/1.1\r\n{host}"), "501"),
            ("GET /\r\n".into(), "400"),
            ("GET / HTTP/0.9\r\n\r\n".into(), "400"),
            ("GET / HTTP/2.0\r\n".into(), "505"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "505"),
            ("GET / http/1.1\r\n\r\n".into(), "400"),
            ("\r\n\r\n".into(), "400"),
            (format!("POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n{host}"), "400"),
            (format!("POST / HTTP/1.1\r\nContent-Length: +1\r\n{host}"), "400"),
            (format!("POST / HTTP/1.1\r\nContent-Length:\r\n{host}"), "400"),
            (format!("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n{host}"), "400"),
            (format!("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n{host}"), "413"),
            (
                format!(
                    "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n{host}"
                ),
                "400",
            ),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), "400"),
            (format!("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n{host}"), "501"),
            (format!("POST / HTTP/1.1\r\nTransfer-Encoding: \r\n{host}"), "501"),
            (
                format!(
                    "POST / HTTP/1.1\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n{host}"
                ),
                "501",
            ),
            (format!("POST / HTTP/1.1\r\nExpect: more\r\n{host}"), "417"),
            (format!("GET /{long} HTTP/1.1\r\n{host}"), "414"),
            (format!("GET /{long}"), "414"),
            (format!("GET / HTTP/1.1\r\nX: {wide}\r\n{host}"), "431"),
            (format!("GET / HTTP/1.1\r\nX: {wide}"), "431"),
            (format!("GET / HTTP/1.1\r\n{many}{host}"), "431"),
        ] {
            let Err(Refused(got)) = read(request.as_bytes()) else {
                panic!("accepted: {request:?}");
            };
            assert!(got.starts_with(status), "{got}, not {status}: {request:?}");
        }
    }

    #[test]
    fn a_request_becomes_variables() {
        let request = read(
            b"\r\nPOST /a%20b/%e4?q=%20&r HTTP/1.1\r\nhost: h:1\r\nCookie: a=1\r\nX-Two: 1\r\n\
              Content-Type: text/x\r\nContent-Length: 7\r\ncookie: b=2\r\nX-Two: 2\r\n\
              X_Two: evil\r\nContent_Length: 9\r\nProxy: evil\r\nExpect: 100-Continue\r\n\r\nbody",
        )
        .unwrap();
        assert!(request.expects_continue);
        assert_eq!(request.framing, Framing::Length(7));
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_URI", "/a%20b/%e4?q=%20&r"),
            ("QUERY_STRING", "q=%20&r"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SCRIPT_NAME", ""),
            ("CONTENT_TYPE", "text/x"),
            ("CONTENT_LENGTH", "7"),
            ("HTTP_HOST", "h:1"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_X_TWO", "1, 2"),
        ] {
            assert_eq!(get(&request, name).as_deref(), Some(value), "{name}");
        }
        let path = request.variables.iter().find(|(name, _)| name == "PATH_INFO").unwrap();
        assert_eq!(path.1, b"/a b/\xe4");
        assert_eq!(get(&request, "HTTP_PROXY"), None);
    }

    #[test]
    fn the_forms_of_the_target() {
        for (line, path, query, host) in [
            ("GET http://x:8?q HTTP/1.1", "/", "q", "x:8"),
            ("GET HTTP://x/y?q?r HTTP/1.1", "/y", "q?r", "x"),
            ("OPTIONS * HTTP/1.1", "*", "", "h"),
            ("GET //x/../y HTTP/1.0", "//x/../y", "", "h"),
        ] {
            let request = read(format!("{line}\r\nHost: h\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(get(&request, "PATH_INFO").as_deref(), Some(path), "{line}");
            assert_eq!(get(&request, "QUERY_STRING").as_deref(), Some(query), "{line}");
            assert_eq!(get(&request, "HTTP_HOST").as_deref(), Some(host), "{line}");
        }
        let chunked = b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n";
        assert_eq!(read(chunked).unwrap().framing, Framing::Chunked);
        assert_eq!(read(b"GET / HTTP/1.0\r\n\r\n").unwrap().framing, Framing::Length(0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(
            line in "[A-Z]{1,5} [ -~]{1,20} HTTP/1\\.[01]\r\n",
            rest in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let bytes = [line.as_bytes(), b"Host: a\r\n", &rest, b"\r\n\r\n"].concat();
            let whole = read(&bytes);
            prop_assert!(whole != Err(Refused("more")));
            // However much of it is there, a prefix is never taken for another request.
            for cut in 0..bytes.len() {
                if let Ok(Some(length)) = head_length(&bytes[..cut]) {
                    prop_assert_eq!(Ok(Some(length)), head_length(&bytes));
                }
            }
        }
    }
}
