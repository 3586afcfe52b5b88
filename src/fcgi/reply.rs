//! What an application says, as [`Client`](super::Client) understands it.

use super::record::{ProtocolStatus, RequestId};

/// What the application has said. Borrows from the caller's buffer, never from the client.
///
/// ```
/// use cgigate::fcgi::{ProtocolStatus, Reply, RequestId};
/// use std::num::NonZeroU16;
///
/// /// Why a request was not served at all, if it was not.
/// fn refusal(reply: Reply<'_>) -> Option<&'static str> {
///     match reply {
///         Reply::End { protocol_status: ProtocolStatus::RequestComplete, .. } => None,
///         Reply::End { protocol_status, .. } => Some(protocol_status.as_str()),
///         _ => None, // not at its end
///     }
/// }
///
/// let (id, protocol_status) = (RequestId(NonZeroU16::MIN), ProtocolStatus::Overloaded);
/// let reply = Reply::End { id, app_status: 0, protocol_status };
/// assert_eq!(refusal(reply), Some("OVERLOADED"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'i> {
    /// Some bytes of STDOUT.
    Stdout {
        /// The request.
        id: RequestId,
        /// Never empty.
        piece: &'i [u8],
    },
    /// STDOUT is whole. Many applications leave this to END_REQUEST.
    StdoutEnd {
        /// The request.
        id: RequestId,
    },
    /// Some bytes of STDERR.
    Stderr {
        /// The request.
        id: RequestId,
        /// Never empty.
        piece: &'i [u8],
    },
    /// STDERR is whole.
    StderrEnd {
        /// The request.
        id: RequestId,
    },
    /// END_REQUEST: the last of a request, whose id is free again.
    End {
        /// The request.
        id: RequestId,
        /// What a CGI program would have exited with (section 5.5).
        app_status: u32,
        /// Whether it was served at all.
        protocol_status: ProtocolStatus,
    },
    /// GET_VALUES_RESULT, for [`pairs`](super::pairs()).
    Values {
        /// The whole content.
        pairs: &'i [u8],
    },
    /// UNKNOWN_TYPE: a management record of this type was not understood.
    UnknownType(u8),
}

/// The application broke the protocol: nothing behind this can be understood.
///
/// ```
/// use cgigate::fcgi::{Client, ReplyError};
///
/// // An HTTP server listens there:
/// let error = Client::new().next(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err();
/// assert_eq!(error, ReplyError::Version(b'H'));
/// assert_eq!(error.to_string(), "version 72 where a record of FastCGI 1 should begin");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Not version 1, or not FastCGI at all.
    #[error("version {0} where a record of FastCGI 1 should begin")]
    Version(u8),
    /// A record of fixed or limited length has another.
    #[error("a record of type {kind} with {content_len} bytes of content, which is not its length")]
    Length {
        /// Its type.
        kind: u8,
        /// What its header says.
        content_len: u16,
    },
    /// A record that no application may send, or under an id that it cannot have.
    #[error("a record of type {kind} for request {id}, which no application may send")]
    Unexpected {
        /// Its type.
        kind: u8,
        /// Its id.
        id: u16,
    },
    /// A record for a request that was never begun, or has ended.
    #[error("a record of type {kind} for request {}, which is not under way", .id.0)]
    NotOpen {
        /// Its type.
        kind: u8,
        /// Its id.
        id: RequestId,
    },
    /// A protocol status that the specification does not know.
    #[error("request {} ended with protocol status {status}, which there is not", .id.0)]
    Status {
        /// The request.
        id: RequestId,
        /// The number.
        status: u8,
    },
}
