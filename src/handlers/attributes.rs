//! `BaseHandler`'s class attributes: what a subclass sets.

use std::borrow::Cow;

/// Where the status of a response stands when the application's server is behind another one.
///
/// ```
/// use cgigate::{Vars, apps::hello, handlers::{Attributes, Preamble, SimpleHandler}};
///
/// // A program whose name begins with `nph-` says itself what HTTP has to be told.
/// let preamble = Preamble::StatusLine;
/// let mut out = Vec::new();
/// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
/// handler.with(Attributes { preamble, ..Attributes::CGI }).run(&hello)?;
/// assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n"));
/// # Ok::<_, cgigate::Exception>(())
/// ```
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
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { wsgi_multithread: false, ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(String::from_utf8(out)?.contains("wsgi.multithread = False\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub wsgi_multithread: bool,
    /// `wsgi.multiprocess`
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { wsgi_multiprocess: true, ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(String::from_utf8(out)?.contains("wsgi.multiprocess = True\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub wsgi_multiprocess: bool,
    /// `wsgi.run_once`
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { wsgi_run_once: true, ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(String::from_utf8(out)?.contains("wsgi.run_once = True\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub wsgi_run_once: bool,
    /// Whether a file is handed to the handler, or read block by block like any other body.
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { wsgi_file_wrapper: false, ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(!String::from_utf8(out)?.contains("wsgi.file_wrapper"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub wsgi_file_wrapper: bool,
    /// Whether the client itself reads the response: HTTP status line, `Date`, `Server`.
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { origin_server: false, ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(out.starts_with(b"Status: 200 OK\r\nContent-Type: "));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub origin_server: bool,
    /// Where the status stands if not.
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, Preamble, SimpleHandler}};
    ///
    /// let attributes = Attributes { origin_server: false, preamble: Preamble::StatusLine, ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(out.starts_with(b"HTTP/1.1 200 OK\r\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub preamble: Preamble,
    /// The version in the HTTP status line.
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { http_version: "1.1".into(), ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(out.starts_with(b"HTTP/1.1 200 OK\r\nDate: "));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub http_version: Cow<'static, str>,
    /// `Server` header and SERVER_SOFTWARE of an origin server; neither where it is empty.
    ///
    /// ```
    /// use cgigate::{Vars, apps::demo, handlers::{Attributes, SimpleHandler}};
    ///
    /// let attributes = Attributes { server_software: Some("mine/1.0".into()), ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&demo)?;
    /// assert!(String::from_utf8(out)?.contains("\r\nServer: mine/1.0\r\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub server_software: Option<Cow<'static, str>>,
    /// How many frames of a panic's backtrace are logged: `None` for all.
    ///
    /// ```
    /// # use cgigate::{Vars, handlers::{Attributes, SimpleHandler}};
    /// let panics = cgigate::app(|_environ, _start_response| panic!("oh"));
    /// let attributes = Attributes { traceback_limit: Some(0), ..Attributes::BASE };
    /// let mut err = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], Vec::new(), &mut err, Vars::default());
    /// handler.with(attributes).run(&panics)?;
    /// assert_eq!(String::from_utf8(err)?.lines().count(), 1);
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub traceback_limit: Option<usize>,
    /// The status of the error page.
    ///
    /// ```
    /// # use cgigate::{Vars, handlers::{Attributes, SimpleHandler}};
    /// let fails = cgigate::app(|_environ, _start_response| Err("oh".into()));
    /// let attributes = Attributes { error_status: "503 Busy".into(), ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&fails)?;
    /// assert!(out.starts_with(b"HTTP/1.0 503 Busy\r\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub error_status: Cow<'static, str>,
    /// Its header fields.
    ///
    /// ```
    /// # use cgigate::{Vars, handlers::{Attributes, SimpleHandler}};
    /// let fails = cgigate::app(|_environ, _start_response| Err("oh".into()));
    /// let attributes = Attributes { error_headers: vec![("Retry-After".into(), "5".into())].into(), ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&fails)?;
    /// assert!(String::from_utf8(out)?.contains("\r\nRetry-After: 5\r\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub error_headers: Cow<'static, [(Cow<'static, str>, Cow<'static, str>)]>,
    /// Its body.
    ///
    /// ```
    /// # use cgigate::{Vars, handlers::{Attributes, SimpleHandler}};
    /// let fails = cgigate::app(|_environ, _start_response| Err("oh".into()));
    /// let attributes = Attributes { error_body: b"later"[..].into(), ..Attributes::BASE };
    /// let mut out = Vec::new();
    /// let handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.with(attributes).run(&fails)?;
    /// assert!(out.ends_with(b"\r\nContent-Length: 5\r\n\r\nlater"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    pub error_body: Cow<'static, [u8]>,
}

impl Attributes {
    /// The class body of `BaseHandler`.
    ///
    /// ```
    /// use cgigate::handlers::Attributes;
    ///
    /// let attributes = Attributes { error_body: b"Sorry.\n"[..].into(), ..Attributes::BASE };
    /// assert!(attributes.origin_server && attributes.error_status == "500 Internal Server Error");
    /// ```
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

    /// What an origin server says that it is.
    pub(crate) fn software(&self) -> Option<&str> {
        self.server_software.as_deref().filter(|software| !software.is_empty())
    }

    /// The class body of `CGIHandler`.
    ///
    /// ```
    /// use cgigate::handlers::Attributes;
    ///
    /// let attributes = Attributes { traceback_limit: Some(10), ..Attributes::CGI };
    /// assert!(attributes.wsgi_run_once && !attributes.origin_server);
    /// ```
    pub const CGI: Self =
        Self { wsgi_multithread: false, wsgi_run_once: true, origin_server: false, ..Self::BASE };
}
