//! One request between its last parameter and its answer, and the answers that need no application.

use super::{Settings, slot::Token, spool::Spool};
use crate::{
    fcgi::{self, ProtocolStatus, RecordType, RequestId, Role},
    handlers::{Content, Slate},
    types::RequestFault,
};
use std::{cell::Cell, sync::Arc, time::Instant};

/// The file that a filter is to work on (section 6.4).
pub(super) struct Data {
    /// By FCGI_DATA_LENGTH.
    pub(super) content: Content,
    pub(super) spool: Arc<Spool>,
}

/// A request that an application can be called for. Threads keep them for the next request.
pub(super) struct Call {
    pub(super) token: Token,
    pub(super) id: RequestId,
    pub(super) role: Role,
    pub(super) slate: Slate,
    pub(super) content: Content,
    /// What of its body others have received for it.
    pub(super) spool: Arc<Spool>,
    /// A filter's DATA.
    pub(super) data: Option<Data>,
    /// When the request was complete enough to be run.
    pub(super) came: Instant,
}

impl Call {
    pub(super) fn new(token: Token, id: RequestId, role: Role) -> Self {
        Self {
            token,
            id,
            role,
            slate: Slate::default(),
            content: Content::Length(0),
            spool: Arc::default(),
            data: None,
            came: Instant::now(),
        }
    }

    /// Nothing of the last request stays but the memory it was in.
    pub(super) fn renew(&mut self, token: Token, id: RequestId, role: Role) {
        self.slate.wipe(None);
        match Arc::get_mut(&mut self.spool) {
            Some(spool) => spool.clear(),
            None => self.spool = Arc::default(),
        }
        (self.token, self.id, self.role, self.data) = (token, id, role, None);
    }

    /// Finds the variables in what PARAMS brought, and how long the body is.
    ///
    /// # Errors
    /// The request cannot be answered as it stands.
    pub(super) fn prepare(&mut self, settings: &Settings) -> Result<(), Refusal> {
        let vars = &mut self.slate.vars;
        let left = Cell::new(settings.max_variables);
        vars.index_by(|stream, at| {
            let pair = fcgi::pair_at(stream, at)?.map_err(|_| Refusal::MALFORMED);
            Some(pair.and_then(|pair| {
                left.set(left.get().checked_sub(1).ok_or(Refusal::TOO_LONG)?);
                Ok(pair)
            }))
        })?;
        if self.role != Role::Responder {
            vars.set("FCGI_ROLE", self.role.as_str());
        }
        let length = Content::length(vars)?;
        if let (Some(length), Some(limit)) = (length, settings.max_body)
            && length > limit
        {
            return Err(RequestFault::BodyTooLong { limit }.into());
        }
        let or_until_end = |length: Option<u64>| length.map_or(Content::UntilEnd, Content::Length);
        self.content = match self.role {
            Role::Authorizer => Content::Length(0),
            Role::Responder | Role::Filter => or_until_end(length),
        };
        if self.role == Role::Filter {
            let content = or_until_end(Content::length_in(vars, "FCGI_DATA_LENGTH")?);
            self.data = Some(Data { content, spool: Arc::default() });
        }
        self.came = Instant::now();
        Ok(())
    }
}

/// A status that is answered in the application's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: &'static str,
    fields: &'static str,
}

impl Refusal {
    const MALFORMED: Self = Self { status: "400 Bad Request", fields: "" };
    pub(super) const TOO_SLOW: Self = Self { status: "408 Request Timeout", fields: "" };
    pub(super) const TOO_LONG: Self =
        Self { status: "431 Request Header Fields Too Large", fields: "" };
    // No server honours END_REQUEST's FCGI_OVERLOADED, so an overload is a real response.
    pub(super) const OVERLOADED: Self =
        Self { status: "503 Service Unavailable", fields: "Retry-After: 1\r\n" };

    /// The whole answer, in records.
    pub(super) fn records(self, out: &mut Vec<u8>, id: RequestId, head_only: bool) {
        let Self { status, fields } = self;
        let body = if head_only { String::new() } else { format!("{status}\n") };
        let text = format!(
            "Content-Type: text/plain\r\nContent-Length: {}\r\n{fields}Status: {status}\r\n\r\n{body}",
            status.len() + 1
        );
        fcgi::stream(out, RecordType::Stdout, id, text.as_bytes());
        fcgi::stream(out, RecordType::Stdout, id, b"");
        fcgi::end_request(out, id, 0, ProtocolStatus::RequestComplete);
    }
}

impl From<RequestFault> for Refusal {
    fn from(fault: RequestFault) -> Self {
        Self { status: fault.status(), fields: "" }
    }
}
