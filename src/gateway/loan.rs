//! The reading half of a connection, in the hands of a request that runs on it and has a body to
//! read: taken to receive, and lent out again in between.

use super::{
    shared::{Line, Shared},
    slot::{Reading, Slot},
    spool::Spool,
    threads::register,
    token::Token,
};
use crate::fcgi::RequestId;
use std::sync::Arc;

/// What a request needs to receive for itself.
#[derive(Clone, Copy)]
pub(super) struct Loan<'c> {
    pub(super) shared: &'c Shared,
    pub(super) line: &'c Line,
    pub(super) slot: &'c Slot,
    pub(super) token: Token,
    pub(super) id: RequestId,
}

impl Loan<'_> {
    /// Takes the reading half. False: somebody else receives just now.
    pub(super) fn take(&self) -> bool {
        // Taken away meanwhile, it is not lent to anybody: this body is open.
        (self.line.loan() == Some(self.token) && self.slot.take_back())
            || self.slot.enter(self.token.generation())
    }

    /// What comes is no longer an event for others: they would be woken for each piece of a long
    /// body, to no purpose. While it is so the reading half is held or lent, and as long as it is
    /// lent, something is owed on it; whoever lets it go tells epoll first (`register`).
    pub(super) fn hush(&self) {
        if self.slot.hush() {
            // It can fail only for a descriptor that is not there: then nothing comes at all.
            let _ = self.shared.epoll.hush(self.slot.socket.raw(), self.token.0);
        }
    }

    /// Lets the reading half go: as a loan if only this body is to come on the connection.
    /// `drained`: the last read emptied the socket.
    pub(super) fn release(&self, spool: &Arc<Spool>, drained: bool) {
        let (lend, hushed) = {
            let mut front = self.slot.front();
            front.share_body(self.id, spool);
            (front.is_body_open(self.id) && front.is_only_body(self.id), self.slot.is_hushed())
        };
        if lend {
            self.line.lend(self.token);
            self.slot.lend(drained && !hushed);
            self.shared.steward.call();
            return;
        }
        register(self.shared, self.slot, self.token);
        if self.slot.leave_running(0, Reading::Free, drained) {
            self.line.owe(self.token);
            self.shared.steward.call();
        }
    }
}
