//! What comes on a connection, as events of one kind whatever the protocol: those of FastCGI.
//!
//! SCGI and uwsgi are FastCGI with one request, which is always under the same id, a responder's,
//! and not kept.
//!
//! ```text
//! Unbegun ── a byte ──► Head ── the pairs are whole ──► Body ── as long as was said ──► Over
//! ```

use super::{Protocol, Refusal, Settings};
use crate::{
    fcgi::{Connection, Event, Limits, ProtocolError, RequestId, Role, Series, Whole},
    head::{self, Head, HeadError, Wire},
    scgi::Scgi,
    uwsgi::Uwsgi,
};
use std::num::NonZeroU16;

/// How far what came was understood.
pub(super) enum Incoming {
    FastCgi(Connection),
    Scgi(Single<Scgi>),
    Uwsgi(Single<Uwsgi>),
}

impl Incoming {
    /// A new connection.
    pub(super) fn new(protocol: Protocol, settings: &Settings) -> Self {
        match protocol {
            Protocol::FastCgi => Self::FastCgi(Connection::new(Limits {
                max_requests: settings.max_requests_per_connection,
                max_params: settings.max_params,
            })),
            Protocol::Scgi => Self::Scgi(Single::new(settings.max_params)),
            Protocol::Uwsgi => Self::Uwsgi(Single::new(settings.max_params)),
        }
    }

    pub(super) fn protocol(&self) -> Protocol {
        match self {
            Self::FastCgi(_) => Protocol::FastCgi,
            Self::Scgi(_) => Protocol::Scgi,
            Self::Uwsgi(_) => Protocol::Uwsgi,
        }
    }

    /// Reads as far as the next event: how many bytes were used, and the event.
    ///
    /// # Errors
    /// The peer broke the protocol.
    pub(super) fn next<'i>(
        &mut self,
        input: &'i [u8],
    ) -> Result<(usize, Option<Event<'i>>), PeerError> {
        match self {
            Self::FastCgi(connection) => Ok(connection.next(input)?),
            Self::Scgi(single) => Ok(single.next(input)?),
            Self::Uwsgi(single) => Ok(single.next(input)?),
        }
    }

    /// A request that lies in one piece at the front of `input`: how many bytes were used, and the
    /// request. `None`: [`next`](Self::next) understands what lies there.
    pub(super) fn whole<'i>(&mut self, input: &'i [u8]) -> Option<(usize, Whole<'i>)> {
        match self {
            Self::FastCgi(connection) => connection.whole(input),
            // Their one request is but one event more.
            Self::Scgi(_) | Self::Uwsgi(_) => None,
        }
    }

    /// How a body in records goes on, if that can be told.
    pub(super) fn series(&self) -> Option<Series> {
        match self {
            Self::FastCgi(connection) => connection.series(),
            // Theirs lies there as it is.
            Self::Scgi(_) | Self::Uwsgi(_) => None,
        }
    }

    /// What comes next was received as `series` has it.
    pub(super) fn go_on(&mut self, series: &Series) {
        match self {
            Self::FastCgi(connection) => connection.go_on(series),
            Self::Scgi(_) | Self::Uwsgi(_) => {}
        }
    }

    /// How many bytes of body follow the variables, now that these are known. FastCGI says so
    /// itself.
    pub(super) fn expect_body(&mut self, length: u64) {
        match self {
            Self::FastCgi(_) => {}
            Self::Scgi(single) => single.expect_body(length),
            Self::Uwsgi(single) => single.expect_body(length),
        }
    }

    /// The request has been answered: what else comes of it is read over.
    pub(super) fn finish(&mut self, id: RequestId) {
        match self {
            Self::FastCgi(connection) => {
                connection.finish(id);
            }
            Self::Scgi(single) => single.stage = Stage::Over,
            Self::Uwsgi(single) => single.stage = Stage::Over,
        }
    }

    /// Whether nothing is known that a new connection would not know.
    pub(super) fn is_fresh(&self) -> bool {
        match self {
            Self::FastCgi(connection) => connection.is_fresh(),
            Self::Scgi(single) => matches!(single.stage, Stage::Unbegun),
            Self::Uwsgi(single) => matches!(single.stage, Stage::Unbegun),
        }
    }

    /// Whether something came that belongs to no request: then more may be on its way.
    pub(super) fn has_surplus(&self) -> bool {
        match self {
            Self::FastCgi(_) => false,
            Self::Scgi(single) => single.surplus,
            Self::Uwsgi(single) => single.surplus,
        }
    }
}

/// The peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PeerError {
    #[error(transparent)]
    Records(#[from] ProtocolError),
    #[error(transparent)]
    Head(#[from] HeadError),
}

impl PeerError {
    /// What the peer can be told, where what it sent was at least of its protocol.
    pub(super) fn refusal(self) -> Option<Refusal> {
        match self {
            Self::Head(HeadError::Modifier(_)) => Some(Refusal::NOT_SERVED),
            Self::Head(_) | Self::Records(_) => None,
        }
    }
}

/// A connection that is one request.
pub(super) struct Single<W> {
    head: Head<W>,
    stage: Stage,
    surplus: bool,
}

/// Where in the request the next byte lies.
enum Stage {
    Unbegun,
    Head,
    Body { left: u64 },
    Over,
}

impl<W: Wire> Single<W> {
    /// The request that a connection is.
    pub(super) const ID: RequestId = RequestId(NonZeroU16::MIN);

    fn new(max_params: usize) -> Self {
        Self { head: Head::new(max_params), stage: Stage::Unbegun, surplus: false }
    }

    fn expect_body(&mut self, length: u64) {
        self.stage = Stage::Body { left: length };
    }

    fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Option<Event<'i>>), HeadError> {
        let id = Self::ID;
        match self.stage {
            Stage::Unbegun if input.is_empty() => Ok((0, None)),
            Stage::Unbegun => {
                self.stage = Stage::Head;
                let role = Role::Responder;
                Ok((0, Some(Event::Begin { id, role, keep_conn: false })))
            }
            Stage::Head => {
                let (used, event) = match self.head.next(input) {
                    Err(HeadError::TooLong { .. }) => {
                        self.stage = Stage::Over;
                        return Ok((0, Some(Event::ParamsTooLong { id })));
                    }
                    progress => progress?,
                };
                let event = event.map(|event| match event {
                    head::Event::Params(piece) => Event::Params { id, piece },
                    head::Event::ParamsEnd => {
                        // Until somebody says how long it is.
                        self.stage = Stage::Body { left: 0 };
                        Event::ParamsEnd { id }
                    }
                });
                Ok((used, event))
            }
            Stage::Body { left: 0 } => {
                self.stage = Stage::Over;
                Ok((0, Some(Event::StdinEnd { id })))
            }
            Stage::Body { left } => {
                let fits = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let piece = &input[..fits];
                if piece.is_empty() {
                    return Ok((0, None));
                }
                self.stage = Stage::Body { left: left - fits as u64 };
                Ok((fits, Some(Event::Stdin { id, piece })))
            }
            Stage::Over => {
                self.surplus |= !input.is_empty();
                Ok((input.len(), None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scgi, uwsgi};

    const BODY: &[u8] = b"hello";

    /// What comes of `wire`, cut into pieces of `step` bytes, when the body is as long as `BODY`.
    fn heard<W: Wire>(wire: &[u8], step: usize) -> Vec<String> {
        let (mut single, mut events, mut held) = (Single::<W>::new(1000), Vec::new(), Vec::new());
        let (mut params, mut body) = (0, Vec::new());
        for piece in wire.chunks(step) {
            held.extend_from_slice(piece);
            loop {
                let (used, event) = single.next(&held).expect("a request");
                match event {
                    None => {
                        held.drain(..used);
                        break;
                    }
                    Some(Event::Params { piece, .. }) => params += piece.len(),
                    Some(Event::Stdin { piece, .. }) => body.extend_from_slice(piece),
                    Some(event) => {
                        events.push(format!("{event:?}"));
                        if matches!(event, Event::ParamsEnd { .. }) {
                            single.expect_body(BODY.len() as u64);
                        }
                    }
                }
                held.drain(..used);
            }
        }
        assert_eq!(body, BODY);
        events.push(format!("{params} bytes of pairs, surplus {}", single.surplus));
        events
    }

    #[test]
    fn one_request_begins_and_ends_however_it_is_cut_and_what_follows_is_read_over() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        scgi::head(&mut one, 5, &[("A", "b")]).expect("no NUL");
        uwsgi::head(&mut other, &[("A", "b")]).expect("short");
        for surplus in ["", "\r\n"] {
            for step in [1, 2, 3, 1000] {
                let [one, other] =
                    [&one, &other].map(|head| [head, BODY, surplus.as_bytes()].concat());
                let (one, other) = (heard::<Scgi>(&one, step), heard::<Uwsgi>(&other, step));
                let id = format!("{:?}", Single::<Scgi>::ID);
                assert_eq!(
                    one[0],
                    format!("Begin {{ id: {id}, role: Responder, keep_conn: false }}")
                );
                assert_eq!(
                    one[1..3],
                    [format!("ParamsEnd {{ id: {id} }}"), format!("StdinEnd {{ id: {id} }}")]
                );
                assert_eq!(one[..3], other[..3]);
                assert_eq!(one[3], format!("28 bytes of pairs, surplus {}", !surplus.is_empty()));
                assert_eq!(other[3], format!("6 bytes of pairs, surplus {}", !surplus.is_empty()));
            }
        }
    }

    #[test]
    fn a_head_that_is_too_long_is_an_event_and_nothing_behind_it_is_read() {
        let mut single = Single::<Scgi>::new(1000);
        assert!(matches!(single.next(b"1001:"), Ok((0, Some(Event::Begin { .. })))));
        assert!(matches!(single.next(b"1001:"), Ok((0, Some(Event::ParamsTooLong { .. })))));
        assert_eq!(single.next(b"1001:"), Ok((5, None)));
    }
}
