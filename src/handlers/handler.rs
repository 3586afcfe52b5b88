//! `BaseHandler`'s methods: what a subclass overrides.

use super::{Attributes, log::log};
use crate::{
    headers::Headers,
    types::{Body, Environ, Exception, RequestFault, Response, Scheme, StartResponse, Vars, Wsgi},
    util::guess_scheme,
};
use std::{borrow::Cow, io};

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
    ///
    /// ```
    /// use cgigate::handlers::{Attributes, Handler};
    ///
    /// struct Busy(Attributes);
    ///
    /// impl Handler for Busy {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    /// }
    ///
    /// let busy = Busy(Attributes { error_status: "503 Busy".into(), ..Attributes::BASE });
    /// assert_eq!(busy.attributes().error_status, "503 Busy");
    /// ```
    fn attributes(&self) -> &Attributes;

    /// Makes the environ of the variables that came, but for the two streams: adds those of
    /// [`add_cgi_vars`](Self::add_cgi_vars) and SERVER_SOFTWARE, and returns the keys `wsgi.*`.
    ///
    /// ```
    /// # use cgigate::handlers::{Attributes, Handler};
    /// # use cgigate::types::{Vars, Wsgi};
    /// /// One thread at a time may be in this application.
    /// struct Locked(Attributes);
    ///
    /// impl Handler for Locked {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn setup_environ(&self, vars: &mut Vars) -> Wsgi {
    ///         vars.remove("HTTP_X_SECRET");
    ///         let multithread = vars.get("REQUEST_METHOD") != Some(b"POST");
    ///         Wsgi { multithread, ..cgigate::handlers::Plain(self.0.clone()).setup_environ(vars) }
    ///     }
    /// }
    ///
    /// let mut vars = [("REQUEST_METHOD", "POST"), ("HTTP_X_SECRET", "x")].into_iter().collect();
    /// let wsgi = Locked(Attributes::BASE).setup_environ(&mut vars);
    /// assert!(!wsgi.multithread && wsgi.multiprocess && vars.len() == 1);
    /// ```
    fn setup_environ(&self, vars: &mut Vars) -> Wsgi {
        self.add_cgi_vars(vars);
        let at = self.attributes();
        if let (true, Some(software)) = (at.origin_server, at.software()) {
            vars.set_default("SERVER_SOFTWARE", software.as_bytes());
        }
        // What an environment says of these keys is overwritten, as in wsgiref.
        if vars.may_begin_with("wsgi.") && vars.names().any(is_wsgi) {
            vars.retain(|name, _| !is_wsgi(name));
        }
        Wsgi {
            version: (1, 0),
            url_scheme: self.get_scheme(vars),
            multithread: at.wsgi_multithread,
            multiprocess: at.wsgi_multiprocess,
            run_once: at.wsgi_run_once,
            file_wrapper: at.wsgi_file_wrapper,
        }
    }

    /// Adds to, or changes, the variables of the request before the application sees them.
    ///
    /// ```
    /// # use cgigate::{Vars, apps::demo, handlers::{Attributes, Handler, SimpleHandler}};
    /// struct Named(Attributes);
    ///
    /// impl Handler for Named {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn add_cgi_vars(&self, vars: &mut Vars) {
    ///         vars.set("SERVER_NAME", "www.example.com");
    ///     }
    /// }
    ///
    /// let mut out = Vec::new();
    /// let mut handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.run_as(&Named(Attributes::BASE), &demo)?;
    /// assert!(String::from_utf8(out)?.contains("SERVER_NAME = 'www.example.com'\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    fn add_cgi_vars(&self, _vars: &mut Vars) {}

    /// `wsgi.url_scheme`: what [`guess_scheme`] says.
    ///
    /// ```
    /// # use cgigate::handlers::{Attributes, Handler};
    /// use cgigate::{types::{Scheme, Vars}, util::guess_scheme};
    ///
    /// /// Behind a proxy that says so, and lets no client say so.
    /// struct Proxied(Attributes);
    ///
    /// impl Handler for Proxied {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn get_scheme(&self, vars: &Vars) -> Scheme {
    ///         match vars.get("HTTP_X_FORWARDED_PROTO") {
    ///             Some(b"https") => Scheme::Https,
    ///             _ => guess_scheme(vars),
    ///         }
    ///     }
    /// }
    ///
    /// let vars = [("HTTP_X_FORWARDED_PROTO", "https")].into_iter().collect();
    /// assert_eq!(Proxied(Attributes::BASE).get_scheme(&vars), Scheme::Https);
    /// ```
    fn get_scheme(&self, vars: &Vars) -> Scheme {
        guess_scheme(vars)
    }

    /// Changes the response's header fields just before they are sent, a Content-Length that was
    /// made among them.
    ///
    /// ```
    /// # use cgigate::{Vars, apps::demo, headers::Headers};
    /// # use cgigate::handlers::{Attributes, Handler, SimpleHandler};
    /// struct NoSniff(Attributes);
    ///
    /// impl Handler for NoSniff {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn cleanup_headers(&self, headers: &mut Headers) {
    ///         // Both are what a header may be, and so cannot be refused.
    ///         let _ = headers.set_default("X-Content-Type-Options", "nosniff");
    ///     }
    /// }
    ///
    /// let mut out = Vec::new();
    /// let mut handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), Vars::default());
    /// handler.run_as(&NoSniff(Attributes::BASE), &demo)?;
    /// assert!(String::from_utf8(out)?.contains("\r\nX-Content-Type-Options: nosniff\r\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    fn cleanup_headers(&self, _headers: &mut Headers) {}

    /// Writes what happened to `wsgi.errors`: the error with its chain of causes; of a panic the
    /// message, the place and the backtrace. Nothing of the request, no control characters.
    ///
    /// ```
    /// # use cgigate::{Exception, Vars, handlers::{Attributes, Handler, SimpleHandler}};
    /// # use std::io;
    /// struct Terse(Attributes);
    ///
    /// impl Handler for Terse {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn log_exception(&self, exc: &Exception, errors: &mut dyn io::Write) -> io::Result<()> {
    ///         writeln!(errors, "failed: {exc}")
    ///     }
    /// }
    ///
    /// let fails = cgigate::app(|_environ, _start_response| Err("oh".into()));
    /// let mut err = Vec::new();
    /// let mut handler = SimpleHandler::new(&b""[..], Vec::new(), &mut err, Vars::default());
    /// handler.run_as(&Terse(Attributes::BASE), &fails)?;
    /// assert_eq!(err, b"failed: oh\n");
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    ///
    /// # Errors
    /// Writing failed; nobody will be told.
    fn log_exception(&self, exc: &Exception, errors: &mut dyn io::Write) -> io::Result<()> {
        log(exc, self.attributes().traceback_limit, errors)
    }

    /// The application that makes the error page: a 500 that tells nothing, or the status of the
    /// request's own fault.
    ///
    /// ```
    /// # use cgigate::{Environ, Exception, Response, StartResponse, Vars};
    /// # use cgigate::handlers::{Attributes, Handler, SimpleHandler};
    /// struct Polite(Attributes);
    ///
    /// impl Handler for Polite {
    ///     fn attributes(&self) -> &Attributes {
    ///         &self.0
    ///     }
    ///     fn error_output<'r>(
    ///         &'r self,
    ///         environ: Environ<'r>,
    ///         start_response: &mut dyn StartResponse,
    ///         exc: Exception,
    ///     ) -> Response<'r> {
    ///         let fields = &[("Content-Type", "text/plain")];
    ///         start_response.call_exc("500 Sorry", fields, Some(exc))?;
    ///         let path = environ.vars.native("PATH_INFO").unwrap_or_default();
    ///         Ok(format!("{path} does not work today.\n").into())
    ///     }
    /// }
    ///
    /// let fails = cgigate::app(|_environ, _start_response| Err("oh".into()));
    /// let environ: Vars = [("PATH_INFO", "/x")].into_iter().collect();
    /// let mut out = Vec::new();
    /// let mut handler = SimpleHandler::new(&b""[..], &mut out, Vec::new(), environ);
    /// handler.run_as(&Polite(Attributes::BASE), &fails)?;
    /// assert!(out.starts_with(b"HTTP/1.0 500 Sorry\r\n"));
    /// assert!(out.ends_with(b"\r\n\r\n/x does not work today.\n"));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
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
///
/// ```
/// use cgigate::{apps, handlers::{Attributes, Plain, Slate, Streams, run}};
///
/// let handler = Plain(Attributes { error_body: b"Sorry.\n"[..].into(), ..Attributes::CGI });
/// let fails = cgigate::app(|_environ, _start_response| Err("no luck".into()));
/// let (mut slate, mut out, mut err) = (Slate::default(), Vec::new(), Vec::new());
/// let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
/// let _ = run(&handler, &fails, &mut slate, streams)?;
/// assert!(out.ends_with(b"\r\n\r\nSorry.\n") && err == b"no luck\n");
/// # Ok::<_, cgigate::Exception>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plain(pub Attributes);

impl Handler for Plain {
    fn attributes(&self) -> &Attributes {
        &self.0
    }
}

/// The keys of the environ that are no variables, but fields of `Environ` and `Wsgi`.
fn is_wsgi(name: &[u8]) -> bool {
    name.strip_prefix(b"wsgi.").is_some_and(|key| {
        let keys: [&[u8]; 8] = [
            b"version",
            b"url_scheme",
            b"input",
            b"errors",
            b"multithread",
            b"multiprocess",
            b"run_once",
            b"file_wrapper",
        ];
        keys.contains(&key)
    })
}
