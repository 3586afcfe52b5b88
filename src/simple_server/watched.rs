//! How far the next request of a connection has come, by what lies in its buffer.

use super::{
    chunked::{Chunks, Piece},
    connection::Connection,
    head_scan::HeadScan,
    refused::{BODY_TOO_LONG, Refused},
    request::{Framing, Rules, parse},
};
use std::{ops::Range, time::Instant};

/// Bytes of a body that the watcher waits for; a longer one is the thread's to read.
const SHORT: usize = 64 << 10;

/// How far the next request of a connection has come.
pub(super) enum Phase {
    /// Not a byte of it is there.
    Idle,
    Head,
    /// The head lies at `head`; of the body so many bytes are to be there.
    Body {
        head: Range<usize>,
        until: usize,
    },
    /// The same of a body in chunks, looked at as far as `at`.
    Chunks {
        head: Range<usize>,
        chunks: Chunks,
        at: usize,
    },
    /// The rest of a body that nobody wants, before the next request.
    Skip,
    /// The answer is out, and no other will follow: what comes is read until the client ends.
    Drain {
        left: u64,
    },
}

/// A connection that is the watcher's.
pub(super) struct Watched {
    pub(super) connection: Connection,
    pub(super) scan: HeadScan,
    pub(super) phase: Phase,
    /// When patience ends, with this phase.
    pub(super) deadline: Option<Instant>,
}

/// What a look at a connection came to.
pub(super) enum Look {
    /// Nothing more for now.
    Wait,
    Ready(Range<usize>),
    Refuse(Refused),
    Close,
}

impl Watched {
    /// Goes as far as what is in the buffer allows: where the head lies, once the request can be
    /// answered.
    pub(super) fn advance(&mut self, max_body: u64) -> Result<Option<Range<usize>>, Refused> {
        loop {
            let buffer = &mut self.connection.buffer;
            match &mut self.phase {
                Phase::Drain { .. } => {
                    *buffer = Vec::new();
                    return Ok(None);
                }
                Phase::Skip => {
                    let skip = &mut self.connection.skip;
                    let here = usize::try_from(*skip).unwrap_or(usize::MAX).min(buffer.len());
                    buffer.drain(..here);
                    *skip -= here as u64;
                    if *skip > 0 {
                        return Ok(None);
                    }
                    self.phase = if buffer.is_empty() { Phase::Idle } else { Phase::Head };
                }
                Phase::Idle => return Ok(None),
                Phase::Head => {
                    let Some(head) = self.scan.scan(buffer)? else { return Ok(None) };
                    let request = parse(&buffer[head.clone()], Rules::Strict)?;
                    if matches!(request.framing, Framing::Length(length) if length > max_body) {
                        return Err(BODY_TOO_LONG);
                    }
                    // Whoever waits for 100 Continue has it when the body is first read.
                    if request.expects_continue {
                        return Ok(Some(head));
                    }
                    self.phase = match request.framing {
                        Framing::Length(length) => match usize::try_from(length) {
                            Ok(length) if length <= SHORT => {
                                Phase::Body { until: head.end + length, head }
                            }
                            _ => return Ok(Some(head)),
                        },
                        Framing::Chunked => {
                            Phase::Chunks { at: head.end, head, chunks: Chunks::new() }
                        }
                    };
                }
                Phase::Body { head, until } => {
                    return Ok((buffer.len() >= *until).then(|| head.clone()));
                }
                Phase::Chunks { head, chunks, at } => {
                    loop {
                        let (used, piece) = chunks.next(&buffer[*at..])?;
                        *at += used;
                        if chunks.announced() > max_body {
                            return Err(BODY_TOO_LONG);
                        }
                        match piece {
                            Piece::Data(_) => {}
                            Piece::More => break,
                            Piece::End => return Ok(Some(head.clone())),
                        }
                    }
                    return Ok((buffer.len() - head.end > SHORT).then(|| head.clone()));
                }
            }
        }
    }

    /// The client sends no more.
    pub(super) fn end(&mut self) -> Look {
        match &self.phase {
            Phase::Idle | Phase::Skip | Phase::Drain { .. } => Look::Close,
            Phase::Head if self.scan.is_idle() => Look::Close,
            Phase::Head => Look::Refuse(Refused::bad("the request ended before its head did")),
            Phase::Body { .. } | Phase::Chunks { .. } => {
                Look::Refuse(Refused::bad("the body ended early"))
            }
        }
    }
}
