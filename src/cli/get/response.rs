//! A CGI response as it comes (RFC 3875 section 6): where its header block ends, and what it says.
//! Touches no socket, and keeps nothing of the body.

use crate::headers::{check_name, check_value};

/// The most bytes that a header block may have.
const MAX_HEAD: usize = 1 << 20;

/// A response of which some part has come.
#[derive(Debug, Default)]
pub(in crate::cli) struct Response {
    head: Vec<u8>,
    /// Where in `head` the line begins that is not whole yet, and how far it was searched.
    line: usize,
    searched: usize,
    lines: usize,
    whole: bool,
    status: Option<Status>,
    length: Option<u64>,
    /// Bytes of the body.
    came: u64,
}

/// What `Status:` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Status {
    pub(in crate::cli) code: u16,
    /// Code and reason, as they came, made printable.
    pub(in crate::cli) text: String,
}

/// What makes a response none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum ResponseError {
    #[error("STDOUT was empty, without a header block")]
    Nothing,
    #[error("STDOUT ended within the header block")]
    HeadCutShort,
    #[error("the header block is longer than {MAX_HEAD} bytes")]
    HeadTooLong,
    #[error("the header block is empty")]
    HeadEmpty,
    #[error("line {number} of the header block is no field: \"{}\"", .line.escape_ascii())]
    Line { number: usize, line: Vec<u8> },
    #[error("the header block has two fields {0}")]
    Twice(&'static str),
    #[error("Status is \"{}\", which does not begin with three digits", .0.escape_ascii())]
    Status(Vec<u8>),
    #[error("Content-Length is \"{}\", which is no length", .0.escape_ascii())]
    Length(Vec<u8>),
    #[error("the body has {came} bytes, and Content-Length says {length}")]
    BodyLength { came: u64, length: u64 },
}

impl Response {
    /// Takes a piece of STDOUT. What of it is to be shown: the header block in that piece which
    /// makes it whole, and what is body.
    pub(in crate::cli) fn next<'r>(
        &'r mut self,
        piece: &'r [u8],
    ) -> Result<(&'r [u8], &'r [u8]), ResponseError> {
        if self.whole {
            self.came += piece.len() as u64;
            return Ok((b"", piece));
        }
        let held = self.head.len();
        self.head.extend_from_slice(piece);
        while let Some(at) = self.head[self.searched..].iter().position(|&byte| byte == b'\n') {
            let (start, end) = (self.line, self.searched + at);
            (self.line, self.searched) = (end + 1, end + 1);
            let line = self.head[start..end].strip_suffix(b"\r").unwrap_or(&self.head[start..end]);
            if line.is_empty() {
                if self.lines == 0 {
                    return Err(ResponseError::HeadEmpty);
                }
                self.whole = true;
                self.head.truncate(end + 1);
                let body = &piece[end + 1 - held..];
                self.came += body.len() as u64;
                return Ok((&self.head, body));
            }
            self.lines += 1;
            let line = line.to_vec();
            self.field(&line)?;
        }
        self.searched = self.head.len();
        match self.head.len() {
            ..=MAX_HEAD => Ok((b"", b"")),
            _ => Err(ResponseError::HeadTooLong),
        }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), ResponseError> {
        let wrong = || ResponseError::Line { number: self.lines, line: line.to_vec() };
        let colon = line.iter().position(|&byte| byte == b':').ok_or_else(wrong)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        check_name(name).and_then(|()| check_value(value)).map_err(|_| wrong())?;
        if name.eq_ignore_ascii_case(b"Status") {
            let status = status(value).ok_or_else(|| ResponseError::Status(value.to_vec()))?;
            if self.status.replace(status).is_some() {
                return Err(ResponseError::Twice("Status"));
            }
        } else if name.eq_ignore_ascii_case(b"Content-Length") {
            let length = digits(value).ok_or_else(|| ResponseError::Length(value.to_vec()))?;
            if self.length.replace(length).is_some() {
                return Err(ResponseError::Twice("Content-Length"));
            }
        }
        Ok(())
    }

    /// STDOUT has ended: the status of what came, if it was a whole response. `head`: the request
    /// was for the header block alone.
    pub(in crate::cli) fn finish(self, head: bool) -> Result<Status, ResponseError> {
        if !self.whole {
            return Err(match self.head[..] {
                [] => ResponseError::Nothing,
                _ => ResponseError::HeadCutShort,
            });
        }
        // Without a Status it is 200; or, with a Location, 302 (section 6.2), which is as good.
        let status = self.status.unwrap_or_else(|| Status { code: 200, text: "200 OK".into() });
        let none = self.came == 0 && (head || matches!(status.code, 204 | 304));
        match self.length {
            Some(length) if length != self.came && !none => {
                Err(ResponseError::BodyLength { came: self.came, length })
            }
            _ => Ok(status),
        }
    }
}

/// Three digits, and a reason behind a space where there is one.
fn status(value: &[u8]) -> Option<Status> {
    let (code, reason) = value.split_at_checked(3)?;
    let code = digits(code).filter(|_| matches!(reason, [] | [b' ', ..]))?;
    Some(Status { code: u16::try_from(code).ok()?, text: value.escape_ascii().to_string() })
}

fn digits(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Told = Result<(u16, Vec<u8>, Vec<u8>), ResponseError>;

    fn tell(pieces: &[&[u8]], head_only: bool) -> Told {
        let (mut response, mut head, mut body) = (Response::default(), Vec::new(), Vec::new());
        for piece in pieces {
            let (shown, more) = response.next(piece)?;
            head.extend_from_slice(shown);
            body.extend_from_slice(more);
        }
        response.finish(head_only).map(|status| (status.code, head, body))
    }

    /// The same whole, byte by byte and cut at each place.
    fn told(wire: &[u8]) -> Told {
        let whole = tell(&[wire], false);
        assert_eq!(tell(&wire.chunks(1).collect::<Vec<_>>(), false), whole);
        for cut in 0..wire.len() {
            assert_eq!(tell(&[&wire[..cut], &wire[cut..]], false), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn a_header_block_ends_at_the_first_empty_line() {
        for (wire, code, head) in [
            (&b"Status: 404 Not Found\r\n\r\na\n\nb"[..], 404, 25),
            (b"status:302\nLocation: /x\n\na\n\nb", 302, 25),
            (b"A: b\r\nStatus: 200 OK\n\r\na\n\nb", 200, 23),
            (b"Content-Type: text/plain\r\n\r\na\n\nb", 200, 28),
            (b"A:\nContent-Length: 4\n\na\n\nb", 200, 22),
        ] {
            assert_eq!(told(wire), Ok((code, wire[..head].to_vec(), b"a\n\nb".to_vec())));
        }
    }

    #[test]
    fn what_is_no_response_is_told() {
        use ResponseError::*;
        let line = |number, line: &[u8]| Line { number, line: line.to_vec() };
        for (wire, error) in [
            (&b""[..], Nothing),
            (b"A: b\r\n", HeadCutShort),
            (b"\r\nhello", HeadEmpty),
            (b"<html>\n", line(1, b"<html>")),
            (b"A: b\r\nHTTP/1.1 200 OK\r\n\r\n", line(2, b"HTTP/1.1 200 OK")),
            (b"A: b\r\n c\r\n\r\n", line(2, b" c")),
            (b"A: b\x1b[m\r\n\r\n", line(1, b"A: b\x1b[m")),
            (b"Status: OK\r\n\r\n", Status(b"OK".to_vec())),
            (b"Status: 2000\r\n\r\n", Status(b"2000".to_vec())),
            (b"Status: +20\r\n\r\n", Status(b"+20".to_vec())),
            (b"Status: 200\r\nStatus: 404\r\n\r\n", Twice("Status")),
            (b"Content-Length: -1\r\n\r\n", Length(b"-1".to_vec())),
            (b"Content-Length: 5\r\n\r\nabc", BodyLength { came: 3, length: 5 }),
            (b"Content-Length: 1\r\n\r\nabc", BodyLength { came: 3, length: 1 }),
        ] {
            assert_eq!(told(wire), Err(error), "{}", wire.escape_ascii());
        }
        assert_eq!(told(&[b'x'; MAX_HEAD + 1][..5]), Err(HeadCutShort));
        assert_eq!(tell(&[&[b'x'; MAX_HEAD + 1]], false), Err(HeadTooLong));
    }

    #[test]
    fn where_no_body_may_be_its_length_is_another_ones() {
        assert!(tell(&[b"Content-Length: 5\n\n"], true).is_ok());
        assert!(tell(&[b"Status: 304\nContent-Length: 5\n\n"], false).is_ok());
        assert!(tell(&[b"Status: 304\nContent-Length: 5\n\nabc"], false).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_response_or_an_error(pieces: Vec<Vec<u8>>) {
            let pieces: Vec<_> = pieces.iter().map(|piece| &piece[..]).collect();
            let whole = tell(&[&pieces.concat()], false);
            prop_assert_eq!(tell(&pieces, false), whole);
        }
    }
}
