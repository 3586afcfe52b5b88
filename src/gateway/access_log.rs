//! `--access-log`: a line for each request, in Apache's combined format or as JSON.
//!
//! What a client asked for is written down before the application runs, which may change its
//! variables; what came of it afterwards. Between the two the line lies in a buffer of the thread.

use super::{
    escape::{Json, JsonPieces, Line, Word},
    log_file::LogFile,
    scoreboard::Visit,
};
use crate::types::Vars;
use httpdate::HttpDate;
use std::{
    io::Write as _,
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

/// `--log-format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Combined.
    Text,
    /// An object a line: times in seconds, sizes in bytes.
    Json,
}

/// Where the lines go, and how they look.
#[derive(Debug)]
pub(crate) struct AccessLog {
    file: LogFile,
    format: LogFormat,
    /// Of this process: asked for once, for it is a system call.
    pid: u32,
    /// For requests that nobody has given a name.
    started: u64,
    next: AtomicU64,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'r> {
    client: &'r [u8],
    user: &'r [u8],
    method: &'r [u8],
    /// The request target, in pieces.
    uri: [&'r [u8]; 4],
    protocol: &'r [u8],
    referer: &'r [u8],
    user_agent: &'r [u8],
    request_id: &'r [u8],
    traceparent: &'r [u8],
}

/// A line that waits for its end: what stands before the outcome, and behind it.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    before: Vec<u8>,
    behind: Vec<u8>,
}

impl Entry {
    pub(crate) const fn new() -> Self {
        Self { before: Vec::new(), behind: Vec::new() }
    }
}

impl<'r> Asked<'r> {
    /// As the variables of a request have it.
    pub(crate) fn of(vars: &'r Vars) -> Self {
        let of = |name: &str| vars.get(name).unwrap_or_default();
        let first = |names: [&str; 3]| {
            names.into_iter().map(of).find(|value| !value.is_empty()).unwrap_or_default()
        };
        let query = of("QUERY_STRING");
        let uri = match of("REQUEST_URI") {
            [] => {
                let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
                [of("SCRIPT_NAME"), of("PATH_INFO"), mark, query]
            }
            uri => [uri, b"", b"", b""],
        };
        Self {
            client: of("REMOTE_ADDR"),
            user: of("REMOTE_USER"),
            method: of("REQUEST_METHOD"),
            uri,
            protocol: of("SERVER_PROTOCOL"),
            referer: of("HTTP_REFERER"),
            user_agent: of("HTTP_USER_AGENT"),
            // Those of nginx, of Apache's mod_unique_id, and of whoever came first.
            request_id: first(["REQUEST_ID", "UNIQUE_ID", "HTTP_X_REQUEST_ID"]),
            traceparent: of("HTTP_TRACEPARENT"),
        }
    }

    /// As the first line of a request has it that was not understood.
    pub(crate) fn line(client: &'r [u8], line: &'r [u8]) -> Self {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let mut word = || words.next().unwrap_or_default();
        let (method, uri, protocol) = (word(), [word(), b"", b"", b""], word());
        Self { client, method, uri, protocol, ..Self::default() }
    }
}

impl AccessLog {
    pub(crate) fn new(file: LogFile, format: LogFormat) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (pid, started) = (process::id(), now.as_millis() as u64);
        Self { file, format, pid, started, next: AtomicU64::new(1) }
    }

    /// The file was moved away.
    pub(crate) fn reopen(&self) {
        self.file.reopen();
    }

    /// Begins a line.
    pub(crate) fn begin(&self, entry: &mut Entry, asked: &Asked<'_>) {
        entry.before.clear();
        entry.behind.clear();
        // Writing to memory does not fail.
        let _ = match self.format {
            LogFormat::Text => begin_text(entry, asked),
            LogFormat::Json => self.begin_json(&mut entry.before, asked),
        };
    }

    fn begin_json(&self, out: &mut Vec<u8>, asked: &Asked<'_>) -> std::io::Result<()> {
        write!(out, "{{\"time\":\"")?;
        Moment::now().rfc_3339(out)?;
        write!(out, "\",\"pid\":{}", self.pid)?;
        match asked.request_id {
            [] => {
                let (started, number) = (self.started, self.next.fetch_add(1, Relaxed));
                write!(out, ",\"request_id\":\"{:x}-{started:x}-{number:x}\"", self.pid)?;
            }
            id => write!(out, ",\"request_id\":{}", Json(id))?,
        }
        for (name, value) in [
            ("traceparent", asked.traceparent),
            ("client", asked.client),
            ("user", asked.user),
            ("method", asked.method),
        ] {
            member(out, name, &[value])?;
        }
        member(out, "uri", &asked.uri)?;
        for (name, value) in [
            ("protocol", asked.protocol),
            ("referer", asked.referer),
            ("user_agent", asked.user_agent),
        ] {
            member(out, name, &[value])?;
        }
        Ok(())
    }

    /// Ends the line, and writes it; `ending` is a word for how the request ended.
    pub(crate) fn end(&self, entry: &mut Entry, visit: &Visit, ending: &str) {
        let Visit { status, received, sent, app, queue } = visit;
        let out = &mut entry.before;
        // Writing to memory does not fail.
        let _ = match self.format {
            LogFormat::Text => write!(out, "{status} {sent}"),
            LogFormat::Json => {
                let (app, queue) = (app.as_secs_f64(), queue.as_secs_f64());
                write!(
                    out,
                    ",\"status\":{status},\"sent\":{sent},\"received\":{received},\
                     \"app\":{app:.6},\"queue\":{queue:.6},\"ending\":\"{ending}\"}}"
                )
            }
        };
        out.append(&mut entry.behind);
        out.push(b'\n');
        self.file.add(out);
        /// What an unusual line took is given back.
        const USUAL: usize = 16 << 10;
        out.clear();
        out.shrink_to(USUAL);
        entry.behind.shrink_to(USUAL);
    }
}

/// A member of the object; `null` for nothing.
fn member(out: &mut Vec<u8>, name: &str, value: &[&[u8]]) -> std::io::Result<()> {
    match value.iter().all(|piece| piece.is_empty()) {
        true => write!(out, ",\"{name}\":null"),
        false => write!(out, ",\"{name}\":{}", JsonPieces(value)),
    }
}

fn begin_text(entry: &mut Entry, asked: &Asked<'_>) -> std::io::Result<()> {
    let Entry { before, behind } = entry;
    let (client, user) = (Word(asked.client), Word(asked.user));
    write!(before, "{client} - {user} [")?;
    Moment::now().apache(before)?;
    write!(before, "] \"{} ", Word(asked.method))?;
    match asked.uri.iter().all(|piece| piece.is_empty()) {
        true => write!(before, "-")?,
        false => asked.uri.iter().try_for_each(|piece| write!(before, "{}", Line(piece)))?,
    }
    if !asked.protocol.is_empty() {
        write!(before, " {}", Line(asked.protocol))?;
    }
    write!(before, "\" ")?;
    for value in [asked.referer, asked.user_agent] {
        match value {
            [] => write!(behind, " \"-\"")?,
            value => write!(behind, " \"{}\"", Line(value))?,
        }
    }
    Ok(())
}

/// A moment, of which httpdate knows the calendar: `Sun, 06 Nov 1994 08:49:37 GMT`.
struct Moment {
    http: [u8; 29],
    millis: u32,
}

impl Moment {
    fn now() -> Self {
        Self::at(SystemTime::now())
    }

    fn at(time: SystemTime) -> Self {
        let time = time.max(UNIX_EPOCH);
        let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
        let mut http = *b"Thu, 01 Jan 1970 00:00:00 GMT";
        // It is always as long as that.
        let _ = write!(&mut http[..], "{}", HttpDate::from(time));
        Self { http, millis }
    }

    fn part(&self, at: std::ops::Range<usize>) -> &str {
        std::str::from_utf8(&self.http[at]).unwrap_or_default()
    }

    /// `06/Nov/1994:08:49:37 +0000`
    fn apache(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let [day, month] = [self.part(5..7), self.part(8..11)];
        let [year, clock] = [self.part(12..16), self.part(17..25)];
        write!(out, "{day}/{month}/{year}:{clock} +0000")
    }

    /// `1994-11-06T08:49:37.000Z`
    fn rfc_3339(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = MONTHS.iter().position(|name| *name == self.part(8..11)).unwrap_or_default();
        let [year, day, clock] = [self.part(12..16), self.part(5..7), self.part(17..25)];
        write!(out, "{year}-{:02}-{day}T{clock}.{:03}Z", month + 1, self.millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_moment_is_written_as_apache_does_and_as_rfc_3339_has_it() {
        let moment = Moment::at(UNIX_EPOCH + Duration::from_millis(784_111_777_042));
        let (mut apache, mut rfc_3339) = (Vec::new(), Vec::new());
        moment.apache(&mut apache).unwrap();
        moment.rfc_3339(&mut rfc_3339).unwrap();
        assert_eq!(apache, b"06/Nov/1994:08:49:37 +0000");
        assert_eq!(rfc_3339, b"1994-11-06T08:49:37.042Z");
    }

    #[test]
    fn a_request_is_known_by_its_uri_or_by_what_there_is_of_it() {
        let uri = |vars: &[(&str, &str)]| {
            let vars = vars.iter().copied().collect();
            String::from_utf8(Asked::of(&vars).uri.concat()).unwrap()
        };
        let parts = [("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b"), ("QUERY_STRING", "c=d")];
        assert_eq!(uri(&parts), "/a/b?c=d");
        assert_eq!(uri(&parts[..2]), "/a/b");
        assert_eq!(uri(&[parts[0], ("REQUEST_URI", "/x?y")]), "/x?y");
        let asked = Asked::line(b"::1", b"GET /a b HTTP/1.1");
        assert_eq!(
            (asked.method, asked.uri[0], asked.protocol),
            (&b"GET"[..], &b"/a"[..], &b"b HTTP/1.1"[..])
        );
    }
}
