//! The supervisor: starts workers, replaces the dead, reloads, stops. It holds the listeners and
//! runs no application.
//!
//! ```text
//! STARTING --ready--> SERVING --retire--> RETIRING --> gone
//!                        \---- died ------------------> gone, and another is started
//! ```
//!
//! What is on disk takes over in `reload.rs`, the dead are counted in `deaths.rs`, and `homeless.rs` has
//! the connections that are between two workers.

mod deaths;
mod homeless;
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
    sys::{self, Signal, Signals, say},
};
use deaths::Deaths;
use homeless::OFFER;
use manager::Watchdog;
pub(crate) use manager::tell_manager;
use reload::Reload;
use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use worker::{LAST_MOMENT, Stage, Worker};

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
        self.deaths.forget_never_ready();
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
}
