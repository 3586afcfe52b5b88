//! Kept connections that somebody handed over, until a worker takes them.

use super::{Stage, Supervisor, Worker};
use crate::gateway::control::{Connection, Control, Word};
use std::{
    os::fd::{AsFd, AsRawFd, RawFd},
    time::Duration,
};

/// Connections that wait in the supervisor's own hands for a worker: with more, those that hand
/// theirs over have to wait.
const MOST_HOMELESS: usize = 16;

/// For poll(2), which reads over it.
const NOBODY: RawFd = -1;

/// How long after they were offered they are offered again.
pub(super) const OFFER: Duration = Duration::from_millis(5);

impl Supervisor<'_> {
    /// Where to hear a worker; one that has more to hand over than can be taken is not heard now.
    pub(super) fn line_of(&self, worker: &Worker) -> RawFd {
        let waits = worker.stage == Stage::Retiring && self.homeless.len() >= MOST_HOMELESS;
        if waits { NOBODY } else { worker.control.as_raw_fd() }
    }

    pub(super) fn line_of_the_predecessor(&self) -> RawFd {
        let heard = self.predecessor.as_ref().filter(|_| self.homeless.len() < MOST_HOMELESS);
        heard.map_or(NOBODY, AsRawFd::as_raw_fd)
    }

    /// What this process had itself is its successor's.
    pub(super) fn inherit(&mut self) {
        match self.predecessor.as_ref().map(Control::hear) {
            Some(Ok(Some(Word::Connection(connection)))) => self.homeless.push(connection),
            Some(Ok(Some(_))) | None => {}
            Some(Ok(None) | Err(_)) => self.predecessor = None,
        }
    }

    /// Kept connections find workers that stay: each in its turn, the newest generation first.
    pub(super) fn house(&mut self) {
        if self.end.is_some() {
            self.homeless.clear();
        }
        let serving = self.workers.iter().filter(|worker| worker.stage == Stage::Serving);
        let Some(newest) = serving.map(|worker| worker.generation).max() else { return };
        let takes = |it: &Worker| it.stage == Stage::Serving && it.generation == newest;
        while let Some(Connection { socket, spoken }) = self.homeless.pop() {
            let Some(at) = self.workers.iter().position(takes) else { return };
            let passed = self.workers[at].control.pass(socket.as_fd(), &spoken);
            // The next one's turn.
            let worker = self.workers.remove(at);
            self.workers.push(worker);
            if passed.is_err() {
                self.homeless.push(Connection { socket, spoken });
                return;
            }
        }
    }
}
