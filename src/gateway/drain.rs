//! How a worker ends: no new connections; what is in flight has its time; connections without a
//! request are closed, or handed over to a worker that stays.
//!
//! FastCGI has no way to say goodbye on a kept connection: whoever closes one may do so in the very
//! moment in which the web server sends a request on it, and that request is lost. So it is not
//! closed. It goes to the next worker as it is, by SCM_RIGHTS, and what comes on it meanwhile waits
//! in the socket for whoever reads there next.

use super::{
    Protocol,
    desk::{Run, Short},
    queue::Look,
    shared::{LISTENERS, Shared},
    slot::Slot,
    steward::{Idle, Stewardship, TICK},
    threads::{admit, register, settle_in},
    token::Token,
};
use crate::{net::Passed, sys::peer_address};
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

impl Shared {
    /// Takes a connection that another worker had.
    pub(super) fn adopt(&self, protocol: Protocol, socket: OwnedFd) {
        let Ok(address) = peer_address(socket.as_fd()) else { return };
        let Some(token) = settle_in(self, protocol, socket, address) else { return };
        let slot = self.table.slot(token);
        // Registering reports what has come on it meanwhile.
        register(self, slot, token);
        match slot.leave() {
            Ok(word) => self.close_if_last(token, word),
            Err(()) => {
                self.queue.push_look(Look::Held(token));
                self.bell.ring();
            }
        }
    }
}

impl Stewardship {
    /// After a stop, until all connections have ended or the time for that is over.
    pub(super) fn drain(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.tell_siblings(false);
        self.close_listeners();
        let limit = shared.settings.graceful_timeout;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        let mut waits = true;
        while waits && Instant::now() < deadline && !shared.is_done() {
            std::thread::sleep(TICK);
            self.look();
            waits = false;
            for (token, slot) in shared.table.iter() {
                waits |= !slot.is_lost();
                if matches!(slot.try_idle(), Ok(Idle::Quiet(_))) && slot.enter(token.generation()) {
                    self.hands.held = Some(token);
                    self.part_with(slot, token);
                    self.leave(slot, token);
                }
            }
        }
        shared.done.store(true, Ordering::Relaxed);
        shared.bell.ring();
        shared.spares.wake_all();
    }

    fn close_listeners(&mut self) {
        let shared = Arc::clone(&self.shared);
        for listener in &shared.listeners {
            let _already_gone = shared.epoll.remove(listener.socket.raw());
        }
        let limit = shared.settings.graceful_timeout;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + limit);
        for (listener, token) in shared.listeners.iter().zip(LISTENERS..) {
            // What waits there was acknowledged by the kernel: it is served. And its event may have
            // come to this worker alone (EPOLLEXCLUSIVE), and then tells nobody else. Others may
            // share the listener, so there may always be one more.
            while Instant::now() < deadline
                && let Some(token) = admit(&shared, Token(token))
            {
                self.listen(token);
            }
            drop(listener.socket.take());
        }
    }

    /// A connection that was quiet a moment ago, and whose reading half is held now.
    fn part_with(&mut self, slot: &Slot, token: Token) {
        if self.shared.succession.is_open() {
            match self.pass(slot) {
                Passed::Gone => return slot.set_closing(),
                Passed::Later => return,
                Passed::Never => {}
            }
        }
        let shared = Arc::clone(&self.shared);
        // What has come meanwhile is still answered.
        self.desk.sorting.forget();
        let _intake = self.desk.take_in(&shared, token, Run::Others, Short::MayHideEnd);
        self.desk.hand_on(&shared, token);
        if matches!(slot.try_idle(), Ok(Idle::Quiet(_))) {
            slot.set_closing();
        }
    }

    /// Nobody else reads or writes here: the reading half is held, and no request runs.
    fn pass(&self, slot: &Slot) -> Passed {
        if slot.waits() || slot.unsaid.load(Ordering::Acquire) || !slot.front().is_fresh() {
            return Passed::Later;
        }
        let (succession, spoken) = (&self.shared.succession, slot.front().protocol().name());
        let passed = slot.socket.with(|socket| Ok(succession.pass(socket, spoken)));
        if let Ok(Passed::Gone) = passed {
            // Closing alone would not end its events: the heir has the same socket.
            let _ = self.shared.epoll.remove(slot.socket.raw());
        }
        passed.unwrap_or(Passed::Never)
    }
}
