//! Where connections live: slots that are reused and never freed, each ruled by one atomic word.
//!
//! ```text
//! bit 0      HELD     somebody holds the reading half: may receive, and parse what came
//! bit 1      MORE     an event came meanwhile: the holder looks again before it leaves
//! bit 2      CLOSING  nothing new is served; the last one out closes the descriptor
//! bit 3      LENT     with HELD: held by an application that has a body to read, but is not
//!                     reading just now; the steward may take the reading half from it
//! bits 4-31  RUNS     requests that are queued or running
//! bits 32-63          generation: changes when the slot is given back, so that old events miss
//! ```
//!
//! # No wake-up is lost
//!
//! Descriptors are registered edge-triggered: bytes that come after a read found nothing make an
//! event, once, for somebody. Its [`enter`](Slot::enter) comes after the bytes.
//!
//! 1. Either it gets the reading half, and reads them; or HELD is set, and it leaves MORE there.
//!    Changes of one word have one order: the holder's [`leave`](Slot::leave) fails if MORE is
//!    there. It takes MORE away *before* it reads again, so that read is after the bytes.
//! 2. [`leave_running`](Slot::leave_running) does not read again, but says whether MORE was there.
//!    Then the thread owes the connection a look: it enters anew after the application, and until
//!    then the steward can pass the debt on.
//! 3. While LENT is set MORE stays. The application takes both away when it reads on, or the
//!    steward does when it passes the reading half on: either reads afterwards.
//! 4. A connection is registered while HELD, before it is first let go; registering reports what
//!    is there already. One that ends with the request that runs is owed a look in its place: most
//!    are closed before the steward passes that on, and whoever takes the look registers it.
//! 5. A read that filled its buffer has not emptied the socket, and no event will tell: that is
//!    owed like MORE, and said by setting it.
//!
//! Whoever brings about a word with CLOSING, without HELD and with no RUNS closes: it changes the
//! generation by compare-exchange *before* the descriptor is closed, so exactly one does, and the
//! slot goes back to the free ones last.

use super::{known::Known, token::Token, turns::Turns};
use crate::{lock::lock, sys::SocketCell};
use std::{
    os::fd::{OwnedFd, RawFd},
    sync::{
        Mutex, MutexGuard, OnceLock, TryLockError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

const HELD: u64 = 1;
const MORE: u64 = 2;
const CLOSING: u64 = 4;
const LENT: u64 = 8;
const RUN: u64 = 16;
const RUNS: u64 = 0xffff_fff0;

/// How the reading half is left while a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Anybody may have it.
    Free,
    /// The request's own body comes next: it is kept, but the steward may take it away.
    Lent,
}

/// What epoll tells of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// It does not know it yet.
    Nothing,
    /// What comes, and its end.
    Everything,
    /// That the peer has gone: the request whose body is coming reads for itself.
    Departure,
}

/// One connection, or room for one.
#[repr(align(64))] // Cache lines of its own: threads that serve neighbours share none.
pub(super) struct Slot {
    state: AtomicU64,
    pub(super) socket: SocketCell,
    /// When something last happened here, in ticks of the steward's clock (milliseconds).
    pub(super) touched: AtomicU32,
    /// Held for whole records; nobody takes the reading half while holding it.
    pub(super) writer: Turns,
    /// Short answers of the protocol that found the writer busy; its holder sends them along.
    pub(super) outbox: Mutex<Vec<u8>>,
    /// Whether there is anything in it: changed with it locked.
    pub(super) unsaid: AtomicBool,
    /// Sweeps of the steward since the peer took the last of what is in it.
    pub(super) stalled: AtomicU32,
    /// Of the runs, those of requests that were ended because their applications took too long.
    pub(super) lost: AtomicU32,
    /// Whether epoll knows of it, and tells of the peer's departure alone: its reading half's holder's
    /// to say, as the next is.
    registered: AtomicBool,
    hushed: AtomicBool,
    /// Whether what comes next goes behind what stood over, or on with a series.
    pub(super) goes_on: AtomicBool,
    front: Mutex<Known>,
}

impl Slot {
    fn new() -> Self {
        Self {
            state: AtomicU64::new(1 << 32),
            socket: SocketCell::empty(),
            touched: AtomicU32::new(0),
            writer: Turns::default(),
            outbox: Mutex::new(Vec::new()),
            unsaid: AtomicBool::new(false),
            stalled: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            registered: AtomicBool::new(false),
            hushed: AtomicBool::new(false),
            goes_on: AtomicBool::new(false),
            front: Mutex::default(),
        }
    }

    /// What is known of the connection's requests. Locked for moments, and never across a call
    /// that could block; the reading half is what decides who may feed it.
    pub(super) fn front(&self) -> MutexGuard<'_, Known> {
        // A panic between two of its statements would be our own bug: the connection goes on.
        lock(&self.front)
    }

    /// The same, unless somebody has it locked.
    pub(super) fn try_front(&self) -> Option<MutexGuard<'_, Known>> {
        match self.front.try_lock() {
            Ok(front) => Some(front),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Epoll is to tell everything from now on: what it told before.
    pub(super) fn register(&self) -> Watch {
        if self.hushed.load(Ordering::Relaxed) {
            self.hushed.store(false, Ordering::Relaxed);
            return Watch::Departure;
        }
        if self.registered.load(Ordering::Relaxed) {
            return Watch::Everything;
        }
        self.registered.store(true, Ordering::Relaxed);
        Watch::Nothing
    }

    /// Whether epoll knows of it.
    pub(super) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Relaxed)
    }

    /// Epoll is to tell of the peer's departure alone: whether that is new.
    pub(super) fn hush(&self) -> bool {
        self.registered.load(Ordering::Relaxed) && !self.hushed.swap(true, Ordering::Relaxed)
    }

    /// Whether epoll tells nothing of what comes.
    pub(super) fn is_hushed(&self) -> bool {
        self.hushed.load(Ordering::Relaxed)
    }

    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> Result<u64, u64> {
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, change)
    }

    fn state(&self) -> u64 {
        self.state.load(Ordering::Acquire)
    }

    /// An event came. True: the reading half is ours. False: it was meant for a connection that
    /// is no more, or its holder knows of it now.
    pub(super) fn enter(&self, generation: u32) -> bool {
        let before = self.update(|word| {
            if generation_of(word) != generation {
                None
            } else if word & HELD != 0 {
                Some(word | MORE)
            } else {
                Some(word | HELD)
            }
        });
        before.is_ok_and(|word| word & HELD == 0)
    }

    /// Gives the reading half up. `Err`: an event came meanwhile; look again, it is still ours.
    pub(super) fn leave(&self) -> Result<u64, ()> {
        let left = self.update(|word| {
            let stay = word & MORE != 0 && word & CLOSING == 0;
            (!stay).then_some(word & !(HELD | MORE | LENT))
        });
        match left {
            Ok(word) => Ok(word & !(HELD | MORE | LENT)),
            Err(_) => {
                self.state.fetch_and(!MORE, Ordering::AcqRel);
                Err(())
            }
        }
    }

    /// Counts `runs` requests and lets the reading half go. `drained`: the last read emptied the
    /// socket. True: somebody owes the connection a look.
    pub(super) fn leave_running(&self, runs: u32, reading: Reading, drained: bool) -> bool {
        let runs = RUN * u64::from(runs);
        match reading {
            Reading::Free => {
                let before = self.update(|word| Some((word & !(HELD | MORE)) + runs));
                !drained || before.is_ok_and(|word| word & MORE != 0)
            }
            Reading::Lent => {
                let owed = if drained { 0 } else { MORE };
                let _ = self.update(|word| Some((word | LENT | owed) + runs));
                false
            }
        }
    }

    /// The application that has the reading half on loan reads. False: it was taken away.
    pub(super) fn take_back(&self) -> bool {
        self.update(|word| (word & LENT != 0).then_some(word & !(LENT | MORE))).is_ok()
    }

    /// It has read: others may have the reading half if it does not come again soon.
    pub(super) fn lend(&self, drained: bool) {
        let owed = if drained { 0 } else { MORE };
        self.state.fetch_or(LENT | owed, Ordering::AcqRel);
    }

    /// The steward takes the reading half from an application that does not read, if there is
    /// something to look at.
    pub(super) fn take_away(&self, generation: u32) -> bool {
        let wanted = HELD | LENT | MORE;
        let taken = self.update(|word| {
            (generation_of(word) == generation && word & wanted == wanted)
                .then_some(word & !(LENT | MORE))
        });
        taken.is_ok()
    }

    /// Some requests more; the caller holds the reading half.
    pub(super) fn add_runs(&self, runs: u32) {
        self.state.fetch_add(RUN * u64::from(runs), Ordering::AcqRel);
    }

    /// One request less; `close` ends the connection with it.
    pub(super) fn end_run(&self, close: bool) -> u64 {
        let bits = if close { CLOSING } else { 0 };
        let before = self.update(|word| Some((word - RUN) | bits)).unwrap_or_default();
        (before - RUN) | bits
    }

    /// Whether nothing new is served any more.
    pub(super) fn is_closing(&self) -> bool {
        self.state() & CLOSING != 0
    }

    /// Nothing new is served any more.
    pub(super) fn set_closing(&self) {
        self.state.fetch_or(CLOSING, Ordering::AcqRel);
    }

    /// Requests queued or running.
    pub(super) fn runs(&self) -> u64 {
        (self.state() & RUNS) / RUN
    }

    /// Whether a request that somebody waits for is queued or runs.
    pub(super) fn waits(&self) -> bool {
        self.runs() > self.lost.load(Ordering::Acquire).into()
    }

    /// Whether nothing of it is left but runs that nobody waits for.
    pub(super) fn is_lost(&self) -> bool {
        self.is_closing() && self.runs() > 0 && !self.waits()
    }
}

fn generation_of(word: u64) -> u32 {
    (word >> 32) as u32
}

const CHUNK: usize = 128;
const CHUNKS: usize = 4096;

/// All slots of a worker process. A name that nobody has any more still finds a slot, and misses.
pub(super) struct Table {
    chunks: Vec<OnceLock<Box<[Slot]>>>,
    free: Mutex<Free>,
    live: AtomicUsize,
}

#[derive(Default)]
struct Free {
    given_back: Vec<u32>,
    ever: u32,
}

impl Table {
    /// The most connections that there can be at one time.
    pub(super) const CAPACITY: usize = CHUNK * CHUNKS;

    pub(super) fn new() -> Self {
        let chunks = (0..CHUNKS).map(|_| OnceLock::new()).collect();
        Self { chunks, free: Mutex::default(), live: AtomicUsize::new(0) }
    }

    pub(super) fn slot(&self, token: Token) -> &Slot {
        let chunk = &self.chunks[token.index() / CHUNK];
        &chunk.get_or_init(new_chunk)[token.index() % CHUNK]
    }

    /// Connections that are open.
    pub(super) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// The connections that are open, with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Slot)> {
        let ever = lock(&self.free).ever;
        (0..ever).filter_map(|index| {
            let slot = self.slot(Token(u64::from(index)));
            let generation = slot.state() >> 32 << 32;
            (slot.socket.raw() >= 0).then_some((Token(generation | u64::from(index)), slot))
        })
    }

    /// A slot for a new connection, its reading half held; `None` when all are taken.
    pub(super) fn claim(&self, socket: OwnedFd, now: u32) -> Option<Token> {
        let index = {
            let mut free = lock(&self.free);
            match free.given_back.pop() {
                Some(index) => index,
                None if free.ever as usize == Self::CAPACITY => return None,
                None => {
                    free.ever += 1;
                    free.ever - 1
                }
            }
        };
        let slot = self.slot(Token(u64::from(index)));
        slot.touched.store(now, Ordering::Relaxed);
        self.live.fetch_add(1, Ordering::Relaxed);
        // Held before the descriptor shows: whoever walks over the table finds it taken.
        let generation = slot.state.fetch_or(HELD, Ordering::AcqRel) >> 32 << 32;
        slot.socket.put(socket);
        Some(Token(generation | u64::from(index)))
    }

    /// Closes if `word`, which the caller brought about, says that nobody is left; `unwatch` comes
    /// before, for a descriptor that epoll knows.
    pub(super) fn close_if_last(&self, token: Token, word: u64, unwatch: impl FnOnce(RawFd)) {
        if word & CLOSING == 0 || word & (HELD | RUNS) != 0 {
            return;
        }
        let slot = self.slot(token);
        let next = u64::from(generation_of(word).wrapping_add(1).max(1)) << 32;
        let won =
            slot.state.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !won {
            return;
        }
        // The generation has changed: nobody reaches the slot until it is among the free ones.
        slot.front().clear();
        *lock(&slot.outbox) = Vec::new();
        slot.unsaid.store(false, Ordering::Relaxed);
        if slot.registered.swap(false, Ordering::Relaxed) {
            unwatch(slot.socket.raw());
        }
        slot.hushed.store(false, Ordering::Relaxed);
        slot.goes_on.store(false, Ordering::Relaxed);
        slot.stalled.store(0, Ordering::Relaxed);
        slot.lost.store(0, Ordering::Relaxed);
        drop(slot.socket.take());
        self.live.fetch_sub(1, Ordering::Relaxed);
        let mut free = lock(&self.free);
        free.given_back.push(token.0 as u32);
    }
}

fn new_chunk() -> Box<[Slot]> {
    (0..CHUNK).map(|_| Slot::new()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> (Table, Token) {
        let table = Table::new();
        let (socket, _) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        let token = table.claim(socket.into(), 0).expect("a slot");
        (table, token)
    }

    /// What a connection costs that says nothing, but for its share of the table.
    #[test]
    fn an_idle_connection_owns_its_slot_and_nothing_else() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
        let (table, token) = held();
        assert_eq!(table.slot(token).outbox.lock().unwrap().capacity(), 0);
        let known = table.slot(token).front();
        assert!(known.is_fresh());
    }

    #[test]
    fn an_event_while_the_reader_is_held_makes_its_holder_look_again() {
        let (table, token) = held();
        let slot = table.slot(token);
        assert!(!slot.enter(token.generation()), "held since it was claimed");
        assert_eq!(slot.leave(), Err(()));
        assert!(slot.leave().is_ok());
        assert!(slot.enter(token.generation()));
    }

    #[test]
    fn an_event_of_a_connection_that_was_closed_misses_the_next_one() {
        let (table, token) = held();
        let slot = table.slot(token);
        slot.set_closing();
        table.close_if_last(token, slot.leave().expect("closing"), |_| {});
        assert_eq!((table.live(), slot.socket.raw()), (0, -1));
        let (socket, _) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        let next = table.claim(socket.into(), 0).expect("a slot");
        let _ = slot.leave();
        assert_ne!(next, token);
        assert!(!slot.enter(token.generation()));
        assert!(slot.enter(next.generation()));
    }

    #[test]
    fn the_last_one_out_closes_and_nobody_before() {
        let (table, token) = held();
        let slot = table.slot(token);
        slot.leave_running(2, Reading::Free, true);
        table.close_if_last(token, slot.end_run(true), |_| {});
        assert_eq!(table.live(), 1);
        table.close_if_last(token, slot.end_run(false), |_| {});
        assert_eq!(table.live(), 0);
    }

    #[test]
    fn a_lent_reader_is_taken_away_only_when_something_came() {
        let (table, token) = held();
        let slot = table.slot(token);
        assert!(!slot.leave_running(1, Reading::Lent, true));
        assert!(!slot.take_away(token.generation()));
        assert!(!slot.enter(token.generation()));
        assert!(slot.take_away(token.generation()));
        assert!(!slot.take_back(), "it is another's now");
        assert!(slot.leave().is_ok());
    }

    #[test]
    fn a_read_that_left_bytes_behind_is_owed() {
        let (table, token) = held();
        let slot = table.slot(token);
        assert!(slot.leave_running(1, Reading::Free, false));
        assert!(slot.enter(token.generation()));
        assert!(!slot.leave_running(1, Reading::Lent, false));
        assert!(slot.take_away(token.generation()));
    }
}
