//! Every rule of PEP 3333 that can be broken while a response is made, with wsgiref's words.

use super::native::{repr, to_native};
use std::{error::Error, fmt};

/// A rule of PEP 3333 that the application, or a server under it, broke: wsgiref's AssertionErrors
/// and ValueErrors, one variant a rule.
///
/// ```
/// use cgigate::{headers::Headers, types::{HeaderPart, Violation}};
///
/// let split = Headers::new([("X-Name", "a\r\nSet-Cookie: b")]);
/// let violation = split.expect_err("a line break is in the value");
/// assert_eq!(violation, Violation::HeaderControl(HeaderPart::Value));
/// ```
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
    /// The first word of the status has not three characters.
    StatusCodeLength(Vec<u8>),
    /// The first word of the status is no number from 100 on.
    StatusCodeInvalid(Vec<u8>),
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
    /// A colon or a line break is in a name.
    HeaderNameSplit(Vec<u8>),
    /// A name ends in `-` or `_`.
    HeaderNameEnd(Vec<u8>),
    /// A header field in a native string has a character that is no byte.
    HeaderNotLatin1(char),
    /// A control character is in a value.
    HeaderValue {
        /// The field's value.
        value: Vec<u8>,
        /// The first character that is wrong.
        bad: u8,
    },
    /// `Status` is CGI's name for the status, and no header field (its value).
    HeaderStatus(Vec<u8>),
    /// A response with content does not say what it is: the fields that it has.
    NoContentType(Vec<(Vec<u8>, Vec<u8>)>),
    /// A response that has no content, by this status, has a Content-Type.
    ContentTypeWithout(u16),
    /// A block, or the end, came before any `start_response`.
    NotStarted,
    /// The server read a body that it had closed.
    ReadAfterClosed,
    /// The server read a body without a call of [`Blocks::begin`](super::Blocks::begin).
    ReadBeforeBegin,
    /// A stream of the server took or gave more bytes than it was offered or asked for.
    StreamOverrun {
        /// `wsgi.input` or `wsgi.errors`.
        stream: &'static str,
        /// Bytes that it had room for.
        asked: usize,
        /// Bytes that it says it moved.
        moved: usize,
    },
    /// A variable that every environ has is not there.
    EnvironKey(&'static str),
    /// A header field stands under its HTTP name, which CGI has another name for.
    EnvironHttpKey(&'static str),
    /// SCRIPT_NAME is neither empty nor a path.
    ScriptName(Vec<u8>),
    /// SCRIPT_NAME is `/`, where it should be empty.
    ScriptNameSlash,
    /// PATH_INFO is neither empty nor a path.
    PathInfo(Vec<u8>),
    /// Neither SCRIPT_NAME nor PATH_INFO says where the request goes.
    NoPath,
    /// CONTENT_LENGTH is not plain digits of at most 64 bits.
    ContentLength(Vec<u8>),
}

/// The two sides of PEP 3333.
///
/// ```
/// use cgigate::types::{Side, Violation};
///
/// let violation = Violation::ScriptNameSlash;
/// assert_eq!(violation.side(), Side::Server); // look into its configuration
/// assert_eq!(format!("{} is at fault", violation.side()), "the server is at fault");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server or gateway, or the middleware nearer to it.
    Server,
    /// The application, or the middleware nearer to it.
    Application,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "the server",
            Self::Application => "the application",
        })
    }
}

/// The two parts of a header field.
///
/// ```
/// use cgigate::{headers::Headers, types::{HeaderPart, Violation}};
///
/// let refused = Headers::default().add("X\nY", "z").unwrap_err();
/// assert_eq!(refused, Violation::HeaderControl(HeaderPart::Name));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderPart {
    /// What stands before the colon.
    Name,
    /// What stands behind it.
    Value,
}

impl Violation {
    /// Which side broke the rule.
    ///
    /// ```
    /// use cgigate::types::{Side, Violation};
    ///
    /// assert_eq!(Violation::ReadAfterClosed.side(), Side::Server);
    /// assert_eq!(Violation::NotStarted.side(), Side::Application);
    /// ```
    pub fn side(&self) -> Side {
        match self {
            Self::ReadAfterClosed
            | Self::ReadBeforeBegin
            | Self::StreamOverrun { .. }
            | Self::EnvironKey(_)
            | Self::EnvironHttpKey(_)
            | Self::ScriptName(_)
            | Self::ScriptNameSlash
            | Self::PathInfo(_)
            | Self::NoPath
            | Self::ContentLength(_) => Side::Server,
            Self::HeadersAlreadySet
            | Self::WriteBeforeStartResponse
            | Self::StatusTooShort
            | Self::StatusCode
            | Self::StatusSpace
            | Self::StatusControl
            | Self::StatusInterim(_)
            | Self::StatusCodeLength(_)
            | Self::StatusCodeInvalid(_)
            | Self::HopByHop { .. }
            | Self::HeaderControl(_)
            | Self::HeaderName(_)
            | Self::HeaderNameSplit(_)
            | Self::HeaderNameEnd(_)
            | Self::HeaderNotLatin1(_)
            | Self::HeaderValue { .. }
            | Self::HeaderStatus(_)
            | Self::NoContentType(_)
            | Self::ContentTypeWithout(_)
            | Self::NotStarted => Side::Application,
        }
    }
}

/// The `repr` of bytes as a native string.
fn quoted(bytes: &[u8]) -> String {
    repr(&to_native(bytes))
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
            Self::StatusCodeLength(code) => {
                write!(f, "Status codes must be three characters: {}", quoted(code))
            }
            Self::StatusCodeInvalid(code) => {
                // wsgiref prints the number, where there is one.
                let number = to_native(code).parse::<i16>().map(|number| number.to_string());
                write!(f, "Status code is invalid: {}", number.unwrap_or_else(|_| quoted(code)))
            }
            Self::HopByHop { name, value } => {
                let (name, value) = (to_native(name), to_native(value));
                write!(f, "Hop-by-hop header, '{name}: {value}', not allowed")
            }
            Self::HeaderControl(_) => f.write_str("Control characters not allowed in headers"),
            Self::HeaderName(name) => write!(f, "Bad header name: {}", quoted(name)),
            Self::HeaderNameSplit(name) => {
                write!(f, "Header names may not contain ':' or '\\n': {}", quoted(name))
            }
            Self::HeaderNameEnd(name) => {
                write!(f, "Names may not end in '-' or '_': {}", quoted(name))
            }
            Self::HeaderNotLatin1(c) => write!(f, "Header character {c:?} is not Latin-1"),
            Self::HeaderValue { value, bad } => {
                let (value, bad) = (quoted(value), quoted(&[*bad]));
                write!(f, "Bad header value: {value} (bad char: {bad})")
            }
            Self::HeaderStatus(value) => write!(
                f,
                "The Status header cannot be used; it conflicts with CGI script, and HTTP \
                 status is not given through headers (value: {}).",
                quoted(value)
            ),
            Self::NoContentType(fields) => {
                let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
                    format!("({}, {})", quoted(name), quoted(value))
                };
                let fields: Vec<_> = fields.iter().map(field).collect();
                write!(f, "No Content-Type header found in headers ([{}])", fields.join(", "))
            }
            Self::ContentTypeWithout(code) => write!(
                f,
                "Content-Type header found in a {code} response, which must not return content."
            ),
            Self::NotStarted => f.write_str(
                "The application returns and we started iterating over its body, but \
                 start_response has not yet been called",
            ),
            Self::ReadAfterClosed => f.write_str("Iterator read after closed"),
            Self::ReadBeforeBegin => f.write_str("Iterator read before begin()"),
            Self::StreamOverrun { stream, asked, moved } => {
                write!(f, "{stream} moved {moved} bytes where there was room for {asked}")
            }
            Self::EnvironKey(key) => write!(f, "Environment missing required key: '{key}'"),
            Self::EnvironHttpKey(key) => {
                let cgi = key.trim_start_matches("HTTP_");
                write!(f, "Environment should not have the key: {key} (use {cgi} instead)")
            }
            Self::ScriptName(name) => {
                write!(f, "SCRIPT_NAME doesn't start with /: {}", quoted(name))
            }
            Self::ScriptNameSlash => f.write_str(
                "SCRIPT_NAME cannot be '/'; it should instead be '', and PATH_INFO should be '/'",
            ),
            Self::PathInfo(path) => write!(f, "PATH_INFO doesn't start with /: {}", quoted(path)),
            Self::NoPath => f.write_str(
                "One of SCRIPT_NAME or PATH_INFO are required (PATH_INFO should at least be '/' \
                 if SCRIPT_NAME is empty)",
            ),
            Self::ContentLength(length) => {
                write!(f, "Invalid CONTENT_LENGTH: {}", quoted(length))
            }
        }
    }
}

impl Error for Violation {}
