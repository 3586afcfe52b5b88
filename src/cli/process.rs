//! Which process of a server this is: one that serves alone, a supervisor, or one of its workers.

use super::{
    doors::Door,
    options::{Served, Server as Options},
    serve::threads,
    servers::Servers,
    wear::Wear,
};
use crate::{
    gateway::{Control, End, Inheritance, Plan, Supervisor, Word, tell_manager},
    net::{Address, Listener},
    sys::{Signal, Signals, raise_descriptor_limit, say},
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
    /// There is no other.
    Lone,
    /// A supervisor has started it, and listens at the other end.
    Worker(Control),
}

impl Process {
    /// What this process was started as, and the sockets that it was started with.
    ///
    /// # Errors
    /// The variable that a supervisor sets is there, and no supervisor.
    pub(super) fn inherited() -> anyhow::Result<Option<(Self, Vec<Door>)>> {
        let inherited = Inheritance::take().context("CGIGATE_WORKER")?;
        let Some(Inheritance { control, listeners }) = inherited else { return Ok(None) };
        let door = |(name, fd): (String, _)| {
            let served: Served = name.parse().with_context(|| format!("serve {name}"))?;
            Ok(Door { served, listener: Listener::lent(fd) })
        };
        let doors = listeners.into_iter().map(door).collect::<anyhow::Result<_>>()?;
        Ok(Some((Self::Worker(control), doors)))
    }

    /// Whether a supervisor has started this process.
    pub(super) fn is_worker() -> bool {
        std::env::var_os(Inheritance::NAME).is_some()
    }

    /// Whether other processes may serve beside this one: `wsgi.multiprocess`.
    pub(super) fn has_others(&self, server: &Options) -> bool {
        match self {
            // Whoever hands over a socket on descriptor 0 may start as many as he likes.
            Self::Lone => true,
            Self::Worker(_) => server.workers > 1,
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
    ) -> anyhow::Result<()> {
        let (doors, stopped) = (Mutex::new(doors), AtomicBool::new(false));
        let alone = matches!(self, Self::Lone);
        let house = Arc::new(House { servers, doors, stopped, alone });
        match self {
            Self::Lone => {
                announce(&lock(&house.doors), 1, options);
                tell_manager("READY=1");
                let house = Arc::clone(&house);
                // Whoever started it starts another.
                wear.then(move || house.stop());
            }
            Self::Worker(control) => {
                let control = Arc::new(control);
                let asks = Arc::clone(&control);
                wear.then(move || {
                    if let Err(error) = asks.say(&Word::Replace) {
                        say(format_args!("cgigate: ask for a successor: {error}"));
                    }
                });
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
    stopped: AtomicBool,
    /// There is no supervisor.
    alone: bool,
}

impl House {
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
                Word::Reopen | Word::Ready | Word::Replace => {}
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
                Signal::Reload if self.alone => say(format_args!(
                    "cgigate: reload: the listener came on descriptor 0, so whoever handed it over has to start another process"
                )),
                // The supervisor's business: a terminal sends it to all of its processes.
                Signal::Reload | Signal::Reopen => {}
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
fn announce(doors: &[Door], workers: usize, options: &Options) {
    for &Door { served, ref listener } in doors {
        let (address, threads) = (listener.address(), threads(served, options));
        say(format_args!("cgigate: {served} on {address}, {workers} workers x {threads} threads"));
        if served == Served::Http && matches!(address, Address::Tcp(_)) {
            say(format_args!("cgigate: open http://{address}/"));
        }
    }
}

/// Has `--workers` processes serve, until a signal says to stop.
pub(super) fn supervise(server: &Options, doors: Vec<Door>) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let (workers, options) = (server.workers, server.clone());
    let listener =
        |door: &Door| Ok((door.served.to_string(), door.listener.as_fd().try_clone_to_owned()?));
    let sockets = doors.iter().map(listener).collect::<anyhow::Result<_>>()?;
    let doors = Arc::new(Mutex::new(doors));
    let announced = Arc::clone(&doors);
    let plan = Plan {
        workers,
        listeners: sockets,
        graceful_timeout: server.graceful_timeout,
        ready: Box::new(move || announce(&lock(&announced), workers, &options)),
        // A socket's file goes at once, as when there is one process.
        stopping: Box::new(move || lock(&doors).clear()),
        reopen: Box::new(|| {}),
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
