//! The shape that nearly all requests have: all of it in one piece, without a body.
//!
//! ```text
//! BEGIN_REQUEST  PARAMS  PARAMS(empty)  [STDIN(empty)]
//! ```
//!
//! The ends of streams are without padding in it. [`Connection::next`] says the same in four events;
//! who asks for this first is spared them.

use super::{
    Connection,
    connection::{Decode, Open},
    phase::Phase,
    record::{Header, RecordType, RequestId, Role, VERSION, header, parse_begin, parse_header},
};
use std::num::NonZeroU16;

/// A request of a responder that has come as far as its body. Borrows from the caller's buffer.
///
/// ```
/// use cgigate::fcgi::{self, Connection, Limits, RecordType, RequestId, Role};
/// use std::num::NonZeroU16;
///
/// let (id, mut wire) = (RequestId(NonZeroU16::MIN), Vec::new());
/// fcgi::begin_request(&mut wire, id, Role::Responder, true);
/// fcgi::stream(&mut wire, RecordType::Params, id, b"\x01\x01A1");
/// fcgi::stream(&mut wire, RecordType::Params, id, b"");
/// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
/// let (_, whole) = connection.whole(&wire).expect("it lies there whole, but for its body");
/// assert!(!whole.ended); // that is for `next`
/// assert_eq!(fcgi::pairs(whole.params).count(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'i> {
    /// The request.
    pub id: RequestId,
    /// Whether the connection stays open after it.
    pub keep_conn: bool,
    /// All of PARAMS, which is not empty.
    pub params: &'i [u8],
    /// Whether its STDIN has ended too, without a byte.
    pub ended: bool,
}

impl Connection {
    /// Reads the next request from the front of `input`, if it lies there in the shape that nearly
    /// all have: how many bytes were used, and the request. `None` says nothing about what lies
    /// there, and changes nothing: [`next`](Self::next) understands it, whatever it is.
    ///
    /// ```
    /// use cgigate::fcgi::{self, Connection, Limits, RecordType, RequestId, Role, Whole};
    /// use std::num::NonZeroU16;
    ///
    /// let (id, mut wire) = (RequestId(NonZeroU16::MIN), Vec::new());
    /// fcgi::begin_request(&mut wire, id, Role::Responder, true);
    /// fcgi::stream(&mut wire, RecordType::Params, id, b"\x01\x01A1");
    /// fcgi::stream(&mut wire, RecordType::Params, id, b"");
    /// fcgi::stream(&mut wire, RecordType::Stdin, id, b"");
    /// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
    /// let whole = Whole { id, keep_conn: true, params: b"\x01\x01A1", ended: true };
    /// assert_eq!(connection.whole(&wire), Some((wire.len(), whole)));
    /// ```
    pub fn whole<'i>(&mut self, input: &'i [u8]) -> Option<(usize, Whole<'i>)> {
        if !matches!(self.decode, Decode::Header) || self.open.len() >= self.limits.max_requests {
            return None;
        }
        let (begin, body, rest) = record(input)?;
        let (_, (role, keep_conn)) = parse_begin(body).ok()?;
        let is_begin = is(&begin, RecordType::BeginRequest, begin.id) && body.len() == 8;
        if !is_begin || Role::from_wire(role) != Some(Role::Responder) {
            return None;
        }
        let id = RequestId(NonZeroU16::new(begin.id)?);
        let (head, params, rest) = record(rest)?;
        if !is(&head, RecordType::Params, id.0.get()) || params.is_empty() {
            return None;
        }
        let params_left = self.limits.max_params.checked_sub(params.len())?;
        let rest = rest.strip_prefix(&header(RecordType::Params, id.0.get(), 0))?;
        if self.position(id).is_some() {
            return None;
        }
        let (ended, rest) = match rest.strip_prefix(&header(RecordType::Stdin, id.0.get(), 0)) {
            Some(behind) => (true, behind),
            None => (false, rest),
        };
        let phase = if ended { Phase::Done } else { Phase::Stdin };
        self.open.push(Open { id, role: Role::Responder, keep_conn, phase, params_left });
        Some((input.len() - rest.len(), Whole { id, keep_conn, params, ended }))
    }
}

fn is(header: &Header, kind: RecordType, id: u16) -> bool {
    header.version == VERSION && header.kind == kind as u8 && header.id == id
}

/// A record that is there to its last byte: its header, its content, and what follows.
#[inline]
fn record(input: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let (rest, header) = parse_header(input).ok()?;
    let (content, rest) = rest.split_at_checked(header.content_len.into())?;
    let (_padding, rest) = rest.split_at_checked(header.padding_len.into())?;
    Some((header, content, rest))
}
