//! `get`: one request to any FastCGI responder, as curl would ask a web server.

mod conversation;
mod options;
pub(super) mod request;
pub(super) mod response;
mod upload;

use crate::{
    cli::Usage,
    fcgi::{self, Client, ProtocolStatus, Reply, RequestId, VALUES, get_values, pairs},
    sys::{self, SocketCell},
};
use anyhow::{Context as _, bail};
use conversation::converse;
pub(super) use options::Get;
use response::Response;
use std::{
    ffi::OsStr,
    fs,
    io::{self, ErrorKind, Read as _, Write as _},
    num::NonZeroU16,
    ops::ControlFlow,
    path::Path,
    process::ExitCode,
};
use upload::Upload;

/// One request a connection, and so one id.
const ID: RequestId = RequestId(NonZeroU16::MIN);

pub(super) fn run(options: &Get) -> anyhow::Result<ExitCode> {
    let done = match (&options.path, options.ping, &options.decode) {
        (Some(target), false, None) => fetch(target, options),
        (None, true, None) => ping(options).with_context(|| format!("ping {}", options.connect)),
        (None, false, Some(file)) => {
            decode(file).with_context(|| format!("decode {}", file.display()))
        }
        (None, false, None) => Err(Usage("get: no PATH: what shall be asked for?".into()).into()),
        _ => Err(Usage("get: PATH, --ping and --decode: one of them, please".into()).into()),
    };
    match done {
        Err(error) if error.is::<Unread>() => Ok(ExitCode::FAILURE),
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

/// Nobody reads our stdout any more: nothing to be said about.
#[derive(Debug, thiserror::Error)]
#[error("stdout was closed")]
struct Unread;

/// At once, and as it is.
fn print(bytes: &[u8]) -> anyhow::Result<()> {
    match (&*sys::stdout()).write_all(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Unread.into()),
        written => written.context("write the answer"),
    }
}

/// STDERR, as it is. That nobody reads it is no reason to break off.
#[derive(Default)]
struct Log {
    unfinished: bool,
}

impl Log {
    fn print(&mut self, piece: &[u8]) {
        let _ = io::stderr().write_all(piece);
        self.unfinished = !piece.ends_with(b"\n");
    }

    /// PHP leaves its last line open; what is said next begins a line of its own.
    fn end(&self) {
        if self.unfinished {
            let _ = io::stderr().write_all(b"\n");
        }
    }
}

fn fetch(target: &OsStr, options: &Get) -> anyhow::Result<()> {
    let request = request::make(target, options)?;
    let params: Vec<_> = request.params.iter().collect();
    let head = fcgi::Request { id: ID, role: options.role, keep_conn: false, params: &params };
    let (mut client, mut out) = (Client::new(), Vec::new());
    client.begin(&mut out, &head)?;
    let mut upload = Upload::new(ID, out, request.bodies);
    let (mut response, mut log) = (Response::default(), Log::default());
    let what = || format!("get {} from {}", target.display(), options.connect);
    let socket = connect(options).with_context(what)?;
    let hear = |reply: Reply<'_>| hear(reply, &mut response, &mut log, options.include);
    let ended = converse(&socket, options.limit(), &mut client, &mut upload, hear);
    log.end();
    let (app_status, protocol_status) = ended.with_context(what)?;
    judge(app_status, protocol_status, response, request::method(options)).with_context(what)
}

/// One reply of the responder; the last breaks off.
fn hear(
    reply: Reply<'_>,
    response: &mut Response,
    log: &mut Log,
    include: bool,
) -> anyhow::Result<ControlFlow<(u32, ProtocolStatus)>> {
    match reply {
        Reply::Stdout { piece, .. } => {
            let (head, body) = response.next(piece)?;
            if include {
                print(head)?;
            }
            print(body)?;
        }
        Reply::Stderr { piece, .. } => log.print(piece),
        Reply::End { app_status, protocol_status, .. } => {
            return Ok(ControlFlow::Break((app_status, protocol_status)));
        }
        // What ends a stream is said again by END_REQUEST. Nobody asked for the other two.
        Reply::StdoutEnd { .. } | Reply::StderrEnd { .. } => {}
        Reply::Values { .. } | Reply::UnknownType(_) => {}
    }
    Ok(ControlFlow::Continue(()))
}

/// Whether what has ended was an answer, and a good one.
fn judge(
    app_status: u32,
    protocol_status: ProtocolStatus,
    response: Response,
    method: &str,
) -> anyhow::Result<()> {
    if protocol_status != ProtocolStatus::RequestComplete {
        bail!("the request was refused with {}", protocol_status.as_str());
    }
    if app_status != 0 {
        bail!("the application ended with appStatus {app_status}");
    }
    let status = response.finish(method == "HEAD")?;
    match status.code {
        200..=399 => Ok(()),
        _ => bail!("the answer is {}", status.text),
    }
}

fn ping(options: &Get) -> anyhow::Result<()> {
    let mut out = Vec::new();
    get_values(&mut out, &VALUES);
    let socket = connect(options)?;
    let mut upload = Upload::new(ID, out, Vec::new());
    let mut lines = String::new();
    converse(&socket, options.limit(), &mut Client::new(), &mut upload, |reply| match reply {
        Reply::Values { pairs: content } => {
            for pair in pairs(content) {
                let (name, value) = pair?;
                let (name, value) = (content[name].escape_ascii(), content[value].escape_ascii());
                lines.push_str(&format!("{name}={value}\n"));
            }
            Ok(ControlFlow::Break(()))
        }
        Reply::UnknownType(_) => bail!("GET_VALUES is not known there"),
        _ => Ok(ControlFlow::Continue(())),
    })?;
    print(lines.as_bytes())
}

fn connect(options: &Get) -> anyhow::Result<SocketCell> {
    let socket = SocketCell::empty();
    let limit = options.limit();
    socket.put(options.connect.connect(limit).map_err(|error| match (error.kind(), limit) {
        (ErrorKind::TimedOut, Some(limit)) => {
            anyhow::anyhow!("not connected after {limit:?} (--timeout)")
        }
        _ => anyhow::Error::from(error).context("connect"),
    })?);
    Ok(socket)
}

fn decode(file: &Path) -> anyhow::Result<()> {
    let stream = if file == Path::new("-") {
        let mut stream = Vec::new();
        io::stdin().read_to_end(&mut stream).map(|_| stream)
    } else {
        fs::read(file)
    };
    let stream = stream.context("read it")?;
    let mut words = fcgi::words(&stream);
    while let Some(line) = words.next() {
        if words.is_broken() {
            bail!(line);
        }
        print(format!("{line}\n").as_bytes())?;
    }
    Ok(())
}
