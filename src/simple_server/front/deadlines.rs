//! Until when the watcher waits, and for whom no longer.

use super::{Slot, Watcher};
use crate::{
    lock::lock,
    simple_server::{
        pool::{Job, turn_away},
        refused::TOO_SLOW,
        watched::Phase,
    },
};
use std::{
    io,
    time::{Duration, Instant},
};

/// How often it is looked whether another process still has a thread to spare.
const LOOK_AROUND: Duration = Duration::from_millis(5);

impl Watcher<'_> {
    /// How long to wait for an event.
    pub(super) fn millis(&self, give_up: Option<Instant>) -> i32 {
        let looks_around = !self.has_room() && self.serving.siblings.are_known();
        let look_around = looks_around.then(|| Instant::now() + LOOK_AROUND);
        let next = [
            self.next_deadline,
            self.late_at,
            self.full_until,
            self.succession_at,
            look_around,
            give_up,
        ];
        let next = next.into_iter().flatten().min();
        let left = next.map(|at| at.saturating_duration_since(Instant::now()).as_millis() + 1);
        left.map_or(-1, |left| i32::try_from(left).unwrap_or(i32::MAX))
    }

    /// A deadline from now, that the watcher will wake for.
    pub(super) fn after(&mut self, limit: Option<Duration>) -> Option<Instant> {
        let deadline = Instant::now() + limit?;
        self.next_deadline = Some(self.next_deadline.map_or(deadline, |next| next.min(deadline)));
        Some(deadline)
    }

    /// Ends the patience with those whose deadline is over.
    pub(super) fn expire(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.full_until.is_some_and(|at| at <= now) {
            self.full_until = None;
            if !self.stopping && !self.leaves_new {
                self.listen()?;
            }
        }
        if self.next_deadline.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.next_deadline = None;
        for slot in 0..self.slots.len() {
            let Slot::Watched(watched) = &self.slots[slot].1 else { continue };
            let Some(deadline) = watched.deadline else { continue };
            if deadline > now {
                let next = self.next_deadline.map_or(deadline, |next| next.min(deadline));
                self.next_deadline = Some(next);
                continue;
            }
            match watched.phase {
                Phase::Head | Phase::Body { .. } | Phase::Chunks { .. } => {
                    self.refuse(slot, &TOO_SLOW);
                }
                Phase::Idle | Phase::Skip | Phase::Drain { .. } => self.close(slot),
            }
        }
        Ok(())
    }

    /// Refuses those that have waited for a thread for too long.
    pub(super) fn turn_away_late(&mut self) {
        let limit = self.serving.options.queue_timeout;
        loop {
            // Those that came first are the first.
            let mut jobs = lock(&self.pool.jobs);
            let first = jobs.waiting.front();
            self.late_at = first.zip(limit).map(|(job, limit)| job.came + limit);
            if !first.is_some_and(|job| job.is_late(limit)) {
                return;
            }
            let Some(job) = jobs.waiting.pop_front() else { return };
            self.serving.tell_waiting(jobs.waiting.len());
            drop(jobs);
            let Job { slot, mut connection, head, .. } = job;
            let after = turn_away(&mut connection, head, self.serving);
            self.lent -= 1;
            self.take_back(slot, connection, after);
        }
    }
}
