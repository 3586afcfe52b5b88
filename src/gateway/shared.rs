//! What the threads of one worker process share: its connections, its queue, and what each thread
//! shows of itself to the steward.

use super::{Dispatch, Protocol, Settings, call::Call, queue::Queue, slot::Table, token::Token};
use crate::{
    fcgi::Role,
    lock::lock,
    net::{Siblings, Succession},
    sys::{Bell, Epoll, SocketCell, ThreadState, coarse_millis},
    types::Vars,
};
use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// One worker process.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) apps: Arc<dyn Dispatch>,
    pub(super) table: Table,
    pub(super) epoll: Epoll,
    /// Rung when there is something in the queue.
    pub(super) bell: Bell,
    pub(super) queue: Queue,
    /// There is an application for responders: asked for once, as each request wants to know.
    pub(super) responds: bool,
    /// Closed when it stops.
    pub(super) listeners: Vec<Listener>,
    /// The log has it already that no connection can be accepted.
    pub(super) starved: AtomicBool,
    pub(super) lines: Box<[Line]>,
    pub(super) spares: Spares,
    pub(super) steward: Steward,
    /// No new connections, and none kept here.
    pub(super) stopping: AtomicBool,
    /// While it stops: who gets the connections without a request.
    pub(super) succession: Succession,
    /// The servers of other workers that share the listeners.
    pub(super) siblings: OnceLock<Siblings>,
    /// The threads end.
    pub(super) done: AtomicBool,
    /// Connections with answers that their peers have not taken.
    unsaid: Mutex<Vec<Token>>,
    /// By the coarse clock.
    started: u64,
    /// Somebody wants to know how long requests have waited: when they came is noted.
    pub(super) times_waiting: AtomicBool,
    /// For whoever outlives the call in which it has this.
    itself: OnceLock<Weak<Self>>,
}

/// Where connections come from, and what they speak.
pub(super) struct Listener {
    pub(super) protocol: Protocol,
    pub(super) socket: SocketCell,
}

impl From<(Protocol, OwnedFd)> for Listener {
    fn from((protocol, socket): (Protocol, OwnedFd)) -> Self {
        Self { protocol, socket: socket.into() }
    }
}

/// Tokens of what is no connection.
pub(super) const BELL: u64 = u64::MAX;
pub(super) const LISTENERS: u64 = u64::MAX - 1024;

impl Shared {
    pub(super) fn new(
        listeners: Vec<(Protocol, OwnedFd)>,
        apps: Arc<dyn Dispatch>,
        mut settings: Settings,
    ) -> std::io::Result<Self> {
        // Joined values take their room a second time.
        settings.max_params = settings.max_params.min(Vars::MAX_BYTES / 4);
        let threads = settings.threads.max(1);
        let waiters = settings.waiters.clamp(1, threads);
        Ok(Self {
            table: Table::new(),
            epoll: Epoll::new()?,
            bell: Bell::new()?,
            queue: Queue::new(settings.max_queue),
            listeners: listeners.into_iter().map(Listener::from).collect(),
            responds: apps.serves(Role::Responder),
            starved: AtomicBool::new(false),
            lines: (0..threads).map(|_| Line::default()).collect(),
            spares: Spares::new(waiters, threads),
            steward: Steward::default(),
            stopping: AtomicBool::new(false),
            succession: Succession::default(),
            siblings: OnceLock::new(),
            done: AtomicBool::new(false),
            unsaid: Mutex::default(),
            started: coarse_millis(),
            times_waiting: AtomicBool::new(settings.queue_timeout.is_some()),
            itself: OnceLock::new(),
            settings,
            apps,
        })
    }

    /// To be called once it is where it stays.
    pub(super) fn settle(self: &Arc<Self>) {
        let _ = self.itself.set(Arc::downgrade(self));
    }

    pub(super) fn itself(&self) -> Option<Arc<Self>> {
        self.itself.get()?.upgrade()
    }

    /// The clock of the deadlines: milliseconds since the start. It goes round after 49 days, and
    /// is only ever compared by difference.
    pub(super) fn now(&self) -> u32 {
        (coarse_millis() - self.started) as u32
    }

    /// When a request is said to have come that comes now.
    pub(super) fn came(&self) -> Option<Instant> {
        self.times_waiting.load(Ordering::Relaxed).then(Instant::now)
    }

    /// Says something short on a connection, now or when its peer has room for it.
    #[inline]
    pub(super) fn say(&self, token: Token, records: &mut Vec<u8>) {
        if !records.is_empty() {
            self.say_some(token, records);
        }
    }

    #[cold]
    fn say_some(&self, token: Token, records: &mut Vec<u8>) {
        if !self.table.slot(token).say(records) {
            self.leave_unsaid(token);
        }
    }

    pub(super) fn leave_unsaid(&self, token: Token) {
        let mut unsaid = lock(&self.unsaid);
        if !unsaid.contains(&token) {
            unsaid.push(token);
        }
        drop(unsaid);
        self.steward.call();
    }

    pub(super) fn take_unsaid(&self) -> Vec<Token> {
        std::mem::take(&mut *lock(&self.unsaid))
    }

    /// Closes a connection if `word`, which the caller brought about in its slot, says that nobody is
    /// left.
    ///
    /// To close alone is not enough for one that epoll knows: while another thread looks for events it
    /// holds what it looks at, and if it is the last one who does, the peer hears of the end when that
    /// thread comes back from `epoll_wait` (Linux 6.9 and later).
    pub(super) fn close_if_last(&self, token: Token, word: u64) {
        self.table.close_if_last(token, word, |socket| {
            let _ = self.epoll.remove(socket);
        });
    }

    /// Acquire: who sees it sees also whether there is an heir.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whether connections without a request are closed.
    pub(super) fn keeps_none(&self) -> bool {
        self.is_stopping() && !self.succession.is_open()
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

/// Milliseconds from one moment of that clock to another; none if `since` is the later one, which
/// somebody may have written after `now` was asked for.
pub(super) fn elapsed(now: u32, since: u32) -> u32 {
    let passed = now.wrapping_sub(since);
    if passed > u32::MAX / 2 { 0 } else { passed }
}

/// What a thread shows of itself. Its own thread writes most of it; the steward takes from it
/// what has waited too long behind an application.
#[derive(Default)]
#[repr(align(128))] // Two cache lines, which processors fetch in pairs: threads share none.
pub(super) struct Line {
    /// Even: it waits. Odd: it works. Changes with each thing that it does.
    pub(super) epoch: AtomicU64,
    /// Events that it took and has not begun.
    pub(super) batch: [AtomicU64; Epoll::BATCH],
    /// A connection that it left with something on it.
    debt: AtomicU64,
    /// A connection whose reading half is on loan to the application that it runs.
    loan: AtomicU64,
    backlog: Mutex<VecDeque<Box<Call>>>,
    backlog_len: AtomicUsize,
    /// What the kernel says of the thread, where it says anything.
    pub(super) thread: OnceLock<ThreadState>,
    /// The steward has counted it out: it sleeps in an application, or stays there for long.
    pub(super) stuck: AtomicBool,
    /// How many threads were wanted when it last looked.
    pub(super) wanted: AtomicUsize,
}

impl Line {
    /// Still at work, and getting on.
    pub(super) fn progress(&self) {
        self.epoch.store(self.epoch.load(Ordering::Relaxed) + 2, Ordering::Relaxed);
    }

    /// At work, and at something new.
    pub(super) fn begins(&self) {
        self.epoch.store((self.epoch.load(Ordering::Relaxed) | 1) + 2, Ordering::Release);
    }

    pub(super) fn waits(&self) {
        self.epoch.store((self.epoch.load(Ordering::Relaxed) + 1) & !1, Ordering::Release);
    }

    pub(super) fn owe(&self, token: Token) {
        self.debt.store(token.0, Ordering::Release);
    }

    /// What is owed, for whoever asks first.
    pub(super) fn settle(&self) -> Option<Token> {
        take(&self.debt)
    }

    pub(super) fn lend(&self, token: Token) {
        self.loan.store(token.0, Ordering::Release);
    }

    pub(super) fn end_loan(&self) {
        self.loan.store(0, Ordering::Release);
    }

    pub(super) fn loan(&self) -> Option<Token> {
        Some(self.loan.load(Ordering::Acquire)).filter(|token| *token != 0).map(Token)
    }

    pub(super) fn holds_anything(&self) -> bool {
        let atomics = self.batch.iter().chain([&self.debt, &self.loan]);
        atomics.into_iter().any(|held| held.load(Ordering::Relaxed) != 0)
            || self.backlog_len.load(Ordering::Relaxed) != 0
    }

    fn backlog(&self) -> MutexGuard<'_, VecDeque<Box<Call>>> {
        lock(&self.backlog)
    }

    /// Requests to be run after the present one.
    pub(super) fn put_off(&self, calls: impl Iterator<Item = Box<Call>>) {
        let mut backlog = self.backlog();
        backlog.extend(calls);
        self.backlog_len.store(backlog.len(), Ordering::Release);
    }

    pub(super) fn next_call(&self) -> Option<Box<Call>> {
        if self.backlog_len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut backlog = self.backlog();
        let call = backlog.pop_front();
        self.backlog_len.store(backlog.len(), Ordering::Release);
        call
    }
}

/// What is there, leaving nothing: zero is nobody's token, for generations begin with one.
pub(super) fn take(held: &AtomicU64) -> Option<Token> {
    if held.load(Ordering::Relaxed) == 0 {
        return None;
    }
    Some(held.swap(0, Ordering::AcqRel)).filter(|token| *token != 0).map(Token)
}

/// How many threads wait, or work and are soon done; the others are spare, and parked.
pub(super) struct Spares {
    awake: Mutex<usize>,
    bell: Condvar,
    target: AtomicUsize,
    least: usize,
    most: usize,
}

impl Spares {
    fn new(waiters: usize, threads: usize) -> Self {
        Self {
            awake: Mutex::new(waiters),
            bell: Condvar::new(),
            target: AtomicUsize::new(waiters),
            least: waiters,
            most: threads,
        }
    }

    pub(super) fn target(&self) -> usize {
        self.target.load(Ordering::Relaxed)
    }

    pub(super) fn least(&self) -> usize {
        self.least
    }

    fn awake(&self) -> MutexGuard<'_, usize> {
        lock(&self.awake)
    }

    /// A spare sleeps until it is wanted, or all is done.
    pub(super) fn sleep(&self, done: &AtomicBool) {
        let sleeps = |awake: &mut usize| *awake >= self.target() && !done.load(Ordering::Relaxed);
        let woken = self.bell.wait_while(self.awake(), sleeps);
        *woken.unwrap_or_else(PoisonError::into_inner) += 1;
    }

    /// A thread that was counted out is back. True: there are enough without it.
    pub(super) fn come_back(&self, line: &Line) -> bool {
        let mut awake = self.awake();
        line.stuck.store(false, Ordering::Relaxed);
        *awake += 1;
        self.retire_if_spare(&mut awake)
    }

    /// Whether a thread that waits can be spared; then it is counted out.
    pub(super) fn retire(&self) -> bool {
        self.retire_if_spare(&mut self.awake())
    }

    fn retire_if_spare(&self, awake: &mut usize) -> bool {
        let spare = *awake > self.target();
        *awake -= usize::from(spare);
        spare
    }

    /// Counts a thread out and calls a spare in its place. One sleeps now, more will soon: what was
    /// called stays until nobody has slept for a while.
    pub(super) fn call_for(&self, line: &Line) {
        let mut awake = self.awake();
        line.stuck.store(true, Ordering::Relaxed);
        *awake = awake.saturating_sub(1);
        if self.target() < self.most {
            self.target.fetch_add(1, Ordering::Relaxed);
        }
        drop(awake);
        self.bell.notify_one();
    }

    /// One fewer is wanted.
    pub(super) fn calm_down(&self) {
        if self.target() > self.least {
            self.target.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Those called are not wanted any more.
    pub(super) fn calm_down_at_all(&self) {
        self.target.fetch_min(self.least, Ordering::Relaxed);
    }

    /// One thread alone is enough: a second that waits beside it would be woken for nothing, each
    /// time that the next request is there before the first one waits again.
    pub(super) fn thin_out(&self) {
        self.target.fetch_min(1, Ordering::Relaxed);
    }

    /// As many wait as there are CPUs.
    #[inline]
    pub(super) fn fill_up(&self) {
        if self.target() < self.least {
            self.call_all();
        }
    }

    #[cold]
    fn call_all(&self) {
        let _awake = self.awake();
        self.target.fetch_max(self.least, Ordering::Relaxed);
        self.bell.notify_all();
    }

    pub(super) fn wake_all(&self) {
        drop(self.awake());
        self.bell.notify_all();
    }
}

/// How the steward is woken when it has parked itself.
#[derive(Default)]
pub(super) struct Steward {
    wanted: AtomicBool,
    parked: AtomicBool,
    lock: Mutex<()>,
    bell: Condvar,
}

impl Steward {
    /// Something may have to be rescued. Costs two loads while the steward is awake.
    pub(super) fn call(&self) {
        if !self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(true, Ordering::SeqCst);
        }
        if self.parked.load(Ordering::SeqCst) {
            drop(lock(&self.lock));
            self.bell.notify_one();
        }
    }

    /// As `call`, if it is parked: threads that work must be looked after.
    pub(super) fn call_if_parked(&self) {
        if self.parked.load(Ordering::Relaxed) {
            self.call();
        }
    }

    /// Whether it was called since it was last asked.
    pub(super) fn was_called(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) && self.wanted.swap(false, Ordering::SeqCst)
    }

    /// Sleeps until it is called, or `limit` is over.
    pub(super) fn park(&self, limit: Duration) {
        let guard = lock(&self.lock);
        self.parked.store(true, Ordering::SeqCst);
        let quiet = |(): &mut ()| !self.wanted.load(Ordering::SeqCst);
        drop(self.bell.wait_timeout_while(guard, limit, quiet));
        self.parked.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that was used while the steward looked at others seemed to have been idle for 49
    /// days, and was closed.
    #[test]
    fn what_is_yet_to_come_has_not_been_for_long() {
        for (now, since, passed) in [
            (1000, 900, 100),
            (1000, 1000, 0),
            (1000, 1001, 0),
            (5, u32::MAX - 4, 10),
            (u32::MAX, 4, 0),
        ] {
            assert_eq!(elapsed(now, since), passed, "{since} to {now}");
        }
    }
}
