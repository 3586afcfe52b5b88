//! The four ways in: a request as a web server hands it over, and what it gets for it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Beyond all patience: whoever waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Cgi,
    FastCgi,
    Scgi,
    Uwsgi,
}

pub(crate) const DOORS: [Door; 4] = [Door::Cgi, Door::FastCgi, Door::Scgi, Door::Uwsgi];

/// A request in the making.
#[derive(Clone)]
pub(crate) struct Asked {
    vars: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// `METHOD /APP/PATH?QUERY`, as a good web server sends it.
pub(crate) fn asked(line: &str) -> Asked {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Asked { vars: Vec::new(), body: Vec::new() }
        .with("GATEWAY_INTERFACE", "CGI/1.1")
        .with("REQUEST_METHOD", method)
        .with("SCRIPT_NAME", "")
        .with("PATH_INFO", path)
        .with("QUERY_STRING", query)
        .with("SERVER_PROTOCOL", "HTTP/1.1")
}

impl Asked {
    /// One variable more; of a name that was there already, a second one.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.vars.push((name.into(), value.as_ref().into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.vars.retain(|(have, _)| have != name);
        self
    }

    /// A body, and its length.
    pub(crate) fn sending(self, body: &[u8]) -> Self {
        let length = body.len().to_string();
        self.with("CONTENT_LENGTH", length).unmeasured(body)
    }

    /// A body whose length nobody tells.
    pub(crate) fn unmeasured(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn fastcgi(&self, flags: u8) -> Vec<u8> {
        let mut params = Vec::new();
        for (name, value) in &self.vars {
            for len in [name.len(), value.len()] {
                params.extend((len as u32 | 1 << 31).to_be_bytes());
            }
            params.extend(name.as_bytes());
            params.extend(value);
        }
        let begin = record(1, 1, &[0, 1, flags, 0, 0, 0, 0, 0]);
        [begin, stream(4, 1, &params), stream(5, 1, &self.body)].concat()
    }

    fn scgi(&self) -> Vec<u8> {
        // The length comes first, and always (as nginx and lighttpd have it).
        let length = self.vars.iter().find(|(name, _)| name == "CONTENT_LENGTH");
        let length = length.map_or(&b"0"[..], |(_, value)| value);
        let mut head = [b"CONTENT_LENGTH\0", length, b"\0SCGI\x001\0"].concat();
        for (name, value) in self.vars.iter().filter(|(name, _)| name != "CONTENT_LENGTH") {
            head.extend([name.as_bytes(), b"\0", value, b"\0"].concat());
        }
        [format!("{}:", head.len()).as_bytes(), &head, b",", &self.body].concat()
    }

    fn uwsgi(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in &self.vars {
            for bytes in [name.as_bytes(), value] {
                block.extend((bytes.len() as u16).to_le_bytes());
                block.extend(bytes);
            }
        }
        let [low, high] = (block.len() as u16).to_le_bytes();
        [&[0, low, high, 0], &block[..], &self.body].concat()
    }
}

pub(crate) fn record(kind: u8, id: u16, content: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let [length_high, length_low] = (content.len() as u16).to_be_bytes();
    [&[1, kind, high, low, length_high, length_low, 0, 0], content].concat()
}

/// A stream in records of the size that Apache has, and its end.
pub(crate) fn stream(kind: u8, id: u16, bytes: &[u8]) -> Vec<u8> {
    let records = bytes.chunks(8192).flat_map(|piece| record(kind, id, piece));
    records.chain(record(kind, id, b"")).collect()
}

/// What came for it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The lines of the header block.
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
    /// STDERR, or the standard error of CGI.
    pub(crate) errors: String,
    /// appStatus, or the exit status of CGI; none where the connection ended without.
    pub(crate) ending: Option<i32>,
}

impl Answer {
    fn of(stdout: &[u8], errors: &[u8], ending: Option<i32>) -> Self {
        let at = stdout.windows(4).position(|four| four == b"\r\n\r\n");
        let at = at.unwrap_or_else(|| panic!("no header block: {}", stdout.escape_ascii()));
        let head = String::from_utf8_lossy(&stdout[..at]);
        let head: Vec<_> = head.split("\r\n").map(Into::into).collect();
        assert!(head.iter().all(|line: &String| !line.contains(['\r', '\n'])), "{head:?}");
        let errors = String::from_utf8_lossy(errors).into_owned();
        Self { head, body: stdout[at + 4..].to_vec(), errors, ending }
    }

    /// `404 Not Found`, by whichever line says it.
    pub(crate) fn status(&self) -> &str {
        let lines = self.head.iter();
        let mut said = lines.filter_map(|line| {
            line.strip_prefix("Status: ").or_else(|| line.strip_prefix("HTTP/1.1 "))
        });
        let status = said.next().unwrap_or_else(|| panic!("no status: {:?}", self.head));
        assert_eq!(said.next(), None, "{:?}", self.head);
        status
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ &String| line.split_once(": ").is_some_and(|(have, _)| have == name);
        self.head.iter().find(line).map(|line| line.split_once(": ").unwrap().1)
    }

    /// A variable that `environ` saw.
    pub(crate) fn var(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.body.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

fn testbed() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/testbed");
    assert!(built.exists(), "no {}: cargo build --example testbed", built.display());
    built
}

/// The testbed behind one of the doors, until this is dropped.
pub(crate) struct House {
    door: Door,
    options: Vec<String>,
    serving: Option<(Child, PathBuf, Arc<Mutex<String>>)>,
}

impl House {
    pub(crate) fn behind(door: Door) -> Self {
        Self::with(door, &[])
    }

    /// With options of the servers; CGI has them as variables.
    pub(crate) fn with(door: Door, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|option| option.to_string()).collect();
        let protocol = match door {
            Door::Cgi => return Self { door, options, serving: None },
            Door::FastCgi => "fastcgi",
            Door::Scgi => "scgi",
            Door::Uwsgi => "uwsgi",
        };
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cgigate-rules-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let socket = format!("unix:{}/s", folder.display());
        let mut command = Command::new(testbed());
        command.env_clear().args([protocol, "--listen", &socket]).args(&options);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let ready = lines.next().unwrap().unwrap();
        assert!(ready.contains(" on unix:"), "{ready}");
        let log = Arc::new(Mutex::new(String::new()));
        let also = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *also.lock().unwrap() += &(line + "\n");
            }
        });
        Self { door, options, serving: Some((child, folder, log)) }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let (_, folder, _) = self.serving.as_ref().unwrap();
        let socket = UnixStream::connect(folder.join("s")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Waits until the gateway itself says this; gives what follows on that line.
    pub(crate) fn logs(&self, words: &str) -> String {
        let (_, _, log) = self.serving.as_ref().unwrap();
        let mut patience = PATIENCE.as_millis();
        loop {
            if let Some((_, behind)) = log.lock().unwrap().split_once(words) {
                return behind.lines().next().unwrap_or_default().into();
            }
            patience = patience.checked_sub(10).unwrap_or_else(|| panic!("never logged: {words}"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The port of a gateway that listens on one too.
    pub(crate) fn port(&self) -> u16 {
        let behind = self.logs(" on 127.0.0.1:");
        behind.split(',').next().unwrap().parse().unwrap()
    }

    pub(crate) fn ask(&self, asked: &Asked) -> Answer {
        match self.door {
            Door::Cgi => self.run(asked, &[]),
            Door::FastCgi => records(&self.converse(&asked.fastcgi(0))).into_answer(),
            Door::Scgi => Answer::of(&self.converse(&asked.scgi()), b"", None),
            Door::Uwsgi => Answer::of(&self.converse(&asked.uwsgi()), b"", None),
        }
    }

    /// All that comes for these bytes, to the end of the connection.
    pub(crate) fn converse(&self, wire: &[u8]) -> Vec<u8> {
        let mut socket = self.connect();
        let mut sending = socket.try_clone().unwrap();
        let mut answer = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || {
                // It may be answered before it was read.
                let _ = sending.write_all(wire).and_then(|()| sending.shutdown(Shutdown::Write));
            });
            socket.read_to_end(&mut answer).unwrap();
        });
        answer
    }

    /// One process for one request.
    pub(crate) fn run(&self, asked: &Asked, args: &[&str]) -> Answer {
        let mut command = self.command(asked);
        command.args(args).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let done = thread::scope(|scope| {
            // Whoever does not read its body is no failure of ours.
            scope.spawn(move || stdin.write_all(&asked.body));
            child.wait_with_output().unwrap()
        });
        Answer::of(&done.stdout, &done.stderr, done.status.code())
    }

    /// The same with something else for its standard input.
    pub(crate) fn run_on(&self, asked: &Asked, stdin: OwnedFd) -> Answer {
        let done = self.command(asked).stdin(stdin).output().unwrap();
        Answer::of(&done.stdout, &done.stderr, done.status.code())
    }

    /// A CGI process that is about to start.
    pub(crate) fn command(&self, asked: &Asked) -> Command {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let mut command = Command::new(testbed());
        command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in asked.vars.iter().rev() {
            command.env(name, OsStr::from_bytes(value));
        }
        for option in self.options.chunks_exact(2) {
            let name = option[0].trim_start_matches('-').to_uppercase().replace('-', "_");
            command.env(format!("CGIGATE_{name}"), &option[1]);
        }
        command
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some((child, folder, _)) = &mut self.serving {
            let _ = child.kill();
            let _ = child.wait();
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// FastCGI's answer, record by record.
pub(crate) struct Records(pub(crate) Vec<(u8, u16, Vec<u8>)>);

pub(crate) fn records(mut wire: &[u8]) -> Records {
    let mut found = Vec::new();
    while let [_, kind, high, low, length_high, length_low, padding, _, rest @ ..] = wire {
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        found.push((*kind, u16::from_be_bytes([*high, *low]), rest[..length].to_vec()));
        wire = &rest[length + usize::from(*padding)..];
    }
    assert!(wire.is_empty(), "half a record at the end");
    Records(found)
}

impl Records {
    /// Of one type, under one id, in order.
    pub(crate) fn of(&self, kind: u8, id: u16) -> Vec<&[u8]> {
        let wanted = self.0.iter().filter(|(k, i, _)| (*k, *i) == (kind, id));
        wanted.map(|(_, _, content)| &content[..]).collect()
    }

    pub(crate) fn into_answer(self) -> Answer {
        let ending = self
            .of(3, 1)
            .first()
            .map(|content| i32::from_be_bytes([content[0], content[1], content[2], content[3]]));
        Answer::of(&self.of(6, 1).concat(), &self.of(7, 1).concat(), ending)
    }
}
