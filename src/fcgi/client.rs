//! The web server's side of a connection: requests to bytes, bytes to what was answered.
//!
//! Sections 3 to 6 of the specification, from the other end. `cgigate get` talks to any responder
//! by it, and tests set both sides against each other. The bodies of requests are written by
//! [`stream`] as they come; what came back is told apart by [`Client::next`]. What an application
//! means by its STDOUT, a CGI response, is not looked at.

use super::{
    pairs::pair,
    record::{
        HEADER_LEN, Header, ProtocolStatus, RecordType, RequestId, Role, VERSION, begin_request,
        header, parse_end, parse_header, parse_unknown_type, stream,
    },
    reply::{Reply, ReplyError},
};
use std::num::NonZeroU16;

/// What a request begins with.
///
/// ```
/// use cgigate::fcgi::{Client, Request, RequestId, Role};
/// use std::num::NonZeroU16;
///
/// let request = Request {
///     id: RequestId(NonZeroU16::MIN),
///     role: Role::Responder,
///     keep_conn: true, // for the next request
///     params: &[(b"REQUEST_METHOD", b"GET"), (b"SCRIPT_NAME", b"/app")],
/// };
/// let mut out = Vec::new();
/// Client::new().begin(&mut out, &request)?;
/// # Ok::<_, cgigate::fcgi::IdInUse>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Its id, in use by no other request of the connection.
    pub id: RequestId,
    /// What the application is asked to be.
    pub role: Role,
    /// Whether the application is to keep the connection open.
    pub keep_conn: bool,
    /// Names and values, in the order in which they are sent.
    pub params: &'r [(&'r [u8], &'r [u8])],
}

/// A request cannot begin under the id of one that is under way.
///
/// ```
/// use cgigate::fcgi::{Client, IdInUse, Request, RequestId, Role};
/// use std::num::NonZeroU16;
///
/// let id = RequestId(NonZeroU16::MIN);
/// let request = Request { id, role: Role::Responder, keep_conn: true, params: &[] };
/// let (mut client, mut out) = (Client::new(), Vec::new());
/// client.begin(&mut out, &request)?;
/// assert_eq!(client.begin(&mut out, &request), Err(IdInUse(id))); // it has not ended yet
/// # Ok::<_, IdInUse>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request {} is under way already", .0.0)]
pub struct IdInUse(pub RequestId);

/// Where in a record the next byte lies.
#[derive(Clone, Copy, Debug)]
enum Decode {
    Header,
    Content { stderr: bool, id: RequestId, left: u16, padding_len: u8 },
    Padding { left: u8 },
}

enum Step<'i> {
    Reply(usize, Reply<'i>),
    Silent(usize),
    Hungry,
}

/// The web server's side of one connection. It touches no socket: what it appends to `out` is to
/// be written, and what was read is given to [`next`](Self::next).
///
/// Both at once, on a real socket: an application may answer, and even end the request, before it
/// has read the body, and one that streams what it reads stands still when nobody reads from it.
///
/// ```
/// use cgigate::fcgi::{self, Client, ProtocolStatus, RecordType, Reply, Request, RequestId, Role};
/// use std::num::NonZeroU16;
///
/// let id = RequestId(NonZeroU16::MIN);
/// let (mut client, mut out) = (Client::new(), Vec::new());
/// let params: &[(&[u8], &[u8])] = &[(b"REQUEST_METHOD", b"POST"), (b"CONTENT_LENGTH", b"5")];
/// client.begin(&mut out, &Request { id, role: Role::Responder, keep_conn: false, params })?;
/// fcgi::stream(&mut out, RecordType::Stdin, id, b"hello");
/// fcgi::stream(&mut out, RecordType::Stdin, id, b""); // the end of the body
/// // `out` goes to the application, and from there comes:
/// let mut input = Vec::new();
/// fcgi::stream(&mut input, RecordType::Stderr, id, b"a line for the log\n");
/// fcgi::stream(&mut input, RecordType::Stdout, id, b"Status: 200 OK\r\n\r\nhello");
/// fcgi::end_request(&mut input, id, 0, ProtocolStatus::RequestComplete);
///
/// let (mut at, mut page, mut log) = (0, Vec::new(), Vec::new());
/// loop {
///     let (used, reply) = client.next(&input[at..])?;
///     at += used;
///     match reply {
///         Some(Reply::Stdout { piece, .. }) => page.extend_from_slice(piece),
///         Some(Reply::Stderr { piece, .. }) => log.extend_from_slice(piece),
///         Some(Reply::End { app_status, .. }) => {
///             assert_eq!(app_status, 0);
///             break;
///         }
///         Some(_) => {} // the end of a stream, or a management record
///         None => unreachable!("here one would read more"),
///     }
/// }
/// assert_eq!(page, b"Status: 200 OK\r\n\r\nhello");
/// assert_eq!(log, b"a line for the log\n");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    decode: Decode,
    open: Vec<RequestId>,
}

/// The answer to GET_VALUES is three short pairs; what is much longer is none.
const MAX_VALUES: u16 = 4096;

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A buffer of so many bytes holds whatever [`next`](Self::next) wants to see whole. What is
    /// longer comes in pieces.
    ///
    /// ```
    /// use cgigate::fcgi::{Client, Reply};
    /// use std::io::{self, Read};
    ///
    /// /// Shows `take` what the application says, until it closes the connection.
    /// fn listen(
    ///     client: &mut Client,
    ///     mut stream: impl Read,
    ///     mut take: impl FnMut(Reply<'_>),
    /// ) -> io::Result<()> {
    ///     let (mut buffer, mut len) = (vec![0; Client::MIN_BUFFER], 0);
    ///     loop {
    ///         let (n, mut at) = (stream.read(&mut buffer[len..])?, 0);
    ///         if n == 0 {
    ///             return Ok(());
    ///         }
    ///         len += n;
    ///         loop {
    ///             let (used, reply) = client.next(&buffer[at..len]).map_err(io::Error::other)?;
    ///             at += used;
    ///             match reply {
    ///                 Some(reply) => take(reply),
    ///                 None => break,
    ///             }
    ///         }
    ///         buffer.copy_within(at..len, 0); // what has to be there again
    ///         len -= at;
    ///     }
    /// }
    /// # let (mut wire, mut told) = (Vec::new(), 0);
    /// # (0..600).for_each(|_| cgigate::fcgi::unknown_type(&mut wire, 99));
    /// # let take = |reply: Reply<'_>| told += usize::from(reply == Reply::UnknownType(99));
    /// # listen(&mut Client::new(), &wire[..], take)?;
    /// # assert_eq!(told, 600);
    /// # Ok::<_, io::Error>(())
    /// ```
    pub const MIN_BUFFER: usize = HEADER_LEN + MAX_VALUES as usize;

    /// A connection on which nothing was said yet.
    ///
    /// ```
    /// use cgigate::fcgi::{Client, Reply, VALUES, get_values};
    ///
    /// let (mut client, mut out) = (Client::new(), Vec::new());
    /// get_values(&mut out, &VALUES); // what is said first, if anything needs to be known
    /// let answer = b"\x01\x0a\0\0\0\x0f\0\0\x0d\0FCGI_MAX_REQS";
    /// assert!(matches!(client.next(answer)?, (23, Some(Reply::Values { .. }))));
    /// # Ok::<_, cgigate::fcgi::ReplyError>(())
    /// ```
    pub const fn new() -> Self {
        Self { decode: Decode::Header, open: Vec::new() }
    }

    /// Appends BEGIN_REQUEST and the whole of PARAMS. STDIN is to follow, and for a filter DATA:
    /// each by [`stream`], once with no data to end it.
    ///
    /// ```
    /// use cgigate::fcgi::{Client, RecordType, Request, RequestId, Role, stream, words};
    /// use std::num::NonZeroU16;
    ///
    /// let (id, mut out) = (RequestId(NonZeroU16::MIN), Vec::new());
    /// let params: &[(&[u8], &[u8])] = &[(b"CONTENT_LENGTH", b"2")];
    /// let request = Request { id, role: Role::Responder, keep_conn: false, params };
    /// Client::new().begin(&mut out, &request)?;
    /// stream(&mut out, RecordType::Stdin, id, b"hi");
    /// stream(&mut out, RecordType::Stdin, id, b"");
    /// assert!(words(&out).last().is_some_and(|line| line.starts_with("STDIN id=1 len=0")));
    /// # Ok::<_, cgigate::fcgi::IdInUse>(())
    /// ```
    ///
    /// # Errors
    /// The id is in use, and nothing is appended.
    ///
    /// # Panics
    /// When a name or a value is of 2 GiB or more, which the wire cannot say.
    pub fn begin(&mut self, out: &mut Vec<u8>, request: &Request<'_>) -> Result<(), IdInUse> {
        let Request { id, role, keep_conn, params } = *request;
        if self.open.contains(&id) {
            return Err(IdInUse(id));
        }
        self.open.push(id);
        begin_request(out, id, role, keep_conn);
        let mut pairs = Vec::new();
        for (name, value) in params {
            pair(&mut pairs, name, value);
        }
        if !pairs.is_empty() {
            stream(out, RecordType::Params, id, &pairs);
        }
        stream(out, RecordType::Params, id, b"");
        Ok(())
    }

    /// Reads from the front of `input`, as far as the next reply: how many bytes were used, and
    /// the reply. No reply means that more is needed; bytes not used must be there again at the
    /// next call, in a buffer that has room for [`MIN_BUFFER`](Self::MIN_BUFFER) bytes or more.
    ///
    /// A request may end before all of its body was sent: the rest is not to be sent any more. What
    /// the application says of it behind END_REQUEST is an error.
    ///
    /// ```
    /// use cgigate::fcgi::{Client, Reply, unknown_type};
    ///
    /// let (mut client, mut record) = (Client::new(), Vec::new());
    /// unknown_type(&mut record, 99);
    /// assert_eq!(client.next(&record[..10])?, (0, None)); // more, please
    /// assert_eq!(client.next(&record)?, (16, Some(Reply::UnknownType(99))));
    /// # Ok::<_, cgigate::fcgi::ReplyError>(())
    /// ```
    ///
    /// # Errors
    /// The application broke the protocol; the connection is of no more use.
    pub fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Option<Reply<'i>>), ReplyError> {
        let mut used = 0;
        loop {
            match self.step(&input[used..])? {
                Step::Reply(n, reply) => return Ok((used + n, Some(reply))),
                Step::Silent(n) => used += n,
                Step::Hungry => return Ok((used, None)),
            }
        }
    }

    /// No request is under way.
    ///
    /// ```
    /// use cgigate::fcgi::{Client, ProtocolStatus, Request, RequestId, Role, end_request};
    /// use std::num::NonZeroU16;
    ///
    /// let id = RequestId(NonZeroU16::MIN);
    /// let (mut client, mut out, mut input) = (Client::new(), Vec::new(), Vec::new());
    /// let request = Request { id, role: Role::Responder, keep_conn: true, params: &[] };
    /// client.begin(&mut out, &request)?;
    /// assert!(!client.is_idle());
    /// end_request(&mut input, id, 0, ProtocolStatus::RequestComplete);
    /// client.next(&input)?;
    /// assert!(client.is_idle()); // now the connection can be given to somebody else
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    fn step<'i>(&mut self, input: &'i [u8]) -> Result<Step<'i>, ReplyError> {
        match self.decode {
            Decode::Header => {
                let Ok((content, header)) = parse_header(input) else { return Ok(Step::Hungry) };
                self.record(header, content)
            }
            Decode::Padding { left } => {
                let n = input.len().min(left.into());
                let left = left - n as u8; // At most `left`.
                self.decode = if left == 0 { Decode::Header } else { Decode::Padding { left } };
                Ok(if n == 0 && left > 0 { Step::Hungry } else { Step::Silent(n) })
            }
            Decode::Content { stderr, id, left, padding_len } => {
                let piece = &input[..input.len().min(left.into())];
                if piece.is_empty() {
                    return Ok(Step::Hungry);
                }
                let left = left - piece.len() as u16; // At most `left`.
                self.decode = match left {
                    0 => Decode::Padding { left: padding_len },
                    _ => Decode::Content { stderr, id, left, padding_len },
                };
                let reply = match stderr {
                    true => Reply::Stderr { id, piece },
                    false => Reply::Stdout { id, piece },
                };
                Ok(Step::Reply(piece.len(), reply))
            }
        }
    }

    /// A header has come whole; `content` is what there is behind it.
    fn record<'i>(&mut self, header: Header, content: &'i [u8]) -> Result<Step<'i>, ReplyError> {
        let Header { version, kind, id, content_len, padding_len } = header;
        if version != VERSION {
            return Err(ReplyError::Version(version));
        }
        let request = NonZeroU16::new(id).map(RequestId);
        match (RecordType::from_wire(kind), request) {
            (Some(RecordType::Stdout), Some(id)) => self.stream(header, id, false),
            (Some(RecordType::Stderr), Some(id)) => self.stream(header, id, true),
            (Some(RecordType::EndRequest), Some(id)) => self.end(header, id, content),
            (Some(RecordType::GetValuesResult), None) if content_len <= MAX_VALUES => {
                let Some(pairs) = content.get(..content_len.into()) else {
                    return Ok(Step::Hungry);
                };
                self.decode = Decode::Padding { left: padding_len };
                Ok(Step::Reply(HEADER_LEN + pairs.len(), Reply::Values { pairs }))
            }
            (Some(RecordType::UnknownType), None) if content_len == 8 => {
                let Ok((_, strange)) = parse_unknown_type(content) else {
                    return Ok(Step::Hungry);
                };
                self.decode = Decode::Padding { left: padding_len };
                Ok(Step::Reply(HEADER_LEN + 8, Reply::UnknownType(strange)))
            }
            (Some(RecordType::GetValuesResult | RecordType::UnknownType), None) => {
                Err(ReplyError::Length { kind, content_len })
            }
            // Management records of types yet to come would not be meant for us either.
            (_, _) => Err(ReplyError::Unexpected { kind, id }),
        }
    }

    /// A record of STDOUT or STDERR.
    fn stream<'i>(
        &mut self,
        header: Header,
        id: RequestId,
        stderr: bool,
    ) -> Result<Step<'i>, ReplyError> {
        let Header { kind, content_len: left, padding_len, .. } = header;
        if !self.open.contains(&id) {
            return Err(ReplyError::NotOpen { kind, id });
        }
        if left > 0 {
            self.decode = Decode::Content { stderr, id, left, padding_len };
            return Ok(Step::Silent(HEADER_LEN));
        }
        self.decode = Decode::Padding { left: padding_len };
        let reply = if stderr { Reply::StderrEnd { id } } else { Reply::StdoutEnd { id } };
        Ok(Step::Reply(HEADER_LEN, reply))
    }

    fn end<'i>(
        &mut self,
        header: Header,
        id: RequestId,
        content: &'i [u8],
    ) -> Result<Step<'i>, ReplyError> {
        let Header { kind, content_len, padding_len, .. } = header;
        if content_len != 8 {
            return Err(ReplyError::Length { kind, content_len });
        }
        let Ok((_, (app_status, status))) = parse_end(content) else { return Ok(Step::Hungry) };
        let at = self.open.iter().position(|open| *open == id);
        let Some(at) = at else { return Err(ReplyError::NotOpen { kind, id }) };
        let protocol_status =
            ProtocolStatus::from_wire(status).ok_or(ReplyError::Status { id, status })?;
        self.open.swap_remove(at);
        self.decode = Decode::Padding { left: padding_len };
        let reply = Reply::End { id, app_status, protocol_status };
        Ok(Step::Reply(HEADER_LEN + 8, reply))
    }
}

/// Appends an ABORT_REQUEST record (section 5.4). END_REQUEST still comes.
///
/// ```
/// use cgigate::fcgi::{RequestId, abort_request};
/// use std::num::NonZeroU16;
///
/// let mut wire = Vec::new();
/// abort_request(&mut wire, RequestId(NonZeroU16::MIN));
/// assert_eq!(wire, [1, 2, 0, 1, 0, 0, 0, 0]);
/// ```
pub fn abort_request(out: &mut Vec<u8>, id: RequestId) {
    out.extend_from_slice(&header(RecordType::AbortRequest, id.0.get(), 0));
}

/// Appends a GET_VALUES record (section 4.1) that asks for `names`.
///
/// ```
/// let mut wire = Vec::new();
/// cgigate::fcgi::get_values(&mut wire, &[b"FCGI_MPXS_CONNS"]);
/// assert_eq!(wire, b"\x01\x09\0\0\0\x11\0\0\x0f\0FCGI_MPXS_CONNS");
/// ```
///
/// # Panics
/// When the names do not fit into a record of 65,535 bytes.
pub fn get_values(out: &mut Vec<u8>, names: &[&[u8]]) {
    let mut asked = Vec::new();
    for name in names {
        pair(&mut asked, name, b"");
    }
    let len = u16::try_from(asked.len()).expect("the names fit into a record");
    out.extend_from_slice(&header(RecordType::GetValues, 0, len));
    out.extend_from_slice(&asked);
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
