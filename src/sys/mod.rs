//! The system calls behind the safe face of the rest of the crate; the only unsafe code there is.
//!
//! One function a call, safe to call, each block with the rule that makes it so.
#![allow(unsafe_code)]

mod beneath;
#[cfg(test)]
mod counted;
mod say;
#[cfg(unix)]
mod unix;
#[cfg(test)]
pub(crate) use counted::allocations;
pub(crate) use say::{Level, say, say_at, say_block, say_lines, say_text};
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;

use std::{fmt, net::IpAddr};

/// Which symbolic links are followed.
///
/// ```
/// use cgigate::apps::{Files, Links};
///
/// // All in this folder was put there by trusted hands: its links may lead anywhere.
/// let trusted = Files::below("/srv/releases").links(Links::Everywhere);
/// // What users upload should have none.
/// let uploads = Files::below("/srv/uploads").links(Links::Never);
/// # let _ = (trusted, uploads);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// None at all.
    Never,
    /// Those that stay below the directory, and are relative.
    Inside,
    /// All, wherever they lead.
    Everywhere,
}

/// The other end of a connection.
///
/// ```
/// use cgigate::net::{Allow, Peer};
///
/// let allow = Allow::new(Vec::new(), vec![33]);
/// let stranger = Peer::User(1000);
/// assert!(!allow.admits(stranger));
/// assert_eq!(stranger.to_string(), "user 1000"); // for the log
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP: its address.
    Ip(IpAddr),
    /// Over a Unix socket: its user, as the kernel noted it at `connect` (SO_PEERCRED, unix(7)).
    User(u32),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::User(uid) => write!(f, "user {uid}"),
        }
    }
}
