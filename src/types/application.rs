//! PEP 3333, "The Application/Framework Side": the callable, and the callable it is given.

use super::{Body, Environ};
use std::{error::Error, io};

/// Whatever an application, or the thing that runs it, could not go on from.
///
/// `anyhow::Error`, `io::Error` and every other error convert to it by `?`.
///
/// ```
/// use cgigate::Exception;
///
/// fn port(text: &str) -> Result<u16, Exception> {
///     if text.starts_with('+') {
///         return Err("a port has no sign".into());
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(port("+80").unwrap_err().to_string(), "a port has no sign");
/// assert!(port("lots").unwrap_err().is::<std::num::ParseIntError>());
/// ```
pub type Exception = Box<dyn Error + Send + Sync>;

/// What calling an application comes to: a body, or Python's "raise".
///
/// ```
/// use cgigate::{Response, StartResponse, testing};
///
/// /// What several applications answer.
/// fn not_found<'r>(start_response: &mut dyn StartResponse) -> Response<'r> {
///     start_response.call("404 Not Found", &[("Content-Type", "text/plain")])?;
///     Ok("Nothing here.\n".into())
/// }
///
/// let empty = cgigate::app(|_environ, start_response| not_found(start_response));
/// assert_eq!(testing::get("/").ask(&empty).status, 404);
/// ```
pub type Response<'r> = Result<Body<'r>, Exception>;

/// Header fields on their way into `start_response`: names and values, as bytes, in order.
///
/// ```
/// use cgigate::types::HeaderIter;
///
/// /// How long the fields are, a line each.
/// fn length(headers: &mut HeaderIter<'_>) -> usize {
///     headers.map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum()
/// }
///
/// let fields = [(&b"Vary"[..], &b"Accept"[..])];
/// assert_eq!(length(&mut fields.into_iter()), b"Vary: Accept\r\n".len());
/// ```
pub type HeaderIter<'h> = dyn Iterator<Item = (&'h [u8], &'h [u8])> + 'h;

/// A WSGI application: called once a request, from any thread.
///
/// `'r` is the request: the body may borrow from the application, and may keep the environ,
/// until the handler closes it. Functions and closures of the right shape are applications.
///
/// ```
/// use cgigate::{Application, Environ, Response, StartResponse};
///
/// struct Motd(String);
///
/// impl Application for Motd {
///     fn call<'r>(&'r self, _: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
///         start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///         Ok(self.0.as_str().into())
///     }
/// }
/// ```
pub trait Application: Send + Sync {
    /// Answers one request.
    ///
    /// ```
    /// use cgigate::{Application, apps, testing};
    ///
    /// // Middleware: it looks at the path, and has the answer made by another one.
    /// let site = cgigate::app(|environ, start_response| match environ.get("PATH_INFO") {
    ///     Some(b"/hello") => Application::call(&apps::hello, environ, start_response),
    ///     _ => Application::call(&apps::environ, environ, start_response),
    /// });
    /// assert_eq!(testing::get("/hello").ask(&site).text(), "Hello World\n");
    /// ```
    ///
    /// # Errors
    /// Whatever went wrong. Before the first byte of the body it becomes the 500 page; after that
    /// the response is cut where it stands. Either way it is logged.
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r>;
}

impl<F> Application for F
where
    F: for<'r> Fn(Environ<'r>, &mut dyn StartResponse) -> Response<'r> + Send + Sync,
{
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        self(environ, start_response)
    }
}

impl Application for Box<dyn Application> {
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        (**self).call(environ, start_response)
    }
}

/// Lets a closure be an application without naming its lifetimes.
///
/// ```
/// let hello = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok("Hello, world!\n".into())
/// });
/// # let _: &dyn cgigate::Application = &hello;
/// ```
pub fn app<F>(f: F) -> F
where
    F: for<'r> Fn(Environ<'r>, &mut dyn StartResponse) -> Response<'r> + Send + Sync,
{
    f
}

/// The `start_response` callable, and the `write` that it returns, in one object.
///
/// Implemented by the handler and by middleware; applications use
/// [`call`](trait.StartResponse.html#method.call).
///
/// ```
/// use cgigate::{Exception, StartResponse, types::HeaderIter};
///
/// /// Middleware's: tells what was answered, and passes it on.
/// struct Told<'s>(&'s mut dyn StartResponse);
///
/// impl StartResponse for Told<'_> {
///     fn start_response(
///         &mut self,
///         status: &[u8],
///         headers: &mut HeaderIter<'_>,
///         exc_info: Option<Exception>,
///     ) -> Result<(), Exception> {
///         println!("answered {}", status.escape_ascii());
///         self.0.start_response(status, headers, exc_info)
///     }
///
///     fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
///         self.0.write(data)
///     }
/// }
/// # let app = cgigate::app(|environ, start| {
/// #     cgigate::Application::call(&cgigate::apps::hello, environ, &mut Told(start))
/// # });
/// # assert_eq!(cgigate::testing::get("/").ask(&app).status, 200);
/// ```
pub trait StartResponse {
    /// PEP 3333, "The start_response() Callable". `status` is `b"200 OK"`, without line end.
    ///
    /// Middleware's, which has a field more go out:
    ///
    /// ```
    /// use cgigate::{Application, Exception, StartResponse, apps, testing, types::HeaderIter};
    ///
    /// struct NoSniff<'s>(&'s mut dyn StartResponse);
    ///
    /// impl StartResponse for NoSniff<'_> {
    ///     fn start_response(
    ///         &mut self,
    ///         status: &[u8],
    ///         headers: &mut HeaderIter<'_>,
    ///         exc_info: Option<Exception>,
    ///     ) -> Result<(), Exception> {
    ///         let mut fields: Vec<_> = headers.collect();
    ///         fields.push((b"X-Content-Type-Options", b"nosniff"));
    ///         self.0.start_response(status, &mut fields.into_iter(), exc_info)
    ///     }
    ///
    ///     fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
    ///         self.0.write(data)
    ///     }
    /// }
    ///
    /// let app = cgigate::app(|environ, start_response| {
    ///     Application::call(&apps::hello, environ, &mut NoSniff(start_response))
    /// });
    /// let answer = testing::get("/").ask(&app);
    /// assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    /// ```
    ///
    /// # Errors
    /// A [`Violation`](super::Violation) of the rules, which changes nothing; or `exc_info`
    /// itself, when the headers have gone out already.
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception>;

    /// The `write(data)` callable: sends `data` before it returns.
    ///
    /// ```
    /// let app = cgigate::app(|_environ, start_response| {
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     start_response.write(b"before the body, ")?;
    ///     Ok("and the body\n".into())
    /// });
    /// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "before the body, and the body\n");
    /// ```
    ///
    /// # Errors
    /// `start_response` was not called yet, or the client has gone.
    fn write(&mut self, data: &[u8]) -> Result<(), Exception>;
}

impl<'s> dyn StartResponse + 's {
    /// `start_response(status, headers)`.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// let app = cgigate::app(|_, start_response| {
    ///     let mut write = start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     write.write_all(b"sent at once, ")?;
    ///     Ok("and the rest\n".into())
    /// });
    /// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "sent at once, and the rest\n");
    /// ```
    ///
    /// # Errors
    /// As [`StartResponse::start_response`].
    pub fn call<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        status: impl AsRef<[u8]>,
        headers: &[(N, V)],
    ) -> Result<Write<'_>, Exception> {
        self.call_exc(status, headers, None)
    }

    /// `start_response(status, headers, exc_info)`: replaces what was said before, as long as it
    /// has not been sent.
    ///
    /// ```
    /// let app = cgigate::app(|_, start_response| {
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     match "12 apples".parse::<u8>() {
    ///         Ok(n) => Ok(format!("{n}\n").into()),
    ///         Err(error) => {
    ///             let plain = [("Content-Type", "text/plain")];
    ///             start_response.call_exc("422 Unprocessable Content", &plain, Some(error.into()))?;
    ///             Ok("A number, please.\n".into())
    ///         }
    ///     }
    /// });
    /// assert_eq!(cgigate::testing::get("/").ask(&app).status, 422);
    /// ```
    ///
    /// # Errors
    /// As [`StartResponse::start_response`].
    pub fn call_exc<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        &mut self,
        status: impl AsRef<[u8]>,
        headers: &[(N, V)],
        exc_info: Option<Exception>,
    ) -> Result<Write<'_>, Exception> {
        let mut fields = headers.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        self.start_response(status.as_ref(), &mut fields, exc_info)?;
        Ok(Write(self))
    }
}

/// The `write(data)` callable: every write leaves at once, so there is nothing to flush.
///
/// ```
/// use cgigate::Body;
/// use std::io::Write;
///
/// let count = cgigate::app(|_environ, start_response| {
///     let mut write = start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     for n in 1..=3 {
///         writeln!(write, "{n}")?;
///     }
///     Ok(Body::Empty)
/// });
/// assert_eq!(cgigate::testing::get("/").ask(&count).text(), "1\n2\n3\n");
/// ```
pub struct Write<'s>(&'s mut dyn StartResponse);

impl io::Write for Write<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.0.write(data) {
            Ok(()) => Ok(data.len()),
            // An io::Error keeps its kind, so that a client that went away is still known as such.
            Err(exc) => Err(exc.downcast::<io::Error>().map_or_else(io::Error::other, |e| *e)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
