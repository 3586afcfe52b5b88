//! What a thread has at hand while it takes in what came, and what comes of that.

use super::{
    Dispatch, Protocol, Refusal, Settings, call::Call, connection::Front, spool::End, token::Token,
};
use crate::fcgi::{RequestId, Role};
use std::{collections::VecDeque, ops::Range};

/// What a thread has at hand while it takes in what came, and what comes of that.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "calls go from one place to another: by pointer, not by copy")]
pub(super) struct Sorting {
    /// When the events were heard of, for the first read of each: what is read later asks the clock.
    pub(super) heard: Option<u32>,
    /// Requests that can be run.
    pub(super) ready: VecDeque<Box<Call>>,
    /// What is to be said at once.
    pub(super) answers: Vec<u8>,
    /// The request whose body is read where it was received.
    pub(super) mine: Option<RequestId>,
    /// Where in the receive buffer its pieces lie.
    pub(super) pieces: VecDeque<Range<usize>>,
    /// How its body ended.
    pub(super) end: Option<End>,
    pub(super) first: Option<First>,
    /// Calls for the next requests.
    pub(super) pool: Vec<Box<Call>>,
    /// Requests that were answered in an application's place: what with, and what came of them.
    pub(super) refused: Vec<(Refusal, Option<Box<Call>>)>,
    /// What the next connections that say something are known by.
    pub(super) fronts: Vec<Box<Front>>,
}

/// The request that this thread is going to run.
pub(super) struct First {
    pub(super) call: Box<Call>,
    /// Its body is lent to it.
    pub(super) lent: bool,
    /// All of it is here, and the connection ends with it.
    pub(super) ends: bool,
}

/// Calls and fronts that a thread keeps for what comes next.
const POOL: usize = 16;

impl Sorting {
    /// Nobody's body is read from the buffer any more.
    pub(super) fn forget(&mut self) {
        (self.mine, self.end) = (None, None);
        self.pieces.clear();
    }

    /// Tells of the requests that were refused.
    #[cold]
    pub(super) fn tell_refused(&mut self, apps: &dyn Dispatch, settings: &Settings) {
        for (refusal, call) in std::mem::take(&mut self.refused) {
            let Some(mut call) = call else {
                apps.refused(refusal, None);
                continue;
            };
            call.know(settings);
            apps.refused(refusal, Some((call.role, &call.slate.vars)));
            self.put_away(call);
        }
    }

    /// Keeps a call that is done with.
    pub(super) fn put_away(&mut self, mut call: Box<Call>) {
        call.forget_body();
        if self.pool.len() < POOL {
            self.pool.push(call);
        }
    }

    /// Keeps a front that knows nothing.
    pub(super) fn keep_front(&mut self, front: Box<Front>) {
        if self.fronts.len() < POOL {
            self.fronts.push(front);
        }
    }

    /// A call for a request that begins.
    pub(super) fn call(
        &mut self,
        protocol: Protocol,
        token: Token,
        id: RequestId,
        role: Role,
    ) -> Box<Call> {
        match self.pool.pop() {
            Some(mut call) => {
                call.renew(protocol, token, id, role);
                call
            }
            None => Box::new(Call::new(protocol, token, id, role)),
        }
    }
}
