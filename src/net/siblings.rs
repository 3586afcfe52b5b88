//! What the workers of one server know of each other: whether another has a thread to spare.
//!
//! They share their listeners. A worker whose threads are all in applications leaves new connections
//! in the kernel's queue, where the first to have a thread finds them, while another has one or had
//! one lately. When none had, all of them take connections, so that those who wait are counted,
//! timed and refused.
//!
//! ```text
//! worker 0: for web servers, for HTTP | worker 1: …
//! ```

use crate::sys::{SharedWords, monotonic_micros};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Words of a worker: its servers have threads of their own.
const SERVERS: usize = 2;

/// What a word says: there is no such worker, it has a thread to spare, or else since when it has
/// none, in microseconds of the clock that only goes forward.
const NOBODY: u64 = 0;
const ROOM: u64 = u64::MAX;

/// How lately somebody must have had a thread for connections to be left to him.
const LATELY: Duration = Duration::from_secs(1);

/// A server of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    /// FastCGI, SCGI and uwsgi.
    WebServers = 0,
    Http = 1,
}

/// The memory that all of them share.
#[derive(Debug)]
pub(crate) struct Vacancies(SharedWords);

impl Vacancies {
    /// For so many workers at a time, and those that end while others begin.
    ///
    /// # Errors
    /// The system has no memory that can be shared.
    pub(crate) fn new(workers: usize) -> io::Result<Self> {
        SharedWords::new((4 * workers + 16) * SERVERS).map(Self)
    }

    /// What a supervisor has made.
    ///
    /// # Errors
    /// It is no memory that can be shared.
    pub(crate) fn inherited(file: OwnedFd) -> io::Result<Self> {
        SharedWords::of(file).map(Self)
    }

    fn of(&self, at: usize) -> Option<&[AtomicU64]> {
        self.0.words().get(at * SERVERS..(at + 1) * SERVERS)
    }

    /// The words of a worker that is about to begin; `None` when too many are about to end.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Lodging> {
        let is_free = |words: &[AtomicU64]| words[0].load(Relaxed) == NOBODY;
        let at = self.0.words().chunks_exact(SERVERS).position(is_free)?;
        let lodging = Lodging { vacancies: Arc::clone(self), at };
        // In a moment it will have threads.
        lodging.say(monotonic_micros());
        Some(lodging)
    }
}

impl AsFd for Vacancies {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The words of one worker, as whoever starts it has them; its death gives them back.
#[derive(Debug)]
pub(crate) struct Lodging {
    vacancies: Arc<Vacancies>,
    at: usize,
}

impl Lodging {
    pub(crate) fn number(&self) -> usize {
        self.at
    }

    fn say(&self, what: u64) {
        let words = self.vacancies.of(self.at).unwrap_or_default();
        words.iter().for_each(|word| word.store(what, Relaxed));
    }
}

impl Drop for Lodging {
    fn drop(&mut self) {
        self.say(NOBODY);
    }
}

/// One server of a worker among those of the same kind in other workers; by default there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Siblings(Option<(Arc<Vacancies>, usize)>, Duration);

impl Siblings {
    /// `at` is the number of the worker's [`Lodging`]; of one that is none there is nothing to know.
    pub(crate) fn new(vacancies: Arc<Vacancies>, at: usize, counter: Counter) -> Self {
        let known = vacancies.of(at).is_some();
        Self(known.then(|| (vacancies, at * SERVERS + counter as usize)), LATELY)
    }

    /// Those who may wait no longer than `limit` do not wait in the kernel for all of it.
    pub(crate) fn patient(mut self, limit: Option<Duration>) -> Self {
        self.1 = limit.map_or(LATELY, |limit| LATELY.min(limit / 2));
        self
    }

    /// Whether there can be any.
    pub(crate) fn are_known(&self) -> bool {
        self.0.is_some()
    }

    /// Whether this server has a thread to spare. Costs next to nothing where that is known.
    pub(crate) fn tell(&self, has_room: bool) {
        let Some((vacancies, own)) = &self.0 else { return };
        let word = &vacancies.0.words()[*own];
        // Only its own worker writes it: the others' caches keep it until it changes.
        if has_room != (word.load(Relaxed) == ROOM) {
            word.store(if has_room { ROOM } else { monotonic_micros() }, Relaxed);
        }
    }

    /// Whether another one has, or had lately.
    pub(crate) fn have_room(&self) -> bool {
        let Some((vacancies, own)) = &self.0 else { return false };
        let words = vacancies.0.words().iter().enumerate();
        let mut others = words.skip(own % SERVERS).step_by(SERVERS).filter(|(at, _)| at != own);
        let lately = monotonic_micros().saturating_sub(self.1.as_micros() as u64);
        others.any(|(_, word)| word.load(Relaxed) > lately)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_room_is_known_to_the_others_of_its_kind_until_it_dies() {
        let ours = Arc::new(Vacancies::new(2).unwrap());
        let (one, two) = (ours.place().unwrap(), ours.place().unwrap());
        let file = ours.as_fd().try_clone_to_owned().unwrap();
        let theirs = Arc::new(Vacancies::inherited(file).unwrap());
        let limit = Some(Duration::from_millis(1));
        let first = Siblings::new(Arc::clone(&ours), one.number(), Counter::WebServers);
        let first = first.patient(limit);
        let second = Siblings::new(Arc::clone(&theirs), two.number(), Counter::WebServers);
        let http = Siblings::new(Arc::clone(&theirs), two.number(), Counter::Http);
        assert!(second.have_room(), "one that begins will have it soon");
        first.tell(true);
        http.tell(true);
        while first.have_room() {
            std::thread::yield_now(); // It is no sibling of its own, nor of another kind.
        }
        second.tell(true);
        assert!(first.have_room());
        second.tell(false);
        assert!(first.clone().patient(None).have_room(), "it had a moment ago");
        while first.have_room() {
            std::thread::yield_now();
        }
        second.tell(true);
        drop(two);
        assert!(!first.have_room(), "it is dead");
        assert_eq!(ours.place().unwrap().number(), 1);
    }

    #[test]
    fn who_knows_nobody_takes_all() {
        let alone = Siblings::default();
        alone.tell(true);
        assert!(!alone.are_known() && !alone.have_room());
        let ours = Arc::new(Vacancies::new(1).unwrap());
        assert!(!Siblings::new(ours, 1 << 20, Counter::Http).are_known());
    }
}
