//! Sections 3.3 and 8 of the specification: records on the wire.
//!
//! ```text
//!  0        1      2..3        4..5           6              7
//!  version  type   request id  content length padding length reserved   big-endian
//! ```

use nom::{
    IResult, Parser,
    bytes::complete::take,
    number::complete::{be_u8, be_u16, be_u32},
};
use std::num::NonZeroU16;

/// `FCGI_HEADER_LEN`, in bytes.
///
/// ```
/// use cgigate::fcgi::{HEADER_LEN, RecordType, RequestId, stream};
/// use std::num::NonZeroU16;
///
/// let mut wire = Vec::new();
/// stream(&mut wire, RecordType::Stdout, RequestId(NonZeroU16::MIN), b"hello");
/// assert_eq!(&wire[HEADER_LEN..], b"hello");
/// ```
pub const HEADER_LEN: usize = 8;

/// The most content that a record can carry, in bytes.
///
/// ```
/// use cgigate::fcgi::{HEADER_LEN, MAX_CONTENT};
///
/// let mebibyte: usize = 1 << 20;
/// assert_eq!(mebibyte.div_ceil(MAX_CONTENT) * HEADER_LEN, 136); // what its headers take
/// ```
pub const MAX_CONTENT: usize = u16::MAX as usize;

/// `FCGI_VERSION_1`
pub(super) const VERSION: u8 = 1;

/// `FCGI_KEEP_CONN`
const KEEP_CONN: u8 = 1;

/// The id of a request; zero is the management id (`FCGI_NULL_REQUEST_ID`), and not one of these.
///
/// ```
/// use cgigate::fcgi::RequestId;
/// use std::num::NonZeroU16;
///
/// let id = RequestId(NonZeroU16::new(7).expect("it is not zero"));
/// assert_eq!(id.0.get(), 7);
/// assert_eq!(NonZeroU16::new(0).map(RequestId), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub NonZeroU16);

/// What an application is asked to be (section 6).
///
/// ```
/// use cgigate::fcgi::Role;
///
/// assert_eq!(Role::from_wire(2), Some(Role::Authorizer));
/// assert_eq!(Role::Authorizer.as_str(), "AUTHORIZER");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `FCGI_RESPONDER`
    Responder = 1,
    /// `FCGI_AUTHORIZER`
    Authorizer = 2,
    /// `FCGI_FILTER`
    Filter = 3,
}

impl Role {
    /// The role of a number on the wire.
    ///
    /// ```
    /// use cgigate::fcgi::{ProtocolStatus, Role};
    ///
    /// let role = Role::from_wire(4).ok_or(ProtocolStatus::UnknownRole);
    /// assert_eq!(role, Err(ProtocolStatus::UnknownRole));
    /// ```
    pub const fn from_wire(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Responder),
            2 => Some(Self::Authorizer),
            3 => Some(Self::Filter),
            _ => None,
        }
    }

    /// `FCGI_ROLE` as libfcgi gives it to applications.
    ///
    /// ```
    /// use cgigate::{Vars, fcgi::Role};
    ///
    /// let mut vars = Vars::default();
    /// vars.set("FCGI_ROLE", Role::Filter.as_str());
    /// assert_eq!(vars.get("FCGI_ROLE"), Some(&b"FILTER"[..]));
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Responder => "RESPONDER",
            Self::Authorizer => "AUTHORIZER",
            Self::Filter => "FILTER",
        }
    }
}

/// `protocolStatus` of END_REQUEST (section 5.5).
///
/// ```
/// use cgigate::fcgi::ProtocolStatus;
///
/// assert_eq!(ProtocolStatus::from_wire(2), Some(ProtocolStatus::Overloaded));
/// assert_eq!(ProtocolStatus::from_wire(9), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolStatus {
    /// `FCGI_REQUEST_COMPLETE`
    RequestComplete = 0,
    /// `FCGI_CANT_MPX_CONN`
    CantMpxConn = 1,
    /// `FCGI_OVERLOADED`
    Overloaded = 2,
    /// `FCGI_UNKNOWN_ROLE`
    UnknownRole = 3,
}

impl ProtocolStatus {
    /// The status of a number on the wire.
    ///
    /// ```
    /// use cgigate::fcgi::ProtocolStatus;
    ///
    /// let number = 3; // the fifth byte of an END_REQUEST
    /// assert_eq!(ProtocolStatus::from_wire(number), Some(ProtocolStatus::UnknownRole));
    /// ```
    pub const fn from_wire(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::RequestComplete),
            1 => Some(Self::CantMpxConn),
            2 => Some(Self::Overloaded),
            3 => Some(Self::UnknownRole),
            _ => None,
        }
    }

    /// The name that the specification gives it.
    ///
    /// ```
    /// use cgigate::fcgi::ProtocolStatus;
    ///
    /// assert_eq!(ProtocolStatus::CantMpxConn.as_str(), "CANT_MPX_CONN");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestComplete => "REQUEST_COMPLETE",
            Self::CantMpxConn => "CANT_MPX_CONN",
            Self::Overloaded => "OVERLOADED",
            Self::UnknownRole => "UNKNOWN_ROLE",
        }
    }
}

/// The type of a record (section 8).
///
/// ```
/// use cgigate::fcgi::RecordType;
///
/// assert_eq!(RecordType::from_wire(6), Some(RecordType::Stdout));
/// assert_eq!(RecordType::from_wire(77), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// `FCGI_BEGIN_REQUEST`
    BeginRequest = 1,
    /// `FCGI_ABORT_REQUEST`
    AbortRequest = 2,
    /// `FCGI_END_REQUEST`
    EndRequest = 3,
    /// `FCGI_PARAMS`
    Params = 4,
    /// `FCGI_STDIN`
    Stdin = 5,
    /// `FCGI_STDOUT`
    Stdout = 6,
    /// `FCGI_STDERR`
    Stderr = 7,
    /// `FCGI_DATA`
    Data = 8,
    /// `FCGI_GET_VALUES`
    GetValues = 9,
    /// `FCGI_GET_VALUES_RESULT`
    GetValuesResult = 10,
    /// `FCGI_UNKNOWN_TYPE`
    UnknownType = 11,
}

impl RecordType {
    /// The type of a number on the wire.
    ///
    /// ```
    /// use cgigate::fcgi::{RecordType, header};
    ///
    /// let header = header(RecordType::Data, 1, 0);
    /// assert_eq!(RecordType::from_wire(header[1]), Some(RecordType::Data));
    /// ```
    pub const fn from_wire(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            _ => return None,
        })
    }
}

/// A header as it stands on the wire: any type, any id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u8,
    pub(super) kind: u8,
    pub(super) id: u16,
    pub(super) content_len: u16,
    pub(super) padding_len: u8,
}

// All of it at once: every record has one, and field by field is five times the instructions.
pub(super) fn parse_header(input: &[u8]) -> IResult<&[u8], Header> {
    let (header, rest) = input.split_first_chunk().ok_or(CUT_SHORT)?;
    let &[version, kind, id1, id0, len1, len0, padding_len, _reserved] = header;
    let (id, content_len) = (u16::from_be_bytes([id1, id0]), u16::from_be_bytes([len1, len0]));
    Ok((rest, Header { version, kind, id, content_len, padding_len }))
}

const CUT_SHORT: nom::Err<nom::error::Error<&[u8]>> =
    nom::Err::Error(nom::error::Error { input: &[], code: nom::error::ErrorKind::Eof });

/// `FCGI_BeginRequestBody`: the role's number, and whether the connection is kept.
pub(super) fn parse_begin(input: &[u8]) -> IResult<&[u8], (u16, bool)> {
    let (input, (role, flags, _reserved)) = (be_u16, be_u8, take(5usize)).parse(input)?;
    Ok((input, (role, flags & KEEP_CONN != 0)))
}

/// `FCGI_EndRequestBody`: appStatus and the number of the protocol status.
pub(super) fn parse_end(input: &[u8]) -> IResult<&[u8], (u32, u8)> {
    let (input, (app_status, status, _reserved)) = (be_u32, be_u8, take(3usize)).parse(input)?;
    Ok((input, (app_status, status)))
}

/// `FCGI_UnknownTypeBody`: the type that was not understood.
pub(super) fn parse_unknown_type(input: &[u8]) -> IResult<&[u8], u8> {
    let (input, (kind, _reserved)) = (be_u8, take(7usize)).parse(input)?;
    Ok((input, kind))
}

/// The header of a record without padding: for whoever writes the content elsewhere.
///
/// ```
/// use cgigate::fcgi::{RecordType, header};
///
/// assert_eq!(header(RecordType::Stdout, 1, 0x0102), [1, 6, 0, 1, 1, 2, 0, 0]);
/// ```
pub const fn header(kind: RecordType, id: u16, content_len: u16) -> [u8; HEADER_LEN] {
    let ([id1, id0], [len1, len0]) = (id.to_be_bytes(), content_len.to_be_bytes());
    [VERSION, kind as u8, id1, id0, len1, len0, 0, 0]
}

/// Appends `data` as records of one stream; an empty record, which ends the stream, for no data.
///
/// ```
/// use cgigate::fcgi::{RecordType, RequestId, stream};
/// use std::num::NonZeroU16;
///
/// let mut wire = Vec::new();
/// stream(&mut wire, RecordType::Stdout, RequestId(NonZeroU16::MIN), b"hi");
/// assert_eq!(wire, [1, 6, 0, 1, 0, 2, 0, 0, b'h', b'i']);
/// ```
pub fn stream(out: &mut Vec<u8>, kind: RecordType, id: RequestId, data: &[u8]) {
    if data.is_empty() {
        out.extend_from_slice(&header(kind, id.0.get(), 0));
    }
    for content in data.chunks(MAX_CONTENT) {
        // At most MAX_CONTENT, by `chunks`.
        out.extend_from_slice(&header(kind, id.0.get(), content.len() as u16));
        out.extend_from_slice(content);
    }
}

/// Appends an END_REQUEST record (section 5.5).
///
/// ```
/// use cgigate::fcgi::{ProtocolStatus, RequestId, end_request};
/// use std::num::NonZeroU16;
///
/// let mut wire = Vec::new();
/// end_request(&mut wire, RequestId(NonZeroU16::MIN), 0, ProtocolStatus::RequestComplete);
/// assert_eq!(wire, [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/// ```
pub fn end_request(out: &mut Vec<u8>, id: RequestId, app_status: u32, status: ProtocolStatus) {
    out.extend_from_slice(&header(RecordType::EndRequest, id.0.get(), 8));
    out.extend_from_slice(&app_status.to_be_bytes());
    out.extend_from_slice(&[status as u8, 0, 0, 0]);
}

/// Appends a BEGIN_REQUEST record (section 5.1): what a web server says.
///
/// ```
/// use cgigate::fcgi::{RequestId, Role, begin_request};
/// use std::num::NonZeroU16;
///
/// let mut wire = Vec::new();
/// begin_request(&mut wire, RequestId(NonZeroU16::MIN), Role::Responder, true);
/// assert_eq!(wire, [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]);
/// ```
pub fn begin_request(out: &mut Vec<u8>, id: RequestId, role: Role, keep_conn: bool) {
    out.extend_from_slice(&header(RecordType::BeginRequest, id.0.get(), 8));
    out.extend_from_slice(&[0, role as u8, u8::from(keep_conn), 0, 0, 0, 0, 0]);
}

/// Appends an UNKNOWN_TYPE record (section 4.2).
///
/// ```
/// let mut wire = Vec::new();
/// cgigate::fcgi::unknown_type(&mut wire, 77);
/// assert_eq!(wire, [1, 11, 0, 0, 0, 8, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0]);
/// ```
pub fn unknown_type(out: &mut Vec<u8>, kind: u8) {
    out.extend_from_slice(&header(RecordType::UnknownType, 0, 8));
    out.extend_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId(NonZeroU16::new(0x0102).unwrap());

    #[test]
    fn headers_are_the_same_both_ways() {
        for kind in (1..=11).filter_map(RecordType::from_wire) {
            let wire = header(kind, 0x0102, 0xfffe);
            let (_, parsed) = parse_header(&wire).unwrap();
            let (id, content_len) = (0x0102, 0xfffe);
            let kind = kind as u8;
            assert_eq!(parsed, Header { version: 1, kind, id, content_len, padding_len: 0 });
        }
    }

    #[test]
    fn bodies_of_fixed_length_are_as_the_specification_draws_them() {
        let mut wire = Vec::new();
        end_request(&mut wire, ID, 0x0a0b_0c0d, ProtocolStatus::Overloaded);
        assert_eq!(wire, [1, 3, 1, 2, 0, 8, 0, 0, 10, 11, 12, 13, 2, 0, 0, 0]);
        wire.clear();
        unknown_type(&mut wire, 99);
        assert_eq!(wire, [1, 11, 0, 0, 0, 8, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0]);
        wire.clear();
        begin_request(&mut wire, ID, Role::Filter, true);
        assert_eq!(parse_begin(&wire[8..]).unwrap().1, (3, true));
    }

    #[test]
    fn long_streams_are_cut_into_records_and_none_is_too_long() {
        for len in [1, 65_535, 65_536, 131_071] {
            let mut wire = Vec::new();
            stream(&mut wire, RecordType::Stdout, ID, &vec![b'x'; len]);
            let (mut rest, mut total) = (&wire[..], 0);
            while let Ok((content, header)) = parse_header(rest) {
                total += usize::from(header.content_len);
                rest = &content[usize::from(header.content_len)..];
            }
            assert_eq!((total, rest.len()), (len, 0));
        }
    }
}
