//! Who keeps the doors of a process, whatever is spoken there.

use crate::{
    net::{Allow, Peer},
    sys::say,
};
use std::{
    net::IpAddr,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering},
};

/// Keeps the doors of a process.
pub(super) struct Doorman {
    allow: Allow,
    /// Whether the log has a refused connection already: whoever knocks all day fills no disk.
    refused: AtomicBool,
}

impl Doorman {
    pub(super) fn new(allow: Allow) -> Self {
        Self { allow, refused: AtomicBool::new(false) }
    }

    /// Whether who has connected may stay; who has gone already may not.
    pub(super) fn admits_socket(&self, socket: &OwnedFd, address: Option<IpAddr>) -> bool {
        match self.allow.admits_socket(socket, address) {
            Ok(()) => true,
            Err(peer) => {
                peer.inspect(|peer| self.refuse(*peer));
                false
            }
        }
    }

    pub(super) fn admits(&self, peer: Peer) -> bool {
        let admitted = self.allow.admits(peer);
        if !admitted {
            self.refuse(peer);
        }
        admitted
    }

    fn refuse(&self, peer: Peer) {
        if !self.refused.swap(true, Ordering::Relaxed) {
            say(format_args!(
                "cgigate: accept {peer}: not among those who may connect, see --allow and --allow-uid (not told again)"
            ));
        }
    }
}
