//! Every rule of PEP 3333 that can be broken while a response is made, with wsgiref's words.

use super::native::to_native;
use std::{error::Error, fmt};

/// A rule of PEP 3333 that the application, or a server under it, broke: wsgiref's AssertionErrors
/// and ValueErrors, one variant a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// `start_response` was called a second time without `exc_info`.
    HeadersAlreadySet,
    /// A block was to be sent, or the response was at its end, and `start_response` never called.
    WriteBeforeStartResponse,
    /// The status has not even room for a code and a space.
    StatusTooShort,
    /// The status does not begin with three (ASCII) digits.
    StatusCode,
    /// No space follows the code.
    StatusSpace,
    /// A control character is in the status.
    StatusControl,
    /// An interim status (RFC 9110 section 15.2) cannot be the final one.
    StatusInterim(u16),
    /// A field that concerns one connection only (RFC 9110 section 7.6.1) is the server's to send.
    HopByHop {
        /// The field's name.
        name: Vec<u8>,
        /// The field's value.
        value: Vec<u8>,
    },
    /// A control character is in a name or a value.
    HeaderControl(HeaderPart),
    /// A name is not a token (RFC 9110 section 5.1).
    HeaderName(Vec<u8>),
    /// A header field in a native string has a character that is no byte.
    HeaderNotLatin1(char),
}

/// The two parts of a header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPart {
    /// What stands before the colon.
    Name,
    /// What stands behind it.
    Value,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadersAlreadySet => f.write_str("Headers already set!"),
            Self::WriteBeforeStartResponse => f.write_str("write() before start_response()"),
            Self::StatusTooShort => f.write_str("Status must be at least 4 characters"),
            Self::StatusCode => f.write_str("Status message must begin w/3-digit code"),
            Self::StatusSpace => f.write_str("Status message must have a space after code"),
            Self::StatusControl => f.write_str("Control characters are not allowed in status"),
            Self::StatusInterim(code) => {
                write!(f, "Status {code} is interim and cannot end a request")
            }
            Self::HopByHop { name, value } => {
                let (name, value) = (to_native(name), to_native(value));
                write!(f, "Hop-by-hop header, '{name}: {value}', not allowed")
            }
            Self::HeaderControl(_) => f.write_str("Control characters not allowed in headers"),
            Self::HeaderName(name) => write!(f, "Bad header name: {:?}", to_native(name)),
            Self::HeaderNotLatin1(c) => write!(f, "Header character {c:?} is not Latin-1"),
        }
    }
}

impl Error for Violation {}
