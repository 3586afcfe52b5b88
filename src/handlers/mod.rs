//! `wsgiref.handlers`: how one request is run.
//!
//! | wsgiref | here |
//! |---|---|
//! | `BaseHandler`'s class attributes | the fields of [`Attributes`] |
//! | `get_scheme`, `add_cgi_vars`, `cleanup_headers`, `log_exception`, `error_output` | methods of [`Handler`], with the same defaults |
//! | `get_stdin`, `get_stderr`, `_write`, `_flush` | [`Streams`]: one value, because all three are lent at once |
//! | `sendfile`, `result_is_file`, `wsgi_file_wrapper` | [`Output::sendfile`], [`Body::File`], [`Attributes::wsgi_file_wrapper`] |
//! | `run` | [`run`](run()), the one place that calls an application |
//! | `start_response`, `write`, `finish_response`, `send_headers`, … | `exchange.rs`, private |
//! | `SimpleHandler`, `BaseCGIHandler`, `CGIHandler`, `IISCGIHandler` | [`SimpleHandler`], [`BaseCgiHandler`], [`CgiHandler`], [`IisCgiHandler`] |
//! | `read_environ` | [`read_environ`](read_environ()) |

mod cgi;
mod content;
mod exchange;
mod panic;
mod read_environ;
mod run;

use crate::{
    headers::Headers,
    types::{
        Body, Environ, Exception, RequestFault, Response, Scheme, StartResponse, Vars, causes,
    },
    util::guess_scheme,
};
use std::{borrow::Cow, fs::File, io};

pub use cgi::{BaseCgiHandler, CgiHandler, IisCgiHandler, SimpleHandler, strip_script_name};
pub use content::{Content, ContentInput};
pub use panic::Panicked;
pub(crate) use panic::message as panic_message;
pub(crate) use read_environ::read_into;
pub use read_environ::{
    Encoding, format_date_time, needs_transcode, read_environ, transcode_environ, transcode_windows,
};
pub use run::{Ending, Outcome, Slate, Streams, run};

/// Where the status of a response stands when the application's server is behind another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// `Status: 200 OK` before the header fields: CGI and SCGI. Some servers look only there.
    StatusFirst,
    /// `Status: 200 OK` after them: FastCGI, where one server lets a `Location` behind it win.
    StatusLast,
    /// `HTTP/1.1 200 OK`: uwsgi, and CGI programs whose name begins with `nph-`.
    StatusLine,
}

/// `BaseHandler`'s attributes: what a subclass changes by assignment.
///
/// ```
/// use cgigate::handlers::Attributes;
///
/// let attributes = Attributes { server_software: Some("mine/1.0".into()), ..Attributes::BASE };
/// assert_eq!(attributes.http_version, "1.0");
/// ```
#[derive(Clone, Debug)]
pub struct Attributes {
    /// `wsgi.multithread`
    pub wsgi_multithread: bool,
    /// `wsgi.multiprocess`
    pub wsgi_multiprocess: bool,
    /// `wsgi.run_once`
    pub wsgi_run_once: bool,
    /// Whether a file is handed to the handler, or read block by block like any other body.
    pub wsgi_file_wrapper: bool,
    /// Whether the client itself reads the response: HTTP status line, `Date`, `Server`.
    pub origin_server: bool,
    /// Where the status stands if not.
    pub preamble: Preamble,
    /// The version in the HTTP status line.
    pub http_version: Cow<'static, str>,
    /// `Server` header and SERVER_SOFTWARE of an origin server.
    pub server_software: Option<Cow<'static, str>>,
    /// How many frames of a panic's backtrace are logged: `None` for all.
    pub traceback_limit: Option<usize>,
    /// The status of the error page.
    pub error_status: Cow<'static, str>,
    /// Its header fields.
    pub error_headers: Cow<'static, [(Cow<'static, str>, Cow<'static, str>)]>,
    /// Its body.
    pub error_body: Cow<'static, [u8]>,
}

impl Attributes {
    /// The class body of `BaseHandler`.
    pub const BASE: Self = Self {
        wsgi_multithread: true,
        wsgi_multiprocess: true,
        wsgi_run_once: false,
        wsgi_file_wrapper: true,
        origin_server: true,
        preamble: Preamble::StatusFirst,
        http_version: Cow::Borrowed("1.0"),
        server_software: None,
        traceback_limit: None,
        error_status: Cow::Borrowed("500 Internal Server Error"),
        error_headers: Cow::Borrowed(&[(
            Cow::Borrowed("Content-Type"),
            Cow::Borrowed("text/plain"),
        )]),
        error_body: Cow::Borrowed(b"A server error occurred.  Please contact the administrator."),
    };

    /// The class body of `CGIHandler`.
    pub const CGI: Self =
        Self { wsgi_multithread: false, wsgi_run_once: true, origin_server: false, ..Self::BASE };
}

/// `BaseHandler`'s methods: what a subclass changes by overriding. All have wsgiref's defaults;
/// what wsgiref says must not be moved (`run`, `finish_response`, `write`) is not here.
///
/// ```
/// use cgigate::handlers::{Attributes, Handler};
/// use cgigate::types::{Scheme, Vars};
///
/// /// Behind a proxy that speaks TLS for us.
/// struct AlwaysHttps(Attributes);
///
/// impl Handler for AlwaysHttps {
///     fn attributes(&self) -> &Attributes {
///         &self.0
///     }
///     fn get_scheme(&self, _: &Vars) -> Scheme {
///         Scheme::Https
///     }
/// }
/// ```
pub trait Handler {
    /// What is set by assignment.
    fn attributes(&self) -> &Attributes;

    /// Adds to, or changes, the variables of the request before the application sees them.
    fn add_cgi_vars(&self, _vars: &mut Vars) {}

    /// `wsgi.url_scheme`
    fn get_scheme(&self, vars: &Vars) -> Scheme {
        guess_scheme(vars)
    }

    /// Changes the response's header fields just before they are sent.
    fn cleanup_headers(&self, _headers: &mut Headers) {}

    /// Writes what happened to `wsgi.errors`: the error with its chain of causes; of a panic the
    /// message, the place and the backtrace. Nothing of the request, no control characters.
    ///
    /// # Errors
    /// Writing failed; nobody will be told.
    fn log_exception(&self, exc: &Exception, errors: &mut dyn io::Write) -> io::Result<()> {
        log(exc, self.attributes().traceback_limit, errors)
    }

    /// The application that makes the error page: a 500 that tells nothing, or the status of the
    /// request's own fault.
    ///
    /// # Errors
    /// The headers had been sent already.
    fn error_output<'r>(
        &'r self,
        _environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
        exc: Exception,
    ) -> Response<'r> {
        if let Some(status) = RequestFault::find(&exc).map(RequestFault::status) {
            let fields = &[("Content-Type", "text/plain")];
            start_response.call_exc(status, fields, Some(exc))?;
            return Ok(format!("{status}\n").into());
        }
        let at = self.attributes();
        let mut fields = at.error_headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
        start_response.start_response(at.error_status.as_bytes(), &mut fields, Some(exc))?;
        Ok(Body::One(Cow::Borrowed(&at.error_body)))
    }
}

/// A handler with nothing overridden.
#[derive(Clone, Debug)]
pub struct Plain(pub Attributes);

impl Handler for Plain {
    fn attributes(&self) -> &Attributes {
        &self.0
    }
}

/// Where a response goes: `_write`, `_flush` and `sendfile`.
pub trait Output: io::Write {
    /// Hands up to `len` bytes of a file from offset `from` to the kernel: how many went, or
    /// `None` when the caller has to copy.
    ///
    /// # Errors
    /// The client has gone, or the file cannot be read.
    fn sendfile(&mut self, _file: &File, _from: u64, _len: u64) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// The last byte of the response has been written. The default sends what is buffered; one
    /// that has more to say itself may wait and send it along.
    ///
    /// # Errors
    /// As for a write.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Output for Vec<u8> {}

fn log(exc: &Exception, limit: Option<usize>, errors: &mut dyn io::Write) -> io::Result<()> {
    let mut text = String::new();
    let mut last = String::new();
    for error in causes(exc) {
        let line = error.to_string();
        // An io::Error that carries another prints that one's text: once is enough.
        if line == last {
            continue;
        }
        text.push_str(if last.is_empty() { "" } else { "caused by: " });
        escape_into(&mut text, &line);
        text.push('\n');
        last = line;
    }
    if let Some(panicked) = causes(exc).find_map(|error| error.downcast_ref::<Panicked>()) {
        panicked.backtrace_into(&mut text, limit);
    }
    errors.write_all(text.as_bytes())?;
    errors.flush()
}

/// One line whatever the error says: a log cannot be forged by what an error quotes.
fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}
