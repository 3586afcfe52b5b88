//! `wsgiref.validate`: stands between a server and an application, and tells which of the two
//! breaks PEP 3333.
//!
//! What wsgiref refuses is refused here with the same words, as an [`AssertionError`]; what it
//! warns of is a [`WsgiWarning`]. Where it differs: names of header fields are RFC 9110's tokens
//! and values may have tabs; SCRIPT_NAME or PATH_INFO may be absent where they would be empty; an
//! empty body without `start_response` is caught; and things that it does not look at are warned
//! of. Checks that only dynamic typing needs are listed in [`statics`].
//!
//! ```
//! use cgigate::{Application, Gateway, apps::hello, validate::validator};
//!
//! /// Looked after as long as it is being written.
//! fn app() -> Box<dyn Application> {
//!     if cfg!(debug_assertions) { Box::new(validator(hello)) } else { Box::new(hello) }
//! }
//!
//! let gateway = Gateway::new().responder("hello", app());
//! assert_eq!(cgigate::testing::get("/").ask(&app()).status, 200);
//! # let _ = gateway;
//! ```

mod check;
mod iterator;
pub mod statics;
mod streams;
mod warning;
mod watch;
mod write;

pub use check::{check_content_type, check_environ, check_headers, check_status};
pub use iterator::IteratorWrapper;
pub use streams::{ErrorWrapper, InputWrapper};
pub use warning::{Sink, WsgiWarning};
pub use write::WriteWrapper;

use crate::types::{
    Application, Body, Environ, ErrorStream, InputStream, Response, StartResponse, Violation,
};
use iterator::watch_file;
use std::fmt;
use watch::Watch;

/// A broken rule, and who broke it: what the validator raises.
///
/// ```
/// use cgigate::{types::Violation, validate::AssertionError};
///
/// let error = AssertionError(Violation::ReadAfterClosed);
/// assert_eq!(error.to_string(), "the server is at fault: Iterator read after closed");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is at fault: {}", .0.side(), .0)]
pub struct AssertionError(pub Violation);

/// An application under the validator.
///
/// ```
/// use cgigate::{Application, apps, testing, validate::{Validator, validator}};
///
/// fn passes<A: Application>(app: &Validator<A>) -> bool {
///     testing::get("/?").ask(app).status == 200
/// }
///
/// assert!(passes(&validator(apps::hello)) && passes(&validator(apps::demo)));
/// ```
pub struct Validator<A> {
    application: A,
    sink: Box<Sink>,
    /// What the server gives is looked at as well.
    both_sides: bool,
}

/// Wraps an application: every call checks what the server gives it and what it gives the server.
///
/// Nothing is changed on the way: a body keeps its length, and a file stays a file. Warnings go to
/// the process's stderr, until [`Validator::warn`] says otherwise.
///
/// ```
/// use cgigate::{handlers::*, validate::validator};
///
/// let careless = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Typ", "text/plain")])?;
///     Ok("Hello\n".into())
/// });
/// let mut slate = Slate::default();
/// for (name, value) in [("REQUEST_METHOD", "GET"), ("SERVER_NAME", "a"), ("SERVER_PORT", "80")] {
///     slate.vars.set(name, value);
/// }
/// slate.vars.set("PATH_INFO", "/");
/// let (mut out, mut err) = (Vec::new(), Vec::new());
/// let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
/// run(&Plain(Attributes::CGI), &validator(careless), &mut slate, streams)?;
/// assert!(out.starts_with(b"Status: 500 Internal Server Error\r\n"));
/// assert_eq!(
///     String::from_utf8(err)?,
///     "the application is at fault: \
///      No Content-Type header found in headers ([('Content-Typ', 'text/plain')])\n"
/// );
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub fn validator<A: Application>(application: A) -> Validator<A> {
    Validator { application, sink: Box::new(warning::report), both_sides: true }
}

impl<A> Validator<A> {
    /// Takes the warnings instead of stderr.
    ///
    /// ```
    /// use cgigate::validate::validator;
    ///
    /// let _app = validator(cgigate::apps::hello)
    ///     .warn(|warning| println!("{}: {warning}", warning.side()));
    /// ```
    #[must_use]
    pub fn warn(self, sink: impl Fn(WsgiWarning) + Send + Sync + 'static) -> Self {
        Self { sink: Box::new(sink), ..self }
    }

    /// Takes the environ as it comes and looks at the application alone: for a request that is
    /// replayed, whose web server is not there to do better.
    ///
    /// ```
    /// use cgigate::{handlers::*, validate::validator};
    ///
    /// let app = validator(cgigate::apps::hello).application_only();
    /// let (mut slate, mut out) = (Slate::default(), Vec::new()); // no REQUEST_METHOD
    /// let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut Vec::new() };
    /// assert_eq!(run(&Plain(Attributes::CGI), &app, &mut slate, streams)?.status, 200);
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    #[must_use]
    pub fn application_only(self) -> Self {
        Self { both_sides: false, ..self }
    }
}

impl<A: Application> Application for Validator<A> {
    fn call<'r>(
        &'r self,
        mut environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        if self.both_sides {
            check_environ(&environ, &self.sink).map_err(AssertionError)?;
        }
        let mut watch = Watch::new(&environ, &self.sink);
        environ.input = InputStream::Owned(Box::new(InputWrapper::new(environ.input)));
        environ.errors = ErrorStream::Owned(Box::new(ErrorWrapper::new(environ.errors)));
        let body =
            self.application.call(environ, &mut WriteWrapper::new(start_response, &mut watch))?;
        wrap(body, watch)
    }
}

/// The body as it is, with the watch on what of it is not over yet.
fn wrap<'r>(body: Body<'r>, mut watch: Watch<'r>) -> Response<'r> {
    // What is no iterable has nothing left to run: who has not started never will.
    if !matches!(body, Body::Blocks(_)) {
        watch.check_started()?;
    }
    Ok(match body {
        Body::Empty => {
            watch.end();
            Body::Empty
        }
        Body::One(block) => {
            watch.count(block.len() as u64);
            watch.end();
            Body::One(block)
        }
        Body::Blocks(blocks) => Body::Blocks(Box::new(IteratorWrapper::new(blocks, watch))),
        Body::File(file) => Body::File(watch_file(file, watch)?),
    })
}

impl<A: fmt::Debug> fmt::Debug for Validator<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Validator").field(&self.application).finish()
    }
}
