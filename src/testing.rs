//! Tests of applications without a server: one request in process, and all that came of it.
//!
//! ```
//! use cgigate::{Environ, Response, StartResponse, testing};
//! use std::io::Read;
//!
//! fn shout<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     let mut text = String::new();
//!     environ.input.read_to_string(&mut text)?;
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok(text.to_uppercase().into())
//! }
//!
//! let answer = testing::post("/?loud=1", "hello").header("Content-Type", "text/plain").ask(&shout);
//! assert_eq!(answer.status, 200);
//! assert_eq!(answer.header("content-type"), Some("text/plain"));
//! assert_eq!(answer.text(), "HELLO");
//! assert_eq!(answer.log, "");
//! ```
//!
//! The application is run as every handler runs it: a panic or an error is a 500 and in the log, a
//! HEAD has no body, a missing Content-Length is made. What is to be seen on the wire, such as one
//! block before the next, is a matter for a server.

use crate::{
    handlers::{Attributes, Ending, Plain, Slate, Streams, run},
    headers::Headers,
    types::{Application, Environ, Response, StartResponse, Vars, to_native},
    util::setup_testing_defaults,
    validate::validator,
};
use percent_encoding::percent_decode_str;

/// A GET of a path, with a query behind `?` if there is one.
///
/// ```
/// let answer = cgigate::testing::get("/a%20b?c=d").ask(&cgigate::apps::environ);
/// assert!(answer.text().contains("PATH_INFO=/a b\nQUERY_STRING=c=d\n"));
/// ```
pub fn get(target: &str) -> Request {
    Request::new("GET", target)
}

/// A POST of a body, without a type until [`header`](Request::header) gives it one.
///
/// ```
/// let answer = cgigate::testing::post("/", "a body").ask(&cgigate::apps::echo);
/// assert_eq!(answer.body, b"a body");
/// ```
pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", target).body(body)
}

/// A request that is being made up.
///
/// ```
/// use cgigate::{apps, testing};
///
/// // What several requests of a test have in common:
/// let ann = testing::get("/").var("REMOTE_USER", "ann").header("Accept-Language", "en");
/// let (hello, environ) = (ann.clone().ask(&apps::hello), ann.ask(&apps::environ));
/// assert_eq!(hello.status, 200);
/// assert!(environ.text().contains("REMOTE_USER=ann\n"));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    vars: Vars,
    body: Vec<u8>,
    validate: bool,
}

impl Request {
    /// A request of any method. The path is percent-encoded, as a client writes it.
    ///
    /// ```
    /// let answer = cgigate::testing::Request::new("HEAD", "/").ask(&cgigate::apps::hello);
    /// assert_eq!((answer.status, answer.body.len()), (200, 0));
    /// ```
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut vars = Vars::default();
        vars.set("REQUEST_METHOD", method);
        vars.set("REQUEST_URI", target);
        vars.set("SCRIPT_NAME", "");
        vars.set("PATH_INFO", percent_decode_str(path).collect::<Vec<_>>());
        vars.set("QUERY_STRING", query);
        vars.set("SERVER_PROTOCOL", "HTTP/1.1");
        Self { vars, body: Vec::new(), validate: false }
    }

    /// A header field of the client's.
    ///
    /// ```
    /// let request = cgigate::testing::get("/").header("X-Name", "x");
    /// assert!(request.ask(&cgigate::apps::environ).text().contains("HTTP_X_NAME=x\n"));
    /// ```
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = name.to_ascii_uppercase().replace('-', "_");
        match &*name {
            "CONTENT_TYPE" | "CONTENT_LENGTH" => self.var(name, value),
            _ => self.var(format!("HTTP_{name}"), value),
        }
    }

    /// A variable that a web server would set, such as `REMOTE_USER`; in the place of what is there.
    ///
    /// ```
    /// let request = cgigate::testing::get("/x").var("SCRIPT_NAME", "/app");
    /// assert!(request.ask(&cgigate::apps::environ).text().contains("SCRIPT_NAME=/app\n"));
    /// ```
    pub fn var(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.vars.set(name, value);
        self
    }

    /// The body, and its length.
    ///
    /// ```
    /// let request = cgigate::testing::Request::new("PUT", "/").body("four");
    /// assert!(request.ask(&cgigate::apps::environ).text().contains("CONTENT_LENGTH=4\n"));
    /// ```
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.vars.set("CONTENT_LENGTH", self.body.len().to_string());
        self
    }

    /// Under the [validator](crate::validate): a broken rule of PEP 3333 is a 500, and in the log.
    ///
    /// ```
    /// let careless = cgigate::app(|_environ, start_response| {
    ///     start_response.call("200 OK", &[("Content-Typ", "text/plain")])?;
    ///     Ok("Hello\n".into())
    /// });
    /// let answer = cgigate::testing::get("/").validated().ask(&careless);
    /// assert_eq!(answer.status, 500);
    /// assert!(answer.log.starts_with("the application is at fault: No Content-Type header found"));
    /// ```
    pub fn validated(self) -> Self {
        Self { validate: true, ..self }
    }

    /// Asks an application.
    ///
    /// ```
    /// let request = cgigate::testing::get("/");
    /// let (first, again) = (request.clone().ask(&cgigate::apps::hello), request.ask(&cgigate::apps::hello));
    /// assert_eq!(first.text(), again.text());
    /// ```
    ///
    /// # Panics
    /// When even the page about an error could not be made: a fault of this crate.
    pub fn ask(self, app: &dyn Application) -> Answer {
        let mut slate = Slate::default();
        slate.vars = setup_testing_defaults(self.vars).vars;
        let handler = Plain(Attributes { origin_server: false, ..Attributes::BASE });
        let (mut stdin, mut stdout, mut stderr) = (&self.body[..], Vec::new(), Vec::new());
        let streams = Streams { stdin: &mut stdin, stdout: &mut stdout, stderr: &mut stderr };
        let lent = Lent(app);
        let outcome = match self.validate {
            true => run(&handler, &validator(lent), &mut slate, streams),
            false => run(&handler, &lent, &mut slate, streams),
        };
        let ending = outcome.expect("the page about an error needs nothing that can fail").ending;
        Answer::parse(&stdout, &stderr, ending)
    }
}

/// An application that stays its owner's.
struct Lent<'a>(&'a dyn Application);

impl Application for Lent<'_> {
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        self.0.call(environ, start_response)
    }
}

/// What came of a request.
///
/// ```
/// use cgigate::{handlers::Ending, testing};
///
/// let answer = testing::get("/").ask(&cgigate::app(|_, _| Err("no luck".into())));
/// assert_eq!((answer.status, &*answer.log), (500, "no luck\n"));
/// assert_eq!(answer.header("Content-Type"), Some("text/plain"));
/// assert!(answer.text().starts_with("A server error occurred."));
/// assert_eq!(answer.ending, Ending::Whole);
/// ```
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code; 0 where nothing was sent.
    pub status: u16,
    /// The header fields, in their order.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// What was written to `wsgi.errors`, by the application and about it.
    pub log: String,
    /// Whether the body is whole.
    pub ending: Ending,
}

impl Answer {
    /// Of a response as CGI has it, which begins with `Status: 200 OK`.
    fn parse(response: &[u8], log: &[u8], ending: Ending) -> Self {
        let blank = response.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, body) = match blank {
            Some(at) => (&response[..at], &response[at + 4..]),
            None => (response, &b""[..]),
        };
        let mut headers = Headers::default();
        let mut status = 0;
        for line in head.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(colon) = line.windows(2).position(|window| window == b": ") else { continue };
            let (name, value) = (&line[..colon], &line[colon + 2..]);
            if status == 0 && name == b"Status" {
                status = to_native(value).get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else {
                // They went out, and so are what fields may be.
                let _ = headers.add(name, value);
            }
        }
        let log = String::from_utf8_lossy(log).into_owned();
        Self { status, headers, body: body.to_vec(), log, ending }
    }

    /// The first value of a header field, if it is text.
    ///
    /// ```
    /// let answer = cgigate::testing::get("/").ask(&cgigate::apps::hello);
    /// assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    /// assert_eq!(answer.header("Location"), None);
    /// ```
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The body as text; what is not UTF-8 in it is replaced.
    ///
    /// ```
    /// let answer = cgigate::testing::post("/", b"caf\xe9").ask(&cgigate::apps::echo);
    /// assert_eq!((&*answer.body, &*answer.text()), (&b"caf\xe9"[..], "caf\u{fffd}"));
    /// ```
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{apps, types::Body};

    #[test]
    fn an_answer_is_taken_apart() {
        let app = crate::app(|mut environ, start_response| {
            std::io::Write::write_all(&mut environ.errors, b"a line\n")?;
            let fields = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Status", "404")];
            start_response.call("201 Created", &fields)?;
            Ok("one\r\n\r\ntwo".into())
        });
        let answer = get("/").ask(&app);
        assert_eq!((answer.status, &*answer.log), (201, "a line\n"));
        assert_eq!(answer.header("set-cookie"), Some("a=1"));
        assert_eq!(answer.header("status"), Some("404"));
        assert_eq!((answer.text(), answer.ending), ("one\r\n\r\ntwo".into(), Ending::Whole));
    }

    #[test]
    fn what_goes_wrong_is_in_the_log_and_cuts_the_answer() {
        let panics = crate::app(|_, _| panic!("as it was asked to"));
        let answer = get("/").ask(&panics);
        assert_eq!(answer.status, 500);
        assert!(answer.log.contains("as it was asked to"), "{}", answer.log);
        let breaks = crate::app(|_, start_response| {
            start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
            Ok(Body::from_iter([Ok(b"half".to_vec()), Err("lost".into())].into_iter()))
        });
        let answer = get("/").ask(&breaks);
        assert_eq!((answer.status, answer.text(), &*answer.log), (200, "half".into(), "lost\n"));
        assert_eq!(answer.ending, Ending::Cut { length_known: false });
    }

    #[test]
    fn the_built_in_applications_pass_under_the_validator() {
        for app in [&apps::demo as &dyn Application, &apps::hello, &apps::environ, &apps::echo] {
            let answer =
                post("/x?y", "z").header("Content-Type", "text/plain").validated().ask(app);
            assert_eq!((answer.status, &*answer.log), (200, ""));
        }
    }

    #[test]
    fn a_request_has_what_a_web_server_would_say() {
        let request = get("/caf%c3%a9?q").header("Content-Length", "0").var("REMOTE_USER", "ann");
        let text = request.ask(&apps::environ).text();
        for line in ["PATH_INFO=/caf\u{e9}", "QUERY_STRING=q", "REQUEST_URI=/caf%c3%a9?q"] {
            // The paths are bytes; these are UTF-8.
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(
            text.contains("CONTENT_LENGTH=0\n") && text.contains("REMOTE_USER=ann\n"),
            "{text}"
        );
    }
}
