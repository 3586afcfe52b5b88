//! The steward: a tick of a millisecond that looks after what waits behind applications.
//!
//! Parked while all is quiet, and drowsy while one connection alone has its requests answered. It sees
//! a thread stay in an application, gives to others what that thread has not begun, counts it out if it
//! sleeps, or stays for long, and calls a spare in its place. While every thread is in an application
//! it does the protocol's work itself: GET_VALUES, ABORT_REQUEST, hang-ups, deadlines, 503. It never
//! runs an application.
//!
//! New connections it takes only while no other worker has a thread for them. Otherwise they stay in
//! the kernel's queue, where none is forgotten: of the processes that wait for a listener
//! (EPOLLEXCLUSIVE) the kernel wakes one in which a thread waits, and here none does.

use super::{
    Protocol, Refusal, Settings,
    desk::{Desk, Intake, Run, Short},
    nameless::SHELF,
    queue::Look,
    shared::{BELL, LISTENERS, Line, Shared, elapsed, take},
    slot::Slot,
    threads::{Hands, admit, drop_held, register},
    token::Token,
};
use crate::{
    net::Siblings,
    sys::{Epoll, Happened, Knocks, ThreadState},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

pub(super) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a sleeping thread from which on every second tick is enough.
const BRISK: u32 = 50;

/// A tick while one connection alone has its requests answered: what could wait behind them is a new
/// one, and a knock tells of that.
const DOZE: Duration = Duration::from_millis(50);

/// Ticks without anything to look after before it parks itself.
const QUIET: u32 = 50;

/// Ticks without a sleeping thread before one spare is sent back.
const CALM: u32 = 500;

/// Each so many ticks a working thread is looked at even if it has got on since the last tick:
/// that finds applications that sleep often, but shorter than a tick.
const SAMPLE: u32 = 8;

/// How often in a row it has to be found asleep: once may be no more than a lock that another thread
/// has, and each thread too many costs those that work.
const NAPS: u32 = 2;

/// Ticks in the same application from which on a thread is counted out although it does not sleep:
/// others should not wait for it while there are spares.
const LONG: u32 = 20;

/// How often deadlines are looked at.
const SWEEP: Duration = Duration::from_millis(250);

/// How long a peer may stand still, in milliseconds, that goes on sending after its last answer.
const LINGER: u32 = 2000;

/// How long it may go on however much it sends.
const LINGER_AT_ALL: u32 = 60_000;

/// What a thread was at.
#[derive(Clone, Copy, Default)]
struct Seen {
    epoch: u64,
    /// For so many ticks.
    ticks: u32,
    /// How often in a row it was asleep when it was looked at.
    naps: u32,
}

pub(super) struct Stewardship {
    pub(super) shared: Arc<Shared>,
    pub(super) desk: Desk,
    seen: Vec<Seen>,
    calm: u32,
    /// Ticks with one connection at the most, and no thread that stayed in an application.
    lonely: u32,
    knocks: Knocks,
    swept: Instant,
    pub(super) hands: Hands,
    /// When what is in flight after a stop has had its time.
    pub(super) deadline: Option<Instant>,
}

impl Stewardship {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let seen = vec![Seen::default(); shared.lines.len()];
        let knocks = Knocks::at(shared.listeners.iter().map(|listener| listener.socket.raw()));
        Self {
            shared,
            desk: Desk::new(),
            seen,
            calm: 0,
            lonely: 0,
            knocks,
            swept: Instant::now(),
            hands: Hands::default(),
            deadline: None,
        }
    }

    /// After a panic: the connection that it looked at is closed.
    pub(super) fn recover(&mut self) {
        self.desk = Desk::new();
        drop_held(&self.shared, &mut self.hands, &mut self.desk);
    }

    /// Until a stop, and what was in flight then has ended or the time for it is over.
    pub(super) fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut quiet = 0;
        while !shared.is_stopping() {
            let called = shared.steward.was_called();
            if called {
                quiet = 0;
            }
            if quiet > QUIET {
                self.park();
                quiet = 0;
            } else if quiet == 0 && !called && self.is_lonely() {
                self.doze();
            } else {
                std::thread::sleep(if self.calm < BRISK { TICK } else { 2 * TICK });
            }
            quiet = if self.look() { 0 } else { quiet + 1 };
        }
        self.drain();
    }

    /// Nobody is in an application, and nobody sleeps there: until somebody begins.
    fn park(&self) {
        let shared = &self.shared;
        shared.spares.calm_down_at_all();
        let idle = shared.table.live() == 0 && SHELF.is_empty();
        let limit = if idle { 3600 } else { 1 };
        shared.steward.park(Duration::from_secs(limit));
    }

    /// Until somebody knocks, for the one thread that waits may be in an application by then.
    fn doze(&mut self) {
        if self.knocks.wait(DOZE) {
            self.lonely = 0;
        }
    }

    /// One look at everything. True: there was something to look at.
    pub(super) fn look(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            shared.spares.calm_down();
        }
        shared.apps.queued(shared.queue.len());
        let (mut busy, mut any_stays, mut all_stay) = (false, false, true);
        for (number, line) in shared.lines.iter().enumerate() {
            let epoch = line.epoch.load(Ordering::Acquire);
            let seen = &mut self.seen[number];
            let ticks = if epoch == seen.epoch { seen.ticks.saturating_add(1) } else { 0 };
            *seen = Seen { epoch, ticks, ..*seen };
            let works = epoch & 1 == 1;
            busy |= works || ticks == 0;
            let stays = works && ticks > 0;
            any_stays |= stays;
            all_stay &= stays;
            if works {
                self.look_at(number, line);
            }
        }
        self.count_waiters(any_stays);
        self.tell_siblings(!all_stay);
        if all_stay {
            self.stand_in();
        }
        busy |= self.say_more();
        if self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            SHELF.sweep(self.swept);
            self.sweep();
        }
        busy
    }

    /// One connection, whose requests are soon done, needs one thread that waits.
    fn count_waiters(&mut self, any_stays: bool) {
        let spares = &self.shared.spares;
        if any_stays {
            spares.fill_up();
        }
        // Several requests at once came on it.
        let filled_up = self.is_lonely() && spares.target() > 1;
        let lonely = !any_stays && !filled_up && self.shared.table.live() <= 1;
        self.lonely = if lonely { self.lonely + 1 } else { 0 };
        if self.is_lonely() {
            spares.thin_out();
        }
    }

    /// For so long that one thread was left to wait.
    fn is_lonely(&self) -> bool {
        self.lonely > QUIET
    }

    /// A thread that works.
    fn look_at(&mut self, number: usize, line: &Line) {
        let (shared, seen) = (&*self.shared, &mut self.seen[number]);
        let stays = seen.ticks > 0;
        if (stays || self.calm.is_multiple_of(SAMPLE)) && !line.stuck.load(Ordering::Relaxed) {
            let sleeps = line.thread.get().is_some_and(ThreadState::sleeps);
            seen.naps = if sleeps { seen.naps.saturating_add(1) } else { 0 };
            if (seen.ticks >= LONG || seen.naps >= NAPS)
                && line.epoch.load(Ordering::Acquire) == seen.epoch
            {
                (self.calm, seen.naps) = (0, 0);
                shared.spares.call_for(line);
            }
        }
        if stays && line.holds_anything() {
            self.relieve(line);
        }
    }

    /// Gives to others what a thread has not begun.
    fn relieve(&mut self, line: &Line) {
        let shared = Arc::clone(&self.shared);
        let mut found = false;
        for token in line.batch.iter().filter_map(take).chain(line.settle()) {
            shared.queue.push_look(Look::Enter(token));
            found = true;
        }
        if let Some(token) = line.loan()
            && shared.table.slot(token).take_away(token.generation())
        {
            shared.queue.push_look(Look::Held(token));
            found = true;
        }
        while let Some(call) = line.next_call() {
            found = true;
            if let Err(call) = shared.queue.push_call(call) {
                self.desk.turn_away(&shared, &call, Refusal::QUEUE_FULL);
            }
        }
        if found {
            shared.bell.ring();
        }
    }

    /// Whether there is a thread for whoever connects, while anybody may.
    pub(super) fn tell_siblings(&self, has_room: bool) {
        if let Some(siblings) = self.shared.siblings.get() {
            siblings.tell(has_room && !self.shared.is_stopping());
        }
    }

    /// Every thread is in an application: somebody has to listen.
    fn stand_in(&mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(look) = shared.queue.pop_look() {
            self.see_to(look);
        }
        let mut happened = [Happened::default(); Epoll::BATCH];
        let n = shared.epoll.wait(&mut happened, 0);
        for Happened { token, .. } in &happened[..n] {
            match *token {
                // The ring was for a thread; one may have come back and missed it by a moment.
                BELL if !shared.queue.is_empty() => shared.bell.ring(),
                BELL => {}
                // Whoever has a thread for it was woken as well, or finds it as soon as he has.
                LISTENERS..BELL if shared.siblings.get().is_some_and(Siblings::have_room) => {}
                LISTENERS..BELL => {
                    if let Some(token) = admit(&shared, Token(*token)) {
                        self.listen(token);
                    }
                }
                token => self.see_to(Look::Enter(Token(token))),
            }
        }
    }

    fn see_to(&mut self, look: Look) {
        match look {
            Look::Held(token) => self.listen(token),
            // A batch that was taken from a thread may hold the bell and listeners as well.
            Look::Enter(token) if token.0 == BELL => {}
            Look::Enter(token) if token.0 >= LISTENERS => {
                if let Some(token) = admit(&self.shared, token) {
                    self.listen(token);
                }
            }
            Look::Enter(token) => {
                if self.shared.table.slot(token).enter(token.generation()) {
                    self.listen(token);
                }
            }
        }
    }

    /// A connection whose reading half is ours: what gets ready goes to the queue.
    pub(super) fn listen(&mut self, token: Token) {
        let shared = Arc::clone(&self.shared);
        let slot = shared.table.slot(token);
        self.hands.held = Some(token);
        loop {
            self.desk.sorting.forget();
            let intake = self.desk.take_in(&shared, token, Run::Others, Short::MayHideEnd);
            self.desk.hand_on(&shared, token);
            if intake == Intake::More {
                continue;
            }
            register(&shared, slot, token);
            if let Ok(word) = slot.leave() {
                self.hands.held = None;
                shared.close_if_last(token, word);
                return;
            }
        }
    }

    /// Answers that their peers had no room for. True: there are some.
    fn say_more(&mut self) -> bool {
        let unsaid = self.shared.take_unsaid();
        for token in &unsaid {
            let slot = self.shared.table.slot(*token);
            // A slot that was given back has nothing unsaid; one taken anew has its own.
            if !slot.say_more() {
                self.shared.leave_unsaid(*token);
            }
        }
        !unsaid.is_empty()
    }

    /// Deadlines of connections on which nothing happens.
    fn sweep(&mut self) {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        let late = |limit: Option<Duration>, since: u32| {
            limit.is_some_and(|limit| u128::from(elapsed(now, since)) > limit.as_millis())
        };
        if let Some(limit) = shared.settings.queue_timeout {
            while let Some(call) = shared.queue.pop_late(limit) {
                self.desk.turn_away(&shared, &call, Refusal::LATE);
            }
        }
        for (token, slot) in shared.table.iter() {
            let touched = slot.touched.load(Ordering::Relaxed);
            if slot.is_stalled(SWEEP, shared.settings.write_timeout) {
                slot.give_up();
                if slot.enter(token.generation()) {
                    self.leave(slot, token);
                }
                continue;
            }
            let Ok(idle) = slot.try_idle() else { continue };
            let end = match idle {
                Idle::Quiet(protocol) => late(shared.settings.quiet_timeout(protocol), touched),
                Idle::Discarding { since } => {
                    elapsed(now, touched) > LINGER || elapsed(now, since) > LINGER_AT_ALL
                }
                Idle::Partial => late(shared.settings.read_timeout, touched),
                Idle::Incomplete => {
                    let Some(limit) = shared.settings.read_timeout else { continue };
                    let limit = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
                    let since = now.wrapping_sub(limit);
                    if shared.now() > limit && slot.enter(token.generation()) {
                        self.refuse_slow(slot, token, since);
                    }
                    continue;
                }
                Idle::Busy => continue,
            };
            if end && slot.enter(token.generation()) {
                // Unless somebody has been at it meanwhile.
                if slot.touched.load(Ordering::Relaxed) == touched {
                    slot.set_closing();
                }
                self.leave(slot, token);
            }
        }
    }

    fn refuse_slow(&mut self, slot: &Slot, token: Token, since: u32) {
        let any = slot.front().refuse_slow(since, &mut self.desk.sorting);
        if any {
            self.shared.say(token, &mut self.desk.sorting.answers);
            self.desk.sorting.tell_refused(&*self.shared.apps, &self.shared.settings);
            if slot.front().wants_end() {
                slot.set_closing();
            }
        }
        self.leave(slot, token);
    }

    pub(super) fn leave(&mut self, slot: &Slot, token: Token) {
        match slot.leave() {
            Ok(word) => {
                self.hands.held = None;
                self.shared.close_if_last(token, word);
            }
            Err(()) => self.listen(token),
        }
    }
}

impl Settings {
    /// How long nothing at all may come on a connection. Where a connection is one request, a peer
    /// that has connected is in the middle of it.
    fn quiet_timeout(&self, protocol: Protocol) -> Option<Duration> {
        match protocol {
            Protocol::FastCgi => self.idle_timeout,
            Protocol::Scgi | Protocol::Uwsgi => self.read_timeout,
        }
    }
}

/// Why nothing happens on a connection.
pub(super) enum Idle {
    /// No request is open, of what is spoken here.
    Quiet(Protocol),
    /// A record is cut in two.
    Partial,
    /// A request is open whose parameters are not whole.
    Incomplete,
    /// It is read over until it ends.
    Discarding { since: u32 },
    /// A request waits for a thread, or runs: its thread sees to it.
    Busy,
}

impl Slot {
    /// As far as can be seen without taking part. `Err`: somebody is at it just now.
    pub(super) fn try_idle(&self) -> Result<Idle, ()> {
        let front = self.try_front().ok_or(())?;
        Ok(if front.has_incomplete() {
            Idle::Incomplete
        } else if self.waits() || front.has_open() {
            Idle::Busy
        } else if let Some(since) = front.discarding() {
            Idle::Discarding { since }
        } else if front.has_tail() {
            Idle::Partial
        } else {
            Idle::Quiet(front.protocol())
        })
    }
}
