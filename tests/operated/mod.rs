//! The testbed as an operator runs it: started, asked for its status, told things, ended.
// Each of the tests' files uses some of it.
#![allow(dead_code, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../built/mod.rs"]
mod built;

pub(crate) use built::testbed;
use cgigate::fcgi::{self, RecordType, RequestId, Role};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    num::NonZeroU16,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// What is waited for comes by then, or never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    process: Child,
    /// What it has said so far, and whether that is all.
    said: Arc<(Mutex<(String, bool)>, Condvar)>,
    pub(crate) folder: PathBuf,
}

impl Server {
    /// `cgigate PROTOCOL` of the testbed, once it is ready. `{folder}` in an option is its own folder.
    pub(crate) fn start(protocol: &str, options: &[&str]) -> Self {
        let server = Self::begin(protocol, options, Stdio::null());
        server.until(&format!("{protocol} on"));
        server
    }

    /// The same with these variables.
    pub(crate) fn start_with(protocol: &str, options: &[&str], environ: &[(&str, &str)]) -> Self {
        let (folder, mut command) = Self::command(protocol);
        command.args(["--listen", &format!("unix:{}/socket", folder.display())]);
        command.envs(environ.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null());
        let server = Self::spawn(command, folder, options);
        server.until(&format!("{protocol} on"));
        server
    }

    /// The same as one process, as whoever hands over a socket on descriptor 0 starts it.
    pub(crate) fn start_alone(protocol: &str, options: &[&str]) -> Self {
        let (place, mut command) = Self::command(protocol);
        let listener = UnixListener::bind(place.join("socket")).unwrap();
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::null());
        let server = Self::spawn(command, place, options);
        server.until(&format!("{protocol} on"));
        server
    }

    /// As `start`, without waiting for anything.
    pub(crate) fn begin(protocol: &str, options: &[&str], stdout: Stdio) -> Self {
        let (folder, mut command) = Self::command(protocol);
        command.args(["--listen", &format!("unix:{}/socket", folder.display())]);
        command.stdin(Stdio::null()).stdout(stdout);
        Self::spawn(command, folder, options)
    }

    fn command(protocol: &str) -> (PathBuf, Command) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cgigate-operated-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(testbed());
        command.arg(protocol).env_remove("JOURNAL_STREAM");
        (folder, command)
    }

    fn spawn(mut command: Command, folder: PathBuf, options: &[&str]) -> Self {
        let place = folder.to_str().unwrap();
        command.args(options.iter().map(|option| option.replace("{folder}", place)));
        command.stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stderr = process.stderr.take().unwrap();
        let said = Arc::new((Mutex::new((String::new(), false)), Condvar::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
                heard.0.lock().unwrap().0.push_str(&(line + "\n"));
                heard.1.notify_all();
            }
            heard.0.lock().unwrap().1 = true;
            heard.1.notify_all();
        });
        Self { process, said, folder }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.0.lock().unwrap().0.clone()
    }

    /// Waits until it has said `part`.
    pub(crate) fn until(&self, part: &str) {
        let quiet = |said: &mut (String, bool)| !said.0.contains(part) && !said.1;
        let said = self.said.1.wait_timeout_while(self.said.0.lock().unwrap(), PATIENCE, quiet);
        let said = said.unwrap().0.clone();
        assert!(said.0.contains(part), "it never said {part:?}, but: {}", said.0);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What the executable's own client gets, and its exit status.
    pub(crate) fn get(&self, path: &str) -> (String, Option<i32>) {
        let output = self.client(path).wait_with_output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
    }

    /// A client that may wait for its answer.
    pub(crate) fn client(&self, path: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_cgigate"))
            .args(["get", "--connect", &format!("unix:{}/socket", self.folder.display()), path])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path("socket")).unwrap()
    }

    /// Sends one FastCGI request of these variables, and leaves the answer to the caller.
    pub(crate) fn send(&self, vars: &[(&[u8], &[u8])]) -> UnixStream {
        let mut socket = self.connect();
        socket.write_all(&request(vars)).unwrap();
        socket
    }

    /// What HTTP on a Unix socket answers: head and body.
    pub(crate) fn http(&self, socket: &str, path: &str) -> (String, String) {
        http(UnixStream::connect(self.path(socket)).unwrap(), "GET", path)
    }

    /// The status that `--admin unix:{folder}/admin` tells.
    pub(crate) fn status(&self) -> serde_json::Value {
        let (head, body) = self.http("admin", "/status?format=json&full");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(&body).unwrap_or_else(|why| panic!("{why}: {body}"))
    }

    /// Waits until the status is as it should be.
    pub(crate) fn until_status(
        &self,
        what: &str,
        fits: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if fits(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} never came: {status}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(signal, self.process.id());
    }

    /// The processes that it has started.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let pid = self.process.id();
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Waits for its end: the exit status.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let talks = |said: &mut (String, bool)| !said.1;
        drop(self.said.1.wait_while(self.said.0.lock().unwrap(), talks).unwrap());
        self.process.wait().unwrap().code()
    }

    /// Tells it to stop, and waits until it has: the exit status.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers end with their supervisor.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

pub(crate) fn http(mut socket: UnixStream, method: &str, path: &str) -> (String, String) {
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.into(), body.into())
}

/// The records of one FastCGI request.
pub(crate) fn request(vars: &[(&[u8], &[u8])]) -> Vec<u8> {
    let id = RequestId(NonZeroU16::MIN);
    let (mut wire, mut params) = (Vec::new(), Vec::new());
    fcgi::begin_request(&mut wire, id, Role::Responder, false);
    for (name, value) in vars {
        fcgi::pair(&mut params, name, value);
    }
    for piece in params.chunks(65_528).chain([&[][..]]) {
        fcgi::stream(&mut wire, RecordType::Params, id, piece);
    }
    fcgi::stream(&mut wire, RecordType::Stdin, id, b"");
    wire
}
