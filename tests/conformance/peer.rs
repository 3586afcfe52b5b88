//! The testbed as a process of its own, and a web server's connection to it that is hard to please.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Beyond all patience: whoever waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The testbed, serving until this is dropped.
pub(crate) struct Testbed {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Testbed {
    pub(crate) fn start(args: &[&str]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cgigate-conformance-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/testbed");
        assert!(built.exists(), "no {}: cargo build --example testbed", built.display());
        let socket = format!("unix:{}/s", folder.display());
        let mut command = Command::new(built);
        command.env_clear().args(["fastcgi", "--listen", &socket, "--listen", "127.0.0.1:0"]);
        let mut child = command.args(args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.starts_with(&format!("cgigate: fastcgi on {socket}, ")), "{first}");
        let second = lines.next().unwrap().unwrap();
        let port = second.split([',', ':']).find_map(|word| word.parse().ok());
        // What it says from now on is of no interest, but must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, folder, port: port.unwrap_or_else(|| panic!("no port in {second}")) }
    }

    pub(crate) fn unix(&self) -> Peer {
        let socket = UnixStream::connect(self.folder.join("s")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::new(Socket::Unix(socket))
    }

    pub(crate) fn tcp(&self) -> Peer {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Peer::new(Socket::Tcp(socket))
    }

    pub(crate) fn is_listening(&self) -> bool {
        UnixStream::connect(self.folder.join("s")).is_ok()
            || TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The process that serves: the only child of the one that was started, which supervises it.
    fn worker(&self) -> u32 {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let mut children = children.split_whitespace().map(|child| child.parse().unwrap());
        let worker = children.next().unwrap_or(pid);
        assert_eq!(children.next(), None, "one worker");
        worker
    }

    /// A number of bytes or of threads that proc(5) says of the worker.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.worker())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let mut words = line.trim_start_matches(':').split_whitespace();
        let number: u64 = words.next().unwrap().parse().unwrap();
        if words.next() == Some("kB") { number << 10 } else { number }
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.worker())).unwrap().count()
    }

    /// Files of bodies that the worker has open, or as memory. They have no name any more.
    pub(crate) fn nameless_files(&self) -> usize {
        let worker = self.worker();
        let open = fs::read_dir(format!("/proc/{worker}/fd")).unwrap().flatten();
        let targets = open.flat_map(|entry| fs::read_link(entry.path()));
        let open: Vec<_> = targets.map(|target| target.to_string_lossy().into_owned()).collect();
        let mapped = fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
        let all = mapped.lines().chain(open.iter().map(String::as_str));
        all.filter(|file| file.contains("/cgigate-") && file.ends_with(" (deleted)")).count()
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// What came under one id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// appStatus and protocolStatus.
    pub(crate) end: Option<(u32, u8)>,
}

impl Answer {
    /// The header block and the body.
    pub(crate) fn parts(&self) -> Option<(String, &[u8])> {
        let at = self.stdout.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&self.stdout[..at]).into_owned();
        Some((head, &self.stdout[at + 4..]))
    }

    pub(crate) fn is(&self, status: &str) -> bool {
        let line = format!("Status: {status} ");
        self.parts().is_some_and(|(head, _)| head.split("\r\n").any(|l| l.starts_with(&line)))
    }

    pub(crate) fn body(&self) -> &[u8] {
        self.parts().map_or(&[], |(_, body)| body)
    }
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Record,
    End,
}

/// A connection as a web server has it. It panics at each byte that no application may send.
pub(crate) struct Peer {
    socket: Socket,
    received: Vec<u8>,
    pub(crate) answers: HashMap<u16, Answer>,
    /// Management records: their type and content.
    pub(crate) management: Vec<(u8, Vec<u8>)>,
}

impl Peer {
    fn new(socket: Socket) -> Self {
        Self { socket, received: vec![], answers: HashMap::new(), management: vec![] }
    }

    /// Fails when the peer has closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Unix(socket) => socket.write_all(bytes),
            Socket::Tcp(socket) => socket.write_all(bytes),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends from a thread of its own; it is no failure when the peer has enough.
    pub(crate) fn send_aside(&self, bytes: Vec<u8>) {
        let mut socket: Box<dyn Write + Send> = match &self.socket {
            Socket::Unix(socket) => Box::new(socket.try_clone().unwrap()),
            Socket::Tcp(socket) => Box::new(socket.try_clone().unwrap()),
        };
        std::thread::spawn(move || {
            let _ = socket.write_all(&bytes);
        });
    }

    /// Sends from a thread of its own, and then stops sending.
    pub(crate) fn send_all_aside(&self, bytes: Vec<u8>) {
        let mut aside = Self::new(match &self.socket {
            Socket::Unix(socket) => Socket::Unix(socket.try_clone().unwrap()),
            Socket::Tcp(socket) => Socket::Tcp(socket.try_clone().unwrap()),
        });
        std::thread::spawn(move || {
            let _ = aside.try_send(&bytes);
            aside.stop_sending();
        });
    }

    pub(crate) fn stop_sending(&self) {
        // It may have gone already.
        let _ = match &self.socket {
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
        };
    }

    fn receive(&mut self) -> Came {
        let mut buffer = [0; 65_536];
        let n = match &mut self.socket {
            Socket::Unix(socket) => socket.read(&mut buffer),
            Socket::Tcp(socket) => socket.read(&mut buffer),
        };
        match n {
            Ok(0) => Came::End,
            Ok(n) => {
                self.received.extend_from_slice(&buffer[..n]);
                Came::Record
            }
            // Whoever sent garbage may be cut off with some of it unread.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Came::End,
            Err(error) => panic!("nothing came, and no end: {error}"),
        }
    }

    /// Takes in the next record.
    pub(crate) fn next(&mut self) -> Came {
        loop {
            if self.received.len() >= 8 {
                let [version, kind, id1, id0, len1, len0, padding, reserved] =
                    self.received[..8].try_into().unwrap();
                assert_eq!((version, padding, reserved), (1, 0, 0), "in a header");
                let id = u16::from_be_bytes([id1, id0]);
                let len = usize::from(u16::from_be_bytes([len1, len0]));
                if self.received.len() >= 8 + len {
                    let content = self.received[8..8 + len].to_vec();
                    self.received.drain(..8 + len);
                    self.file(kind, id, content);
                    return Came::Record;
                }
            }
            if self.receive() == Came::End {
                assert!(self.received.is_empty(), "half a record at the end");
                return Came::End;
            }
        }
    }

    fn file(&mut self, kind: u8, id: u16, content: Vec<u8>) {
        if id == 0 {
            assert!(matches!(kind, 10 | 11), "a record of type {kind} without a request");
            self.management.push((kind, content));
            return;
        }
        let answer = self.answers.entry(id).or_default();
        assert!(answer.end.is_none(), "a record of type {kind} behind END_REQUEST");
        match kind {
            6 => answer.stdout.extend(content),
            7 => answer.stderr.extend(content),
            3 => {
                assert_eq!((content.len(), &content[5..]), (8, &[0; 3][..]), "END_REQUEST");
                let app_status = u32::from_be_bytes(content[..4].try_into().unwrap());
                answer.end = Some((app_status, content[4]));
            }
            _ => panic!("a record of type {kind} from an application"),
        }
    }

    /// All of the answer under `id`, which is free again.
    pub(crate) fn answer(&mut self, id: u16) -> Answer {
        while self.answers.get(&id).is_none_or(|answer| answer.end.is_none()) {
            assert_eq!(self.next(), Came::Record, "the connection ended without {id}'s answer");
        }
        self.answers.remove(&id).unwrap()
    }

    /// Reads to the end of the connection.
    pub(crate) fn read_to_end(&mut self) {
        while self.next() == Came::Record {}
    }
}
