//! `--record DIR`: each request and its answer as a fixture, from a user's report to a test.
//!
//! | | |
//! |---|---|
//! | here | who writes, when, and how much |
//! | `capture.rs` | the middleware that looks on while an application answers |
//! | `render.rs` | what was seen, as a fixture: secrets blanked, dates marked |
//!
//! An application under it answers as it did: what it is given and gives is copied, as far as it
//! is no longer than said, and written when the answer is out. A folder appears whole or not at all.

mod capture;
mod render;

use super::{Gateway, Refusal, fixture::Pairs};
use crate::{fcgi::Role, lock::lock, sys, types::Vars};
#[cfg(target_os = "linux")]
pub(super) use capture::Overdue;
use capture::{Record, Recorded};
use std::{
    collections::VecDeque,
    fs, io,
    path::PathBuf,
    process,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

/// What is recorded, and where.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Each record is a folder in it.
    pub(crate) folder: PathBuf,
    /// Cookies, passwords and tokens too, as they are.
    pub(crate) secrets: bool,
    /// What applications, by name, read from the process environment: it belongs to their requests.
    pub(crate) settings: Settings,
    /// How many folders there may be at the most.
    pub(crate) count: usize,
    /// Bytes of a body, the request's or the answer's; a request with a longer one is left out.
    pub(crate) size: usize,
}

/// By application.
pub(crate) type Settings = Vec<(&'static str, Pairs)>;

impl Plan {
    pub(crate) const COUNT: usize = 1000;
    pub(crate) const SIZE: usize = 1 << 20;
}

/// Takes what was seen of requests, and writes it.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Shared>);

struct Shared {
    plan: Plan,
    queue: Mutex<VecDeque<Record>>,
    bell: Condvar,
    /// Held while something is written.
    writer: Mutex<Writer>,
}

/// When a refusal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It follows from the request.
    Always,
    /// It followed from the moment, from what is not known of the request, or from what CGI does not
    /// know.
    Then,
}

#[derive(Default)]
struct Writer {
    number: u64,
    /// Something went wrong, or there are enough, and that was said.
    complained: bool,
}

/// Records that wait for the disk: with more of them some are lost, and no request waits.
const WAITING: usize = 256;

impl Recorder {
    /// A recorder that writes when it is told to [`finish`](Self::finish).
    ///
    /// # Errors
    /// The folder is not there and cannot be made.
    pub(crate) fn new(plan: Plan) -> io::Result<Self> {
        // What is recorded concerns nobody else.
        sys::private_folders().recursive(true).create(&plan.folder)?;
        let (queue, bell, writer) = Default::default();
        Ok(Self(Arc::new(Shared { plan, queue, bell, writer })))
    }

    /// Writes from now on in a thread of its own.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        thread::Builder::new().name("recorder".into()).spawn(move || {
            loop {
                let mut queue = lock(&shared.queue);
                while queue.is_empty() {
                    queue = shared.bell.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                drop(queue);
                shared.write();
            }
        })?;
        Ok(())
    }

    /// Writes what there is, and has waited for what was being written.
    pub(crate) fn finish(&self) {
        self.0.write();
    }

    /// The applications that answer requests, each looked on.
    pub(crate) fn recorded(&self, gateway: Gateway) -> Gateway {
        let recorder = self.clone();
        gateway.wrapped(move |(name, role), app| match role {
            Role::Responder => Box::new(Recorded { app, name, recorder: recorder.clone() }),
            // CGI knows neither, and a fixture is a CGI request.
            Role::Authorizer | Role::Filter => app,
        })
    }

    /// A request that the gateway has answered by itself; `said`: what the gateway was told that it
    /// has answered so for.
    pub(super) fn refused(
        &self,
        refusal: Refusal,
        holds: Holds,
        vars: &Vars,
        said: Option<(&str, &[u8])>,
    ) {
        // There may be many at once: what would be lost is not copied. Without a variable it was
        // no request.
        if vars.is_empty() || lock(&self.0.queue).len() >= WAITING {
            return;
        }
        let Some(mut environ) = capture::pairs(vars, self.size()) else { return };
        // Of what is meant for the gateway this alone is a request's to say.
        let own = |name: &[u8]| {
            !name.starts_with(b"CGIGATE_")
                || [&b"CGIGATE_APP"[..], b"CGIGATE_MOUNT"].contains(&name)
        };
        environ.retain(|(name, _)| own(name));
        environ.extend(said.map(|(name, value)| (name.into(), value.into())));
        self.submit(Record::of_refused(refusal, holds, environ));
    }

    fn size(&self) -> usize {
        self.0.plan.size
    }

    fn submit(&self, record: Record) {
        let mut queue = lock(&self.0.queue);
        if queue.len() < WAITING {
            queue.push_back(record);
            self.0.bell.notify_one();
        }
    }
}

impl Shared {
    fn write(&self) {
        let mut writer = lock(&self.writer);
        loop {
            let Some(record) = lock(&self.queue).pop_front() else { return };
            if let Err(why) = self.keep(record, &mut writer)
                && !std::mem::replace(&mut writer.complained, true)
            {
                let folder = self.plan.folder.display();
                sys::say(format_args!("cgigate: record to {folder}: {why} (not told again)"));
            }
        }
    }

    fn keep(&self, record: Record, writer: &mut Writer) -> Result<(), String> {
        let Plan { folder, secrets, settings, count, .. } = &self.plan;
        // Other processes may record to the same folder.
        let there = fs::read_dir(folder).map_err(|error| error.to_string())?.count();
        if there >= *count {
            return Err(format!("{there} are there, which is --record-count: no more are written"));
        }
        let app = record.app;
        let Some(mut fixture) = render::fixture(record, *secrets) else { return Ok(()) };
        let settings = settings.iter().filter(|(name, _)| Some(*name) == app);
        fixture.environ.extend(settings.flat_map(|(_, pairs)| pairs.clone()));
        writer.number += 1;
        let name = name(app, writer.number);
        let unfinished = folder.join(format!(".{name}"));
        let written = sys::private_folders()
            .create(&unfinished)
            .and_then(|()| fixture.write(&unfinished))
            .and_then(|()| fs::rename(&unfinished, folder.join(&name)));
        written.map_err(|error| {
            let _ = fs::remove_dir_all(&unfinished);
            error.to_string()
        })
    }
}

/// The application, when, and by which process: `hello-1764064770123-4711-1`.
fn name(app: Option<&str>, number: u64) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let app: String = app.unwrap_or("refused").chars().map(plain).collect();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{app}-{since}-{}-{number}", process::id())
}
