//! A stream of records in words, for whoever looks at a capture: either side of the wire.

use super::{
    pairs::pairs,
    record::{
        HEADER_LEN, Header, ProtocolStatus, RecordType, Role, VERSION, parse_begin, parse_end,
        parse_header, parse_unknown_type,
    },
};
use std::{collections::BTreeMap, fmt::Write};

/// How much of a body is shown, in bytes.
const SHOWN: usize = 60;

/// Says in words what the records of `stream` are, a line or more for each; PARAMS as pairs where
/// they end. What cannot be read is said, and ends it: nothing behind it can be found.
///
/// ```
/// let stream = b"\x01\x04\0\x07\0\x04\0\0\x01\x01Ab\x01\x04\0\x07\0\0\0\0\x01\x05\0\x07\0\x02\0\0hi";
/// let lines: Vec<String> = cgigate::fcgi::words(stream).collect();
/// assert_eq!(lines, [
///     "PARAMS id=7 len=4 pad=0",
///     "PARAMS id=7 len=0 pad=0\n    A=b",
///     "STDIN id=7 len=2 pad=0 \"hi\"",
/// ]);
/// ```
pub fn words(stream: &[u8]) -> Words<'_> {
    Words { stream, at: 0, broken: false, params: BTreeMap::new() }
}

/// See [`words`].
///
/// ```
/// let mut lines = cgigate::fcgi::words(b"\x01\x05\0\x07\0\0\0\0\x01\x02\0\x07\0\0\0\0");
/// assert_eq!(lines.next().as_deref(), Some("STDIN id=7 len=0 pad=0"));
/// assert_eq!(lines.next().as_deref(), Some("ABORT_REQUEST id=7 len=0 pad=0"));
/// ```
#[derive(Clone, Debug)]
pub struct Words<'s> {
    stream: &'s [u8],
    at: usize,
    broken: bool,
    /// PARAMS of requests in which it has not ended.
    params: BTreeMap<u16, Vec<u8>>,
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let (at, rest) = (self.at, &self.stream[self.at..]);
        if rest.is_empty() {
            return None;
        }
        (self.at, self.broken) = (self.stream.len(), true);
        let Ok((content, header)) = parse_header(rest) else {
            return Some(format!("byte {at}: {} bytes of a header of {HEADER_LEN}", rest.len()));
        };
        let Header { version, kind, content_len, padding_len, .. } = header;
        if version != VERSION {
            return Some(format!("byte {at}: version {version}, which is not FastCGI 1"));
        }
        let whole = usize::from(content_len) + usize::from(padding_len);
        if content.len() < whole {
            let name = name(kind);
            let there = content.len();
            return Some(format!("byte {at}: {there} bytes of {whole} of a record {name}"));
        }
        (self.at, self.broken) = (at + HEADER_LEN + whole, false);
        Some(self.record(header, &content[..content_len.into()]))
    }
}

impl Words<'_> {
    /// Whether the line that was given last said what cannot be read: the stream is cut short
    /// there, or is no FastCGI.
    ///
    /// ```
    /// let mut lines = cgigate::fcgi::words(b"\x01\x05\0\x07\0\x05\0\0hel");
    /// assert_eq!(lines.next().as_deref(), Some("byte 0: 3 bytes of 5 of a record STDIN"));
    /// assert!(lines.is_broken());
    /// ```
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    fn record(&mut self, header: Header, content: &[u8]) -> String {
        let Header { kind, id, content_len, padding_len, .. } = header;
        let mut line = format!("{} id={id} len={content_len} pad={padding_len}", name(kind));
        match RecordType::from_wire(kind) {
            Some(RecordType::BeginRequest) => line.push_str(&begin(content)),
            Some(RecordType::EndRequest) => line.push_str(&end(content)),
            Some(RecordType::UnknownType) => {
                if let Ok((_, kind)) = parse_unknown_type(content) {
                    line.push_str(&format!(" type={kind}"));
                }
            }
            Some(RecordType::GetValues | RecordType::GetValuesResult) => list(&mut line, content),
            Some(RecordType::Params) if !content.is_empty() => {
                self.params.entry(id).or_default().extend_from_slice(content);
            }
            Some(RecordType::Params) => {
                list(&mut line, &self.params.remove(&id).unwrap_or_default());
            }
            Some(RecordType::AbortRequest) => {}
            Some(
                RecordType::Stdin | RecordType::Stdout | RecordType::Stderr | RecordType::Data,
            )
            | None => line.push_str(&body(content)),
        }
        line
    }
}

fn begin(content: &[u8]) -> String {
    let Ok((_, (role, keep_conn))) = parse_begin(content) else { return String::new() };
    let name = Role::from_wire(role).map_or("unknown", Role::as_str);
    let flags = if keep_conn { " KEEP_CONN" } else { "" };
    format!(" role={role} ({name}){flags}")
}

fn end(content: &[u8]) -> String {
    let Ok((_, (app_status, status))) = parse_end(content) else { return String::new() };
    let name = ProtocolStatus::from_wire(status).map_or("unknown", ProtocolStatus::as_str);
    format!(" app_status={app_status} protocol_status={status} ({name})")
}

/// Each pair on a line of its own. Bytes that are not printable ASCII are escaped.
fn list(line: &mut String, stream: &[u8]) {
    for found in pairs(stream) {
        // Writing to a String cannot fail.
        let _ = match found {
            Ok((name, value)) => {
                let (name, value) = (stream[name].escape_ascii(), stream[value].escape_ascii());
                write!(line, "\n    {name}={value}")
            }
            Err(error) => write!(line, "\n    {error}"),
        };
    }
}

fn body(content: &[u8]) -> String {
    match content {
        [] => String::new(),
        content if content.len() <= SHOWN => format!(" \"{}\"", content.escape_ascii()),
        content => format!(" \"{}\"...", content[..SHOWN].escape_ascii()),
    }
}

fn name(kind: u8) -> String {
    let known = RecordType::from_wire(kind).map(|known| match known {
        RecordType::BeginRequest => "BEGIN_REQUEST",
        RecordType::AbortRequest => "ABORT_REQUEST",
        RecordType::EndRequest => "END_REQUEST",
        RecordType::Params => "PARAMS",
        RecordType::Stdin => "STDIN",
        RecordType::Stdout => "STDOUT",
        RecordType::Stderr => "STDERR",
        RecordType::Data => "DATA",
        RecordType::GetValues => "GET_VALUES",
        RecordType::GetValuesResult => "GET_VALUES_RESULT",
        RecordType::UnknownType => "UNKNOWN_TYPE",
    });
    known.map_or_else(|| format!("type {kind}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::{RequestId, begin_request, end_request, unknown_type};
    use super::*;
    use std::num::NonZeroU16;

    #[test]
    fn each_record_has_its_words() {
        let id = RequestId(NonZeroU16::MIN);
        let mut wire = Vec::new();
        begin_request(&mut wire, id, Role::Filter, true);
        end_request(&mut wire, id, 3, ProtocolStatus::Overloaded);
        unknown_type(&mut wire, 99);
        wire.extend_from_slice(b"\x01\x09\0\0\0\x03\x01\0\x01\0A_\x01\x63\0\0\0\x01\0\0\xff");
        assert_eq!(
            words(&wire).collect::<Vec<_>>(),
            [
                "BEGIN_REQUEST id=1 len=8 pad=0 role=3 (FILTER) KEEP_CONN",
                "END_REQUEST id=1 len=8 pad=0 app_status=3 protocol_status=2 (OVERLOADED)",
                "UNKNOWN_TYPE id=0 len=8 pad=0 type=99",
                "GET_VALUES id=0 len=3 pad=1\n    A=",
                "type 99 id=0 len=1 pad=0 \"\\xff\"",
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_said_and_ends_it() {
        for (wire, last) in [
            (&b"\x01\x05"[..], "byte 0: 2 bytes of a header of 8"),
            (b"GET / HTTP/1.1\r\n", "byte 0: version 71, which is not FastCGI 1"),
            (b"\x01\x05\0\x01\0\x09\x01\0abc", "byte 0: 3 bytes of 10 of a record STDIN"),
        ] {
            let mut lines = words(wire);
            assert_eq!(lines.by_ref().collect::<Vec<_>>(), [last]);
            assert!(lines.is_broken());
        }
        let mut whole = words(b"\x01\x05\0\x01\0\0\0\0");
        assert_eq!((whole.by_ref().count(), whole.is_broken()), (1, false));
    }
}
