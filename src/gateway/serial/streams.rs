//! The streams of a request, over the one stream of its connection.

use super::{Line, State, answer::Answer};
use crate::{
    gateway::{call::Call, filter::StartData, spool::Spool},
    handlers::Output,
    types::{ClientGone, Request, RequestFault},
};
use std::{
    cell::RefCell,
    io::{self, BufRead, Read, Write},
    sync::Arc,
};

/// `wsgi.input`, before [`ContentInput`](crate::handlers::ContentInput) bounds it.
pub(super) struct Stdin<'l, S> {
    line: &'l RefCell<Line<S>>,
    request: Arc<Request>,
    spool: Arc<Spool>,
    data: Option<Arc<Spool>>,
    /// A piece of the body, and how much of it was read.
    chunk: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'l, S> Stdin<'l, S> {
    pub(super) fn new(line: &'l RefCell<Line<S>>, call: &Call) -> Self {
        Self {
            line,
            request: Arc::clone(call.slate.request()),
            spool: Arc::clone(&call.spool),
            data: call.data.as_ref().map(|data| Arc::clone(&data.spool)),
            chunk: Vec::new(),
            at: 0,
            ended: false,
        }
    }
}

impl<S> StartData for Stdin<'_, S> {
    fn start_data(&mut self) {
        if let Some(data) = &self.data {
            self.spool = Arc::clone(data);
            (self.at, self.ended) = (0, false);
            self.chunk.clear();
        }
    }
}

impl<S: Read + Write> BufRead for Stdin<'_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.chunk.len() && !self.ended {
            self.chunk.clear();
            self.at = 0;
            if self.request.is_cancelled() {
                return Err(ClientGone.into());
            }
            let mut line = self.line.borrow_mut();
            if line.state == State::TooSlow {
                return Err(RequestFault::TooSlow.into());
            }
            if self.spool.take_block(&mut self.chunk)? {
                self.ended = self.chunk.is_empty();
            } else {
                line.receive();
            }
        }
        Ok(&self.chunk[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl<S: Read + Write> Read for Stdin<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buffer)?;
        self.consume(n);
        Ok(n)
    }
}

/// The response.
pub(super) struct Stdout<'r, 'l, S>(pub(super) &'r RefCell<Answer<'l, S>>);

impl<S: Read + Write> Write for Stdout<'_, '_, S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().put(data)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

impl<S: Read + Write> Output for Stdout<'_, '_, S> {
    /// The last block goes with the end of the request, in one write.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `wsgi.errors`
pub(super) struct Stderr<'r, 'l, S>(pub(super) &'r RefCell<Answer<'l, S>>);

impl<S: Read + Write> Write for Stderr<'_, '_, S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().put_stderr(data)?;
        Ok(data.len())
    }

    /// Nobody waits for a line of the log: it goes with the next bytes of the response.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
