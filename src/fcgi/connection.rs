//! One connection's protocol state: which requests are open, and what may come next.

use super::{
    event::{Answer, Event, ProtocolError},
    pairs::asked,
    phase::{Phase, Turn, turn},
    record::{
        HEADER_LEN, Header, ProtocolStatus, RecordType, RequestId, Role, VERSION, parse_begin,
        parse_header,
    },
    series::Rhythm,
};
use std::num::NonZeroU16;

/// How much a peer may have under way.
///
/// ```
/// use cgigate::fcgi::{self, Connection, Event, Limits, RecordType, RequestId, Role};
/// use std::num::NonZeroU16;
///
/// let (id, mut wire) = (RequestId(NonZeroU16::MIN), Vec::new());
/// fcgi::begin_request(&mut wire, id, Role::Responder, true);
/// fcgi::stream(&mut wire, RecordType::Params, id, &[b'x'; 100]);
/// let mut connection = Connection::new(Limits { max_requests: 1, max_params: 64 });
/// let (used, _begin) = connection.next(&wire)?;
/// assert_eq!(connection.next(&wire[used..])?.1, Some(Event::ParamsTooLong { id }));
/// # Ok::<_, fcgi::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests open on one connection; further ones are refused with `FCGI_OVERLOADED`.
    pub max_requests: usize,
    /// Bytes of one request's PARAMS.
    pub max_params: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) id: RequestId,
    pub(super) role: Role,
    pub(super) keep_conn: bool,
    pub(super) phase: Phase,
    pub(super) params_left: usize,
}

impl Open {
    /// Whether PARAMS may grow by `more` bytes; if not, nothing more of the request's input counts.
    fn takes(&mut self, more: u16) -> bool {
        let left = self.params_left.checked_sub(more.into());
        match left {
            Some(left) => self.params_left = left,
            None => self.phase = Phase::TooLong,
        }
        left.is_some()
    }
}

/// Where in a record the next byte lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decode {
    Header,
    Content {
        kind: RecordType,
        id: RequestId,
        left: u32,
        padding_len: u8,
    },
    /// Content that nobody wants, and padding: at most 65,535 + 255 bytes.
    Skip {
        left: u32,
    },
}

impl Decode {
    const fn skip(left: u32) -> Self {
        if left == 0 { Self::Header } else { Self::Skip { left } }
    }
}

enum Step<'i> {
    Event(usize, Event<'i>),
    Silent(usize),
    Hungry,
}

/// The application's side of one connection. It allocates once, for the first requests.
///
/// ```
/// use cgigate::fcgi::{self, Connection, Event, Limits, RequestId, Role};
/// use std::num::NonZeroU16;
///
/// let id = RequestId(NonZeroU16::MIN);
/// let mut wire = Vec::new();
/// fcgi::begin_request(&mut wire, id, Role::Responder, true);
/// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
/// let (used, event) = connection.next(&wire)?;
/// assert_eq!(used, wire.len());
/// assert_eq!(event, Some(Event::Begin { id, role: Role::Responder, keep_conn: true }));
/// # Ok::<_, fcgi::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    pub(super) limits: Limits,
    pub(super) decode: Decode,
    pub(super) open: Vec<Open>,
    pub(super) rhythm: Rhythm,
}

/// GET_VALUES asks for three short names; what is much longer is no honest question.
const MAX_VALUES: u16 = 4096;

impl Connection {
    /// A connection on which nothing was said yet.
    ///
    /// ```
    /// use cgigate::fcgi::{Connection, Limits};
    ///
    /// let connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
    /// assert!(connection.is_fresh());
    /// ```
    pub const fn new(limits: Limits) -> Self {
        Self { limits, decode: Decode::Header, open: Vec::new(), rhythm: Rhythm::NONE }
    }

    /// Reads from the front of `input`, as far as the next event: how many bytes were used, and
    /// the event. No event means that the whole of `input` was understood and more is needed;
    /// bytes not used must be there again at the next call.
    ///
    /// ```
    /// use cgigate::fcgi::{Answer, Connection, Event, Limits, VALUES, get_values};
    ///
    /// let (mut wire, limits) = (Vec::new(), Limits { max_requests: 8, max_params: 1 << 20 });
    /// get_values(&mut wire, &VALUES[2..]);
    /// let mut connection = Connection::new(limits);
    /// assert_eq!(connection.next(&wire[..20])?, (0, None)); // more, please
    /// let answer = Event::Answer(Answer::Values { asked: 0b100 });
    /// assert_eq!(connection.next(&wire)?, (wire.len(), Some(answer)));
    /// # Ok::<_, cgigate::fcgi::ProtocolError>(())
    /// ```
    ///
    /// # Errors
    /// The peer broke the protocol; the connection is of no more use.
    pub fn next<'i>(
        &mut self,
        input: &'i [u8],
    ) -> Result<(usize, Option<Event<'i>>), ProtocolError> {
        let mut used = 0;
        loop {
            match self.step(&input[used..])? {
                Step::Event(n, event) => return Ok((used + n, Some(event))),
                Step::Silent(n) => used += n,
                Step::Hungry => return Ok((used, None)),
            }
        }
    }

    /// The application has finished with `id`; later records for it are ignored (section 3.3).
    /// Whether the connection is kept: `None` if there was no such request.
    ///
    /// ```
    /// use cgigate::fcgi::{Connection, Limits, RequestId, Role, begin_request};
    /// use std::num::NonZeroU16;
    ///
    /// let (id, mut wire) = (RequestId(NonZeroU16::MIN), Vec::new());
    /// begin_request(&mut wire, id, Role::Responder, false);
    /// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
    /// connection.next(&wire)?;
    /// assert_eq!(connection.finish(id), Some(false)); // when all is written it is to be closed
    /// assert_eq!(connection.finish(id), None);
    /// # Ok::<_, cgigate::fcgi::ProtocolError>(())
    /// ```
    pub fn finish(&mut self, id: RequestId) -> Option<bool> {
        let at = self.position(id)?;
        Some(self.open.swap_remove(at).keep_conn)
    }

    /// No request is open.
    ///
    /// ```
    /// use cgigate::fcgi::{Connection, Limits, RequestId, Role, begin_request};
    /// use std::num::NonZeroU16;
    ///
    /// let (id, mut wire) = (RequestId(NonZeroU16::MIN), Vec::new());
    /// begin_request(&mut wire, id, Role::Responder, true);
    /// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
    /// connection.next(&wire)?;
    /// assert!(!connection.is_idle());
    /// connection.finish(id);
    /// assert!(connection.is_idle()); // nobody is hurt if it is closed now
    /// # Ok::<_, cgigate::fcgi::ProtocolError>(())
    /// ```
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether nothing is known that a new connection would not know.
    ///
    /// ```
    /// use cgigate::fcgi::{Connection, Limits, RecordType, RequestId, stream};
    /// use std::num::NonZeroU16;
    ///
    /// let (id, mut wire) = (RequestId(NonZeroU16::MIN), Vec::new());
    /// stream(&mut wire, RecordType::Stdin, id, b"of a request that has ended");
    /// let mut connection = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
    /// connection.next(&wire[..20])?; // all but the end of its last record
    /// assert!(connection.is_idle() && !connection.is_fresh());
    /// connection.next(&wire[20..])?;
    /// assert!(connection.is_fresh()); // another process may go on from here
    /// # Ok::<_, cgigate::fcgi::ProtocolError>(())
    /// ```
    pub fn is_fresh(&self) -> bool {
        self.open.is_empty() && matches!(self.decode, Decode::Header)
    }

    fn step<'i>(&mut self, input: &'i [u8]) -> Result<Step<'i>, ProtocolError> {
        match self.decode {
            Decode::Header => {
                let Ok((content, header)) = parse_header(input) else { return Ok(Step::Hungry) };
                self.record(header, content)
            }
            Decode::Skip { left } => {
                let n = input.len().min(left as usize);
                let left = left - n as u32; // At most `left`.
                self.decode = Decode::skip(left);
                Ok(if n == 0 { Step::Hungry } else { Step::Silent(n) })
            }
            Decode::Content { kind, id, left, padding_len } => {
                let Some(piece) = self.content(kind, id, left, padding_len, input) else {
                    return Ok(Step::Hungry);
                };
                Ok(match self.position(id) {
                    Some(_) => Step::Event(piece.len(), event(kind, id, piece)),
                    // The request was finished while its record was still coming in.
                    None => Step::Silent(piece.len()),
                })
            }
        }
    }

    /// What there is of a record's content, of which so many bytes are left; `None` if nothing.
    fn content<'i>(
        &mut self,
        kind: RecordType,
        id: RequestId,
        left: u32,
        padding_len: u8,
        input: &'i [u8],
    ) -> Option<&'i [u8]> {
        let piece = &input[..input.len().min(left as usize)];
        let left = left - piece.len() as u32; // At most `left`.
        self.decode = match left {
            0 => Decode::skip(padding_len.into()),
            _ => Decode::Content { kind, id, left, padding_len },
        };
        (!piece.is_empty()).then_some(piece)
    }

    /// A header has come whole; `content` is what there is behind it.
    fn record<'i>(&mut self, header: Header, content: &'i [u8]) -> Result<Step<'i>, ProtocolError> {
        if header.version != VERSION {
            return Err(ProtocolError::Version(header.version));
        }
        let kind = RecordType::from_wire(header.kind);
        match (kind, NonZeroU16::new(header.id).map(RequestId)) {
            (Some(RecordType::GetValues), None) => self.get_values(header, content),
            // An answer of the kind that we give would be answered for ever.
            (Some(RecordType::GetValuesResult | RecordType::UnknownType), None) => {
                self.skip(header, 0);
                Ok(Step::Silent(HEADER_LEN))
            }
            (Some(_), None) => Err(ProtocolError::Order { kind: header.kind, id: 0 }),
            (None, None) => Ok(self.answer(header, 0, Answer::UnknownType(header.kind))),
            (Some(RecordType::BeginRequest), Some(id)) => self.begin(header, id, content),
            (Some(RecordType::AbortRequest), Some(id)) => {
                self.skip(header, 0);
                Ok(match self.position(id) {
                    Some(_) => Step::Event(HEADER_LEN, Event::Abort { id }),
                    None => Step::Silent(HEADER_LEN),
                })
            }
            (
                Some(kind @ (RecordType::Params | RecordType::Stdin | RecordType::Data)),
                Some(id),
            ) => self.stream(header, kind, id, content),
            // What only applications send, or nobody yet: UNKNOWN_TYPE is for management records
            // alone (section 4.2), and servers take one that they did not ask for amiss.
            (_, Some(_)) => {
                self.skip(header, 0);
                Ok(Step::Silent(HEADER_LEN))
            }
        }
    }

    fn get_values<'i>(
        &mut self,
        header: Header,
        content: &'i [u8],
    ) -> Result<Step<'i>, ProtocolError> {
        let Header { kind, content_len, .. } = header;
        if content_len > MAX_VALUES {
            return Err(ProtocolError::Length { kind, content_len });
        }
        let Some(body) = content.get(..usize::from(content_len)) else { return Ok(Step::Hungry) };
        let asked = asked(body)?;
        Ok(self.answer(header, content_len, Answer::Values { asked }))
    }

    fn begin<'i>(
        &mut self,
        header: Header,
        id: RequestId,
        content: &'i [u8],
    ) -> Result<Step<'i>, ProtocolError> {
        let Header { kind, content_len, .. } = header;
        if content_len != 8 {
            return Err(ProtocolError::Length { kind, content_len });
        }
        let Ok((_, (role, keep_conn))) = parse_begin(content) else { return Ok(Step::Hungry) };
        if self.position(id).is_some() {
            return Err(ProtocolError::IdInUse(id));
        }
        let refuse = |status| Answer::Refuse { id, status, keep_conn };
        let Some(role) = Role::from_wire(role) else {
            return Ok(self.answer(header, content_len, refuse(ProtocolStatus::UnknownRole)));
        };
        if self.open.len() >= self.limits.max_requests {
            return Ok(self.answer(header, content_len, refuse(ProtocolStatus::Overloaded)));
        }
        let (phase, params_left) = (Phase::Params, self.limits.max_params);
        self.open.push(Open { id, role, keep_conn, phase, params_left });
        self.skip(header, content_len);
        let event = Event::Begin { id, role, keep_conn };
        Ok(Step::Event(HEADER_LEN + usize::from(content_len), event))
    }

    /// A record of PARAMS, STDIN or DATA.
    fn stream<'i>(
        &mut self,
        header: Header,
        kind: RecordType,
        id: RequestId,
        content: &'i [u8],
    ) -> Result<Step<'i>, ProtocolError> {
        let empty = header.content_len == 0;
        let at = self.position(id);
        let turn = at
            .map_or(Turn::Ignore, |at| turn(self.open[at].phase, kind, empty, self.open[at].role));
        match (turn, at) {
            (Turn::Wrong, _) => Err(ProtocolError::Order { kind: header.kind, id: id.0.get() }),
            (Turn::Piece, Some(at)) => {
                let Header { content_len: left, padding_len, .. } = header;
                // By the whole record, so that it is told at the same place however it is cut.
                if kind == RecordType::Params && !self.open[at].takes(left) {
                    self.skip(header, 0);
                    return Ok(Step::Event(HEADER_LEN, Event::ParamsTooLong { id }));
                }
                self.rhythm.note(header);
                Ok(match self.content(kind, id, left.into(), padding_len, content) {
                    Some(piece) => Step::Event(HEADER_LEN + piece.len(), event(kind, id, piece)),
                    None => Step::Silent(HEADER_LEN),
                })
            }
            (Turn::End(next), Some(at)) => {
                (self.open[at].phase, self.rhythm) = (next, Rhythm::NONE);
                self.skip(header, 0);
                let event = match kind {
                    RecordType::Params => Event::ParamsEnd { id },
                    RecordType::Stdin => Event::StdinEnd { id },
                    _ => Event::DataEnd { id },
                };
                Ok(Step::Event(HEADER_LEN, event))
            }
            (Turn::Ignore | Turn::Piece | Turn::End(_), _) => {
                self.skip(header, 0);
                Ok(Step::Silent(HEADER_LEN))
            }
        }
    }

    /// What stays of the record behind `used` bytes of its content is of no interest.
    fn skip(&mut self, header: Header, used: u16) {
        let left = u32::from(header.content_len - used) + u32::from(header.padding_len);
        self.decode = Decode::skip(left);
    }

    fn answer<'i>(&mut self, header: Header, used: u16, answer: Answer) -> Step<'i> {
        self.skip(header, used);
        Step::Event(HEADER_LEN + usize::from(used), Event::Answer(answer))
    }

    pub(super) fn position(&self, id: RequestId) -> Option<usize> {
        self.open.iter().position(|open| open.id == id)
    }
}

/// Some content of a stream, which is never empty.
fn event(kind: RecordType, id: RequestId, piece: &[u8]) -> Event<'_> {
    match kind {
        RecordType::Stdin => Event::Stdin { id, piece },
        RecordType::Data => Event::Data { id, piece },
        _ => Event::Params { id, piece },
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "model_tests.rs"]
mod model;
