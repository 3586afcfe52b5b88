//! Who has died, whether another takes its place, and when no worker can live.

use super::{End, Stage, Supervisor};
use crate::sys::{Level, say, say_at};
use std::{
    process::ExitStatus,
    time::{Duration, Instant},
};

/// Who died younger than this may die again at once.
const YOUNG: Duration = Duration::from_secs(1);

/// The pause after the second one in a row that died young; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many in a row, with nobody alive beside them, and none can live.
const NEVER_READY: u32 = 5;
const READY_AND_DEAD: u32 = 20;

/// Why workers do not live, as far as it is known.
#[derive(Default)]
pub(super) struct Deaths {
    /// Young ones in a row.
    young: u32,
    /// Of these, the last ones that never got ready.
    never_ready: u32,
    /// No worker is started before this.
    pub(super) pause: Option<Instant>,
}

impl Deaths {
    /// One died young.
    pub(super) fn count(&mut self, was_ready: bool) {
        self.never_ready = if was_ready { 0 } else { self.never_ready + 1 };
        // The first of them may have been an accident.
        let doubled = self.young.checked_sub(1).map(|times| FIRST_PAUSE * (1 << times.min(10)));
        self.young += 1;
        self.pause = doubled.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
    }

    /// One got ready.
    pub(super) fn forget_never_ready(&mut self) {
        self.never_ready = 0;
    }

    fn are_too_many(&self) -> bool {
        self.never_ready >= NEVER_READY || self.young >= READY_AND_DEAD
    }
}

impl Supervisor<'_> {
    /// A worker is gone.
    pub(super) fn bury(&mut self, at: usize) -> Option<End> {
        let mut worker = self.workers.remove(at);
        let status = worker.await_end();
        if self.end.is_some() {
            return None;
        }
        let pid = worker.child.id();
        let why = status.map_or_else(|| "it is gone".into(), |status| status.to_string());
        if worker.generation > self.generation && self.reload.is_some() {
            let when = if worker.stage == Stage::Starting { " before it was ready" } else { "" };
            self.give_up_reload(&format!("worker {pid} ended{when}: {why}"));
            return None;
        }
        match worker.stage {
            Stage::Retiring => {
                if !status.is_some_and(|status| status.success()) {
                    say(format_args!("cgigate: worker {pid} died while it finished: {why}"));
                }
                None
            }
            Stage::Starting => {
                if self.ready.is_none() {
                    say(format_args!("cgigate: worker {pid} ended before it was ready: {why}"));
                }
                self.deaths.count(false);
                self.has_to_give_up(status)
            }
            Stage::Serving | Stage::Tired => {
                say(format_args!("cgigate: worker {pid} died: {why}; another takes its place"));
                if let Some(board) = &self.board {
                    board.count_restart();
                }
                if worker.started.elapsed() >= YOUNG {
                    self.deaths = Deaths::default();
                    return None;
                }
                self.deaths.count(true);
                self.has_to_give_up(status)
            }
        }
    }

    /// Whether no worker can live.
    pub(super) fn has_to_give_up(&self, status: Option<ExitStatus>) -> Option<End> {
        if self.ready.is_some() {
            // The very first: what it could not do once, it will not be able to do. If it ended by
            // itself it has said why.
            let code = status.and_then(|status| status.code()).filter(|code| *code != 0);
            if let (None, Some(status)) = (code, status) {
                say(format_args!("cgigate: start: the worker ended before it was ready: {status}"));
            }
            let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Some(End::Failed(code));
        }
        if self.deaths.are_too_many() && self.workers.is_empty() {
            let count = self.deaths.young;
            say_at(
                Level::Error,
                format_args!("cgigate: give up: {count} workers in a row died young"),
            );
            return Some(End::Failed(1));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_dies_young_again_and_again_is_replaced_more_and_more_slowly() {
        let mut deaths = Deaths::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let before = Instant::now();
            deaths.count(true);
            let pause = deaths.pause.map_or(Duration::ZERO, |pause| pause - before);
            pauses.push(pause.as_millis() / 100 * 100);
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!((deaths.young, deaths.never_ready), (9, 0));
        deaths.count(false);
        assert_eq!((deaths.young, deaths.never_ready), (10, 1));
    }
}
