//! The header fields of a request, and what they say of the request itself.

use super::{
    refused::{BODY_TOO_LONG, HEAD_TOO_LONG, Refused},
    request::{Framing, MAX_FIELDS, Rules},
};
use std::borrow::Cow;

const FIELD: Refused = Refused::bad("a header line is not: name, colon, value");
const HOST: Refused = Refused::bad("there is not one Host, and a host");
const LENGTH: Refused = Refused::bad("Content-Length is not one number");
const CODING: Refused = Refused::bad("Transfer-Encoding does not tell where the body ends");
const UNKNOWN_CODING: Refused =
    Refused { status: "501 Not Implemented", why: "the only transfer coding here is chunked" };
const TWICE: Refused = Refused::bad("a field came twice that may come once");
const EXPECTATION: Refused =
    Refused { status: "417 Expectation Failed", why: "the only expectation here is 100-continue" };

/// The header fields. Under wsgiref's rules a value keeps the white space at its end.
pub(super) fn fields(block: &[u8], rules: Rules) -> Result<Vec<(String, Vec<u8>)>, Refused> {
    // httparse refuses control characters in values, which Python lets pass: under wsgiref's rules it
    // is shown others in their places, and only asked where a value lies. NUL and CR never pass.
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
pub(super) struct Said {
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
    pub(super) fn of(headers: &[(String, Vec<u8>)], rules: Rules) -> Result<Self, Refused> {
        let mut said = Self::default();
        for (name, value) in headers {
            said.take(name, trim(value), rules)?;
        }
        Ok(said)
    }

    /// RFC 9110 section 10.1.1: of an HTTP/1.0 client the expectation is none.
    pub(super) fn expects_continue(&self, is_modern: bool) -> bool {
        self.expects_continue && is_modern
    }

    /// RFC 9112 section 9.3: HTTP/1.1 keeps a connection unless told not to.
    pub(super) fn keep_alive(&self, is_modern: bool) -> bool {
        (is_modern || self.keep_alive) && !self.close
    }

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
                self.take_connection(value);
                return Ok(());
            }
            _ => return Ok(()),
        };
        *count += 1;
        if strict && *count > 1 { Err(TWICE) } else { Ok(()) }
    }

    fn take_connection(&mut self, value: &[u8]) {
        let says = |word: &str| {
            let mut options = value.split(|&byte| byte == b',');
            options.any(|option| trim(option).eq_ignore_ascii_case(word.as_bytes()))
        };
        self.close |= says("close");
        self.keep_alive |= says("keep-alive");
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
    pub(super) fn check_hosts(&self, is_modern: bool) -> Result<(), Refused> {
        match self.hosts {
            0 if is_modern => Err(HOST),
            0 | 1 => Ok(()),
            _ => Err(HOST),
        }
    }

    /// RFC 9112 section 6.1: both at once is an attack, and HTTP/1.0 knows no codings.
    pub(super) fn framing(&self, is_modern: bool) -> Result<Framing, Refused> {
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
pub(super) fn check_host(host: &[u8]) -> Result<(), Refused> {
    let good = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%:[]!$&'()*+,;=".contains(&byte);
    if host.iter().all(good) { Ok(()) } else { Err(HOST) }
}
