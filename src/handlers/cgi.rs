//! `SimpleHandler`, `BaseCGIHandler`, `CGIHandler`, `IISCGIHandler`: streams and an environment,
//! and `run`.

use super::{
    Attributes, ContentInput, Handler, Outcome, Output, Plain, Slate, Streams,
    read_environ::read_environ, run,
};
use crate::types::{Application, Exception, Vars};
use std::io::{self, BufRead, IoSlice, Write};

/// `SimpleHandler(stdin, stdout, stderr, environ)`: runs applications over any three streams, for
/// an HTTP origin server unless its attributes say otherwise.
///
/// ```
/// use cgigate::{handlers::SimpleHandler, types::Vars};
///
/// let hello = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain"), ("Date", "today")])?;
///     Ok("Hello\n".into())
/// });
/// let environ: Vars = [("SERVER_PROTOCOL", "HTTP/1.0")].into_iter().collect();
/// let (mut out, mut err) = (Vec::new(), Vec::new());
/// SimpleHandler::new(&b""[..], &mut out, &mut err, environ).run(&hello)?;
/// assert!(out.starts_with(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nDate: today\r\n"));
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub struct SimpleHandler<I, O, E> {
    /// `wsgi.input`: should end where the body ends.
    pub stdin: I,
    /// Where the response goes.
    pub stdout: O,
    /// `wsgi.errors`
    pub stderr: E,
    /// The request's variables: wsgiref's `base_env`.
    pub environ: Vars,
    /// What the request's variables are laid over: nothing by default, where wsgiref has all of
    /// the process environment, secrets included.
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{SimpleHandler, read_environ}};
    ///
    /// let mut out = Vec::new();
    /// let mut handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.os_environ = read_environ(); // wsgiref's default
    /// handler.run(&demo)?;
    /// assert!(String::from_utf8(out)?.contains("PATH = '"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub os_environ: Vars,
    /// Everything else that can be set.
    pub attributes: Attributes,
    slate: Slate,
}

impl<I: BufRead, O: Write, E: Write> SimpleHandler<I, O, E> {
    /// Multithreaded and of one process, as wsgiref has it.
    ///
    /// ```
    /// use cgigate::{Vars, apps, handlers::SimpleHandler};
    ///
    /// let environ: Vars = [("PATH_INFO", "/notes")].into_iter().collect();
    /// let (mut out, mut err) = (Vec::new(), Vec::new());
    /// let mut handler = SimpleHandler::new(&b"a body"[..], &mut out, &mut err, environ);
    /// handler.environ.set("CONTENT_LENGTH", "6");
    /// handler.run(&apps::echo)?;
    /// assert!(out.ends_with(b"\r\n\r\na body"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub fn new(stdin: I, stdout: O, stderr: E, environ: Vars) -> Self {
        let attributes = Attributes { wsgi_multiprocess: false, ..Attributes::BASE };
        let (os_environ, slate) = (Vars::default(), Slate::default());
        Self { stdin, stdout, stderr, environ, os_environ, attributes, slate }
    }

    /// The same with other attributes.
    ///
    /// ```
    /// use cgigate::{Vars, apps, handlers::{Attributes, SimpleHandler}};
    ///
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// let attributes = Attributes { server_software: Some("mine/1.0".into()), ..Attributes::BASE };
    /// handler.with(attributes).run(&apps::hello)?;
    /// assert!(String::from_utf8(out)?.contains("\r\nServer: mine/1.0\r\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    #[must_use]
    pub fn with(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Runs `app` once.
    ///
    /// ```
    /// use cgigate::{Vars, apps, handlers::SimpleHandler};
    ///
    /// let mut out = Vec::new();
    /// let mut handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// let outcome = handler.run(&apps::hello)?;
    /// assert_eq!((outcome.status, outcome.bytes_sent), (200, 12));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](run()).
    pub fn run(&mut self, app: &dyn Application) -> Result<Outcome, Exception> {
        self.run_as(&Plain(self.attributes.clone()), app)
    }

    /// Runs `app` once under a handler that overrides something.
    ///
    /// ```
    /// use cgigate::{Vars, apps, handlers::{Attributes, Handler, SimpleHandler}, headers::Headers};
    ///
    /// struct Unsigned(Attributes);
    ///
    /// impl Handler for Unsigned {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn cleanup_headers(&self, headers: &mut Headers) {
    ///         headers.remove("ETag");
    ///     }
    /// }
    ///
    /// let mut handler = SimpleHandler::new(&b""[..], Vec::new(), Vec::new(), Vars::default());
    /// let outcome = handler.run_as(&Unsigned(Attributes::BASE), &apps::hello)?;
    /// assert_eq!(outcome.status, 200);
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](run()).
    pub fn run_as(
        &mut self,
        handler: &dyn Handler,
        app: &dyn Application,
    ) -> Result<Outcome, Exception> {
        self.slate.wipe(None);
        for (name, value) in self.os_environ.iter().chain(self.environ.iter()) {
            self.slate.vars.set(name, value);
        }
        let mut stdout = Writer(&mut self.stdout);
        let (stdin, stderr) = (&mut self.stdin, &mut self.stderr);
        run(handler, app, &mut self.slate, Streams { stdin, stdout: &mut stdout, stderr })
    }
}

/// Anything that can be written to, as an [`Output`] without sendfile.
struct Writer<W>(W);

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Output for Writer<W> {}

/// `BaseCGIHandler`: a [`SimpleHandler`] behind another server, with `Status:` for its status line.
///
/// ```
/// use cgigate::{apps, handlers::BaseCgiHandler};
///
/// let environ = [("REQUEST_METHOD", "GET")].into_iter().collect();
/// let mut answer = Vec::new();
/// BaseCgiHandler::new(&b""[..], &mut answer, std::io::stderr(), environ).run(&apps::hello)?;
/// assert!(answer.starts_with(b"Status: 200 OK\r\n"));
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub struct BaseCgiHandler;

impl BaseCgiHandler {
    /// A handler over these streams.
    ///
    /// ```
    /// use cgigate::{apps, handlers::BaseCgiHandler};
    ///
    /// // A process that answers one request after the other, whatever brings them:
    /// for (path, status) in [("/", 200), ("/nothing", 404)] {
    ///     let environ = [("REQUEST_METHOD", "GET"), ("PATH_INFO", path)].into_iter().collect();
    ///     let site = cgigate::app(|environ, start_response| {
    ///         let found = environ.get("PATH_INFO") == Some(b"/");
    ///         let status = if found { "200 OK" } else { "404 Not Found" };
    ///         start_response.call(status, &[("Content-Type", "text/plain")])?;
    ///         Ok(status.into())
    ///     });
    ///     let mut handler = BaseCgiHandler::new(&b""[..], Vec::new(), std::io::stderr(), environ);
    ///     assert_eq!(handler.run(&site)?.status, status);
    /// }
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    // wsgiref's subclass: the class differs by an attribute alone.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<I: BufRead, O: Write, E: Write>(
        stdin: I,
        stdout: O,
        stderr: E,
        environ: Vars,
    ) -> SimpleHandler<I, O, E> {
        let handler = SimpleHandler::new(stdin, stdout, stderr, environ);
        let attributes = Attributes { origin_server: false, ..handler.attributes.clone() };
        handler.with(attributes)
    }
}

type Stdin = ContentInput<io::StdinLock<'static>>;
type Stdio = SimpleHandler<Stdin, io::StdoutLock<'static>, io::Stderr>;

/// `CGIHandler`: one request over the process's own streams and environment (RFC 3875).
///
/// Unlike wsgiref's, `wsgi.input` ends at CONTENT_LENGTH, and neither the gateway's own
/// `CGIGATE_*` variables nor HTTP_PROXY (a client's `Proxy:` field, which programs take for the
/// operator's proxy) are in the environ. The executable also reads a body ahead that the web
/// server insists on writing first; this does not.
///
/// ```no_run
/// use cgigate::handlers::CgiHandler;
///
/// let hello = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok("Hello\n".into())
/// });
/// let outcome = CgiHandler::new().run(&hello)?;
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub struct CgiHandler;

impl CgiHandler {
    /// A handler for the request that this process was started for.
    ///
    /// ```
    /// use cgigate::handlers::CgiHandler;
    ///
    /// let mut handler = CgiHandler::new();
    /// handler.environ.set_default("REMOTE_USER", "nobody");
    /// handler.attributes.traceback_limit = Some(10);
    /// assert!(handler.attributes.wsgi_run_once); // and handler.run(&app)? answers
    /// ```
    // As above: the class differs by its streams alone.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> Stdio {
        let mut environ = read_environ();
        environ.settle();
        environ.retain(|name, _| !name.starts_with(b"CGIGATE_"));
        let (stdin, stdout) = (io::stdin().lock(), io::stdout().lock());
        let stdin = ContentInput::of_cgi(stdin, &environ);
        SimpleHandler::new(stdin, stdout, io::stderr(), environ).with(Attributes::CGI)
    }
}

/// `IISCGIHandler`: a [`CgiHandler`] that takes SCRIPT_NAME off the front of PATH_INFO, where IIS
/// repeats it.
///
/// ```no_run
/// use cgigate::{apps, handlers::IisCgiHandler};
///
/// let outcome = IisCgiHandler::new().run(&apps::hello)?;
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub struct IisCgiHandler;

impl IisCgiHandler {
    /// A handler for the request that this process was started for.
    ///
    /// ```
    /// use cgigate::handlers::IisCgiHandler;
    ///
    /// let handler = IisCgiHandler::new();
    /// // Of SCRIPT_NAME `/app.exe` and PATH_INFO `/app.exe/page` this is `/page`:
    /// let path = handler.environ.native("PATH_INFO").unwrap_or_default();
    /// assert!(!path.contains(".exe") && handler.attributes.wsgi_run_once);
    /// ```
    // As above.
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> Stdio {
        let mut handler = CgiHandler::new();
        strip_script_name(&mut handler.environ);
        handler
    }
}

/// What `IISCGIHandler` does to PATH_INFO: SCRIPT_NAME goes from its front, if it stands there as
/// whole segments.
///
/// ```
/// use cgigate::{handlers::strip_script_name, types::Vars};
///
/// let mut vars: Vars = [("SCRIPT_NAME", "/s"), ("PATH_INFO", "/s/x")].into_iter().collect();
/// strip_script_name(&mut vars);
/// assert_eq!(vars.get("PATH_INFO"), Some(&b"/x"[..]));
/// ```
pub fn strip_script_name(vars: &mut Vars) {
    let script_name = vars.get("SCRIPT_NAME").unwrap_or_default();
    let path = vars.get("PATH_INFO").unwrap_or_default();
    // wsgiref compares with a slash at the end of both, so that `/s` is no prefix of `/sx`.
    let Some(rest) = path.strip_prefix(script_name) else { return };
    if rest.is_empty() || rest[0] == b'/' {
        let rest = rest.to_vec();
        vars.set("PATH_INFO", rest);
    }
}
