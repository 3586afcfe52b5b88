//! The client of a request over FastCGI, SCGI or uwsgi, when the application has had its time.

use super::{
    Protocol, Refusal, call::Call, connection::Finished, desk::Desk, shared::Shared, slot::Slot,
    token::Token,
};
use crate::{
    fcgi::{self, ProtocolStatus, RequestId},
    types::{Client, Request},
};
use std::sync::{Arc, atomic::Ordering};

/// A request on its connection.
pub(super) struct Peer {
    shared: Arc<Shared>,
    token: Token,
    id: RequestId,
    protocol: Protocol,
    head_only: bool,
}

impl Peer {
    pub(super) fn of(shared: Arc<Shared>, call: &Call) -> Self {
        let head_only = call.slate.vars.get("REQUEST_METHOD") == Some(b"HEAD");
        Self { shared, token: call.token, id: call.id, protocol: call.protocol, head_only }
    }

    fn slot(&self) -> &Slot {
        self.shared.table.slot(self.token)
    }

    /// Its id is free from now on, but the run of its thread is not over.
    fn finish(&self, request: &Arc<Request>) -> Option<Finished> {
        self.slot().front().finish_overdue(request, self.id)
    }

    /// All is said.
    fn end(&self, finished: Finished) {
        if finished.close {
            let slot = self.slot();
            // Nothing follows. Closing with bytes unread would reset the connection: what still
            // comes is read over, until the peer or the application is done.
            slot.socket.shutdown_write();
            slot.front().discard(self.shared.now(), &self.shared.settings);
            slot.set_closing();
        }
        if finished.next.is_some() {
            Desk::new().hand_on_next(&self.shared, finished.next);
        }
    }

    fn cut_off(&self, finished: Finished) {
        if finished.others && self.protocol == Protocol::FastCgi {
            let mut out = Vec::new();
            fcgi::end_request(&mut out, self.id, 1, ProtocolStatus::RequestComplete);
            self.shared.say(self.token, &mut out);
        } else {
            // Only a connection that ends too soon tells that something is missing.
            self.slot().give_up();
        }
        self.end(finished);
    }

    /// Whoever drains does not wait for the run. Not before all else is done: until then the connection
    /// would pass for one without a request, and be handed over to another worker as it is.
    fn give_up_run(&self) {
        self.slot().lost.fetch_add(1, Ordering::AcqRel);
    }
}

impl Client for Peer {
    fn refuse(&self, request: &Arc<Request>) {
        if let Some(finished) = self.finish(request) {
            let mut out = Vec::new();
            Refusal::OVERDUE.answer(self.protocol, &mut out, self.id, self.head_only);
            self.shared.say(self.token, &mut out);
            self.end(finished);
        }
        self.give_up_run();
    }

    fn cut(&self, request: &Arc<Request>) {
        if let Some(finished) = self.finish(request) {
            self.cut_off(finished);
        }
        self.give_up_run();
    }
}
