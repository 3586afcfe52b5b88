//! Where a request head ends (RFC 9112 section 2.2), in bytes that come as they come. What it says is
//! `request.rs`'s to find out.

use super::{
    refused::{HEAD_TOO_LONG, LINE_END, LINE_TOO_LONG, Refused},
    request::{MAX_FIELDS, Rules},
    request_line::{is_space, request_line},
};
use std::ops::Range;

/// Bytes of a header line with its end.
const LONGEST_FIELD: usize = 64 << 10;

/// Looks for the end of a head that comes in pieces; each byte is looked at once.
#[derive(Clone, Debug)]
pub(super) struct HeadScan {
    rules: Rules,
    /// Where the request line begins, and the line that is being looked at.
    start: usize,
    line: usize,
    seen: usize,
    lines: usize,
    /// Bytes of the last line that are not the client's.
    added: usize,
}

impl HeadScan {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, start: 0, line: 0, seen: 0, lines: 0, added: 0 }
    }

    /// Whether nothing but empty lines came so far.
    pub(super) fn is_idle(&self) -> bool {
        self.lines == 0 && self.line == self.seen
    }

    /// Where in `bytes`, all that came so far, the head lies, once all of it is there.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, Refused> {
        while let Some(at) = bytes[self.seen..].iter().position(|&byte| byte == b'\n') {
            let end = self.seen + at + 1;
            self.check_size(end)?;
            let line = bytes[self.line..end].strip_suffix(b"\r\n").ok_or(LINE_END)?;
            (self.line, self.seen) = (end, end);
            if self.lines == 0 && self.start == 0 && self.is_blank(line) {
                // RFC 9112 section 2.2: an empty line may precede, which old clients sent after
                // a body.
                self.start = end;
                continue;
            }
            if self.lines == 0 {
                // As soon as it is there: after one without a version nothing more would come.
                request_line(line, self.rules)?;
            } else if line.is_empty() {
                return Ok(Some(self.start..end));
            } else if self.lines > MAX_FIELDS {
                return Err(HEAD_TOO_LONG);
            }
            if line.contains(&b'\r') {
                return Err(LINE_END);
            }
            self.lines += 1;
        }
        self.seen = bytes.len();
        self.check_size(bytes.len())?;
        Ok(None)
    }

    fn check_size(&self, end: usize) -> Result<(), Refused> {
        let line = (end - self.line).saturating_sub(self.added);
        match self.lines {
            0 if line > self.rules.longest_line() => Err(LINE_TOO_LONG),
            _ if line > LONGEST_FIELD || end > self.rules.longest_head() => Err(HEAD_TOO_LONG),
            _ => Ok(()),
        }
    }

    fn is_blank(&self, line: &[u8]) -> bool {
        match self.rules {
            Rules::Wsgiref => line.iter().all(|byte| is_space(*byte)),
            Rules::Strict => line.is_empty(),
        }
    }

    /// The end of the stream ends a head too, as `http.server` has it: adds what is missing, and
    /// all is to be scanned again. False: there is no request.
    pub(super) fn end(&mut self, bytes: &mut Vec<u8>) -> bool {
        let nothing = self.lines == 0 && bytes[self.line..].iter().all(|byte| is_space(*byte));
        if self.rules == Rules::Strict || nothing {
            return false;
        }
        if self.line < bytes.len() {
            bytes.pop_if(|byte| *byte == b'\r');
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        *self = Self { added: b"\r\n".len(), ..Self::new(self.rules) };
        true
    }
}
