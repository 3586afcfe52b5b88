//! Who comes: accepted, adopted from another server, left to another process, or turned away.

use super::{LISTENERS, NO_ROOM, Slot, Watcher};
use crate::{
    lock::lock,
    simple_server::{
        connection::Connection,
        head_scan::HeadScan,
        request::Rules,
        watched::{Phase, Watched},
    },
    sys::{self, Epoll, Ready},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

/// Connections beyond `max_connections` that are told so; further ones are closed.
const TURNED_AWAY: usize = 64;
/// How often accept is tried again when no descriptor was free.
const RETRY: Duration = Duration::from_millis(50);

impl Watcher<'_> {
    pub(super) fn listen(&self) -> io::Result<()> {
        for (listener, token) in self.serving.listeners.iter().zip(LISTENERS..) {
            self.epoll.add(listener.as_raw_fd(), token, Ready::While)?;
        }
        Ok(())
    }

    pub(super) fn be_deaf(&self) {
        for listener in self.serving.listeners {
            let _ = self.epoll.remove(listener.as_raw_fd());
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.lent < self.serving.options.threads.max(1)
    }

    /// With every thread at work, new connections are left in the kernel's queue while another process
    /// has a thread for them. What it was woken for alone (EPOLLEXCLUSIVE) it takes before: `all`
    /// says that it has seen all events that there were.
    pub(super) fn mind_the_door(&mut self, all: bool) -> io::Result<()> {
        let has_room = self.has_room();
        let siblings = self.serving.siblings;
        siblings.tell(has_room);
        let leaves_new = !has_room && siblings.have_room();
        if leaves_new == self.leaves_new || leaves_new && !all {
            return Ok(());
        }
        self.leaves_new = leaves_new;
        match leaves_new {
            true => self.be_deaf(),
            false if self.full_until.is_none() => self.listen()?,
            false => {}
        }
        Ok(())
    }

    /// Takes the connections that another server had.
    pub(super) fn adopt(&mut self) {
        for socket in std::mem::take(&mut *lock(self.serving.adopted)) {
            let Ok(address) = sys::peer_address(socket.as_fd()) else { continue };
            if let Some(connection) = self.serving.admit(socket, address) {
                self.settle_in(connection);
            }
        }
    }

    pub(super) fn accept(&mut self, listener: usize) -> io::Result<()> {
        // A few at a time, so that those who wait for an answer have their turn.
        for _ in 0..Epoll::BATCH {
            let Some(listener) = self.serving.listeners.get(listener) else { return Ok(()) };
            let connection = match self.serving.accept(listener) {
                Ok(Some(connection)) => connection,
                Ok(None) => return Ok(()),
                Err(e) if sys::is_exhausted(&e) => {
                    // Whoever is idle makes room; if nobody is, a little later somebody will be.
                    if !self.close_idlest() {
                        self.be_deaf();
                        self.full_until = Some(Instant::now() + RETRY);
                        return Ok(());
                    }
                    continue;
                }
                Err(e) => return Err(e),
            };
            let max = self.serving.options.max_connections;
            if self.live() >= max.saturating_add(TURNED_AWAY) {
                continue;
            }
            let crowded = self.live() >= max;
            if let Some(slot) = self.settle_in(connection)
                && crowded
            {
                self.refuse(slot, &NO_ROOM);
            }
        }
        Ok(())
    }

    /// Gives a new connection a slot.
    fn settle_in(&mut self, connection: Connection) -> Option<usize> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, Slot::Free));
            self.slots.len() - 1
        });
        let token = (slot as u64) << 32 | u64::from(self.slots[slot].0);
        // The table never has 2^31 slots: there are not so many descriptors.
        if self.epoll.add(connection.socket.raw(), token, Ready::Once).is_err() {
            self.free.push(slot);
            return None;
        }
        let deadline = self.after(self.serving.options.idle_timeout);
        let scan = HeadScan::new(Rules::Strict);
        let watched = Watched { connection, scan, phase: Phase::Idle, deadline };
        self.slots[slot].1 = Slot::Watched(Box::new(watched));
        Some(slot)
    }

    /// The connection that has been idle for the longest time goes.
    fn close_idlest(&mut self) -> bool {
        let idle = |(at, (_, slot)): (usize, &(u32, Slot))| match slot {
            Slot::Watched(w) if matches!(w.phase, Phase::Idle) => Some((w.deadline, at)),
            Slot::Free | Slot::Lent(_) | Slot::Held | Slot::Watched(_) => None,
        };
        let idlest = self.slots.iter().enumerate().filter_map(idle).min();
        idlest.inspect(|&(_, at)| self.close(at)).is_some()
    }
}
