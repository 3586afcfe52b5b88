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
    gateway::{
        Block, Control, End, Executable, Inheritance, Plan, Predecessor, Scoreboard, Supervisor,
        Word, tell_manager,
    },
    lock::lock,
    net::{Address, Counter, Listener, Siblings},
    sys::{Level, Signal, Signals, raise_descriptor_limit, say, say_at, survive_full_files},
};
use anyhow::Context as _;
use std::{
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A process that serves.
pub(super) enum Process {
    /// There is no other.
    Lone(Lone),
    /// A supervisor has started it, and listens at the other end.
    Worker(Inheritance),
}

/// What a process needs to know to be succeeded by another.
pub(super) struct Lone {
    /// Where it was started from: at its reload another file may have that name.
    executable: PathBuf,
    /// Where its `--admin` listens.
    admin: Option<Address>,
    board: Option<Arc<Scoreboard>>,
}

impl Lone {
    pub(super) fn new(
        admin: Option<Address>,
        board: Option<Arc<Scoreboard>>,
    ) -> anyhow::Result<Self> {
        Ok(Self { executable: Executable::path().context("find this executable")?, admin, board })
    }
}

impl Process {
    /// What this process was started as, and the sockets that it was started with.
    ///
    /// # Errors
    /// The variable that a supervisor sets is there, and no supervisor.
    pub(super) fn inherited() -> anyhow::Result<Option<(Self, Vec<Door>)>> {
        let inherited = Inheritance::take().context("CGIGATE_WORKER")?;
        let Some(mut inherited) = inherited else { return Ok(None) };
        let listeners = std::mem::take(&mut inherited.listeners);
        let door = |(name, fd): (String, _)| {
            let served: Served = name.parse().with_context(|| format!("serve {name}"))?;
            Ok(Door { served, listener: Listener::lent(fd) })
        };
        let doors = listeners.into_iter().map(door).collect::<anyhow::Result<_>>()?;
        Ok(Some((Self::Worker(inherited), doors)))
    }

    /// Where this worker keeps count, if it does.
    pub(super) fn take_block(&mut self) -> Option<Block> {
        match self {
            Self::Lone(_) => None,
            Self::Worker(inherited) => inherited.block.take(),
        }
    }

    /// The servers of that kind in other workers.
    pub(super) fn siblings(&self, counter: Counter) -> Siblings {
        match self {
            Self::Worker(Inheritance { vacancies: Some((vacancies, at)), .. }) => {
                Siblings::new(Arc::clone(vacancies), *at, counter)
            }
            Self::Lone(_) | Self::Worker(_) => Siblings::default(),
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
            Self::Worker(inherited) => inherited.shares || server.workers > 1,
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
    ) -> anyhow::Result<Running> {
        let (doors, stopped) = (Mutex::new(doors), AtomicBool::new(false));
        let successor = <(Mutex<Successor>, Condvar)>::default();
        let house = Arc::new(House { servers, doors, observed, stopped, successor });
        let running = Running(Arc::clone(&house));
        let lone = match self {
            Self::Lone(lone) => {
                let doors = lock(&house.doors);
                let announce = || announce(&doors, 1, options, lone.admin.as_ref());
                house.observed.logs().begin(announce);
                drop(doors);
                tell_manager("READY=1");
                house.lose_threads(options)?;
                let house = Arc::clone(&house);
                // Whoever started it starts another.
                wear.then(move || house.stop());
                Some(lone)
            }
            Self::Worker(inherited) => {
                house.observed.logs().begin(|| {});
                let control = Arc::new(inherited.control);
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
                None
            }
        };
        let options = options.clone();
        thread::spawn(move || house.obey_signals(signals, lone.as_ref(), &options));
        Ok(running)
    }
}

/// A process whose servers serve.
pub(super) struct Running(Arc<House>);

impl Running {
    /// The servers have ended: waits for the end of those that have succeeded them, if any have. The
    /// exit status.
    pub(super) fn await_end(&self) -> ExitCode {
        let (successor, changed) = &self.0.successor;
        let serves = |successor: &mut Successor| matches!(successor, Successor::Serves);
        let ended = changed.wait_while(lock(successor), serves);
        match *ended.unwrap_or_else(PoisonError::into_inner) {
            Successor::None | Successor::Serves => ExitCode::SUCCESS,
            Successor::Ended(code) => code,
        }
    }
}

/// Who has taken over from a process that served alone, and became the supervisor of those.
#[derive(Clone, Copy, Default)]
enum Successor {
    #[default]
    None,
    Serves,
    Ended(ExitCode),
}

/// The servers, and the sockets that they were made of.
struct House {
    servers: Servers,
    /// None since they were told to end: nobody is to wait at a door that is opened no more.
    doors: Mutex<Vec<Door>>,
    observed: Arc<Observed>,
    stopped: AtomicBool,
    successor: (Mutex<Successor>, Condvar),
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

    fn obey_signals(
        self: &Arc<Self>,
        mut signals: Signals,
        lone: Option<&Lone>,
        options: &Options,
    ) {
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
                Signal::Reload => {
                    // Else it is the supervisor's business: a terminal sends it to all processes.
                    stopping |= self.stopped.load(Ordering::SeqCst);
                    let Some(lone) = lone.filter(|_| !stopping) else { continue };
                    let end = self.be_succeeded(&mut signals, lone, options);
                    let code = match end {
                        Ok(End::Stopped) => ExitCode::SUCCESS,
                        Ok(End::Cut) => std::process::exit(1),
                        Ok(End::Failed(code)) => code.into(),
                        Err(error) => {
                            say(format_args!("cgigate: reload: {error:#}"));
                            ExitCode::FAILURE
                        }
                    };
                    let (successor, changed) = &self.successor;
                    let mut successor = lock(successor);
                    if matches!(*successor, Successor::Serves) {
                        *successor = Successor::Ended(code);
                        return changed.notify_all();
                    }
                    stopping = self.stopped.load(Ordering::SeqCst);
                    if !stopping {
                        say(format_args!(
                            "cgigate: reload: the new process is not ready; the old one goes on serving"
                        ));
                    }
                }
            }
        }
    }

    /// Starts what is on disk now. Once that is ready, this process finishes what it has, and is its
    /// supervisor until the end; its pid is what whoever started it knows.
    fn be_succeeded(
        self: &Arc<Self>,
        signals: &mut Signals,
        lone: &Lone,
        options: &Options,
    ) -> anyhow::Result<End> {
        let (heir, control) = Control::pair()?;
        let heir = Arc::new(heir);
        let (retires, stops, reopens) = (Arc::clone(self), Arc::clone(self), Arc::clone(self));
        let ready = move || {
            *lock(&retires.successor.0) = Successor::Serves;
            say_at(
                Level::Info,
                format_args!("cgigate: reload: a new process serves, the old one finishes"),
            );
            lock(&retires.doors).clear();
            retires.servers.retire(move |socket, spoken| heir.pass(socket, spoken));
        };
        let plan = Plan {
            workers: 1,
            listeners: lock(&self.doors).iter().map(shared).collect::<anyhow::Result<_>>()?,
            board: lone.board.clone(),
            graceful_timeout: options.graceful_timeout,
            start_timeout: options.start_timeout,
            ready: Box::new(ready),
            stopping: Box::new(move || stops.stop()),
            reopen: Box::new(move || reopens.observed.logs().reopen()),
            predecessor: Some(Predecessor { executable: lone.executable.clone(), control }),
        };
        let name = || format!("start {}", lone.executable.display());
        Ok(Supervisor::new(plan, signals).with_context(name)?.run()?)
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
    survive_full_files();
    let (workers, options) = (server.workers, server.clone());
    let sockets = doors.iter().map(shared).collect::<anyhow::Result<_>>()?;
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
        predecessor: None,
    };
    let mut signals = Signals::install().context("catch signals")?;
    let supervisor = Supervisor::new(plan, &mut signals).context("supervise workers")?;
    Ok(match supervisor.run().context("supervise workers")? {
        End::Stopped => ExitCode::SUCCESS,
        End::Cut => ExitCode::FAILURE,
        End::Failed(code) => code.into(),
    })
}

/// A door's socket, for others too, with the name of what is spoken there.
fn shared(door: &Door) -> anyhow::Result<(String, OwnedFd)> {
    Ok((door.served.to_string(), door.listener.as_fd().try_clone_to_owned()?))
}
