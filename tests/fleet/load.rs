//! Clients that ask without a pause, and count what they get.

use cgigate::fcgi::{self, Client, ProtocolStatus, RecordType, Reply, Request, RequestId, Role};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    num::NonZeroU16,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// One connection to a FastCGI server.
pub(crate) struct Kept {
    socket: UnixStream,
    client: Client,
    received: Vec<u8>,
    /// REQUEST_ID of the next requests, if they have one.
    pub(crate) id: Option<u64>,
}

const ID: RequestId = RequestId(NonZeroU16::MIN);

impl Kept {
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(super::LIMIT))?;
        Ok(Self { socket, client: Client::new(), received: Vec::new(), id: None })
    }

    /// The bytes of a request, to be sent as the caller likes.
    pub(crate) fn request(&mut self, target: &str, body: &[u8], keep_conn: bool) -> Vec<u8> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (length, mut wire) = (body.len().to_string(), Vec::new());
        let method = if body.is_empty() { "GET" } else { "POST" };
        let params = [
            ("REQUEST_METHOD", method),
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("CONTENT_LENGTH", &length),
        ];
        let id = self.id.map(|id| id.to_string());
        let params = params.into_iter().chain(id.iter().map(|id| ("REQUEST_ID", &id[..])));
        let params: Vec<_> =
            params.map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let request = Request { id: ID, role: Role::Responder, keep_conn, params: &params };
        self.client.begin(&mut wire, &request).unwrap();
        if !body.is_empty() {
            fcgi::stream(&mut wire, RecordType::Stdin, ID, body);
        }
        fcgi::stream(&mut wire, RecordType::Stdin, ID, b"");
        wire
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The body of the answer to the request that was sent last.
    pub(crate) fn answer(&mut self) -> io::Result<Vec<u8>> {
        let mut stdout = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        loop {
            let mut at = 0;
            loop {
                let next = self.client.next(&self.received[at..]);
                let (used, reply) = next.map_err(io::Error::other)?;
                at += used;
                match reply {
                    Some(Reply::Stdout { piece, .. }) => stdout.extend_from_slice(piece),
                    Some(Reply::End {
                        app_status: 0,
                        protocol_status: ProtocolStatus::RequestComplete,
                        ..
                    }) => {
                        self.received.drain(..at);
                        return body_of_200(stdout);
                    }
                    Some(Reply::End { .. }) => return Err(io::Error::other("it ended badly")),
                    Some(_) => {}
                    None => break,
                }
            }
            self.received.drain(..at);
            match self.socket.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => self.received.extend_from_slice(&buffer[..n]),
            }
        }
    }

    pub(crate) fn ask(&mut self, target: &str, body: &[u8], keep: bool) -> io::Result<Vec<u8>> {
        let wire = self.request(target, body, keep);
        self.send(&wire)?;
        self.answer()
    }
}

pub(super) fn body_of_200(stdout: Vec<u8>) -> io::Result<Vec<u8>> {
    let blank = stdout.windows(4).position(|window| window == b"\r\n\r\n");
    let head = &stdout[..blank.unwrap_or(0)];
    let is_200 = head.windows(11).any(|window| window == b"Status: 200");
    match blank.filter(|_| is_200) {
        Some(at) => Ok(stdout[at + 4..].to_vec()),
        None => Err(io::Error::other(String::from_utf8_lossy(head).into_owned())),
    }
}

/// What a client asks for, and what it is to get.
struct Errand {
    target: &'static str,
    body: &'static [u8],
    expected: &'static [u8],
}

const ERRANDS: [Errand; 4] = [
    Errand { target: "/hello", body: b"", expected: b"Hello World\n" },
    Errand { target: "/echo", body: b"what was sent", expected: b"what was sent" },
    Errand { target: "/sleep?ms=3", body: b"", expected: b"slept 3\n" },
    Errand { target: "/stream?chunks=3&size=4&delay_ms=1", body: b"", expected: b"xxxxxxxxxxxx" },
];

/// Where clients go.
#[derive(Clone)]
pub(crate) enum To {
    /// FastCGI, on connections that are kept or not.
    FastCgi { socket: PathBuf, keep: bool },
    /// HTTP on 127.0.0.1, the path in front of the application's.
    Http { port: u16, mount: &'static str, keep: bool },
}

/// Clients at work.
pub(crate) struct Load {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// So many clients to each of these.
    pub(crate) fn on(places: &[(To, usize)]) -> Self {
        let (over, answered) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let clients = places.iter().flat_map(|(to, count)| (0..*count).map(move |_| to.clone()));
        let client = |to: To| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            thread::spawn(move || to.visit(&over, &answered))
        };
        let clients = clients.map(client).collect();
        Self { over, answered, clients }
    }

    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been answered.
    pub(crate) fn go_on(&self, more: u64) {
        let goal = self.answered() + more;
        super::until_true("answers", || self.answered() >= goal || self.has_failed());
    }

    fn has_failed(&self) -> bool {
        self.clients.iter().any(JoinHandle::is_finished)
    }

    /// Each client ends with the request that it is at: how many were answered, and what failed.
    pub(crate) fn end(self) -> (u64, Vec<String>) {
        self.over.store(true, Ordering::Relaxed);
        let failed = self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (self.answered.load(Ordering::Relaxed), failed)
    }
}

impl To {
    /// Until all is over, or something failed: that is what comes back.
    fn visit(&self, over: &AtomicBool, answered: &AtomicU64) -> Vec<String> {
        let (mut fastcgi, mut http) = (None, None);
        for errand in ERRANDS.iter().cycle() {
            if over.load(Ordering::Relaxed) {
                break;
            }
            let body = match self {
                Self::FastCgi { socket, keep } => errand.over_fastcgi(&mut fastcgi, socket, *keep),
                Self::Http { port, mount, keep } => {
                    errand.over_http(&mut http, *port, mount, *keep)
                }
            };
            match body {
                Ok(body) if body == errand.expected => {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(body) => return vec![format!("{}: {}", errand.target, body.escape_ascii())],
                Err(error) => return vec![format!("{}: {error}", errand.target)],
            }
        }
        Vec::new()
    }
}

impl Errand {
    fn over_fastcgi(
        &self,
        kept: &mut Option<Kept>,
        socket: &Path,
        keep: bool,
    ) -> io::Result<Vec<u8>> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Kept::connect(socket)?,
        };
        let answer = connection.ask(self.target, self.body, keep)?;
        *kept = keep.then_some(connection);
        Ok(answer)
    }

    fn over_http(
        &self,
        kept: &mut Option<TcpStream>,
        port: u16,
        mount: &str,
        keep: bool,
    ) -> io::Result<Vec<u8>> {
        let mut socket = match kept.take() {
            Some(socket) => socket,
            None => TcpStream::connect(("127.0.0.1", port))?,
        };
        socket.set_read_timeout(Some(super::LIMIT))?;
        let method = if self.body.is_empty() { "GET" } else { "POST" };
        let request = format!(
            "{method} {mount}{} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{}\r\n",
            self.target,
            self.body.len(),
            if keep { "" } else { "Connection: close\r\n" },
        );
        socket.write_all(&[request.as_bytes(), self.body].concat())?;
        let (body, stays) = http_answer(&mut socket)?;
        *kept = (keep && stays).then_some(socket);
        Ok(body)
    }
}

/// The body of an answer, and whether the connection stays.
pub(super) fn http_answer(socket: &mut impl Read) -> io::Result<(Vec<u8>, bool)> {
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..at]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(io::Error::other(head));
            }
            let body = &received[at + 4..];
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let stays = !head.contains("\r\nconnection: close");
            match length.map(|length| length.parse::<usize>().unwrap()) {
                Some(length) if body.len() >= length => return Ok((body.to_vec(), stays)),
                None if body.ends_with(b"0\r\n\r\n") => return Ok((dechunked(body), stays)),
                _ => {}
            }
        }
        match socket.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}

fn dechunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..at]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.extend_from_slice(&body[at + 2..at + 2 + size]);
        body = &body[(at + 2 + size + 2).min(body.len())..];
    }
    whole
}
