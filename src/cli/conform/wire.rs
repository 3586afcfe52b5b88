//! One connection to a responder, on which nothing takes longer than it may.

use super::{Miss, responder::Responder};
use crate::fcgi::{HEADER_LEN, RecordType, RequestId};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    num::NonZeroU16,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Most requests of most web servers have it.
pub(super) const ID: RequestId = RequestId(NonZeroU16::MIN);
/// Another one.
pub(super) const OTHER: RequestId = RequestId(NonZeroU16::MIN.saturating_add(1));

/// A record of the responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) version: u8,
    pub(super) kind: u8,
    pub(super) id: u16,
    pub(super) content: Vec<u8>,
}

impl Record {
    pub(super) fn is(&self, kind: RecordType) -> bool {
        self.kind == kind as u8
    }

    /// END_REQUEST's protocol status, if it is one for this id.
    pub(super) fn ends(&self, id: RequestId) -> Option<u8> {
        let ends = self.is(RecordType::EndRequest) && self.id == id.0.get();
        self.content.get(4).copied().filter(|_| ends)
    }
}

/// What has come, and how it went on.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) records: Vec<Record>,
    /// Bytes that are no whole record.
    pub(super) rest: Vec<u8>,
    pub(super) closed: bool,
}

impl Heard {
    pub(super) fn end(&self, id: RequestId) -> Option<u8> {
        self.records.iter().find_map(|record| record.ends(id))
    }

    /// The STDOUT of a request.
    pub(super) fn stdout(&self, id: RequestId) -> Vec<u8> {
        let of_id = |record: &&Record| record.is(RecordType::Stdout) && record.id == id.0.get();
        self.records.iter().filter(of_id).flat_map(|record| record.content.clone()).collect()
    }

    /// What stands in the way of taking the request for answered: whole records and an END_REQUEST
    /// that says REQUEST_COMPLETE.
    pub(super) fn answered(&self, id: RequestId) -> Result<(), Miss> {
        match self.end(id) {
            Some(0) => Ok(()),
            Some(status) => Err(failed(format!("END_REQUEST with protocol status {status}"))),
            None => Err(failed(format!("no END_REQUEST, but {}", self.in_words()))),
        }
    }

    pub(super) fn in_words(&self) -> String {
        let closed = if self.closed { "the connection was closed" } else { "then silence" };
        match self.records.len() {
            0 if self.rest.is_empty() => closed.trim_start_matches("then ").into(),
            0 => format!("\"{}\", {closed}", self.rest[..self.rest.len().min(40)].escape_ascii()),
            count => format!("{count} other records, {closed}"),
        }
    }
}

pub(super) fn failed(why: impl Into<String>) -> Miss {
    Miss::Failed(why.into())
}

pub(super) struct Talk {
    socket: TcpStream,
    until: Instant,
    pub(super) heard: Heard,
}

impl Talk {
    pub(super) fn begin(responder: &Responder<'_>) -> Result<Self, Miss> {
        let socket = responder.destination.connect(Some(responder.limit));
        // For these calls of no matter which family the socket is.
        let socket = TcpStream::from(socket.map_err(|error| failed(format!("connect: {error}")))?);
        socket.set_nonblocking(false)?;
        Ok(Self { socket, until: Instant::now() + responder.limit, heard: Heard::default() })
    }

    /// Sends `bytes` in another thread: a responder may answer before it has read them. One that
    /// closes meanwhile is seen where its answer is awaited.
    pub(super) fn send(&self, bytes: Vec<u8>) -> Result<(), Miss> {
        self.send_slowly(bytes, usize::MAX)
    }

    /// The same in pieces of so many bytes, each on its way before the next.
    pub(super) fn send_slowly(&self, bytes: Vec<u8>, piece: usize) -> Result<(), Miss> {
        let mut socket = self.socket.try_clone()?;
        socket.set_write_timeout(Some(self.left()))?;
        // Nagle would join them again; a Unix socket has never heard of it.
        let _ = socket.set_nodelay(true);
        let (done, wait) = mpsc::channel();
        thread::Builder::new().spawn(move || {
            let sent = bytes.chunks(piece).try_for_each(|piece| socket.write_all(piece));
            let _ = done.send(sent);
        })?;
        // What is small is sent before anything is awaited, so that the order is the one meant.
        let _ = wait.recv_timeout(Duration::from_millis(100));
        Ok(())
    }

    fn left(&self) -> Duration {
        // A limit of nothing would be none.
        self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    /// Hears until `enough`, the end of the connection, or the limit.
    pub(super) fn hear(&mut self, enough: impl Fn(&Heard) -> bool) -> Result<&Heard, Miss> {
        let until = self.until;
        self.hear_until(until, enough)
    }

    /// The same for a little while: of what ought to be there at once, or never.
    pub(super) fn hear_shortly(&mut self, enough: impl Fn(&Heard) -> bool) -> Result<&Heard, Miss> {
        const SHORTLY: Duration = Duration::from_millis(500);
        let until = self.until.min(Instant::now() + SHORTLY);
        self.hear_until(until, enough)
    }

    fn hear_until(
        &mut self,
        until: Instant,
        enough: impl Fn(&Heard) -> bool,
    ) -> Result<&Heard, Miss> {
        let mut input = vec![0; 64 << 10];
        while !enough(&self.heard) && !self.heard.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.socket.read(&mut input) {
                Ok(0) => self.heard.closed = true,
                Ok(n) => self.heard.rest.extend_from_slice(&input[..n]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => break,
                    // With bytes unread on its side the end looks like this.
                    ErrorKind::ConnectionReset => self.heard.closed = true,
                    _ => return Err(error.into()),
                },
            }
            self.cut();
        }
        Ok(&self.heard)
    }

    /// Whole records out of what has come.
    fn cut(&mut self) {
        let rest = &mut self.heard.rest;
        let mut at = 0;
        while let Some(&[version, kind, id1, id0, len1, len0, padding, _]) =
            rest[at..].first_chunk::<HEADER_LEN>()
        {
            let len = usize::from(u16::from_be_bytes([len1, len0]));
            let whole = HEADER_LEN + len + usize::from(padding);
            if rest.len() < at + whole {
                break;
            }
            let content = rest[at + HEADER_LEN..at + HEADER_LEN + len].to_vec();
            let id = u16::from_be_bytes([id1, id0]);
            self.heard.records.push(Record { version, kind, id, content });
            at += whole;
        }
        rest.drain(..at);
    }
}
