//! What is known of a connection: nothing, while nothing is said on it.
//!
//! An idle connection owns its descriptor and its slot. A [`Front`] is taken from the thread that
//! receives the first bytes of a request, and goes to the thread that sends the last ones of its
//! answer: there are as many as conversations going on, and those that work are in the CPU's caches.

use super::{
    Protocol, Refusal, Settings,
    call::Call,
    connection::{Finished, Front},
    sorting::Sorting,
    spool::Spool,
};
use crate::{fcgi::RequestId, types};
use std::{ops::Deref, sync::Arc};

/// A connection's [`Front`], if there is anything to be known but what is spoken.
#[derive(Default)]
pub(super) struct Known {
    protocol: Protocol,
    front: Option<Box<Front>>,
}

/// Of a connection on which nothing was said.
static NOTHING: Front = Front::NOTHING;

impl Deref for Known {
    type Target = Front;

    fn deref(&self) -> &Front {
        self.front.as_deref().unwrap_or(&NOTHING)
    }
}

impl Known {
    /// A new connection. `overloaded`: it is one too many.
    pub(super) fn begin(&mut self, protocol: Protocol, settings: &Settings, overloaded: bool) {
        let front = overloaded.then(|| Box::new(Front::new(protocol, settings, true)));
        *self = Self { protocol, front };
    }

    /// The connection is no more: memory is given back.
    pub(super) fn clear(&mut self) {
        self.front = None;
    }

    /// What is spoken.
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Where what came is taken in.
    pub(super) fn hear(&mut self, sorting: &mut Sorting, settings: &Settings) -> &mut Front {
        let protocol = self.protocol;
        self.front.get_or_insert_with(|| {
            let kept = sorting.fronts.pop_if(|front| front.protocol() == protocol);
            kept.unwrap_or_else(|| Box::new(Front::new(protocol, settings, false)))
        })
    }

    /// Gives the memory to the thread, if nothing is left to be known.
    pub(super) fn rest(&mut self, sorting: &mut Sorting) {
        if let Some(front) = self.front.take_if(|front| front.is_fresh()) {
            sorting.keep_front(front);
        }
    }

    fn with<T: Default>(&mut self, act: impl FnOnce(&mut Front) -> T) -> T {
        self.front.as_deref_mut().map(act).unwrap_or_default()
    }

    /// See [`Front`], as for all that follow.
    pub(super) fn run(&mut self, call: &mut Call) -> bool {
        self.with(|front| front.run(call))
    }

    pub(super) fn share_body(&mut self, id: RequestId, spool: &Arc<Spool>) {
        self.with(|front| front.share_body(id, spool));
    }

    pub(super) fn take_body(&mut self, id: RequestId) {
        self.with(|front| front.take_body(id));
    }

    pub(super) fn end(&mut self, gone: bool, sorting: &mut Sorting) {
        self.with(|front| front.end(gone, sorting));
    }

    pub(super) fn finish(&mut self, id: RequestId) -> Finished {
        self.with(|front| front.finish(id))
    }

    pub(super) fn finish_unsent(&mut self, id: RequestId) -> Finished {
        self.with(|front| front.finish_unsent(id))
    }

    pub(super) fn finish_overdue(
        &mut self,
        request: &Arc<types::Request>,
        id: RequestId,
    ) -> Option<Finished> {
        self.with(|front| front.finish_overdue(request, id))
    }

    pub(super) fn refuse_slow(&mut self, since: u32, sorting: &mut Sorting) -> bool {
        self.with(|front| front.refuse_slow(since, sorting))
    }

    pub(super) fn turn_away(
        &mut self,
        call: &Call,
        refusal: Refusal,
        out: &mut Vec<u8>,
    ) -> Option<Finished> {
        self.with(|front| front.turn_away(call, refusal, out))
    }

    /// What comes from now on is read over.
    pub(super) fn discard(&mut self, now: u32, settings: &Settings) {
        let new = || Box::new(Front::new(self.protocol, settings, false));
        self.front.get_or_insert_with(new).discard(now);
    }
}
