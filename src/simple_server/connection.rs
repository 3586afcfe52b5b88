//! One connection: what came of its next request, and the answer to it.

use super::{
    chunked::{Chunks, Piece},
    handler::Size,
    refused::{BODY_TOO_LONG, Refused},
    request::{Framing, Request, as_far_as_it_came, parse},
    response::Way,
    serving::Serving,
    spooled::Spooled,
};
use crate::{
    handlers::{Content, ContentInput, Ending, Outcome, Slate, Streams},
    lock::lock,
    net::Peer,
    sys::{self, Readiness, SocketCell},
    types::{self, Client, ClientGone, Exception, RequestFault, Vars},
};
use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    net::{IpAddr, SocketAddr, TcpStream},
    ops::Range,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// What is read at a time.
pub(super) const PIECE: usize = 16 << 10;

/// The slowest that a body may come, over all: whoever sends slower holds a thread for nothing.
const BYTES_A_SECOND: u64 = 1 << 10;

/// What may be left of a body that nobody wanted, so that the connection is kept all the same.
pub(super) const UNWANTED: u64 = 256 << 10;

/// The request that a thread is at, for whoever sees meanwhile that its client goes.
///
/// A client that has ended its sending side counts as gone: over TCP the two look alike, and nearly
/// all who do it go. It is answered all the same, by applications that do not ask.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<State>);

#[derive(Default)]
struct State {
    request: Option<Arc<types::Request>>,
    gone: bool,
}

/// As long as a thread is at a request, which is another's afterwards.
struct Begun(Arc<UnderWay>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.state().request = None;
    }
}

impl UnderWay {
    /// A thread begins with a request.
    fn begin(self: &Arc<Self>, request: &Arc<types::Request>) -> Begun {
        let mut state = self.state();
        if state.gone {
            request.cancel();
        }
        state.request = Some(Arc::clone(request));
        Begun(Arc::clone(self))
    }

    /// The client has gone.
    pub(super) fn cancel(&self) {
        let mut state = self.state();
        state.gone = true;
        if let Some(request) = &state.request {
            request.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// A connected socket, and what came of the next request.
pub(super) struct Connection {
    pub(super) socket: Arc<SocketCell>,
    pub(super) under_way: Arc<UnderWay>,
    pub(super) client: Peer,
    /// Where it came to: for a server that has several addresses, or all.
    local: Option<SocketAddr>,
    pub(super) buffer: Vec<u8>,
    /// Of the last request's body, bytes that are still to come and that nobody wants.
    pub(super) skip: u64,
}

/// What is to become of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come, or be there.
    Keep,
    /// Nothing more is sent. What still comes is read, within reason: closing a socket with
    /// something unread in it resets the connection, and the answer may be lost with it.
    Drain,
    /// It has ended, or must end so that the client can tell.
    Close,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, client: Peer) -> Self {
        // For these calls, of no matter which family the socket is.
        let stream = TcpStream::from(socket);
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        let socket = Arc::new(SocketCell::from(OwnedFd::from(stream)));
        Self { socket, under_way: Arc::default(), client, local, buffer: Vec::new(), skip: 0 }
    }

    /// The variables that hold for every request on it.
    fn base_environ(&self, serving: &Serving<'_>, vars: &mut Vars) {
        for (name, value) in serving.base_environ.iter() {
            // What says nothing is there for wsgiref's sake alone.
            if serving.options.is_modern() && value.is_empty() && name != b"SCRIPT_NAME" {
                continue;
            }
            vars.set(name, value);
        }
        let (name, port) = match self.local {
            // An IPv6 address stands in brackets where it is a host (RFC 3875 section 4.1.14).
            Some(SocketAddr::V6(local)) => match local.ip().to_canonical() {
                IpAddr::V4(ip) => (ip.to_string(), local.port()),
                IpAddr::V6(ip) => (format!("[{ip}]"), local.port()),
            },
            Some(SocketAddr::V4(local)) => (local.ip().to_string(), local.port()),
            None => ("localhost".into(), 80),
        };
        vars.set_default("SERVER_NAME", name);
        vars.set_default("SERVER_PORT", port.to_string());
    }

    /// Answers with an error page. Without a `request`, what came of one is in the buffer.
    pub(super) fn refuse(
        &mut self,
        serving: &Serving<'_>,
        refused: &Refused,
        request: Option<&Request>,
    ) -> After {
        let blank = self.buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let came = request.map_or(&self.buffer[blank..], |request| &request.requestline);
        // http.server does not keep a line that is too long.
        let line = if refused.code() == 414 { b"" } else { first_line(came) };
        let is_head = line.starts_with(b"HEAD ");
        serving.handler.log_error(self.client, refused);
        serving.handler.log_request(self.client, line, refused.code(), Size::Page);
        let page = serving.page(refused, is_head);
        // It fits the socket's buffer, unless the client does not read its answers.
        let sent = self.socket.send(&page);
        let environ = || match request {
            Some(request) => Some(self.environ(serving, request)),
            None => Some(self.environ(serving, &as_far_as_it_came(came)?)),
        };
        serving.handler.refused(refused, &environ);
        match sent {
            Ok(n) if n == page.len() => After::Drain,
            _ => After::Close,
        }
    }

    /// The variables of a request that is not run.
    fn environ(&self, serving: &Serving<'_>, request: &Request) -> Vars {
        let mut vars = Vars::default();
        self.base_environ(serving, &mut vars);
        serving.handler.get_environ(request, self.client, serving.options.rules, &mut vars);
        vars
    }

    /// Tells the client that nothing more comes, and reads what does for a while.
    pub(super) fn drain(&mut self, limit: Duration) {
        self.socket.shutdown_write();
        let (deadline, mut scratch) = (Instant::now() + limit, [0; PIECE]);
        let mut left = UNWANTED * 16;
        while left > 0 {
            match self.socket.recv(&mut scratch) {
                Ok(0) => return,
                Ok(n) => left = left.saturating_sub(n as u64),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let rest = deadline.saturating_duration_since(Instant::now());
                    if rest.is_zero()
                        || !self.socket.wait(Readiness::Read, Some(rest)).unwrap_or(false)
                    {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// The reset of a connection whose end would else look like that of a whole answer.
    fn reset(&self) {
        if let Some(socket) = self.socket.take() {
            let _ = sys::reset_on_close(socket.as_fd());
        }
    }
}

/// Answers the request whose head lies at `head` in the connection's buffer.
pub(super) fn answer(
    connection: &mut Connection,
    head: Range<usize>,
    serving: &Serving<'_>,
    slate: &mut Slate,
    may_keep: bool,
) -> After {
    let rules = serving.options.rules;
    let request = match parse(&connection.buffer[head.clone()], rules) {
        Ok(request) => request,
        Err(refused) => return connection.refuse(serving, &refused, None),
    };
    let refuse = |connection: &mut Connection, refused: Refused| {
        connection.refuse(serving, &refused, Some(&request))
    };
    if matches!(request.framing, Framing::Length(length) if length > serving.options.max_body) {
        return refuse(connection, BODY_TOO_LONG);
    }
    let mut buffer = std::mem::take(&mut connection.buffer);
    let awaited = Cell::new(
        request.expects_continue && buffer.len() == head.end && serving.options.is_modern(),
    );
    let left = Cell::new(0);
    let mut wire = Wire {
        serving,
        socket: &connection.socket,
        buffer: &mut buffer,
        at: head.end,
        awaited: &awaited,
        began: Instant::now(),
        taken: 0,
        limit: serving.options.read_timeout,
        ended: false,
    };
    let chunked = match request.framing {
        Framing::Chunked => match unchunk(&mut wire, serving.options.max_body) {
            Ok(body) => Some(body),
            Err(Unread::Refused(refused)) => return refuse(connection, refused),
            Err(Unread::Gone) => return After::Close,
        },
        Framing::Length(length) => {
            left.set(length);
            None
        }
    };
    slate.wipe(None);
    let _begun = connection.under_way.begin(slate.request());
    let limited = serving.handler.limits_time().then(|| Arc::clone(slate.request()));
    if limited.is_some() {
        let page = serving.page(&OVERDUE, request.command == "HEAD");
        slate.client = Some(Box::new(Waiting { socket: Arc::clone(&connection.socket), page }));
    }
    let vars = &mut slate.vars;
    connection.base_environ(serving, vars);
    serving.handler.get_environ(&request, connection.client, rules, vars);
    let stdout =
        Way::new(&connection.socket, &request, serving, may_keep, &awaited, &left, limited);
    let at = wire.at;
    let (outcome, keep, at) = match chunked {
        Some(body) => {
            vars.set("CONTENT_LENGTH", body.len().to_string());
            let Ok(mut stdin) = body.into_reader() else {
                return refuse(connection, CANNOT_KEEP);
            };
            let (outcome, keep) = run(stdout, serving, slate, &mut *stdin);
            (outcome, keep, at)
        }
        None => {
            let length = left.get();
            let mut counted = Counted { wire: &mut wire, left: &left };
            let mut stdin = ContentInput::new(&mut counted, Content::Length(length), u64::MAX);
            let (outcome, keep) = run(stdout, serving, slate, &mut stdin);
            (outcome, keep, wire.at)
        }
    };
    let ended = wire.ended;
    buffer.drain(..at);
    // What is here of a body that nobody read goes now, the rest when it comes.
    let here = usize::try_from(left.get()).unwrap_or(usize::MAX).min(buffer.len());
    buffer.drain(..here);
    connection.skip = left.get() - here as u64;
    buffer.shrink_to(PIECE);
    connection.buffer = buffer;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(exc) => {
            serving.handler.handle_error(connection.client, &exc);
            connection.reset();
            return After::Close;
        }
    };
    let size = match outcome.ending {
        Ending::Whole => Size::Whole(outcome.bytes_sent),
        Ending::Cut { .. } | Ending::Departed => Size::Aborted(outcome.bytes_sent),
    };
    serving.handler.log_request(connection.client, &request.requestline, outcome.status, size);
    match (outcome.ending, keep) {
        (Ending::Whole, Keep::Yes) if !ended && !awaited.get() => After::Keep,
        // Without a length and without chunks nothing but a reset tells this end from a good one.
        (Ending::Cut { length_known: false }, Keep::UntilEnd) => {
            connection.reset();
            After::Close
        }
        (Ending::Departed, _) => After::Close,
        _ => After::Drain,
    }
}

const OVERDUE: Refused =
    Refused { status: "504 Gateway Timeout", why: "the application did not answer in time" };

/// A client whose request may be ended before its application has ended.
struct Waiting {
    socket: Arc<SocketCell>,
    page: Vec<u8>,
}

impl Client for Waiting {
    fn refuse(&self, _request: &Arc<types::Request>) {
        // It fits the socket's buffer: nothing was sent yet, or all of it was taken.
        let _ = self.socket.send(&self.page);
        self.socket.shutdown_write();
    }

    fn cut(&self, _request: &Arc<types::Request>) {
        // Without a length, and without chunks, any other end would look like that of the body.
        let _gone_already = self.socket.with(|socket| {
            sys::reset_now(socket);
            Ok(())
        });
    }
}

const CANNOT_KEEP: Refused =
    Refused { status: "500 Internal Server Error", why: "the body cannot be kept" };

fn first_line(head: &[u8]) -> &[u8] {
    head.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default()
}

/// Whether the connection can be used again, by what the response's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
    /// The end of the connection ends the body.
    UntilEnd,
}

/// Runs the request: what came of it, and whether the connection can be used again.
fn run(
    mut stdout: Way<'_>,
    serving: &Serving<'_>,
    slate: &mut Slate,
    stdin: &mut dyn BufRead,
) -> (Result<Outcome, Exception>, Keep) {
    let mut stderr = serving.handler.get_stderr();
    let streams = Streams { stdin, stdout: &mut stdout, stderr: &mut *stderr };
    let outcome =
        serving.handler.handle(serving.application, serving.server_handler, slate, streams);
    (outcome, stdout.keep())
}

enum Unread {
    Refused(Refused),
    Gone,
}

/// Reads a body in chunks to its end, before the application runs: CONTENT_LENGTH is to say how
/// long it is.
fn unchunk(wire: &mut Wire<'_>, max_body: u64) -> Result<Spooled, Unread> {
    let (mut chunks, mut body) = (Chunks::new(), Spooled::default());
    loop {
        let input = match wire.fill_buf() {
            Ok([]) => return Err(Unread::Refused(Refused::bad("the body ended early"))),
            Ok(input) => input,
            Err(e) => {
                return Err(match RequestFault::find(&e.into()) {
                    Some(fault) => Unread::Refused(Refused {
                        status: fault.status(),
                        why: "the body stood still for too long",
                    }),
                    None => Unread::Gone,
                });
            }
        };
        let (used, piece) = chunks.next(input).map_err(Unread::Refused)?;
        if chunks.announced() > max_body {
            return Err(Unread::Refused(BODY_TOO_LONG));
        }
        match piece {
            Piece::Data(data) => body.push(data).map_err(|_| Unread::Refused(CANNOT_KEEP))?,
            Piece::More => {}
            Piece::End => {
                wire.consume(used);
                return Ok(body);
            }
        }
        wire.consume(used);
    }
}

/// What the client sends, from what came with the head on.
struct Wire<'c> {
    serving: &'c Serving<'c>,
    socket: &'c SocketCell,
    buffer: &'c mut Vec<u8>,
    /// How much of the buffer is done with.
    at: usize,
    /// The client still waits for `100 Continue`.
    awaited: &'c Cell<bool>,
    began: Instant,
    taken: u64,
    /// How long it may stand still.
    limit: Option<Duration>,
    /// The client sends no more.
    ended: bool,
}

impl Wire<'_> {
    /// How long the next byte may take: the limit, and not longer than the pace allows.
    fn patience(&self) -> Result<Option<Duration>, RequestFault> {
        let Some(limit) = self.limit else { return Ok(None) };
        let earned = Duration::from_secs(self.taken / BYTES_A_SECOND);
        let left = (limit + earned).saturating_sub(self.began.elapsed());
        if left.is_zero() { Err(RequestFault::TooSlow) } else { Ok(Some(left.min(limit))) }
    }
}

impl BufRead for Wire<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() && !self.ended {
            if self.awaited.take() {
                self.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(gone)?;
            }
            self.buffer.resize(PIECE, 0);
            self.at = 0;
            let read = loop {
                match self.socket.recv(self.buffer) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    read => break read,
                }
                let patience = self.patience();
                let patience = patience.inspect_err(|_| self.buffer.clear())?;
                if !self.serving.wait(self.socket, Readiness::Read, patience)? {
                    self.buffer.clear();
                    return Err(RequestFault::TooSlow.into());
                }
            };
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            self.ended = read.map_err(gone)? == 0;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
        self.taken += n as u64;
    }
}

impl Read for Wire<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

/// A wire that counts down what is left of the body.
struct Counted<'w, 'c> {
    wire: &'w mut Wire<'c>,
    left: &'w Cell<u64>,
}

impl BufRead for Counted<'_, '_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.wire.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.wire.consume(n);
        self.left.set(self.left.get() - n as u64);
    }
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

/// What ails a socket whose client is not there any more, or takes nothing.
pub(super) fn gone(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, TimedOut};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | TimedOut => {
            ClientGone.into()
        }
        _ => error,
    }
}
