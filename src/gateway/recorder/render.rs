//! What was seen of a request, as a fixture.
//!
//! Its stdout is what CGI would have made of the answer: the application's part is played again to
//! the one handler that knows how. What must not get into the wrong hands is blanked on the way, in
//! as many bytes as it had, so that lengths stay true.

use super::{
    Holds,
    capture::{Head, Record, Seen},
};
use crate::{
    gateway::{
        Refusal,
        fixture::{DATE_LEN, DATE_MARK, Fixture, NOBODY, SECRET_MARK, is_date},
    },
    handlers::{Attributes, Ending, Plain, Slate, Streams, run},
    sys,
    types::{Application, Body, Environ, Exception, RequestFault, Response, StartResponse},
};
use std::{
    fs::File,
    io::{self, Write as _},
};

/// The fixture, unless the answer broke off with its client, and says nothing.
pub(super) fn fixture(mut record: Record, secrets: bool) -> Option<Fixture> {
    let refused = record.refused.take().or_else(|| of_fault(&record));
    let app = record.app;
    let mut fixture = match refused {
        Some((refusal, _)) => answered(&refusal, record)?,
        None => played(record)?,
    };
    if !secrets {
        blank(&mut fixture);
    }
    fixture.stdout = mark_dates(&fixture.stdout);
    fixture.app = app.map(Into::into);
    make_cgi(&mut fixture);
    if let Some((Refusal { status, why, .. }, holds)) = refused {
        let code = status.split(' ').next().unwrap_or_default();
        fixture.refused = Some(format!("{code}: {why}"));
        if holds == Holds::Then {
            fixture.app = Some(NOBODY.into());
        }
    }
    Some(fixture)
}

/// What the gateway says of a body that made the application fail, and that will be another when it
/// is sent again.
fn of_fault(record: &Record) -> Option<(Refusal, Holds)> {
    let fault = record.fault.as_ref()?;
    let begun = match &record.body {
        Seen::Blocks { count, .. } => *count > 0,
        Seen::Nothing | Seen::Empty | Seen::One(_) | Seen::File { .. } => false,
    };
    let length = record.environ.iter().any(|(name, _)| name == b"CONTENT_LENGTH");
    let passes = match fault {
        RequestFault::TooSlow | RequestFault::BodyTooLong { .. } => true,
        // As it came it is whole, unless it was to be longer.
        RequestFault::BodyCutShort { .. } => !length,
        RequestFault::BadChunk
        | RequestFault::ChunksCutShort
        | RequestFault::BadLength(_)
        | RequestFault::ParamsTooLong
        | RequestFault::TargetTooLong
        | RequestFault::NotHttp(_) => false,
    };
    let is_the_answer = !begun && record.written.is_empty();
    (passes && is_the_answer).then(|| (fault.clone().into(), Holds::Then))
}

/// With the answer that the application gave.
fn played(record: Record) -> Option<Fixture> {
    let Record { environ, stdin, errors, head, written, body, failed, fault, .. } = record;
    let (body, told) = match body {
        Seen::Nothing => (None, None),
        Seen::Empty => (Some(Vec::new()), Some(0)),
        Seen::One(bytes) => (Some(bytes), Some(1)),
        Seen::File { file, from, len } => (Some(read(&file, from, len).ok()?), None),
        // Neither came to an end nor failed: nobody took it to the end.
        Seen::Blocks { ended: false, .. } if failed.is_none() => return None,
        Seen::Blocks { bytes, count, told, .. } => {
            // Without a block there is another length to be told.
            (Some(bytes), if count == 0 { Some(0) } else { told.filter(|told| *told == 1) })
        }
    };
    let again = Again { head, written, body, told, failed, fault };
    let mut fixture = answered(&again, Record { environ, stdin, errors, ..Record::default() })?;
    if again.failed.as_deref() == Some(PANICKED) {
        // Where it stood in the source is another matter the next time.
        fixture.stderr = Vec::new();
    }
    Some(fixture)
}

/// With the answer that `app` gives.
fn answered(app: &dyn Application, record: Record) -> Option<Fixture> {
    let Record { environ, stdin, errors, .. } = record;
    let mut slate = Slate::default();
    environ.iter().for_each(|(name, value)| slate.vars.set(name, value));
    let (mut stdout, mut stderr) = (Vec::new(), errors);
    let streams = Streams { stdin: &mut io::empty(), stdout: &mut stdout, stderr: &mut stderr };
    let outcome = run(&Plain(Attributes::CGI), app, &mut slate, streams).ok()?;
    let exit = i32::from(matches!(outcome.ending, Ending::Cut { .. }));
    Some(Fixture { environ, stdin, stdout, stderr, exit, ..Fixture::default() })
}

/// What a capture says of a panic.
const PANICKED: &str = "the application panicked";

fn read(file: &File, from: u64, len: Option<u64>) -> io::Result<Vec<u8>> {
    let there = file.metadata()?.len().saturating_sub(from);
    let len = len.unwrap_or(there).min(there);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    sys::read_exact_at(file, &mut bytes, from)?;
    Ok(bytes)
}

/// The application's part, once more.
struct Again {
    head: Option<Head>,
    written: Vec<u8>,
    body: Option<Vec<u8>>,
    /// How many blocks the body said to have, where that makes a difference.
    told: Option<usize>,
    failed: Option<String>,
    fault: Option<RequestFault>,
}

impl Again {
    fn failure(&self) -> Option<Exception> {
        let failed = || self.failed.clone().map(Exception::from);
        self.fault.clone().map(Exception::from).or_else(failed)
    }
}

impl Application for Again {
    fn call<'r>(&'r self, _: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
        if let Some((status, fields)) = &self.head {
            let mut write = start_response.call(status, fields)?;
            if !self.written.is_empty() {
                write.write_all(&self.written)?;
            }
        }
        let body = match (&self.body, self.failure()) {
            (Some(body), _) => body,
            (None, Some(exc)) => return Err(exc),
            (None, None) => return Ok(Body::Empty),
        };
        Ok(match (self.told, self.failure()) {
            (Some(0), None) => Body::Empty,
            (Some(1), None) => Body::One(body.into()),
            (_, failed) => {
                let block = (self.told != Some(0)).then(|| Ok(body.clone()));
                Body::from_iter(block.into_iter().chain(failed.map(Err)))
            }
        })
    }
}

// --- what must not get into the wrong hands ---

/// Words in the names of variables and fields that are nobody else's business.
const SECRET: [&str; 8] =
    ["AUTHORIZATION", "COOKIE", "PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY"];

fn is_secret(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name).to_ascii_uppercase().replace('-', "_");
    SECRET.iter().any(|word| name.contains(word))
}

/// Blanks secrets in the environ and the response's fields, and where they are repeated.
fn blank(fixture: &mut Fixture) {
    // Each as it was, and as it is blanked; whole values before their parts.
    let (mut wholes, mut pieces) = (Vec::new(), Vec::new());
    for (name, value) in &mut fixture.environ {
        if is_secret(name) {
            let was = value.clone();
            for range in parts(value) {
                value[range.clone()].fill(b'x');
                pieces.push((was[range.clone()].to_vec(), value[range].to_vec()));
            }
            wholes.push((was, value.clone()));
        }
    }
    // Shorter ones are words that stand in many a page.
    wholes.retain(|(was, _)| was.len() >= 3);
    pieces.retain(|(was, _)| was.len() >= 8);
    let values = fixture.environ.iter_mut().map(|(_, value)| value);
    for text in values.chain([&mut fixture.stdin, &mut fixture.stdout, &mut fixture.stderr]) {
        for (was, blank) in wholes.iter().chain(&pieces) {
            overwrite(text, was, blank);
        }
    }
    let Some(end) = fixture.stdout.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return;
    };
    let (head, body) = fixture.stdout.split_at(end);
    let mut blanked = Vec::new();
    let mut body = body.to_vec();
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if !is_secret(name) {
            blanked.extend_from_slice(line);
            continue;
        }
        // A cookie's attributes, behind the first semicolon, are none.
        let end = value.iter().position(|byte| b";\r\n".contains(byte)).unwrap_or(value.len());
        let (value, rest) = value.split_at(end);
        let begin = value.iter().position(|&byte| byte == b'=').map_or(2, |at| at + 1);
        let (shown, secret) = value.split_at(begin.min(value.len()));
        if secret.len() >= 8 {
            // In as many bytes as it had: of a new secret the body would not be the same.
            overwrite(&mut body, secret, &vec![b'x'; secret.len()]);
        }
        for part in [name, shown, SECRET_MARK, rest] {
            blanked.extend_from_slice(part);
        }
    }
    fixture.stdout = [blanked, body].concat();
}

/// What of a value is secret: not the names of cookies, and not the scheme of credentials.
fn parts(value: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut at = 0;
    for part in value.split(|&byte| byte == b';') {
        let begin = part.iter().position(|&byte| byte == b'=');
        // Base64 ends with `=`, which names nothing.
        let space = part.trim_ascii_start().iter().position(|&byte| byte == b' ');
        let begin = match (space, begin) {
            (Some(space), _) => part.len() - part.trim_ascii_start().len() + space + 1,
            (None, Some(equals)) if part[equals..].iter().any(|byte| *byte != b'=') => equals + 1,
            (None, _) => 0,
        };
        parts.push(at + begin..at + part.len());
        at += part.len() + 1;
    }
    parts
}

/// Puts `blank` wherever `was` stands; both are of one length.
fn overwrite(text: &mut [u8], was: &[u8], blank: &[u8]) {
    let mut at = 0;
    while let Some(found) = text[at..].windows(was.len()).position(|bytes| bytes == was) {
        text[at + found..at + found + was.len()].copy_from_slice(blank);
        at += found + was.len();
    }
}

/// Puts the mark where an HTTP date stands.
fn mark_dates(text: &[u8]) -> Vec<u8> {
    let (mut marked, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(DATE_LEN).position(is_date) {
        marked.extend_from_slice(&rest[..at]);
        marked.extend_from_slice(DATE_MARK);
        rest = &rest[at + DATE_LEN..];
    }
    marked.extend_from_slice(rest);
    marked
}

// --- what makes it a request that CGI understands ---

fn make_cgi(fixture: &mut Fixture) {
    // What an environment cannot carry, or a line of it.
    fixture.environ.retain(|(name, value)| {
        let plain = !name.is_empty() && !name.starts_with(b"\t");
        plain && !name.iter().any(|byte| b"=\n\0".contains(byte)) && !value.contains(&0)
    });
    let get = |name: &str| {
        let found = fixture.environ.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| &value[..])
    };
    let mut added: Vec<(&str, &str)> = Vec::new();
    // A path that names the application has been taken off SCRIPT_NAME and PATH_INFO already.
    if let Some(app) = &fixture.app {
        added.push(("CGIGATE_APP", app));
    }
    if get("REQUEST_METHOD").is_none() && get("GATEWAY_INTERFACE").is_none() {
        added.push(("GATEWAY_INTERFACE", "CGI/1.1"));
    }
    let software = get("SERVER_SOFTWARE").unwrap_or_default();
    if software.starts_with(b"Microsoft-IIS/") && get("CGIGATE_HANDLER").is_none() {
        // So has its SCRIPT_NAME.
        added.push(("CGIGATE_HANDLER", "cgi"));
    }
    let has_length =
        get("CONTENT_LENGTH").is_some_and(|length| !length.is_empty() && length != b"-1");
    if !has_length && !fixture.stdin.is_empty() {
        let coding = get("HTTP_TRANSFER_ENCODING").unwrap_or_default();
        if software.starts_with(b"busybox") && coding.eq_ignore_ascii_case(b"chunked") {
            // It alone leaves the chunks to its programs.
            let size = format!("{:x}\r\n", fixture.stdin.len());
            fixture.stdin = [size.as_bytes(), &fixture.stdin, b"\r\n0\r\n\r\n"].concat();
        } else if !coding.eq_ignore_ascii_case(b"chunked") {
            added.push(("HTTP_TRANSFER_ENCODING", "chunked"));
        }
    }
    let own = |(name, value): (&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let added: Vec<_> = added.into_iter().map(own).collect();
    fixture.environ.extend(added);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(name: &str, value: &str) -> String {
        let environ = vec![(name.as_bytes().to_vec(), value.as_bytes().to_vec())];
        let stdout = b"Status: 200 OK\r\n\r\nabcdefgh and a".to_vec();
        let mut fixture = Fixture { environ, stdout, ..Fixture::default() };
        blank(&mut fixture);
        assert!(fixture.stdout.starts_with(b"Status: 200 OK\r\n\r\n"));
        String::from_utf8(fixture.environ.remove(0).1).unwrap()
    }

    #[test]
    fn secrets_keep_their_length_their_names_and_their_scheme() {
        for (name, value, want) in [
            ("HTTP_COOKIE", "a=1; session=abcdefgh", "a=x; session=xxxxxxxx"),
            ("HTTP_COOKIE", "nonsense", "xxxxxxxx"),
            ("HTTP_AUTHORIZATION", "Basic YTpi==", "Basic xxxxxx"),
            ("HTTP_AUTHORIZATION", "YTpi==", "xxxxxx"),
            ("REDIRECT_HTTP_AUTHORIZATION", "Bearer a=b;c d", "Bearer xxx;c x"),
            ("HTTP_X_API_KEY", "k", "x"),
            ("DB_PASSWORD", "tiger", "xxxxx"),
            ("HTTP_ACCEPT", "abcdefgh", "abcdefgh"),
        ] {
            assert_eq!(blanked(name, value), want, "{name}");
        }
    }

    #[test]
    fn a_secret_is_blanked_where_it_is_repeated_and_set() {
        let environ = vec![(b"HTTP_COOKIE".to_vec(), b"s=abcdefgh".to_vec())];
        let stdout = b"Status: 200 OK\r\nSet-Cookie: s=12345678; Path=/\r\nX-Auth-Token: t\r\n\r\n\
            abcdefgh 12345678"
            .to_vec();
        let mut fixture = Fixture { environ, stdout, ..Fixture::default() };
        blank(&mut fixture);
        assert_eq!(
            String::from_utf8(fixture.stdout).unwrap(),
            "Status: 200 OK\r\nSet-Cookie: s={SECRET}; Path=/\r\nX-Auth-Token: {SECRET}\r\n\r\n\
             xxxxxxxx xxxxxxxx"
        );
    }

    #[test]
    fn dates_are_marked_wherever_they_stand() {
        let text = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nnow Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(mark_dates(text), b"Date: {DATE}\r\n\r\nnow {DATE}");
    }
}
