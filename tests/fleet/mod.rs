//! A server of several processes, as an operator has it, and clients that never let it rest.
// Each of the tests' files uses some of it.
#![allow(dead_code)]

pub(crate) mod load;
pub(crate) mod talk;

#[path = "../built/mod.rs"]
mod built;

pub(crate) use built::testbed;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

/// Long beyond all patience: a test that waits for it has failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A supervisor and its workers; they end with the test.
pub(crate) struct Server {
    process: Child,
    said: Receiver<String>,
    pub(crate) socket: PathBuf,
    pub(crate) folder: PathBuf,
}

impl Server {
    /// The testbed with these options, on a Unix socket of its own.
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        Self::of(name, "fastcgi", &testbed(), options)
    }

    pub(crate) fn of(name: &str, protocol: &str, executable: &Path, options: &[&str]) -> Self {
        let folder = folder(name);
        let socket = folder.join("s");
        let mut command = Command::new(executable);
        command.args([protocol, "--listen", &format!("unix:{}", socket.display())]).args(options);
        Self::run(folder, &mut command)
    }

    /// What the command starts, in a folder that goes with it.
    pub(crate) fn run(folder: PathBuf, command: &mut Command) -> Self {
        Self::begin(folder, command.stdin(Stdio::null()))
    }

    /// One process, with the listener on descriptor 0, as web servers and spawn-fcgi start it.
    pub(crate) fn alone(name: &str, executable: &Path, options: &[&str]) -> Self {
        let folder = folder(name);
        let listener = UnixListener::bind(folder.join("s")).unwrap();
        let mut command = Command::new(executable);
        Self::begin(folder, command.args(options).stdin(OwnedFd::from(listener)))
    }

    fn begin(folder: PathBuf, command: &mut Command) -> Self {
        let socket = folder.join("s");
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        // Read by a thread of its own: a server must not stand still because nobody reads its log.
        let (tell, said) = mpsc::channel();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        thread::spawn(move || {
            lines.map_while(Result::ok).try_for_each(|line| tell.send(line).map_err(drop))
        });
        Self { process, said, socket, folder }
    }

    /// The next line that it says; none when it has ended.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.said.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it says nothing"),
        }
    }

    /// Lines up to one that has this in it.
    pub(crate) fn until(&mut self, part: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("it ended without saying {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// All that it has said up to now and that nobody has heard.
    pub(crate) fn unheard(&mut self) -> Vec<String> {
        self.said.try_iter().collect()
    }

    /// What the executable's own client gets, and whether its exit status is 0.
    pub(crate) fn get(&self, path: &str) -> (String, bool) {
        self.get_at(&format!("unix:{}", self.socket.display()), path)
    }

    pub(crate) fn get_at(&self, address: &str, path: &str) -> (String, bool) {
        let output = Command::new(env!("CARGO_BIN_EXE_cgigate"))
            .args(["get", "--connect", address, path])
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(signal, self.pid());
    }

    /// The processes that it has started, and that have not ended.
    pub(crate) fn workers(&self) -> Vec<u32> {
        // Nobody any more who could have any: then there are no threads either.
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten();
        let children = tasks.flatten().map(|task| fs::read_to_string(task.path().join("children")));
        let text = children.flatten().collect::<Vec<_>>().join(" ");
        text.split_whitespace().map(|pid| pid.parse().unwrap()).filter(|pid| lives(*pid)).collect()
    }

    /// Waits for its end: the exit status.
    pub(crate) fn end(mut self) -> Option<i32> {
        while self.line().is_some() {}
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for worker in self.workers() {
            kill("-KILL", worker);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn kill(signal: &str, pid: u32) {
    // Who has ended meanwhile is told nothing.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Whether there is such a process, and not just its exit status.
pub(crate) fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

/// Waits for what becomes true by itself.
pub(crate) fn until_true(what: &str, mut is_true: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_true() {
        assert!(began.elapsed() < LIMIT, "in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// An empty folder of its own for a test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
