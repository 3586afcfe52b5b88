//! `--request-timeout`, `--slow-log`: how long applications may take, and where they are when they
//! take longer.
//!
//! A thread that runs an application puts what it runs into its chair; one thread looks at the
//! chairs when the earliest of them is late. Nobody wakes it: a request that begins while it sleeps
//! is not late before it wakes by itself, for it never sleeps longer than the shortest limit.
//!
//! Who puts something into a chair takes it out again when the application has returned, and needs
//! the same lock that is held while a chair is looked at. So a request that is ended from here has
//! not returned yet, and its thread finds it ended when it does.

use super::{access_log::Entry, escape::Line, recorder, teller::Teller};
use crate::{
    lock::lock,
    sys::{Level, ThreadId, say_block},
    types::{Client, Request},
};
use std::{
    fmt, process,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The limits of one process, and who is under them.
#[derive(Default)]
pub(super) struct Deadlines {
    pub(super) slow: Option<Duration>,
    pub(super) limit: Option<Duration>,
    chairs: Mutex<Vec<Arc<Chair>>>,
    teller: Teller,
    /// Threads in applications that nobody waits for any more.
    lost: AtomicUsize,
    /// What to do when there is one more: how many there are.
    when_lost: OnceLock<Box<WhenLost>>,
}

type WhenLost = dyn Fn(usize) + Send + Sync;

/// One thread's.
pub(super) struct Chair {
    thread: ThreadId,
    run: Mutex<Option<Run>>,
}

/// A request that runs.
pub(super) struct Run {
    pub(super) request: Arc<Request>,
    pub(super) client: Option<Box<dyn Client>>,
    pub(super) began: Instant,
    pub(super) queue: Duration,
    /// Method and path.
    pub(super) text: Vec<u8>,
    /// Its line of the access log, as far as it is written.
    pub(super) entry: Entry,
    pub(super) told: bool,
    /// Ended by the limit, and counted.
    pub(super) overdue: Option<Overdue>,
}

/// How a request was ended in its application's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Refused,
    Cut,
}

impl Deadlines {
    /// `None`: there are none.
    pub(super) fn new(slow: Option<Duration>, limit: Option<Duration>) -> Option<Self> {
        (slow.is_some() || limit.is_some()).then(|| Self { slow, limit, ..Self::default() })
    }

    /// What to do when the limit costs a thread: told how many it has cost that are not back.
    pub(super) fn when_lost(&self, then: impl Fn(usize) + Send + Sync + 'static) {
        let _ = self.when_lost.set(Box::new(then));
    }

    /// For the thread that asks, once.
    pub(super) fn chair(&self) -> Arc<Chair> {
        let (thread, run) = (ThreadId::of_this_thread(), Mutex::new(None));
        let chair = Arc::new(Chair { thread, run });
        lock(&self.chairs).push(Arc::clone(&chair));
        chair
    }

    /// The application has returned.
    pub(super) fn leave(&self, chair: &Chair, took: Duration) -> Option<Run> {
        let run = lock(&chair.run).take()?;
        if run.overdue.is_some() {
            self.lost.fetch_sub(1, Ordering::Relaxed);
        } else if let Some(slow) = self.slow
            && took >= slow
            && !run.told
        {
            // It was over before anybody could look.
            let text = Line(&run.text);
            say_block(Level::Warning, [format!("cgigate: slow: {text}: it took {}", Time(took))]);
        }
        Some(run)
    }

    /// Looks after the chairs for ever; `ended` keeps count of what is ended.
    pub(super) fn look_after(&self, ended: impl Fn(&mut Run, Overdue)) {
        let Some(shortest) = self.slow.into_iter().chain(self.limit).min() else { return };
        loop {
            let mut next = Instant::now() + shortest;
            let chairs = lock(&self.chairs).clone();
            for chair in chairs {
                let late = self.look_at(&chair, &ended);
                next = late.map_or(next, |late| next.min(late));
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Waits until all is told, before a process ends.
    pub(super) fn finish(&self) {
        self.teller.finish();
    }

    /// When it has to be looked at again, if at all.
    fn look_at(&self, chair: &Chair, ended: &impl Fn(&mut Run, Overdue)) -> Option<Instant> {
        let mut held = lock(&chair.run);
        let run = held.as_mut()?;
        let now = Instant::now();
        let is_slow = !run.told && self.slow.is_some_and(|slow| run.began + slow <= now);
        let is_over =
            run.overdue.is_none() && self.limit.is_some_and(|limit| run.began + limit <= now);
        if is_slow || is_over {
            let took = now - run.began;
            let stack = chair.thread.stack();
            let what = if is_over { self.end(run, ended) } else { "it is still running".into() };
            run.told = true;
            let name = if is_over { "overdue" } else { "slow" };
            let (text, pid, thread) = (Line(&run.text), process::id(), chair.thread.number());
            let head = format!(
                "cgigate: {name}: {text}: {} and {what} (process {pid}, thread {thread})",
                Time(took)
            );
            drop(held);
            self.teller.tell(head, stack);
            if is_over && let Some(when_lost) = self.when_lost.get() {
                when_lost(self.lost.load(Ordering::Relaxed));
            }
            return self.limit.filter(|_| !is_over).map(|limit| now - took + limit);
        }
        let slow = self.slow.filter(|_| !run.told);
        let limit = self.limit.filter(|_| run.overdue.is_none());
        slow.into_iter().chain(limit).map(|limit| run.began + limit).min()
    }

    /// Ends a request whose application goes on.
    fn end(&self, run: &mut Run, ended: &impl Fn(&mut Run, Overdue)) -> String {
        self.lost.fetch_add(1, Ordering::Relaxed);
        let how = match run.request.take_answer() {
            true => Overdue::Refused,
            false => Overdue::Cut,
        };
        run.overdue = Some(how);
        let recorded = match how {
            Overdue::Refused => recorder::Overdue::of(&run.request),
            Overdue::Cut => None,
        };
        // Before anybody hears of it: what the application still reads or writes fails.
        run.request.cancel();
        // Whoever has its end finds it in the log, and counted.
        ended(run, how);
        if let Some(client) = &run.client {
            match how {
                Overdue::Refused => client.refuse(&run.request),
                Overdue::Cut => client.cut(&run.request),
            }
        }
        if let Some(recorded) = recorded {
            recorded.submit();
        }
        match how {
            Overdue::Refused => "no answer has begun: 504".into(),
            Overdue::Cut => "its answer was cut off".into(),
        }
    }
}

impl Chair {
    pub(super) fn enter(&self, run: Run) {
        *lock(&self.run) = Some(run);
    }
}

/// A time as options have it.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            millis @ 0..10_000 => write!(f, "{millis} ms"),
            millis => write!(f, "{} s", millis / 1000),
        }
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slow, limit, .. } = self;
        f.debug_struct("Deadlines")
            .field("slow", slow)
            .field("limit", limit)
            .finish_non_exhaustive()
    }
}
