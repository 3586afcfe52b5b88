//! A long run with everything at once: `scripts/soak` starts it, and says how long.
//!
//! First all kinds of clients go at workers that nobody disturbs: their memory, descriptors and
//! threads must stay what they are. Then the same with reloads and crashes: of each request it is
//! known what became of it, and who fails without a crash is a fault.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use cgigate::fcgi::{self, RecordType, RequestId};
use fleet::{Server, folder, kill, lives, load::Kept, testbed, until_true};
use std::{
    fs, io,
    num::NonZeroU16,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const ID: RequestId = RequestId(NonZeroU16::MIN);
const WORKERS: usize = 2;

/// What all clients share.
#[derive(Default)]
struct Tally {
    over: AtomicBool,
    sent: AtomicU64,
    answered: AtomicU64,
    /// Requests that their clients gave up.
    abandoned: AtomicU64,
    /// Requests that a crash took with it.
    lost: AtomicU64,
    /// Odd: a worker is dying just now.
    crashes: AtomicU64,
    unexplained: Mutex<Vec<String>>,
}

impl Tally {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// What a client does with a request.
#[derive(Clone, Copy)]
enum Manner {
    Kept,
    Fresh,
    /// It sends some bytes at a time, and takes its time to read.
    Slow,
    /// It aborts, or goes away.
    Fickle,
}

struct Client {
    tally: Arc<Tally>,
    socket: PathBuf,
    manner: Manner,
    kept: Option<Kept>,
    /// How many crashes there had been when its connection was last known to be good.
    good: u64,
}

impl Client {
    fn run(mut self) {
        for number in 0.. {
            if self.tally.over.load(Ordering::Relaxed) {
                return;
            }
            Tally::add(&self.tally.sent);
            let before = self.tally.crashes.load(Ordering::SeqCst);
            if self.kept.is_none() {
                self.good = before;
            }
            let outcome = match self.manner {
                Manner::Kept | Manner::Fresh => self.ask(number),
                Manner::Slow => self.crawl(number),
                Manner::Fickle => self.leave(number),
            };
            match outcome {
                Ok(true) => Tally::add(&self.tally.answered),
                Ok(false) => Tally::add(&self.tally.abandoned),
                Err(error) => self.explain(&error),
            }
            if self.kept.is_some() {
                // It was after this: now it may be long after that.
                self.good = before;
            }
        }
    }

    fn explain(&mut self, error: &io::Error) {
        self.kept = None;
        let now = self.tally.crashes.load(Ordering::SeqCst);
        if self.good % 2 == 1 || now != self.good {
            Tally::add(&self.tally.lost);
        } else {
            let what = match self.manner {
                Manner::Kept => "kept",
                Manner::Fresh => "fresh",
                Manner::Slow => "slow",
                Manner::Fickle => "fickle",
            };
            self.tally.unexplained.lock().unwrap().push(format!("{what}: {error}"));
        }
    }

    fn connection(&mut self) -> io::Result<Kept> {
        self.kept.take().map_or_else(|| Kept::connect(&self.socket), Ok)
    }

    fn ask(&mut self, number: u64) -> io::Result<bool> {
        let keep = matches!(self.manner, Manner::Kept);
        let mut connection = self.connection()?;
        let body = vec![b'b'; (number * 997 % 70_000) as usize];
        let (target, body, length) = match number % 5 {
            0 => ("/hello", &b""[..], 12),
            1 => ("/echo", &body[..], body.len()),
            2 => ("/sleep?ms=2", &b""[..], 8),
            3 => ("/bytes?n=150000", &b""[..], 150_000),
            _ => ("/stream?chunks=3&size=1000&delay_ms=1", &b""[..], 3000),
        };
        let answer = connection.ask(target, body, keep)?;
        if answer.len() != length {
            return Err(io::Error::other(format!("{target}: {} bytes", answer.len())));
        }
        self.kept = keep.then_some(connection);
        Ok(true)
    }

    fn crawl(&mut self, number: u64) -> io::Result<bool> {
        let mut connection = self.connection()?;
        let target = if number.is_multiple_of(2) { "/echo" } else { "/bytes?n=500000" };
        let body: &[u8] = if number.is_multiple_of(2) { &[b'c'; 400] } else { b"" };
        for piece in connection.request(target, body, true).chunks(40) {
            connection.send(piece)?;
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(20));
        let length = connection.answer()?.len();
        self.kept = Some(connection);
        match length {
            400 | 500_000 => Ok(true),
            other => Err(io::Error::other(format!("{target}: {other} bytes"))),
        }
    }

    /// Its answers are of no interest, and its connection ends with it.
    fn leave(&mut self, number: u64) -> io::Result<bool> {
        let mut connection = Kept::connect(&self.socket)?;
        let target = match number % 3 {
            0 => "/stream?chunks=1000&size=1000&delay_ms=1",
            1 => "/sleep?ms=5",
            _ => "/count",
        };
        let wire = connection.request(target, &[b'l'; 5000], true);
        // Cut anywhere: in the variables, in the body, or after it.
        let cut = match number % 4 {
            0 => wire.len(),
            1 => 30,
            2 => wire.len() - 10,
            _ => wire.len() / 2,
        };
        // That it is cut off by a crash is no news to it.
        let _ = connection.send(&wire[..cut]);
        if number.is_multiple_of(2) && cut == wire.len() {
            let mut abort = Vec::new();
            fcgi::abort_request(&mut abort, ID);
            let _ = connection.send(&abort);
        }
        if number.is_multiple_of(7) {
            let mut more = Vec::new();
            fcgi::stream(&mut more, RecordType::Data, ID, b"what nobody wants");
            let _ = connection.send(&more);
        }
        thread::sleep(Duration::from_millis(number % 4));
        Ok(false)
    }
}

fn clients(server: &Server, tally: &Arc<Tally>) -> Vec<thread::JoinHandle<()>> {
    use Manner::{Fickle, Fresh, Kept, Slow};
    let manners = [Kept, Kept, Kept, Kept, Fresh, Fresh, Slow, Slow, Slow, Fickle, Fickle];
    let client = |manner| {
        let (tally, socket) = (Arc::clone(tally), server.socket.clone());
        let client = Client { tally, socket, manner, kept: None, good: 0 };
        thread::spawn(move || client.run())
    };
    manners.into_iter().map(client).collect()
}

/// What a process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Needs {
    /// KiB of its own.
    memory: u64,
    descriptors: usize,
    threads: u64,
}

impl Needs {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or(0)
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self { memory: field("RssAnon:"), descriptors, threads: field("Threads:") }
    }
}

/// Checks that say what was wrong, and go on.
#[derive(Default)]
struct Checks {
    passed: u32,
    failed: u32,
}

impl Checks {
    fn check(&mut self, what: &str, holds: bool, seen: &dyn std::fmt::Debug) {
        match holds {
            true => self.passed += 1,
            false => self.failed += 1,
        }
        println!("{} {what}: {seen:?}", if holds { "ok    " } else { "FAILED" });
    }
}

/// Nobody asks: until the workers have no connection any more, and are at rest.
fn rest(server: &Server, tally: &Arc<Tally>, clients: Vec<thread::JoinHandle<()>>) -> Vec<Needs> {
    tally.over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    tally.over.store(false, Ordering::Relaxed);
    let needs = || server.workers().into_iter().map(Needs::of).collect::<Vec<_>>();
    let mut last = needs();
    // What was abandoned runs on for a while.
    let began = Instant::now();
    let mut since = began;
    while since.elapsed() < Duration::from_secs(4) && began.elapsed() < Duration::from_secs(60) {
        thread::sleep(Duration::from_millis(100));
        let now = needs();
        let still = |at: usize| last.get(at).map(|it| (it.descriptors, it.threads));
        if now.len() != last.len()
            || now
                .iter()
                .enumerate()
                .any(|(at, it)| Some((it.descriptors, it.threads)) != still(at))
        {
            since = Instant::now();
        }
        last = now;
    }
    last
}

/// A worker dies: by its own hand, or by another's.
fn crash(server: &mut Server, tally: &Tally, by_itself: bool) {
    let before = server.workers();
    tally.crashes.fetch_add(1, Ordering::SeqCst);
    if by_itself {
        let mut connection = Kept::connect(&server.socket).unwrap();
        assert!(connection.ask("/fault?how=abort", b"", false).is_err());
    } else {
        kill("-KILL", before[0]);
    }
    until_true("one is gone", || before.iter().any(|pid| !lives(*pid)));
    server.until("another takes its place");
    until_true("all are there", || server.workers().len() >= WORKERS);
    // Who was cut off has seen it by now, or will see it at its next request.
    tally.crashes.fetch_add(1, Ordering::SeqCst);
}

fn start(folder: &Path) -> Server {
    let mut command = Command::new(testbed());
    command.args(["fastcgi", "--listen", &format!("unix:{}", folder.join("s").display())]);
    command.args(["--workers", &WORKERS.to_string(), "--threads", "8"]);
    command.args(["--read-timeout", "2s", "--max-body", "1M"]);
    let mut server = Server::run(folder.into(), &mut command);
    server.until("fastcgi on");
    server
}

#[test]
#[ignore = "takes as long as it is told to: scripts/soak"]
fn soak() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(600, |text| text.parse().unwrap());
    let span = |percent: u64| Duration::from_millis(seconds * 10 * percent);
    let (mut checks, tally) = (Checks::default(), Arc::new(Tally::default()));
    let mut server = start(&folder("soak"));
    let supervisor = Needs::of(server.pid());

    let run = |server: &Server, tally: &Arc<Tally>, percent| {
        let clients = clients(server, tally);
        thread::sleep(span(percent));
        rest(server, tally, clients)
    };
    // What is used for the first time stays; what is used again and again must not grow.
    let warm = run(&server, &tally, 15);
    let later = run(&server, &tally, 30);
    let flat = |what: fn(&Needs) -> u64, slack: u64| {
        warm.iter().zip(&later).all(|(warm, later)| what(later) <= what(warm) + slack)
    };
    let pair = (&warm, &later);
    checks.check("the same workers live", later.len() == WORKERS, &later.len());
    checks.check("memory is flat", flat(|it| it.memory, 8 << 10), &pair);
    checks.check("descriptors are flat", flat(|it| it.descriptors as u64, 0), &pair);
    checks.check("threads are flat", flat(|it| it.threads, 0), &pair);
    let lost = Tally::get(&tally.lost);
    checks.check("without a crash nothing is lost", lost == 0, &lost);

    let (began, clients) = (Instant::now(), clients(&server, &tally));
    let (mut reloads, mut crashes) = (0, 0);
    while began.elapsed() < span(45) {
        for _ in 0..3 {
            server.signal("-HUP");
            server.until("new workers serve");
            reloads += 1;
            thread::sleep(Duration::from_millis(300));
        }
        until_true("the old ones go", || server.workers().len() == WORKERS);
        crash(&mut server, &tally, reloads % 2 == 0);
        crashes += 1;
        // Longer than the time in which a death counts as an early one.
        thread::sleep(Duration::from_millis(1500));
    }
    let _ = rest(&server, &tally, clients);
    checks.check("there were reloads and crashes", crashes > 0, &(reloads, crashes));
    let now = Needs::of(server.pid());
    let same = now.descriptors == supervisor.descriptors && now.threads == supervisor.threads;
    checks.check("the supervisor needs what it needed", same, &(supervisor, now));
    let grown = now.memory.saturating_sub(supervisor.memory);
    checks.check("the supervisor has not grown", grown < 2 << 10, &grown);

    let Tally { sent, answered, abandoned, lost, .. } = &*tally;
    let [sent, answered, abandoned, lost] = [sent, answered, abandoned, lost].map(Tally::get);
    let unexplained = tally.unexplained.lock().unwrap().clone();
    checks.check("nothing failed without a crash", unexplained.is_empty(), &unexplained);
    let sum = answered + abandoned + lost + unexplained.len() as u64;
    let seen = (sent, answered, abandoned, lost);
    checks.check("each request is accounted for", sent == sum, &seen);
    // At most one for each connection that the dead one may have had.
    checks.check("a crash takes only what it had", lost <= crashes * 11, &(lost, crashes));
    checks.check("there was work", answered > 100 * seconds.min(60) / 10, &answered);
    let workers = server.workers();
    server.signal("-TERM");
    let code = server.end();
    checks.check("it ends well", code == Some(0), &code);
    checks.check("with all its workers", workers.iter().all(|pid| !lives(*pid)), &workers);
    println!("soak: {} passed, {} failed", checks.passed, checks.failed);
    assert_eq!(checks.failed, 0);
}
