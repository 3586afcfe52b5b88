//! A server while it serves: whom it lets in, and how long it waits for them.

use super::{
    Options, ServerHandler, WsgiRequestHandler, connection::Connection, handler::error_page,
    refused::Refused,
};
use crate::{
    net::{Peer, Siblings, Succession},
    sys::{self, Bell, Readiness, SocketCell},
    types::{Application, Vars},
};
use std::{
    io,
    net::{IpAddr, TcpListener},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// What the parts of a server need to know of it while it serves.
pub(super) struct Serving<'s> {
    pub(super) application: Option<&'s dyn Application>,
    pub(super) handler: &'s dyn WsgiRequestHandler,
    pub(super) server_handler: &'s ServerHandler,
    pub(super) base_environ: &'s Vars,
    pub(super) options: &'s Options,
    pub(super) listeners: &'s [TcpListener],
    pub(super) stopping: &'s AtomicBool,
    /// Who gets the connections without a request when it stops.
    pub(super) succession: &'s Succession,
    /// The servers of other processes that share the listeners.
    pub(super) siblings: &'s Siblings,
    /// Connections that another server had.
    pub(super) adopted: &'s Mutex<Vec<OwnedFd>>,
    pub(super) bell: &'s Bell,
    /// Requests that wait for a thread.
    pub(super) waiting: &'s AtomicUsize,
}

impl Serving<'_> {
    /// The next connection of a listener, if there is one and it may stay.
    pub(super) fn accept(&self, listener: &TcpListener) -> io::Result<Option<Connection>> {
        let (socket, address) = match sys::accept(listener.as_raw_fd()) {
            Ok(accepted) => accepted,
            // The others say something of a connection, and not of the listener.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput || sys::is_exhausted(&e) => {
                return Err(e);
            }
            Err(_) => return Ok(None),
        };
        Ok(self.admit(socket, address))
    }

    /// A new connection, if its peer may connect.
    pub(super) fn admit(&self, socket: OwnedFd, address: Option<IpAddr>) -> Option<Connection> {
        let client = match address {
            Some(address) => Peer::Ip(address),
            None => Peer::User(sys::peer_user(socket.as_fd()).ok()?),
        };
        let refused = self.options.allow.as_ref().is_some_and(|allow| !allow.admits(client));
        let served = !refused && self.handler.verify_request(client);
        served.then(|| Connection::new(socket, client))
    }

    /// The error page of this server.
    pub(super) fn page(&self, refused: &Refused, is_head: bool) -> Vec<u8> {
        let software = self.server_handler.0.software();
        error_page(refused, software, self.options.is_modern(), is_head)
    }

    /// So many requests wait for a thread.
    pub(super) fn tell_waiting(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.handler.queued(waiting);
    }

    /// Waits for a client that may take so long; false when it took longer. While others wait for
    /// a thread it has a tenth of the time: who stands still must not hold them all.
    pub(super) fn wait(
        &self,
        socket: &SocketCell,
        what: Readiness,
        patience: Option<Duration>,
    ) -> io::Result<bool> {
        const LOOK: Duration = Duration::from_millis(250);
        let Some(patience) = patience else { return socket.wait(what, None) };
        let began = Instant::now();
        loop {
            let left = match self.waiting.load(Ordering::Relaxed) {
                0 => patience,
                _ => patience / 10,
            };
            let left = left.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            if socket.wait(what, Some(left.min(LOOK)))? {
                return Ok(true);
            }
        }
    }
}
