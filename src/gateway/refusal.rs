//! What the gateway answers by itself, in an application's place: a status, and its name as text.

use super::Protocol;
use crate::{
    fcgi::{self, ProtocolStatus, RecordType, RequestId},
    handlers::Preamble,
    types::{Application, Environ, RequestFault, Response, StartResponse},
};

/// A status that is answered in an application's place.
///
/// ```
/// use cgigate::{Vars, fcgi::Role, gateway::Refusal};
///
/// /// What a [`Dispatch`](cgigate::gateway::Dispatch) of one's own may say of it.
/// fn refused(refusal: Refusal, request: Option<(Role, &Vars)>) -> String {
///     let path = request.and_then(|(_, vars)| vars.native("PATH_INFO"));
///     format!("{}: {} ({})", path.unwrap_or_default(), refusal.status, refusal.why)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Code and reason phrase.
    pub status: &'static str,
    /// What is wrong, in words of the gateway alone.
    pub why: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: &'static str, why: &'static str) -> Self {
        Self { status, why }
    }

    pub(super) const NO_PAIRS: Self =
        Self::new("400 Bad Request", "its variables are no name-value pairs");
    pub(super) const NO_LENGTH: Self = Self::new("400 Bad Request", "CONTENT_LENGTH is no length");
    pub(super) const NOT_FOUND: Self =
        Self::new("404 Not Found", "there is no such application, or it is outside of the mount");
    pub(super) const SLOW: Self =
        Self::new("408 Request Timeout", "its variables stood still for too long");
    pub(super) const SLOW_BODY: Self =
        Self::new("408 Request Timeout", "its body stood still for too long");
    pub(super) const LONG_BODY: Self =
        Self::new("413 Content Too Large", "its body is longer than --max-body");
    pub(crate) const MANY_VARIABLES: Self = Self::new(
        "431 Request Header Fields Too Large",
        "it has more variables than --max-variables",
    );
    pub(super) const LONG_VARIABLES: Self = Self::new(
        "431 Request Header Fields Too Large",
        "its variables are longer than --max-params",
    );
    pub(super) const NOT_SERVED: Self =
        Self::new("501 Not Implemented", "it is a packet of another modifier1 than 0");
    // No server honours END_REQUEST's FCGI_OVERLOADED, so an overload is a real response.
    pub(super) const CROWDED: Self =
        Self::new("503 Service Unavailable", "there were too many connections");
    pub(super) const QUEUE_FULL: Self =
        Self::new("503 Service Unavailable", "too many requests waited for a thread");
    pub(super) const LATE: Self =
        Self::new("503 Service Unavailable", "it waited for a thread for too long");
    pub(super) const OVERDUE: Self =
        Self::new("504 Gateway Timeout", "the application took longer than --request-timeout");

    /// The fields of the answer, beside those that say what its body is.
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self.status.as_bytes() {
            // Whoever is told to come back is told when.
            [b'5', b'0', b'3', ..] => &[("Retry-After", "1")],
            _ => &[],
        }
    }

    /// The whole answer.
    pub(super) fn answer(
        self,
        protocol: Protocol,
        out: &mut Vec<u8>,
        id: RequestId,
        head_only: bool,
    ) {
        let status = self.status;
        let body = if head_only { String::new() } else { format!("{status}\n") };
        let length = status.len() + 1;
        let more: String =
            self.fields().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let fields = format!("Content-Type: text/plain\r\n{more}Content-Length: {length}\r\n");
        let text = match protocol.preamble() {
            Preamble::StatusFirst => format!("Status: {status}\r\n{fields}\r\n{body}"),
            Preamble::StatusLast => format!("{fields}Status: {status}\r\n\r\n{body}"),
            Preamble::StatusLine => format!("HTTP/1.1 {status}\r\n{fields}\r\n{body}"),
        };
        if protocol != Protocol::FastCgi {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        fcgi::stream(out, RecordType::Stdout, id, text.as_bytes());
        fcgi::stream(out, RecordType::Stdout, id, b"");
        fcgi::end_request(out, id, 0, ProtocolStatus::RequestComplete);
    }
}

impl From<RequestFault> for Refusal {
    fn from(fault: RequestFault) -> Self {
        match fault {
            RequestFault::BadLength(_) => Self::NO_LENGTH,
            RequestFault::BodyTooLong { .. } => Self::LONG_BODY,
            RequestFault::TooSlow => Self::SLOW_BODY,
            RequestFault::BodyCutShort { .. } | RequestFault::ChunksCutShort => {
                Self::new(fault.status(), "its body ended early")
            }
            RequestFault::BadChunk
            | RequestFault::ParamsTooLong
            | RequestFault::TargetTooLong
            | RequestFault::NotHttp(_) => Self::new(fault.status(), "the request is at fault"),
        }
    }
}

/// The same answer, where a handler is there to give it.
impl Application for Refusal {
    fn call<'r>(&'r self, _: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
        let kind = [("Content-Type", "text/plain")];
        start_response.call(self.status, &[&kind[..], self.fields()].concat())?;
        Ok(format!("{}\n", self.status).into())
    }
}
