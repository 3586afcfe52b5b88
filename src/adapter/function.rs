//! Feature `http`: a function of `http::Request` as an application. It blocks, and needs no runtime.

use super::{request, response};
use crate::types::{Application, Body, Environ, Exception, InputStream, Response, StartResponse};

/// Makes an application of a function from `http::Request` to `http::Response`, or to a `Result` of
/// one.
///
/// The body of the request is `wsgi.input`, to be read from; that of the response anything that can
/// be made a [`Body`] of: text, bytes, or a `Body` itself for one that is made as it is sent.
///
/// ```
/// use cgigate::{Exception, types::InputStream};
/// use http::{Request, Response, StatusCode};
/// use std::io::Read;
///
/// fn shout(request: Request<InputStream<'_>>) -> Result<Response<String>, Exception> {
///     let mut text = String::new();
///     request.into_body().take(1 << 20).read_to_string(&mut text)?;
///     let response = Response::builder().status(StatusCode::CREATED);
///     Ok(response.header("Content-Type", "text/plain").body(text.to_uppercase())?)
/// }
///
/// let gateway = cgigate::Gateway::new()
///     .responder("shout", cgigate::http(shout))
///     .responder("hello", cgigate::http(|_| Response::new("Hello, world!\n")));
/// # let _ = gateway;
/// ```
pub fn http<F, A>(function: F) -> Http<F>
where
    F: for<'r> Fn(::http::Request<InputStream<'r>>) -> A + Send + Sync,
    A: Answer,
{
    Http(function)
}

/// What [`http()`] makes of a function.
///
/// ```
/// use cgigate::{adapter::Http, types::InputStream};
/// use http::{Request, Response};
///
/// type Page = fn(Request<InputStream<'_>>) -> Response<&'static str>;
///
/// fn about(_: Request<InputStream<'_>>) -> Response<&'static str> {
///     Response::new("All about it.\n")
/// }
///
/// let pages: [(&str, Http<Page>); 1] = [("/about", cgigate::http(about))];
/// assert_eq!(cgigate::testing::get("/about").ask(&pages[0].1).text(), "All about it.\n");
/// ```
#[derive(Clone, Debug)]
pub struct Http<F>(F);

impl<F, A> Application for Http<F>
where
    F: for<'r> Fn(::http::Request<InputStream<'r>>) -> A + Send + Sync,
    A: Answer,
{
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        let parts = request::parts(&environ)?;
        let answer = (self.0)(::http::Request::from_parts(parts, environ.input));
        let (head, body) = answer.into_response()?.into_parts();
        response::start(&head, start_response)?;
        Ok(body)
    }
}

/// What a function for [`http()`] may return: an `http::Response`, or a `Result` of one.
///
/// Whatever an application likes to return can be one:
///
/// ```
/// use cgigate::{Body, Exception, adapter::Answer};
/// use http::Response;
///
/// /// A page, or where it went.
/// enum Page {
///     Here(&'static str),
///     Moved(&'static str),
/// }
///
/// impl Answer for Page {
///     fn into_response(self) -> Result<Response<Body<'static>>, Exception> {
///         let response = Response::builder();
///         Ok(match self {
///             Page::Here(text) => response.status(200).body(text.into())?,
///             Page::Moved(to) => response.status(303).header("Location", to).body(Body::Empty)?,
///         })
///     }
/// }
///
/// let site = cgigate::http(|request| match request.uri().path() {
///     "/news" => Page::Here("None.\n"),
///     _ => Page::Moved("/news"),
/// });
/// let answer = cgigate::testing::get("/olds").ask(&site);
/// assert_eq!((answer.status, answer.header("Location")), (303, Some("/news")));
/// ```
pub trait Answer {
    /// The response.
    ///
    /// ```
    /// use cgigate::adapter::Answer;
    /// use http::Response;
    ///
    /// let half = |text: &str| text.parse::<u32>().map(|n| Response::new((n / 2).to_string()));
    /// assert!(half("84").into_response().is_ok());
    /// let error = half("lots").into_response().unwrap_err();
    /// assert_eq!(error.to_string(), "invalid digit found in string");
    /// ```
    ///
    /// # Errors
    /// Whatever kept it from being made.
    fn into_response(self) -> Result<::http::Response<Body<'static>>, Exception>;
}

impl<B: Into<Body<'static>>> Answer for ::http::Response<B> {
    fn into_response(self) -> Result<::http::Response<Body<'static>>, Exception> {
        Ok(self.map(Into::into))
    }
}

impl<B: Into<Body<'static>>, E: Into<Exception>> Answer for Result<::http::Response<B>, E> {
    fn into_response(self) -> Result<::http::Response<Body<'static>>, Exception> {
        self.map(|response| response.map(Into::into)).map_err(Into::into)
    }
}
