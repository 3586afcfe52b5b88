//! The client, or the web server for it, has gone away: nobody's fault, and nothing to log.

use super::{Exception, fault::causes};
use std::{error::Error, fmt, io};

/// What reads of `wsgi.input` and writes of the response fail with once nobody waits for the answer.
///
/// It travels inside an [`io::Error`] of kind [`ConnectionAborted`](io::ErrorKind::ConnectionAborted).
/// The type, not the kind, is what tells it from a database's lost connection, which is a fault of
/// the application and does get logged.
///
/// ```
/// use cgigate::types::ClientGone;
/// use std::io::{Error, ErrorKind};
///
/// assert_eq!(Error::from(ClientGone).kind(), ErrorKind::ConnectionAborted);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientGone;

impl fmt::Display for ClientGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has gone away")
    }
}

impl Error for ClientGone {}

impl From<ClientGone> for io::Error {
    fn from(gone: ClientGone) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, gone)
    }
}

/// Whether `exc`, or anything that caused it, is [`ClientGone`].
///
/// ```
/// use cgigate::types::{ClientGone, Exception, is_departure};
/// use std::io;
///
/// let ours: Exception = io::Error::from(ClientGone).into();
/// let theirs: Exception = io::Error::from(io::ErrorKind::ConnectionAborted).into();
/// assert!(is_departure(&ours) && !is_departure(&theirs));
/// ```
pub fn is_departure(exc: &Exception) -> bool {
    causes(exc).any(|error| error.is::<ClientGone>())
}
