//! The threads of a worker: they wait for events, serve them on their own stacks, and run the
//! applications.
//!
//! As few wait as there are CPUs; the others are spares that the steward calls when one of them
//! sleeps in an application. Whoever gets an event takes the connection's reading half, receives,
//! understands all that came, gives the reading half up and runs the first request that got
//! ready. Nothing is handed over for the usual request: it costs `epoll_wait`, `recv`, `send`.

use super::{
    Protocol,
    call::Call,
    connection::Front,
    desk::{Desk, Intake, Run, Short},
    outgoing::{Outgoing, Sender, Unframed},
    queue::{Look, Work},
    shared::{BELL, LISTENERS, Line, Shared, take},
    slot::{Reading, Slot, Token},
    streams::{Records, Stderr, Stdin, Stdout},
};
use crate::{
    handlers::{self, ContentInput, Ending, Streams},
    sys::{Epoll, Happened, Ready, ThreadState, accept},
};
use std::{
    cell::RefCell,
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
};

/// One thread.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    desk: Desk,
}

/// Calls that a thread keeps for the next requests.
const POOL: usize = 16;

impl Thread {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number, desk: Desk::new() }
    }

    /// Until all is done.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let line = &shared.lines[self.number];
        if let Ok(state) = ThreadState::of_this_thread() {
            line.thread.get_or_init(|| state);
        }
        if self.number >= shared.spares.least() {
            shared.spares.sleep(&shared.done);
        }
        let mut happened = [Happened::default(); Epoll::BATCH];
        while !shared.is_done() {
            if let Some((work, more)) = shared.queue.pop() {
                if more {
                    shared.bell.ring();
                }
                self.begin(line);
                self.work(line, work);
                self.backlog(line);
                continue;
            }
            line.waits();
            self.step_back(line);
            let n = shared.epoll.wait(&mut happened, -1);
            if shared.is_done() {
                break;
            }
            self.begin(line);
            if let [one] = &happened[..n] {
                self.event(line, Token(one.token), Short::after(one));
            } else {
                self.batch(line, &happened[..n]);
            }
            self.backlog(line);
        }
        // Each that goes wakes the next.
        shared.bell.ring();
    }

    fn begin(&self, line: &Line) {
        line.works();
        line.progress();
        self.shared.steward.call_if_parked();
    }

    /// A thread too many becomes a spare.
    fn step_back(&self, line: &Line) {
        let spares = &self.shared.spares;
        let target = spares.target();
        let fewer = target < line.wanted.load(Ordering::Relaxed);
        line.wanted.store(target, Ordering::Relaxed);
        let spare = if line.stuck.load(Ordering::Relaxed) {
            spares.come_back(line)
        } else {
            fewer && spares.retire()
        };
        if spare {
            spares.sleep(&self.shared.done);
        }
    }

    /// Several events at once: those not begun can be taken away by the steward.
    fn batch(&mut self, line: &Line, happened: &[Happened]) {
        for (place, one) in line.batch.iter().zip(happened) {
            place.store(one.token, Ordering::Release);
        }
        self.shared.steward.call();
        for (place, one) in line.batch.iter().zip(happened) {
            let Some(token) = take(place) else { continue };
            line.progress();
            self.event(line, token, Short::after(one));
        }
    }

    /// Requests that came together with others.
    fn backlog(&mut self, line: &Line) {
        while let Some(call) = line.next_call() {
            line.progress();
            self.call(line, call);
        }
    }

    fn work(&mut self, line: &Line, work: Work) {
        match work {
            Work::Look(Look::Enter(token)) => self.event(line, token, Short::MayHideEnd),
            Work::Look(Look::Held(token)) => self.serve(line, token, Short::MayHideEnd),
            Work::Call(call) => self.call(line, call),
        }
    }

    fn event(&mut self, line: &Line, token: Token, short: Short) {
        match token.0 {
            BELL => {
                if let Some((work, more)) = self.shared.queue.pop() {
                    if more {
                        self.shared.bell.ring();
                    }
                    self.work(line, work);
                }
            }
            LISTENERS..BELL => {
                if let Some(token) = admit(&self.shared, token) {
                    // It is not registered yet, and registering reports an end.
                    self.serve(line, token, Short::MeansEmpty);
                }
            }
            _ => {
                if self.shared.table.slot(token).enter(token.generation()) {
                    self.serve(line, token, short);
                }
            }
        }
    }

    /// A connection whose reading half is ours, until it has no more to say.
    fn serve(&mut self, line: &Line, token: Token, mut short: Short) {
        let shared = Arc::clone(&self.shared);
        let slot = shared.table.slot(token);
        loop {
            self.desk.sorting.forget();
            let intake = self.desk.take_in(&shared, token, Run::Mine, short);
            // What makes us come round may be an event that told of bytes and of the end at once.
            short = Short::MayHideEnd;
            if !self.desk.sorting.ready.is_empty() {
                if self.serve_ready(line, slot, token, intake) {
                    continue;
                }
                return;
            }
            if intake == Intake::More {
                continue;
            }
            register(&shared, slot, token);
            if let Ok(word) = slot.leave() {
                shared.table.close_if_last(token, word);
                return;
            }
        }
    }

    /// Runs the first request that got ready. True: the reading half is ours again.
    fn serve_ready(&mut self, line: &Line, slot: &Slot, token: Token, intake: Intake) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut ready = self.desk.sorting.ready.drain(..);
        let Some(mut first) = ready.next() else { return false };
        // At most as many as may be open on one connection.
        let runs = 1 + ready.len() as u32;
        if runs > 1 {
            line.put_off(ready);
            shared.steward.call();
        } else {
            drop(ready);
        }
        let reading = {
            let mut front = slot.front();
            let open = front.is_body_open(first.id);
            if open {
                front.share_body(first.id, &first.spool);
            }
            if open && front.is_only_body(first.id) { Reading::Lent } else { Reading::Free }
        };
        register(&shared, slot, token);
        let drained = intake != Intake::More;
        let lent = reading == Reading::Lent;
        if lent {
            line.lend(token);
        }
        let owed = slot.leave_running(runs, reading, drained);
        if owed {
            line.owe(token);
        }
        if lent || owed {
            shared.steward.call();
        }
        let close = self.run_call(line, &mut first, lent);
        let held = line.loan().is_some() && {
            line.end_loan();
            slot.take_back()
        };
        self.put_away(first);
        let word = slot.end_run(close);
        if held {
            return true;
        }
        shared.table.close_if_last(token, word);
        // What is owed may have been looked at meanwhile by somebody else.
        line.settle().is_some_and(|owed| slot_enter(&shared, owed))
    }

    /// A request that somebody else received.
    fn call(&mut self, line: &Line, mut call: Box<Call>) {
        let shared = Arc::clone(&self.shared);
        let late = shared.settings.queue_timeout.is_some_and(|limit| call.came.elapsed() > limit);
        if late {
            self.desk.turn_away(&shared, &call);
            self.put_away(call);
            return;
        }
        self.desk.sorting.forget();
        let (token, slot) = (call.token, shared.table.slot(call.token));
        let close = self.run_call(line, &mut call, false);
        let held = line.loan().is_some() && {
            line.end_loan();
            slot.take_back()
        };
        self.put_away(call);
        let word = slot.end_run(close);
        if held {
            self.serve(line, token, Short::MayHideEnd);
            return;
        }
        shared.table.close_if_last(token, word);
        if let Some(owed) = line.settle()
            && slot_enter(&shared, owed)
        {
            self.serve(line, owed, Short::MayHideEnd);
        }
    }

    fn put_away(&mut self, call: Box<Call>) {
        if self.desk.sorting.pool.len() < POOL {
            self.desk.sorting.pool.push(call);
        }
    }

    /// Runs the application and ends the request. True: the connection ends with it.
    fn run_call(&mut self, line: &Line, call: &mut Call, lent: bool) -> bool {
        let Self { shared, desk, .. } = self;
        let slot = shared.table.slot(call.token);
        let out = std::mem::take(&mut desk.out);
        let sender = Sender::new(out, slot, call, &shared.settings);
        match shared.settings.protocol {
            Protocol::FastCgi => run_over(shared, line, desk, call, lent, Records::new(sender)),
            Protocol::Scgi | Protocol::Uwsgi => {
                let unframed = Unframed::new(sender, &*shared.apps);
                run_over(shared, line, desk, call, lent, unframed)
            }
        }
    }
}

fn run_over(
    shared: &Shared,
    line: &Line,
    desk: &mut Desk,
    call: &mut Call,
    lent: bool,
    outgoing: impl Outgoing,
) -> bool {
    let outgoing = RefCell::new(outgoing);
    let max_body = shared.settings.max_body.unwrap_or(u64::MAX);
    let mut stdin = Stdin::new(shared, line, desk, call, lent);
    let ending = if call.slate.request().is_cancelled() {
        Ending::Departed
    } else {
        let streams = Streams {
            stdin: &mut ContentInput::new(&mut stdin, call.content, max_body),
            stdout: &mut Stdout(&outgoing),
            stderr: &mut Stderr(&outgoing),
        };
        let app = shared.apps.dispatch(call.role, &mut call.slate.vars);
        let outcome = handlers::run(shared.apps.handler(), app, &mut call.slate, streams);
        // An error page that failed: whatever was sent is all there is.
        outcome.map_or(Ending::Cut { length_known: false }, |outcome| outcome.ending)
    };
    stdin.give_back();
    let mut outgoing = outgoing.into_inner();
    let close = finish(shared, call, &mut outgoing, ending);
    desk.out = outgoing.give_back();
    close
}

/// Ends a request on the wire, so that the client can tell how it ended.
fn finish(shared: &Shared, call: &Call, outgoing: &mut impl Outgoing, ending: Ending) -> bool {
    let slot = shared.table.slot(call.token);
    // Before END_REQUEST goes out: its id may come again the moment that it arrives.
    let finished = slot.front().finish(call.id);
    let mut close = finished.close || (shared.is_stopping() && !finished.others);
    match ending {
        Ending::Whole | Ending::Departed => outgoing.end(0),
        Ending::Cut { length_known } if length_known || finished.others => outgoing.end(1),
        // Without a length only a connection that ends too soon tells that something is missing.
        Ending::Cut { .. } => {
            outgoing.cut();
            close = true;
        }
    }
    if close && finished.unread {
        // Closing with bytes unread would reset the connection, and the answer with it.
        linger(slot, &mut slot.front());
        return false;
    }
    close
}

/// Says that nothing more comes, and reads over what does, until the peer is done or the steward
/// finds that it takes too long.
fn linger(slot: &Slot, front: &mut Front) {
    slot.socket.shutdown_write();
    front.discard();
}

/// Tells epoll of a connection, before its reading half is first let go.
pub(super) fn register(shared: &Shared, slot: &Slot, token: Token) {
    if slot.front().register() {
        return;
    }
    if shared.epoll.add(slot.socket.raw(), token.0, Ready::Once).is_err() {
        // Out of memory for it: without events it could only hang.
        slot.set_closing();
    }
}

/// Takes a new connection, with its reading half held.
pub(super) fn admit(shared: &Shared, token: Token) -> Option<Token> {
    // LISTENERS + n is the n-th listener's token.
    let listener = shared.listeners.get((token.0 - LISTENERS) as usize)?;
    match accept(listener.as_raw_fd()) {
        Ok(socket) => settle_in(shared, socket),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        Err(error) => {
            // Descriptors may come free again; until then the listener keeps reporting.
            shared.apps.log(&format!("cannot accept a connection: {error}"));
            std::thread::sleep(std::time::Duration::from_millis(10));
            None
        }
    }
}

fn settle_in(shared: &Shared, socket: OwnedFd) -> Option<Token> {
    if !shared.apps.admits(&socket) {
        return None;
    }
    let overloaded = shared.table.live() >= shared.settings.max_connections;
    let token = shared.table.claim(socket, shared.now())?;
    shared.table.slot(token).front().begin(&shared.settings, overloaded);
    Some(token)
}

fn slot_enter(shared: &Shared, token: Token) -> bool {
    shared.table.slot(token).enter(token.generation())
}
