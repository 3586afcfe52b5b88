//! One request between its last parameter and its answer.

use super::{Protocol, Refusal, Settings, spool::Spool, token::Token};
use crate::{
    fcgi::{self, RequestId, Role},
    handlers::{Content, Slate},
    head::Wire as _,
    scgi::Scgi,
    types::{Request, RequestFault, Unindexed, Vars},
    uwsgi::Uwsgi,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The file that a filter is to work on (section 6.4).
pub(super) struct Data {
    /// By FCGI_DATA_LENGTH.
    pub(super) content: Content,
    pub(super) spool: Arc<Spool>,
}

/// A request that an application can be called for. Threads keep them for the next request.
pub(super) struct Call {
    pub(super) protocol: Protocol,
    pub(super) token: Token,
    pub(super) id: RequestId,
    pub(super) role: Role,
    pub(super) slate: Slate,
    pub(super) content: Content,
    /// What of its body others have received for it.
    pub(super) spool: Arc<Spool>,
    /// Whether some of its body was still to come when it began to run.
    pub(super) body_open: bool,
    /// A filter's DATA.
    pub(super) data: Option<Data>,
    /// When the request was complete enough to be run, if anybody asks.
    pub(super) came: Option<Instant>,
}

impl Call {
    pub(super) fn new(protocol: Protocol, token: Token, id: RequestId, role: Role) -> Self {
        Self {
            protocol,
            token,
            id,
            role,
            slate: Slate::default(),
            content: Content::Length(0),
            spool: Arc::default(),
            body_open: false,
            data: None,
            came: None,
        }
    }

    /// Nothing of the last request stays but the memory it was in.
    pub(super) fn renew(&mut self, protocol: Protocol, token: Token, id: RequestId, role: Role) {
        self.slate.wipe(None);
        self.protocol = protocol;
        (self.token, self.id, self.role, self.data) = (token, id, role, None);
    }

    /// Since it came; never if that was not noted.
    pub(super) fn waits_longer_than(&self, limit: Duration) -> bool {
        self.came.is_some_and(|came| came.elapsed() > limit)
    }

    /// It has been answered: whatever is left of its body goes at once, for it may be in a file.
    pub(super) fn forget_body(&mut self) {
        // To ask whether it is ours alone, so that it can be changed, is an atomic operation.
        if !self.spool.is_new() || Arc::strong_count(&self.spool) > 1 {
            match Arc::get_mut(&mut self.spool) {
                Some(spool) => spool.clear(),
                None => self.spool = Arc::default(),
            }
        }
        self.data = None;
    }

    /// Finds the variables in what has come of them, when no more will: the request is refused.
    pub(super) fn know(&mut self, settings: &Settings) {
        let vars = &mut self.slate.vars;
        if vars.is_empty() {
            // They end where they were cut, or are no more than one may have.
            let _ = index(vars, self.protocol, settings);
        }
    }

    /// Finds the variables in what came before the body, and how long that is.
    ///
    /// # Errors
    /// The request cannot be answered as it stands.
    pub(super) fn prepare(
        &mut self,
        settings: &Settings,
        came: Option<Instant>,
    ) -> Result<(), Refusal> {
        let vars = &mut self.slate.vars;
        index(vars, self.protocol, settings)?;
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
            // SCGI and uwsgi have no other way to say where a body ends.
            _ if self.protocol != Protocol::FastCgi => Content::Length(length.unwrap_or(0)),
            Role::Responder | Role::Filter => or_until_end(length),
        };
        if self.role == Role::Filter {
            let content = or_until_end(Content::length_in(vars, "FCGI_DATA_LENGTH")?);
            self.data = Some(Data { content, spool: Arc::default() });
        }
        self.came = came;
        Ok(())
    }

    /// What an application may change, and what its streams go on using meanwhile. `request` is its
    /// own, held apart from the slate.
    pub(super) fn split<'c>(&'c mut self, request: &'c Request) -> (&'c mut Slate, Given<'c>) {
        let wants_body_first = self.wants_body_first();
        let Self { protocol, role, slate, content, spool, data, .. } = self;
        let (protocol, role, content, data) = (*protocol, *role, *content, data.as_ref());
        (slate, Given { protocol, role, content, spool, data, request, wants_body_first })
    }

    /// As soon as the response's header block has gone on to its client, nginx stops sending a body
    /// at the first write that would wait: an application that answers while it reads would wait
    /// for the rest for ever. Of SCGI and uwsgi its stock parameters do not say whose they are.
    fn wants_body_first(&self) -> bool {
        self.body_open && self.content != Content::Length(0) && {
            let software = self.slate.vars.get("SERVER_SOFTWARE");
            software.map_or(self.protocol != Protocol::FastCgi, |name| name.starts_with(b"nginx/"))
        }
    }
}

/// What the streams of a call use.
#[derive(Clone, Copy)]
pub(super) struct Given<'c> {
    pub(super) protocol: Protocol,
    pub(super) role: Role,
    pub(super) content: Content,
    pub(super) spool: &'c Arc<Spool>,
    pub(super) data: Option<&'c Data>,
    pub(super) request: &'c Request,
    /// The body has to be whole before the first byte of the answer is sent.
    pub(super) wants_body_first: bool,
}

/// Finds the variables, of which there may be so many.
// The loops in here are most of what a request costs: in a function of their own they have the
// registers.
#[inline(never)]
fn index(vars: &mut Vars, protocol: Protocol, settings: &Settings) -> Result<(), Refusal> {
    let most = settings.max_variables;
    match protocol {
        Protocol::FastCgi => vars.index_few(most, fcgi::usual_pair, fcgi::pair_at)?,
        Protocol::Scgi => vars.index_few(most, |_| None, Scgi::pair_at)?,
        Protocol::Uwsgi => vars.index_few(most, |_| None, Uwsgi::pair_at)?,
    }
    Ok(())
}

impl<E> From<Unindexed<E>> for Refusal {
    fn from(unindexed: Unindexed<E>) -> Self {
        match unindexed {
            Unindexed::TooMany => Self::MANY_VARIABLES,
            Unindexed::Pair(_) => Self::NO_PAIRS,
        }
    }
}
