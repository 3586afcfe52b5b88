//! A worker, as its supervisor has it: a process, and the line to it.

use crate::{
    gateway::{
        control::{Control, Word},
        scoreboard::Place,
        teller,
    },
    net::Lodging,
    sys::say,
};
use std::{
    io, mem,
    process::{Child, ExitStatus},
    thread,
    time::{Duration, Instant},
};

/// How much longer than the requests in flight their worker may take to end.
pub(super) const LAST_MOMENT: Duration = Duration::from_secs(5);

/// How long a worker that has hung up may take until it is gone.
const GONE: Duration = Duration::from_secs(1);

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Serving,
    /// It has asked to be replaced, and serves until another is ready.
    Tired,
    Retiring,
}

pub(super) struct Worker {
    pub(super) child: Child,
    pub(super) control: Control,
    /// Its block of the scoreboard.
    pub(super) _place: Option<Place>,
    /// What the others know of it.
    pub(super) _lodging: Option<Lodging>,
    pub(super) generation: u32,
    pub(super) stage: Stage,
    pub(super) started: Instant,
    /// When it is killed if it is still there.
    pub(super) end: Option<Instant>,
    /// What it is to be told once its line has room again: a worker may have been stopped (SIGSTOP),
    /// or have its hands full.
    pub(super) unsaid: Vec<Word>,
}

impl Worker {
    pub(super) fn serves(&self) -> bool {
        matches!(self.stage, Stage::Serving | Stage::Tired)
    }

    pub(super) fn retire(&mut self, graceful_timeout: Duration) {
        if self.stage != Stage::Retiring {
            self.stage = Stage::Retiring;
            // What it has to tell of threads that do not come back may take as long as that.
            self.end = Some(Instant::now() + graceful_timeout + teller::PATIENCE + LAST_MOMENT);
            self.tell(Word::Retire);
        }
    }

    /// Never waits for it.
    pub(super) fn tell(&mut self, word: Word) {
        let told = |unsaid: &Word| mem::discriminant(unsaid) == mem::discriminant(&word);
        if !self.unsaid.iter().any(told) {
            self.unsaid.push(word);
        }
        self.say_again();
    }

    /// What is unsaid, as far as its line has room.
    pub(super) fn say_again(&mut self) {
        while let Some(word) = self.unsaid.first() {
            match self.control.say(word) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Who is dead does not hear: its line says so next.
                Ok(()) | Err(_) => drop(self.unsaid.remove(0)),
            }
        }
    }

    /// It has had its time.
    pub(super) fn give_up(&mut self) {
        let (pid, what) = (
            self.child.id(),
            match self.stage {
                Stage::Starting => "get ready",
                Stage::Serving | Stage::Tired | Stage::Retiring => "end",
            },
        );
        say(format_args!("cgigate: worker {pid} does not {what} in time: it is killed"));
        self.kill();
    }

    /// It has hung up: a process that ends does that a moment before it is gone.
    pub(super) fn await_end(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + GONE;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
                Ok(None) => break,
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
        self.kill();
        self.child.wait().ok()
    }

    pub(super) fn kill(&mut self) {
        self.end = None;
        let _ended_by_itself = self.child.kill();
    }
}
