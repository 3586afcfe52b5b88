//! The protocols that the workers speak, and what is different about them.
//!
//! Little is: `incoming.rs` turns what comes into events of one kind, and `outgoing.rs` puts an
//! answer into records, or into nothing at all.

use crate::handlers::Preamble;
use std::fmt;

/// What is spoken on a server's sockets.
///
/// ```
/// use cgigate::{gateway::Protocol, handlers::Preamble};
///
/// assert_eq!(Protocol::Uwsgi.name(), "uwsgi");
/// assert_eq!(Protocol::Uwsgi.preamble(), Preamble::StatusLine);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Many requests a connection, one after the other or at once.
    #[default]
    FastCgi,
    /// One request a connection; the answer ends with it.
    Scgi,
    /// The same; the answer begins with an HTTP status line.
    Uwsgi,
}

impl Protocol {
    /// As the command line calls it.
    ///
    /// ```
    /// use cgigate::gateway::Protocol;
    ///
    /// let command = format!("site {} --listen :9000", Protocol::FastCgi.name());
    /// assert_eq!(command, "site fastcgi --listen :9000");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::FastCgi => "fastcgi",
            Self::Scgi => "scgi",
            Self::Uwsgi => "uwsgi",
        }
    }

    /// Where the status of an answer stands.
    ///
    /// ```
    /// use cgigate::{gateway::Protocol, handlers::Attributes};
    ///
    /// let preamble = Protocol::Scgi.preamble();
    /// let attributes = Attributes { origin_server: false, preamble, ..Attributes::BASE };
    /// ```
    pub const fn preamble(self) -> Preamble {
        match self {
            Self::FastCgi => Preamble::StatusLast,
            Self::Scgi => Preamble::StatusFirst,
            Self::Uwsgi => Preamble::StatusLine,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
