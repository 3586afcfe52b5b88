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
    connection::{Finished, Watch},
    desk::{Desk, Intake, Run, Short},
    loan::Loan,
    outgoing::{Outgoing, Sender, Unframed},
    queue::{Look, Work},
    shared::{BELL, LISTENERS, Line, Shared, take},
    slot::{Reading, Slot, Token},
    streams::{FilterInput, Records, Stderr, Stdin, Stdout},
};
use crate::{
    fcgi::RequestId,
    handlers::{self, ContentInput, Ending, Streams},
    sys::{Epoll, Happened, Ready, ThreadState, accept},
};
use std::{
    any::Any,
    cell::RefCell,
    io::{self, BufRead},
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

/// One thread.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
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

/// Calls that a thread keeps for the next requests.
const POOL: usize = 16;

impl Thread {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number, desk: Desk::new(), hands: Hands::default() }
    }

    /// Until all is done. A panic outside of applications is a bug of ours, or of whoever dispatches:
    /// what the thread had in hand is closed, its buffers are thrown away, and it begins anew.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let line = &shared.lines[self.number];
        if let Ok(state) = ThreadState::of_this_thread() {
            line.thread.get_or_init(|| state);
        }
        if self.number >= shared.spares.least() {
            shared.spares.sleep(&shared.done);
        }
        // Nothing is used again of what may have been left half done, but what `recover` mends.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work_on(&shared, line))) {
            self.recover(&shared, line);
            report(&shared, &*panic);
        }
        // Each that goes wakes the next.
        shared.bell.ring();
    }

    fn recover(&mut self, shared: &Shared, line: &Line) {
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
            shared.table.close_if_last(token, slot.end_run(true));
        }
        drop_held(shared, &mut self.hands, &mut self.desk);
        for token in line.batch.iter().filter_map(take).chain(line.settle()) {
            shared.queue.push_look(Look::Enter(token));
        }
        shared.bell.ring();
    }

    fn work_on(&mut self, shared: &Shared, line: &Line) {
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
            self.hands.held = Some(token);
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
                self.hands.held = None;
                shared.table.close_if_last(token, word);
                return;
            }
        }
    }

    /// Runs the first request that got ready. True: the reading half is ours again.
    fn serve_ready(&mut self, line: &Line, slot: &Slot, token: Token, intake: Intake) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut ready = self.desk.sorting.ready.drain(..);
        let mut front = slot.front();
        // An abort may have come with it in one read.
        let Some(mut first) = ready.find(|call| front.run(call)) else { return true };
        // At most as many as may be open on one connection.
        let runs = 1 + ready.len() as u32;
        let open = front.is_body_open(first.id);
        if open {
            front.share_body(first.id, &first.spool);
        }
        let lent = open && front.is_only_body(first.id);
        let reading = if lent { Reading::Lent } else { Reading::Free };
        drop(front);
        register(&shared, slot, token);
        let drained = intake != Intake::More;
        if lent {
            line.lend(token);
        }
        self.hands = Hands { held: None, run: Some((token, first.id)) };
        let owed = slot.leave_running(runs, reading, drained);
        if owed {
            line.owe(token);
        }
        if runs > 1 {
            // Not before they are counted: another thread may have run them by then.
            line.put_off(ready);
        } else {
            drop(ready);
        }
        if lent || owed || runs > 1 {
            shared.steward.call();
        }
        let close = self.run_call(line, &mut first);
        let held = line.loan().is_some() && {
            line.end_loan();
            slot.take_back()
        };
        self.put_away(first);
        self.touch(slot);
        self.hands.run = None;
        let owed = self.settle(line, token);
        let word = slot.end_run(close);
        if held {
            return true;
        }
        shared.table.close_if_last(token, word);
        owed && slot.enter(token.generation())
    }

    /// Whether a look is still owed to the connection: the steward may have passed it on. A debt
    /// must not outlive its request, or the next one would enter a connection that is not its own.
    fn settle(&self, line: &Line, token: Token) -> bool {
        let owed = line.settle();
        if let Some(other) = owed.filter(|owed| *owed != token) {
            self.shared.queue.push_look(Look::Enter(other));
            self.shared.bell.ring();
        }
        owed == Some(token)
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
        if !slot.front().run(&call) {
            // Aborted, and answered, while it waited.
            self.put_away(call);
            shared.table.close_if_last(token, slot.end_run(false));
            return;
        }
        self.hands.run = Some((token, call.id));
        let close = self.run_call(line, &mut call);
        let held = line.loan().is_some() && {
            line.end_loan();
            slot.take_back()
        };
        self.put_away(call);
        self.touch(slot);
        self.hands.run = None;
        let owed = self.settle(line, token);
        let word = slot.end_run(close);
        if held {
            self.serve(line, token, Short::MayHideEnd);
            return;
        }
        shared.table.close_if_last(token, word);
        if owed && slot.enter(token.generation()) {
            self.serve(line, token, Short::MayHideEnd);
        }
    }

    /// A connection is idle since the end of its last answer.
    fn touch(&self, slot: &Slot) {
        if self.shared.settings.idle_timeout.is_some() {
            slot.touched.store(self.shared.now(), Ordering::Relaxed);
        }
    }

    fn put_away(&mut self, mut call: Box<Call>) {
        call.forget_body();
        if self.desk.sorting.pool.len() < POOL {
            self.desk.sorting.pool.push(call);
        }
    }

    /// Runs the application and ends the request. True: the connection ends with it.
    fn run_call(&mut self, line: &Line, call: &mut Call) -> bool {
        let Self { shared, desk, .. } = self;
        let loan = Loan::new(shared, line, call.token, call.id);
        let out = std::mem::take(&mut desk.out);
        let sender = Sender::new(out, loan, call);
        match call.protocol {
            Protocol::FastCgi => run_over(loan, desk, call, Records::new(sender)),
            Protocol::Scgi | Protocol::Uwsgi => {
                let unframed = Unframed::new(sender, &*shared.apps);
                run_over(loan, desk, call, unframed)
            }
        }
    }
}

fn run_over(loan: Loan<'_>, desk: &mut Desk, call: &mut Call, outgoing: impl Outgoing) -> bool {
    let shared = loan.shared;
    let outgoing = RefCell::new(outgoing);
    let max_body = shared.settings.max_body.unwrap_or(u64::MAX);
    let stdin = Stdin::new(loan, desk, call);
    let stdin = ContentInput::new(stdin, call.content, max_body);
    let mut stdin = match &call.data {
        None => Input::Usual(stdin),
        Some(data) => Input::Filter(FilterInput::new(stdin, data.content)),
    };
    let ending = if call.slate.request().is_cancelled() {
        Ending::Departed
    } else {
        let app = shared.apps.dispatch(call.role, &mut call.slate.vars);
        let stdin: &mut dyn BufRead = match &mut stdin {
            Input::Usual(stdin) => stdin,
            Input::Filter(stdin) => stdin,
        };
        let (stdout, stderr) = (&mut Stdout(&outgoing), &mut Stderr(&outgoing));
        let streams = Streams { stdin, stdout, stderr };
        let outcome =
            handlers::run(shared.apps.handler(call.protocol), app, &mut call.slate, streams);
        // An error page that failed: whatever was sent is all there is.
        outcome.map_or(Ending::Cut { length_known: false }, |outcome| outcome.ending)
    };
    match stdin {
        Input::Usual(stdin) => stdin.into_stream().give_back(),
        Input::Filter(stdin) => stdin.give_back(),
    }
    let mut outgoing = outgoing.into_inner();
    let finished = finish(shared, call, &mut outgoing, ending);
    desk.out = outgoing.give_back();
    desk.hand_on_next(shared, finished.next);
    finished.close
}

enum Input<'c> {
    Usual(ContentInput<Stdin<'c>>),
    Filter(FilterInput<'c>),
}

/// Closes a connection whose reading half is held.
pub(super) fn drop_held(shared: &Shared, hands: &mut Hands, desk: &mut Desk) {
    let Some(token) = hands.held.take() else { return };
    let slot = shared.table.slot(token);
    slot.give_up();
    slot.front().end(true, &mut desk.sorting);
    // Closing: nobody looks again.
    if let Ok(word) = slot.leave() {
        shared.table.close_if_last(token, word);
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
fn finish(shared: &Shared, call: &Call, outgoing: &mut impl Outgoing, ending: Ending) -> Finished {
    let slot = shared.table.slot(call.token);
    // Before END_REQUEST goes out: its id may come again the moment that it arrives.
    let mut finished = slot.front().finish_unsent(call.id);
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
        slot.front().discard(shared.now());
        finished.close = false;
    }
    finished
}

/// Tells epoll of a connection, before its reading half is first let go.
pub(super) fn register(shared: &Shared, slot: &Slot, token: Token) {
    let done = match slot.front().register() {
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
        Ok(socket) => {
            shared.starved.store(false, Ordering::Relaxed);
            settle_in(shared, listener.protocol, socket)
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
pub(super) fn settle_in(shared: &Shared, protocol: Protocol, socket: OwnedFd) -> Option<Token> {
    if !shared.apps.admits(&socket) {
        return None;
    }
    let overloaded = shared.table.live() >= shared.settings.max_connections;
    let token = shared.table.claim(socket, shared.now())?;
    shared.table.slot(token).front().begin(protocol, &shared.settings, overloaded);
    Some(token)
}
