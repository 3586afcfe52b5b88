//! One connection: one request, one answer, and an end that the client can make sense of.

use super::{
    Options, Respond, log,
    request::{self, Framing, Refused, Request},
    server::Origin,
};
use crate::{
    handlers::{Content, ContentInput, Ending, Output, Slate, Streams},
    sys,
    types::{ClientGone, RequestFault, Vars},
};
use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, IoSlice, Read, Seek, SeekFrom, Write},
    net::{IpAddr, Shutdown, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

const BUFFER: usize = 16 << 10;

/// What is read and thrown away of a body that nobody wanted, and for how long.
const UNWANTED: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(2);
/// Long enough for what has arrived already: a pipelined request, or one byte too many.
const NO_WAIT: Duration = Duration::from_millis(1);

/// Answers the request on `stream`, whatever comes of it.
pub(super) fn answer(
    stream: &TcpStream,
    options: &Options,
    handler: &Origin,
    slate: &mut Slate,
    respond: &Respond<'_>,
) {
    let Ok(peer) = stream.peer_addr().map(|peer| peer.ip()) else { return };
    let peer = peer.to_canonical();
    let _ = stream.set_nodelay(true);
    let _ = stream.set_write_timeout(Some(options.write_timeout));
    slate.wipe(None);
    let awaited = Cell::new(false);
    let mut wire = Wire { stream, buffer: Vec::new(), at: 0, taken: 0, awaited: &awaited };
    let request = match wire.read_request(options.read_timeout) {
        Ok(Some(request)) => request,
        Ok(None) => return,
        Err(refused) => return wire.refuse(refused, peer),
    };
    fill(&mut slate.vars, &request, stream, peer);
    let line = log::request_line(&slate.vars);
    // A client that sends without waiting need not be told to.
    awaited.set(request.expects_continue && wire.at == wire.buffer.len());
    let _ = stream.set_read_timeout(Some(options.read_timeout));
    let content = match request.framing {
        Framing::Length(length) => Content::Length(length),
        Framing::Chunked => Content::Chunked,
    };
    let mut stdin = ContentInput::new(&mut wire, content, options.max_body);
    let mut stdout = Way { stream, awaited: &awaited };
    let streams = Streams { stdin: &mut stdin, stdout: &mut stdout, stderr: &mut io::stderr() };
    match respond(handler, slate, streams) {
        Ok(outcome) => {
            log::access(peer, &line, outcome.status, outcome.bytes_sent);
            match outcome.ending {
                // Without a length nothing but a reset tells this end from a good one.
                Ending::Cut { length_known: false } => reset(stream),
                // The end of a chunked body is not known here: the client may be still sending.
                _ => wire.close(match content {
                    Content::Length(length) => wire.taken < length,
                    Content::UntilEnd | Content::Chunked => true,
                }),
            }
        }
        Err(_) => reset(stream),
    }
}

/// What RFC 3875 has a server say about a request.
fn fill(vars: &mut Vars, request: &Request, stream: &TcpStream, peer: IpAddr) {
    for (name, value) in &request.variables {
        vars.set(name, value);
    }
    vars.set("REMOTE_ADDR", peer.to_string());
    if let Ok(address) = stream.local_addr() {
        // An IPv6 address stands in brackets where it is a host (RFC 3875 section 4.1.14).
        let name = match address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        vars.set("SERVER_NAME", name);
        vars.set("SERVER_PORT", address.port().to_string());
    }
}

fn reset(stream: &TcpStream) {
    let _ = sys::reset_on_close(stream.as_fd());
}

/// What the client sends.
struct Wire<'c> {
    stream: &'c TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer is done with.
    at: usize,
    /// Bytes of the body that were read.
    taken: u64,
    /// The client still waits for `100 Continue`.
    awaited: &'c Cell<bool>,
}

impl Wire<'_> {
    /// The request; `None` if the client left, or never said anything.
    fn read_request(&mut self, limit: Duration) -> Result<Option<Request>, Refused> {
        // The head as a whole has a limit, or a byte now and then would hold the thread for ever.
        let deadline = Instant::now() + limit;
        loop {
            if let Some(length) = request::head_length(&self.buffer)? {
                self.at = length;
                return request::parse(&self.buffer[..length]).map(Some);
            }
            match self.receive(deadline) {
                Ok(1..) => {}
                Err(e) if timed_out(&e) && !self.buffer.is_empty() => {
                    return Err(Refused("408 Request Timeout"));
                }
                _ => return Ok(None),
            }
        }
    }

    /// Adds to the buffer what comes until `deadline`.
    fn receive(&mut self, deadline: Instant) -> io::Result<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.fill(self.buffer.len())
    }

    /// Reads once, behind what is to be kept of the buffer.
    fn fill(&mut self, keep: usize) -> io::Result<usize> {
        self.buffer.resize(keep + BUFFER, 0);
        let read = loop {
            match (&mut &*self.stream).read(&mut self.buffer[keep..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(keep + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Answers a request that is none.
    fn refuse(&mut self, Refused(status): Refused, peer: IpAddr) {
        let code = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        let length = status.len() + 1;
        let page = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{status}\n"
        );
        log::access(peer, "-", code, length as u64);
        if (&mut &*self.stream).write_all(page.as_bytes()).is_ok() {
            self.close(true);
        }
    }

    /// Closing a socket with something unread in it resets the connection, and the answer may be
    /// lost with it: so what still comes is read, within reason.
    fn close(&mut self, still_sending: bool) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + if still_sending { PATIENCE } else { NO_WAIT };
        let mut unwanted = 0;
        while unwanted < UNWANTED && matches!(self.receive(deadline), Ok(1..)) {
            unwanted += self.buffer.len() as u64;
            self.buffer.clear();
        }
    }
}

fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl BufRead for Wire<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            if self.awaited.take() {
                (&mut &*self.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(gone)?;
            }
            self.at = 0;
            self.fill(0).map_err(|e| match timed_out(&e) {
                true => RequestFault::TooSlow.into(),
                false => gone(e),
            })?;
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

/// What ails a socket whose client is not there any more, or takes nothing.
fn gone(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected => ClientGone.into(),
        _ if timed_out(&error) => ClientGone.into(),
        _ => error,
    }
}

/// The way back to the client.
struct Way<'c> {
    stream: &'c TcpStream,
    /// As in [`Wire`].
    awaited: &'c Cell<bool>,
}

impl Write for Way<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // The final status has begun: an interim one would come too late.
        self.awaited.set(false);
        (&mut &*self.stream).write(data).map_err(gone)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.awaited.set(false);
        (&mut &*self.stream).write_vectored(data).map_err(gone)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Way<'_> {
    /// `io::copy` from a file to a socket is the kernel's sendfile where there is one.
    fn sendfile(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        let mut file = file;
        file.seek(SeekFrom::Start(from))?;
        io::copy(&mut file.take(len), &mut &*self.stream).map(Some).map_err(gone)
    }
}
