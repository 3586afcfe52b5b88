//! `WSGIWarning`: what is odd, and does not stop a request.

use crate::types::{Side, Violation, repr, to_native};
use std::fmt;

/// Where warnings go.
///
/// ```
/// use cgigate::validate::{Sink, check_status};
///
/// let sink: &Sink = &|warning| eprintln!("look at this: {warning}");
/// check_status(b"200", sink)?; // says that a reason is missing, and lets it through
/// assert!(check_status(b"OK", sink).is_err()); // which is more than odd
/// # Ok::<_, cgigate::types::Violation>(())
/// ```
pub type Sink = dyn Fn(WsgiWarning) + Send + Sync;

/// Something that PEP 3333 or HTTP allow no more than just.
///
/// ```
/// use cgigate::{apps::hello, validate::{WsgiWarning, validator}};
///
/// let app = validator(hello).warn(|warning| match warning {
///     WsgiWarning::QueryString => {} // our web server never says it
///     warning => eprintln!("{} should look at this: {warning}", warning.side()),
/// });
/// assert_eq!(
///     WsgiWarning::RequestMethod(b"BREW".to_vec()).to_string(),
///     "Unknown REQUEST_METHOD: 'BREW'"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WsgiWarning {
    /// QUERY_STRING is not there.
    QueryString,
    /// A method that is not one of RFC 9110's and PATCH.
    RequestMethod(Vec<u8>),
    /// A status that is not a code, one space and a reason.
    Status(Vec<u8>),
    /// The server let go of a body without closing it.
    NotClosed,
    /// A variable that should be there is not; wsgiref stumbles over SCRIPT_NAME and PATH_INFO.
    EnvironKey(&'static str),
    /// A control character is in the status.
    StatusControl(Vec<u8>),
    /// A field that concerns one connection only: handlers refuse it.
    HopByHop(Vec<u8>),
    /// A field came twice of which there can be one only.
    Repeated(Vec<u8>),
    /// A tab or a DEL is in a value.
    HeaderValue(Vec<u8>),
    /// The body is not as long as its Content-Length says.
    ContentLength {
        /// The value of the field.
        declared: Vec<u8>,
        /// Bytes of the body, or so many of them as were counted.
        sent: u64,
    },
    /// A body came with a response that has none: `HEAD`, 204 or 304.
    Content(&'static str),
    /// A file was handed to a server that offers no `wsgi.file_wrapper`.
    FileWrapper,
}

impl WsgiWarning {
    /// Which side should look at it.
    ///
    /// ```
    /// use cgigate::{types::Side, validate::WsgiWarning};
    ///
    /// assert_eq!(WsgiWarning::QueryString.side(), Side::Server);
    /// assert_eq!(WsgiWarning::Repeated(b"Location".to_vec()).side(), Side::Application);
    /// ```
    pub fn side(&self) -> Side {
        match self {
            Self::QueryString | Self::RequestMethod(_) | Self::NotClosed | Self::EnvironKey(_) => {
                Side::Server
            }
            Self::Status(_)
            | Self::StatusControl(_)
            | Self::HopByHop(_)
            | Self::Repeated(_)
            | Self::HeaderValue(_)
            | Self::ContentLength { .. }
            | Self::Content(_)
            | Self::FileWrapper => Side::Application,
        }
    }
}

/// The sink of those who name none: the process's stderr, not `wsgi.errors`.
pub(super) fn report(warning: WsgiWarning) {
    crate::sys::say(format_args!("cgigate: warning: {} is at fault: {warning}", warning.side()));
}

impl fmt::Display for WsgiWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |bytes: &[u8]| repr(&to_native(bytes));
        match self {
            Self::QueryString => f.write_str(
                "QUERY_STRING is not in the WSGI environment; the cgi module will use sys.argv \
                 when this variable is missing, so application errors are more likely",
            ),
            Self::RequestMethod(method) => write!(f, "Unknown REQUEST_METHOD: {}", quoted(method)),
            Self::Status(status) => write!(
                f,
                "The status string ({}) should be a three-digit integer followed by a single \
                 space and a status explanation",
                quoted(status)
            ),
            Self::NotClosed => f.write_str("Iterator garbage collected without being closed"),
            Self::EnvironKey(key) => Violation::EnvironKey(key).fmt(f),
            Self::StatusControl(status) => {
                write!(f, "Control characters are in the status: {}", quoted(status))
            }
            Self::HopByHop(name) => write!(f, "Hop-by-hop header: {}", quoted(name)),
            Self::Repeated(name) => write!(f, "Header given twice: {}", quoted(name)),
            Self::HeaderValue(value) => {
                write!(f, "Header value with a tab or DEL: {}", quoted(value))
            }
            Self::ContentLength { declared, sent } => {
                write!(f, "Content-Length is {}, and the body has {sent} bytes", quoted(declared))
            }
            Self::Content(what) => write!(f, "Body in the answer to {what}, which has none"),
            Self::FileWrapper => f.write_str("File returned without wsgi.file_wrapper"),
        }
    }
}
