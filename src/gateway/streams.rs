//! `wsgi.input`, the response and `wsgi.errors` of one request, over its connection.

use super::{
    call::Given,
    desk::{Desk, Intake, Run, Short},
    filter::StartData,
    loan::Loan,
    outgoing::Outgoing,
    roll::Roll,
    spool::{End, Spool},
};
use crate::{
    handlers::Output,
    sys::Readiness,
    types::{ClientGone, Request, RequestFault},
};
use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufRead, IoSlice, Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

/// The body of a request: lent from the receive buffer while this thread is the one that
/// receives, from the spool while others are.
pub(super) struct Stdin<'c> {
    loan: Loan<'c>,
    desk: &'c mut Desk,
    /// What was received ahead, and comes behind what lies in the buffer.
    roll: Roll,
    spool: &'c Arc<Spool>,
    /// A filter's: its body is in spools wherever it was received.
    data: Option<&'c Arc<Spool>>,
    request: &'c Request,
    /// The reading half is held just now.
    held: bool,
    /// How often nothing had come yet.
    waits: u32,
    /// Some of the body may be in the spool.
    shared_body: bool,
    ended: bool,
}

impl<'c> Stdin<'c> {
    pub(super) fn new(loan: Loan<'c>, desk: &'c mut Desk, given: Given<'c>) -> Self {
        let direct = desk.sorting.mine == Some(loan.id);
        Self {
            loan,
            spool: given.spool,
            data: given.data.map(|data| &data.spool),
            request: given.request,
            roll: Roll::default(),
            held: false,
            waits: 0,
            shared_body: !direct || desk.sorting.end.is_none(),
            desk,
            ended: false,
        }
    }

    /// Gives the memory back.
    pub(super) fn give_back(&mut self) {
        if self.held {
            // Receiving panicked, under the application that wanted to read.
            self.loan.slot.give_up();
            self.release(true);
        }
        self.desk.narrow();
    }

    /// Whether the spool had something, or has come to its end; nothing lies in the buffer.
    fn take_spooled(&mut self) -> io::Result<bool> {
        if let Some(roll) = self.spool.take_roll() {
            self.roll = roll;
            return Ok(true);
        }
        let taken = self.spool.take(|there| self.desk.room(there))?;
        if let Some(n) = taken {
            self.ended = n == 0;
            self.desk.sorting.pieces.extend((n > 0).then_some(0..n));
        }
        Ok(taken.is_some())
    }

    /// Waits until some of the body is there, or its end.
    fn more(&mut self) -> io::Result<()> {
        let Loan { shared, line, .. } = self.loan;
        let limit = shared.settings.read_timeout;
        let started = Instant::now();
        loop {
            if self.request.is_cancelled() {
                return Err(ClientGone.into());
            }
            if let Some(end) = self.desk.sorting.end {
                return self.end(end);
            }
            if !self.shared_body {
                return Err(RequestFault::BodyCutShort { missing: 0 }.into());
            }
            line.progress();
            if self.take_reading_half() {
                let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
                let done = self.receive(left);
                if done? {
                    return Ok(());
                }
            } else {
                // Another thread receives. It may also stop without a word: then it is our turn.
                const TURN: Duration = Duration::from_millis(20);
                self.spool.wait(TURN);
                if self.take_spooled()? {
                    return Ok(());
                }
            }
            if limit.is_some_and(|limit| started.elapsed() > limit) {
                return Err(RequestFault::TooSlow.into());
            }
        }
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        match end {
            End::Whole => {
                self.ended = true;
                Ok(())
            }
            End::CutShort => Err(RequestFault::BodyCutShort { missing: 0 }.into()),
            End::Gone => Err(ClientGone.into()),
            End::TooLong => {
                let limit = self.loan.shared.settings.max_body.unwrap_or(u64::MAX);
                Err(RequestFault::BodyTooLong { limit }.into())
            }
        }
    }

    fn take_reading_half(&mut self) -> bool {
        self.held = self.loan.take();
        self.held
    }

    /// The reading half is ours: takes what is in the spool, else from the socket. True when
    /// there is something to read, or the end.
    fn receive(&mut self, limit: Option<Duration>) -> io::Result<bool> {
        let Loan { shared, line, slot, token, id } = self.loan;
        let started = Instant::now();
        // While the reading half is held nobody adds to the spool.
        let spooled = self.take_spooled();
        if !matches!(spooled, Ok(false)) {
            self.release(false);
            return spooled;
        }
        self.desk.sorting.mine = Some(id);
        slot.front().take_body(id);
        if self.desk.is_full {
            self.desk.widen();
        }
        loop {
            let intake = self.desk.take_in(shared, token, Run::Others, Short::MayHideEnd);
            // What got ready meanwhile is for other threads: this one is busy.
            self.desk.hand_on(shared, token);
            if self.data.is_some() {
                let spooled = self.take_spooled();
                if !matches!(spooled, Ok(false)) {
                    self.release(intake != Intake::More);
                    return spooled;
                }
            }
            let sorting = &self.desk.sorting;
            if !sorting.pieces.is_empty() || sorting.end.is_some() {
                self.release(intake != Intake::More);
                return Ok(!self.desk.sorting.pieces.is_empty());
            }
            match intake {
                Intake::Ended => {
                    // The request itself was open: its body has ended with the connection.
                    self.release(true);
                    return Err(ClientGone.into());
                }
                Intake::More => {}
                Intake::Drained => {
                    line.progress();
                    self.waits += 1;
                    if self.waits == LONG {
                        self.loan.hush();
                    }
                    // What came for others was no progress of this one.
                    let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
                    if !slot.socket.wait(Readiness::Read, left)? {
                        self.release(true);
                        return Err(RequestFault::TooSlow.into());
                    }
                }
            }
        }
    }

    fn release(&mut self, drained: bool) {
        self.held = false;
        self.loan.release(self.spool, drained);
    }
}

/// A body that had to be waited for so often is a long one.
const LONG: u32 = 2;

impl BufRead for Stdin<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // What was in the buffer came first, then what others received, then what comes now; the
        // spool is only used while nothing lies in the buffer.
        while self.desk.sorting.pieces.is_empty() && self.roll.is_empty() && !self.ended {
            self.more()?;
        }
        if self.desk.sorting.pieces.len() > 1 {
            self.desk.gather();
        }
        match self.desk.sorting.pieces.front() {
            Some(piece) => Ok(&self.desk.input[piece.clone()]),
            None => Ok(self.roll.front()),
        }
    }

    fn consume(&mut self, n: usize) {
        if let Some(piece) = self.desk.sorting.pieces.front_mut() {
            piece.start += n;
            if piece.start == piece.end {
                self.desk.sorting.pieces.pop_front();
            }
        } else {
            self.roll.consume(n);
        }
    }
}

impl Read for Stdin<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl StartData for Stdin<'_> {
    fn start_data(&mut self) {
        if let Some(data) = self.data {
            self.spool = data;
            self.ended = false;
            self.desk.sorting.pieces.clear();
            self.roll = Roll::default();
        }
    }
}

/// The response.
pub(super) struct Stdout<'r, O>(pub(super) &'r RefCell<O>);

impl<O: Outgoing> Write for Stdout<'_, O> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().put(data)?;
        Ok(data.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut outgoing = self.0.borrow_mut();
        let mut len = 0;
        for slice in slices {
            outgoing.put(slice)?;
            len += slice.len();
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}

impl<O: Outgoing> Output for Stdout<'_, O> {
    fn sendfile(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        self.0.borrow_mut().send_file(file, from, len)
    }

    /// The last block goes with the end of the request, in one write.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `wsgi.errors`
pub(super) struct Stderr<'r, O>(pub(super) &'r RefCell<O>);

impl<O: Outgoing> Write for Stderr<'_, O> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().put_stderr(data)?;
        Ok(data.len())
    }

    /// Nobody waits for a line of the log: it goes with the next bytes of the response.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
