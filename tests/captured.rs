//! All that real web servers sent (`fixtures/streams`), to the executable itself: every variable
//! arrives as it was sent, and every body comes back. What comes twice is put together (rule 25),
//! HTTP_PROXY is nobody's (rule 27); below a mount tests/mount.rs has the same streams.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;

/// A request as it was sent: read here by other means than the gateway's.
#[derive(Default)]
struct Request {
    id: u16,
    vars: BTreeMap<Vec<u8>, Vec<u8>>,
    body: Vec<u8>,
}

impl Request {
    fn set(&mut self, name: &[u8], value: &[u8]) {
        let joint = match name {
            b"HTTP_COOKIE" => Some(&b"; "[..]),
            _ => name.starts_with(b"HTTP_").then_some(&b", "[..]),
        };
        match (self.vars.get_mut(name), joint) {
            (Some(have), Some(joint)) => *have = [&have[..], joint, value].concat(),
            _ => drop(self.vars.insert(name.into(), value.into())),
        }
    }

    /// What `environ` answers.
    fn listed(&self) -> Vec<u8> {
        let vars = self.vars.iter().filter(|(name, _)| *name != b"HTTP_PROXY");
        vars.flat_map(|(name, value)| [name, &b"="[..], value, b"\n"].concat()).collect()
    }

    fn is_head(&self) -> bool {
        self.vars.get(&b"REQUEST_METHOD"[..]).is_some_and(|method| method == b"HEAD")
    }
}

/// Type, id and content, and where in the stream the record begins.
fn records(wire: &[u8]) -> Vec<(u8, u16, &[u8], usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(header) = wire.get(at..at + 8) {
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let Some(content) = wire.get(at + 8..at + 8 + length) else { break };
        found.push((header[1], u16::from_be_bytes([header[2], header[3]]), content, at));
        at += 8 + length + usize::from(header[6]);
    }
    found
}

/// The requests of a stream in turns: those that may be sent before any of them is answered, for
/// an id must not come again before END_REQUEST (section 3.3). One that was aborted, or never
/// became whole, is left out.
fn fastcgi(wire: &[u8]) -> Vec<(&[u8], Vec<Request>)> {
    let (mut turns, mut from) = (Vec::new(), 0);
    let (mut open, mut params) = (Vec::<Request>::new(), BTreeMap::<u16, Vec<u8>>::new());
    let mut whole = Vec::new();
    for (kind, id, content, at) in records(wire) {
        let place = open.iter().position(|request| request.id == id);
        match (kind, place) {
            (BEGIN_REQUEST, _) => {
                if whole.iter().any(|request: &Request| request.id == id) {
                    turns.push((&wire[from..at], std::mem::take(&mut whole)));
                    from = at;
                }
                open.push(Request { id, ..Request::default() });
            }
            (ABORT_REQUEST, Some(place)) => drop(open.remove(place)),
            (PARAMS, Some(place)) if content.is_empty() => {
                let params = params.remove(&id).unwrap_or_default();
                let mut rest = &params[..];
                while !rest.is_empty() {
                    let (name_len, value_len) = (length(&mut rest), length(&mut rest));
                    let (name, value) = rest[..name_len + value_len].split_at(name_len);
                    open[place].set(name, value);
                    rest = &rest[name_len + value_len..];
                }
            }
            (PARAMS, Some(_)) => params.entry(id).or_default().extend(content),
            (STDIN, Some(place)) if content.is_empty() => whole.push(open.remove(place)),
            (STDIN, Some(place)) => open[place].body.extend(content),
            _ => {}
        }
    }
    turns.push((&wire[from..], whole));
    turns
}

/// Of a name or value, in one byte or in four.
fn length(rest: &mut &[u8]) -> usize {
    let (length, used) = match rest[..] {
        [short @ ..128, ..] => (short.into(), 1),
        [a, b, c, d, ..] => (u32::from_be_bytes([a & 127, b, c, d]), 4),
        _ => panic!("half a length"),
    };
    *rest = &rest[used..];
    length as usize
}

fn scgi(wire: &[u8]) -> Request {
    let colon = wire.iter().position(|byte| *byte == b':').unwrap();
    let length: usize = std::str::from_utf8(&wire[..colon]).unwrap().parse().unwrap();
    let (head, body) = wire[colon + 1..].split_at(length);
    let mut request = Request { body: body[1..].into(), ..Request::default() };
    let words: Vec<_> = head.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).collect();
    words.chunks(2).for_each(|pair| request.set(pair[0], pair[1]));
    request
}

fn uwsgi(wire: &[u8]) -> Request {
    let word = |at: usize| usize::from(u16::from_le_bytes([wire[at], wire[at + 1]]));
    let (mut at, end) = (4, 4 + word(1));
    let mut request = Request { body: wire[end..].into(), ..Request::default() };
    let mut next = || {
        let from = at + 2;
        at = from + (at < end).then(|| word(at))?;
        Some(&wire[from..at])
    };
    while let (Some(name), Some(value)) = (next(), next()) {
        request.set(name, value);
    }
    request
}

struct Server(Child, PathBuf);

impl Server {
    fn of(protocol: &str, app: &str) -> Self {
        let name = format!("cgigate-captured-{}-{protocol}-{app}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let listen = format!("unix:{}", folder.join("s").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        command.args([protocol, "--app", app, "--listen", &listen]);
        let mut child = command.env_clear().stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(" on unix:"), "{line}");
        Self(child, folder)
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.1.join("s")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// The answer to a stream that is one request.
    fn ask(&self, wire: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(wire).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// The answers to each turn's requests, by their ids.
    fn ask_in_turns(&self, turns: &[(&[u8], Vec<Request>)]) -> Vec<BTreeMap<u16, Vec<u8>>> {
        let mut stream = self.connect();
        let mut answers = Vec::new();
        for (number, (wire, requests)) in turns.iter().enumerate() {
            stream.write_all(wire).unwrap();
            if number + 1 == turns.len() {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            let (mut came, mut buffer) = (Vec::new(), [0; 65536]);
            let ends = |came: &[u8]| {
                records(came).iter().filter(|(kind, ..)| *kind == END_REQUEST).count()
            };
            while ends(&came) < requests.len() {
                let n = stream.read(&mut buffer).unwrap();
                assert!(n > 0, "{} of {} requests answered", ends(&came), requests.len());
                came.extend(&buffer[..n]);
            }
            let mut answer = BTreeMap::<u16, Vec<u8>>::new();
            for (kind, id, content, _) in records(&came) {
                match kind {
                    STDOUT => answer.entry(id).or_default().extend(content),
                    END_REQUEST => assert_eq!(content[..5], [0; 5], "the end of {id}"),
                    other => assert!(other > 8, "a record of type {other}"),
                }
            }
            answers.push(answer);
        }
        answers
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

/// The captured streams of one protocol, each with its name. Authorizers are asked in
/// tests/rules/wire.rs.
fn streams(protocol: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams").join(protocol);
    let mut found = Vec::new();
    for set_up in fs::read_dir(root).unwrap() {
        let set_up = set_up.unwrap().path();
        if set_up.ends_with("apache-authnz-fcgi") || set_up.to_str().unwrap().ends_with("-auth") {
            continue;
        }
        for stream in fs::read_dir(set_up).unwrap() {
            let path = stream.unwrap().path();
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

/// The answer's body is this, or none to HEAD.
fn check(name: &str, request: &Request, answer: &[u8], wanted: &[u8]) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("{name}: {}", answer.escape_ascii()));
    let wanted = if request.is_head() { b"" } else { wanted };
    let body = &answer[end + 4..];
    assert!(body == wanted, "{name}: {}\nwanted: {}", body.escape_ascii(), wanted.escape_ascii());
}

#[test]
fn every_captured_fastcgi_request_arrives_whole() {
    let (environ, echo) = (Server::of("fastcgi", "environ"), Server::of("fastcgi", "echo"));
    let mut count = 0;
    for (name, wire) in streams("fastcgi") {
        let turns = fastcgi(&wire);
        let (listed, echoed) = (environ.ask_in_turns(&turns), echo.ask_in_turns(&turns));
        for (number, (_, requests)) in turns.iter().enumerate() {
            for request in requests {
                check(&name, request, &listed[number][&request.id], &request.listed());
                check(&name, request, &echoed[number][&request.id], &request.body);
                count += 1;
            }
        }
    }
    assert!(count > 420, "{count} requests");
}

#[test]
fn every_captured_scgi_and_uwsgi_request_arrives_whole() {
    for (protocol, read) in [("scgi", scgi as fn(&[u8]) -> Request), ("uwsgi", uwsgi)] {
        let (environ, echo) = (Server::of(protocol, "environ"), Server::of(protocol, "echo"));
        let streams = streams(protocol);
        assert!(streams.len() > 120, "{} streams", streams.len());
        for (name, wire) in streams {
            let request = read(&wire);
            check(&name, &request, &environ.ask(&wire), &request.listed());
            check(&name, &request, &echo.ask(&wire), &request.body);
        }
    }
}
