//! What waits for a thread: connections to be looked at, and complete requests.

use super::{call::Call, token::Token};
use crate::lock::lock;
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A connection that somebody owes a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// As after an event.
    Enter(Token),
    /// Its reading half was taken from an application, and is held for whoever gets this.
    Held(Token),
}

/// One queue for all threads of a worker process, bounded by `--max-queue`.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// How much there is: read without the lock.
    len: AtomicUsize,
    max: usize,
}

#[derive(Default)]
struct Waiting {
    looks: VecDeque<Look>,
    calls: VecDeque<Box<Call>>,
}

/// Something to do.
pub(super) enum Work {
    Look(Look),
    Call(Box<Call>),
}

impl Queue {
    pub(super) fn new(max: usize) -> Self {
        Self { waiting: Mutex::default(), len: AtomicUsize::new(0), max }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Requests, and connections to be looked at.
    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(super) fn push_look(&self, look: Look) {
        self.lock().looks.push_back(look);
        self.len.fetch_add(1, Ordering::Release);
    }

    /// Puts a request at the end, or gives it back when there are too many.
    pub(super) fn push_call(&self, call: Box<Call>) -> Result<(), Box<Call>> {
        let mut waiting = self.lock();
        if waiting.calls.len() >= self.max {
            return Err(call);
        }
        waiting.calls.push_back(call);
        drop(waiting);
        self.len.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The next thing to do, and whether there is more. Looks go first: they are short, unless a
    /// request comes of them, and that has waited too.
    #[inline]
    pub(super) fn pop(&self) -> Option<(Work, bool)> {
        if self.is_empty() { None } else { self.pop_some() }
    }

    fn pop_some(&self) -> Option<(Work, bool)> {
        let mut waiting = self.lock();
        let look = waiting.looks.pop_front().map(Work::Look);
        let work = look.or_else(|| waiting.calls.pop_front().map(Work::Call))?;
        let more = !waiting.looks.is_empty() || !waiting.calls.is_empty();
        drop(waiting);
        self.len.fetch_sub(1, Ordering::Release);
        Some((work, more))
    }

    /// A request that has waited for longer than `limit`; those that came first are the first here.
    pub(super) fn pop_late(&self, limit: Duration) -> Option<Box<Call>> {
        if self.is_empty() {
            return None;
        }
        let mut waiting = self.lock();
        waiting.calls.front().filter(|call| call.waits_longer_than(limit))?;
        let late = waiting.calls.pop_front()?;
        drop(waiting);
        self.len.fetch_sub(1, Ordering::Release);
        Some(late)
    }

    /// Looks alone: the steward runs no application.
    pub(super) fn pop_look(&self) -> Option<Look> {
        if self.is_empty() {
            return None;
        }
        let look = self.lock().looks.pop_front()?;
        self.len.fetch_sub(1, Ordering::Release);
        Some(look)
    }
}
