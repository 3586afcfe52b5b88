//! What is known of one connection: how far what came was understood, which requests are open, and
//! where their bodies go.
//!
//! Bytes are understood to the last one before an application runs, so what stays here between
//! two reads is a header cut in two at most. Nothing here blocks or knows a socket.

use super::{
    Dispatch, Protocol, Refusal, Settings,
    call::Call,
    incoming::{Incoming, PeerError},
    open::{Body, Open, Progress, Stage},
    sorting::{First, Sorting},
    spool::{End, Spool},
    token::Token,
};
use crate::{
    fcgi::{
        self, Answer, Connection, Event, Limits, ProtocolStatus, RequestId, Role, Series, Whole,
    },
    handlers::Content,
    types,
};
use std::{sync::Arc, time::Instant};

/// One connection's incoming side and its open requests.
pub(super) struct Front {
    incoming: Incoming,
    open: Vec<Open>,
    /// Bytes of a record that is not whole enough to be understood.
    tail: Vec<u8>,
    /// A request that was not to be the last has asked for the end of the connection.
    last: bool,
    /// Since when what comes is read over: the answer is out, or what came cannot be understood.
    discarding: Option<u32>,
    /// Everything on this connection is answered 503: there are too many.
    overloaded: bool,
    /// Without multiplexing: complete requests that wait for the one before them.
    #[expect(
        clippy::vec_box,
        reason = "calls go from one place to another: by pointer, not by copy"
    )]
    held: Vec<Box<Call>>,
}

/// The most that is said for FCGI_MAX_REQS. HAProxy, the one server that asks, takes it for the most
/// on one connection, and versions before 3.0 answer 500 where what they put on it at once is over
/// one buffer of 16 KiB (its issue 2568). More are served, from whoever sends them.
const MAX_REQS: usize = 32;

/// Who takes in what came, and by which rules.
pub(super) struct Rules<'s> {
    pub(super) settings: &'s Settings,
    pub(super) apps: &'s dyn Dispatch,
    pub(super) token: Token,
    /// Whether there is an application for responders.
    pub(super) responds: bool,
    /// When what came was received: by the clock of the deadlines, and by that of what waits, if
    /// anybody asks.
    pub(super) now: u32,
    pub(super) came: Option<Instant>,
    /// Whether the body of the first request that gets ready may stay in the buffer, because the
    /// thread is going to run it.
    pub(super) direct: bool,
}

/// What there is to do after a request has ended.
#[derive(Default)]
pub(super) struct Finished {
    /// The connection ends with it.
    pub(super) close: bool,
    /// Other requests are open.
    pub(super) others: bool,
    /// Some of its body has not come yet.
    pub(super) unread: bool,
    /// Without multiplexing: the request that has waited for this one. It is to be counted as a
    /// run before this one no longer is.
    pub(super) next: Option<Box<Call>>,
}

impl Front {
    /// Of a connection on which nothing was said, and nothing will be understood.
    pub(super) const NOTHING: Self =
        Self::over(Incoming::FastCgi(Connection::new(Limits { max_requests: 0, max_params: 0 })));

    /// A new connection. `overloaded`: it is one too many.
    pub(super) fn new(protocol: Protocol, settings: &Settings, overloaded: bool) -> Self {
        Self { overloaded, ..Self::over(Incoming::new(protocol, settings)) }
    }

    const fn over(incoming: Incoming) -> Self {
        Self {
            incoming,
            open: Vec::new(),
            tail: Vec::new(),
            last: false,
            discarding: None,
            overloaded: false,
            held: Vec::new(),
        }
    }

    /// Whether nothing is known here that would not be known of a new connection: then the rest of
    /// what comes can be understood by anybody.
    pub(super) fn is_fresh(&self) -> bool {
        let blank = self.open.is_empty() && self.held.is_empty() && self.tail.is_empty();
        let stays = !self.last && !self.overloaded && self.discarding.is_none();
        blank && stays && self.incoming.is_fresh()
    }

    /// Puts the bytes that stood over before what comes; how many there are.
    pub(super) fn tail(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.tail.len()].copy_from_slice(&self.tail);
        self.tail.len()
    }

    /// How a body in records goes on, if nothing stood over and that can be told.
    pub(super) fn series(&self) -> Option<Series> {
        let reads = self.tail.is_empty() && self.discarding.is_none();
        reads.then(|| self.incoming.series()).flatten().filter(Series::is_of_long_records)
    }

    /// Whether what comes next goes behind what stood over, or on with a series.
    pub(super) fn goes_on(&self) -> bool {
        self.has_tail() || self.series().is_some()
    }

    /// What is fed next was received as `series` has it.
    pub(super) fn go_on(&mut self, series: &Series) {
        self.incoming.go_on(series);
    }

    /// Takes in `input`, which begins with what [`tail`](Self::tail) gave.
    ///
    /// # Errors
    /// The peer broke the protocol.
    #[inline]
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        sorting: &mut Sorting,
        rules: &Rules<'_>,
    ) -> Result<(), PeerError> {
        if self.discarding.is_some() {
            return Ok(());
        }
        self.tail.clear();
        let mut at = 0;
        loop {
            if rules.responds
                && let Some((used, whole)) = self.incoming.whole(&input[at..])
            {
                at += used;
                self.whole(whole, sorting, rules);
                if at == input.len() {
                    return Ok(());
                }
                continue;
            }
            let (used, event) = self.incoming.next(&input[at..])?;
            at += used;
            let Some(event) = event else { break };
            self.event(event, at, sorting, rules);
        }
        self.tail.extend_from_slice(&input[at..]);
        Ok(())
    }

    /// What its events would come to.
    fn whole(&mut self, whole: Whole<'_>, sorting: &mut Sorting, rules: &Rules<'_>) {
        let Whole { id, keep_conn, params, ended } = whole;
        let role = Role::Responder;
        let mut call = sorting.call(self.incoming.protocol(), rules.token, id, role);
        call.slate.vars.append(params);
        let (at, stage) = (self.open.len(), Stage::Params(None));
        self.open.push(Open { id, role, keep_conn, since: rules.now, stage });
        self.complete(at, call, ended, sorting, rules);
    }

    /// `at`: where in the input the event ends; a piece lies right before.
    fn event(&mut self, event: Event<'_>, at: usize, sorting: &mut Sorting, rules: &Rules<'_>) {
        let is_data = matches!(event, Event::Data { .. });
        match event {
            Event::Begin { id, role, keep_conn } => {
                let stage = Stage::Params(None);
                self.open.push(Open { id, role, keep_conn, since: rules.now, stage });
                if !rules.apps.serves(role) && self.incoming.protocol() == Protocol::FastCgi {
                    let status = ProtocolStatus::UnknownRole;
                    fcgi::end_request(&mut sorting.answers, id, 0, status);
                    self.finish(id);
                }
            }
            Event::Params { id, piece } => {
                let Some(open) = self.open.iter_mut().find(|open| open.id == id) else { return };
                if let Stage::Params(call) = &mut open.stage {
                    let call = call.get_or_insert_with(|| {
                        sorting.call(self.incoming.protocol(), rules.token, id, open.role)
                    });
                    call.slate.vars.append(piece);
                }
            }
            Event::ParamsEnd { id } => self.params_end(id, sorting, rules),
            Event::ParamsTooLong { id } => self.refuse(id, Refusal::LONG_VARIABLES, false, sorting),
            Event::Stdin { id, piece } | Event::Data { id, piece } => match self.body(id) {
                Some(Body::Direct) if sorting.mine == Some(id) => {
                    sorting.pieces.push_back(at - piece.len()..at);
                }
                Some(Body::Spool(spool)) => spool.push(piece, rules.settings.max_body),
                Some(Body::Filter { stdin, data }) => match is_data {
                    // The web server's own file: --max-body is about its clients.
                    true => data.push(piece, None),
                    false => stdin.push(piece, rules.settings.max_body),
                },
                Some(Body::Direct | Body::Ended) | None => {}
            },
            Event::StdinEnd { id } => match self.body(id) {
                Some(Body::Filter { stdin, .. }) => stdin.end(End::Whole),
                _ => self.end_body(id, End::Whole, sorting),
            },
            Event::DataEnd { id } => self.end_body(id, End::Whole, sorting),
            Event::Abort { id } => self.abort(id, sorting),
            Event::Answer(answer) => self.answer(answer, sorting, rules.settings),
        }
    }

    fn params_end(&mut self, id: RequestId, sorting: &mut Sorting, rules: &Rules<'_>) {
        let Some(at) = self.open.iter().position(|open| open.id == id) else { return };
        let Open { role, stage, .. } = &mut self.open[at];
        let Stage::Params(call) = stage else { return };
        let protocol = self.incoming.protocol();
        let begin = || sorting.call(protocol, rules.token, id, *role);
        let call = call.take().unwrap_or_else(begin);
        self.complete(at, call, false, sorting, rules);
    }

    /// The variables of the open request there are whole, in `call`. `ended`: and its body too.
    fn complete(
        &mut self,
        at: usize,
        mut call: Box<Call>,
        ended: bool,
        sorting: &mut Sorting,
        rules: &Rules<'_>,
    ) {
        let waits = !rules.settings.multiplex && (!self.held.is_empty() || self.is_busy());
        let mut prepared = call.prepare(rules.settings, rules.came);
        if self.overloaded {
            prepared = Err(Refusal::CROWDED);
            // A connection too many ends, however long its peer would keep it.
            self.last = true;
        }
        if let Err(refusal) = prepared {
            self.refuse_call(at, call, refusal, sorting);
            return;
        }
        if let Content::Length(length) = call.content {
            self.incoming.expect_body(length);
        }
        let first = rules.direct && !waits && sorting.mine.is_none() && sorting.ready.is_empty();
        let body = match &call.data {
            Some(data) => {
                Body::Filter { stdin: Arc::clone(&call.spool), data: Arc::clone(&data.spool) }
            }
            None if ended || call.role == Role::Authorizer => Body::Ended,
            None if first => Body::Direct,
            None => Body::Spool(Arc::clone(&call.spool)),
        };
        match &body {
            Body::Ended if first => {
                (sorting.mine, sorting.end) = (Some(call.id), Some(End::Whole));
            }
            Body::Ended => call.spool.end(End::Whole),
            Body::Direct => sorting.mine = Some(call.id),
            Body::Spool(_) | Body::Filter { .. } => {}
        }
        let request = Arc::clone(call.slate.request());
        let progress = if waits { Progress::Held } else { Progress::Queued };
        self.open[at].stage = Stage::Called { request, body, progress };
        match waits {
            true => self.held.push(call),
            false => sorting.ready.push_back(call),
        }
    }

    #[cold]
    fn refuse_call(&mut self, at: usize, call: Box<Call>, refusal: Refusal, sorting: &mut Sorting) {
        let head_only = call.slate.vars.get("REQUEST_METHOD") == Some(b"HEAD");
        let id = call.id;
        // What is told of the refusal has the variables.
        self.open[at].stage = Stage::Params(Some(call));
        self.refuse(id, refusal, head_only, sorting);
    }

    /// Whether a request runs, or waits for nothing but a thread.
    fn is_busy(&self) -> bool {
        self.open.iter().any(Open::is_under_way)
    }

    /// The next of those that wait for each other, if none of them is under way.
    fn release(&mut self) -> Option<Box<Call>> {
        if self.held.is_empty() || self.is_busy() {
            return None;
        }
        let next = self.held.remove(0);
        if let Some(Open { stage: Stage::Called { progress, .. }, .. }) = self.open_of(&next) {
            *progress = Progress::Queued;
        }
        Some(next)
    }

    /// The open request that `call` is.
    fn open_of(&mut self, call: &Call) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.is_for(call.slate.request()))
    }

    /// The first request that got ready is the receiving thread's own.
    pub(super) fn start(&mut self, sorting: &mut Sorting) {
        while let Some(mut call) = sorting.ready.pop_front() {
            // An abort may have come with it in one read.
            if self.run(&mut call) {
                if call.body_open {
                    self.share_body(call.id, &call.spool);
                }
                let lent = call.body_open && self.is_only_body(call.id);
                let ends = !call.body_open && matches!(&self.open[..], [only] if !only.keep_conn);
                sorting.first = Some(First { call, lent, ends });
                return;
            }
            sorting.put_away(call);
        }
    }

    /// A thread begins to run `call`. False: it was aborted and answered while it waited.
    pub(super) fn run(&mut self, call: &mut Call) -> bool {
        match self.open_of(call) {
            Some(Open { stage: Stage::Called { progress, body, .. }, .. }) => {
                *progress = Progress::Running;
                call.body_open = !matches!(body, Body::Ended);
                true
            }
            _ => false,
        }
    }

    /// Answers in the application's place; what else comes of the request is read over.
    fn refuse(&mut self, id: RequestId, refusal: Refusal, head_only: bool, sorting: &mut Sorting) {
        refusal.answer(self.incoming.protocol(), &mut sorting.answers, id, head_only);
        let open = self.open.iter_mut().find(|open| open.id == id);
        let call = open.and_then(|open| match &mut open.stage {
            Stage::Params(call) => call.take(),
            Stage::Called { .. } => None,
        });
        sorting.refused.push((refusal, call));
        self.finish(id);
    }

    fn abort(&mut self, id: RequestId, sorting: &mut Sorting) {
        let Some(open) = self.open.iter().find(|open| open.id == id) else { return };
        if let Stage::Called { request, progress, .. } = &open.stage {
            request.cancel();
            let runs = *progress == Progress::Running;
            let request = Arc::clone(request);
            self.end_body(id, End::Gone, sorting);
            if runs {
                // END_REQUEST is its thread's to send, when the application has ended.
                return;
            }
            self.held.retain(|call| !Arc::ptr_eq(call.slate.request(), &request));
            if sorting.mine == Some(id) {
                // The next request may have this id, and shall not have this body.
                sorting.forget();
            }
        }
        let status = ProtocolStatus::RequestComplete;
        fcgi::end_request(&mut sorting.answers, id, 0, status);
        sorting.ready.extend(self.finish(id).next);
    }

    fn answer(&mut self, answer: Answer, sorting: &mut Sorting, settings: &Settings) {
        let out = &mut sorting.answers;
        match answer {
            Answer::Values { asked } => {
                let values = fcgi::Values {
                    max_conns: settings.max_connections,
                    max_reqs: (settings.threads + settings.max_queue)
                        .min(settings.max_requests_per_connection)
                        .min(MAX_REQS),
                    mpxs_conns: settings.multiplex,
                };
                fcgi::values_result(out, asked, &values);
            }
            Answer::UnknownType(kind) => fcgi::unknown_type(out, kind),
            Answer::Refuse { id, status, keep_conn } => {
                fcgi::end_request(out, id, 0, status);
                self.last |= !keep_conn;
            }
        }
    }

    fn body(&mut self, id: RequestId) -> Option<&mut Body> {
        let open = self.open.iter_mut().find(|open| open.id == id)?;
        match &mut open.stage {
            Stage::Called { body, .. } => Some(body),
            Stage::Params(_) => None,
        }
    }

    fn end_body(&mut self, id: RequestId, end: End, sorting: &mut Sorting) {
        let Some(body) = self.body(id) else { return };
        match std::mem::replace(body, Body::Ended) {
            Body::Direct if sorting.mine == Some(id) => sorting.end = Some(end),
            Body::Spool(spool) => {
                spool.end(end);
                if sorting.mine == Some(id) {
                    sorting.end = Some(end);
                }
            }
            Body::Filter { stdin, data } => {
                stdin.end(end);
                data.end(end);
            }
            // An abort after the body: whoever still reads it must not go on.
            Body::Direct | Body::Ended => {}
        }
    }

    /// The thread that runs `id` received some of its body, and may leave the rest to others.
    pub(super) fn share_body(&mut self, id: RequestId, spool: &Arc<Spool>) {
        if let Some(body @ Body::Direct) = self.body(id) {
            *body = Body::Spool(Arc::clone(spool));
        }
    }

    /// The thread that runs `id` receives again: from now on pieces may stay in its buffer.
    pub(super) fn take_body(&mut self, id: RequestId) {
        if let Some(body @ Body::Spool(_)) = self.body(id) {
            *body = Body::Direct;
        }
    }

    /// Whether some of `id`'s body is still to come.
    pub(super) fn is_body_open(&self, id: RequestId) -> bool {
        self.open.iter().any(|open| open.id == id && open.has_body_open())
    }

    /// Whether no other request's body is still to come.
    pub(super) fn is_only_body(&self, id: RequestId) -> bool {
        !self.open.iter().any(|open| open.id != id && open.has_body_open())
    }

    /// The peer sends no more. `gone`: nor does it read.
    pub(super) fn end(&mut self, gone: bool, sorting: &mut Sorting) {
        let end = if gone { End::Gone } else { End::CutShort };
        for at in (0..self.open.len()).rev() {
            let id = self.open[at].id;
            match &self.open[at].stage {
                Stage::Called { request, progress, .. } => {
                    if gone {
                        request.cancel();
                    }
                    let forget = gone && *progress == Progress::Held;
                    self.end_body(id, end, sorting);
                    if forget {
                        self.finish(id);
                    }
                }
                Stage::Params(_) => drop(self.finish(id)), // It can never be complete.
            }
        }
        if gone {
            self.held.clear();
        }
    }

    /// `id` has been answered, and may be used anew from now on.
    pub(super) fn finish(&mut self, id: RequestId) -> Finished {
        let unread = self.incoming.has_surplus();
        self.incoming.finish(id);
        let mut finished = Finished { close: false, others: false, unread, next: None };
        if let Some(at) = self.open.iter().position(|open| open.id == id) {
            let open = self.open.swap_remove(at);
            self.last |= !open.keep_conn;
            if let Stage::Called { body, .. } = open.stage {
                finished.unread |= !matches!(body, Body::Ended);
            }
        }
        finished.next = self.release();
        finished.others = !self.open.is_empty();
        finished.close = self.last && !finished.others;
        finished
    }

    /// The same for a request whose answer the caller has yet to send. The end of the connection is
    /// the caller's business too: whoever receives meanwhile would cut the answer off.
    pub(super) fn finish_unsent(&mut self, id: RequestId) -> Finished {
        let finished = self.finish(id);
        self.last &= !finished.close;
        finished
    }

    /// The same for one that was not answered in time, if it is still open: it goes on to run.
    pub(super) fn finish_overdue(
        &mut self,
        request: &Arc<types::Request>,
        id: RequestId,
    ) -> Option<Finished> {
        let is_it = |open: &Open| open.id == id && open.is_for(request);
        self.open.iter().any(is_it).then(|| self.finish_unsent(id))
    }

    /// Whether a request that was answered without an application was the connection's last.
    pub(super) fn wants_end(&self) -> bool {
        self.last && self.open.is_empty() && self.discarding.is_none()
    }

    pub(super) fn is_alone(&self, id: RequestId) -> bool {
        self.open.iter().all(|open| open.id == id)
    }

    /// Whether the parameters of a request are not whole.
    pub(super) fn has_incomplete(&self) -> bool {
        self.open.iter().any(|open| matches!(open.stage, Stage::Params(_)))
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a record is cut in two.
    pub(super) fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// What is spoken.
    pub(super) fn protocol(&self) -> Protocol {
        self.incoming.protocol()
    }

    /// What comes from now on is read over.
    pub(super) fn discard(&mut self, now: u32) {
        self.discarding.get_or_insert(now);
        self.tail = Vec::new();
    }

    /// What came was not of the protocol: nothing behind it can be understood, and no body goes on.
    #[cold]
    pub(super) fn give_up(&mut self, error: PeerError, sorting: &mut Sorting) {
        if let (Some(refusal), Some(open)) = (error.refusal(), self.open.first()) {
            self.refuse(open.id, refusal, false, sorting);
        }
        self.end(false, sorting);
        self.last = true;
    }

    /// Since when what comes is read over, if it is.
    pub(super) fn discarding(&self) -> Option<u32> {
        self.discarding
    }

    /// Refuses the requests that have been incomplete since before `since`; whether there were any.
    pub(super) fn refuse_slow(&mut self, since: u32, sorting: &mut Sorting) -> bool {
        let slow = |open: &Open| {
            matches!(open.stage, Stage::Params(_)) && since.wrapping_sub(open.since) < u32::MAX / 2
        };
        let mut any = false;
        while let Some(id) = self.open.iter().find(|open| slow(open)).map(|open| open.id) {
            self.refuse(id, Refusal::SLOW, false, sorting);
            any = true;
        }
        any
    }

    /// A request that was to be run is answered in another way; `None` if it was aborted and
    /// answered meanwhile.
    pub(super) fn turn_away(
        &mut self,
        call: &Call,
        refusal: Refusal,
        out: &mut Vec<u8>,
    ) -> Option<Finished> {
        self.open_of(call)?;
        let head_only = call.slate.vars.get("REQUEST_METHOD") == Some(b"HEAD");
        refusal.answer(self.incoming.protocol(), out, call.id, head_only);
        Some(self.finish_unsent(call.id))
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
