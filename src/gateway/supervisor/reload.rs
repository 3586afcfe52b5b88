//! A reload is a generation: workers of the next one are started, and when all of them are ready
//! those of the last one retire. If one of the next does not get ready, all of them go instead.

use super::{Deaths, Stage, Supervisor, Worker, tell_manager};
use crate::{
    gateway::executable::Executable,
    sys::{self, Level, say, say_at},
};

/// A reload under way.
pub(super) struct Reload {
    executable: Executable,
    /// It was asked for once more meanwhile.
    again: bool,
}

impl Supervisor<'_> {
    pub(super) fn begin_reload(&mut self) {
        if self.end.is_some() {
            return;
        }
        if let Some(reload) = &mut self.reload {
            reload.again = true;
            return;
        }
        if self.ready.is_some() {
            return; // The first have not got ready yet: they are what is on disk.
        }
        tell_manager(&format!("RELOADING=1\nMONOTONIC_USEC={}", sys::monotonic_micros()));
        let next = Executable::open(&self.path).and_then(|executable| {
            let start = |_| self.start(&executable, self.generation + 1);
            let mut started: Vec<Worker> = Vec::new();
            for worker in (0..self.count).map(start) {
                match worker {
                    Ok(worker) => started.push(worker),
                    Err(error) => {
                        started.iter_mut().for_each(Worker::kill);
                        return Err(error);
                    }
                }
            }
            Ok((executable, started))
        });
        match next {
            Ok((executable, started)) => {
                self.workers.extend(started);
                self.reload = Some(Reload { executable, again: false });
            }
            Err(error) => {
                self.tell_of_failure(&format!("start {}: {error}", self.path.display()));
            }
        }
    }

    /// The next generation serves: the last one goes.
    pub(super) fn end_reload(&mut self) {
        let Some(reload) = self.reload.take() else { return };
        self.generation += 1;
        if let Some(board) = &self.board {
            board.count_reload();
        }
        self.executable = reload.executable;
        self.deaths = Deaths::default();
        for worker in &mut self.workers {
            if worker.generation < self.generation {
                worker.retire(self.graceful_timeout);
            }
        }
        let count = self.count;
        say_at(
            Level::Info,
            format_args!("cgigate: reload: {count} new workers serve, the old ones finish"),
        );
        tell_manager("READY=1");
        if reload.again {
            self.begin_reload();
        }
    }

    /// The last generation goes on. Those of the next that serve already have requests to finish.
    pub(super) fn give_up_reload(&mut self, why: &str) {
        let Some(reload) = self.reload.take() else { return };
        for worker in &mut self.workers {
            if worker.generation > self.generation {
                match worker.stage {
                    Stage::Starting => worker.kill(),
                    Stage::Serving | Stage::Tired | Stage::Retiring => {
                        worker.retire(self.graceful_timeout);
                    }
                }
                // Nobody's but their own: what comes next has this generation's number.
                worker.generation = 0;
                worker.stage = Stage::Retiring;
            }
        }
        self.tell_of_failure(why);
        if reload.again {
            self.begin_reload();
        }
    }

    fn tell_of_failure(&self, why: &str) {
        say(format_args!("cgigate: reload: {why}; the old workers go on serving"));
        tell_manager("READY=1");
    }
}
