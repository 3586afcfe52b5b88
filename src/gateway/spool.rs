//! A body on its way from whoever reads the connection to the application that wants it.
//!
//! Used where the application is not itself the reader: several requests share the connection, or
//! it does something else while its web server goes on sending (mod_cgi, mod_cgid and fcgiwrap
//! write the whole body before they read a byte of the answer). 64 KiB stay in memory; what is
//! beyond goes to files that have no name.

use super::roll::Roll;
use crate::{
    lock::lock,
    types::{ClientGone, RequestFault},
};
use std::{
    io,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Bytes kept in memory before the rest goes to files.
const IN_MEMORY: usize = 64 << 10;

/// How a body came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it is there.
    Whole,
    /// The peer stopped sending before.
    CutShort,
    /// The request was aborted, or the peer has gone.
    Gone,
    /// It is longer than `--max-body`, or could not be kept.
    TooLong,
}

/// One body between two threads.
#[derive(Default)]
pub(super) struct Spool {
    /// Somebody has had to do with it.
    used: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    memory: Vec<u8>,
    /// How much of it was read.
    taken: usize,
    /// What came behind that.
    roll: Roll,
    total: u64,
    end: Option<End>,
    failed: Option<io::Error>,
    /// Threads that wait for something to happen.
    waiting: usize,
}

impl Spool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.used.store(true, Ordering::Relaxed);
        lock(&self.state)
    }

    /// Whether it is as new: most requests have no body, or leave it where it was received.
    pub(super) fn is_new(&self) -> bool {
        !self.used.load(Ordering::Relaxed)
    }

    /// As new.
    pub(super) fn clear(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut memory = std::mem::take(&mut state.memory);
        memory.clear();
        *state = State { memory, ..State::default() };
        *self.used.get_mut() = false;
    }

    /// Adds a piece; beyond `max` bytes the body ends as too long.
    pub(super) fn push(&self, piece: &[u8], max: Option<u64>) {
        let mut state = self.lock();
        if state.admit(piece.len(), max)
            && let Err(error) = state.keep(piece)
        {
            state.failed = Some(error);
        }
        self.tell(&state);
    }

    /// The roll, to receive into: whoever has it is the only one who adds to this body.
    #[cfg(target_os = "linux")]
    pub(super) fn lend_roll(&self) -> Roll {
        std::mem::take(&mut self.lock().roll)
    }

    /// Whether so many bytes more may be added to it: beyond `max` the body ends as too long.
    #[cfg(target_os = "linux")]
    pub(super) fn admit(&self, len: usize, max: Option<u64>) -> bool {
        self.lock().admit(len, max)
    }

    /// Here it is again; `failed` is why it has not got all.
    #[cfg(target_os = "linux")]
    pub(super) fn take_back(&self, roll: Roll, failed: Option<io::Error>) {
        let mut state = self.lock();
        if !roll.is_empty() {
            state.roll = roll;
        }
        state.failed = failed.or(state.failed.take());
        self.tell(&state);
    }

    /// All that there is, to be read where it lies, if none of it is in memory.
    #[cfg(target_os = "linux")]
    pub(super) fn take_roll(&self) -> Option<Roll> {
        let mut state = self.lock();
        let first = state.memory.is_empty() && state.end != Some(End::Gone);
        (first && !state.roll.is_empty()).then(|| std::mem::take(&mut state.roll))
    }

    /// Nothing more comes. The first end holds, but for a departure, which always does.
    pub(super) fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() || end == End::Gone {
            state.end = Some(end);
        }
        self.tell(&state);
    }

    /// Wakes whoever waits: that is a system call even where nobody does.
    fn tell(&self, state: &State) {
        if state.waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits until more has come, or the end: false after `limit` without either.
    pub(super) fn wait_for_more(&self, limit: Duration) -> bool {
        let mut state = self.lock();
        state.waiting += 1;
        let before = state.total;
        let still = |state: &mut State| state.end.is_none() && state.total == before;
        let waited = self.changed.wait_timeout_while(state, limit, still);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        !waited.timed_out()
    }

    /// Moves what is there into what `room` gives for so many bytes, as far as it fits. `None`:
    /// nothing yet; 0: the end.
    ///
    /// # Errors
    /// The body ended before its end.
    pub(super) fn take<'b>(
        &self,
        room: impl FnOnce(usize) -> &'b mut [u8],
    ) -> io::Result<Option<usize>> {
        self.lock().take(room)
    }

    /// The same, into a block of its own length, which is empty at the end. False: nothing yet.
    pub(super) fn take_block(&self, block: &mut Vec<u8>) -> io::Result<bool> {
        block.clear();
        let taken = self.take(|there| {
            block.resize(there.min(IN_MEMORY), 0);
            block
        })?;
        Ok(taken.is_some())
    }

    /// Waits until there is something to take, up to `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let mut state = self.lock();
        state.waiting += 1;
        let waited = self.changed.wait_timeout_while(state, limit, |state| state.has_nothing());
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }
}

impl State {
    fn admit(&mut self, len: usize, max: Option<u64>) -> bool {
        if self.end.is_some() {
            return false;
        }
        self.total += len as u64;
        if max.is_some_and(|max| self.total > max) {
            self.end = Some(End::TooLong);
        }
        self.end.is_none()
    }

    fn keep(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.roll.is_empty() && self.memory.len() + piece.len() <= IN_MEMORY {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        self.roll.push(piece)
    }

    fn has_nothing(&self) -> bool {
        self.memory.is_empty()
            && self.roll.is_empty()
            && self.end.is_none()
            && self.failed.is_none()
    }

    fn take<'b>(&mut self, room: impl FnOnce(usize) -> &'b mut [u8]) -> io::Result<Option<usize>> {
        if self.end == Some(End::Gone) {
            return Err(ClientGone.into());
        }
        // What is in memory came first.
        let there = &self.memory[self.taken..];
        if !there.is_empty() {
            let into = room(there.len());
            let n = there.len().min(into.len());
            into[..n].copy_from_slice(&there[..n]);
            self.taken += n;
            if self.taken == self.memory.len() {
                self.taken = 0;
                self.memory.clear();
            }
            return Ok(Some(n));
        }
        let there = self.roll.front();
        if !there.is_empty() {
            let into = room(there.len());
            let n = there.len().min(into.len());
            into[..n].copy_from_slice(&there[..n]);
            self.roll.consume(n);
            return Ok(Some(n));
        }
        if let Some(error) = self.failed.take() {
            self.end = Some(End::TooLong);
            return Err(error);
        }
        match self.end {
            None => Ok(None),
            Some(End::Whole) => Ok(Some(0)),
            Some(End::CutShort) => Err(RequestFault::BodyCutShort { missing: 0 }.into()),
            Some(End::TooLong) => Err(RequestFault::BodyTooLong { limit: self.total }.into()),
            Some(End::Gone) => Err(ClientGone.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(spool: &Spool) -> Vec<u8> {
        let (mut all, mut room) = (Vec::new(), [0; 50_000]);
        loop {
            match spool.take(|_| &mut room).expect("a body").expect("it has ended") {
                0 => return all,
                n => all.extend_from_slice(&room[..n]),
            }
        }
    }

    #[test]
    fn a_body_larger_than_memory_comes_out_as_it_went_in() {
        let spool = Spool::default();
        let body: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        body.chunks(7_001).for_each(|piece| spool.push(piece, None));
        spool.end(End::Whole);
        assert!(drain(&spool) == body);
    }

    #[test]
    fn what_came_before_an_early_end_is_still_read_and_then_the_fault() {
        let (spool, mut room) = (Spool::default(), [0; 10]);
        spool.push(b"half", None);
        spool.end(End::CutShort);
        assert_eq!(spool.take(|_| &mut room).ok(), Some(Some(4)));
        let error = spool.take(|_| &mut room).expect_err("cut short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_departure_holds_at_once() {
        let spool = Spool::default();
        spool.push(b"half", None);
        spool.end(End::Whole);
        spool.end(End::Gone);
        let error = spool.take(|_| &mut []).expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn a_body_over_the_limit_is_not_kept() {
        let spool = Spool::default();
        spool.push(&[0; 11], Some(10));
        let error = spool.take(|_| &mut []).expect_err("too long");
        assert!(RequestFault::find(&error.into()).is_some());
    }
}
