//! What is kept of each request while somebody wants to see it: `--status-path`, `--admin`,
//! `--access-log`, `--slow-log`, `--request-timeout`. With none of them there is no [`Watch`].

use super::{
    access_log::{AccessLog, Asked, Entry},
    scoreboard::{Block, Seat, Visit},
};
use crate::{
    handlers::{self, Ending, Handler, Outcome, Slate, Streams},
    sys::monotonic_micros,
    types::{Application, Exception, Vars},
};
use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    sync::Arc,
    time::{Duration, Instant},
};

/// One process's.
#[derive(Debug)]
pub(crate) struct Watch {
    block: Option<Block>,
    access_log: Option<Arc<AccessLog>>,
    /// One moment on two clocks: only one has to be asked for the next.
    origin: (Instant, u64),
}

thread_local! {
    /// The number of this thread's seat, once it has asked; then there may be none.
    static SEAT: Cell<Option<Option<usize>>> = const { Cell::new(None) };
    /// The line of the access log that it is at.
    static ENTRY: Cell<Entry> = const { Cell::new(Entry::new()) };
}

impl Watch {
    /// `None`: nobody wants to see anything.
    pub(crate) fn new(block: Option<Block>, access_log: Option<Arc<AccessLog>>) -> Option<Self> {
        let origin = (Instant::now(), monotonic_micros());
        let wanted = block.is_some() || access_log.is_some();
        wanted.then_some(Self { block, access_log, origin })
    }

    /// Whether each request has a line already.
    pub(crate) fn has_access_log(&self) -> bool {
        self.access_log.is_some()
    }

    fn micros(&self, at: Instant) -> u64 {
        let (origin, micros) = self.origin;
        micros + at.saturating_duration_since(origin).as_micros() as u64
    }

    fn seat(&self) -> Option<Seat<'_>> {
        let block = self.block.as_ref()?;
        let number = SEAT.get().unwrap_or_else(|| {
            let number = block.take_seat();
            SEAT.set(Some(number));
            number
        });
        number.map(|number| block.seat(number))
    }

    /// So many requests wait for a thread.
    pub(crate) fn queued(&self, waiting: usize) {
        if let Some(block) = &self.block {
            block.tell_queued(waiting);
        }
    }

    /// A request was answered with `status` and without running.
    pub(crate) fn refused(&self, status: &str, asked: &Asked<'_>) {
        let status = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        let (app, queue) = (Duration::ZERO, Duration::ZERO);
        let visit = Visit { status, received: 0, sent: 0, app, queue };
        if let Some(seat) = self.seat() {
            seat.count(&visit);
        }
        if let Some(log) = &self.access_log {
            let mut entry = ENTRY.take();
            log.begin(&mut entry, asked);
            log.end(&mut entry, &visit, Some(Ending::Whole));
            ENTRY.set(entry);
        }
    }

    /// As [`run`](handlers::run()).
    pub(crate) fn run(
        &self,
        handler: &dyn Handler,
        app: &dyn Application,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        let Streams { stdin, stdout, stderr } = streams;
        let began = Instant::now();
        let queue = slate.came.map_or(Duration::ZERO, |came| began.saturating_duration_since(came));
        let busy = self.seat().map(|seat| {
            seat.begin(self.micros(began), request_line(&slate.vars));
            UnderWay(seat)
        });
        let mut entry = ENTRY.take();
        if let Some(log) = &self.access_log {
            log.begin(&mut entry, &Asked::of(&slate.vars));
        }
        let mut stdin = Counted { stdin, taken: 0 };
        let outcome =
            handlers::run(handler, app, slate, Streams { stdin: &mut stdin, stdout, stderr });
        let (status, sent) = match &outcome {
            Ok(outcome) => (outcome.status, outcome.bytes_sent),
            Err(_) => (0, 0),
        };
        let visit = Visit { status, received: stdin.taken, sent, app: began.elapsed(), queue };
        if let Some(UnderWay(seat)) = &busy {
            seat.end(&visit);
        }
        if let Some(log) = &self.access_log {
            log.end(&mut entry, &visit, outcome.as_ref().ok().map(|outcome| outcome.ending));
        }
        ENTRY.set(entry);
        outcome
    }
}

/// A request that runs, also if a panic goes through here.
struct UnderWay<'w>(Seat<'w>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.rest();
    }
}

/// Method and path, without the query, which may hold what nobody else is to see.
fn request_line(vars: &Vars) -> [&[u8]; 4] {
    let of = |name: &str| vars.get(name).unwrap_or_default();
    let [script_name, path_info] = match vars.get("REQUEST_URI") {
        Some(uri) => [uri.split(|byte| *byte == b'?').next().unwrap_or_default(), b""],
        None => [of("SCRIPT_NAME"), of("PATH_INFO")],
    };
    [of("REQUEST_METHOD"), b" ", script_name, path_info]
}

/// `wsgi.input`, and how much of it was taken.
struct Counted<'s> {
    stdin: &'s mut dyn BufRead,
    taken: u64,
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stdin.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken += n as u64;
        self.stdin.consume(n);
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.stdin.read(buf)?;
        self.taken += n as u64;
        Ok(n)
    }
}
