//! `WSGIRequestHandler` and `ServerHandler`: what an author overrides, and how a request is run.

use super::{
    environ::{self, address_string},
    log::{Escaped, log_date_time_string},
    refused::Refused,
    request::{Request, Rules},
};
use crate::{
    handlers::{Attributes, Handler, Outcome, Slate, Streams, run},
    net::Peer,
    types::{Application, Exception, Vars},
};
use std::{
    fmt,
    io::{self, Write},
    time::SystemTime,
};

/// `WSGIRequestHandler`: the methods that wsgiref has one override, with its defaults. One object
/// serves all requests; what Python keeps in an instance is given to each method.
///
/// ```
/// use cgigate::{net::Peer, simple_server::{Request, Rules, WsgiRequestHandler, get_environ}, Vars};
///
/// /// Says who the user is, and nothing on stderr.
/// struct Quiet;
///
/// impl WsgiRequestHandler for Quiet {
///     fn get_environ(&self, request: &Request, client: Peer, rules: Rules, environ: &mut Vars) {
///         get_environ(request, client, rules, environ);
///         environ.set("REMOTE_USER", "ann");
///     }
///     fn log_message(&self, _client: Peer, _message: std::fmt::Arguments<'_>) {}
/// }
/// ```
pub trait WsgiRequestHandler: Send + Sync {
    /// Adds the variables of `request` to those of the server, which are in `environ` already.
    ///
    /// ```
    /// # use cgigate::{Vars, net::Peer};
    /// # use cgigate::simple_server::{Request, Rules, WsgiRequestHandler, get_environ};
    /// /// Behind something that speaks TLS for it.
    /// struct Secure;
    ///
    /// impl WsgiRequestHandler for Secure {
    ///     fn get_environ(&self, request: &Request, client: Peer, rules: Rules, environ: &mut Vars) {
    ///         get_environ(request, client, rules, environ);
    ///         environ.set("HTTPS", "on");
    ///     }
    /// }
    /// ```
    fn get_environ(&self, request: &Request, client: Peer, rules: Rules, environ: &mut Vars) {
        environ::get_environ(request, client, rules, environ);
    }

    /// `BaseServer.verify_request`: whether a client that has just connected, and that
    /// [`Options::allow`](super::Options::allow) lets in, is served; else its connection is closed.
    ///
    /// ```
    /// # use cgigate::{net::Peer, simple_server::WsgiRequestHandler};
    /// /// Lets each user of this machine in but one.
    /// struct But(u32);
    ///
    /// impl WsgiRequestHandler for But {
    ///     fn verify_request(&self, client: Peer) -> bool {
    ///         client != Peer::User(self.0)
    ///     }
    /// }
    ///
    /// assert!(!But(1000).verify_request(Peer::User(1000)));
    /// ```
    fn verify_request(&self, _client: Peer) -> bool {
        true
    }

    /// `wsgi.errors`: the process's stderr.
    ///
    /// ```
    /// # use cgigate::simple_server::WsgiRequestHandler;
    /// # use std::{fs::File, io::Write};
    /// /// Applications have a log of their own.
    /// struct Logged(File);
    ///
    /// impl WsgiRequestHandler for Logged {
    ///     fn get_stderr(&self) -> Box<dyn Write + '_> {
    ///         Box::new(&self.0)
    ///     }
    /// }
    /// ```
    fn get_stderr(&self) -> Box<dyn Write + '_> {
        Box::new(io::stderr())
    }

    /// Runs one request: `app`, if the server has one, under `handler`. One that answers by
    /// several applications overrides this.
    ///
    /// ```
    /// # use cgigate::{Application, Exception, apps, handlers::{Handler, Outcome, Slate, Streams, run}};
    /// # use cgigate::simple_server::{DefaultHandler, ServerHandler, WsgiRequestHandler};
    /// /// Answers who looks whether it is alive, and leaves all else to the application.
    /// struct Alive;
    ///
    /// impl WsgiRequestHandler for Alive {
    ///     fn handle(
    ///         &self,
    ///         app: Option<&dyn Application>,
    ///         handler: &dyn Handler,
    ///         slate: &mut Slate,
    ///         streams: Streams<'_>,
    ///     ) -> Result<Outcome, Exception> {
    ///         match slate.vars.get("PATH_INFO") {
    ///             Some(b"/alive") => run(handler, &apps::hello, slate, streams),
    ///             _ => DefaultHandler.handle(app, handler, slate, streams),
    ///         }
    ///     }
    /// }
    /// # let mut slate = Slate::default();
    /// # slate.vars.set("PATH_INFO", "/alive");
    /// # let (mut out, mut err) = (Vec::new(), Vec::new());
    /// # let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
    /// # let outcome = Alive.handle(None, &ServerHandler::default(), &mut slate, streams)?;
    /// # assert_eq!(outcome.status, 200);
    /// # Ok::<_, Exception>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](crate::handlers::run()).
    fn handle(
        &self,
        app: Option<&dyn Application>,
        handler: &dyn Handler,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        match app {
            Some(app) => run(handler, app, slate, streams),
            None => Err("the server has no application: set_app() comes first".into()),
        }
    }

    /// The client as logs have it: its address, never its name.
    ///
    /// ```
    /// # use cgigate::{net::Peer, simple_server::{DefaultHandler, WsgiRequestHandler}};
    /// /// Logs that tell nobody's address.
    /// struct Discreet;
    ///
    /// impl WsgiRequestHandler for Discreet {
    ///     fn address_string(&self, _: Peer) -> String {
    ///         "-".into()
    ///     }
    /// }
    ///
    /// let client = Peer::Ip([127, 0, 0, 1].into());
    /// assert_eq!(DefaultHandler.address_string(client), "127.0.0.1");
    /// assert_eq!(Discreet.address_string(client), "-");
    /// ```
    fn address_string(&self, client: Peer) -> String {
        match client {
            Peer::Ip(_) => address_string(client),
            Peer::User(_) => client.to_string(),
        }
    }

    /// A line of the log, on stderr.
    ///
    /// ```
    /// # use cgigate::{net::Peer, simple_server::{Size, WsgiRequestHandler}};
    /// # use std::{fmt, sync::Mutex};
    /// /// Keeps the lines, for a test.
    /// #[derive(Default)]
    /// struct Kept(Mutex<Vec<String>>);
    ///
    /// impl WsgiRequestHandler for Kept {
    ///     fn log_message(&self, _: Peer, message: fmt::Arguments<'_>) {
    ///         self.0.lock().unwrap().push(message.to_string());
    ///     }
    /// }
    ///
    /// let kept = Kept::default();
    /// kept.log_request(Peer::Ip([127, 0, 0, 1].into()), b"GET / HTTP/1.1", 200, Size::Whole(12));
    /// assert_eq!(kept.0.lock().unwrap()[..], ["\"GET / HTTP/1.1\" 200 12"]);
    /// ```
    fn log_message(&self, client: Peer, message: fmt::Arguments<'_>) {
        let (client, date) = (self.address_string(client), log_date_time_string(SystemTime::now()));
        crate::sys::say_at(
            crate::sys::Level::Info,
            format_args!("{client} - - [{date}] {message}"),
        );
    }

    /// The access line of a request: `requestline` as the client sent it, the status, and the
    /// bytes of the body that were sent; `-` for a page that the server made itself.
    ///
    /// ```
    /// # use cgigate::{net::Peer, simple_server::{DefaultHandler, Size, WsgiRequestHandler}};
    /// /// Says nothing of what went well.
    /// struct Faults;
    ///
    /// impl WsgiRequestHandler for Faults {
    ///     fn log_request(&self, client: Peer, requestline: &[u8], code: u16, size: Size) {
    ///         if code >= 400 || matches!(size, Size::Aborted(_)) {
    ///             DefaultHandler.log_request(client, requestline, code, size);
    ///         }
    ///     }
    /// }
    /// ```
    fn log_request(&self, client: Peer, requestline: &[u8], code: u16, size: Size) {
        let line = Escaped(requestline);
        self.log_message(client, format_args!("\"{line}\" {code} {size}"));
    }

    /// Why a request was refused.
    ///
    /// ```
    /// # use cgigate::{net::Peer, simple_server::{Refused, WsgiRequestHandler}};
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// /// Counts what scanners send, and fills no log with it.
    /// #[derive(Default)]
    /// struct Counted(AtomicUsize);
    ///
    /// impl WsgiRequestHandler for Counted {
    ///     fn log_error(&self, _: Peer, refused: &Refused) {
    ///         if refused.code() == 400 {
    ///             self.0.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     }
    /// }
    /// ```
    fn log_error(&self, client: Peer, refused: &Refused) {
        self.log_message(client, format_args!("code {}, message {}", refused.code(), refused.why));
    }

    /// A request was answered with a page of the server, and is not run. `environ` makes its
    /// variables, as far as they came; `None` if it cannot be read.
    ///
    /// ```
    /// # use cgigate::{Vars, simple_server::{Refused, WsgiRequestHandler}};
    /// struct Told;
    ///
    /// impl WsgiRequestHandler for Told {
    ///     fn refused(&self, refused: &Refused, environ: &dyn Fn() -> Option<Vars>) {
    ///         let agent = environ().and_then(|vars| Some(vars.native("HTTP_USER_AGENT")?.into_owned()));
    ///         eprintln!("{}: {} to {agent:?}", refused.code(), refused.why);
    ///     }
    /// }
    /// ```
    fn refused(&self, _refused: &Refused, _environ: &dyn Fn() -> Option<Vars>) {}

    /// Whether [`handle`](Self::handle) may end a request before its application has ended.
    // Only the command line can, by what is private here.
    #[doc(hidden)]
    fn limits_time(&self) -> bool {
        false
    }

    /// So many requests wait for a thread: for whoever shows it.
    ///
    /// ```
    /// # use cgigate::simple_server::WsgiRequestHandler;
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// /// For a page of figures.
    /// #[derive(Default)]
    /// struct Shown(AtomicUsize);
    ///
    /// impl WsgiRequestHandler for Shown {
    ///     fn queued(&self, waiting: usize) {
    ///         self.0.store(waiting, Ordering::Relaxed);
    ///     }
    /// }
    /// ```
    fn queued(&self, _waiting: usize) {}

    /// `BaseServer.handle_error`: what even the error page could not answer. The server goes on.
    ///
    /// ```
    /// # use cgigate::{Exception, net::Peer, simple_server::WsgiRequestHandler};
    /// /// Ends the process instead of going on, for tests.
    /// struct Strict;
    ///
    /// impl WsgiRequestHandler for Strict {
    ///     fn handle_error(&self, client: Peer, exc: &Exception) {
    ///         eprintln!("answer {client}: {exc}");
    ///         std::process::abort();
    ///     }
    /// }
    /// ```
    fn handle_error(&self, client: Peer, exc: &Exception) {
        let client = self.address_string(client);
        let exc = exc.to_string();
        crate::sys::say(format_args!("cgigate: answer {client}: {}", Escaped(exc.as_bytes())));
    }
}

/// How much of a body was sent, as an access line has it.
///
/// ```
/// use cgigate::simple_server::Size;
///
/// assert_eq!(Size::Whole(12).to_string(), "12");
/// assert_eq!(Size::Aborted(5).to_string(), "5 aborted");
/// assert_eq!(Size::Page.to_string(), "-");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All of it: bytes.
    Whole(u64),
    /// So many bytes of it, and then something went wrong.
    Aborted(u64),
    /// The server's own page.
    Page,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{bytes}"),
            Self::Aborted(bytes) => write!(f, "{bytes} aborted"),
            Self::Page => f.write_str("-"),
        }
    }
}

/// [`WsgiRequestHandler`] with nothing overridden.
///
/// ```
/// use cgigate::{net::Peer, simple_server::{DefaultHandler, WsgiRequestHandler, WsgiServer}};
///
/// let mut server = WsgiServer::new("127.0.0.1:0")?;
/// server.set_handler(DefaultHandler); // which it had from the beginning
/// assert!(DefaultHandler.verify_request(Peer::Ip([192, 0, 2, 1].into())));
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultHandler;

impl WsgiRequestHandler for DefaultHandler {}

/// `ServerHandler`: the [`Handler`] of this server's requests, an origin server's.
///
/// ```
/// use cgigate::{handlers::Handler, simple_server::ServerHandler};
///
/// let mut handler = ServerHandler::default();
/// assert_eq!(handler.attributes().server_software.as_deref(), Some("cgigate"));
/// handler.0.server_software = None; // and no Server field goes out
/// ```
#[derive(Clone, Debug)]
pub struct ServerHandler(pub Attributes);

impl Default for ServerHandler {
    fn default() -> Self {
        Self(Attributes {
            wsgi_multithread: false,
            wsgi_multiprocess: false,
            server_software: Some("cgigate".into()),
            ..Attributes::BASE
        })
    }
}

impl Handler for ServerHandler {
    fn attributes(&self) -> &Attributes {
        &self.0
    }
}

/// `send_error`'s page: nothing of what the client sent is in it.
pub(super) fn error_page(
    refused: &Refused,
    server: Option<&str>,
    modern: bool,
    is_head: bool,
) -> Vec<u8> {
    let Refused { status, why } = refused;
    let (code, message) = status.split_once(' ').unwrap_or((status, ""));
    let page = format!(
        "<!DOCTYPE HTML>\n<html lang=\"en\">\n    <head>\n        <meta charset=\"utf-8\">\n        \
         <title>Error response</title>\n    </head>\n    <body>\n        <h1>Error response</h1>\n        \
         <p>Error code: {code}</p>\n        <p>Message: {message}.</p>\n        \
         <p>Error code explanation: {code} - {why}.</p>\n    </body>\n</html>\n"
    );
    let version = if modern { "1.1" } else { "1.0" };
    let server = server.map(|server| format!("Server: {server}\r\n")).unwrap_or_default();
    let date = httpdate::fmt_http_date(SystemTime::now());
    // Whoever is told to come back is told when.
    let retry = if refused.code() == 503 { "Retry-After: 1\r\n" } else { "" };
    let mut answer = format!(
        "HTTP/{version} {status}\r\n{server}Date: {date}\r\nConnection: close\r\n{retry}\
         Content-Type: text/html;charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        page.len()
    );
    if !is_head {
        answer.push_str(&page);
    }
    answer.into_bytes()
}
