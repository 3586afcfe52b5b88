//! `BaseHandler.run`: the one place that calls an application, and the one that catches its panics.

use super::{
    Handler, Output,
    exchange::{Exchange, Head},
    panic::{Panicked, caught_below, guard},
};
use crate::types::{
    Application, Client, Environ, ErrorStream, Exception, InputStream, Request, Vars, Wsgi,
    is_departure,
};
use std::{
    io::{BufRead, Write},
    sync::Arc,
    time::Instant,
};

/// What a worker keeps from request to request, so that a request need not allocate.
#[derive(Default)]
pub struct Slate {
    /// The variables of the request: filled by the server before [`run`](run()).
    pub vars: Vars,
    /// When the request was complete enough to be run, where somebody wants to know.
    pub(crate) came: Option<Instant>,
    /// Who waits for the answer, where somebody may end the request before its application does.
    pub(crate) client: Option<Box<dyn Client>>,
    head: Head,
    request: Arc<Request>,
}

impl Slate {
    /// Wipes it for the next request, and gives back what an unusually large one had taken.
    pub fn wipe(&mut self, deadline: Option<Instant>) {
        const USUAL: usize = 64 << 10;
        self.vars.clear();
        self.vars.shrink_to(USUAL);
        self.head.shrink_to(USUAL);
        match Arc::get_mut(&mut self.request) {
            Some(request) => request.renew(deadline),
            None => {
                let mut request = Request::default();
                request.renew(deadline);
                self.request = Arc::new(request);
            }
        }
    }

    /// The request, for whoever may have to cancel it.
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }
}

/// The three streams of a request.
pub struct Streams<'s> {
    /// `wsgi.input`: ends where the body ends.
    pub stdin: &'s mut dyn BufRead,
    /// Where the response goes.
    pub stdout: &'s mut dyn Output,
    /// `wsgi.errors`
    pub stderr: &'s mut dyn Write,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it was written.
    Whole,
    /// It stops somewhere in its body, and the server must end it so that the client can tell.
    Cut {
        /// A Content-Length tells the client by itself.
        length_known: bool,
    },
    /// Nobody was there to read it.
    Departed,
}

/// What became of a request: for the access log, and for what the server does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// The status code that was sent; 0 for none.
    pub status: u16,
    /// Bytes of the body that were written.
    pub bytes_sent: u64,
    /// How it ended.
    pub ending: Ending,
}

/// Runs `app` for the request whose variables are in `slate`.
///
/// A panic or an error of the application is logged on `streams.stderr` and answered with
/// [`Handler::error_output`] if no header has gone out yet; else the response stays cut. When the
/// client has gone, nothing is logged.
///
/// ```
/// use cgigate::handlers::{Attributes, Ending, Plain, Slate, Streams, run};
///
/// let hello = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok("Hello\n".into())
/// });
/// let (mut slate, mut out, mut err) = (Slate::default(), Vec::new(), Vec::new());
/// let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
/// let outcome = run(&Plain(Attributes::CGI), &hello, &mut slate, streams)?;
/// assert_eq!(outcome.ending, Ending::Whole);
/// assert_eq!(out, b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nHello\n");
/// # Ok::<_, cgigate::Exception>(())
/// ```
///
/// # Errors
/// Only what `handle_error` could not handle: the error that came of handling an error.
pub fn run(
    handler: &dyn Handler,
    app: &dyn Application,
    slate: &mut Slate,
    streams: Streams<'_>,
) -> Result<Outcome, Exception> {
    let Slate { vars, head, request, came: _, client: _ } = slate;
    let Streams { stdin, stdout, stderr } = streams;
    let wsgi = handler.setup_environ(vars);
    let mut exchange = Exchange::new(handler, vars, head, stdout);

    let environ = lend(vars, stdin, stderr, wsgi, request);
    let result = guard(|| {
        let body = app.call(environ, &mut exchange)?;
        exchange.finish(body)
    });
    // Of one that cost nothing but what it was in, only the log tells.
    if let Some(panicked) = caught_below() {
        tell(handler, &panicked.into(), stderr);
    }
    let ending = match result {
        Ok(()) => exchange.ending(),
        Err(exc) if is_departure(&exc) => Ending::Departed,
        Err(exc) => {
            if exchange.headers_sent() {
                tell(handler, &exc, stderr);
                if let Err(panicked) = guard(move || Ok(drop(exc))) {
                    tell(handler, &panicked, stderr);
                }
                exchange.cut()
            } else {
                let mut page = |exc| {
                    tell(handler, &exc, stderr);
                    let environ = lend(vars, stdin, stderr, wsgi, request);
                    guard(|| {
                        let body = handler.error_output(environ, &mut exchange, exc)?;
                        exchange.finish(body)
                    })
                };
                // An error may panic when it is dropped: then the page is that panic's.
                let page = page(exc).or_else(|exc| match exc.is::<Panicked>() {
                    true => page(exc),
                    false => Err(exc),
                });
                match page {
                    Ok(()) => exchange.ending(),
                    Err(exc) if is_departure(&exc) => Ending::Departed,
                    Err(exc) => return Err(exc),
                }
            }
        }
    };
    if let Some(exc) = exchange.close_error().filter(|exc| !is_departure(exc)) {
        tell(handler, &exc, stderr);
    }
    if let Some(complaint) = exchange.complaint() {
        let _ = writeln!(stderr, "{complaint}");
    }
    Ok(Outcome { status: exchange.status(), bytes_sent: exchange.bytes_sent(), ending })
}

/// Logs `exc`; of one that panics when it is asked what it says, that.
fn tell(handler: &dyn Handler, exc: &Exception, stderr: &mut dyn Write) {
    // Nobody is left to be told of a log that cannot be written.
    let told = guard(|| Ok(handler.log_exception(exc, stderr)?));
    if let Err(panicked) = told
        && panicked.is::<Panicked>()
    {
        let _ = handler.log_exception(&panicked, stderr);
    }
}

/// An environ over borrowed parts, so that the parts are the handler's again when it is dropped.
fn lend<'r>(
    vars: &'r mut Vars,
    stdin: &'r mut dyn BufRead,
    stderr: &'r mut dyn Write,
    wsgi: Wsgi,
    request: &'r Request,
) -> Environ<'r> {
    let (input, errors) = (InputStream::Lent(stdin), ErrorStream::Lent(stderr));
    Environ::new(vars, input, errors, wsgi, request)
}
