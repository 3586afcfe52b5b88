//! One fixture, run in the shape of one protocol, and what is wrong with its answer.

use super::wire;
use crate::{
    cli::request,
    fcgi::Role,
    gateway::{
        Dispatcher, Gateway, Protocol,
        fixture::{Fixture, difference, lines},
    },
    handlers::{
        Attributes, Content, ContentInput, Ending, Plain, Preamble, Slate, Streams, run,
        strip_script_name,
    },
    lock::lock,
    validate::validator,
};
use std::{
    env,
    ffi::OsStr,
    io::{self, Read, Write as _},
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// An application that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a request reaches its application, and the answer the web server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Cgi,
    FastCgi,
    Scgi,
    Uwsgi,
    Http,
    /// CGI in a process of its own, which may die, and has an environment.
    Process,
}

impl Shape {
    /// All that a case says something about.
    pub(super) fn of(fixture: &Fixture) -> &'static [Self] {
        const DIED: i32 = 128;
        // Known to this executable; others are read by applications from the process environment.
        const SETTINGS: [&[u8]; 6] = [
            b"CGIGATE_APP",
            b"CGIGATE_MOUNT",
            b"CGIGATE_HANDLER",
            wire::MAX_BODY,
            wire::MAX_VARIABLES,
            b"CGIGATE_VALIDATE",
        ];
        let own = |name: &[u8]| !name.starts_with(b"CGIGATE_") || SETTINGS.contains(&name);
        if is_only_on_sockets(fixture) {
            return &[Self::FastCgi, Self::Scgi, Self::Uwsgi];
        }
        let in_process = fixture.exit < DIED && fixture.environ.iter().all(|(name, _)| own(name));
        match (in_process, fixture.only_cgi) {
            (false, _) => &[Self::Process],
            (true, true) => &[Self::Cgi],
            (true, false) => &[Self::Cgi, Self::FastCgi, Self::Scgi, Self::Uwsgi, Self::Http],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cgi | Self::Process => "CGI",
            Self::FastCgi => "FastCGI",
            Self::Scgi => "SCGI",
            Self::Uwsgi => "uwsgi",
            Self::Http => "HTTP",
        }
    }

    /// What is spoken on the connection of a web server.
    fn protocol(self) -> Option<Protocol> {
        match self {
            Self::FastCgi => Some(Protocol::FastCgi),
            Self::Scgi => Some(Protocol::Scgi),
            Self::Uwsgi => Some(Protocol::Uwsgi),
            Self::Cgi | Self::Http | Self::Process => None,
        }
    }

    /// What `wsgi.*` says of threads and processes is CGI's in all of them: a fixture is one answer.
    fn attributes(self) -> Attributes {
        let preamble = match self {
            Self::Cgi | Self::Scgi | Self::Process => Preamble::StatusFirst,
            Self::FastCgi => Preamble::StatusLast,
            Self::Uwsgi | Self::Http => Preamble::StatusLine,
        };
        let origin_server = self == Self::Http;
        Attributes { preamble, origin_server, http_version: "1.1".into(), ..Attributes::CGI }
    }
}

/// Whether a gateway refused it for a limit that CGI does not know.
pub(super) fn is_only_on_sockets(fixture: &Fixture) -> bool {
    let limited = || fixture.environ.iter().any(|(name, _)| name == wire::MAX_VARIABLES);
    fixture.refused.is_some() && limited()
}

/// What the validator has to say of applications, and nobody has been told yet.
#[derive(Clone, Default)]
pub(super) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }

    fn add(&self, warning: String) {
        let mut warnings = lock(&self.0);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// The applications under a validator that leaves the web server alone: it is not there.
pub(super) fn watched(gateway: Gateway, warnings: &Warnings) -> Gateway {
    let warnings = warnings.clone();
    gateway.wrapped(move |_, app| {
        let warnings = warnings.clone();
        Box::new(validator(app).application_only().warn(move |w| warnings.add(w.to_string())))
    })
}

/// What there is to replay against.
pub(super) struct Applications {
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) names: Vec<&'static str>,
    pub(super) warnings: Warnings,
}

/// An answer as a CGI process would have given it.
struct Answer {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: i32,
}

/// All that is wrong with what the applications answer to a case.
pub(super) fn wrong(fixture: &Fixture, shape: Shape, apps: &Applications) -> Vec<String> {
    let answer = match answer(fixture, shape, apps) {
        Ok(Some(answer)) => answer,
        // The protocol cannot carry it.
        Ok(None) => return Vec::new(),
        Err(why) => return vec![why],
    };
    let mut wrong = Vec::new();
    let (expected, got) = alike(fixture, shape, &answer.stdout);
    if let Some(difference) = difference(&expected, &got) {
        wrong.push(super::show(difference));
    }
    // On a socket the log goes elsewhere, and says other things besides.
    if matches!(shape, Shape::Cgi | Shape::Process) {
        let mut said = lines(&answer.stderr);
        let lacking =
            lines(&fixture.stderr).find(|wanted| !said.any(|line| contains(line, wanted)));
        if let Some(lacking) = lacking {
            wrong.push(format!("stderr lacks: {}", lacking.escape_ascii()));
        }
    }
    if answer.exit != fixture.exit {
        wrong.push(format!("exit status {} instead of {}", answer.exit, fixture.exit));
    }
    if !wrong.is_empty()
        && let Some(first) = lines(&answer.stderr).next()
    {
        wrong.push(format!("stderr says: {}", first.escape_ascii()));
    }
    wrong
}

fn contains(line: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || line.windows(wanted.len()).any(|bytes| bytes == wanted)
}

fn answer(fixture: &Fixture, shape: Shape, apps: &Applications) -> Result<Option<Answer>, String> {
    if shape == Shape::Process {
        return in_a_process(fixture).map(Some);
    }
    let (tell, told) = mpsc::channel();
    let (fixture, dispatcher) = (fixture.clone(), Arc::clone(&apps.dispatcher));
    // Nobody waits any more for one that took too long.
    let replay = move || {
        tell.send(match shape.protocol().filter(|_| fixture.refused.is_some()) {
            Some(protocol) => on_the_wire(&fixture, shape, protocol, dispatcher),
            None => in_process(&fixture, shape, &dispatcher).map(Some),
        })
    };
    let replay = thread::Builder::new().name("replay".into()).spawn(replay);
    replay.map_err(|error| format!("start a thread: {error}"))?;
    told.recv_timeout(PATIENCE).unwrap_or_else(|_| Err(format!("no answer after {PATIENCE:?}")))
}

/// Has a connection of that protocol refuse what one has refused.
fn on_the_wire(
    fixture: &Fixture,
    shape: Shape,
    protocol: Protocol,
    dispatcher: Arc<Dispatcher>,
) -> Result<Option<Answer>, String> {
    let handler = Plain(shape.attributes());
    let stdout = wire::answer(fixture, protocol, handler, dispatcher)?;
    Ok(stdout.map(|stdout| Answer { stdout, stderr: Vec::new(), exit: 0 }))
}

/// Runs it as a web server of that protocol would have it run.
fn in_process(fixture: &Fixture, shape: Shape, dispatcher: &Dispatcher) -> Result<Answer, String> {
    let mut slate = Slate::default();
    fixture.environ.iter().for_each(|(name, value)| slate.vars.set(name, value));
    slate.vars.settle();
    slate.vars.remove("HTTP_PROXY");
    let mut max_body = u64::MAX;
    // A request on a socket says none of this; with what a server refused stands what it was told.
    if shape == Shape::Cgi || fixture.refused.is_some() {
        match request::settings(&slate.vars) {
            Ok(settings) => {
                max_body = settings.max_body;
                if settings.iis {
                    strip_script_name(&mut slate.vars);
                }
            }
            Err(reason) => {
                let stderr = format!("cgigate: answer the request: {reason}\n").into_bytes();
                return Ok(Answer { stdout: request::FAILED.to_vec(), stderr, exit: 0 });
            }
        }
    }
    let app = dispatcher.dispatch_within(Some(max_body), Role::Responder, &mut slate.vars);
    let content = match (shape, Content::length(&slate.vars)) {
        (Shape::FastCgi, Ok(None)) => Content::UntilEnd,
        _ => Content::of_cgi(&slate.vars).unwrap_or(Content::Length(0)),
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut stdin = ContentInput::new(&fixture.stdin[..], content, max_body);
    let streams = Streams { stdin: &mut stdin, stdout: &mut stdout, stderr: &mut stderr };
    let outcome = run(&Plain(shape.attributes()), app, &mut slate, streams);
    let outcome = outcome.map_err(|error| format!("answer the request: {error}"))?;
    let exit = i32::from(matches!(outcome.ending, Ending::Cut { .. }));
    Ok(Answer { stdout, stderr, exit })
}

/// Has this executable answer it, as a web server starts it.
fn in_a_process(fixture: &Fixture) -> Result<Answer, String> {
    let what = |error: io::Error| format!("run the executable: {error}");
    let executable = env::current_exe().map_err(what)?;
    let mut command = Command::new(executable);
    command.env_clear().args(fixture.args.iter().map(|arg| OsStr::from_bytes(arg)));
    for (name, value) in &fixture.environ {
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(what)?;
    // It may answer before it has read, or never read at all.
    let (stdin, body) = (child.stdin.take(), fixture.stdin.clone());
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&body)));
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().map_err(what)? {
            Some(status) => break status,
            None if begun.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no answer after {PATIENCE:?}"));
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let all = |pipe: JoinHandle<Vec<u8>>| pipe.join().unwrap_or_default();
    let exit = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(Answer { stdout: all(stdout), stderr: all(stderr), exit: exit.unwrap_or_default() })
}

/// Reads a pipe to its end, beside whoever fills another.
fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        // What came before an error is what there is.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut all));
        all
    })
}

/// What is expected and what came, both as they can be compared: the status first of all, and
/// without what HTTP adds.
fn alike(fixture: &Fixture, shape: Shape, stdout: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let expected = &fixture.stdout[..];
    let ancient = |(name, value): &(Vec<u8>, Vec<u8>)| {
        name == b"SERVER_PROTOCOL" && value.eq_ignore_ascii_case(b"HTTP/0.9")
    };
    // That has no head at all.
    if shape == Shape::Http && fixture.environ.iter().any(ancient) {
        let expected = split_head(expected).map_or(expected, |(_, body)| body);
        return (expected.to_vec(), stdout.to_vec());
    }
    let Some((head, body)) = split_head(stdout) else {
        return (expected.to_vec(), stdout.to_vec());
    };
    let mut fields: Vec<_> = head.split_inclusive(|&byte| byte == b'\n').collect();
    match shape {
        Shape::Cgi | Shape::Scgi | Shape::Process => {}
        Shape::FastCgi => {
            if let Some(status) = fields.pop() {
                fields.insert(0, status);
            }
        }
        Shape::Uwsgi | Shape::Http => {
            let status = fields.remove(0);
            let status = status.strip_prefix(b"HTTP/1.1 ").unwrap_or(status);
            let dated = expected.split(|&byte| byte == b'\n').nth(1);
            let dated = dated.is_some_and(|line| line.starts_with(b"Date: "));
            let date = fields.first().is_some_and(|line| line.starts_with(b"Date: "));
            let rest = if date && !dated { &fields[1..] } else { &fields[..] };
            let head = [&[&b"Status: "[..], status][..], rest].concat().concat();
            return (expected.to_vec(), [&head, &b"\r\n"[..], body].concat());
        }
    }
    (expected.to_vec(), [&fields.concat(), &b"\r\n"[..], body].concat())
}

/// The header block, without the empty line that ends it, and what follows.
fn split_head(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    Some((&answer[..end + 2], &answer[end + 4..]))
}
