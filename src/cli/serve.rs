//! `fastcgi`, `scgi`, `uwsgi` and `http`: from options to a server that runs.

use super::{
    Usage,
    identity::{self, PidFile},
    options::{Served, Server as Options},
    own_name,
    process::{self, Process, Told},
    record,
    wear::Wear,
};
use crate::{
    fcgi::Role,
    gateway::{Dispatch, Dispatcher, Gateway, Protocol, Server, Settings},
    handlers::{Attributes, Handler, Outcome, Plain, Slate, Streams, run as run_app},
    net::{self, Address, Allow, BindOptions, Heir, Listener},
    simple_server::{Options as HttpOptions, WsgiRequestHandler, WsgiServer},
    sys::{Signals, raise_descriptor_limit},
    types::{Application, Exception, Vars},
};
use anyhow::Context as _;
use std::{
    env,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

pub(super) fn run(gateway: Gateway, served: Served, server: Options) -> anyhow::Result<ExitCode> {
    if let Some(name) = &server.app
        && !gateway.apps().any(|(app, _)| app == name)
    {
        let why = format!("--app {name}: no such application; `cgigate apps` lists them");
        return Err(Usage(why).into());
    }
    let allow = allow(served, &server)?;
    if let Some((worker, listeners)) = Process::inherited()? {
        return serve(gateway, served, &server, allow, listeners, worker);
    }
    let listeners = listeners(served, &server, &allow)?;
    let _pid_file = server.pid_file.as_deref().map(PidFile::write).transpose()?;
    identity::become_user(&server)?;
    if server.listen.is_empty() && net::stdin_listens() {
        // Whoever hands over a socket on descriptor 0 starts several by himself, and replaces them.
        return serve(gateway, served, &server, allow, listeners, Process::Lone);
    }
    process::supervise(&server, served, listeners, threads(served, &server))
}

/// Builds the applications, and serves.
fn serve(
    mut gateway: Gateway,
    served: Served,
    server: &Options,
    allow: Allow,
    listeners: Vec<Listener>,
    process: Process,
) -> anyhow::Result<ExitCode> {
    let recorder = record::recorder(server.record.plan())?;
    if let Some(recorder) = &recorder {
        recorder.start().context("start a thread that records")?;
        gateway = recorder.recorded(gateway);
    }
    if server.validate {
        gateway = gateway.validated();
    }
    gateway.build()?;
    let max_body = server.max_body.unwrap_or(match served {
        Served::WebServers(_) => u64::MAX,
        Served::Http => 16 << 20,
    });
    let (own_name, _) = own_name();
    let own_name = own_name.as_deref();
    raise_descriptor_limit();
    let multiprocess = process.has_others(server);
    let wear = Arc::new(Wear::new(server.max_requests));
    // Before anybody is told that the server is ready to be told something.
    let signals = Signals::install()?;
    match served {
        Served::WebServers(protocol) => {
            let dispatcher = Dispatcher::new(gateway, server.app.clone(), own_name, max_body);
            let dispatcher = record::refusals(dispatcher, &recorder);
            let dispatcher = dispatcher.mounted(server.mount.clone());
            let settings = settings(protocol, server);
            let attributes = Attributes {
                origin_server: false,
                wsgi_multiprocess: multiprocess,
                wsgi_multithread: settings.threads > 1,
                preamble: protocol.preamble(),
                ..Attributes::BASE
            };
            let refused = AtomicBool::new(false);
            let handler = Plain(attributes);
            let behind = Behind { dispatcher, handler, allow, refused, wear };
            web_servers(behind, listeners, settings, signals, process)?;
        }
        Served::Http => {
            let dispatcher = Dispatcher::http(gateway, server.app.clone(), own_name, max_body);
            let dispatcher = record::refusals(dispatcher, &recorder);
            let dispatcher = dispatcher.mounted(server.mount.clone());
            let options = http_options(server, allow, max_body);
            let handler = Http { dispatcher, wear };
            http(handler, multiprocess, listeners, options, signals, process)?;
        }
    }
    if let Some(recorder) = recorder {
        recorder.finish();
    }
    Ok(ExitCode::SUCCESS)
}

/// Application calls at a time in a worker.
fn threads(served: Served, server: &Options) -> usize {
    server.threads.map_or_else(
        || match served {
            Served::WebServers(_) => Settings::default().threads,
            Served::Http => HttpOptions::http().threads,
        },
        usize::from,
    )
}

/// The applications as an HTTP server runs them.
struct Http {
    dispatcher: Dispatcher,
    wear: Arc<Wear>,
}

impl WsgiRequestHandler for Http {
    fn handle(
        &self,
        _app: Option<&dyn Application>,
        handler: &dyn Handler,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        self.wear.count();
        let app = self.dispatcher.dispatch(Role::Responder, &mut slate.vars);
        run_app(handler, app, slate, streams)
    }
}

fn http_options(server: &Options, allow: Allow, max_body: u64) -> HttpOptions {
    let default = HttpOptions::http();
    HttpOptions {
        threads: threads(Served::Http, server),
        max_connections: server.max_connections,
        max_queue: server.max_queue,
        max_body,
        read_timeout: Some(server.read_timeout),
        idle_timeout: server.idle_timeout.or(default.idle_timeout),
        queue_timeout: server.queue_timeout,
        graceful_timeout: server.graceful_timeout,
        allow: Some(allow),
        ..default
    }
}

/// Serves HTTP until it is told to stop, and what was in flight has ended.
fn http(
    handler: Http,
    multiprocess: bool,
    listeners: Vec<Listener>,
    options: HttpOptions,
    signals: Signals,
    process: Process,
) -> anyhow::Result<()> {
    let (threads, patience) = (options.threads, options.graceful_timeout);
    let wear = Arc::clone(&handler.wear);
    // For these calls, of no matter which family the socket is.
    let sockets = listeners.iter().map(|l| l.as_fd().try_clone_to_owned().map(TcpListener::from));
    let mut front = WsgiServer::of_listeners(sockets.collect::<Result<_, _>>()?)?;
    front.options = options;
    front.server_handler.0.wsgi_multiprocess = multiprocess;
    front.set_handler(handler);
    let front = Arc::new(front);
    let (tell, told) = mpsc::channel();
    let server = HttpServer { front: Arc::clone(&front), tell: tell.clone() };
    process.begin(signals, Served::Http, listeners, threads, server, &wear)?;
    // An application that does not come back is not waited for longer than was said: the process
    // ends without it.
    thread::Builder::new().spawn(move || {
        let served = panic::catch_unwind(AssertUnwindSafe(|| front.serve_forever()));
        let _ = tell.send(Some(served));
    })?;
    let mut ended = told.recv().ok();
    while let Some(None) = ended {
        ended = told.recv_timeout(patience).ok();
    }
    match ended.flatten() {
        Some(Ok(served)) => Ok(served?),
        Some(Err(_)) => anyhow::bail!("serve http: a server thread panicked"),
        None => Ok(()),
    }
}

/// A server of HTTP, and who waits for its end: `None` is that it shall end, and soon.
struct HttpServer<E> {
    front: Arc<WsgiServer<'static>>,
    tell: mpsc::Sender<Option<E>>,
}

impl<E: Send + 'static> Told for HttpServer<E> {
    fn stop(&self) {
        self.front.stop();
        let _ = self.tell.send(None);
    }

    fn retire(&self, heir: Heir) {
        self.front.retire(heir);
        let _ = self.tell.send(None);
    }

    fn adopt(&self, connection: OwnedFd) {
        self.front.adopt(connection);
    }
}

/// The applications as they are run for web servers.
struct Behind {
    dispatcher: Dispatcher,
    handler: Plain,
    allow: Allow,
    /// Whether the log has a refused connection already: whoever knocks all day fills no disk.
    refused: AtomicBool,
    wear: Arc<Wear>,
}

impl Dispatch for Behind {
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
        self.wear.count();
        self.dispatcher.dispatch(role, vars)
    }

    fn serves(&self, role: Role) -> bool {
        self.dispatcher.has_role(role)
    }

    fn handler(&self) -> &(dyn Handler + Sync) {
        &self.handler
    }

    fn admits(&self, socket: &OwnedFd) -> bool {
        let Err(peer) = self.allow.admits_socket(socket) else { return true };
        if let Some(peer) = peer
            && !self.refused.swap(true, Ordering::Relaxed)
        {
            self.log(&format!(
                "accept {peer}: not among those who may connect, see --allow and --allow-uid (not told again)"
            ));
        }
        false
    }
}

/// Serves until it is told to stop, and what was in flight has ended.
fn web_servers(
    behind: Behind,
    listeners: Vec<Listener>,
    settings: Settings,
    signals: Signals,
    process: Process,
) -> anyhow::Result<()> {
    let (protocol, threads) = (settings.protocol, settings.threads);
    let wear = Arc::clone(&behind.wear);
    let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
    let server = Server::new(sockets.collect::<Result<_, _>>()?, Arc::new(behind), settings)?;
    let served = Served::WebServers(protocol);
    process.begin(signals, served, listeners, threads, server.handle(), &wear)?;
    Ok(server.run()?)
}

/// Who may connect.
fn allow(served: Served, server: &Options) -> anyhow::Result<Allow> {
    const WEB_SERVERS: &str = "FCGI_WEB_SERVER_ADDRS";
    let mut allow = Allow::new(server.allow.clone(), server.allow_uid.clone());
    if let (Served::WebServers(Protocol::FastCgi), Some(addresses)) =
        (served, env::var_os(WEB_SERVERS))
    {
        let added = allow.add_web_servers(&addresses.to_string_lossy());
        added.map_err(|why| Usage(format!("{WEB_SERVERS}: {why}")))?;
    }
    Ok(allow)
}

fn listeners(served: Served, server: &Options, allow: &Allow) -> anyhow::Result<Vec<Listener>> {
    if server.listen.is_empty() && net::stdin_listens() {
        return Ok(vec![Listener::stdin()?]);
    }
    let mut addresses = server.listen.clone();
    if addresses.is_empty() {
        let default = match served {
            _ if !net::handed_over(None).is_empty() => "systemd",
            Served::WebServers(Protocol::FastCgi) => "127.0.0.1:9000",
            Served::WebServers(Protocol::Scgi) => "127.0.0.1:4000",
            Served::WebServers(Protocol::Uwsgi) => "127.0.0.1:3031",
            Served::Http => "127.0.0.1:8000",
        };
        addresses.extend(default.parse::<Address>());
    }
    if let Some(exposed) = addresses.iter().find(|address| address.is_exposed())
        && !allow.has_networks()
    {
        let why = format!(
            "--listen {exposed}: others than this machine could connect; say who may by --allow CIDR, or listen on loopback or a unix socket"
        );
        return Err(Usage(why).into());
    }
    let options = BindOptions {
        backlog: server.backlog,
        socket_mode: server.socket_mode,
        socket_owner: server.socket_owner.clone(),
    };
    let mut listeners = Vec::new();
    for address in &addresses {
        listeners.extend(Listener::bind(address, &options)?);
    }
    Ok(listeners)
}

fn settings(protocol: Protocol, server: &Options) -> Settings {
    let default = Settings::default();
    Settings {
        protocol,
        threads: server.threads.map_or(default.threads, usize::from),
        max_connections: server.max_connections,
        max_body: server.max_body,
        max_params: usize::try_from(server.max_params).unwrap_or(usize::MAX),
        max_variables: server.max_variables,
        max_requests_per_connection: server.max_multiplexed.into(),
        max_queue: server.max_queue,
        multiplex: server.multiplex == "on",
        read_timeout: Some(server.read_timeout),
        write_timeout: Some(server.write_timeout),
        queue_timeout: server.queue_timeout,
        idle_timeout: server.idle_timeout,
        graceful_timeout: server.graceful_timeout,
        ..default
    }
}
