//! What a web server says, as [`Connection`](super::Connection) understands it.

use super::{
    pairs::PairError,
    record::{ProtocolStatus, RequestId, Role},
};

/// What the web server has said. Borrows from the caller's buffer, never from the connection.
///
/// ```
/// use cgigate::fcgi::{Connection, Event, ProtocolError};
///
/// /// A request that comes in, alone on its connection.
/// #[derive(Default)]
/// struct Incoming {
///     params: Vec<u8>,
///     body: Vec<u8>,
///     whole: bool,
/// }
///
/// impl Incoming {
///     fn take(&mut self, event: Event<'_>) {
///         match event {
///             Event::Begin { .. } => *self = Self::default(),
///             Event::Params { piece, .. } => self.params.extend_from_slice(piece),
///             Event::Stdin { piece, .. } => self.body.extend_from_slice(piece),
///             Event::StdinEnd { .. } => self.whole = true,
///             _ => {} // here no filters, no limits and no aborts
///         }
///     }
/// }
/// # use cgigate::fcgi::{self, Limits, RecordType::{Params, Stdin}, RequestId, Role};
/// # let (id, mut wire) = (RequestId(std::num::NonZeroU16::MIN), Vec::new());
/// # fcgi::begin_request(&mut wire, id, Role::Responder, true);
/// # for (kind, data) in [(Params, ""), (Stdin, "body"), (Stdin, "")] {
/// #     fcgi::stream(&mut wire, kind, id, data.as_bytes());
/// # }
/// # let mut connection = Connection::new(Limits { max_requests: 1, max_params: 64 });
/// # let (mut incoming, mut at) = (Incoming::default(), 0);
/// # while let (used, Some(event)) = connection.next(&wire[at..])? {
/// #     incoming.take(event);
/// #     at += used;
/// # }
/// # assert!(incoming.whole && incoming.body == b"body");
/// # Ok::<_, ProtocolError>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
#[repr(u16)] // All have their id in one place then: it need not be shifted about.
pub enum Event<'i> {
    /// BEGIN_REQUEST of a role that there is.
    Begin {
        /// The request.
        id: RequestId,
        /// What it asks the application to be.
        role: Role,
        /// Whether the connection stays open after it.
        keep_conn: bool,
    },
    /// Some bytes of PARAMS: pairs may be cut anywhere.
    Params {
        /// The request.
        id: RequestId,
        /// Never empty.
        piece: &'i [u8],
    },
    /// PARAMS is whole.
    ParamsEnd {
        /// The request.
        id: RequestId,
    },
    /// PARAMS goes over [`max_params`](super::Limits::max_params). Told once: all further input of
    /// the request but an ABORT_REQUEST is read over.
    ParamsTooLong {
        /// The request, still open until [`Connection::finish`](super::Connection::finish).
        id: RequestId,
    },
    /// Some bytes of STDIN.
    Stdin {
        /// The request.
        id: RequestId,
        /// Never empty.
        piece: &'i [u8],
    },
    /// STDIN is whole.
    StdinEnd {
        /// The request.
        id: RequestId,
    },
    /// Some bytes of DATA: filters only.
    Data {
        /// The request.
        id: RequestId,
        /// Never empty.
        piece: &'i [u8],
    },
    /// DATA is whole.
    DataEnd {
        /// The request.
        id: RequestId,
    },
    /// ABORT_REQUEST of a request that is open, and stays so until
    /// [`Connection::finish`](super::Connection::finish).
    Abort {
        /// The request.
        id: RequestId,
    },
    /// Something to be said back, that no application need know of.
    Answer(Answer),
}

/// What the protocol itself answers.
///
/// ```
/// use cgigate::fcgi::{self, Answer, Values};
///
/// /// Appends what there is to be said to what is to be written.
/// fn say(out: &mut Vec<u8>, answer: Answer, values: &Values) {
///     match answer {
///         Answer::Values { asked } => fcgi::values_result(out, asked, values),
///         Answer::UnknownType(kind) => fcgi::unknown_type(out, kind),
///         Answer::Refuse { id, status, .. } => fcgi::end_request(out, id, 0, status),
///     }
/// }
///
/// let (mut out, values) = (Vec::new(), Values { max_conns: 8, max_reqs: 8, mpxs_conns: true });
/// say(&mut out, Answer::UnknownType(99), &values);
/// assert!(fcgi::words(&out).eq(["UNKNOWN_TYPE id=0 len=8 pad=0 type=99"]));
/// ```
#[must_use = "an unsent answer leaves the web server waiting"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// GET_VALUES_RESULT with the values whose bits are set, for
    /// [`values_result`](super::values_result).
    Values {
        /// A bit for each name in [`VALUES`](super::VALUES).
        asked: u8,
    },
    /// UNKNOWN_TYPE, to a management record of that type.
    UnknownType(u8),
    /// END_REQUEST for a request that never was opened.
    Refuse {
        /// The request.
        id: RequestId,
        /// Why.
        status: ProtocolStatus,
        /// Whether the connection stays open.
        keep_conn: bool,
    },
}

/// The peer broke the protocol: nothing behind this can be understood, and the connection ends.
///
/// ```
/// use cgigate::fcgi::{Connection, Limits};
///
/// // A browser was sent to this port:
/// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
/// let error = connection.next(b"GET / HTTP/1.1\r\n").unwrap_err();
/// assert_eq!(error.to_string(), "a record of FastCGI version 71, which is not 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Not version 1, or not FastCGI at all.
    #[error("a record of FastCGI version {0}, which is not 1")]
    Version(u8),
    /// A record of fixed length has another.
    #[error("a record of type {kind} with {content_len} bytes of content, which is not its length")]
    Length {
        /// Its type.
        kind: u8,
        /// What its header says.
        content_len: u16,
    },
    /// BEGIN_REQUEST for an id that is in use.
    #[error("request {} began while it was under way", .0.0)]
    IdInUse(RequestId),
    /// A record that cannot come where it came.
    #[error("a record of type {kind} for request {id} where none may come")]
    Order {
        /// Its type.
        kind: u8,
        /// Its id.
        id: u16,
    },
    /// GET_VALUES that cannot be read.
    #[error("malformed GET_VALUES: {0}")]
    Values(#[from] PairError),
}
