//! Which process of a server this is: one that serves alone, a supervisor, or one of its workers.

use super::{
    options::{Served, Server as Options},
    wear::Wear,
};
use crate::{
    gateway::{Control, End, Handle, Inheritance, Plan, Supervisor, Word, tell_manager},
    net::{Address, Heir, Listener},
    sys::{Signal, Signals, raise_descriptor_limit, say},
};
use anyhow::Context as _;
use std::{
    os::fd::{AsFd, OwnedFd},
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
    pub(super) fn inherited() -> anyhow::Result<Option<(Self, Vec<Listener>)>> {
        let inherited = Inheritance::take().context("CGIGATE_WORKER")?;
        Ok(inherited.map(|Inheritance { control, listeners }| {
            (Self::Worker(control), listeners.into_iter().map(Listener::lent).collect())
        }))
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
        served: Served,
        listeners: Vec<Listener>,
        threads: usize,
        server: impl Told,
        wear: &Wear,
    ) -> anyhow::Result<()> {
        let listeners = Mutex::new(listeners);
        let house = Arc::new(House { server, listeners, stopped: AtomicBool::new(false) });
        match self {
            Self::Lone => {
                announce(served, &lock(&house.listeners), 1, threads);
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

/// What a server can be told while it serves.
pub(super) trait Told: Send + Sync + 'static {
    /// No new connections, and none kept; what is in flight ends. To be said once.
    fn stop(&self);
    /// The same, but connections without a request go to the heir.
    fn retire(&self, heir: Heir);
    /// Takes a connection that another server had.
    fn adopt(&self, connection: OwnedFd);
}

impl Told for Handle {
    fn stop(&self) {
        Self::stop(self);
    }

    fn retire(&self, heir: Heir) {
        Self::retire(self, heir);
    }

    fn adopt(&self, connection: OwnedFd) {
        Self::adopt(self, connection);
    }
}

/// A server, and the sockets that it was made of.
struct House<S> {
    server: S,
    /// None of them since it was told to end: nobody is to wait at a door that is opened no more.
    listeners: Mutex<Vec<Listener>>,
    stopped: AtomicBool,
}

impl<S: Told> House<S> {
    fn obey_supervisor(&self, control: &Arc<Control>) {
        let mut retired = false;
        // Without a supervisor nobody would replace it or stop it: it ends.
        while let Ok(Some(word)) = control.hear() {
            match word {
                Word::Stop => break,
                Word::Retire => {
                    retired = true;
                    lock(&self.listeners).clear();
                    let heir = Arc::clone(control);
                    self.server.retire(Box::new(move |socket| heir.pass(socket)));
                }
                // They have met on their way: there is somebody else.
                Word::Connection(socket) if retired => drop(control.pass(socket.as_fd())),
                Word::Connection(socket) => self.server.adopt(socket),
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
                Signal::Reload | Signal::Reopen => {}
            }
        }
    }

    /// Once, whoever says so first.
    fn stop(&self) {
        lock(&self.listeners).clear();
        if !self.stopped.swap(true, Ordering::SeqCst) {
            self.server.stop();
        }
    }
}

/// One line for each listener, with the real port: the server is ready.
fn announce(served: Served, listeners: &[Listener], workers: usize, threads: usize) {
    for listener in listeners {
        let address = listener.address();
        say(format_args!("cgigate: {served} on {address}, {workers} workers x {threads} threads"));
        if served == Served::Http && matches!(address, Address::Tcp(_)) {
            say(format_args!("cgigate: open http://{address}/"));
        }
    }
    tell_manager("READY=1");
}

/// Has `--workers` processes serve, until a signal says to stop.
pub(super) fn supervise(
    server: &Options,
    served: Served,
    listeners: Vec<Listener>,
    threads: usize,
) -> anyhow::Result<ExitCode> {
    raise_descriptor_limit();
    let workers = server.workers;
    let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
    let sockets = sockets.collect::<Result<_, _>>()?;
    let listeners = Arc::new(Mutex::new(listeners));
    let announced = Arc::clone(&listeners);
    let plan = Plan {
        workers,
        listeners: sockets,
        graceful_timeout: server.graceful_timeout,
        ready: Box::new(move || announce(served, &lock(&announced), workers, threads)),
        // A socket's file goes at once, as when there is one process.
        stopping: Box::new(move || lock(&listeners).clear()),
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
