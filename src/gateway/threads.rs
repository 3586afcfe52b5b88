//! The threads of a worker: they wait for events, serve them on their own stacks, and run the
//! applications.
//!
//! As few wait as there are CPUs, and one for one connection; the others are spares that the steward
//! calls when one of them sleeps in an application. Whoever gets an event takes the connection's reading half, receives,
//! understands all that came, gives the reading half up and runs the first request that got
//! ready. Nothing is handed over for the usual request: it costs `epoll_wait`, `recv`, `send`.

use super::{
    Protocol, Refusal,
    call::{Call, Given},
    connection::Finished,
    desk::{Desk, Intake, Run, Short},
    filter::FilterInput,
    loan::Loan,
    outgoing::{Outgoing, Sender, Unframed},
    overdue::Peer,
    queue::{Look, Work},
    records::Records,
    shared::{BELL, LISTENERS, Line, Shared, take},
    slot::{Reading, Slot, Watch},
    sorting::First,
    streams::{Stderr, Stdin, Stdout},
    token::Token,
};
use crate::{
    fcgi::RequestId,
    handlers::{self, ContentInput, Ending, Slate, Streams},
    sys::{Epoll, Happened, Ready, ThreadState, accept},
};
use std::{
    any::Any,
    cell::RefCell,
    io::{self, BufRead},
    net::IpAddr,
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

/// One thread.
pub(super) struct Thread<'s> {
    shared: &'s Shared,
    line: &'s Line,
    desk: Desk,
    hands: Hands,
}

/// What a thread is at, so that it can be put in order if it panics.
#[derive(Default)]
pub(super) struct Hands {
    /// A connection whose reading half it holds.
    pub(super) held: Option<Token>,
    /// A request that it runs.
    run: Option<(Token, RequestId)>,
}

impl<'s> Thread<'s> {
    /// The thread of that number, until all is done.
    ///
    /// A panic outside of applications is a bug of ours, or of whoever dispatches: what the thread
    /// had in hand is closed, its buffers are thrown away, and it begins anew.
    pub(super) fn run(shared: &'s Shared, number: usize) {
        let line = &shared.lines[number];
        if let Ok(state) = ThreadState::of_this_thread() {
            line.thread.get_or_init(|| state);
        }
        if number >= shared.spares.least() {
            shared.spares.sleep(&shared.done);
        }
        let mut thread = Self { shared, line, desk: Desk::new(), hands: Hands::default() };
        // Nothing is used again of what may have been left half done, but what `recover` mends.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| thread.work_on())) {
            thread.recover();
            report(shared, &*panic);
        }
        // Each that goes wakes the next.
        shared.bell.ring();
    }

    fn recover(&mut self) {
        let (shared, line) = (self.shared, self.line);
        self.desk = Desk::new();
        if let Some((token, id)) = self.hands.run.take() {
            let slot = shared.table.slot(token);
            slot.give_up();
            let finished = slot.front().finish(id);
            self.desk.hand_on_next(shared, finished.next);
            if line.loan().is_some() {
                line.end_loan();
                if slot.take_back() {
                    self.hands.held = Some(token);
                }
            }
            shared.close_if_last(token, slot.end_run(true));
        }
        drop_held(shared, &mut self.hands, &mut self.desk);
        for token in line.batch.iter().filter_map(take).chain(line.settle()) {
            shared.queue.push_look(Look::Enter(token));
        }
        shared.bell.ring();
    }

    fn work_on(&mut self) {
        let (shared, line) = (self.shared, self.line);
        let mut happened = [Happened::default(); Epoll::BATCH];
        while !shared.is_done() {
            if let Some((work, more)) = shared.queue.pop() {
                if more {
                    shared.bell.ring();
                }
                self.begin();
                self.work(work);
                self.backlog();
                continue;
            }
            line.waits();
            self.step_back();
            let n = shared.epoll.wait(&mut happened, -1);
            if shared.is_done() {
                break;
            }
            self.begin();
            let now = shared.now();
            if let [one] = &happened[..n] {
                self.hear(one, now);
            } else {
                self.batch(&happened[..n], now);
            }
            self.backlog();
        }
    }

    fn begin(&self) {
        self.line.begins();
        self.shared.steward.call_if_parked();
    }

    /// A thread too many becomes a spare.
    fn step_back(&self) {
        let (spares, line) = (&self.shared.spares, self.line);
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
    fn batch(&mut self, happened: &[Happened], now: u32) {
        let line = self.line;
        for (place, one) in line.batch.iter().zip(happened) {
            place.store(one.token, Ordering::Release);
        }
        self.shared.steward.call();
        for (place, one) in line.batch.iter().zip(happened) {
            if take(place).is_some() {
                line.progress();
                self.hear(one, now);
            }
        }
    }

    /// Requests that came together with others.
    fn backlog(&mut self) {
        while let Some(call) = self.line.next_call() {
            self.line.progress();
            self.call(call);
        }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Look(Look::Enter(token)) => self.event(token, Short::MayHideEnd),
            Work::Look(Look::Held(token)) => self.serve(token, Short::MayHideEnd),
            Work::Call(call) => self.call(call),
        }
    }

    fn hear(&mut self, one: &Happened, now: u32) {
        self.desk.sorting.heard = Some(now);
        self.event(Token(one.token), Short::after(one));
        self.desk.sorting.heard = None;
    }

    #[inline]
    fn event(&mut self, token: Token, short: Short) {
        match token.0 {
            BELL => {
                if let Some((work, more)) = self.shared.queue.pop() {
                    if more {
                        self.shared.bell.ring();
                    }
                    self.work(work);
                }
            }
            LISTENERS..BELL => {
                if let Some(token) = admit(self.shared, token) {
                    // It is not registered yet, and registering reports an end.
                    self.serve(token, Short::MeansEmpty);
                }
            }
            _ => {
                if self.shared.table.slot(token).enter(token.generation()) {
                    self.serve(token, short);
                }
            }
        }
    }

    /// A connection whose reading half is ours, until it has no more to say.
    fn serve(&mut self, token: Token, mut short: Short) {
        let shared = self.shared;
        let slot = shared.table.slot(token);
        loop {
            self.hands.held = Some(token);
            self.desk.sorting.forget();
            let intake = self.desk.take_in(shared, token, Run::Mine, short);
            // What makes us come round may be an event that told of bytes and of the end at once.
            short = Short::MayHideEnd;
            if let Some(first) = self.desk.sorting.first.take() {
                if self.serve_first(slot, first, intake) {
                    continue;
                }
                return;
            }
            if intake == Intake::More {
                continue;
            }
            register(shared, slot, token);
            if let Ok(word) = slot.leave() {
                self.hands.held = None;
                shared.close_if_last(token, word);
                return;
            }
        }
    }

    /// Runs the first request that got ready. True: the reading half is ours again.
    fn serve_first(&mut self, slot: &Slot, first: First, intake: Intake) -> bool {
        let First { call: first, lent, ends } = first;
        let (shared, line, token) = (self.shared, self.line, first.token);
        // At most as many as may be open on one connection.
        let runs = 1 + self.desk.sorting.ready.len() as u32;
        let reading = if lent { Reading::Lent } else { Reading::Free };
        // What has ended before the steward comes round, epoll need not know.
        let unwatched = ends && !slot.is_registered();
        if !unwatched {
            register(shared, slot, token);
        }
        let drained = intake != Intake::More;
        if lent {
            line.lend(token);
        }
        self.hands = Hands { held: None, run: Some((token, first.id)) };
        let owed = slot.leave_running(runs, reading, drained) || unwatched;
        if owed {
            line.owe(token);
        }
        if runs > 1 {
            shared.spares.fill_up();
            // Not before they are counted: another thread may have run them by then.
            line.put_off(self.desk.sorting.ready.drain(..));
        }
        if lent || owed || runs > 1 {
            shared.steward.call();
        }
        let End { held, owed, word } = self.run_call(slot, first);
        if held {
            return true;
        }
        shared.close_if_last(token, word);
        owed && slot.enter(token.generation())
    }

    /// A request that somebody else received.
    fn call(&mut self, mut call: Box<Call>) {
        let (shared, token) = (self.shared, call.token);
        let late = shared.settings.queue_timeout.is_some_and(|limit| call.waits_longer_than(limit));
        if late {
            self.desk.turn_away(shared, &call, Refusal::LATE);
            self.desk.sorting.put_away(call);
            return;
        }
        self.desk.sorting.forget();
        let slot = shared.table.slot(token);
        if !slot.front().run(&mut call) {
            // Aborted, and answered, while it waited.
            self.desk.sorting.put_away(call);
            shared.close_if_last(token, slot.end_run(false));
            return;
        }
        self.hands.run = Some((token, call.id));
        let End { held, owed, word } = self.run_call(slot, call);
        if held {
            self.serve(token, Short::MayHideEnd);
            return;
        }
        shared.close_if_last(token, word);
        if owed && slot.enter(token.generation()) {
            self.serve(token, Short::MayHideEnd);
        }
    }

    /// Runs the application, ends the request, and says what is left to do on its connection.
    fn run_call(&mut self, slot: &Slot, mut call: Box<Call>) -> End {
        let (shared, line, token) = (self.shared, self.line, call.token);
        let desk = &mut self.desk;
        if shared.settings.request_timeout.is_some() {
            call.slate.client =
                shared.itself().map(|shared| Box::new(Peer::of(shared, &call)) as _);
        }
        let loan = Loan { shared, line, slot, token, id: call.id };
        let out = std::mem::take(&mut desk.out);
        call.slate.came = call.came;
        let request = Arc::clone(call.slate.request());
        let (slate, given) = call.split(&request);
        let sender = Sender::new(out, loan, given);
        let close = match given.protocol {
            Protocol::FastCgi => run_over(loan, desk, slate, given, Records::new(sender)),
            Protocol::Scgi | Protocol::Uwsgi => {
                run_over(loan, desk, slate, given, Unframed::new(sender, &*shared.apps))
            }
        };
        drop(request);
        let held = line.loan().is_some() && {
            line.end_loan();
            slot.take_back()
        };
        self.desk.sorting.put_away(call);
        if shared.settings.idle_timeout.is_some() {
            // A connection is idle since the end of its last answer.
            slot.touched.store(shared.now(), Ordering::Relaxed);
        }
        self.hands.run = None;
        let owed = self.settle(token);
        End { held, owed, word: slot.end_run(close) }
    }

    /// Whether a look is still owed to the connection: the steward may have passed it on. A debt
    /// must not outlive its request, or the next one would enter a connection that is not its own.
    fn settle(&self, token: Token) -> bool {
        let owed = self.line.settle();
        if let Some(other) = owed.filter(|owed| *owed != token) {
            self.shared.queue.push_look(Look::Enter(other));
            self.shared.bell.ring();
        }
        owed == Some(token)
    }
}

/// What is left to do on a connection after a request.
struct End {
    /// The reading half is held.
    held: bool,
    /// Somebody has to look at it.
    owed: bool,
    /// What its slot's word became, for [`Shared::close_if_last`].
    word: u64,
}

/// True: the connection ends with the request.
fn run_over(
    loan: Loan<'_>,
    desk: &mut Desk,
    slate: &mut Slate,
    given: Given<'_>,
    outgoing: impl Outgoing,
) -> bool {
    let shared = loan.shared;
    let mut outgoing = RefCell::new(outgoing);
    let max_body = shared.settings.max_body.unwrap_or(u64::MAX);
    let mut stdin = ContentInput::new(Stdin::new(loan, desk, given), given.content, max_body);
    let ending = match given.data {
        None => {
            let ending = run(shared, slate, given, &mut stdin, &outgoing);
            stdin.stream_mut().give_back();
            ending
        }
        Some(data) => {
            let mut stdin = FilterInput::new(stdin, data.content);
            let ending = run(shared, slate, given, &mut stdin, &outgoing);
            stdin.stream_mut().give_back();
            ending
        }
    };
    let outgoing = outgoing.get_mut();
    let finished = finish(loan, desk, outgoing, ending, given.request.is_overdue());
    desk.out = outgoing.give_back();
    desk.hand_on_next(shared, finished.next);
    finished.close
}

/// Runs the application.
fn run(
    shared: &Shared,
    slate: &mut Slate,
    given: Given<'_>,
    stdin: &mut dyn BufRead,
    outgoing: &RefCell<impl Outgoing>,
) -> Ending {
    if given.request.is_cancelled() {
        return Ending::Departed;
    }
    let app = shared.apps.dispatch(given.role, &mut slate.vars);
    let (stdout, stderr) = (&mut Stdout(outgoing), &mut Stderr(outgoing));
    let streams = Streams { stdin, stdout, stderr };
    let outcome = shared.apps.run(given.protocol, app, slate, streams);
    // An error page that failed: whatever was sent is all there is.
    outcome.map_or(Ending::Cut { length_known: false }, |outcome| outcome.ending)
}

/// Closes a connection whose reading half is held.
pub(super) fn drop_held(shared: &Shared, hands: &mut Hands, desk: &mut Desk) {
    let Some(token) = hands.held.take() else { return };
    let slot = shared.table.slot(token);
    slot.give_up();
    slot.front().end(true, &mut desk.sorting);
    // Closing: nobody looks again.
    if let Ok(word) = slot.leave() {
        shared.close_if_last(token, word);
    }
}

/// Logs a panic outside of applications.
pub(super) fn report(shared: &Shared, panic: &(dyn Any + Send)) {
    let message = handlers::panic_message(panic);
    shared
        .apps
        .log(&format!("a panic outside of applications: {message}; its connection was closed"));
}

/// Ends a request on the wire, so that the client can tell how it ended.
fn finish(
    loan: Loan<'_>,
    desk: &mut Desk,
    outgoing: &mut impl Outgoing,
    ending: Ending,
    overdue: bool,
) -> Finished {
    let Loan { shared, slot, id, .. } = loan;
    if overdue {
        // It was answered, and its id may be another's by now.
        slot.lost.fetch_sub(1, Ordering::AcqRel);
        return Finished { close: false, others: false, unread: false, next: None };
    }
    // Before END_REQUEST goes out: its id may come again the moment that it arrives.
    let mut known = slot.front();
    let mut finished = known.finish_unsent(id);
    known.rest(&mut desk.sorting);
    drop(known);
    finished.close |= shared.keeps_none() && !finished.others;
    match ending {
        Ending::Whole | Ending::Departed => outgoing.end(0),
        Ending::Cut { length_known } if length_known || finished.others => outgoing.end(1),
        // Without a length only a connection that ends too soon tells that something is missing.
        Ending::Cut { .. } => {
            outgoing.cut();
            finished.close = true;
        }
    }
    if finished.close && finished.unread {
        // Closing with bytes unread would reset the connection, and the answer with it.
        slot.socket.shutdown_write();
        slot.front().discard(shared.now(), &shared.settings);
        finished.close = false;
    }
    finished
}

/// Tells epoll of a connection, before its reading half is first let go.
pub(super) fn register(shared: &Shared, slot: &Slot, token: Token) {
    let done = match slot.register() {
        Watch::Everything => return,
        Watch::Nothing => shared.epoll.add(slot.socket.raw(), token.0, Ready::Once),
        Watch::Departure => shared.epoll.unhush(slot.socket.raw(), token.0),
    };
    if done.is_err() {
        // Out of memory for it: without events it could only hang.
        slot.set_closing();
    }
}

/// Takes a new connection, with its reading half held.
pub(super) fn admit(shared: &Shared, token: Token) -> Option<Token> {
    // LISTENERS + n is the n-th listener's token.
    let listener = shared.listeners.get((token.0 - LISTENERS) as usize)?;
    match accept(listener.socket.raw()) {
        Ok((socket, address)) => {
            shared.starved.store(false, Ordering::Relaxed);
            settle_in(shared, listener.protocol, socket, address)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        // It has just been closed.
        Err(_) if shared.is_stopping() => None,
        Err(error) => {
            // Descriptors may come free again; until then the listener keeps reporting.
            if !shared.starved.swap(true, Ordering::Relaxed) {
                shared.apps.log(&format!("cannot accept a connection: {error}; will go on trying"));
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            None
        }
    }
}

/// Gives a new connection a slot, if its peer may connect; the reading half is held.
pub(super) fn settle_in(
    shared: &Shared,
    protocol: Protocol,
    socket: OwnedFd,
    address: Option<IpAddr>,
) -> Option<Token> {
    if !shared.apps.admits(&socket, address) {
        return None;
    }
    let overloaded = shared.table.live() >= shared.settings.max_connections;
    let token = shared.table.claim(socket, shared.now())?;
    if shared.table.live() > 1 {
        shared.spares.fill_up();
    }
    shared.table.slot(token).front().begin(protocol, &shared.settings, overloaded);
    Some(token)
}
