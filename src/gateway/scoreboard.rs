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

use super::status::{Busy, Histogram, Process, Snapshot, Totals};
use crate::sys::{SharedWords, monotonic_micros};
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

/// Words of a seat: a whole number of pairs of cache lines.
mod seat {
    /// Odd while what follows, up to the counters, is being changed.
    pub(super) const SEQUENCE: usize = 0;
    /// When the request began that runs, in microseconds of the monotonic clock; 0: none.
    pub(super) const SINCE: usize = 1;
    pub(super) const TEXT_LEN: usize = 2;
    pub(super) const TEXT: usize = 3;
    pub(super) const TEXT_WORDS: usize = 32;
    pub(super) const RECEIVED: usize = TEXT + TEXT_WORDS;
    pub(super) const SENT: usize = RECEIVED + 1;
    /// Two histograms: buckets, then their sum in microseconds.
    pub(super) const APP: usize = SENT + 1;
    pub(super) const HISTOGRAM: usize = super::Histogram::BUCKETS + 1;
    pub(super) const QUEUE: usize = APP + HISTOGRAM;
    /// By status, from 100 on; the last is for what is none of these.
    pub(super) const CODES: usize = QUEUE + HISTOGRAM;
    pub(super) const CODE_COUNT: usize = 501;
    pub(super) const LEN: usize = (CODES + CODE_COUNT).next_multiple_of(16);
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

    fn seat(&self, block: usize, at: usize) -> &[AtomicU64] {
        let begin = block::LEN + at * seat::LEN;
        &self.block(block)[begin..begin + seat::LEN]
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
        let mut totals = Totals::default();
        let mut processes = Vec::new();
        for at in 0..self.blocks {
            let head = self.block(at);
            if head[block::STARTED].load(Relaxed) == 0 {
                continue; // Never used: its memory need not come to be.
            }
            let mut busy = Vec::new();
            for number in 0..self.seats {
                let words = self.seat(at, number);
                read_totals(words, &mut totals);
                busy.extend(read_busy(words, now));
            }
            let pid = u32::try_from(head[block::PID].load(Relaxed)).unwrap_or(0);
            if pid != 0 {
                let started = head[block::STARTED].load(Relaxed);
                processes.push(Process {
                    pid,
                    generation: head[block::GENERATION].load(Relaxed),
                    uptime: Duration::from_micros(now.saturating_sub(started)),
                    threads: self.threads as u64,
                    queued: head[block::QUEUED].load(Relaxed),
                    resident: None,
                    busy,
                });
            }
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
            self.board.seat(self.at, number)[seat::SINCE].store(0, Relaxed);
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
        Seat(self.board.seat(self.at, number.min(self.board.seats - 1)))
    }

    /// So many requests wait for a thread.
    pub(crate) fn tell_queued(&self, queued: usize) {
        self.board.block(self.at)[block::QUEUED].store(queued as u64, Relaxed);
    }
}

/// One thread's counters. Nobody else writes them.
#[derive(Clone, Copy)]
pub(crate) struct Seat<'b>(&'b [AtomicU64]);

/// What a request came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    /// 0: none was sent.
    pub(crate) status: u16,
    /// Bytes of bodies.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// In the application, and before that in the queue.
    pub(crate) app: Duration,
    pub(crate) queue: Duration,
}

impl Seat<'_> {
    /// A request runs from now on; `text` says which, as far as there is room.
    pub(crate) fn begin<'t>(&self, now: u64, text: impl IntoIterator<Item = &'t [u8]>) {
        let sequence = self.0[seat::SEQUENCE].load(Relaxed);
        self.0[seat::SEQUENCE].store(sequence | 1, Relaxed);
        std::sync::atomic::fence(std::sync::atomic::Ordering::Release);
        let (mut word, mut len) = (0, 0);
        for byte in text.into_iter().flatten().take(seat::TEXT_WORDS * 8) {
            word |= u64::from(*byte) << (len % 8 * 8);
            len += 1;
            if len % 8 == 0 {
                self.0[seat::TEXT + len / 8 - 1].store(word, Relaxed);
                word = 0;
            }
        }
        if len % 8 != 0 {
            self.0[seat::TEXT + len / 8].store(word, Relaxed);
        }
        self.0[seat::TEXT_LEN].store(len as u64, Relaxed);
        self.0[seat::SINCE].store(now.max(1), Relaxed);
        self.0[seat::SEQUENCE].store((sequence | 1) + 1, std::sync::atomic::Ordering::Release);
    }

    /// It has ended.
    pub(crate) fn end(&self, visit: &Visit) {
        self.rest();
        self.count(visit);
        add(&self.0[seat::RECEIVED], visit.received);
        for (at, time) in [(seat::APP, visit.app), (seat::QUEUE, visit.queue)] {
            add(&self.0[at + Histogram::bucket(time)], 1);
            add(&self.0[at + Histogram::BUCKETS], time.as_micros() as u64);
        }
    }

    /// Nothing runs.
    pub(crate) fn rest(&self) {
        self.0[seat::SINCE].store(0, Relaxed);
    }

    /// A request was refused without running.
    pub(crate) fn count(&self, visit: &Visit) {
        let code = usize::from(visit.status).wrapping_sub(100).min(seat::CODE_COUNT - 1);
        add(&self.0[seat::CODES + code], 1);
        add(&self.0[seat::SENT], visit.sent);
    }
}

/// There is one writer.
fn add(word: &AtomicU64, n: u64) {
    word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
}

fn read_totals(words: &[AtomicU64], totals: &mut Totals) {
    let number = |at: usize| words[at].load(Relaxed);
    for (at, count) in totals.codes.iter_mut().enumerate() {
        *count = count.wrapping_add(number(seat::CODES + at));
    }
    totals.received = totals.received.wrapping_add(number(seat::RECEIVED));
    totals.sent = totals.sent.wrapping_add(number(seat::SENT));
    for (histogram, from) in [(&mut totals.app, seat::APP), (&mut totals.queue, seat::QUEUE)] {
        for (at, count) in histogram.buckets.iter_mut().enumerate() {
            *count = count.wrapping_add(number(from + at));
        }
        histogram.micros = histogram.micros.wrapping_add(number(from + Histogram::BUCKETS));
    }
}

fn read_busy(words: &[AtomicU64], now: u64) -> Option<Busy> {
    use std::sync::atomic::{Ordering::Acquire, fence};
    let mut text = Vec::new();
    // Whoever writes is done in a moment; who died meanwhile never is.
    for _ in 0..8 {
        let sequence = words[seat::SEQUENCE].load(Acquire);
        let since = words[seat::SINCE].load(Relaxed);
        if since == 0 {
            return None;
        }
        let most = seat::TEXT_WORDS * 8;
        let len = usize::try_from(words[seat::TEXT_LEN].load(Relaxed)).unwrap_or(most).min(most);
        text.clear();
        let texts = &words[seat::TEXT..seat::TEXT + seat::TEXT_WORDS];
        text.extend(texts.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).take(len));
        fence(Acquire);
        if sequence.is_multiple_of(2) && words[seat::SEQUENCE].load(Relaxed) == sequence {
            let age = Duration::from_micros(now.saturating_sub(since));
            return Some(Busy { age, text, is_cut: len == most });
        }
        std::hint::spin_loop();
    }
    None
}

#[cfg(test)]
const _: () = assert!(seat::CODE_COUNT == Totals::CODES);

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(status: u16) -> Visit {
        let (app, queue) = (Duration::from_millis(3), Duration::from_micros(10));
        Visit { status, received: 5, sent: 7, app, queue }
    }

    #[test]
    fn no_two_threads_write_into_one_pair_of_cache_lines() {
        const PAIR: usize = 128;
        let board = Scoreboard::new(2, 3).unwrap();
        let mut pairs = std::collections::HashSet::new();
        for block in 0..board.blocks {
            // Its first words are the steward's; the seats are a thread's each.
            let head = &board.block(block)[..block::LEN];
            for own in (0..board.seats).map(|at| board.seat(block, at)).chain([head]) {
                let range = own.as_ptr_range();
                assert_eq!((range.start.addr() % PAIR, range.end.addr() % PAIR), (0, 0));
                assert!(pairs.insert(range.start), "two have one place");
            }
        }
    }

    #[test]
    fn what_a_worker_counted_stays_when_it_dies_and_the_next_one_goes_on() {
        let board = Arc::new(Scoreboard::new(2, 3).unwrap());
        let place = board.place(1).unwrap();
        place.taken_by(77);
        let block = Block::new(Arc::clone(&board), place.number()).unwrap();
        let seat = block.seat(block.take_seat().unwrap());
        seat.begin(1, [&b"GET "[..], b"/one"]);
        seat.end(&visit(200));
        seat.begin(1, [&b"GET "[..], b"/two"]);
        block.tell_queued(4);
        let read = board.read();
        assert_eq!(read.totals.of(200), 1);
        assert_eq!((read.totals.received, read.totals.sent), (5, 7));
        let [process] = &read.processes[..] else { panic!("{read:?}") };
        assert_eq!((process.pid, process.threads, process.queued), (77, 3, 4));
        assert_eq!(process.busy[0].text, b"GET /two");

        drop(place); // It was killed in the middle.
        let read = board.read();
        assert!(read.processes.is_empty() && read.totals.of(200) == 1);
        let place = board.place(1).unwrap();
        let block = Block::new(Arc::clone(&board), place.number()).unwrap();
        block.seat(block.take_seat().unwrap()).end(&visit(200));
        assert_eq!(board.read().totals.of(200), 2);
    }

    #[test]
    fn every_status_has_its_count_and_what_is_none_has_one_too() {
        let board = Arc::new(Scoreboard::new(1, 1).unwrap());
        let _place = board.place(1).unwrap();
        let block = Block::new(Arc::clone(&board), 0).unwrap();
        for status in [0, 99, 100, 404, 599, 600, u16::MAX] {
            block.seat(0).end(&visit(status));
        }
        let totals = board.read().totals;
        assert_eq!((totals.of(100), totals.of(404), totals.of(599), totals.of(0)), (1, 1, 1, 4));
        assert_eq!((totals.app.count(), totals.app.micros), (7, 21_000));
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let board = Arc::new(Scoreboard::new(1, 1).unwrap());
        let place = board.place(1).unwrap();
        place.taken_by(1);
        let block = Block::new(Arc::clone(&board), 0).unwrap();
        for len in [0, 1, 7, 8, 9, 255, 256, 300, 1 << 20] {
            let text: Vec<u8> = (0..len).map(|at| at as u8).collect();
            block.seat(0).begin(1, [&text[..]]);
            let busy = &board.read().processes[0].busy[0];
            assert_eq!((&busy.text[..], busy.is_cut), (&text[..len.min(256)], len >= 256));
        }
    }

    #[test]
    fn seats_and_blocks_are_given_out_as_many_as_there_are() {
        let board = Arc::new(Scoreboard::new(1, 1).unwrap());
        let places: Vec<_> = std::iter::from_fn(|| board.place(1)).collect();
        assert_eq!(places.len(), 20);
        let block = Block::new(Arc::clone(&board), 19).unwrap();
        assert_eq!(std::iter::from_fn(|| block.take_seat()).count(), 1 + EXTRA_SEATS);
        assert!(Block::new(board, 20).is_none());
    }

    #[test]
    fn another_process_finds_the_same_and_refuses_what_is_none() {
        let board = Arc::new(Scoreboard::new(1, 2).unwrap());
        let again =
            |board: &Scoreboard| Scoreboard::inherited(board.as_fd().try_clone_to_owned().unwrap());
        board.count_restart();
        board.count_reload();
        let read = again(&board).unwrap().read();
        assert_eq!((read.restarts, read.reloads), (1, 1));
        board.head(head::BLOCKS).store(u64::MAX / 2, Relaxed);
        assert!(again(&board).is_err());
        board.head(head::MAGIC).store(1, Relaxed);
        assert!(again(&board).is_err());
    }
}
