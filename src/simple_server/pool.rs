//! The threads that answer what the watcher has found ready, and what waits for one of them.

use super::{
    answer::answer,
    connection::{After, Connection},
    refused::Refused,
    request::parse,
    serving::Serving,
};
use crate::{handlers::Slate, lock::lock};
use std::{
    collections::VecDeque,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

pub(super) const NO_THREAD: Refused =
    Refused { status: "503 Service Unavailable", why: "there are too many requests" };
const TOO_LATE: Refused =
    Refused { status: "503 Service Unavailable", why: "the request waited for too long" };

/// A request that waits for a thread.
pub(super) struct Job {
    pub(super) slot: usize,
    pub(super) connection: Connection,
    pub(super) head: Range<usize>,
    pub(super) came: Instant,
}

impl Job {
    pub(super) fn is_late(&self, limit: Option<Duration>) -> bool {
        limit.is_some_and(|limit| self.came.elapsed() > limit)
    }
}

/// What the watcher and the threads share.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) jobs: Mutex<Jobs>,
    pub(super) more: Condvar,
    pub(super) back: Mutex<Vec<(usize, Connection, After)>>,
}

#[derive(Default)]
pub(super) struct Jobs {
    pub(super) waiting: VecDeque<Job>,
    done: bool,
}

/// Ends the threads however the watcher ends.
pub(super) struct Dismiss<'p>(pub(super) &'p Pool);

impl Drop for Dismiss<'_> {
    fn drop(&mut self) {
        lock(&self.0.jobs).done = true;
        self.0.more.notify_all();
    }
}

/// One thread of the pool.
pub(super) fn work(serving: &Serving<'_>, pool: &Pool) {
    let mut slate = Slate::default();
    loop {
        let mut jobs = lock(&pool.jobs);
        let job = loop {
            match jobs.waiting.pop_front() {
                Some(job) => {
                    serving.tell_waiting(jobs.waiting.len());
                    break job;
                }
                None if jobs.done => return,
                None => jobs = pool.more.wait(jobs).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(jobs);
        let late = job.is_late(serving.options.queue_timeout);
        let Job { slot, mut connection, head, came } = job;
        let after = if late {
            turn_away(&mut connection, head, serving)
        } else {
            let may_keep = !serving.stopping.load(Ordering::Acquire);
            slate.came = Some(came);
            let answer = || answer(&mut connection, head, serving, &mut slate, may_keep);
            // Of applications panics are caught closer by: this one is a handler's, or ours. It
            // costs the connection, and no thread.
            catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
                slate = Slate::default();
                After::Close
            })
        };
        lock(&pool.back).push((slot, connection, after));
        serving.bell.ring();
    }
}

/// Refuses a request that has waited for a thread for too long.
pub(super) fn turn_away(
    connection: &mut Connection,
    head: Range<usize>,
    serving: &Serving<'_>,
) -> After {
    let request = parse(&connection.buffer[head], serving.options.rules).ok();
    connection.refuse(serving, &TOO_LATE, request.as_ref())
}
