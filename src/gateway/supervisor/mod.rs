//! The supervisor: starts workers, replaces the dead, reloads, stops. It holds the listeners and
//! runs no application.
//!
//! ```text
//! STARTING --ready--> SERVING --retire--> RETIRING --> gone
//!                        \---- died ------------------> gone, and another is started
//! ```
//!
//! What is on disk takes over in `reload.rs`.

mod manager;
mod reload;
mod worker;

use super::{
    control::{Connection, Control, Inheritance, Share, Word},
    deadlines::Time,
    executable::Executable,
    scoreboard::Scoreboard,
};
use crate::{
    net::Vacancies,
    sys::{self, Level, Signal, Signals, say, say_at},
};
use manager::Watchdog;
pub(crate) use manager::tell_manager;
use reload::Reload;
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::PathBuf,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};
use worker::{LAST_MOMENT, Stage, Worker};

/// Who died younger than this may die again at once.
const YOUNG: Duration = Duration::from_secs(1);

/// The pause after the second one in a row that died young; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// So many in a row, with nobody alive beside them, and none can live.
const NEVER_READY: u32 = 5;
const READY_AND_DEAD: u32 = 20;

/// Connections that wait in the supervisor's own hands for a worker: with more, those that hand
/// theirs over have to wait.
const MOST_HOMELESS: usize = 16;

/// For poll(2), which reads over it.
const NOBODY: RawFd = -1;

/// When they are offered again.
const OFFER: Duration = Duration::from_millis(5);

/// What is to be supervised.
pub(crate) struct Plan {
    /// How many workers.
    pub(crate) workers: usize,
    /// The descriptors that they accept connections on, with the names of what is spoken there;
    /// whoever made them keeps them.
    pub(crate) listeners: Vec<(String, OwnedFd)>,
    /// Where the workers keep count, if they do.
    pub(crate) board: Option<Arc<Scoreboard>>,
    /// How long requests in flight may take after a stop.
    pub(crate) graceful_timeout: Duration,
    /// How long a worker that takes another's place may take until it is ready.
    pub(crate) start_timeout: Duration,
    /// What to do when all serve for the first time.
    pub(crate) ready: Box<dyn FnOnce()>,
    /// What to do when a stop begins.
    pub(crate) stopping: Box<dyn FnOnce()>,
    /// What to do when log files have been moved away.
    pub(crate) reopen: Box<dyn Fn()>,
    /// This process has served by itself until now.
    pub(crate) predecessor: Option<Predecessor>,
}

/// A process that has served alone, and becomes the supervisor of its successor.
pub(crate) struct Predecessor {
    /// Where it was started from: another file may have that name now.
    pub(crate) executable: PathBuf,
    /// Where it hands over its kept connections.
    pub(crate) control: Control,
}

/// Why workers do not live, as far as it is known.
#[derive(Default)]
struct Deaths {
    /// Young ones in a row.
    young: u32,
    /// Of these, the last ones that never got ready.
    never_ready: u32,
    /// No worker is started before this.
    pause: Option<Instant>,
}

pub(crate) struct Supervisor<'s> {
    count: usize,
    listeners: Vec<(String, OwnedFd)>,
    board: Option<Arc<Scoreboard>>,
    /// What several workers know of each other.
    vacancies: Option<Arc<Vacancies>>,
    graceful_timeout: Duration,
    start_timeout: Duration,
    ready: Option<Box<dyn FnOnce()>>,
    stopping: Option<Box<dyn FnOnce()>>,
    reopen: Box<dyn Fn()>,
    signals: &'s mut Signals,
    predecessor: Option<Control>,
    /// Others than its workers may serve the listeners.
    shares: bool,
    path: PathBuf,
    executable: Executable,
    workers: Vec<Worker>,
    /// Kept connections that somebody handed over while nobody could take them.
    homeless: Vec<Connection>,
    generation: u32,
    reload: Option<Reload>,
    deaths: Deaths,
    /// Since a stop: when whoever is left is killed.
    end: Option<Instant>,
    watchdog: Option<Watchdog>,
    /// How many serve, as the service manager has heard it last.
    told: usize,
}

/// How the supervision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a stop.
    Stopped,
    /// By a second one.
    Cut,
    /// No worker can live; the exit status that tells of it. The log says why.
    Failed(u8),
}

impl<'s> Supervisor<'s> {
    /// # Errors
    /// The executable's file cannot be found.
    pub(crate) fn new(plan: Plan, signals: &'s mut Signals) -> io::Result<Self> {
        let (path, predecessor) = match plan.predecessor {
            Some(Predecessor { executable, control }) => (executable, Some(control)),
            None => (Executable::path()?, None),
        };
        let vacancies = match plan.workers {
            1 => None,
            several => Some(Arc::new(Vacancies::new(several)?)),
        };
        Ok(Self {
            count: plan.workers,
            listeners: plan.listeners,
            board: plan.board,
            vacancies,
            graceful_timeout: plan.graceful_timeout,
            start_timeout: plan.start_timeout,
            ready: Some(plan.ready),
            stopping: Some(plan.stopping),
            reopen: plan.reopen,
            signals,
            shares: predecessor.is_some(),
            predecessor,
            executable: Executable::open(&path)?,
            path,
            workers: Vec::new(),
            homeless: Vec::new(),
            generation: 1,
            reload: None,
            deaths: Deaths::default(),
            end: None,
            watchdog: Watchdog::wanted(),
            told: 0,
        })
    }

    /// Until a stop, and all workers have ended.
    ///
    /// # Errors
    /// What is needed to wait for anything at all failed.
    pub(crate) fn run(mut self) -> io::Result<End> {
        loop {
            if let Some(failed) = self.fill() {
                self.kill_all(|_| true);
                return Ok(failed);
            }
            if self.end.is_some() && self.workers.is_empty() {
                return Ok(End::Stopped);
            }
            let mut waits = vec![self.signals.as_raw_fd(), self.line_of_the_predecessor()];
            waits.extend(self.workers.iter().map(|worker| self.line_of(worker)));
            let heard = sys::poll_readable(&waits, self.patience())?;
            if heard[0] && self.obey()? {
                self.kill_all(|_| true);
                return Ok(End::Cut);
            }
            if heard[1] {
                self.inherit();
            }
            // By the line: the row changes with what is heard.
            for (line, _) in waits.iter().zip(&heard).skip(2).filter(|(_, heard)| **heard) {
                let worker = self.workers.iter().position(|it| it.control.as_raw_fd() == *line);
                if let Some(failed) = worker.and_then(|at| self.listen_to(at)) {
                    self.kill_all(|_| true);
                    return Ok(failed);
                }
            }
            self.house();
            self.workers.iter_mut().for_each(Worker::say_again);
            self.look_at_the_clock();
        }
    }

    /// Where to hear a worker; one that has more to hand over than can be taken is not heard now.
    fn line_of(&self, worker: &Worker) -> RawFd {
        let waits = worker.stage == Stage::Retiring && self.homeless.len() >= MOST_HOMELESS;
        if waits { NOBODY } else { worker.control.as_raw_fd() }
    }

    fn line_of_the_predecessor(&self) -> RawFd {
        let heard = self.predecessor.as_ref().filter(|_| self.homeless.len() < MOST_HOMELESS);
        heard.map_or(NOBODY, AsRawFd::as_raw_fd)
    }

    /// What this process had itself is its successor's.
    fn inherit(&mut self) {
        match self.predecessor.as_ref().map(Control::hear) {
            Some(Ok(Some(Word::Connection(connection)))) => self.homeless.push(connection),
            Some(Ok(Some(_))) | None => {}
            Some(Ok(None) | Err(_)) => self.predecessor = None,
        }
    }

    /// Starts as many workers as are missing.
    fn fill(&mut self) -> Option<End> {
        if self.end.is_some() || self.deaths.pause.is_some_and(|pause| Instant::now() < pause) {
            return None;
        }
        let counts = |worker: &&Worker| {
            worker.generation == self.generation
                && matches!(worker.stage, Stage::Starting | Stage::Serving)
        };
        for _ in self.workers.iter().filter(counts).count()..self.count {
            match self.start(&self.executable, self.generation) {
                Ok(worker) => self.workers.push(worker),
                Err(error) => {
                    say(format_args!("cgigate: start {}: {error}", self.path.display()));
                    self.deaths.count(false);
                    return self.has_to_give_up(None);
                }
            }
        }
        None
    }

    fn start(&self, executable: &Executable, generation: u32) -> io::Result<Worker> {
        let (control, its) = Control::pair()?;
        let listeners = self.listeners.iter().map(|(_, listener)| listener.as_raw_fd());
        let mut keep: Vec<RawFd> = listeners.chain([its.as_raw_fd()]).collect();
        let place = self.board.as_ref().and_then(|board| board.place(generation));
        let lodging = self.vacancies.as_ref().and_then(Vacancies::place);
        let share = |memory: BorrowedFd<'_>, part| Share { memory: memory.as_raw_fd(), part };
        let board = self.board.as_ref().zip(place.as_ref());
        let board = board.map(|(board, place)| share(board.as_fd(), place.number()));
        let vacancies = self.vacancies.as_ref().zip(lodging.as_ref());
        let vacancies = vacancies.map(|(memory, it)| share(memory.as_fd(), it.number()));
        keep.extend(board.into_iter().chain(vacancies).map(|share| share.memory));
        let description = Inheritance::describe(&its, &self.listeners, board, vacancies);
        let description = if self.shares { description + " shares=1" } else { description };
        let child = executable.start((Inheritance::NAME, &description), keep)?;
        if let Some(place) = &place {
            place.taken_by(child.id());
        }
        let (stage, started) = (Stage::Starting, Instant::now());
        // The very first may take as long as they like: whoever starts the server waits for them.
        let is_awaited = self.ready.is_some() && !self.shares;
        let end = (!is_awaited).then(|| started + self.start_timeout);
        Ok(Worker {
            child,
            control,
            _place: place,
            _lodging: lodging,
            generation,
            stage,
            started,
            end,
            unsaid: Vec::new(),
        })
    }

    /// How long there is nothing to do but to wait.
    fn patience(&self) -> Option<Duration> {
        let times = [
            self.deaths.pause,
            self.end,
            self.workers.iter().filter_map(|worker| worker.end).min(),
            self.watchdog.as_ref().filter(|_| self.told > 0).map(|watchdog| watchdog.next),
            self.waits_for_a_line().then(|| Instant::now() + OFFER),
        ];
        let next = times.into_iter().flatten().min()?;
        // Rounded up: poll(2) counts in milliseconds, and would come back a moment too early.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    /// Whether there is something to be said or handed over that could not be at once.
    fn waits_for_a_line(&self) -> bool {
        !self.homeless.is_empty() || self.workers.iter().any(|worker| !worker.unsaid.is_empty())
    }

    fn look_at_the_clock(&mut self) {
        let now = Instant::now();
        if self.deaths.pause.is_some_and(|pause| now >= pause) {
            self.deaths.pause = None;
        }
        let serving = self.workers.iter().filter(|worker| worker.serves()).count();
        if serving != mem::replace(&mut self.told, serving) {
            tell_manager(&format!("STATUS={serving} of {} workers serve", self.count));
        }
        // With none the service manager had better start anew, if that lasts.
        if let Some(watchdog) = self.watchdog.as_mut().filter(|_| serving > 0) {
            watchdog.tell(now);
        }
        if self.end.is_some_and(|end| now >= end) {
            say(format_args!("cgigate: stop: workers that do not end in time are killed"));
            self.end = Some(now + LAST_MOMENT);
            self.kill_all(|_| true);
        }
        let late = |it: &Worker| it.end.is_some_and(|end| now >= end);
        let is_next = |it: &Worker| it.generation > self.generation && it.stage == Stage::Starting;
        if self.reload.is_some() && self.workers.iter().any(|it| late(it) && is_next(it)) {
            self.give_up_reload(&format!("it is not ready after {}", Time(self.start_timeout)));
        }
        for worker in self.workers.iter_mut().filter(|worker| late(worker)) {
            worker.give_up();
        }
    }

    /// A signal came. True: everything ends at once.
    fn obey(&mut self) -> io::Result<bool> {
        match self.signals.wait()? {
            Signal::Stop if self.end.is_some() => return Ok(true),
            Signal::Stop => self.stop(),
            Signal::Reload => self.begin_reload(),
            Signal::Reopen => {
                (self.reopen)();
                self.tell_all(|| Word::Reopen);
            }
        }
        Ok(false)
    }

    fn stop(&mut self) {
        tell_manager("STOPPING=1");
        self.end = Some(Instant::now() + self.graceful_timeout + LAST_MOMENT);
        self.reload = None;
        self.workers.iter_mut().for_each(|worker| worker.end = None);
        // Nobody is to wait at a door that is opened no more: the workers close theirs.
        self.listeners.clear();
        self.homeless.clear();
        if let Some(stopping) = self.stopping.take() {
            stopping();
        }
        self.tell_all(|| Word::Stop);
        self.kill_all(|worker| worker.stage == Stage::Starting);
    }

    fn tell_all(&mut self, word: impl Fn() -> Word) {
        self.workers.iter_mut().for_each(|worker| worker.tell(word()));
    }

    fn kill_all(&mut self, whom: impl Fn(&Worker) -> bool) {
        for worker in self.workers.iter_mut().filter(|worker| whom(worker)) {
            // It may have ended by itself.
            let _ = worker.child.kill();
        }
    }

    /// One of the workers says something, or is gone.
    fn listen_to(&mut self, at: usize) -> Option<End> {
        match self.workers[at].control.hear() {
            Ok(Some(Word::Ready)) => self.is_ready(at),
            Ok(Some(Word::Replace)) => {
                let worker = &mut self.workers[at];
                if worker.stage == Stage::Serving {
                    worker.stage = Stage::Tired;
                }
            }
            Ok(Some(Word::Connection(connection))) => self.homeless.push(connection),
            Ok(Some(Word::Stop | Word::Retire | Word::Reopen)) => {}
            Ok(None) | Err(_) => return self.bury(at),
        }
        None
    }

    fn is_ready(&mut self, at: usize) {
        if self.workers[at].stage != Stage::Starting {
            return;
        }
        self.workers[at].stage = Stage::Serving;
        self.workers[at].end = None;
        self.deaths.never_ready = 0;
        let generation = self.workers[at].generation;
        let of_its_own =
            |worker: &Worker, stage| worker.generation == generation && worker.stage == stage;
        let serving = self.workers.iter().filter(|it| of_its_own(it, Stage::Serving)).count();
        if generation > self.generation {
            if serving == self.count {
                self.end_reload();
            }
            return;
        }
        if let Some(tired) = self.workers.iter_mut().find(|it| of_its_own(it, Stage::Tired)) {
            tired.retire(self.graceful_timeout);
        }
        if serving == self.count
            && let Some(ready) = self.ready.take()
        {
            ready();
            tell_manager("READY=1");
        }
    }

    /// Kept connections find workers that stay: each in its turn, the newest generation first.
    fn house(&mut self) {
        if self.end.is_some() {
            self.homeless.clear();
        }
        let serving = self.workers.iter().filter(|worker| worker.stage == Stage::Serving);
        let Some(newest) = serving.map(|worker| worker.generation).max() else { return };
        let takes = |it: &Worker| it.stage == Stage::Serving && it.generation == newest;
        while let Some(Connection { socket, spoken }) = self.homeless.pop() {
            let Some(at) = self.workers.iter().position(takes) else { return };
            let passed = self.workers[at].control.pass(socket.as_fd(), &spoken);
            // The next one's turn.
            let worker = self.workers.remove(at);
            self.workers.push(worker);
            if passed.is_err() {
                self.homeless.push(Connection { socket, spoken });
                return;
            }
        }
    }

    fn bury(&mut self, at: usize) -> Option<End> {
        let mut worker = self.workers.remove(at);
        let status = worker.await_end();
        let why = status.map_or_else(|| "it is gone".into(), |status| status.to_string());
        if self.end.is_some() {
            return None;
        }
        let pid = worker.child.id();
        if worker.generation > self.generation && self.reload.is_some() {
            let when = if worker.stage == Stage::Starting { " before it was ready" } else { "" };
            self.give_up_reload(&format!("worker {pid} ended{when}: {why}"));
            return None;
        }
        match worker.stage {
            Stage::Retiring if status.is_some_and(|status| status.success()) => {}
            Stage::Retiring => {
                say(format_args!("cgigate: worker {pid} died while it finished: {why}"));
            }
            Stage::Starting => {
                self.deaths.count(false);
                if self.ready.is_none() {
                    say(format_args!("cgigate: worker {pid} ended before it was ready: {why}"));
                }
                return self.has_to_give_up(status);
            }
            Stage::Serving | Stage::Tired => {
                let young = worker.started.elapsed() < YOUNG;
                match young {
                    true => self.deaths.count(true),
                    false => self.deaths = Deaths::default(),
                }
                say(format_args!("cgigate: worker {pid} died: {why}; another takes its place"));
                if let Some(board) = &self.board {
                    board.count_restart();
                }
                return if young { self.has_to_give_up(status) } else { None };
            }
        }
        None
    }

    /// Whether no worker can live.
    fn has_to_give_up(&self, status: Option<ExitStatus>) -> Option<End> {
        if self.ready.is_some() {
            // The very first: what it could not do once, it will not be able to do. If it ended by
            // itself it has said why.
            let code = status.and_then(|status| status.code()).filter(|code| *code != 0);
            if let (None, Some(status)) = (code, status) {
                say(format_args!("cgigate: start: the worker ended before it was ready: {status}"));
            }
            let code = code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            return Some(End::Failed(code));
        }
        let hopeless =
            self.deaths.never_ready >= NEVER_READY || self.deaths.young >= READY_AND_DEAD;
        if hopeless && self.workers.is_empty() {
            let count = self.deaths.young;
            say_at(
                Level::Error,
                format_args!("cgigate: give up: {count} workers in a row died young"),
            );
            return Some(End::Failed(1));
        }
        None
    }
}

impl Deaths {
    /// One died young.
    fn count(&mut self, was_ready: bool) {
        self.never_ready = if was_ready { 0 } else { self.never_ready + 1 };
        // The first of them may have been an accident.
        let doubled = self.young.checked_sub(1).map(|times| FIRST_PAUSE * (1 << times.min(10)));
        self.young += 1;
        self.pause = doubled.map(|pause| Instant::now() + pause.min(LONGEST_PAUSE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_dies_young_again_and_again_is_replaced_more_and_more_slowly() {
        let mut deaths = Deaths::default();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let before = Instant::now();
            deaths.count(true);
            let pause = deaths.pause.map_or(Duration::ZERO, |pause| pause - before);
            pauses.push(pause.as_millis() / 100 * 100);
        }
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!((deaths.young, deaths.never_ready), (9, 0));
        deaths.count(false);
        assert_eq!((deaths.young, deaths.never_ready), (10, 1));
    }
}
