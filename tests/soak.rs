//! A long run with everything at once: `scripts/soak` starts it, and says how long.
//!
//! First all kinds of clients go at workers that nobody disturbs, in every protocol: their memory,
//! descriptors and threads must stay what they are. Then the same with reloads and crashes. Each
//! request has a number, by which the access log knows it: so of each it is known what its client got
//! and who answered it, once, and one that was lost must have been a dead worker's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(target_os = "linux")]

mod fleet;

use cgigate::fcgi::{self, RecordType, RequestId};
use fleet::{
    Server, folder, kill, lives,
    talk::{Protocol, Talk},
    testbed, until_true,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, PipeReader},
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

/// Threads of a worker: for web servers, and for HTTP.
const THREADS: u64 = 2 * 8;

/// How many go at it at a time.
const CLIENTS: u64 = 8 + 5 + 3 + 3;

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
    ledger: Mutex<HashMap<u64, Page>>,
}

/// What became of a request, as its client has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Abandoned,
    Lost,
}

/// A request of which not all is known, or not all is well.
#[derive(Debug, Default)]
struct Page {
    fate: Option<Fate>,
    /// Who has logged it, and how it ended there.
    lines: Vec<(u32, String)>,
}

impl Tally {
    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    fn fate(&self, number: u64, fate: Fate) {
        let counter = match fate {
            Fate::Answered => &self.answered,
            Fate::Abandoned => &self.abandoned,
            Fate::Lost => &self.lost,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.note(number, |page| page.fate = Some(fate));
    }

    /// A page that is as it should be is closed: one that is opened again has a line too many.
    fn note(&self, number: u64, write: impl FnOnce(&mut Page)) {
        let mut ledger = self.ledger.lock().unwrap();
        let page = ledger.entry(number).or_default();
        write(page);
        let closed = match (page.fate, &page.lines[..]) {
            (Some(Fate::Answered), [(_, ending)]) => ending == "200 whole",
            (Some(Fate::Abandoned), [_]) => true,
            _ => false,
        };
        if closed {
            ledger.remove(&number);
        }
    }

    /// Reads the access log until its end. Who gave up before it was understood has no number there.
    fn read(&self, log: PipeReader) {
        for line in BufReader::new(log).lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            let Some(number) = line["request_id"].as_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            let pid = u32::try_from(line["pid"].as_u64().unwrap()).unwrap();
            let ending = format!("{} {}", line["status"], line["ending"].as_str().unwrap());
            self.note(number, |page| page.lines.push((pid, ending)));
        }
    }
}

/// What a client does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    protocol: Protocol,
    socket: PathBuf,
    manner: Manner,
    kept: Option<Talk>,
    /// How many crashes there had been when its connection was last known to be good.
    good: u64,
}

impl Client {
    fn run(mut self) {
        for round in 0.. {
            if self.tally.over.load(Ordering::Relaxed) {
                return;
            }
            let number = self.tally.sent.fetch_add(1, Ordering::Relaxed);
            let before = self.tally.crashes.load(Ordering::SeqCst);
            if self.kept.is_none() {
                self.good = before;
            }
            let outcome = match self.manner {
                Manner::Kept | Manner::Fresh => self.ask(number, round),
                Manner::Slow => self.crawl(number, round),
                Manner::Fickle => self.leave(number, round),
            };
            match outcome {
                Ok(fate) => self.tally.fate(number, fate),
                Err(error) => self.explain(number, &error),
            }
            if self.kept.is_some() {
                // It was after this: now it may be long after that.
                self.good = before;
            }
        }
    }

    fn explain(&mut self, number: u64, error: &io::Error) {
        self.kept = None;
        let now = self.tally.crashes.load(Ordering::SeqCst);
        if self.good % 2 == 1 || now != self.good {
            return self.tally.fate(number, Fate::Lost);
        }
        let what = format!("{number}, {:?} {:?}: {error}", self.protocol, self.manner);
        self.tally.unexplained.lock().unwrap().push(what);
    }

    fn connection(&mut self) -> io::Result<Talk> {
        self.kept.take().map_or_else(|| Talk::connect(self.protocol, &self.socket), Ok)
    }

    fn take(&mut self, mut connection: Talk, target: &str, length: usize) -> io::Result<Fate> {
        let (body, stays) = connection.answer()?;
        if body.len() != length {
            return Err(io::Error::other(format!("{target}: {} bytes", body.len())));
        }
        self.kept = (stays && self.manner != Manner::Fresh).then_some(connection);
        Ok(Fate::Answered)
    }

    fn ask(&mut self, number: u64, round: u64) -> io::Result<Fate> {
        let mut connection = self.connection()?;
        let body = vec![b'b'; (round * 997 % 70_000) as usize];
        let (target, body, length) = match round % 5 {
            0 => ("/hello", &b""[..], 12),
            1 => ("/echo", &body[..], body.len()),
            2 => ("/sleep?ms=2", &b""[..], 8),
            3 => ("/bytes?n=150000", &b""[..], 150_000),
            _ => ("/stream?chunks=3&size=1000&delay_ms=1", &b""[..], 3000),
        };
        let wire = connection.request(number, target, body, self.manner == Manner::Kept);
        connection.send(&wire)?;
        self.take(connection, target, length)
    }

    fn crawl(&mut self, number: u64, round: u64) -> io::Result<Fate> {
        let mut connection = self.connection()?;
        let (target, body, length) = match round % 2 {
            0 => ("/echo", &[b'c'; 400][..], 400),
            _ => ("/bytes?n=500000", &b""[..], 500_000),
        };
        for piece in connection.request(number, target, body, true).chunks(40) {
            connection.send(piece)?;
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(20));
        self.take(connection, target, length)
    }

    /// Its answers are of no interest, and its connection ends with it.
    fn leave(&mut self, number: u64, round: u64) -> io::Result<Fate> {
        let mut connection = Talk::connect(self.protocol, &self.socket)?;
        let target = match round % 3 {
            0 => "/stream?chunks=1000&size=1000&delay_ms=1",
            1 => "/sleep?ms=5",
            _ => "/count",
        };
        let wire = connection.request(number, target, &[b'l'; 5000], true);
        // Cut anywhere: in the variables, in the body, or after it.
        let cut = match round % 4 {
            0 => wire.len(),
            1 => 30,
            2 => wire.len() - 10,
            _ => wire.len() / 2,
        };
        // That it is cut off by a crash is no news to it.
        let _ = connection.send(&wire[..cut]);
        if self.protocol == Protocol::FastCgi && round.is_multiple_of(2) && cut == wire.len() {
            let mut abort = Vec::new();
            fcgi::abort_request(&mut abort, ID);
            let _ = connection.send(&abort);
        }
        if self.protocol == Protocol::FastCgi && round.is_multiple_of(7) {
            let mut more = Vec::new();
            fcgi::stream(&mut more, RecordType::Data, ID, b"what nobody wants");
            let _ = connection.send(&more);
        }
        thread::sleep(Duration::from_millis(round % 4));
        Ok(Fate::Abandoned)
    }
}

fn clients(server: &Server, tally: &Arc<Tally>) -> Vec<thread::JoinHandle<()>> {
    use Manner::{Fickle, Fresh, Kept, Slow};
    let mut clients = Vec::new();
    for (protocol, name) in Protocol::ALL {
        let manners = match protocol {
            Protocol::FastCgi => &[Kept, Kept, Kept, Fresh, Slow, Slow, Fickle, Fickle][..],
            Protocol::Http => &[Kept, Kept, Fresh, Slow, Fickle],
            Protocol::Scgi | Protocol::Uwsgi => &[Fresh, Slow, Fickle],
        };
        for manner in manners {
            let (tally, socket) = (Arc::clone(tally), server.folder.join(name));
            let client = Client { tally, protocol, socket, manner: *manner, kept: None, good: 0 };
            clients.push(thread::spawn(move || client.run()));
        }
    }
    assert_eq!(clients.len() as u64, CLIENTS);
    clients
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

/// A worker dies, by its own hand or by another's: who it was, and how many connections it can have
/// had at most.
fn crash(server: &mut Server, tally: &Tally, by_itself: bool) -> (u32, u64) {
    let before = server.workers();
    tally.crashes.fetch_add(1, Ordering::SeqCst);
    let mut most = CLIENTS;
    if by_itself {
        let mut connection =
            Talk::connect(Protocol::FastCgi, &server.folder.join("fastcgi")).unwrap();
        let wire = connection.request(u64::MAX, "/fault?how=abort", b"", false);
        connection.send(&wire).unwrap();
        assert!(connection.answer().is_err());
    } else {
        // What it has now, it has when it dies.
        kill("-STOP", before[0]);
        until_true("it stands still", || stands_still(before[0]));
        most = connections(before[0]);
        kill("-KILL", before[0]);
    }
    until_true("one is gone", || before.iter().any(|pid| !lives(*pid)));
    server.until("another takes its place");
    until_true("all are there", || server.workers().len() >= WORKERS);
    // Who was cut off has seen it by now, or will see it at its next request.
    tally.crashes.fetch_add(1, Ordering::SeqCst);
    let dead = before.into_iter().find(|pid| !lives(*pid)).unwrap();
    (dead, most)
}

fn stands_still(pid: u32) -> bool {
    let stat = |task: io::Result<fs::DirEntry>| fs::read_to_string(task?.path().join("stat"));
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.is_ok_and(|mut tasks| tasks.all(|task| stat(task).is_ok_and(|it| it.contains(") T "))))
}

/// Sockets beyond those that listen, and its line to the supervisor.
fn connections(pid: u32) -> u64 {
    let is_socket = |entry: io::Result<fs::DirEntry>| {
        let target = fs::read_link(entry?.path())?;
        io::Result::Ok(target.to_string_lossy().starts_with("socket:"))
    };
    let sockets = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(is_socket);
    let sockets = sockets.filter(|is_socket| matches!(is_socket, Ok(true))).count() as u64;
    // Each listener has two numbers there.
    sockets.saturating_sub(2 * Protocol::ALL.len() as u64 + 1)
}

fn start(folder: &Path) -> (Server, PipeReader) {
    let (log, stdout) = io::pipe().unwrap();
    let mut command = Command::new(testbed());
    command.arg("fastcgi").args(["--access-log", "-", "--log-format", "json"]).stdout(stdout);
    for (_, name) in Protocol::ALL {
        command.args(["--listen", &format!("{name}+unix:{}", folder.join(name).display())]);
    }
    command.args(["--workers", &WORKERS.to_string(), "--threads", "8"]);
    command.args(["--read-timeout", "2s", "--max-body", "1M"]);
    let mut server = Server::run(folder.into(), &mut command);
    server.until("http on");
    (server, log)
}

/// Of each request it is known what became of it, and who took it with him if it was lost.
fn check_the_ledger(checks: &mut Checks, tally: &Tally, dead: &[u32]) {
    let ledger = tally.ledger.lock().unwrap();
    let pages = |fits: &dyn Fn(&Page) -> bool| -> Vec<_> {
        ledger.iter().filter(|(number, page)| **number < u64::MAX && fits(page)).collect()
    };
    let by_a_survivor = |page: &Page| page.lines.iter().any(|(pid, _)| !dead.contains(pid));
    let twice = pages(&|page| page.lines.len() > 1 || page.fate.is_none());
    checks.check("no request was answered twice", twice.is_empty(), &twice);
    let stolen = pages(&|page| page.fate == Some(Fate::Lost) && by_a_survivor(page));
    checks.check("what was lost was a dead worker's", stolen.is_empty(), &stolen);
    let odd = pages(&|page| page.fate == Some(Fate::Answered) && !page.lines.is_empty());
    checks.check("what was answered is logged as it was", odd.is_empty(), &odd);
    // The one is out a moment before the other: who dies between them has done half of it.
    let unlogged = pages(&|page| page.fate == Some(Fate::Answered) && page.lines.is_empty()).len();
    let most = THREADS * dead.len() as u64;
    let seen = (unlogged, dead.len());
    checks.check(
        "only the dead have not logged what they answered",
        unlogged as u64 <= most,
        &seen,
    );
}

#[test]
#[ignore = "takes as long as it is told to: scripts/soak"]
fn soak() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(600, |text| text.parse().unwrap());
    let span = |percent: u64| Duration::from_millis(seconds * 10 * percent);
    let (mut checks, tally) = (Checks::default(), Arc::new(Tally::default()));
    let (mut server, log) = start(&folder("soak"));
    let reader = Arc::clone(&tally);
    let reader = thread::spawn(move || reader.read(log));
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
    let (mut reloads, mut dead, mut most) = (0, Vec::new(), 0);
    while began.elapsed() < span(45) {
        for _ in 0..3 {
            server.signal("-HUP");
            server.until("new workers serve");
            reloads += 1;
            thread::sleep(Duration::from_millis(300));
        }
        until_true("the old ones go", || server.workers().len() == WORKERS);
        let (pid, connections) = crash(&mut server, &tally, reloads % 2 == 0);
        dead.push(pid);
        most += connections;
        // Longer than the time in which a death counts as an early one.
        thread::sleep(Duration::from_millis(1500));
    }
    let _ = rest(&server, &tally, clients);
    checks.check("there were reloads and crashes", !dead.is_empty(), &(reloads, dead.len()));
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
    checks.check("a crash takes one of each connection at most", lost <= most, &(lost, most));
    checks.check("there was work", answered > 100 * seconds.min(60) / 10, &answered);
    let workers = server.workers();
    server.signal("-TERM");
    let code = server.end();
    checks.check("it ends well", code == Some(0), &code);
    checks.check("with all its workers", workers.iter().all(|pid| !lives(*pid)), &workers);
    reader.join().unwrap();
    check_the_ledger(&mut checks, &tally, &dead);
    println!("soak: {} passed, {} failed", checks.passed, checks.failed);
    assert_eq!(checks.failed, 0);
}
