//! Counters in memory that all processes of a server share.
//!
//! ```text
//! head | block 0: head, seat 0, seat 1, … | block 1: …
//! ```
//!
//! A worker has a block, and each of its threads a seat in it, which that thread alone writes: so a
//! count is a load and a store. Counts are never taken back: the worker that comes after a dead one
//! goes on where it stopped, and totals are right however often workers come and go.
//!
//! The supervisor makes the memory and gives out the blocks. What it reads there are numbers that
//! a worker may have written as it liked: none is used as an index, a length or a size.

mod seat;
#[cfg(test)]
mod tests;

use super::status::{Process, Snapshot, Totals};
use crate::sys::{SharedWords, monotonic_micros};
pub(crate) use seat::{Seat, Visit};
use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the head begins with: another layout gets another number.
const MAGIC: u64 = 0x6367_6967_6174_6501;

/// Words of the head.
mod head {
    pub(super) const MAGIC: usize = 0;
    pub(super) const BLOCKS: usize = 1;
    pub(super) const SEATS: usize = 2;
    /// Threads that run applications, in a worker.
    pub(super) const THREADS: usize = 3;
    /// Milliseconds since 1970.
    pub(super) const STARTED: usize = 4;
    pub(super) const RESTARTS: usize = 5;
    pub(super) const RELOADS: usize = 6;
    /// The same moment in microseconds of the monotonic clock.
    pub(super) const BEGAN: usize = 7;
    pub(super) const LEN: usize = 16;
}

/// Words at the beginning of a block.
mod block {
    /// 0: nobody has it.
    pub(super) const PID: usize = 0;
    pub(super) const GENERATION: usize = 1;
    /// Microseconds of the monotonic clock.
    pub(super) const STARTED: usize = 2;
    /// Requests that wait for a thread.
    pub(super) const QUEUED: usize = 3;
    pub(super) const LEN: usize = 16;
}

/// The memory, as whoever reads it and whoever gives out its blocks has it.
#[derive(Debug)]
pub(crate) struct Scoreboard {
    memory: SharedWords,
    blocks: usize,
    seats: usize,
    threads: usize,
}

impl Scoreboard {
    /// For so many workers at a time, and those that end while others begin, of `threads` each.
    ///
    /// # Errors
    /// The system has no memory that can be shared.
    pub(crate) fn new(workers: usize, threads: usize) -> io::Result<Self> {
        let (blocks, seats) = (4 * workers + 16, threads + EXTRA_SEATS);
        let memory = SharedWords::new(head::LEN + blocks * block_len(seats))?;
        let words = memory.words();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for (at, value) in [
            (head::MAGIC, MAGIC),
            (head::BLOCKS, blocks as u64),
            (head::SEATS, seats as u64),
            (head::THREADS, threads as u64),
            (head::STARTED, now.as_millis() as u64),
            (head::BEGAN, monotonic_micros()),
        ] {
            words[at].store(value, Relaxed);
        }
        Ok(Self { memory, blocks, seats, threads })
    }

    /// What a supervisor has made, which may be of another version.
    ///
    /// # Errors
    /// It is no scoreboard of this layout.
    pub(crate) fn inherited(file: OwnedFd) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidInput, "a scoreboard of another kind");
        let memory = SharedWords::of(file)?;
        let words = memory.words();
        if words.len() < head::LEN || words[head::MAGIC].load(Relaxed) != MAGIC {
            return Err(wrong());
        }
        let number = |at: usize| usize::try_from(words[at].load(Relaxed)).map_err(|_| wrong());
        let (blocks, seats) = (number(head::BLOCKS)?, number(head::SEATS)?);
        let threads = number(head::THREADS)?;
        let len = seats.checked_mul(seat::LEN).and_then(|len| {
            len.checked_add(block::LEN)?.checked_mul(blocks)?.checked_add(head::LEN)
        });
        if len != Some(words.len()) || seats < EXTRA_SEATS {
            return Err(wrong());
        }
        Ok(Self { memory, blocks, seats, threads })
    }

    fn head(&self, at: usize) -> &AtomicU64 {
        &self.memory.words()[at]
    }

    fn block(&self, at: usize) -> &[AtomicU64] {
        let begin = head::LEN + at * block_len(self.seats);
        &self.memory.words()[begin..begin + block_len(self.seats)]
    }

    fn seat(&self, block: usize, at: usize) -> Seat<'_> {
        let begin = block::LEN + at * seat::LEN;
        Seat(&self.block(block)[begin..begin + seat::LEN])
    }

    /// One worker more has died and was replaced.
    pub(crate) fn count_restart(&self) {
        add(self.head(head::RESTARTS), 1);
    }

    /// New workers have taken over.
    pub(crate) fn count_reload(&self) {
        add(self.head(head::RELOADS), 1);
    }

    /// A block that nobody has, for a worker of this generation; `None` when too many workers are
    /// about to end.
    pub(crate) fn place(self: &Arc<Self>, generation: u32) -> Option<Place> {
        let free = |at: &usize| self.block(*at)[block::PID].load(Relaxed) == 0;
        let at = (0..self.blocks).find(free)?;
        let head = self.block(at);
        head[block::GENERATION].store(generation.into(), Relaxed);
        head[block::STARTED].store(monotonic_micros(), Relaxed);
        head[block::PID].store(u64::MAX, Relaxed); // Taken, by a process that has no number yet.
        Some(Place { board: Arc::clone(self), at })
    }

    /// What it says now. What a process has begun and not ended may be the one way or the other.
    pub(crate) fn read(&self) -> Snapshot {
        let now = monotonic_micros();
        let (mut totals, mut processes) = (Totals::default(), Vec::new());
        for at in 0..self.blocks {
            if self.block(at)[block::STARTED].load(Relaxed) == 0 {
                continue; // Never used: its memory need not come to be.
            }
            (0..self.seats).for_each(|number| self.seat(at, number).add_to(&mut totals));
            processes.extend(self.process(at, now));
        }
        Snapshot {
            started: UNIX_EPOCH
                .checked_add(Duration::from_millis(self.head(head::STARTED).load(Relaxed)))
                .unwrap_or(UNIX_EPOCH),
            uptime: Duration::from_micros(now.saturating_sub(self.head(head::BEGAN).load(Relaxed))),
            supervisor: None,
            processes,
            doors: Vec::new(),
            totals,
            restarts: self.head(head::RESTARTS).load(Relaxed),
            reloads: self.head(head::RELOADS).load(Relaxed),
        }
    }

    /// Who has a block.
    fn process(&self, at: usize, now: u64) -> Option<Process> {
        let number = |word: usize| self.block(at)[word].load(Relaxed);
        let pid = u32::try_from(number(block::PID)).ok().filter(|pid| *pid != 0)?;
        Some(Process {
            pid,
            generation: number(block::GENERATION),
            uptime: Duration::from_micros(now.saturating_sub(number(block::STARTED))),
            threads: self.threads as u64,
            queued: number(block::QUEUED),
            resident: None,
            busy: (0..self.seats).filter_map(|number| self.seat(at, number).busy(now)).collect(),
        })
    }
}

impl AsFd for Scoreboard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// Seats beside those of the threads that run applications: for who refuses requests.
const EXTRA_SEATS: usize = 2;

const fn block_len(seats: usize) -> usize {
    block::LEN + seats * seat::LEN
}

/// A worker's block, as whoever starts the worker has it; given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    board: Arc<Scoreboard>,
    at: usize,
}

impl Place {
    /// The block's number.
    pub(crate) fn number(&self) -> usize {
        self.at
    }

    /// The worker has begun, as this process.
    pub(crate) fn taken_by(&self, pid: u32) {
        self.board.block(self.at)[block::PID].store(pid.into(), Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for number in 0..self.board.seats {
            // What was under way has ended with its process.
            self.board.seat(self.at, number).rest();
        }
        let head = self.board.block(self.at);
        head[block::QUEUED].store(0, Relaxed);
        head[block::PID].store(0, Relaxed);
    }
}

/// A worker's block, as its threads have it.
#[derive(Debug)]
pub(crate) struct Block {
    board: Arc<Scoreboard>,
    at: usize,
    taken: AtomicUsize,
}

impl Block {
    /// `None`: there is no such block.
    pub(crate) fn new(board: Arc<Scoreboard>, at: usize) -> Option<Self> {
        (at < board.blocks).then(|| Self { board, at, taken: AtomicUsize::new(0) })
    }

    pub(crate) fn board(&self) -> &Arc<Scoreboard> {
        &self.board
    }

    /// A number for the thread that asks, once; `None` when there are more threads than was said.
    pub(crate) fn take_seat(&self) -> Option<usize> {
        Some(self.taken.fetch_add(1, Relaxed)).filter(|number| *number < self.board.seats)
    }

    /// The seat of that number, which must be one of `take_seat`.
    pub(crate) fn seat(&self, number: usize) -> Seat<'_> {
        self.board.seat(self.at, number.min(self.board.seats - 1))
    }

    /// So many requests wait for a thread.
    pub(crate) fn tell_queued(&self, queued: usize) {
        self.board.block(self.at)[block::QUEUED].store(queued as u64, Relaxed);
    }
}

/// There is one writer.
fn add(word: &AtomicU64, n: u64) {
    word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
}
