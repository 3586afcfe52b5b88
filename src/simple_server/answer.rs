//! The answer to one request that is there: its body is read, the application run, and the connection
//! made ready for what follows.

use super::{
    body::{CANNOT_KEEP, Counted, Unread, Wire, unchunk},
    connection::{After, Connection},
    handler::Size,
    refused::{BODY_TOO_LONG, Refused},
    request::{Framing, Request, parse},
    response::{Keep, Way},
    serving::Serving,
};
use crate::{
    handlers::{Content, ContentInput, Ending, Outcome, Slate, Streams},
    sys::{self, SocketCell},
    types::{self, Client, Exception},
};
use std::{cell::Cell, io::BufRead, ops::Range, sync::Arc};

/// Answers the request whose head lies at `head` in the connection's buffer.
pub(super) fn answer(
    connection: &mut Connection,
    head: Range<usize>,
    serving: &Serving<'_>,
    slate: &mut Slate,
    may_keep: bool,
) -> After {
    let options = serving.options;
    let request = match parse(&connection.buffer[head.clone()], options.rules) {
        Ok(request) => request,
        Err(refused) => return connection.refuse(serving, &refused, None),
    };
    let refuse = |connection: &mut Connection, refused: Refused| {
        connection.refuse(serving, &refused, Some(&request))
    };
    if matches!(request.framing, Framing::Length(length) if length > options.max_body) {
        return refuse(connection, BODY_TOO_LONG);
    }
    let mut buffer = std::mem::take(&mut connection.buffer);
    let awaited = request.expects_continue && buffer.len() == head.end && options.is_modern();
    let (awaited, left) = (Cell::new(awaited), Cell::new(0));
    let mut wire = Wire::new(serving, &connection.socket, (&mut buffer, head.end), &awaited);
    let chunked = match request.framing {
        Framing::Chunked => match unchunk(&mut wire, options.max_body) {
            Ok(body) => Some(body),
            Err(Unread::Refused(refused)) => return refuse(connection, refused),
            Err(Unread::Gone) => return After::Close,
        },
        Framing::Length(length) => {
            left.set(length);
            None
        }
    };
    slate.wipe(None);
    let _begun = connection.under_way.begin(slate.request());
    let limited = limit_time(connection, &request, serving, slate);
    connection.base_environ(serving, &mut slate.vars);
    serving.handler.get_environ(&request, connection.client, options.rules, &mut slate.vars);
    let stdout =
        Way::new(&connection.socket, &request, serving, may_keep, &awaited, &left, limited);
    let (outcome, keep) = match chunked {
        Some(body) => {
            slate.vars.set("CONTENT_LENGTH", body.len().to_string());
            let Ok(mut stdin) = body.into_reader() else {
                return refuse(connection, CANNOT_KEEP);
            };
            run(stdout, serving, slate, &mut *stdin)
        }
        None => {
            let length = left.get();
            let mut counted = Counted { wire: &mut wire, left: &left };
            let mut stdin = ContentInput::new(&mut counted, Content::Length(length), u64::MAX);
            run(stdout, serving, slate, &mut stdin)
        }
    };
    let keep = match keep {
        Keep::Yes if wire.ended || awaited.get() => Keep::No,
        keep => keep,
    };
    let done = wire.at;
    connection.put_back(buffer, done, left.get());
    conclude(connection, serving, &request, outcome, keep)
}

/// The request, with a client that can be told, if its application has to be done in time.
fn limit_time(
    connection: &Connection,
    request: &Request,
    serving: &Serving<'_>,
    slate: &mut Slate,
) -> Option<Arc<types::Request>> {
    if !serving.handler.limits_time() {
        return None;
    }
    let page = serving.page(&OVERDUE, request.command == "HEAD");
    slate.client = Some(Box::new(Waiting { socket: Arc::clone(&connection.socket), page }));
    Some(Arc::clone(slate.request()))
}

/// Runs the request: what came of it, and whether the connection can be used again.
fn run(
    mut stdout: Way<'_>,
    serving: &Serving<'_>,
    slate: &mut Slate,
    stdin: &mut dyn BufRead,
) -> (Result<Outcome, Exception>, Keep) {
    let mut stderr = serving.handler.get_stderr();
    let streams = Streams { stdin, stdout: &mut stdout, stderr: &mut *stderr };
    let outcome =
        serving.handler.handle(serving.application, serving.server_handler, slate, streams);
    (outcome, stdout.keep())
}

/// Logs how it ended, and says what that means for the connection.
fn conclude(
    connection: &Connection,
    serving: &Serving<'_>,
    request: &Request,
    outcome: Result<Outcome, Exception>,
    keep: Keep,
) -> After {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(exc) => {
            serving.handler.handle_error(connection.client, &exc);
            connection.reset();
            return After::Close;
        }
    };
    let size = match outcome.ending {
        Ending::Whole => Size::Whole(outcome.bytes_sent),
        Ending::Cut { .. } | Ending::Departed => Size::Aborted(outcome.bytes_sent),
    };
    serving.handler.log_request(connection.client, &request.requestline, outcome.status, size);
    match (outcome.ending, keep) {
        (Ending::Whole, Keep::Yes) => After::Keep,
        // Without a length and without chunks nothing but a reset tells this end from a good one.
        (Ending::Cut { length_known: false }, Keep::UntilEnd) => {
            connection.reset();
            After::Close
        }
        (Ending::Departed, _) => After::Close,
        _ => After::Drain,
    }
}

const OVERDUE: Refused =
    Refused { status: "504 Gateway Timeout", why: "the application did not answer in time" };

/// A client whose request may be ended before its application has ended.
struct Waiting {
    socket: Arc<SocketCell>,
    page: Vec<u8>,
}

impl Client for Waiting {
    fn refuse(&self, _request: &Arc<types::Request>) {
        // It fits the socket's buffer: nothing was sent yet, or all of it was taken.
        let _ = self.socket.send(&self.page);
        self.socket.shutdown_write();
    }

    fn cut(&self, _request: &Arc<types::Request>) {
        // Without a length, and without chunks, any other end would look like that of the body.
        let _gone_already = self.socket.with(|socket| {
            sys::reset_now(socket);
            Ok(())
        });
    }
}
