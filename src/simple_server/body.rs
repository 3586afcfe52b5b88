//! The body of a request, from what came with its head on.

use super::{
    chunked::{Chunks, Piece},
    connection::PIECE,
    refused::{BODY_TOO_LONG, Refused},
    serving::Serving,
    spooled::Spooled,
};
use crate::{
    sys::{Readiness, SocketCell},
    types::{ClientGone, RequestFault},
};
use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    time::{Duration, Instant},
};

/// The slowest that a body may come, over all: whoever sends slower holds a thread for nothing.
const BYTES_A_SECOND: u64 = 1 << 10;

pub(super) const CANNOT_KEEP: Refused =
    Refused { status: "500 Internal Server Error", why: "the body cannot be kept" };

/// What the client sends, from what came with the head on.
pub(super) struct Wire<'c> {
    serving: &'c Serving<'c>,
    socket: &'c SocketCell,
    buffer: &'c mut Vec<u8>,
    /// How much of the buffer is done with.
    pub(super) at: usize,
    /// The client still waits for `100 Continue`.
    awaited: &'c Cell<bool>,
    began: Instant,
    taken: u64,
    /// How long it may stand still.
    limit: Option<Duration>,
    /// The client sends no more.
    pub(super) ended: bool,
}

impl<'c> Wire<'c> {
    /// The body begins at `at` in the buffer.
    pub(super) fn new(
        serving: &'c Serving<'c>,
        socket: &'c SocketCell,
        (buffer, at): (&'c mut Vec<u8>, usize),
        awaited: &'c Cell<bool>,
    ) -> Self {
        let limit = serving.options.read_timeout;
        let (began, taken, ended) = (Instant::now(), 0, false);
        Self { serving, socket, buffer, at, awaited, began, taken, limit, ended }
    }

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
pub(super) struct Counted<'w, 'c> {
    pub(super) wire: &'w mut Wire<'c>,
    pub(super) left: &'w Cell<u64>,
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

/// Why a body in chunks was not read to its end.
pub(super) enum Unread {
    Refused(Refused),
    Gone,
}

/// Reads a body in chunks to its end, before the application runs: CONTENT_LENGTH is to say how
/// long it is.
pub(super) fn unchunk(wire: &mut Wire<'_>, max_body: u64) -> Result<Spooled, Unread> {
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
