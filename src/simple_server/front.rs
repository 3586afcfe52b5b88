//! HTTP/1.1 for many clients at once: one thread watches the connections, a bounded pool answers.
//!
//! A connection is the watcher's until a request is there as far as it need be: its head, and of
//! its body what is not long. So who connects and says nothing, or says it slowly, holds a slot of a
//! table and some bytes, but no thread. A ready request goes to the pool with its connection, and
//! the connection comes back with the answer sent.
//!
//! ```text
//!  accept ─► Idle ─► Head ─► Body ─► (a thread) ─► Idle, Skip or Drain
//!              │       │       │
//!              └───────┴───────┴─► too slow, too much, malformed: a page, then Drain
//! ```
//!
//! Here a connection goes round; who comes in is `door.rs`'s affair, how long each may take that of
//! `deadlines.rs`, and who goes to another server that of `succession.rs`.

mod deadlines;
mod door;
mod succession;

use super::{
    connection::{After, Connection, PIECE},
    head_scan::HeadScan,
    pool::{Dismiss, Job, NO_THREAD, Pool, work},
    refused::Refused,
    request::Rules,
    serving::Serving,
    under_way::UnderWay,
    watched::{Look, Phase, Watched},
};
use crate::{
    lock::lock,
    sys::{Epoll, Happened, Ready},
};
use std::{
    io,
    ops::Range,
    os::fd::AsRawFd,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

/// Bytes of unfinished requests, of all connections together.
const MAX_UNFINISHED: usize = 64 << 20;
/// How long a client may go on sending that has its answer, and how much.
const PATIENCE: Duration = Duration::from_secs(2);
const MAX_UNWANTED: u64 = 4 << 20;

const NO_ROOM: Refused =
    Refused { status: "503 Service Unavailable", why: "there are too many connections" };

/// Tokens of epoll: connections are slot and generation, so that a late event of one does not
/// reach the next in its slot.
const LISTENERS: u64 = 1 << 63;
const BELL: u64 = u64::MAX;

/// Serves until the server is told to stop, and what was in flight has ended.
pub(super) fn serve(serving: &Serving<'_>) -> io::Result<()> {
    let pool = Pool::default();
    thread::scope(|scope| {
        let dismiss = Dismiss(&pool);
        for _ in 0..serving.options.threads.max(1) {
            thread::Builder::new().spawn_scoped(scope, || work(serving, &pool))?;
        }
        let watched = Watcher::new(serving, &pool)?.watch();
        drop(dismiss);
        watched
    })
}

enum Slot {
    Free,
    /// A thread has the connection; its client is watched all the same.
    Lent(Arc<UnderWay>),
    Watched(Box<Watched>),
    /// It is being looked at.
    Held,
}

struct Watcher<'s> {
    serving: &'s Serving<'s>,
    pool: &'s Pool,
    epoll: Epoll,
    slots: Vec<(u32, Slot)>,
    free: Vec<usize>,
    /// The next of the deadlines, or one that has been put off since.
    next_deadline: Option<Instant>,
    /// Bytes in the buffers of watched connections.
    unfinished: usize,
    /// Until when accept is not tried.
    full_until: Option<Instant>,
    /// When the first of the requests that wait for a thread has waited for too long.
    late_at: Option<Instant>,
    /// Connections that are in a thread, or wait for one.
    lent: usize,
    /// New ones are left to another process, which has a thread for them.
    leaves_new: bool,
    /// Until when no connection is offered to the heir.
    succession_at: Option<Instant>,
    stopping: bool,
    scratch: Vec<u8>,
}

impl<'s> Watcher<'s> {
    fn new(serving: &'s Serving<'s>, pool: &'s Pool) -> io::Result<Self> {
        let watcher = Self {
            serving,
            pool,
            epoll: Epoll::new()?,
            slots: Vec::new(),
            free: Vec::new(),
            next_deadline: None,
            unfinished: 0,
            full_until: None,
            late_at: None,
            lent: 0,
            leaves_new: false,
            succession_at: None,
            stopping: false,
            scratch: vec![0; PIECE],
        };
        watcher.epoll.add(serving.bell.as_raw_fd(), BELL, Ready::Once)?;
        watcher.listen()?;
        Ok(watcher)
    }

    fn live(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn watch(mut self) -> io::Result<()> {
        let mut happened = [Happened::default(); Epoll::BATCH];
        let mut give_up = None;
        loop {
            if !self.stopping && self.serving.stopping.load(Ordering::Acquire) {
                self.begin_to_stop();
                give_up = Some(Instant::now() + self.serving.options.graceful_timeout);
            }
            self.adopt();
            if self.stopping {
                self.part_with_idle();
            }
            if self.stopping && (self.live() == 0 || give_up.is_some_and(|at| at <= Instant::now()))
            {
                return Ok(());
            }
            let n = self.epoll.wait(&mut happened, self.millis(give_up));
            let all = n < happened.len();
            for one in &happened[..n] {
                match one.token {
                    BELL => {}
                    listener @ LISTENERS.. => self.accept((listener - LISTENERS) as usize)?,
                    token => self.event(token, one.ended),
                }
            }
            let back = std::mem::take(&mut *lock(&self.pool.back));
            for (slot, connection, after) in back {
                self.lent -= 1;
                self.take_back(slot, connection, after);
            }
            self.expire()?;
            if self.serving.options.queue_timeout.is_some() {
                self.turn_away_late();
            }
            if !self.stopping {
                self.mind_the_door(all)?;
            }
        }
    }

    /// Something came of a connection; `ended`: nothing more will.
    fn event(&mut self, token: u64, ended: bool) {
        let (slot, generation) = ((token >> 32) as usize, token as u32);
        match self.slots.get(slot) {
            Some((current, Slot::Lent(under_way))) if *current == generation && ended => {
                under_way.cancel();
            }
            Some((current, _)) if *current == generation => self.look(slot),
            _ => {}
        }
    }

    /// A connection comes back from a thread.
    fn take_back(&mut self, slot: usize, connection: Connection, after: After) {
        if after == After::Close {
            drop(connection);
            return self.vacate(slot);
        }
        let keep = after == After::Keep && (!self.stopping || self.serving.succession.is_open());
        let phase = match connection.skip {
            _ if !keep => Phase::Drain { left: MAX_UNWANTED },
            0 if connection.buffer.is_empty() => Phase::Idle,
            // The next request came together with the last.
            0 => Phase::Head,
            _ => Phase::Skip,
        };
        if !keep {
            connection.socket.shutdown_write();
        }
        let options = self.serving.options;
        let deadline = match phase {
            Phase::Drain { .. } => self.after(Some(PATIENCE)),
            Phase::Idle => self.after(options.idle_timeout),
            _ => self.after(options.read_timeout),
        };
        self.unfinished += connection.buffer.len();
        let scan = HeadScan::new(Rules::Strict);
        self.slots[slot].1 = Slot::Watched(Box::new(Watched { connection, scan, phase, deadline }));
        self.look(slot);
    }

    /// Reads what has come on a connection, as far as its next request.
    fn look(&mut self, slot: usize) {
        let place = &mut self.slots[slot].1;
        if !matches!(place, Slot::Watched(_)) {
            return; // A thread has it, and it will be looked at when it comes back.
        }
        let Slot::Watched(mut watched) = std::mem::replace(place, Slot::Held) else { return };
        let before = watched.connection.buffer.len();
        let look = self.read(&mut watched);
        self.unfinished = self.unfinished - before + watched.connection.buffer.len();
        let crowded = self.unfinished > MAX_UNFINISHED;
        self.slots[slot].1 = Slot::Watched(watched);
        match look {
            Look::Wait if crowded => self.refuse(slot, &NO_ROOM),
            Look::Wait => {}
            Look::Ready(head) => self.hand_over(slot, head),
            Look::Refuse(refused) => self.refuse(slot, &refused),
            Look::Close => self.close(slot),
        }
    }

    fn read(&mut self, watched: &mut Watched) -> Look {
        loop {
            match watched.advance(self.serving.options.max_body) {
                Ok(Some(head)) => return Look::Ready(head),
                Ok(None) => {}
                Err(refused) => return Look::Refuse(refused),
            }
            let n = match watched.connection.socket.recv(&mut self.scratch) {
                Ok(0) => return watched.end(),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Look::Wait,
                Err(_) => return Look::Close,
            };
            let piece = &self.scratch[..n];
            match &mut watched.phase {
                Phase::Drain { left } => match left.checked_sub(n as u64) {
                    Some(rest) => *left = rest,
                    None => return Look::Close,
                },
                Phase::Idle => {
                    watched.connection.buffer.extend_from_slice(piece);
                    watched.phase = Phase::Head;
                    watched.deadline = self.after(self.serving.options.read_timeout);
                }
                Phase::Head => watched.connection.buffer.extend_from_slice(piece),
                Phase::Body { .. } | Phase::Chunks { .. } | Phase::Skip => {
                    watched.connection.buffer.extend_from_slice(piece);
                    watched.deadline = self.after(self.serving.options.read_timeout);
                }
            }
        }
    }

    fn take(&mut self, slot: usize) -> Option<Watched> {
        match std::mem::replace(&mut self.slots[slot].1, Slot::Held) {
            Slot::Watched(watched) => {
                self.unfinished -= watched.connection.buffer.len();
                Some(*watched)
            }
            other => {
                self.slots[slot].1 = other;
                None
            }
        }
    }

    fn hand_over(&mut self, slot: usize, head: Range<usize>) {
        let mut jobs = lock(&self.pool.jobs);
        if jobs.waiting.len() >= self.serving.options.max_queue {
            drop(jobs);
            return self.refuse(slot, &NO_THREAD);
        }
        let place = &mut self.slots[slot].1;
        let Slot::Watched(watched) = std::mem::replace(place, Slot::Held) else { return };
        let connection = watched.connection;
        *place = Slot::Lent(Arc::clone(&connection.under_way));
        self.unfinished -= connection.buffer.len();
        self.lent += 1;
        jobs.waiting.push_back(Job { slot, connection, head, came: Instant::now() });
        self.serving.tell_waiting(jobs.waiting.len());
        drop(jobs);
        self.pool.more.notify_one();
    }

    fn refuse(&mut self, slot: usize, refused: &Refused) {
        let Some(watched) = self.take(slot) else { return };
        let mut connection = watched.connection;
        let after = connection.refuse(self.serving, refused, None);
        connection.buffer = Vec::new();
        self.take_back(slot, connection, after);
    }

    fn close(&mut self, slot: usize) {
        if self.take(slot).is_some() {
            self.vacate(slot);
        }
    }

    fn vacate(&mut self, slot: usize) {
        let (generation, place) = &mut self.slots[slot];
        *generation = generation.wrapping_add(1);
        *place = Slot::Free;
        self.free.push(slot);
    }
}
