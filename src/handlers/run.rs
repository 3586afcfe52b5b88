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
///
/// ```
/// use cgigate::{apps, handlers::{Attributes, Plain, Slate, Streams, run}};
///
/// // One for each thread, for all requests that it answers.
/// let mut slate = Slate::default();
/// for body in ["one", "two"] {
///     slate.wipe(None);
///     slate.vars.set("CONTENT_LENGTH", body.len().to_string());
///     let (mut out, mut err) = (Vec::new(), Vec::new());
///     let streams = Streams { stdin: &mut body.as_bytes(), stdout: &mut out, stderr: &mut err };
///     let _ = run(&Plain(Attributes::CGI), &apps::echo, &mut slate, streams)?;
///     assert!(out.ends_with(body.as_bytes()));
/// }
/// # Ok::<_, cgigate::Exception>(())
/// ```
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
    ///
    /// ```
    /// use cgigate::handlers::Slate;
    /// use std::time::{Duration, Instant};
    ///
    /// let mut slate = Slate::default();
    /// slate.vars.set("HTTP_COOKIE", "a secret");
    /// let deadline = Some(Instant::now() + Duration::from_secs(30));
    /// slate.wipe(deadline); // and the next may ask how much time it has
    /// assert!(slate.vars.is_empty() && slate.request().deadline() == deadline);
    /// ```
    pub fn wipe(&mut self, deadline: Option<Instant>) {
        self.vars.clear();
        if self.vars.memory() + self.head.memory() > MOST {
            self.shrink();
        }
        let is_ours = Arc::strong_count(&self.request) + Arc::weak_count(&self.request) == 1;
        if deadline.is_none() && is_ours && self.request.is_new() {
            return; // As most are; to ask whether it can be changed is an atomic operation.
        }
        match Arc::get_mut(&mut self.request) {
            Some(request) => request.renew(deadline),
            None => {
                let mut request = Request::default();
                request.renew(deadline);
                self.request = Arc::new(request);
            }
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.vars.shrink_to(USUAL);
        self.head.shrink_to(USUAL);
    }

    /// The request, for whoever may have to cancel it.
    ///
    /// ```
    /// use cgigate::handlers::Slate;
    /// use std::{sync::Arc, thread};
    ///
    /// let slate = Slate::default();
    /// let request = Arc::clone(slate.request());
    /// // The thread that sees the client go tells the one that runs the application.
    /// thread::spawn(move || request.cancel()).join().expect("it does not panic");
    /// assert!(slate.request().is_cancelled());
    /// ```
    pub fn request(&self) -> &Arc<Request> {
        &self.request
    }
}

/// Bytes of memory that stay from request to request, and what is left of each piece of it if it was
/// more.
const MOST: usize = 128 << 10;
const USUAL: usize = 8 << 10;

/// The three streams of a request.
///
/// ```
/// use cgigate::{apps, handlers::{Attributes, Plain, Slate, Streams, run}};
///
/// let mut slate = Slate::default();
/// slate.vars.set("CONTENT_LENGTH", "4");
/// let (mut out, mut err) = (Vec::new(), Vec::new());
/// let streams = Streams { stdin: &mut &b"body"[..], stdout: &mut out, stderr: &mut err };
/// let _ = run(&Plain(Attributes::CGI), &apps::echo, &mut slate, streams)?;
/// assert!(out.ends_with(b"body") && err.is_empty()); // they are the caller's again
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub struct Streams<'s> {
    /// `wsgi.input`: ends where the body ends.
    pub stdin: &'s mut dyn BufRead,
    /// Where the response goes.
    pub stdout: &'s mut dyn Output,
    /// `wsgi.errors`
    pub stderr: &'s mut dyn Write,
}

/// How a response ended.
///
/// ```
/// use cgigate::handlers::Ending;
///
/// /// Whether the connection can be kept: over HTTP the next answer would be taken for the rest of
/// /// this one where nothing but its end tells how long it is.
/// fn keeps(ending: Ending) -> bool {
///     match ending {
///         Ending::Whole => true,
///         Ending::Cut { .. } | Ending::Departed => false,
///     }
/// }
///
/// let breaks = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(cgigate::Body::from_iter([Ok(b"half".to_vec()), Err("lost".into())].into_iter()))
/// });
/// let answer = cgigate::testing::get("/").ask(&breaks);
/// assert_eq!((answer.status, answer.ending), (200, Ending::Cut { length_known: false }));
/// assert!(!keeps(answer.ending));
/// ```
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
///
/// ```
/// use cgigate::{Vars, apps, handlers::{BaseCgiHandler, Ending, Outcome}};
///
/// let mut handler = BaseCgiHandler::new(&b""[..], Vec::new(), Vec::new(), Vars::default());
/// let Outcome { status, bytes_sent, ending } = handler.run(&apps::hello)?;
/// let cut = if ending == Ending::Whole { "" } else { " cut" };
/// assert_eq!(format!("{status} {bytes_sent}{cut}"), "200 12"); // a line of a log
/// # Ok::<_, cgigate::Exception>(())
/// ```
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
    let mut parts = Parts { vars, stdin, stderr, wsgi, request };

    let environ = parts.lend();
    let result = guard(|| {
        let body = app.call(environ, &mut exchange)?;
        exchange.finish(body)
    });
    // Of one that cost nothing but what it was in, only the log tells.
    if let Some(panicked) = caught_below() {
        tell(handler, &panicked.into(), parts.stderr);
    }
    let ending = match result {
        Ok(()) => exchange.ending(),
        Err(exc) if is_departure(&exc) => Ending::Departed,
        Err(exc) => handle_error(handler, exc, &mut parts, &mut exchange)?,
    };
    if let Some(exc) = exchange.close_error().filter(|exc| !is_departure(exc)) {
        tell(handler, &exc, parts.stderr);
    }
    if let Some(complaint) = exchange.complaint() {
        let _ = writeln!(parts.stderr, "{complaint}");
    }
    Ok(Outcome { status: exchange.status(), bytes_sent: exchange.bytes_sent(), ending })
}

/// `handle_error`: an error page if nothing has gone out yet; else the response stays cut.
#[cold]
fn handle_error(
    handler: &dyn Handler,
    exc: Exception,
    parts: &mut Parts<'_>,
    exchange: &mut Exchange<'_>,
) -> Result<Ending, Exception> {
    if exchange.headers_sent() {
        tell(handler, &exc, parts.stderr);
        let dropped = guard(|| {
            drop(exc);
            Ok(())
        });
        if let Err(panicked) = dropped {
            tell(handler, &panicked, parts.stderr);
        }
        return Ok(exchange.cut());
    }
    let mut page = |exc| {
        tell(handler, &exc, parts.stderr);
        let environ = parts.lend();
        guard(|| {
            let body = handler.error_output(environ, exchange, exc)?;
            exchange.finish(body)
        })
    };
    // An error may panic when it is dropped: then the page is that panic's.
    let page = page(exc).or_else(|exc| match exc.is::<Panicked>() {
        true => page(exc),
        false => Err(exc),
    });
    match page {
        Ok(()) => Ok(exchange.ending()),
        Err(exc) if is_departure(&exc) => Ok(Ending::Departed),
        Err(exc) => Err(exc),
    }
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

/// What an environ is made of, and is the handler's again when it is dropped.
struct Parts<'p> {
    vars: &'p mut Vars,
    stdin: &'p mut dyn BufRead,
    stderr: &'p mut dyn Write,
    wsgi: Wsgi,
    request: &'p Request,
}

impl Parts<'_> {
    fn lend(&mut self) -> Environ<'_> {
        let input = InputStream::Lent(&mut *self.stdin);
        let errors = ErrorStream::Lent(&mut *self.stderr);
        Environ::new(self.vars, input, errors, self.wsgi, self.request)
    }
}
