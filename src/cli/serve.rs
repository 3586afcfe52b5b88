//! `fastcgi`, `scgi`, `uwsgi` and `http`: from options to a server that runs.

use super::{
    Usage,
    doors::{self, Door},
    identity::{self, PidFile},
    logs::Logs,
    observe::{self, Admin, Observed},
    options::{Served, Server as Options},
    own_name,
    process::{self, Lone, Process},
    record, sandbox,
    servers::Plan,
    wear::Wear,
};
use crate::{
    apps,
    gateway::{Dispatcher, Gateway, Settings},
    net::{self, Allow},
    simple_server::Options as HttpOptions,
    sys::{
        Signals, make_room_for_descriptors, raise_descriptor_limit, set_var, survive_full_files,
    },
};
use anyhow::Context as _;
use std::{env, os::unix::ffi::OsStringExt as _, process::ExitCode, sync::Arc};

/// Whether somebody has started this process with a socket to serve.
pub(super) fn is_handed_over() -> bool {
    net::stdin_listens() || !net::handed_over(None).is_empty()
}

/// Whether a supervisor has started this process.
pub(super) fn is_worker() -> bool {
    Process::is_worker()
}

pub(super) fn run(gateway: Gateway, command: Served, server: Options) -> anyhow::Result<ExitCode> {
    if let Some(name) = &server.app
        && !gateway.apps().any(|(app, _)| app == name)
    {
        let why = format!("--app {name}: no such application; `cgigate apps` lists them");
        return Err(Usage(why).into());
    }
    let allow = doors::allow(command, &server)?;
    if let Some((mut worker, doors)) = Process::inherited()? {
        let logs = Logs::open(&server)?;
        let observed = Observed::worker(&server, worker.take_block(), &doors, logs);
        return serve(gateway, &server, allow, doors, worker, observed);
    }
    let doors = Door::open(command, &server, &allow)?;
    let admin = Admin::bind(&server, &allow)?;
    let _pid_file = server.pid_file.as_deref().map(PidFile::write).transpose()?;
    identity::become_user(&server)?;
    let (logs, board) = (Logs::open(&server)?, observe::scoreboard(&server, &doors)?);
    // Whoever hands over a socket on descriptor 0 starts several by himself, and replaces them.
    let lone = server.listen.is_empty() && net::stdin_listens();
    if let Some(admin) = &admin {
        let supervisor = (!lone).then(std::process::id);
        admin.serve(&server, board.as_ref(), supervisor, &doors)?;
    }
    let admin = admin.as_ref().map(Admin::address);
    if lone {
        let process = Process::Lone(Lone::new(admin, board.clone())?);
        let observed = Observed::lone(&server, board, &doors, logs);
        return serve(gateway, &server, allow, doors, process, observed);
    }
    process::supervise(&server, doors, board, admin, logs)
}

/// Builds the applications, and serves.
fn serve(
    mut gateway: Gateway,
    server: &Options,
    allow: Allow,
    doors: Vec<Door>,
    process: Process,
    observed: Observed,
) -> anyhow::Result<ExitCode> {
    if let Some(accel) = &server.accel {
        // Applications read it where CGI has it; no thread is there yet to read it meanwhile.
        set_var(apps::ACCEL, &accel.to_string());
    }
    let recorder = record::recorder(server.record.plan())?;
    if let Some(recorder) = &recorder {
        gateway = recorder.recorded(gateway);
    }
    if server.validate {
        gateway = gateway.validated();
    }
    gateway.build()?;
    gateway.greet();
    raise_descriptor_limit();
    make_room_for_descriptors(server.max_connections);
    survive_full_files();
    let (wear, observed) = (Arc::new(Wear::new(server.max_requests)), Arc::new(observed));
    let plan = Plan {
        settings: settings(server),
        http: http_options(server),
        allow,
        multiprocess: process.has_others(server),
        siblings: &|counter| process.siblings(counter),
        wear: Arc::clone(&wear),
        observed: Arc::clone(&observed),
    };
    let (own_name, _) = own_name();
    let (gateway, own_name) = (Arc::new(gateway), own_name.as_deref());
    let unopened = plan.servers(&doors, |served| {
        let make = match served {
            Served::WebServers(_) => Dispatcher::new,
            Served::Http => Dispatcher::http,
        };
        let dispatcher =
            make(Arc::clone(&gateway), server.app.clone(), own_name, max_body(served, server));
        let dispatcher = record::refusals(dispatcher, &recorder);
        dispatcher.mounted(server.mount.clone()).passing(passed_env(server))
    })?;
    // Before anybody is told that the server is ready to be told something.
    let signals = Signals::install()?;
    sandbox::enter(server)?;
    if let Some(recorder) = &recorder {
        recorder.start().context("start a thread that records")?;
    }
    let servers = unopened.servers();
    let running = process.begin(signals, server, doors, servers, &wear, Arc::clone(&observed))?;
    unopened.run()?;
    observed.finish();
    if let Some(recorder) = recorder {
        recorder.finish();
    }
    Ok(running.await_end())
}

/// Application calls at a time in a worker.
pub(super) fn threads(served: Served, server: &Options) -> usize {
    server.threads.map_or_else(
        || match served {
            Served::WebServers(_) => Settings::default().threads,
            Served::Http => HttpOptions::http().threads,
        },
        usize::from,
    )
}

/// Those of all servers in a worker.
pub(super) fn all_threads(doors: &[Door], server: &Options) -> usize {
    let http = doors.iter().any(|door| door.served == Served::Http);
    let web = doors.iter().find(|door| door.served != Served::Http).map(|door| door.served);
    let servers = web.into_iter().chain(http.then_some(Served::Http));
    servers.map(|served| threads(served, server)).sum()
}

/// The variables of `--pass-env` that there are.
fn passed_env(server: &Options) -> Vec<(String, Vec<u8>)> {
    let value = |name: &String| Some((name.clone(), env::var_os(name)?.into_vec()));
    server.pass_env.iter().filter_map(value).collect()
}

/// Bytes that a request's body may have.
fn max_body(served: Served, server: &Options) -> u64 {
    server.max_body.unwrap_or(match served {
        Served::WebServers(_) => u64::MAX,
        Served::Http => 16 << 20,
    })
}

fn http_options(server: &Options) -> HttpOptions {
    let default = HttpOptions::http();
    HttpOptions {
        threads: threads(Served::Http, server),
        max_connections: server.max_connections,
        max_queue: server.max_queue,
        max_body: max_body(Served::Http, server),
        read_timeout: server.read_timeout.0,
        idle_timeout: server.idle_timeout.map_or(default.idle_timeout, |limit| limit.0),
        queue_timeout: server.queue_timeout.0,
        graceful_timeout: server.graceful_timeout,
        ..default
    }
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
        read_timeout: server.read_timeout.0,
        write_timeout: server.write_timeout.0,
        request_timeout: server.request_timeout.0,
        queue_timeout: server.queue_timeout.0,
        idle_timeout: server.idle_timeout.and_then(|limit| limit.0),
        graceful_timeout: server.graceful_timeout,
        ..default
    }
}
