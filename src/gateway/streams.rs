//! `wsgi.input`, the response and `wsgi.errors` of one request, over its connection.

use super::{
    call::Given,
    desk::{Desk, Intake, Run, Short},
    filter::StartData,
    loan::Loan,
    outgoing::{LARGE, Outgoing, Sender},
    roll::Roll,
    spool::{End, Spool},
};
use crate::{
    fcgi::{self, HEADER_LEN, MAX_CONTENT, ProtocolStatus, RecordType},
    handlers::Output,
    sys::{Pages, Readiness},
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

/// STDOUT and STDERR of one FastCGI request: one buffer, so that their order is kept.
pub(super) struct Records<'c> {
    sender: Sender<'c>,
    /// Where in its buffer the STDOUT record begins that is still being filled.
    open: Option<usize>,
    stderr_used: bool,
    /// For a long file.
    pages: Option<Pages>,
}

/// The content of a full record: a multiple of eight, so that no padding is wanted.
const FULL: usize = MAX_CONTENT & !7;

/// What of a file goes into one record: whole pages, of which each is then handed over once.
const PAGE: u64 = 4 << 10;
const PAGES: u64 = FULL as u64 / PAGE * PAGE;

/// Slots of a pipe that one record takes, with its header; and records that leave in one call: a pipe
/// of 1 MiB holds them, which is as large as anybody may make one (pipe(7), pipe-max-size).
const SLOTS: usize = 1 + FULL / PAGE as usize;
const RECORDS: usize = 16;

/// A file that is worth a pipe.
const LONG_FILE: u64 = 512 << 10;

/// The next record's content, of `left` bytes at `from` in a file. It is no more than FULL, which fits.
fn in_pages(from: u64, left: u64) -> usize {
    left.min(PAGES - from % PAGE) as usize
}

impl<'c> Records<'c> {
    pub(super) fn new(sender: Sender<'c>) -> Self {
        Self { sender, open: None, stderr_used: false, pages: None }
    }

    fn open_len(&self) -> usize {
        self.open.map_or(0, |open| self.sender.out.len() - open - HEADER_LEN)
    }

    /// How much there is room for in the STDOUT record that is being filled; in a new one, if there is
    /// none.
    fn room(&mut self) -> usize {
        if self.open.is_none() {
            self.open = Some(self.sender.out.len());
            self.sender.out.extend_from_slice(&[0; HEADER_LEN]);
        }
        FULL - self.open_len()
    }

    /// The record is full.
    #[cold]
    fn put_behind_full(&mut self, data: &[u8]) -> io::Result<()> {
        self.flush()?;
        // It is shorter than a record.
        self.put(data)
    }

    /// The STDOUT record that is being filled is as long as it is, and `behind` bytes more.
    fn close_record(&mut self, behind: usize) {
        let len = self.open_len() + behind;
        if let Some(open) = self.open.take() {
            // At most FULL, which the callers see to.
            let header = fcgi::header(RecordType::Stdout, self.sender.id.0.get(), len as u16);
            self.sender.out[open..open + HEADER_LEN].copy_from_slice(&header);
        }
    }

    /// Whatever is in the buffer, then `data` from where it lies, in as few calls as can be.
    #[inline(never)] // `put` is for what is short.
    fn put_large(&mut self, mut data: &[u8]) -> io::Result<()> {
        /// The most records that leave in one call.
        const RECORDS: usize = 32;
        if self.open.is_some() {
            let (first, rest) = data.split_at(data.len().min(FULL - self.open_len()));
            self.close_record(first.len());
            data = rest;
            self.sender.send(&mut [IoSlice::new(first)])?;
        }
        while !data.is_empty() {
            // Its neighbours get their turn after each record.
            let Sender { slot, id, .. } = &self.sender;
            let records = if slot.front().is_alone(*id) { RECORDS } else { 1 };
            let batch = data.len().min(records * FULL);
            let (now, later) = data.split_at(batch);
            let mut headers = [[0; HEADER_LEN]; RECORDS];
            for (header, content) in headers.iter_mut().zip(now.chunks(FULL)) {
                // At most FULL, by `chunks`.
                *header =
                    fcgi::header(RecordType::Stdout, self.sender.id.0.get(), content.len() as u16);
            }
            let mut slices = [IoSlice::new(&[]); 2 * RECORDS];
            let mut used = 0;
            for (header, content) in headers.iter().zip(now.chunks(FULL)) {
                slices[used] = IoSlice::new(header);
                slices[used + 1] = IoSlice::new(content);
                used += 2;
            }
            self.sender.send(&mut slices[..used])?;
            data = later;
        }
        Ok(())
    }
}

impl Records<'_> {
    /// Sends as many records of a file as there are slots for; how many bytes of it these are. 0: it
    /// has shrunk.
    fn send_pages(&mut self, file: &File, from: u64, len: u64) -> io::Result<u64> {
        let Some(pages) = &mut self.pages else { return Ok(0) };
        let mut sent = 0;
        for _ in 0..pages.slots() / SLOTS {
            let content = in_pages(from + sent, len - sent);
            if content == 0 {
                break;
            }
            let id = self.sender.id.0.get();
            let header = fcgi::header(RecordType::Stdout, id, content as u16);
            let put = pages.put(&header).and_then(|()| pages.put_file(file, from + sent, content));
            match put {
                Ok(()) => sent += content as u64,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    // Nothing of it is out yet.
                    self.pages = None;
                    return Ok(0);
                }
                Err(error) => return Err(error),
            }
        }
        self.sender.send_pages(pages)?;
        Ok(sent)
    }
}

impl Outgoing for Records<'_> {
    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if data.len() >= LARGE {
            return self.put_large(data);
        }
        if data.is_empty() {
            return Ok(()); // A record without content would be the end.
        }
        let fits = data.len().min(self.room());
        self.sender.out.extend_from_slice(&data[..fits]);
        if fits == data.len() { Ok(()) } else { self.put_behind_full(&data[fits..]) }
    }

    fn put_stderr(&mut self, data: &[u8]) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.close_record(0);
        self.stderr_used = true;
        let Sender { out, id, .. } = &mut self.sender;
        fcgi::stream(out, RecordType::Stderr, *id, data);
        if out.len() > FULL { self.sender.send(&mut []) } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.close_record(0);
        if self.sender.out.is_empty() { Ok(()) } else { self.sender.send(&mut []) }
    }

    fn send_file(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        self.sender.await_body();
        // Half a record could not be taken back if the file shrinks, and its neighbours on the
        // connection would pay for it.
        let id = self.sender.id;
        if !self.sender.slot.front().is_alone(id) {
            return Ok(None);
        }
        self.flush()?;
        if self.pages.is_none() && len >= LONG_FILE {
            self.pages = Pages::new(RECORDS * SLOTS).ok().filter(|pages| pages.slots() >= SLOTS);
        }
        if self.pages.is_some() {
            return self.send_pages(file, from, len).map(Some);
        }
        let len = in_pages(from, len);
        let header = fcgi::header(RecordType::Stdout, id.0.get(), len as u16);
        self.sender.send_file(&header, file, from, len)?;
        Ok(Some(len as u64))
    }

    /// Where STDERR has no end and is the last that comes, a whole HAProxy 2.6 ends with the
    /// connection.
    fn cut(&mut self) {
        self.close_record(0);
        if self.stderr_used {
            fcgi::stream(&mut self.sender.out, RecordType::Stderr, self.sender.id, b"");
        }
        // Nobody is left to be told that it failed: the connection is closing then.
        let _ = self.flush();
    }

    fn end(&mut self, app_status: u32) {
        self.close_record(0);
        let cancelled = self.sender.is_cancelled();
        let Sender { out, id, .. } = &mut self.sender;
        if cancelled {
            // Section 5.4: an aborted request is ended, and nothing else is said of it.
            out.clear();
        } else {
            fcgi::stream(out, RecordType::Stdout, *id, b"");
            if self.stderr_used {
                fcgi::stream(out, RecordType::Stderr, *id, b"");
            }
        }
        fcgi::end_request(out, *id, app_status, ProtocolStatus::RequestComplete);
        self.sender.send_last();
    }

    fn give_back(&mut self) -> Vec<u8> {
        self.sender.give_back(2 * FULL)
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
