//! PEP 3333, "environ Variables".

use super::{ErrorStream, InputStream, Request, Vars};
use std::fmt;

/// `wsgi.url_scheme`.
///
/// ```
/// assert_eq!(cgigate::types::Scheme::Https.to_string(), "https");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `"http"`
    Http,
    /// `"https"`
    Https,
}

impl Scheme {
    /// `"http"` or `"https"`.
    ///
    /// ```
    /// use cgigate::types::Scheme;
    ///
    /// assert_eq!(format!("{}://example.org/", Scheme::Https.as_str()), "https://example.org/");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The `wsgi.*` keys that are neither strings nor streams.
///
/// ```
/// let app = cgigate::app(|environ, start_response| {
///     let alone = !environ.wsgi.multiprocess && !environ.wsgi.run_once;
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(if alone { "What is counted here counts.\n" } else { "Ask the database.\n" }.into())
/// });
/// # assert_eq!(cgigate::testing::get("/").ask(&app).text(), "Ask the database.\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wsgi {
    /// `wsgi.version`: `(1, 0)`.
    pub version: (u8, u8),
    /// `wsgi.url_scheme`
    pub url_scheme: Scheme,
    /// `wsgi.multithread`: another thread of this process may call the application meanwhile.
    pub multithread: bool,
    /// `wsgi.multiprocess`: another process may.
    pub multiprocess: bool,
    /// `wsgi.run_once`: this process answers this request and no other.
    pub run_once: bool,
    /// `wsgi.file_wrapper`: whether a [`Body::File`](super::Body::File) gets special treatment.
    pub file_wrapper: bool,
}

/// One request, given away to the application, which may change or keep any of it until its
/// body is closed: PEP 3333's "modify the dictionary in any way it desires", by ownership.
///
/// ```
/// let app = cgigate::app(|environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     let method = environ.vars.native("REQUEST_METHOD").unwrap_or_default();
///     Ok(format!("{method} by {}\n", environ.wsgi.url_scheme).into())
/// });
/// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "GET by http\n");
/// ```
#[non_exhaustive]
pub struct Environ<'r> {
    /// The CGI variables, and whatever else is a string.
    pub vars: &'r mut Vars,
    /// `wsgi.input`
    pub input: InputStream<'r>,
    /// `wsgi.errors`
    pub errors: ErrorStream<'r>,
    /// The other `wsgi.*` keys.
    pub wsgi: Wsgi,
    /// Whether anybody still waits for the answer, and what middleware hands on.
    pub request: &'r Request,
}

impl<'r> Environ<'r> {
    /// An environ of these parts: for servers and tests.
    ///
    /// ```
    /// use cgigate::{Environ, Vars, types::{ErrorStream, InputStream, Request, Scheme, Wsgi}};
    ///
    /// let mut vars: Vars = [("REQUEST_METHOD", "GET")].into_iter().collect();
    /// let (mut input, mut errors, request) = (&b""[..], Vec::new(), Request::default());
    /// let wsgi = Wsgi {
    ///     version: (1, 0),
    ///     url_scheme: Scheme::Http,
    ///     multithread: false,
    ///     multiprocess: false,
    ///     run_once: true,
    ///     file_wrapper: false,
    /// };
    /// let (input, errors) = (InputStream::Lent(&mut input), ErrorStream::Lent(&mut errors));
    /// let environ = Environ::new(&mut vars, input, errors, wsgi, &request);
    /// assert_eq!(environ.get("REQUEST_METHOD"), Some(&b"GET"[..]));
    /// ```
    pub fn new(
        vars: &'r mut Vars,
        input: InputStream<'r>,
        errors: ErrorStream<'r>,
        wsgi: Wsgi,
        request: &'r Request,
    ) -> Self {
        Self { vars, input, errors, wsgi, request }
    }

    /// The bytes of a variable: `environ.get("PATH_INFO")`.
    ///
    /// ```
    /// let app = cgigate::app(|environ, start_response| {
    ///     let is_script = environ.get("HTTP_X_REQUESTED_WITH") == Some(b"XMLHttpRequest");
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(if is_script { "a part" } else { "the whole page" }.into())
    /// });
    /// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "the whole page");
    /// ```
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.vars.get(name)
    }
}
