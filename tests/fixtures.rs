//! `fixtures/` against the testbed: every case as a CGI process and over FastCGI, SCGI and uwsgi,
//! and the raw conversations of the socket protocols. The format is in `fixtures/README.md`.
//!
//! What the protocols are is written here a second time, by hand: the crate's own encoders would
//! agree with the crate's own decoders.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;

use built::example;
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::{ffi::OsStrExt, net::UnixStream, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// What waits for an answer that never comes fails after this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// The folders of a group, in order.
fn cases(group: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(group);
    let entries = fs::read_dir(root).unwrap().map(|entry| Case(entry.unwrap().path()));
    let mut cases: Vec<_> = entries.collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(!cases.is_empty(), "no case in {group}");
    cases
}

/// Runs `test` on each case, and fails with all that it says.
fn all(cases: &[Case], test: impl Fn(&Case) -> Result<(), String>) {
    let wrong: Vec<_> = cases
        .iter()
        .filter_map(|case| test(case).err().map(|why| format!("{}: {why}", case.0.display())))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

struct Case(PathBuf);

impl Case {
    fn file(&self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.0.join(name)) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => panic!("{}: {e}", self.0.display()),
        }
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.file(name).unwrap_or_default()
    }

    fn exit(&self) -> i32 {
        self.file("exit").map_or(0, |exit| text(&exit).trim().parse().unwrap())
    }

    fn environ(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for line in lines(&self.bytes("environ")) {
            if let Some(more) = line.strip_prefix(b"\t") {
                let (_, value) = pairs.last_mut().expect("a line to go on with");
                value.push(b'\n');
                value.extend_from_slice(more);
            } else {
                let equals = line.iter().position(|&byte| byte == b'=').expect("NAME=value");
                pairs.push((line[..equals].to_vec(), line[equals + 1..].to_vec()));
            }
        }
        pairs
    }
}

fn lines(file: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = file.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Equal bytes, where `{DATE}` stands for any HTTP date.
fn same(expected: &[u8], actual: &[u8]) -> bool {
    const MARK: &[u8] = b"{DATE}";
    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    let Some(at) = expected.windows(MARK.len()).position(|bytes| bytes == MARK) else {
        return expected == actual;
    };
    let is_date = |date: &[u8]| {
        let alike = |(a, b): (&u8, &u8)| {
            a == b
                || (a.is_ascii_digit() && b.is_ascii_digit())
                || (a.is_ascii_alphabetic() && b.is_ascii_alphabetic())
        };
        date.iter().zip(DATE).all(alike)
    };
    actual.len() >= at + DATE.len()
        && expected[..at] == actual[..at]
        && is_date(&actual[at..at + DATE.len()])
        && same(&expected[at + MARK.len()..], &actual[at + DATE.len()..])
}

fn compare(expected: &[u8], actual: &[u8]) -> Result<(), String> {
    if same(expected, actual) {
        return Ok(());
    }
    let show = |bytes: &[u8]| bytes[..bytes.len().min(600)].escape_ascii().to_string();
    Err(format!("\n  expected: {}\n  got:      {}", show(expected), show(actual)))
}

// --- CGI ---

#[test]
fn every_case_as_a_cgi_process() {
    all(&cases("cgi"), |case| {
        let mut command = Command::new(example("testbed"));
        command.env_clear();
        for (name, value) in case.environ() {
            command.env(OsStr::from_bytes(&name), OsStr::from_bytes(&value));
        }
        command.args(lines(&case.bytes("args")).into_iter().map(OsStr::from_bytes));
        let stdin = case.0.join("stdin");
        let stdin = if stdin.exists() { stdin } else { "/dev/null".into() };
        command.stdin(fs::File::open(stdin).unwrap());
        let done = command.output().unwrap();

        compare(&case.bytes("stdout"), &done.stdout)?;
        let code = done.status.code().or(done.status.signal().map(|signal| 128 + signal));
        if code != Some(case.exit()) {
            return Err(format!("exit status {code:?} instead of {}", case.exit()));
        }
        let mut said = lines(&done.stderr).into_iter().map(text).collect::<Vec<_>>().into_iter();
        for wanted in lines(&case.bytes("stderr")).into_iter().map(text) {
            if !said.any(|line| line.contains(&wanted)) {
                return Err(format!("stderr lacks {wanted:?}: {}", text(&done.stderr)));
            }
        }
        Ok(())
    });
}

// --- a gateway on a socket ---

/// The testbed, serving on a unix socket in a folder of its own until it is dropped.
struct Served {
    process: Child,
    folder: PathBuf,
}

impl Served {
    fn new(protocol: &str, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let address = format!("unix:{}", folder.join("s").display());
        let mut process = Command::new(example("testbed"))
            .args([protocol, "--listen", &address])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (ready, is_ready) = mpsc::channel();
        // What else it says has to be read, or it would stand still when the pipe is full.
        thread::spawn(move || {
            let mut line = Vec::new();
            while log.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let _ = ready.send(text(&line));
                line.clear();
            }
        });
        let first = is_ready.recv_timeout(PATIENCE).expect("a line when it is ready");
        let served = Self { process, folder };
        assert!(first.starts_with(&format!("cgigate: {protocol} on {address}, ")), "{first}");
        served
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join("s")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends the `turns` while it reads, each when the one before has been answered to its
    /// END_REQUEST; `enough` says when nothing more can come.
    fn ask(&self, turns: &[&[u8]], enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, String> {
        let mut stream = self.connect();
        let (mut answer, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        let (mut sent, mut half_closed) = (0, false);
        loop {
            let ends = records(&answer).iter().filter(|(kind, ..)| *kind == END_REQUEST).count();
            if sent < turns.len() && (sent == 0 || ends >= sent) {
                let (turn, mut writer) = (turns[sent].to_vec(), stream.try_clone().unwrap());
                // A gateway that answers early and closes makes this fail, which is no fault.
                thread::spawn(move || writer.write_all(&turn));
                sent += 1;
            }
            if sent == turns.len() && enough(&answer) && !half_closed {
                half_closed = true;
                let _ = stream.shutdown(Shutdown::Write);
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(answer),
                Ok(n) => answer.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(answer),
                Err(e) => return Err(format!("{e} after {}", answer.escape_ascii())),
            }
        }
    }
}

impl Served {
    /// Sends all of `wire` and nothing more while it reads to the end.
    fn ask_once(&self, wire: Vec<u8>) -> Result<Vec<u8>, String> {
        let mut stream = self.connect();
        let mut writer = stream.try_clone().unwrap();
        let writing = thread::spawn(move || {
            // As above.
            let _ = writer.write_all(&wire);
            let _ = writer.shutdown(Shutdown::Write);
        });
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(e) if e.kind() != ErrorKind::ConnectionReset => return Err(e.to_string()),
            _ => {}
        }
        writing.join().unwrap();
        Ok(answer)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

// --- FastCGI ---

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut record = vec![1, kind, 0, 1, length[0], length[1], 0, 0];
    record.extend_from_slice(content);
    record
}

/// A stream: records of its content and the empty one that ends it.
fn stream(kind: u8, content: &[u8]) -> Vec<u8> {
    let pieces = content.chunks(0xffff).map(|piece| record(kind, piece));
    pieces.chain([record(kind, b"")]).flatten().collect()
}

fn pairs(environ: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut pairs = Vec::new();
    for (name, value) in environ {
        for part in [name, value] {
            match u8::try_from(part.len()) {
                Ok(short @ 0..0x80) => pairs.push(short),
                _ => pairs.extend((u32::try_from(part.len()).unwrap() | 1 << 31).to_be_bytes()),
            }
        }
        pairs.extend_from_slice(name);
        pairs.extend_from_slice(value);
    }
    pairs
}

fn request(case: &Case) -> Vec<u8> {
    let mut request = record(BEGIN_REQUEST, &[0, 1, 0, 0, 0, 0, 0, 0]);
    request.extend(stream(PARAMS, &pairs(&case.environ())));
    request.extend(stream(STDIN, &case.bytes("stdin")));
    request
}

/// The whole records at the front: type and content, and how long the record is on the wire.
fn records(mut bytes: &[u8]) -> Vec<(u8, &[u8], usize)> {
    let mut records = Vec::new();
    while let [1, kind, _, _, high, low, padding, _, ..] = *bytes {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let whole = 8 + length + usize::from(padding);
        let Some(content) = bytes.get(8..8 + length).filter(|_| whole <= bytes.len()) else {
            break;
        };
        records.push((kind, content, whole));
        bytes = &bytes[whole..];
    }
    records
}

/// An answer as a CGI process would have written it: `Status` before the other fields.
fn as_cgi(stdout: &[u8]) -> Vec<u8> {
    let Some(end) = stdout.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return stdout.to_vec();
    };
    let head = text(&stdout[..end]);
    let (status, others): (Vec<_>, Vec<_>) =
        head.split("\r\n").partition(|line| line.starts_with("Status: "));
    let head = [status, others].concat().join("\r\n");
    [head.as_bytes(), &stdout[end..]].concat()
}

#[test]
fn every_case_over_fastcgi() {
    let served = Served::new("fastcgi", "cases");
    all(&shared_cases(), |case| {
        let answer = served.ask(&[&request(case)], |_| false)?;
        let records = records(&answer);
        let stdout =
            records.iter().filter(|(kind, ..)| *kind == STDOUT).flat_map(|(_, bytes, _)| *bytes);
        compare(&case.bytes("stdout"), &as_cgi(&stdout.copied().collect::<Vec<_>>()))?;
        let end = records.iter().find(|(kind, ..)| *kind == END_REQUEST).map(|(_, body, _)| *body);
        match (case.exit(), end) {
            (0, Some([0, 0, 0, 0, 0, ..])) => Ok(()),
            // Cut short: a length tells the client, else the missing END_REQUEST does.
            (1, None) => Ok(()),
            (1, Some([_, _, _, status, 0, ..])) if *status != 0 => Ok(()),
            (_, end) => Err(format!("ends with {end:?}")),
        }
    });
}

// --- SCGI and uwsgi ---

type Environ = Vec<(Vec<u8>, Vec<u8>)>;

fn value<'e>(environ: &'e Environ, wanted: &str) -> &'e [u8] {
    let found = environ.iter().find(|(name, _)| name == wanted.as_bytes());
    found.map_or(b"", |(_, value)| value)
}

/// What is served over a socket too.
fn shared_cases() -> Vec<Case> {
    let cases: Vec<_> =
        cases("cgi").into_iter().filter(|case| case.file("only").is_none()).collect();
    assert!(cases.len() > 100);
    cases
}

/// The variables as SCGI and uwsgi have them: a body without a length, whose chunks the web server
/// has decoded, has one there, for nothing else says where it ends.
fn with_length(case: &Case) -> Environ {
    let mut environ = case.environ();
    let is_chunked = value(&environ, "HTTP_TRANSFER_ENCODING") == b"chunked";
    if is_chunked && !environ.iter().any(|(name, _)| name == b"CONTENT_LENGTH") {
        let length = case.bytes("stdin").len().to_string().into_bytes();
        environ.push((b"CONTENT_LENGTH".to_vec(), length));
    }
    environ
}

/// A netstring of the variables: CONTENT_LENGTH first, where only a number can stand, and SCGI.
fn scgi(case: &Case) -> Vec<u8> {
    let mut environ = with_length(case);
    let length = match value(&environ, "CONTENT_LENGTH") {
        b"" | b"-1" => b"0".to_vec(),
        length => length.to_vec(),
    };
    environ.retain(|(name, _)| name != b"CONTENT_LENGTH");
    environ.insert(0, (b"CONTENT_LENGTH".to_vec(), length));
    environ.insert(1, (b"SCGI".to_vec(), b"1".to_vec()));
    let pairs = environ.iter().flat_map(|(name, value)| [&name[..], b"\0", value, b"\0"].concat());
    let pairs: Vec<u8> = pairs.collect();
    [format!("{}:", pairs.len()).as_bytes(), &pairs, b",", &case.bytes("stdin")].concat()
}

/// The answer to a request that had `variables` more than its case: the applications that list the
/// variables have listed these as well.
fn without(variables: &[(&str, &str)], head_only: bool, answer: &[u8]) -> Vec<u8> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return answer.to_vec();
    };
    let (head, mut body) = (text(&answer[..end]), answer[end + 4..].to_vec());
    for (name, value) in variables {
        for line in [format!("{name}={value}\n"), format!("{name} = '{value}'\n")] {
            let at = body.windows(line.len()).position(|bytes| bytes == line.as_bytes());
            if let Some(at) = at.filter(|at| *at == 0 || body[at - 1] == b'\n') {
                body.drain(at..at + line.len());
            }
        }
    }
    let removed = answer.len() - end - 4 - body.len();
    let head = head.split("\r\n").filter_map(|line| match line.strip_prefix("Content-Length: ") {
        Some(_) if head_only => None,
        Some(length) => {
            Some(format!("Content-Length: {}", length.parse::<usize>().unwrap() - removed))
        }
        None => Some(line.into()),
    });
    let head: Vec<_> = head.collect();
    [head.join("\r\n").as_bytes(), b"\r\n\r\n", &body].concat()
}

#[test]
fn every_case_over_scgi() {
    let served = Served::new("scgi", "scgi-cases");
    all(&shared_cases(), |case| {
        let environ = case.environ();
        let mut added = vec![("SCGI", "1")];
        let said = value(&environ, "CONTENT_LENGTH");
        if said.is_empty() || said == b"-1" {
            added.push(("CONTENT_LENGTH", "0"));
        }
        let head_only = value(&environ, "REQUEST_METHOD") == b"HEAD";
        let answer = served.ask_once(scgi(case))?;
        let expected = case.bytes("stdout");
        // What the case itself says of its length is listed under another value.
        let was = [("CONTENT_LENGTH", text(said))];
        let was: Vec<_> = was.iter().map(|(name, value)| (*name, &value[..])).collect();
        let was = if added.len() == 2 { &was[..] } else { &[] };
        compare(&without(was, head_only, &expected), &without(&added, head_only, &answer))
    });
}

fn uwsgi(case: &Case) -> Vec<u8> {
    let mut pairs = Vec::new();
    for (name, value) in with_length(case) {
        for part in [name, value] {
            pairs.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
            pairs.extend(part);
        }
    }
    let [low, high] = u16::try_from(pairs.len()).unwrap().to_le_bytes();
    [&[0, low, high, 0], &pairs[..], &case.bytes("stdin")].concat()
}

#[test]
fn every_case_over_uwsgi() {
    let served = Served::new("uwsgi", "uwsgi-cases");
    all(&shared_cases(), |case| {
        let answer = served.ask_once(uwsgi(case))?;
        let expected = case.bytes("stdout");
        // The same but for the first line.
        let line = expected.strip_prefix(b"Status: ").ok_or("no status in the fixture")?;
        compare(&[b"HTTP/1.1 ", line].concat(), &answer)
    });
}

// --- raw conversations ---

/// Without STDERR records, whose text is the application's affair.
fn without_stderr(bytes: &[u8]) -> Vec<u8> {
    let (mut kept, mut at) = (Vec::new(), 0);
    for (kind, _, length) in records(bytes) {
        if kind != STDERR {
            kept.extend_from_slice(&bytes[at..at + length]);
        }
        at += length;
    }
    kept.extend_from_slice(&bytes[at..]);
    kept
}

/// A conversation cut where its second request begins, and its third: a web server may not use
/// an id again before END_REQUEST (section 3.3).
fn turns(request: &[u8]) -> Vec<&[u8]> {
    let (mut turns, mut at, mut from, mut begun) = (Vec::new(), 0, 0, 0);
    for (kind, _, length) in records(request) {
        if kind == BEGIN_REQUEST {
            begun += 1;
            if begun > 1 {
                turns.push(&request[from..at]);
                from = at;
            }
        }
        at += length;
    }
    turns.push(&request[from..]);
    turns
}

fn converse(protocol: &str, clean: fn(&[u8]) -> Vec<u8>) {
    let served = Served::new(protocol, &format!("{protocol}-raw"));
    all(&cases(protocol), |case| {
        let expected = case.bytes("response");
        let request = case.bytes("request");
        let answer = served.ask(&turns(&request), |got| clean(got).len() >= expected.len())?;
        compare(&expected, &clean(&answer))
    });
}

#[test]
fn raw_conversations_of_fastcgi() {
    converse("fastcgi", without_stderr);
}

#[test]
fn raw_conversations_of_scgi() {
    converse("scgi", <[u8]>::to_vec);
}

#[test]
fn raw_conversations_of_uwsgi() {
    converse("uwsgi", <[u8]>::to_vec);
}
