//! What a thread brings to a connection: buffers that live as long as the thread, and how it
//! takes in what has come.

use super::{
    Refusal,
    call::Call,
    connection::Rules,
    incoming::PeerError,
    reception::{Reception, receive},
    shared::Shared,
    slot::Slot,
    sorting::Sorting,
    token::Token,
};
use crate::sys::Happened;
use std::{io, sync::atomic::Ordering};

/// A thread's buffers. A connection that says nothing owns none.
#[derive(Default)]
pub(super) struct Desk {
    /// What was received: a record of the longest kind, and what stood over.
    pub(super) input: Box<[u8]>,
    /// The usual `input`, while a long body has a wider one.
    usual: Option<Box<[u8]>>,
    /// The last read left no room in it, and what came was long.
    pub(super) is_full: bool,
    pub(super) sorting: Sorting,
    /// What is going to be sent.
    pub(super) out: Vec<u8>,
}

/// What one read of a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// The socket is empty, and what comes next makes an event.
    Drained,
    /// There may be more.
    More,
    /// The peer sends nothing more, or nothing that can be understood.
    Ended,
}

/// Who runs what gets ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// The first request is this thread's, and its body may stay in the buffer.
    Mine,
    /// Other threads.
    Others,
}

/// What a read that did not fill its buffer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Short {
    /// The socket is empty, as epoll(7) has it.
    MeansEmpty,
    /// Perhaps that: but the event may also have told of the peer's end, behind the bytes, and
    /// will not tell of it again. Only a read that finds nothing, or the end, makes sure.
    MayHideEnd,
}

impl Short {
    pub(super) fn after(happened: &Happened) -> Self {
        if happened.ended { Self::MayHideEnd } else { Self::MeansEmpty }
    }
}

const INPUT: usize = 80 << 10;

/// About as much as a Unix socket holds for its reader by default (net.core.wmem_default counts what
/// is around the bytes, too).
const WIDE_INPUT: usize = 192 << 10;

/// Pieces of a body in one read, while its records are not very short.
const FEW: usize = 256;

impl Desk {
    pub(super) fn new() -> Self {
        Self { input: vec![0; INPUT].into_boxed_slice(), ..Self::default() }
    }

    /// Makes room for as much as a socket holds; nothing lies in the input.
    pub(super) fn widen(&mut self) {
        if self.usual.is_none() {
            let wide = vec![0; WIDE_INPUT].into_boxed_slice();
            self.usual = Some(std::mem::replace(&mut self.input, wide));
        }
    }

    /// Room for so many bytes out of a spool, or for as many as a socket holds.
    pub(super) fn room(&mut self, wanted: usize) -> &mut [u8] {
        if wanted > self.input.len() {
            self.widen();
        }
        &mut self.input
    }

    /// Gives that room back.
    pub(super) fn narrow(&mut self) {
        if let Some(usual) = self.usual.take() {
            self.input = usual;
        }
    }

    /// Puts the pieces of the body together that lie in the input: the headers between them are
    /// understood, and one long block is sent at a third of what eight short ones cost.
    pub(super) fn gather(&mut self) {
        let pieces = &mut self.sorting.pieces;
        let Some(mut whole) = pieces.pop_front() else { return };
        for piece in pieces.drain(..) {
            let end = whole.end + piece.len();
            self.input.copy_within(piece, whole.end);
            whole.end = end;
        }
        pieces.push_back(whole);
    }

    /// Receives once, understands all of it, and says what is to be said at once. The caller holds
    /// the reading half.
    pub(super) fn take_in(
        &mut self,
        shared: &Shared,
        token: Token,
        run: Run,
        short: Short,
    ) -> Intake {
        let (intake, full) = self.sorting.take_in(&mut self.input, shared, token, run, short);
        self.is_full = full && self.sorting.pieces.len() < FEW;
        intake
    }

    /// Gives what got ready to other threads; what is too much is turned away.
    pub(super) fn hand_on(&mut self, shared: &Shared, token: Token) {
        if self.sorting.ready.is_empty() {
            return;
        }
        let slot = shared.table.slot(token);
        // At most as many as are open on a connection.
        slot.add_runs(self.sorting.ready.len() as u32);
        let mut ready = std::mem::take(&mut self.sorting.ready);
        ready.drain(..).for_each(|call| self.queue(shared, call));
        self.sorting.ready = ready;
        shared.bell.ring();
    }

    /// The request that has waited for one that has ended; the caller still counts that as a run.
    #[inline]
    pub(super) fn hand_on_next(&mut self, shared: &Shared, next: Option<Box<Call>>) {
        if let Some(call) = next {
            shared.table.slot(call.token).add_runs(1);
            self.queue(shared, call);
            shared.bell.ring();
        }
    }

    fn queue(&mut self, shared: &Shared, call: Box<Call>) {
        if let Err(call) = shared.queue.push_call(call) {
            self.turn_away(shared, &call, Refusal::QUEUE_FULL);
        }
    }

    /// Refuses a request that was counted as a run.
    pub(super) fn turn_away(&mut self, shared: &Shared, call: &Call, refusal: Refusal) {
        let slot = shared.table.slot(call.token);
        let out = &mut self.sorting.answers;
        let finished = slot.front().turn_away(call, refusal, out);
        shared.say(call.token, out);
        let mut close = false;
        if let Some(finished) = finished {
            shared.apps.refused(refusal, Some((call.role, &call.slate.vars)));
            close = finished.close && !finished.unread;
            if finished.close && finished.unread {
                // As after an answer of an application.
                slot.socket.shutdown_write();
                slot.front().discard(shared.now(), &shared.settings);
            }
            self.hand_on_next(shared, finished.next);
        }
        shared.close_if_last(call.token, slot.end_run(close));
    }
}

impl Sorting {
    /// The same into `input`, which has room for the longest record and what stood over; and whether
    /// the read left no room in it.
    pub(super) fn take_in(
        &mut self,
        input: &mut [u8],
        shared: &Shared,
        token: Token,
        run: Run,
        short: Short,
    ) -> (Intake, bool) {
        let slot = shared.table.slot(token);
        let received = receive(slot, input);
        let full = received.as_ref().is_ok_and(|received| received.is_full);
        let intake = match received {
            Ok(received) if received.is_end => self.end(slot, slot.socket.is_hung_up()),
            Ok(received) => match self.understand(received, input, shared, slot, token, run) {
                // Its peer was given up, and may go on sending for ever: nobody waits for an answer.
                Ok(()) if slot.is_closing() => self.end(slot, true),
                Ok(()) if !full && short == Short::MeansEmpty => Intake::Drained,
                // What cannot be understood is read over, and its peer's end may lie right behind it.
                Ok(()) | Err(_) => Intake::More,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Intake::Drained,
            Err(_) => self.end(slot, true),
        };
        shared.say(token, &mut self.answers);
        if !self.refused.is_empty() {
            self.tell_refused(&*shared.apps, &shared.settings);
        }
        (intake, full)
    }

    fn understand(
        &mut self,
        Reception { len, series, .. }: Reception,
        input: &[u8],
        shared: &Shared,
        slot: &Slot,
        token: Token,
        run: Run,
    ) -> Result<(), PeerError> {
        let now = self.heard.take().unwrap_or_else(|| shared.now());
        let (came, direct) = (shared.came(), run == Run::Mine);
        slot.touched.store(now, Ordering::Relaxed);
        let (settings, sorting) = (&shared.settings, self);
        let (apps, responds) = (&*shared.apps, shared.responds);
        let rules = Rules { settings, apps, responds, token, now, came, direct };
        let mut known = slot.front();
        let front = known.hear(sorting, settings);
        if let Some(series) = &series {
            front.go_on(series);
        }
        let fed = front.feed(&input[..len], sorting, &rules);
        if let Err(error) = fed {
            front.give_up(error, sorting);
        }
        if direct {
            front.start(sorting);
        }
        let end = front.wants_end();
        if end || fed.is_err() {
            // Closing with bytes unread would reset the connection, and what was said on it last:
            // it is read over until the peer is done.
            front.discard(now);
        }
        slot.goes_on.store(front.goes_on(), Ordering::Relaxed);
        if sorting.first.is_none() {
            known.rest(sorting);
        }
        drop(known);
        if let Err(error) = fed {
            shared.apps.log(&format!("a connection was closed: {error}"));
        }
        // Who has the answer finds the line in the log.
        shared.say(token, &mut sorting.answers);
        if end {
            slot.socket.shutdown_write();
        }
        fed
    }

    #[cold]
    fn end(&mut self, slot: &Slot, gone: bool) -> Intake {
        slot.set_closing();
        slot.front().end(gone, self);
        Intake::Ended
    }
}
