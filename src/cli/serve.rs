//! `fastcgi` and `http`: from options to a server that runs.

use super::{
    Usage,
    identity::{self, PidFile},
    options::{Protocol, Server as Options},
    own_name,
};
use crate::{
    fcgi::Role,
    gateway::{Dispatch, Dispatcher, Gateway, Server, Settings},
    handlers::{Attributes, Handler, Plain, Preamble, Slate, Streams, run as run_app},
    net::{self, Address, Allow, BindOptions, Listener},
    simple_server,
    sys::{Signal, Signals, raise_descriptor_limit},
    types::{Application, Vars},
};
use std::{
    env,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

pub(super) fn run(
    mut gateway: Gateway,
    protocol: Protocol,
    server: Options,
) -> anyhow::Result<ExitCode> {
    if !matches!(server.workers.as_str(), "1" | "auto") {
        let why = "--workers: this version runs one worker process; start several instead";
        return Err(Usage(why.into()).into());
    }
    if let Some(name) = &server.app
        && !gateway.apps().any(|(app, _)| app == name)
    {
        let why = format!("--app {name}: no such application; `cgigate apps` lists them");
        return Err(Usage(why).into());
    }
    let allow = allow(protocol, &server)?;
    let listeners = listeners(protocol, &server, &allow)?;
    let _pid_file = server.pid_file.as_deref().map(PidFile::write).transpose()?;
    identity::become_user(&server)?;
    if server.validate {
        gateway = gateway.validated();
    }
    gateway.build()?;
    let max_body = server.max_body.unwrap_or(match protocol {
        Protocol::FastCgi => u64::MAX,
        Protocol::Http => 16 << 20,
    });
    let (own_name, _) = own_name();
    let own_name = own_name.as_deref();
    raise_descriptor_limit();
    // Before anybody is told that the server is ready to be told something.
    let signals = Signals::install()?;
    match protocol {
        Protocol::FastCgi => {
            let dispatcher = Dispatcher::new(gateway, server.app.clone(), own_name, max_body);
            let dispatcher = dispatcher.mounted(server.mount.clone());
            fastcgi(dispatcher, listeners, allow, settings(&server), signals)?;
        }
        Protocol::Http => {
            let dispatcher = Dispatcher::http(gateway, server.app.clone(), own_name, max_body);
            let dispatcher = dispatcher.mounted(server.mount.clone());
            http(&dispatcher, &listeners, allow, &server, max_body, signals)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One line for each listener, with the real port: the server is ready.
fn announce(protocol: &str, listeners: &[Listener], threads: usize) {
    for listener in listeners {
        let address = listener.address();
        crate::sys::say(format_args!(
            "cgigate: {protocol} on {address}, 1 workers x {threads} threads"
        ));
    }
    tell_manager("READY=1");
}

fn tell_manager(state: &str) {
    if let Err(error) = net::notify(state) {
        crate::sys::say(format_args!("cgigate: tell the service manager {state}: {error}"));
    }
}

/// Calls `stop` when a signal says so; a second one ends the process at once.
fn obey(mut signals: Signals, mut stop: impl FnMut() + Send + 'static) {
    thread::spawn(move || {
        let mut stopping = false;
        while let Ok(signal) = signals.wait() {
            match signal {
                Signal::Stop if stopping => std::process::exit(1),
                Signal::Stop => {
                    stopping = true;
                    tell_manager("STOPPING=1");
                    stop();
                }
                Signal::Reload | Signal::Reopen => {}
            }
        }
    });
}

/// Serves HTTP on TCP listeners until a signal says to stop.
fn http(
    dispatcher: &Dispatcher,
    listeners: &[Listener],
    allow: Allow,
    server: &Options,
    max_body: u64,
    signals: Signals,
) -> anyhow::Result<()> {
    let default = simple_server::Options::default();
    let threads = server.threads.map_or(default.threads, usize::from);
    let read_timeout = server.read_timeout;
    let options =
        simple_server::Options { threads, max_body, read_timeout, allow: Some(allow), ..default };
    let mut sockets = Vec::new();
    for listener in listeners {
        let address = listener.address();
        if matches!(address, Address::Unix(_) | Address::Abstract(_)) {
            let why = format!("--listen {address}: http is served on TCP addresses only");
            return Err(Usage(why).into());
        }
        sockets.push(TcpListener::from(listener.as_fd().try_clone_to_owned()?));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopper = Arc::clone(&stop);
    obey(signals, move || stopper.store(true, Ordering::Release));
    announce("http", listeners, threads);
    for listener in listeners {
        crate::sys::say(format_args!("cgigate: open http://{}/", listener.address()));
    }
    let respond = |handler: &dyn Handler, slate: &mut Slate, streams: Streams<'_>| {
        let app = dispatcher.dispatch(Role::Responder, &mut slate.vars);
        run_app(handler, app, slate, streams)
    };
    thread::scope(|scope| {
        let (options, stop, respond) = (&options, &*stop, &respond);
        let serve = |socket: &'_ TcpListener| simple_server::serve(socket, options, stop, respond);
        let serve = |socket| scope.spawn(move || serve(socket));
        let servers: Vec<_> = sockets.iter().map(serve).collect();
        servers.into_iter().try_for_each(|server| match server.join() {
            Ok(served) => Ok(served?),
            Err(_) => anyhow::bail!("serve http: a server thread panicked"),
        })
    })
}

/// The applications as a FastCGI server runs them.
struct FastCgi {
    dispatcher: Dispatcher,
    handler: Plain,
    allow: Allow,
    /// Whether the log has a refused connection already: whoever knocks all day fills no disk.
    refused: AtomicBool,
}

impl Dispatch for FastCgi {
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
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

/// Serves until a signal says to stop, and what was in flight has ended.
fn fastcgi(
    dispatcher: Dispatcher,
    listeners: Vec<Listener>,
    allow: Allow,
    settings: Settings,
    signals: Signals,
) -> anyhow::Result<()> {
    let attributes = Attributes {
        origin_server: false,
        wsgi_multiprocess: false,
        wsgi_multithread: settings.threads > 1,
        preamble: Preamble::StatusLast,
        ..Attributes::BASE
    };
    announce("fastcgi", &listeners, settings.threads);
    let refused = AtomicBool::new(false);
    let apps = FastCgi { dispatcher, handler: Plain(attributes), allow, refused };
    let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
    let server = Server::new(sockets.collect::<Result<_, _>>()?, Arc::new(apps), settings)?;
    let stopper = server.stopper();
    let mut listeners = Some(listeners);
    obey(signals, move || {
        // The server closes its own: nobody is to wait at a door that is opened no more.
        drop(listeners.take());
        stopper.stop();
    });
    Ok(server.run()?)
}

/// Who may connect.
fn allow(protocol: Protocol, server: &Options) -> anyhow::Result<Allow> {
    const WEB_SERVERS: &str = "FCGI_WEB_SERVER_ADDRS";
    let mut allow = Allow::new(server.allow.clone(), server.allow_uid.clone());
    if let (Protocol::FastCgi, Some(addresses)) = (protocol, env::var_os(WEB_SERVERS)) {
        let added = allow.add_web_servers(&addresses.to_string_lossy());
        added.map_err(|why| Usage(format!("{WEB_SERVERS}: {why}")))?;
    }
    Ok(allow)
}

fn listeners(protocol: Protocol, server: &Options, allow: &Allow) -> anyhow::Result<Vec<Listener>> {
    if server.listen.is_empty() && net::stdin_listens() {
        return Ok(vec![Listener::stdin()?]);
    }
    let mut addresses = server.listen.clone();
    if addresses.is_empty() {
        let default = match protocol {
            _ if !net::handed_over(None).is_empty() => "systemd",
            Protocol::FastCgi => "127.0.0.1:9000",
            Protocol::Http => "127.0.0.1:8000",
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

fn settings(server: &Options) -> Settings {
    let default = Settings::default();
    Settings {
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
