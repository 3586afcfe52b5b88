//! `--status-path`, `--ping-path`, `--admin`: what a server lets be seen of itself.

use super::{
    Usage,
    doors::{Door, bind_options},
    logs::Logs,
    options::Server as Options,
    serve::all_threads,
};
use crate::{
    gateway::{
        Asked, Block, Place, Scoreboard, Watch,
        status::{Pages, Source},
    },
    handlers::{Handler, Outcome, Slate, Streams, run},
    net::{Address, Allow, Listener, Peer},
    simple_server::{Options as HttpOptions, WsgiRequestHandler, WsgiServer},
    types::{Application, Exception, Vars},
};
use anyhow::Context as _;
use std::{fmt, net::TcpListener, os::fd::AsFd, process, sync::Arc, thread, time::Duration};

/// The counters of a server, if anybody wants to see them.
pub(super) fn scoreboard(
    server: &Options,
    doors: &[Door],
) -> anyhow::Result<Option<Arc<Scoreboard>>> {
    if server.status_path.is_none() && server.admin.is_none() {
        return Ok(None);
    }
    let board =
        Scoreboard::new(server.workers, all_threads(doors, server)).context("count requests")?;
    Ok(Some(Arc::new(board)))
}

/// What there is to tell of a server with these listeners.
fn source(board: &Arc<Scoreboard>, supervisor: Option<u32>, doors: &[Door]) -> Source {
    let listeners = doors.iter().map(|door| (door.listener.address().to_string(), &door.listener));
    Source::new(Arc::clone(board), supervisor, listeners)
}

/// What one process that serves lets be seen, and what it keeps of its requests for that.
#[derive(Default)]
pub(super) struct Observed {
    pages: Pages,
    watch: Option<Arc<Watch>>,
    limits_time: bool,
    logs: Logs,
    /// That of a process without a supervisor.
    _place: Option<Place>,
}

impl Observed {
    /// A process that serves alone.
    pub(super) fn lone(
        server: &Options,
        board: Option<Arc<Scoreboard>>,
        doors: &[Door],
        logs: Logs,
    ) -> Self {
        let place = board.as_ref().and_then(|board| board.place(1));
        if let Some(place) = &place {
            place.taken_by(process::id());
        }
        let number = place.as_ref().map(Place::number);
        let block = board.zip(number).and_then(|(board, number)| Block::new(board, number));
        Self { _place: place, ..Self::of(server, block, None, doors, logs) }
    }

    /// A worker, with what its supervisor gave it.
    pub(super) fn worker(
        server: &Options,
        block: Option<Block>,
        doors: &[Door],
        logs: Logs,
    ) -> Self {
        let supervisor = std::os::unix::process::parent_id();
        Self::of(server, block, Some(supervisor), doors, logs)
    }

    fn of(
        server: &Options,
        block: Option<Block>,
        supervisor: Option<u32>,
        doors: &[Door],
        logs: Logs,
    ) -> Self {
        let mut pages = Pages::default();
        if let Some(path) = &server.ping_path {
            pages = pages.ping_at(path);
        }
        if let (Some(path), Some(block)) = (&server.status_path, &block) {
            pages = pages.status_at(path, source(block.board(), supervisor, doors));
        }
        let (slow, limit) = (server.slow_log, server.request_timeout.0);
        let watch = Watch::new(block, logs.access(), slow, limit).map(Arc::new);
        Self { pages, watch, limits_time: limit.is_some(), logs, _place: None }
    }

    pub(super) fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Whether anything is kept of requests.
    pub(super) fn watches(&self) -> bool {
        self.watch.is_some()
    }

    /// Whether applications have to be done in time.
    pub(super) fn limits_time(&self) -> bool {
        self.limits_time
    }

    /// Looks after the deadlines, if there are any. `when_lost`: what to do when one costs a thread;
    /// told how many are not back.
    pub(super) fn look_after_deadlines(
        &self,
        when_lost: impl Fn(usize) + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        match &self.watch {
            Some(watch) => watch.look_after_deadlines(when_lost).context("watch deadlines"),
            None => Ok(()),
        }
    }

    /// Waits until all is told that there is to tell, before the process ends.
    pub(super) fn finish(&self) {
        if let Some(watch) = &self.watch {
            watch.finish();
        }
    }

    /// What answers in the applications' place.
    pub(super) fn page(&self, vars: &Vars) -> Option<&dyn Application> {
        self.pages.find(vars)
    }

    #[inline]
    pub(super) fn run(
        &self,
        handler: &dyn Handler,
        app: &dyn Application,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        match &self.watch {
            Some(watch) => watch.run(handler, app, slate, streams),
            None => run(handler, app, slate, streams),
        }
    }

    /// A request was answered with `status` and without running.
    pub(super) fn refused(&self, status: &str, asked: &Asked<'_>) {
        if let Some(watch) = &self.watch {
            watch.refused(status, asked);
        }
    }

    /// Whether each request has a line already.
    pub(super) fn has_access_log(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.has_access_log())
    }

    pub(super) fn queued(&self, waiting: usize) {
        if let Some(watch) = &self.watch {
            watch.queued(waiting);
        }
    }
}

/// `--admin`: the server's own pages on a socket of their own, so that a full house still answers.
pub(super) struct Admin {
    listener: Listener,
    allow: Allow,
}

/// Where they are if nobody says so.
const STATUS: &str = "/status";
const PING: &str = "/ping";
const METRICS: &str = "/metrics";

impl Admin {
    /// Listens, if that is wanted: before the rights are given up that it may need.
    pub(super) fn bind(server: &Options, allow: &Allow) -> anyhow::Result<Option<Self>> {
        let Some(address) = &server.admin else { return Ok(None) };
        if address.is_exposed() && !allow.has_networks() {
            let why = format!(
                "--admin {address}: others than this machine could connect; say who may by --allow CIDR, or use loopback or a unix socket"
            );
            return Err(Usage(why).into());
        }
        if matches!(address, Address::Systemd(None)) {
            let why = "--admin systemd: say which socket, by systemd:NAME";
            return Err(Usage(why.into()).into());
        }
        let listener = Listener::bind(address, &bind_options(server))?.pop();
        Ok(listener.map(|listener| Self { listener, allow: allow.clone() }))
    }

    pub(super) fn address(&self) -> Address {
        self.listener.address()
    }

    /// Serves in a thread of its own until the process ends.
    pub(super) fn serve(
        &self,
        server: &Options,
        board: Option<&Arc<Scoreboard>>,
        supervisor: Option<u32>,
        doors: &[Door],
    ) -> anyhow::Result<()> {
        let mut pages = Pages::default();
        for path in [server.ping_path.as_deref(), Some(PING)].into_iter().flatten() {
            pages = pages.ping_at(path);
        }
        if let Some(board) = board {
            let source = || source(board, supervisor, doors);
            for path in [server.status_path.as_deref(), Some(STATUS)].into_iter().flatten() {
                pages = pages.status_at(path, source());
            }
            pages = pages.metrics_at(METRICS, source());
        }
        let socket = self.listener.as_fd().try_clone_to_owned()?;
        // For these calls, of no matter which family the socket is.
        let mut front = WsgiServer::of_listeners(vec![TcpListener::from(socket)])?;
        front.options = HttpOptions {
            threads: 2,
            max_connections: 64,
            max_body: 1 << 10,
            read_timeout: Some(Duration::from_secs(5)),
            write_timeout: Some(Duration::from_secs(5)),
            allow: Some(self.allow.clone()),
            ..HttpOptions::http()
        };
        front.set_handler(OwnPages(pages));
        let serve = move || {
            if let Err(error) = front.serve_forever() {
                crate::sys::say(format_args!("cgigate: serve --admin: {error}"));
            }
        };
        thread::Builder::new().name("admin".into()).spawn(serve).context("serve --admin")?;
        Ok(())
    }
}

/// The pages alone, and no line for each look at them.
struct OwnPages(Pages);

impl WsgiRequestHandler for OwnPages {
    fn handle(
        &self,
        _app: Option<&dyn Application>,
        handler: &dyn Handler,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        let not_found = crate::app(|_, start_response| {
            start_response.call("404 Not Found", &[("Content-Type", "text/plain")])?;
            Ok("404 Not Found\n".into())
        });
        // The variables are the page's to change: what it looks for is looked for before.
        let page = self.0.find(&slate.vars).unwrap_or(&not_found);
        run(handler, page, slate, streams)
    }

    fn log_message(&self, _client: Peer, _message: fmt::Arguments<'_>) {}
}
