//! The end of a server: who has no request under way goes to its heir.

use super::{Slot, Watcher};
use crate::{net::Passed, simple_server::watched::Phase};
use std::time::{Duration, Instant};

/// How long an heir that has its hands full is left alone.
const OFFER: Duration = Duration::from_millis(5);

impl Watcher<'_> {
    /// Nobody new.
    pub(super) fn begin_to_stop(&mut self) {
        self.stopping = true;
        self.serving.siblings.tell(false);
        self.be_deaf();
    }

    /// Of those that are here only who has begun a request stays; the others go to the heir, or end.
    pub(super) fn part_with_idle(&mut self) {
        let now = Instant::now();
        if self.succession_at.is_some_and(|at| now < at) {
            return;
        }
        self.succession_at = None;
        for at in 0..self.slots.len() {
            let Slot::Watched(watched) = &self.slots[at].1 else { continue };
            let passed = match watched.phase {
                Phase::Idle => {
                    let socket = &watched.connection.socket;
                    let passed = socket.with(|it| Ok(self.serving.succession.pass(it, "http")));
                    if let Ok(Passed::Gone) = passed {
                        // Closing alone would not end its events: the heir has the same socket.
                        let _ = self.epoll.remove(socket.raw());
                    }
                    passed.unwrap_or(Passed::Never)
                }
                // Its client still sends what nobody wants.
                Phase::Skip if self.serving.succession.is_open() => Passed::Later,
                Phase::Skip => Passed::Never,
                Phase::Head | Phase::Body { .. } | Phase::Chunks { .. } | Phase::Drain { .. } => {
                    continue;
                }
            };
            match passed {
                Passed::Gone | Passed::Never => self.close(at),
                Passed::Later => self.succession_at = Some(now + OFFER),
            }
        }
    }
}
