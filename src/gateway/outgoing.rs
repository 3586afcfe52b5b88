//! How an answer leaves: in FastCGI's records ([`Records`](super::records::Records)), or, for SCGI
//! and uwsgi, as it is.

use super::{Dispatch, ahead::Ahead, call::Given, loan::Loan, room::Room, whole_lines::WholeLines};
use crate::{
    sys::Pages,
    types::{ClientGone, Request},
};
use std::{
    fs::File,
    io::{self, IoSlice},
    sync::atomic::Ordering,
};

/// STDOUT and STDERR of one request.
pub(super) trait Outgoing {
    /// Some of the response; it may stay in the buffer.
    fn put(&mut self, data: &[u8]) -> io::Result<()>;

    /// Something for `wsgi.errors`.
    fn put_stderr(&mut self, data: &[u8]) -> io::Result<()>;

    /// Sends what is in the buffer.
    fn flush(&mut self) -> io::Result<()>;

    /// As [`Output::sendfile`](crate::handlers::Output::sendfile).
    fn send_file(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>>;

    /// The end of the request, behind whatever is still in the buffer, in one write.
    fn end(&mut self, app_status: u32);

    /// Sends what there is, and no end.
    fn cut(&mut self) {
        // Nobody is left to be told that it failed: the connection is closing then.
        let _ = self.flush();
    }

    /// The buffer, for the next request.
    fn give_back(&mut self) -> Vec<u8>;
}

/// The buffer of an answer, and where it goes.
pub(super) struct Sender<'c> {
    pub(super) out: Vec<u8>,
    pub(super) loan: Loan<'c>,
    room: Room<'c>,
    request: &'c Request,
    gone: bool,
    /// If the body has to be whole before the first byte is sent.
    body_first: Option<Ahead<'c>>,
}

impl<'c> Sender<'c> {
    pub(super) fn new(mut out: Vec<u8>, loan: Loan<'c>, given: Given<'c>) -> Self {
        out.clear();
        let Given { request, spool, .. } = given;
        let room = Room::new(loan.slot, loan.shared.settings.write_timeout);
        let body_first = given.wants_body_first.then(|| Ahead::new(loan, spool));
        Self { out, loan, room, request, gone: false, body_first }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.request.is_cancelled()
    }

    pub(super) fn await_body(&mut self) {
        if let Some(ahead) = self.body_first.take() {
            ahead.read(self.request);
        }
    }

    /// Sends the buffer and `behind` it what is not copied into it.
    pub(super) fn send(&mut self, behind: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.may_send()?;
        let sent = match behind {
            [] => self.loan.slot.send(&self.out, &mut self.room),
            [one] => {
                let both = &mut [IoSlice::new(&self.out), IoSlice::new(one)];
                self.loan.slot.send_all(both, &mut self.room)
            }
            many if self.out.is_empty() => self.loan.slot.send_all(many, &mut self.room),
            many => {
                let before = self.loan.slot.send(&self.out, &mut self.room);
                before.and_then(|()| self.loan.slot.send_all(many, &mut self.room))
            }
        };
        self.out.clear();
        self.sent(sent)
    }

    /// Sends some of a file; the buffer is empty.
    fn send_file(&mut self, file: (&File, u64, usize)) -> io::Result<Option<usize>> {
        self.may_send()?;
        let sent = self.loan.slot.send_file(file, &mut self.room);
        self.sent(sent)
    }

    /// Sends records that are made of pages; the buffer is empty.
    pub(super) fn send_pages(&mut self, pages: &mut Pages) -> io::Result<()> {
        self.may_send()?;
        let sent = self.loan.slot.send_pages(pages, &mut self.room);
        self.sent(sent)
    }

    /// What the gateway said meanwhile, and the peer had no more room for, is the steward's to send:
    /// it may be long before the next of this answer.
    fn sent<R>(&mut self, sent: io::Result<R>) -> io::Result<R> {
        self.gone |= sent.is_err();
        if self.loan.slot.unsaid.load(Ordering::Relaxed) {
            self.loan.shared.leave_unsaid(self.loan.token);
        }
        sent
    }

    /// Sends the last of an answer, whatever became of its request, to whoever is there.
    #[inline]
    pub(super) fn send_last(&mut self) {
        if !self.gone && !self.out.is_empty() {
            // Nobody is left to be told that it failed: the connection is closing then.
            let sent = self.loan.slot.send(&self.out, &mut self.room);
            let _ = self.sent(sent);
        }
    }

    /// The buffer, with at most so many bytes of memory.
    pub(super) fn give_back(&mut self, most: usize) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out.shrink_to(most);
        out
    }

    fn may_send(&mut self) -> io::Result<()> {
        self.await_body();
        if self.gone || self.request.is_cancelled() {
            self.out.clear();
            return Err(ClientGone.into());
        }
        if self.request.deadline().is_some() && !self.request.begin_answer() {
            self.out.clear();
            return Err(ClientGone.into());
        }
        Ok(())
    }
}

/// From here on a block is sent from where it lies, and not copied.
pub(super) const LARGE: usize = 16 << 10;

/// An answer as it is: its end is that of the connection. There is no STDERR on the wire, so
/// `wsgi.errors` is the gateway's own log.
pub(super) struct Unframed<'c> {
    sender: Sender<'c>,
    apps: &'c dyn Dispatch,
    log: WholeLines,
}

impl<'c> Unframed<'c> {
    pub(super) fn new(sender: Sender<'c>, apps: &'c dyn Dispatch) -> Self {
        Self { sender, apps, log: WholeLines::default() }
    }
}

impl Outgoing for Unframed<'_> {
    fn put(&mut self, data: &[u8]) -> io::Result<()> {
        if data.len() >= LARGE {
            return self.sender.send(&mut [IoSlice::new(data)]);
        }
        self.sender.out.extend_from_slice(data);
        if self.sender.out.len() < LARGE { Ok(()) } else { self.sender.send(&mut []) }
    }

    fn put_stderr(&mut self, data: &[u8]) -> io::Result<()> {
        self.log.add(data, |lines| self.apps.errors(lines));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.sender.out.is_empty() { Ok(()) } else { self.sender.send(&mut []) }
    }

    fn send_file(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        self.flush()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let sent = self.sender.send_file((file, from, len))?;
        Ok(sent.map(|sent| sent as u64))
    }

    fn end(&mut self, _app_status: u32) {
        if !self.sender.is_cancelled() {
            self.sender.send_last();
        }
    }

    fn give_back(&mut self) -> Vec<u8> {
        self.log.end(|line| self.apps.errors(line));
        self.sender.give_back(2 * LARGE)
    }
}
