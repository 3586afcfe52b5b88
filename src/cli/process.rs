//! Which process of a server this is: one that serves alone, a supervisor, or one of its workers.

use super::{
    logs::Logs,
    options::{Served, Server as Options},
};
use crate::{
    gateway::{Block, Control, End, Inheritance, Plan, Scoreboard, Supervisor, Word, tell_manager},
    net::{Address, Listener},
    sys::{Level, Signal, Signals, say_at},
};
use anyhow::Context as _;
use std::{
    os::fd::AsFd,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// A process that serves.
pub(super) enum Process {
    /// There is no other; where its admin socket is.
    Lone(Option<Address>),
    /// A supervisor has started it, and listens at the other end.
    Worker(Control, Option<Block>),
}

impl Process {
    /// What this process was started as, and the sockets that it was started with.
    ///
    /// # Errors
    /// The variable that a supervisor sets is there, and no supervisor.
    pub(super) fn inherited() -> anyhow::Result<Option<(Self, Vec<Listener>)>> {
        let inherited = Inheritance::take().context("CGIGATE_WORKER")?;
        Ok(inherited.map(|Inheritance { control, listeners, block }| {
            (Self::Worker(control, block), listeners.into_iter().map(Listener::lent).collect())
        }))
    }

    /// Where this worker keeps count, if it does.
    pub(super) fn take_block(&mut self) -> Option<Block> {
        match self {
            Self::Lone(_) => None,
            Self::Worker(_, block) => block.take(),
        }
    }

    /// Whether a supervisor has started this process.
    pub(super) fn is_worker() -> bool {
        std::env::var_os(Inheritance::NAME).is_some()
    }

    /// Whether other processes serve beside this one: `wsgi.multiprocess`.
    pub(super) fn has_others(&self) -> bool {
        matches!(self, Self::Worker(..))
    }

    /// Says that it is ready, and from now on does as it is told: `stop` is called once, whoever
    /// says so first. A second signal ends the process at once.
    pub(super) fn begin(
        self,
        mut signals: Signals,
        served: Served,
        listeners: Vec<Listener>,
        threads: usize,
        logs: Logs,
        stop: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<()> {
        let told = match self {
            Self::Lone(admin) => {
                let announce = || announce(served, &listeners, 1, threads, admin.as_ref());
                logs.begin(announce);
                tell_manager("READY=1");
                None
            }
            Self::Worker(control, _) => {
                logs.begin(|| {});
                control.say(&Word::Ready).context("tell the supervisor that all is ready")?;
                Some(control)
            }
        };
        let stop = Arc::new(Mutex::new(Some((listeners, stop))));
        let stop = move || {
            if let Some((listeners, stop)) = lock(&stop).take() {
                // The server closes its own: nobody is to wait at a door that is opened no more.
                drop(listeners);
                stop();
            }
        };
        if let Some(control) = told {
            let (stop, logs) = (stop.clone(), logs.clone());
            thread::spawn(move || {
                // Without a supervisor nobody would replace it or stop it: it ends.
                while let Ok(Some(word)) = control.hear() {
                    match word {
                        Word::Stop | Word::Retire => break,
                        Word::Reopen => logs.reopen(),
                        Word::Ready | Word::Replace | Word::Connection(_) => {}
                    }
                }
                stop();
            });
        }
        thread::spawn(move || {
            let mut stopping = false;
            while let Ok(signal) = signals.wait() {
                match signal {
                    Signal::Stop if stopping => std::process::exit(1),
                    Signal::Stop => {
                        stopping = true;
                        tell_manager("STOPPING=1");
                        stop();
                    }
                    Signal::Reopen => logs.reopen(),
                    Signal::Reload => {}
                }
            }
        });
        Ok(())
    }
}

/// One line for each listener, with the real port: the server is ready.
fn announce(
    served: Served,
    listeners: &[Listener],
    workers: usize,
    threads: usize,
    admin: Option<&Address>,
) {
    for listener in listeners {
        let address = listener.address();
        say_at(
            Level::Info,
            format_args!("cgigate: {served} on {address}, {workers} workers x {threads} threads"),
        );
        if served == Served::Http && matches!(address, Address::Tcp(_)) {
            say_at(Level::Info, format_args!("cgigate: open http://{address}/"));
        }
    }
    if let Some(address) = admin {
        say_at(Level::Info, format_args!("cgigate: admin on {address}"));
    }
}

/// Has `--workers` processes serve, until a signal says to stop.
pub(super) fn supervise(
    server: &Options,
    served: Served,
    listeners: Vec<Listener>,
    threads: usize,
    board: Option<Arc<Scoreboard>>,
    admin: Option<Address>,
    logs: Logs,
) -> anyhow::Result<ExitCode> {
    let workers = server.workers;
    let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
    let sockets = sockets.collect::<Result<_, _>>()?;
    let listeners = Arc::new(Mutex::new(listeners));
    let (announced, reopened) = (Arc::clone(&listeners), logs.clone());
    let ready = move || {
        logs.begin(|| announce(served, &lock(&announced), workers, threads, admin.as_ref()));
    };
    let plan = Plan {
        workers,
        listeners: sockets,
        board,
        graceful_timeout: server.graceful_timeout,
        ready: Box::new(ready),
        // A socket's file goes at once, as when there is one process.
        stopping: Box::new(move || lock(&listeners).clear()),
        reopen: Box::new(move || reopened.reopen()),
    };
    let supervisor = Supervisor::new(plan).context("supervise workers")?;
    Ok(match supervisor.run().context("supervise workers")? {
        End::Stopped => ExitCode::SUCCESS,
        End::Cut => ExitCode::FAILURE,
        End::Failed(code) => code.into(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
