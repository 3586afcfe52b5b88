//! `fastcgi` and `http`: from options to a server that runs.

use super::{
    Usage,
    options::{Protocol, Server as Options},
    own_name,
};
use crate::{
    fcgi::Role,
    gateway::{Dispatch, Dispatcher, Gateway, Server, Settings},
    handlers::{Attributes, Handler, Plain, Preamble},
    net::{self, Address, Listener},
    sys::{Signal, Signals},
    types::{Application, Vars},
};
use std::{os::fd::AsFd, process::ExitCode, sync::Arc, thread};

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
    let listeners = listeners(protocol, &server)?;
    gateway.build()?;
    let max_body = server.max_body.unwrap_or(match protocol {
        Protocol::FastCgi => u64::MAX,
        Protocol::Http => 16 << 20,
    });
    let (own_name, _) = own_name();
    let settings = settings(&server);
    let dispatcher = Dispatcher::new(gateway, server.app, own_name.as_deref(), max_body);
    for listener in &listeners {
        let name = match protocol {
            Protocol::FastCgi => "fastcgi",
            Protocol::Http => "http",
        };
        let (address, threads) = (listener.address(), settings.threads);
        eprintln!("cgigate: {name} on {address}, 1 workers x {threads} threads");
    }
    match protocol {
        Protocol::FastCgi => fastcgi(dispatcher, &listeners, settings)?,
        Protocol::Http => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The applications as a FastCGI server runs them.
struct FastCgi {
    dispatcher: Dispatcher,
    handler: Plain,
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
}

/// Serves until a signal says to stop, and what was in flight has ended.
fn fastcgi(
    dispatcher: Dispatcher,
    listeners: &[Listener],
    settings: Settings,
) -> anyhow::Result<()> {
    let attributes = Attributes {
        origin_server: false,
        wsgi_multiprocess: false,
        wsgi_multithread: settings.threads > 1,
        preamble: Preamble::StatusLast,
        ..Attributes::BASE
    };
    let apps = FastCgi { dispatcher, handler: Plain(attributes) };
    let sockets = listeners.iter().map(|listener| listener.as_fd().try_clone_to_owned());
    let server = Server::new(sockets.collect::<Result<_, _>>()?, Arc::new(apps), settings)?;
    let (stopper, mut signals) = (server.stopper(), Signals::install()?);
    thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            match signal {
                Signal::Stop => stopper.stop(),
                Signal::Reload | Signal::Reopen => {}
            }
        }
    });
    Ok(server.run()?)
}

fn listeners(protocol: Protocol, server: &Options) -> anyhow::Result<Vec<Listener>> {
    if server.listen.is_empty() && net::stdin_listens() {
        return Ok(vec![Listener::stdin()?]);
    }
    let mut addresses = server.listen.clone();
    if addresses.is_empty() {
        let default = match protocol {
            _ if net::handed_over(None).is_some() => "systemd",
            Protocol::FastCgi => "127.0.0.1:9000",
            Protocol::Http => "127.0.0.1:8000",
        };
        addresses.extend(default.parse::<Address>());
    }
    if let Some(exposed) = addresses.iter().find(|address| address.is_exposed()) {
        let why = format!(
            "--listen {exposed}: others than this machine could connect, and --allow is not there yet to say who may; listen on loopback or a unix socket"
        );
        return Err(Usage(why).into());
    }
    let bind = |address| Listener::bind(address, server.backlog, server.socket_mode);
    Ok(addresses.iter().map(bind).collect::<Result<_, _>>()?)
}

fn settings(server: &Options) -> Settings {
    let default = Settings::default();
    Settings {
        threads: server.threads.map_or(default.threads, usize::from),
        max_connections: server.max_connections,
        max_body: server.max_body,
        max_params: usize::try_from(server.max_params).unwrap_or(usize::MAX),
        max_queue: server.max_queue,
        multiplex: server.multiplex == "on",
        read_timeout: Some(server.read_timeout),
        queue_timeout: server.queue_timeout,
        idle_timeout: server.idle_timeout,
        graceful_timeout: server.graceful_timeout,
        ..default
    }
}
