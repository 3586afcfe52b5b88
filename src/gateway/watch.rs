//! What is kept of each request while somebody wants to see it: `--status-path`, `--admin`,
//! `--access-log`, `--slow-log`, `--request-timeout`. With none of them there is no [`Watch`].

use super::{
    access_log::{AccessLog, Asked, Entry},
    deadlines::{Chair, Deadlines, Overdue, Run},
    scoreboard::{Block, Seat, Visit},
};
use crate::{
    handlers::{self, Ending, Handler, Outcome, Slate, Streams},
    sys::monotonic_micros,
    types::{Application, Exception, Vars},
};
use std::{
    cell::{Cell, OnceCell},
    io::{self, BufRead, Read},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// One process's.
#[derive(Debug)]
pub(crate) struct Watch {
    block: Option<Block>,
    access_log: Option<Arc<AccessLog>>,
    deadlines: Option<Deadlines>,
    /// One moment on two clocks: only one has to be asked for the next.
    origin: (Instant, u64),
}

thread_local! {
    /// The number of this thread's seat, if there is one for it.
    static SEAT: OnceCell<Option<usize>> = const { OnceCell::new() };
    static CHAIR: OnceCell<Arc<Chair>> = const { OnceCell::new() };
    /// The line of the access log that it is at.
    static ENTRY: Cell<Entry> = const { Cell::new(Entry::new()) };
    /// What it runs, as others are told.
    static TEXT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Watch {
    /// `None`: nobody wants to see anything. `slow` and `limit` are how long a request may take
    /// before it is told, and before it is ended.
    pub(crate) fn new(
        block: Option<Block>,
        access_log: Option<Arc<AccessLog>>,
        slow: Option<Duration>,
        limit: Option<Duration>,
    ) -> Option<Self> {
        let (origin, deadlines) =
            ((Instant::now(), monotonic_micros()), Deadlines::new(slow, limit));
        let wanted = block.is_some() || access_log.is_some() || deadlines.is_some();
        wanted.then_some(Self { block, access_log, deadlines, origin })
    }

    /// Looks after the deadlines from now on, if there are any, in a thread of its own.
    /// `when_lost`: what to do when one costs a thread; told how many are not back.
    ///
    /// # Errors
    /// The system has no more threads.
    pub(crate) fn look_after_deadlines(
        self: &Arc<Self>,
        when_lost: impl Fn(usize) + Send + Sync + 'static,
    ) -> io::Result<()> {
        let Some(deadlines) = &self.deadlines else { return Ok(()) };
        deadlines.when_lost(when_lost);
        let watch = Arc::clone(self);
        let look = move || {
            if let Some(deadlines) = &watch.deadlines {
                deadlines.look_after(|run, how| watch.ended(run, how));
            }
        };
        thread::Builder::new().name("deadlines".into()).spawn(look).map(drop)
    }

    /// Waits until all is told that there is to tell, before a process ends.
    pub(crate) fn finish(&self) {
        if let Some(deadlines) = &self.deadlines {
            deadlines.finish();
        }
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
        let number = SEAT.with(|seat| *seat.get_or_init(|| block.take_seat()));
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
            log.end(&mut entry, &visit, "refused");
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
        let limited = self.limit(slate, began, queue, entry);
        let Streams { stdin, stdout, stderr } = streams;
        let mut stdin = Counted { stdin, taken: 0 };
        let streams = Streams { stdin: &mut stdin, stdout, stderr };
        let outcome = handlers::run(handler, app, slate, streams);
        let app = began.elapsed();
        let (mut entry, overdue) = limited.end(app);
        let (status, sent, ending) = match (&outcome, overdue) {
            (_, Some(Overdue::Refused)) => (504, 0, ""),
            (Ok(outcome), _) => (outcome.status, outcome.bytes_sent, word(outcome.ending)),
            (Err(_), _) => (0, 0, "failed"),
        };
        let visit = Visit { status, received: stdin.taken, sent, app, queue };
        // Else it was counted when it was ended.
        if overdue.is_none() {
            self.count(busy.as_ref().map(|busy| busy.0), &mut entry, &visit, ending);
        }
        ENTRY.set(entry);
        outcome.map(|outcome| Outcome { status, bytes_sent: sent, ..outcome })
    }

    fn count(&self, seat: Option<Seat<'_>>, entry: &mut Entry, visit: &Visit, ending: &str) {
        if let Some(seat) = seat {
            seat.end(visit);
        }
        if let Some(log) = &self.access_log {
            log.end(entry, visit, ending);
        }
    }

    /// Puts what is about to run under the limits, with its line of the access log.
    fn limit(
        &self,
        slate: &mut Slate,
        began: Instant,
        queue: Duration,
        entry: Entry,
    ) -> Limited<'_> {
        let Some(deadlines) = &self.deadlines else { return Limited::Without(entry) };
        if let Some(limit) = deadlines.limit {
            slate.request().limit(began + limit);
        }
        let mut text = TEXT.take();
        text.clear();
        request_line(&slate.vars).iter().for_each(|piece| text.extend_from_slice(piece));
        let (request, client) = (Arc::clone(slate.request()), slate.client.take());
        let run = Run { request, client, began, queue, text, entry, told: false, overdue: None };
        let chair = CHAIR.with(|chair| Arc::clone(chair.get_or_init(|| deadlines.chair())));
        chair.enter(run);
        Limited::Under(deadlines, chair)
    }

    /// A request was ended whose application goes on. Not its own thread counts it, which may never
    /// come back.
    fn ended(&self, run: &mut Run, how: Overdue) {
        // What an answer that has begun began with only its own thread knows.
        let (status, ending) = match how {
            Overdue::Refused => (504, "overdue"),
            Overdue::Cut => (0, "cut"),
        };
        let app = run.began.elapsed();
        let visit = Visit { status, received: 0, sent: 0, app, queue: run.queue };
        self.count(self.seat(), &mut run.entry, &visit, ending);
    }
}

/// A request that runs, and the line of the access log that waits for its end.
enum Limited<'w> {
    Without(Entry),
    Under(&'w Deadlines, Arc<Chair>),
}

impl Limited<'_> {
    /// The application has returned: the line, and whether its time was over before.
    fn end(mut self, took: Duration) -> (Entry, Option<Overdue>) {
        match &mut self {
            Self::Without(entry) => (std::mem::take(entry), None),
            Self::Under(deadlines, chair) => match deadlines.leave(chair, took) {
                Some(run) => {
                    TEXT.set(run.text);
                    (run.entry, run.overdue)
                }
                None => (Entry::new(), None),
            },
        }
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        if let Self::Under(deadlines, chair) = self {
            // After a panic, else it has left already.
            deadlines.leave(chair, Duration::ZERO);
        }
    }
}

fn word(ending: Ending) -> &'static str {
    match ending {
        Ending::Whole => "whole",
        Ending::Cut { .. } => "cut",
        Ending::Departed => "departed",
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

#[cfg(test)]
mod tests {
    use super::{
        super::{LogFile, LogFormat, Scoreboard, status::Pages, status::Source},
        *,
    };
    use crate::{handlers::Attributes, sys::allocations, types::app};
    use std::path::Path;

    const VARS: [(&str, &str); 8] = [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/a/b?c=d"),
        ("SCRIPT_NAME", "/a"),
        ("PATH_INFO", "/b"),
        ("QUERY_STRING", "c=d"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("HTTP_USER_AGENT", "tests"),
    ];

    /// How often memory is taken for each of some requests, which are all alike.
    fn taken(watch: &Watch, pages: &Pages, vars: &[(&str, &str)]) -> [usize; 5] {
        let hello = app(|_, start_response| {
            start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
            Ok("Hello World\n".into())
        });
        let (mut slate, mut out, mut err) = (Slate::default(), Vec::new(), Vec::new());
        [(); 5].map(|()| {
            let before = allocations();
            slate.wipe(None);
            out.clear();
            vars.iter().for_each(|(name, value)| slate.vars.set(name, value));
            assert!(pages.find(&slate.vars).is_none());
            let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
            let plain = handlers::Plain(Attributes::CGI);
            let outcome = watch.run(&plain, &hello, &mut slate, streams);
            assert_eq!(outcome.unwrap().status, 200);
            watch.refused("503 Service Unavailable", &Asked::of(&slate.vars));
            allocations() - before
        })
    }

    #[test]
    fn what_is_kept_of_a_request_takes_no_memory_from_the_second_on() {
        let board = Arc::new(Scoreboard::new(1, 1).unwrap());
        let block = || Block::new(Arc::clone(&board), 0);
        let source = Source::new(Arc::clone(&board), None, [("none".into(), &io::stdout())]);
        let pages = Pages::default().ping_at("/ping").status_at("/status", source);
        let log = |format| {
            let file = LogFile::open(Path::new("/dev/null")).unwrap();
            Some(Arc::new(AccessLog::new(file, format)))
        };
        for (what, log) in [
            ("text", log(LogFormat::Text)),
            ("JSON", log(LogFormat::Json)),
            ("the counters alone", None),
        ] {
            let watch = Watch::new(block(), log, None, None).unwrap();
            let (uri, pieces) = (&VARS[..], [&VARS[..1], &VARS[2..]].concat());
            for (vars, pages) in [(uri, &pages), (&pieces, &Pages::default())] {
                let counts = taken(&watch, pages, vars);
                assert!(counts[0] > 0, "{what}: the counter counts");
                assert_eq!(counts[1..], [0; 4], "{what}: {counts:?}");
            }
        }
    }
}
