//! A body on its way from whoever reads the connection to the application that wants it.
//!
//! Used where the application is not itself the reader: several requests share the connection, or
//! it does something else while its web server goes on sending (mod_cgi, mod_cgid and fcgiwrap
//! write the whole body before they read a byte of the answer). 64 KiB stay in memory; what is
//! beyond goes to a file that has no name.

use super::nameless::{SHELF, Scratch};
use crate::{
    sys,
    types::{ClientGone, RequestFault},
};
use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Bytes kept in memory before the rest goes to a file.
pub(super) const IN_MEMORY: usize = 64 << 10;

/// Bytes that come out of the file at once: as much as a Unix socket takes at once.
const AT_ONCE: usize = 256 << 10;

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
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    memory: Vec<u8>,
    file: Option<Scratch>,
    written: u64,
    read: u64,
    total: u64,
    end: Option<End>,
    failed: Option<io::Error>,
    /// Threads that wait for something to happen.
    waiting: usize,
}

impl Spool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As new.
    pub(super) fn clear(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Most requests have no body, or leave it where it was received.
        if state.total > 0 || state.end.is_some() || state.failed.is_some() {
            let mut memory = std::mem::take(&mut state.memory);
            memory.clear();
            *state = State { memory, ..State::default() };
        }
    }

    /// Adds a piece; beyond `max` bytes the body ends as too long.
    pub(super) fn push(&self, piece: &[u8], max: Option<u64>) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.total += piece.len() as u64;
        if max.is_some_and(|max| state.total > max) {
            state.end = Some(End::TooLong);
        } else if let Err(error) = state.keep(piece) {
            state.failed = Some(error);
        }
        self.tell(&state);
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

    /// Moves what is there into `into`, in the place of what was in it. `Ok(false)`: nothing yet,
    /// and `into` is as it was. `Ok(true)` with nothing in `into`: the end.
    ///
    /// # Errors
    /// The body ended before its end.
    pub(super) fn take(&self, into: &mut Vec<u8>) -> io::Result<bool> {
        let mut state = self.lock();
        state.take(into)
    }

    /// As `take`, but waits for something to happen; `Ok(false)` after `limit`.
    pub(super) fn wait(&self, into: &mut Vec<u8>, limit: Duration) -> io::Result<bool> {
        let mut state = self.lock();
        if state.take(into)? {
            return Ok(true);
        }
        state.waiting += 1;
        let waited = self.changed.wait_timeout(state, limit);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.take(into)
    }
}

impl State {
    fn keep(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + piece.len() <= IN_MEMORY {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(SHELF.file()?),
        };
        sys::write_all_at(file, piece, self.written)?;
        self.written += piece.len() as u64;
        Ok(())
    }

    fn take(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        if self.end == Some(End::Gone) {
            return Err(ClientGone.into());
        }
        // What is in memory came first.
        if !self.memory.is_empty() {
            std::mem::swap(&mut self.memory, into);
            self.memory.clear();
            return Ok(true);
        }
        if let Some(file) = &self.file
            && self.read < self.written
        {
            // The smaller of the two fits in usize, since AT_ONCE does.
            let n = (self.written - self.read).min(AT_ONCE as u64) as usize;
            into.resize(n, 0);
            sys::read_exact_at(file, into, self.read)?;
            self.read += n as u64;
            return Ok(true);
        }
        if self.file.is_some() {
            // All of it was read: what comes now may stay in memory again.
            (self.file, self.read, self.written) = (None, 0, 0);
        }
        if let Some(error) = self.failed.take() {
            self.end = Some(End::TooLong);
            return Err(error);
        }
        match self.end {
            None => Ok(false),
            Some(End::Whole) => {
                into.clear();
                Ok(true)
            }
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
        let (mut all, mut piece) = (Vec::new(), Vec::new());
        loop {
            assert!(spool.take(&mut piece).expect("a body"), "it has ended");
            if piece.is_empty() {
                return all;
            }
            all.extend_from_slice(&piece);
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
        let (spool, mut piece) = (Spool::default(), Vec::new());
        spool.push(b"half", None);
        spool.end(End::CutShort);
        assert!(spool.take(&mut piece).is_ok_and(|there| there));
        piece.clear();
        let error = spool.take(&mut piece).expect_err("cut short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_departure_holds_at_once() {
        let (spool, mut piece) = (Spool::default(), Vec::new());
        spool.push(b"half", None);
        spool.end(End::Whole);
        spool.end(End::Gone);
        let error = spool.take(&mut piece).expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[test]
    fn a_body_over_the_limit_is_not_kept() {
        let (spool, mut piece) = (Spool::default(), Vec::new());
        spool.push(&[0; 11], Some(10));
        let error = spool.take(&mut piece).expect_err("too long");
        assert!(RequestFault::find(&error.into()).is_some());
    }
}
