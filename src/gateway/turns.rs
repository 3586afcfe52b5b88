//! A lock that serves those who wait in the order in which they came.
//!
//! `Mutex` lets a thread that unlocks lock again before the one it has woken is there: a thread that
//! writes a long answer block after block would keep all its neighbours on the connection waiting.

use crate::lock::lock;
use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicU32, Ordering},
};

/// Turns are numbered, and come round after 2^32.
#[derive(Default)]
pub(super) struct Turns {
    /// The number of the next to come.
    next: AtomicU32,
    /// Whose turn it is.
    now: AtomicU32,
    lock: Mutex<()>,
    changed: Condvar,
}

/// It is the holder's turn until this is dropped.
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    number: u32,
}

impl Turns {
    /// Waits for the turn of whoever asks. Free, it costs two atomic operations.
    #[inline]
    pub(super) fn wait(&self) -> Turn<'_> {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        if self.now.load(Ordering::SeqCst) != number {
            self.wait_for(number);
        }
        Turn { turns: self, number }
    }

    #[cold]
    fn wait_for(&self, number: u32) {
        // Whoever ends his turn changes `now` before he takes the lock: no call is missed.
        let guard = lock(&self.lock);
        let others = |(): &mut ()| self.now.load(Ordering::SeqCst) != number;
        drop(self.changed.wait_while(guard, others).unwrap_or_else(PoisonError::into_inner));
    }

    #[cold]
    fn call_others(&self) {
        drop(lock(&self.lock));
        self.changed.notify_all();
    }

    /// Whether nobody has a turn just now.
    pub(super) fn is_free(&self) -> bool {
        self.now.load(Ordering::SeqCst) == self.next.load(Ordering::SeqCst)
    }

    /// A turn, if nobody has one.
    pub(super) fn try_now(&self) -> Option<Turn<'_>> {
        let number = self.now.load(Ordering::SeqCst);
        let free = self.next.compare_exchange(
            number,
            number.wrapping_add(1),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        free.is_ok().then(|| Turn { turns: self, number })
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        let after = self.number.wrapping_add(1);
        self.turns.now.store(after, Ordering::SeqCst);
        if self.turns.next.load(Ordering::SeqCst) != after {
            self.turns.call_others();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    #[test]
    fn whoever_waits_is_served_before_the_holder_comes_again() {
        let turns = Turns::default();
        let (say, heard) = mpsc::channel();
        thread::scope(|scope| {
            let held = turns.wait();
            let (turns, say_first) = (&turns, say.clone());
            scope.spawn(move || {
                let _turn = turns.wait();
                say_first.send("who waited").unwrap();
            });
            while turns.next.load(Ordering::SeqCst) < 2 {
                thread::yield_now();
            }
            drop(held);
            let _again = turns.wait();
            say.send("who came again").unwrap();
        });
        assert_eq!(heard.recv(), Ok("who waited"));
    }

    #[test]
    fn one_has_it_at_a_time_and_none_is_forgotten() {
        let (turns, count) = (Turns::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let turn = turns.wait();
                        let before = count.load(Ordering::Relaxed);
                        assert!(turns.try_now().is_none());
                        count.store(before + 1, Ordering::Relaxed);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 16_000);
        assert!(turns.try_now().is_some());
    }
}
