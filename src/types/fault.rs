//! A request that cannot be answered as it stands, and the status that says so to the client.

use super::Exception;
use std::{error::Error, io};

/// What is wrong with a request: the client's fault, or that of the web server for it.
///
/// Reads of `wsgi.input` carry it inside an [`io::Error`]; an application that passes the error on
/// before the headers went out answers with [`status`](Self::status) instead of a 500.
///
/// ```
/// use std::io::Read;
///
/// let greedy = cgigate::app(|mut environ, start_response| {
///     let mut all = Vec::new();
///     environ.input.read_to_end(&mut all)?;
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(all.into())
/// });
/// let fault = cgigate::types::RequestFault::BodyCutShort { missing: 7 };
/// let cut = cgigate::app(move |_, _| Err(std::io::Error::from(fault.clone()).into()));
/// assert_eq!(cgigate::testing::post("/", "whole").ask(&greedy).status, 200);
/// assert_eq!(cgigate::testing::get("/").ask(&cut).status, 400);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestFault {
    /// The body ended before the length that was promised (RFC 3875 section 4.2).
    #[error("the request body ended {missing} bytes early")]
    BodyCutShort {
        /// Bytes that never came.
        missing: u64,
    },
    /// A chunk of the body is malformed (RFC 9112 section 7.1).
    #[error("the request body has a malformed chunk")]
    BadChunk,
    /// The body ended between two of its chunks (RFC 9112 section 8).
    #[error("the request body ended before its last chunk")]
    ChunksCutShort,
    /// CONTENT_LENGTH is not plain digits (RFC 3875 section 4.1.2).
    #[error("CONTENT_LENGTH is {0:?}, which is no length")]
    BadLength(String),
    /// The body is longer than this gateway takes.
    #[error("the request body is over {limit} bytes")]
    BodyTooLong {
        /// `--max-body`, in bytes.
        limit: u64,
    },
    /// The variables are longer, or more, than this gateway takes.
    #[error("the request's variables are too long")]
    ParamsTooLong,
    /// The URI is longer than the types of the crate `http` can hold.
    #[error("the request's URI is too long")]
    TargetTooLong,
    /// A variable cannot be what HTTP would make of it, for an application that speaks `http`.
    #[error("the value of {0} is none that HTTP knows")]
    NotHttp(String),
    /// The body made no progress for too long.
    #[error("the request body stood still for too long")]
    TooSlow,
}

impl RequestFault {
    /// The status line's text: `400 Bad Request`.
    ///
    /// ```
    /// use cgigate::types::RequestFault;
    ///
    /// assert_eq!(RequestFault::TooSlow.status(), "408 Request Timeout");
    /// assert_eq!(RequestFault::BodyTooLong { limit: 1 << 20 }.status(), "413 Content Too Large");
    /// ```
    pub const fn status(&self) -> &'static str {
        match self {
            Self::BodyCutShort { .. }
            | Self::ChunksCutShort
            | Self::BadChunk
            | Self::BadLength(_)
            | Self::NotHttp(_) => "400 Bad Request",
            Self::TooSlow => "408 Request Timeout",
            Self::BodyTooLong { .. } => "413 Content Too Large",
            Self::TargetTooLong => "414 URI Too Long",
            Self::ParamsTooLong => "431 Request Header Fields Too Large",
        }
    }

    /// The fault in `exc`, or in anything that caused it.
    ///
    /// ```
    /// use cgigate::{Exception, types::RequestFault};
    /// use std::io;
    ///
    /// let read: Exception = io::Error::from(RequestFault::BodyCutShort { missing: 7 }).into();
    /// match RequestFault::find(&read) {
    ///     Some(fault) => assert_eq!(fault.to_string(), "the request body ended 7 bytes early"),
    ///     None => unreachable!("then it would be our own"),
    /// }
    /// ```
    pub fn find(exc: &Exception) -> Option<&Self> {
        causes(exc).find_map(|error| error.downcast_ref())
    }
}

impl From<RequestFault> for io::Error {
    fn from(fault: RequestFault) -> Self {
        let kind = match fault {
            RequestFault::BodyCutShort { .. } | RequestFault::ChunksCutShort => {
                io::ErrorKind::UnexpectedEof
            }
            RequestFault::TooSlow => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, fault)
    }
}

/// An error and its causes, outermost first.
///
/// `io::Error::source` skips the error that it carries and goes on to that one's source; here it
/// comes first.
pub(crate) fn causes(exc: &Exception) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = &**exc;
    std::iter::successors(Some(first), cause)
}

fn cause<'e>(error: &&'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    let error: &'e (dyn Error + 'static) = *error;
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
