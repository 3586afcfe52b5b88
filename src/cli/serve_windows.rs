//! `fastcgi` on Windows: over the named pipe that IIS starts the executable with.
//!
//! IIS asks one thing at a time of a process, and starts as many as it wants.

use super::{
    Usage,
    options::{Served, Server as Options},
    own_name,
};
use crate::{
    fcgi::Role,
    gateway::{Dispatch, Dispatcher, Gateway, Protocol, Serial, Settings},
    handlers::{Attributes, Handler, Plain},
    lock::lock,
    sys::{self, Pipe, ShutdownEvent},
    types::{Application, Vars},
};
use anyhow::Context as _;
use std::{
    env,
    ffi::OsString,
    fs::File,
    io::Write as _,
    process::ExitCode,
    sync::{Arc, Mutex},
    thread,
};

/// Whether IIS has started this process with a pipe to serve.
pub(super) fn is_handed_over() -> bool {
    env::var_os("REQUEST_METHOD").is_none() && sys::stdin_is_pipe_to_serve()
}

/// There is no supervisor: IIS is one.
pub(super) fn is_worker() -> bool {
    false
}

pub(super) fn run(
    mut gateway: Gateway,
    served: Served,
    server: Options,
) -> anyhow::Result<ExitCode> {
    let protocol = Protocol::FastCgi;
    if served != Served::WebServers(protocol) || !is_handed_over() {
        let why = "on Windows IIS starts it, with a pipe: `cgigate config iis` says how";
        return Err(Usage(format!("{served}: {why}")).into());
    }
    if server.validate {
        gateway = gateway.validated();
    }
    gateway.build()?;
    let max_body = server.max_body.unwrap_or(u64::MAX);
    let (own_name, _) = own_name();
    let dispatcher = Dispatcher::new(gateway, server.app.clone(), own_name.as_deref(), max_body);
    let attributes = Attributes {
        origin_server: false,
        wsgi_multiprocess: true,
        wsgi_multithread: false,
        preamble: protocol.preamble(),
        ..Attributes::BASE
    };
    let dispatcher = dispatcher.mounted(server.mount.clone());
    let settings = Settings {
        max_connections: 1,
        max_body: server.max_body,
        max_params: usize::try_from(server.max_params).unwrap_or(usize::MAX),
        max_variables: server.max_variables,
        max_requests_per_connection: server.max_multiplexed.into(),
        ..Settings::default()
    };
    let log = env::var_os("CGIGATE_ERROR_LOG").map(ErrorLog::open).transpose()?;
    let pipe = Pipe::of_stdin().context("serve the pipe on stdin")?;
    serve(pipe, Arc::new(Behind { dispatcher, handler: Plain(attributes), log }), &settings)
}

/// One web server after the other, until IIS says that it is enough.
fn serve(mut pipe: Pipe, apps: Arc<Behind>, settings: &Settings) -> anyhow::Result<ExitCode> {
    /// Held while a request is under way.
    static BUSY: Mutex<()> = Mutex::new(());
    let busy = || lock(&BUSY);
    if let Some(event) = ShutdownEvent::of_environment() {
        thread::spawn(move || {
            if event.wait() {
                let _idle = busy();
                std::process::exit(0);
            }
        });
    }
    loop {
        pipe.connect().context("wait for the web server on the pipe")?;
        let mut connection =
            Serial::new(Protocol::FastCgi, pipe, Arc::clone(&apps) as _, settings.clone());
        // Any STDERR would make a 500 of the answer (`stderrMode`).
        connection = connection.without_stderr();
        while connection.wait() {
            let _busy = busy();
            if !connection.serve() {
                break;
            }
        }
        pipe = connection.into_stream();
        pipe.disconnect();
    }
}

/// The applications as they are run for IIS.
struct Behind {
    dispatcher: Dispatcher,
    handler: Plain,
    /// Where there is none nobody hears: IIS leaves the process no stderr, and allows none on the wire.
    log: Option<ErrorLog>,
}

impl Dispatch for Behind {
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
        // How long its body is was looked at when it came.
        self.dispatcher.dispatch_within(None, role, vars)
    }

    fn serves(&self, role: Role) -> bool {
        self.dispatcher.has_role(role)
    }

    fn handler(&self, _protocol: Protocol) -> &(dyn Handler + Sync) {
        &self.handler
    }

    fn errors(&self, lines: &[u8]) {
        if let Some(log) = &self.log {
            log.add(lines);
        }
    }

    fn log(&self, line: &str) {
        self.errors(format!("cgigate: {line}").as_bytes());
    }
}

/// `--error-log`, which several processes may have in common.
struct ErrorLog(File);

impl ErrorLog {
    fn open(path: OsString) -> anyhow::Result<Self> {
        let file = File::options().append(true).create(true).open(&path);
        let file = file.with_context(|| format!("--error-log {}", path.display()))?;
        Ok(Self(file))
    }

    /// By one write: others add to the file as well. A full disk is no reason to stop.
    fn add(&self, lines: &[u8]) {
        let _ = (&self.0).write_all(&[lines, b"\n"].concat());
    }
}
