//! STDOUT and STDERR of a request, in FastCGI's records.

use super::{
    loan::Loan,
    outgoing::{LARGE, Outgoing, Sender},
};
use crate::{
    fcgi::{self, HEADER_LEN, MAX_CONTENT, ProtocolStatus, RecordType},
    sys::{self, Pages},
};
use std::{
    fs::File,
    io::{self, IoSlice},
};

/// STDOUT and STDERR of one FastCGI request: one buffer, so that their order is kept behind the
/// header block.
pub(super) struct Records<'c> {
    sender: Sender<'c>,
    /// Where in its buffer the STDOUT record begins that is still being filled.
    open: Option<usize>,
    stdout_used: bool,
    stderr_used: bool,
    /// What was logged before the header block: its records follow that. nginx takes the header block
    /// for too large where its buffer, of 4 KiB by default, is full of the log.
    early: Vec<u8>,
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

/// A file, or what is left of it, that is worth a pipe.
const LONG_FILE: u64 = FULL as u64;

/// The next record's content, of `left` bytes at `from` in a file. It is no more than FULL, which fits.
fn in_pages(from: u64, left: u64) -> usize {
    left.min(PAGES - from % PAGE) as usize
}

impl<'c> Records<'c> {
    pub(super) fn new(sender: Sender<'c>) -> Self {
        Self {
            sender,
            open: None,
            stdout_used: false,
            stderr_used: false,
            early: Vec::new(),
            pages: None,
        }
    }

    fn open_len(&self) -> usize {
        self.open.map_or(0, |open| self.sender.out.len() - open - HEADER_LEN)
    }

    /// How much there is room for in the STDOUT record that is being filled; in a new one, if there is
    /// none.
    fn room(&mut self) -> usize {
        if self.open.is_none() {
            self.stdout_used = true;
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

    /// The STDOUT record that is being filled is as long as it is, and `behind` bytes more, which are
    /// not in the buffer.
    fn close_record(&mut self, behind: usize) {
        let len = self.open_len() + behind;
        if let Some(open) = self.open.take() {
            // At most FULL, which the callers see to.
            let header = fcgi::header(RecordType::Stdout, self.sender.loan.id.0.get(), len as u16);
            self.sender.out[open..open + HEADER_LEN].copy_from_slice(&header);
        }
        if behind == 0 && !self.early.is_empty() {
            self.sender.out.append(&mut self.early);
        }
    }

    /// Whatever is in the buffer, then `data` from where it lies, in as few calls as can be.
    #[inline(never)] // `put` is for what is short.
    fn put_large(&mut self, mut data: &[u8]) -> io::Result<()> {
        /// The most records that leave in one call.
        const RECORDS: usize = 32;
        self.stdout_used = true;
        if self.open.is_some() {
            let (first, rest) = data.split_at(data.len().min(FULL - self.open_len()));
            self.close_record(first.len());
            data = rest;
            self.sender.send(&mut [IoSlice::new(first)])?;
        }
        while !data.is_empty() {
            // Its neighbours get their turn after each record.
            let Loan { slot, id, .. } = self.sender.loan;
            let records = if slot.front().is_alone(id) { RECORDS } else { 1 };
            let batch = data.len().min(records * FULL);
            let (now, later) = data.split_at(batch);
            let mut headers = [[0; HEADER_LEN]; RECORDS];
            for (header, content) in headers.iter_mut().zip(now.chunks(FULL)) {
                // At most FULL, by `chunks`.
                *header = fcgi::header(
                    RecordType::Stdout,
                    self.sender.loan.id.0.get(),
                    content.len() as u16,
                );
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
    /// Reads what there is room for of a file into the STDOUT record that is being filled: how many
    /// bytes that are. `None`: it cannot be read.
    fn put_file(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        if self.room() == 0 {
            self.flush()?;
        }
        let most = usize::try_from(len).unwrap_or(usize::MAX).min(self.room());
        let out = &mut self.sender.out;
        let begin = out.len();
        out.resize(begin + most, 0);
        let read = sys::read_at(file, &mut out[begin..], from).ok();
        out.truncate(begin + read.unwrap_or(0));
        Ok(read.map(|n| n as u64))
    }

    /// Sends as many records of a file as there are slots for: how many bytes of it these are. `None`:
    /// it has shrunk, or has no pages.
    fn send_pages(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        let Some(pages) = &mut self.pages else { return Ok(None) };
        let mut sent = 0;
        for _ in 0..pages.slots() / SLOTS {
            let content = in_pages(from + sent, len - sent);
            if content == 0 {
                break;
            }
            let id = self.sender.loan.id.0.get();
            let header = fcgi::header(RecordType::Stdout, id, content as u16);
            let put = pages.put(&header).and_then(|()| pages.put_file(file, from + sent, content));
            if put.is_err() {
                // Nothing of it is out yet.
                self.pages = None;
                return Ok(None);
            }
            sent += content as u64;
        }
        self.sender.send_pages(pages)?;
        Ok(Some(sent))
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
        self.stderr_used = true;
        if !self.stdout_used {
            fcgi::stream(&mut self.early, RecordType::Stderr, self.sender.loan.id, data);
            // There is a limit to what is kept back.
            return if self.early.len() > FULL { self.flush() } else { Ok(()) };
        }
        self.close_record(0);
        let Sender { out, loan: Loan { id, .. }, .. } = &mut self.sender;
        fcgi::stream(out, RecordType::Stderr, *id, data);
        if out.len() > FULL { self.sender.send(&mut []) } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.close_record(0);
        if self.sender.out.is_empty() { Ok(()) } else { self.sender.send(&mut []) }
    }

    /// A short file is read: to send its pages would take a call more for each record, and half a record
    /// could not be taken back if it shrinks.
    fn send_file(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        if self.pages.is_none() && len < LONG_FILE {
            return self.put_file(file, from, len);
        }
        self.sender.await_body();
        // Its neighbours on the connection get their turn after each record.
        if !self.sender.loan.slot.front().is_alone(self.sender.loan.id) {
            return self.put_file(file, from, len);
        }
        self.flush()?;
        if self.pages.is_none() {
            let records = usize::try_from(len / PAGES).map_or(RECORDS, |n| RECORDS.min(n + 2));
            self.pages = Pages::new(records * SLOTS).ok().filter(|pages| pages.slots() >= SLOTS);
        }
        match self.pages {
            Some(_) => self.send_pages(file, from, len),
            None => self.put_file(file, from, len),
        }
    }

    /// Where STDERR has no end and is the last that comes, a whole HAProxy 2.6 ends with the
    /// connection.
    fn cut(&mut self) {
        self.close_record(0);
        if self.stderr_used {
            fcgi::stream(&mut self.sender.out, RecordType::Stderr, self.sender.loan.id, b"");
        }
        // Nobody is left to be told that it failed: the connection is closing then.
        let _ = self.flush();
    }

    fn end(&mut self, app_status: u32) {
        self.close_record(0);
        let cancelled = self.sender.is_cancelled();
        let Sender { out, loan: Loan { id, .. }, .. } = &mut self.sender;
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
