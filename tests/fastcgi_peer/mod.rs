//! A web server's side of FastCGI for the tests, and a house to serve it.
// Each of the tests' files uses some of it.
#![allow(dead_code)]

use cgigate::{
    Application, Body, Environ, Response, StartResponse, Vars, app,
    fcgi::{self, RecordType, RequestId, Role},
    gateway::{Dispatch, Handle, Protocol, Server, Settings},
    handlers::{Attributes, Handler, Plain, Preamble},
};
use std::{
    fs,
    io::{self, BufRead, ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    num::NonZeroU16,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// A door that applications wait at until the test opens it.
#[derive(Default)]
pub(crate) struct Gate {
    waiting: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    /// An application that waits at it.
    pub(crate) fn app(self: &Arc<Self>) -> impl Application + use<> {
        let door = Arc::clone(self);
        app(move |_, start_response| {
            door.pass();
            start_response.call("200 OK", &[PLAIN])?;
            Ok("waited\n".into())
        })
    }

    pub(crate) fn pass(&self) {
        let mut state = self.waiting.lock().expect("no panic behind the door");
        state.0 += 1;
        self.changed.notify_all();
        let open = self.changed.wait_while(state, |(_, open)| !*open);
        open.expect("no panic behind the door").0 -= 1;
    }

    pub(crate) fn await_waiting(&self, wanted: usize) {
        let state = self.waiting.lock().expect("no panic behind the door");
        let all = self.changed.wait_while(state, |(waiting, _)| *waiting < wanted);
        drop(all.expect("no panic behind the door"));
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().expect("no panic behind the door").1 = false;
    }

    pub(crate) fn open(&self) {
        self.waiting.lock().expect("no panic behind the door").1 = true;
        self.changed.notify_all();
    }
}

/// Applications by path.
pub(crate) struct Apps {
    apps: Vec<(&'static str, Box<dyn Application>)>,
    none: Box<dyn Application>,
    handler: Plain,
    log: Arc<Mutex<String>>,
    panics: bool,
}

impl Default for Apps {
    fn default() -> Self {
        let none = app(|_, start_response| {
            start_response.call("404 Not Found", &[("Content-Type", "text/plain")])?;
            Ok("".into())
        });
        let attributes =
            Attributes { origin_server: false, preamble: Preamble::StatusLast, ..Attributes::BASE };
        let handler = Plain(attributes);
        Self { apps: Vec::new(), none: Box::new(none), handler, log: Arc::default(), panics: false }
    }
}

impl Apps {
    pub(crate) fn with(mut self, path: &'static str, app: impl Application + 'static) -> Self {
        self.apps.push((path, Box::new(app)));
        self
    }

    pub(crate) fn speaking(mut self, protocol: Protocol) -> Self {
        self.handler.0.preamble = protocol.preamble();
        self
    }

    pub(crate) fn log_book(&self) -> Arc<Mutex<String>> {
        Arc::clone(&self.log)
    }

    /// Panics outside of applications: while a request for `/panic` is dispatched, and while the
    /// BEGIN_REQUEST of an authorizer is read.
    pub(crate) fn with_panics(self) -> Self {
        Self { panics: true, ..self }
    }
}

impl Apps {
    /// The application of all other paths.
    pub(crate) fn otherwise(self, app: impl Application + 'static) -> Self {
        Self { none: Box::new(app), ..self }
    }
}

impl Dispatch for Apps {
    fn dispatch(&self, _: Role, vars: &mut Vars) -> &dyn Application {
        let path = vars.get("PATH_INFO").unwrap_or_default();
        assert!(!self.panics || path != b"/panic", "a panic while dispatching");
        let found = self.apps.iter().find(|(name, _)| name.as_bytes() == path);
        found.map_or(&*self.none, |(_, app)| &**app)
    }

    fn serves(&self, role: Role) -> bool {
        assert!(!self.panics || role != Role::Authorizer, "a panic while reading");
        role == Role::Responder
    }

    fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) {
        &self.handler
    }

    fn errors(&self, lines: &[u8]) {
        self.log(&String::from_utf8_lossy(lines));
    }

    fn log(&self, line: &str) {
        self.log.lock().expect("no panic while logging").push_str(line);
    }
}

pub(crate) const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// Logs so many times a thousand bytes before it answers.
pub(crate) fn talks(lines: usize, block: Vec<u8>) -> impl Application {
    app(move |mut environ, start_response| {
        (0..lines).try_for_each(|_| environ.errors.write_all(&[b'e'; 1000]))?;
        start_response.call("200 OK", &[PLAIN])?;
        Ok(block.clone().into())
    })
}

/// An application: a greeting.
pub(crate) fn hello<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[PLAIN])?;
    Ok("Hello World\n".into())
}

/// An application: how long the body is.
pub(crate) fn count<'r>(
    mut environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let length = io::copy(&mut environ.input, &mut io::sink())?;
    start_response.call("200 OK", &[PLAIN])?;
    Ok(format!("{length}\n").into())
}

/// An application: the body, block by block as it comes.
pub(crate) fn echo<'r>(
    mut environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let mut write = start_response.call("200 OK", &[PLAIN])?;
    loop {
        let piece = environ.input.fill_buf()?;
        let n = piece.len();
        if n == 0 {
            return Ok(Body::Empty);
        }
        write.write_all(piece)?;
        environ.input.consume(n);
    }
}

/// A server in this process, on a Unix socket and on TCP.
pub(crate) struct House {
    unix: String,
    tcp: std::net::SocketAddr,
    handle: Handle,
    server: Mutex<Option<thread::JoinHandle<()>>>,
    log: Arc<Mutex<String>>,
}

impl House {
    pub(crate) fn open(apps: Apps, settings: Settings) -> Self {
        Self::speaking(Protocol::FastCgi, apps, settings)
    }

    pub(crate) fn speaking(protocol: Protocol, mut apps: Apps, settings: Settings) -> Self {
        apps = apps.speaking(protocol);
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let unix = format!("cgigate-test-{}-{number}", std::process::id());
        let address = SocketAddr::from_abstract_name(&unix).expect("a short name");
        let listener = UnixListener::bind_addr(&address).expect("a name of our own");
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = tcp.local_addr().expect("it is bound");
        let log = Arc::clone(&apps.log);
        let listeners = [OwnedFd::from(listener), OwnedFd::from(tcp)];
        let listeners = listeners.map(|listener| (protocol, listener)).into();
        let server = Server::new(listeners, Arc::new(apps), settings).expect("descriptors");
        let handle = server.handle();
        let server = thread::spawn(move || server.run().expect("threads"));
        Self { unix, tcp: port, handle, server: Mutex::new(Some(server)), log }
    }

    pub(crate) fn unix(&self) -> Peer {
        let address = SocketAddr::from_abstract_name(&self.unix).expect("a short name");
        Peer::new(Socket::Unix(UnixStream::connect_addr(&address).expect("the house is open")))
    }

    /// Whether nobody listens any more on either.
    pub(crate) fn is_closed(&self) -> bool {
        let address = SocketAddr::from_abstract_name(&self.unix).expect("a short name");
        UnixStream::connect_addr(&address).is_err() && TcpStream::connect(self.tcp).is_err()
    }

    pub(crate) fn tcp(&self) -> Peer {
        let socket = TcpStream::connect(self.tcp).expect("the house is open");
        socket.set_nodelay(true).expect("a socket");
        Peer::new(Socket::Tcp(socket))
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic while logging").clone()
    }

    pub(crate) fn stop(&self) {
        self.handle.stop();
    }

    /// Waits for the server's threads.
    pub(crate) fn await_end(&self) {
        let server = self.server.lock().expect("one waits").take().expect("only once");
        server.join().expect("the server did not panic");
    }

    /// Connections that this house's Unix listener has accepted and that are open: the kernel
    /// lists them under the listener's name.
    pub(crate) fn sockets(&self) -> usize {
        let table = fs::read_to_string("/proc/net/unix").expect("Linux");
        let name = format!("@{}", self.unix);
        table.lines().filter(|line| line.ends_with(&name)).count() - 1
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.handle.stop();
        self.handle.stop();
    }
}

pub(crate) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// One connection, as a web server has it.
pub(crate) struct Peer {
    socket: Socket,
    received: Vec<u8>,
    answers: Vec<(u16, Answer)>,
}

/// What came back under one id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) records: usize,
    pub(crate) app_status: u32,
    pub(crate) protocol_status: u8,
    ended: bool,
}

impl Answer {
    fn split(&self) -> usize {
        let blank = self.stdout.windows(4).position(|window| window == b"\r\n\r\n");
        blank.unwrap_or_else(|| panic!("no header block in {:?}", self.stdout))
    }

    pub(crate) fn head(&self) -> String {
        String::from_utf8_lossy(&self.stdout[..self.split()]).into_owned()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.stdout[self.split() + 4..]
    }
}

impl Peer {
    fn new(socket: Socket) -> Self {
        // Long beyond all patience: a test that waits for it has failed.
        let limit = Some(Duration::from_secs(30));
        match &socket {
            Socket::Unix(socket) => {
                socket.set_read_timeout(limit).and_then(|()| socket.set_write_timeout(limit))
            }
            Socket::Tcp(socket) => {
                socket.set_read_timeout(limit).and_then(|()| socket.set_write_timeout(limit))
            }
        }
        .expect("a timeout");
        Self { socket, received: Vec::new(), answers: Vec::new() }
    }

    /// A connection to somebody else's server.
    pub(crate) fn to(address: std::net::SocketAddr) -> Self {
        Self::new(Socket::Tcp(TcpStream::connect(address).expect("somebody listens")))
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.writer().write_all(bytes).expect("the house listens");
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.socket {
            Socket::Unix(socket) => socket,
            Socket::Tcp(socket) => socket,
        }
    }

    /// Sends from a thread of its own, so that this one can read meanwhile.
    pub(crate) fn send_aside(&self, bytes: Vec<u8>) {
        let mut socket: Box<dyn Write + Send> = match &self.socket {
            Socket::Unix(socket) => Box::new(socket.try_clone().expect("a descriptor")),
            Socket::Tcp(socket) => Box::new(socket.try_clone().expect("a descriptor")),
        };
        thread::spawn(move || socket.write_all(&bytes));
    }

    /// Receives until these bytes have come, whatever frames them, and takes all as far as them.
    pub(crate) fn until(&mut self, wanted: &[u8]) {
        loop {
            let found = self.received.windows(wanted.len()).position(|window| window == wanted);
            if let Some(at) = found {
                self.received.drain(..at + wanted.len());
                return;
            }
            assert!(self.receive(), "{} never came", wanted.escape_ascii());
        }
    }

    /// Sends as nginx does: as soon as some of an answer has come, it sends no more. How many bytes
    /// went out.
    pub(crate) fn send_until_answered(&mut self, bytes: &[u8]) -> usize {
        let set_nonblocking = |socket: &Socket, nonblocking| match socket {
            Socket::Unix(socket) => socket.set_nonblocking(nonblocking),
            Socket::Tcp(socket) => socket.set_nonblocking(nonblocking),
        };
        set_nonblocking(&self.socket, true).expect("an open socket");
        let (mut sent, mut buffer) = (0, [0; 1024]);
        while sent < bytes.len() {
            let (read, written) = match &mut self.socket {
                Socket::Unix(socket) => (socket.read(&mut buffer), socket.write(&bytes[sent..])),
                Socket::Tcp(socket) => (socket.read(&mut buffer), socket.write(&bytes[sent..])),
            };
            if let Ok(n) = read {
                self.received.extend_from_slice(&buffer[..n]);
                break;
            }
            match written {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                Err(error) => panic!("the house listens: {error}"),
            }
        }
        set_nonblocking(&self.socket, false).expect("an open socket");
        sent
    }

    /// Sends the same again and again, and reads nothing: how that ended.
    pub(crate) fn send_until_closed(&mut self, bytes: &[u8]) -> std::io::Error {
        let socket = self.writer();
        loop {
            if let Err(error) = socket.write_all(bytes) {
                return error;
            }
        }
    }

    pub(crate) fn stop_sending(&self) {
        match &self.socket {
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
        }
        .expect("an open socket");
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0; 65536];
        let n = match &mut self.socket {
            Socket::Unix(socket) => socket.read(&mut buffer),
            Socket::Tcp(socket) => socket.read(&mut buffer),
        };
        let n = n.expect("an answer before the timeout");
        self.received.extend_from_slice(&buffer[..n]);
        n > 0
    }

    fn try_record(&mut self) -> Option<(u8, u16, Vec<u8>)> {
        loop {
            if let [1, kind, id1, id0, len1, len0, padding, 0, rest @ ..] = &self.received[..] {
                let len = usize::from(u16::from_be_bytes([*len1, *len0]));
                let whole = len + usize::from(*padding);
                if rest.len() >= whole {
                    let record = (*kind, u16::from_be_bytes([*id1, *id0]), rest[..len].to_vec());
                    self.received.drain(..8 + whole);
                    return Some(record);
                }
            }
            if !self.receive() {
                return None;
            }
        }
    }

    /// All that comes until the connection ends, with a reset for an end like another.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.received);
        let ended = match &mut self.socket {
            Socket::Unix(socket) => socket.read_to_end(&mut rest),
            Socket::Tcp(socket) => socket.read_to_end(&mut rest),
        };
        if let Err(error) = ended {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", rest.escape_ascii());
        }
        rest
    }

    /// The next record: type, id, content. `None`: the connection ends before it begins.
    pub(crate) fn next_record(&mut self) -> Option<(u8, u16, Vec<u8>)> {
        let record = self.try_record();
        assert!(record.is_some() || self.received.is_empty(), "it ends in the middle of a record");
        record
    }

    /// The same of a connection that goes on.
    pub(crate) fn record(&mut self) -> (u8, u16, Vec<u8>) {
        self.try_record().expect("a record, and not the end of the connection")
    }

    fn file(&mut self, (kind, id, content): (u8, u16, Vec<u8>)) {
        let at = self.answers.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.answers.push((id, Answer::default()));
            self.answers.len() - 1
        });
        let answer = &mut self.answers[at].1;
        answer.records += 1;
        match kind {
            6 => answer.stdout.extend(content),
            7 => answer.stderr.extend(content),
            3 => {
                let status = content[..4].try_into().expect("four bytes");
                answer.app_status = u32::from_be_bytes(status);
                answer.protocol_status = content[4];
                assert!(!std::mem::replace(&mut answer.ended, true), "END_REQUEST came twice");
            }
            kind => panic!("a record of type {kind}"),
        }
    }

    fn take(&mut self, wanted: impl Fn(u16) -> bool) -> (u16, Answer) {
        loop {
            let ended = |(id, answer): &(u16, Answer)| wanted(*id) && answer.ended;
            if let Some(at) = self.answers.iter().position(ended) {
                return self.answers.remove(at);
            }
            let record = self.record();
            self.file(record);
        }
    }

    /// All of the answer under `id`.
    pub(crate) fn answer(&mut self, id: u16) -> Answer {
        self.take(|known| known == id).1
    }

    /// The answer that is whole first.
    pub(crate) fn any_answer(&mut self) -> (u16, Answer) {
        self.take(|_| true)
    }

    /// The answer under `id`, and how many bytes of others' answers came before it was whole.
    pub(crate) fn answer_among_others(&mut self, id: u16) -> (Answer, usize) {
        let answer = self.answer(id);
        (answer, self.answers.iter().map(|(_, other)| other.stdout.len()).sum())
    }

    /// All that comes until a request ends, as it came.
    pub(crate) fn until_end_request(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        loop {
            let (kind, id, content) = self.record();
            wire.extend(
                RecordType::from_wire(kind)
                    .map_or([0; 8], |kind| fcgi::header(kind, id, content.len() as u16)),
            );
            wire.extend(content);
            if kind == RecordType::EndRequest as u8 {
                return wire;
            }
        }
    }

    /// Whether the connection ends here.
    pub(crate) fn at_end(&mut self) -> bool {
        self.received.is_empty() && !self.receive()
    }

    /// Whether it ends, and no request with it.
    pub(crate) fn ends_without_end_request(&mut self) -> bool {
        while let Some((kind, ..)) = self.try_record() {
            if kind == 3 {
                return false;
            }
        }
        true
    }
}

fn id(number: u16) -> RequestId {
    RequestId(NonZeroU16::new(number).expect("not the management id"))
}

pub(crate) fn begin(number: u16) -> Vec<u8> {
    let mut wire = Vec::new();
    fcgi::begin_request(&mut wire, id(number), Role::Responder, true);
    wire
}

pub(crate) fn abort(number: u16) -> Vec<u8> {
    fcgi::header(RecordType::AbortRequest, number, 0).to_vec()
}

pub(crate) fn get_values() -> Vec<u8> {
    let mut body = Vec::new();
    fcgi::pair(&mut body, b"FCGI_MPXS_CONNS", b"");
    let mut wire = fcgi::header(RecordType::GetValues, 0, body.len() as u16).to_vec();
    wire.extend(body);
    wire
}

/// Some PARAMS, and their end.
pub(crate) fn params(wire: &mut Vec<u8>, number: u16, stream: &[u8]) {
    fcgi::stream(wire, RecordType::Params, id(number), stream);
    fcgi::stream(wire, RecordType::Params, id(number), b"");
}

/// A record of STDIN; an empty one ends it.
pub(crate) fn stdin(wire: &mut Vec<u8>, number: u16, piece: &[u8]) {
    fcgi::stream(wire, RecordType::Stdin, id(number), piece);
}

/// A request as far as the end of its PARAMS.
pub(crate) fn head(
    number: u16,
    role: Role,
    path: &str,
    keep_conn: bool,
    content_length: Option<usize>,
) -> Vec<u8> {
    let length = content_length.map(|length| length.to_string());
    let length = length.iter().map(|length| ("CONTENT_LENGTH", &length[..]));
    head_with(number, role, path, keep_conn, length)
}

pub(crate) fn head_with<'v>(
    number: u16,
    role: Role,
    path: &'v str,
    keep_conn: bool,
    more: impl IntoIterator<Item = (&'v str, &'v str)>,
) -> Vec<u8> {
    let mut wire = Vec::new();
    fcgi::begin_request(&mut wire, id(number), role, keep_conn);
    let usual = [("REQUEST_METHOD", "POST"), ("PATH_INFO", path), ("SCRIPT_NAME", "")];
    let mut stream = Vec::new();
    for (name, value) in usual.into_iter().chain(more) {
        fcgi::pair(&mut stream, name.as_bytes(), value.as_bytes());
    }
    params(&mut wire, number, &stream);
    wire
}

/// A whole request without a body.
pub(crate) fn request(number: u16, path: &str, keep_conn: bool) -> Vec<u8> {
    let mut wire = head(number, Role::Responder, path, keep_conn, None);
    stdin(&mut wire, number, b"");
    wire
}

/// The same with more variables.
pub(crate) fn request_with(
    number: u16,
    path: &str,
    keep_conn: bool,
    vars: &[(&str, &str)],
) -> Vec<u8> {
    let vars = vars.iter().copied();
    let mut wire = head_with(number, Role::Responder, path, keep_conn, vars);
    stdin(&mut wire, number, b"");
    wire
}

/// A whole request with a body, kept.
pub(crate) fn post(number: u16, path: &str, body: &[u8]) -> Vec<u8> {
    let mut wire = head(number, Role::Responder, path, true, Some(body.len()));
    for piece in body.chunks(32 << 10) {
        stdin(&mut wire, number, piece);
    }
    stdin(&mut wire, number, b"");
    wire
}
