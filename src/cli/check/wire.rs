//! What a gateway refuses by itself, replayed where it is refused: on a connection.
//!
//! The bytes of the request go through what understands those of a web server, without a socket.

use crate::{
    cli::values,
    fcgi::{self, RecordType, Reply, RequestId, Role},
    gateway::{Dispatch, Dispatcher, Protocol, Serial, Settings, fixture::Fixture},
    handlers::{Handler, Plain},
    scgi,
    types::{Application, Vars},
    uwsgi,
};
use std::{
    io::{self, Cursor, Read, Write},
    num::NonZeroU16,
    sync::Arc,
};

/// What a server was told that has refused a request, as the request's record has it.
pub(super) const MAX_BODY: &[u8] = b"CGIGATE_MAX_BODY";
pub(super) const MAX_VARIABLES: &[u8] = b"CGIGATE_MAX_VARIABLES";

const ID: RequestId = RequestId(NonZeroU16::MIN);

/// What is answered to the request, as its application would have written it; `None`: the protocol
/// cannot carry it.
///
/// # Errors
/// A limit that is none, or an answer that is not of the protocol.
pub(super) fn answer(
    fixture: &Fixture,
    protocol: Protocol,
    handler: Plain,
    dispatcher: Arc<Dispatcher>,
) -> Result<Option<Vec<u8>>, String> {
    let Some(request) = request(fixture, protocol) else { return Ok(None) };
    let usual = Settings::default();
    let settings = Settings {
        max_body: limit(fixture, MAX_BODY)?,
        max_variables: limit(fixture, MAX_VARIABLES)?
            .map_or(usual.max_variables, |limit| usize::try_from(limit).unwrap_or(usize::MAX)),
        ..usual
    };
    let wire = Wire { request: Cursor::new(request), answer: Vec::new() };
    let mut serial = Serial::new(protocol, wire, Arc::new(Apps { dispatcher, handler }), settings);
    serial.run();
    let answer = serial.into_stream().answer;
    match protocol {
        Protocol::FastCgi => stdout(&answer).map(Some),
        Protocol::Scgi | Protocol::Uwsgi => Ok(Some(answer)),
    }
}

fn limit(fixture: &Fixture, name: &[u8]) -> Result<Option<u64>, String> {
    let said = fixture.environ.iter().find(|(known, _)| known == name);
    let size = said.map(|(_, value)| values::size(&String::from_utf8_lossy(value)));
    size.transpose().map_err(|why| format!("{}: {why}", name.escape_ascii()))
}

/// The bytes of the request, if the protocol has any for it.
fn request(fixture: &Fixture, protocol: Protocol) -> Option<Vec<u8>> {
    // These were the server's.
    let own = |name: &[u8]| name == MAX_BODY || name == MAX_VARIABLES;
    let vars = fixture.environ.iter().filter(|(name, _)| !own(name));
    let mut vars: Vec<_> = vars.map(|(name, value)| (&name[..], &value[..])).collect();
    let mut wire = Vec::new();
    match protocol {
        Protocol::FastCgi => {
            let request =
                fcgi::Request { id: ID, role: Role::Responder, keep_conn: false, params: &vars };
            fcgi::Client::new().begin(&mut wire, &request).ok()?;
            if !fixture.stdin.is_empty() {
                fcgi::stream(&mut wire, RecordType::Stdin, ID, &fixture.stdin);
            }
            fcgi::stream(&mut wire, RecordType::Stdin, ID, b"");
        }
        Protocol::Scgi => {
            let at = vars.iter().position(|(name, _)| *name == b"CONTENT_LENGTH");
            let length = at.map(|at| vars.remove(at).1).filter(|length| !length.is_empty());
            let length =
                length.map_or(Some(0), |length| std::str::from_utf8(length).ok()?.parse().ok());
            vars.retain(|(name, _)| *name != b"SCGI");
            scgi::head(&mut wire, length?, &vars).ok()?;
            wire.extend_from_slice(&fixture.stdin);
        }
        Protocol::Uwsgi => {
            uwsgi::head(&mut wire, &vars).ok()?;
            wire.extend_from_slice(&fixture.stdin);
        }
    }
    Some(wire)
}

/// STDOUT of the request.
fn stdout(answer: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("understand the answer: {why}");
    let mut client = fcgi::Client::new();
    let request = fcgi::Request { id: ID, role: Role::Responder, keep_conn: false, params: &[] };
    client.begin(&mut Vec::new(), &request).map_err(|id| wrong(&id))?;
    let (mut at, mut stdout) = (0, Vec::new());
    loop {
        let (used, reply) = client.next(&answer[at..]).map_err(|error| wrong(&error))?;
        at += used;
        match reply {
            Some(Reply::Stdout { piece, .. }) => stdout.extend_from_slice(piece),
            Some(Reply::End { .. }) => return Ok(stdout),
            Some(_) => {}
            None => return Err(wrong(&"it has no end")),
        }
    }
}

/// The applications, as a connection has them run.
struct Apps {
    dispatcher: Arc<Dispatcher>,
    handler: Plain,
}

impl Dispatch for Apps {
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
        self.dispatcher.dispatch(role, vars)
    }

    fn serves(&self, role: Role) -> bool {
        role == Role::Responder
    }

    fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) {
        &self.handler
    }

    fn errors(&self, _: &[u8]) {}

    fn log(&self, _: &str) {}
}

/// A web server that has said all, and hears.
struct Wire {
    request: Cursor<Vec<u8>>,
    answer: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.request.read(room)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
