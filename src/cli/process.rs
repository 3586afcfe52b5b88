//! Which process of a server this is: one that serves alone, a supervisor, or one of its workers.

use super::{
    doors::Door,
    logs::Logs,
    observe::Observed,
    options::{Served, Server as Options},
    serve::{all_threads, threads},
    servers::Servers,
    wear::Wear,
};
use crate::{
    gateway::{Block, Control, End, Inheritance, Plan, Scoreboard, Supervisor, Word, tell_manager},
    net::{Address, Counter, Listener, Siblings, Vacancies},
    sys::{Level, Signal, Signals, raise_descriptor_limit, say, say_at},
};
use anyhow::Context as _;
use std::{
    os::fd::AsFd,
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A process that serves.
pub(super) enum Process {
    /// There is no other; where its `--admin` listens.
    Lone(Option<Address>),
    /// A supervisor has started it, and listens at the other end.
    Worker(Control, Option<Block>, Option<(Arc<Vacancies>, usize)>),
}

impl Process {
    /// What this process was started as, and the sockets that it was started with.
    ///
    /// # Errors
    /// The variable that a supervisor sets is there, and no supervisor.
    pub(super) fn inherited() -> anyhow::Result<Option<(Self, Vec<Door>)>> {
        let inherited = Inheritance::take().context("CGIGATE_WORKER")?;
        let Some(Inheritance { control, listeners, block, vacancies }) = inherited else {
            return Ok(None);
        };
        let door = |(name, fd): (String, _)| {
            let served: Served = name.parse().with_context(|| format!("serve {name}"))?;
            Ok(Door { served, listener: Listener::lent(fd) })
        };
        let doors = listeners.into_iter().map(door).collect::<anyhow::Result<_>>()?;
        Ok(Some((Self::Worker(control, block, vacancies), doors)))
    }

    /// Where this worker keeps count, if it does.
    pub(super) fn take_block(&mut self) -> Option<Block> {
        match self {
            Self::Lone(_) => None,
            Self::Worker(_, block, _) => block.take(),
        }
    }

    /// The servers of that kind in other workers.
    pub(super) fn siblings(&self, counter: Counter) -> Siblings {
        match self {
            Self::Worker(_, _, Some((vacancies, at))) => {
                Siblings::new(Arc::clone(vacancies), *at, counter)
            }
            Self::Lone(_) | Self::Worker(..) => Siblings::default(),
        }
    }

    /// Whether a supervisor has started this process.
    pub(super) fn is_worker() -> bool {
        std::env::var_os(Inheritance::NAME).is_some()
    }

    /// Whether other processes may serve beside this one: `wsgi.multiprocess`.
    pub(super) fn has_others(&self, server: &Options) -> bool {
        match self {
            // Whoever hands over a socket on descriptor 0 may start as many as he likes.
            Self::Lone(_) => true,
            Self::Worker(..) => server.workers > 1,
        }
    }

    /// Says that it is ready, and from now on does as it is told, by signals and by the supervisor.
    /// A second signal to stop ends the process at once.
    pub(super) fn begin(
        self,
        signals: Signals,
        options: &Options,
        doors: Vec<Door>,
        servers: Servers,
        wear: &Wear,
        observed: Arc<Observed>,
    ) -> anyhow::Result<()> {
        let (doors, stopped) = (Mutex::new(doors), AtomicBool::new(false));
        let alone = matches!(self, Self::Lone(_));
        let house = Arc::new(House { servers, doors, observed, stopped, alone });
        match self {
            Self::Lone(admin) => {
                let doors = lock(&house.doors);
                let announce = || announce(&doors, 1, options, admin.as_ref());
                house.observed.logs().begin(announce);
                drop(doors);
                tell_manager("READY=1");
                house.lose_threads(options)?;
                let house = Arc::clone(&house);
                // Whoever started it starts another.
                wear.then(move || house.stop());
            }
            Self::Worker(control, ..) => {
                house.observed.logs().begin(|| {});
                let control = Arc::new(control);
                let asks = Arc::clone(&control);
                let ask = move || {
                    if let Err(error) = asks.say(&Word::Replace) {
                        say(format_args!("cgigate: ask for a successor: {error}"));
                    }
                };
                wear.then(ask.clone());
                // A thread that does not come back is missing here, and not in a new process.
                house.observed.look_after_deadlines(move |_| ask())?;
                control.say(&Word::Ready).context("tell the supervisor that all is ready")?;
                let house = Arc::clone(&house);
                thread::spawn(move || house.obey_supervisor(&control));
            }
        }
        thread::spawn(move || house.obey_signals(signals));
        Ok(())
    }
}

/// The servers, and the sockets that they were made of.
struct House {
    servers: Servers,
    /// None since they were told to end: nobody is to wait at a door that is opened no more.
    doors: Mutex<Vec<Door>>,
    observed: Arc<Observed>,
    stopped: AtomicBool,
    /// There is no supervisor.
    alone: bool,
}

impl House {
    /// What a process does that nobody replaces, when its threads do not come back.
    fn lose_threads(self: &Arc<Self>, options: &Options) -> anyhow::Result<()> {
        let house = Arc::clone(self);
        let threads = all_threads(&lock(&self.doors), options);
        self.observed.look_after_deadlines(move |lost| {
            if lost >= threads {
                say(format_args!("cgigate: serve: no thread has come back; it ends"));
                house.stop();
            }
        })
    }

    fn obey_supervisor(&self, control: &Arc<Control>) {
        let mut retired = false;
        // Without a supervisor nobody would replace it or stop it: it ends.
        while let Ok(Some(word)) = control.hear() {
            match word {
                Word::Stop => break,
                Word::Retire => {
                    retired = true;
                    lock(&self.doors).clear();
                    let heir = Arc::clone(control);
                    self.servers.retire(move |socket, spoken| heir.pass(socket, spoken));
                }
                // They have met on their way: there is somebody else.
                Word::Connection(it) if retired => drop(control.say(&Word::Connection(it))),
                Word::Connection(it) => self.servers.adopt(it),
                Word::Reopen => self.observed.logs().reopen(),
                Word::Ready | Word::Replace => {}
            }
        }
        self.stop();
    }

    fn obey_signals(&self, mut signals: Signals) {
        let mut stopping = false;
        while let Ok(signal) = signals.wait() {
            match signal {
                Signal::Stop if stopping => std::process::exit(1),
                Signal::Stop => {
                    stopping = true;
                    tell_manager("STOPPING=1");
                    self.stop();
                }
                Signal::Reopen => self.observed.logs().reopen(),
                Signal::Reload if self.alone => say(format_args!(
                    "cgigate: reload: the listener came on descriptor 0, so whoever handed it over has to start another process"
                )),
                // The supervisor's business: a terminal sends it to all of its processes.
                Signal::Reload => {}
            }
        }
    }

    /// Once, whoever says so first.
    fn stop(&self) {
        lock(&self.doors).clear();
        if !self.stopped.swap(true, Ordering::SeqCst) {
            self.servers.stop();
        }
    }
}

/// One line for each listener, with the real port: the server is ready.
fn announce(doors: &[Door], workers: usize, options: &Options, admin: Option<&Address>) {
    for &Door { served, ref listener } in doors {
        let (address, threads) = (listener.address(), threads(served, options));
        let size = format_args!("{workers} workers x {threads} threads");
        say_at(Level::Info, format_args!("cgigate: {served} on {address}, {size}"));
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
    doors: Vec<Door>,
    board: Option<Arc<Scoreboard>>,
    admin: Option<Address>,
    logs: Logs,
) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let (workers, options) = (server.workers, server.clone());
    let listener =
        |door: &Door| Ok((door.served.to_string(), door.listener.as_fd().try_clone_to_owned()?));
    let sockets = doors.iter().map(listener).collect::<anyhow::Result<_>>()?;
    let doors = Arc::new(Mutex::new(doors));
    let (announced, reopened) = (Arc::clone(&doors), logs.clone());
    let ready = move || {
        logs.begin(|| announce(&lock(&announced), workers, &options, admin.as_ref()));
    };
    let plan = Plan {
        workers,
        listeners: sockets,
        board,
        graceful_timeout: server.graceful_timeout,
        start_timeout: server.start_timeout,
        ready: Box::new(ready),
        // A socket's file goes at once, as when there is one process.
        stopping: Box::new(move || lock(&doors).clear()),
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
