//! Feature `tower`: a tower service over the types of `http` as an application.
//!
//! A thread polls the service until it waits for something. Is that the body of the request, the
//! thread reads on, away from the runtime, so that nobody else waits with it; else it sleeps until
//! it is woken, by what the service waits for or because the client has gone, and then drops it.

use super::{
    incoming::{Feed, RequestBody, incoming},
    request, response,
    runtime::{drive_what_is_left, runtime},
};
use crate::{
    lock::lock,
    types::{
        Application, Blocks, Body, ClientGone, Environ, Exception, Response, StartResponse,
        is_departure,
    },
};
use bytes::{Buf, Bytes};
use http::{Method, StatusCode, header};
use std::{
    fmt,
    future::{Future, poll_fn},
    io::{self, BufRead},
    pin::{Pin, pin},
    sync::Mutex,
    task::{Context, Poll},
};
use tokio::runtime::Runtime;
use tower_service::Service;

/// Makes an application of a tower service of `http` types: axum's `Router` as it is, with whatever
/// layers are around it.
///
/// ```
/// use axum::{Router, routing::get};
///
/// let router = Router::new().route("/hello", get(|| async { "Hello from axum\n" }));
/// let site = cgigate::tower(router);
/// assert_eq!(cgigate::testing::get("/hello").ask(&site).text(), "Hello from axum\n");
///
/// let gateway = cgigate::Gateway::new().responder("site", site);
/// # let _ = gateway; // and in an executable: gateway.main()
/// ```
///
/// The body of the request is read from `wsgi.input` as the service asks for it, and each frame of
/// the response is on the wire before the next is asked for. Trailers are dropped: CGI and its
/// siblings have no place for them. An error of the service, or a panic in it, is a 500 like those
/// of other applications.
///
/// A request occupies a thread of the gateway until its answer has ended (`--threads`). When the
/// client goes away meanwhile, the service's future, or the body of its response, is dropped: at
/// once, but in CGI with the next frame, for there nobody watches the client. Over HTTP a client that
/// has ended its sending side has gone: the two look alike.
///
/// All threads of a process share one tokio runtime of the current-thread kind, made with the first
/// request; [`block_on`](super::block_on) runs on it what has to be opened earlier. Timers and
/// sockets work where the executable's own dependency on tokio turns those features on. Tasks that
/// a request leaves behind go on after it, but for CGI, whose process ends with the answer.
///
/// [`docs::tower`](crate::docs::tower) tells how an application moves here, and what it costs.
///
/// A service that takes only its framework's own body is led there by
/// `map_request(|request| request.map(axum::body::Body::new))`.
pub fn tower<S, B>(service: S) -> Tower<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<Exception>,
    B: http_body::Body + 'static,
    B::Error: Into<Exception>,
{
    Tower(Mutex::new(service))
}

/// What [`tower()`] makes of a service.
///
/// An application of one's own may have several in it:
///
/// ```
/// use axum::{Router, routing::get};
/// use cgigate::{Application, Environ, Response, StartResponse, adapter::Tower, tower};
///
/// /// Two sites, told apart by the name that they are asked under.
/// struct Sites {
///     shop: Tower<Router>,
///     blog: Tower<Router>,
/// }
///
/// impl Application for Sites {
///     fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
///         match environ.get("HTTP_HOST") {
///             Some(b"shop.example.org") => self.shop.call(environ, start),
///             _ => self.blog.call(environ, start),
///         }
///     }
/// }
///
/// let page = |text: &'static str| get(move || async move { text });
/// let site = |text| tower(Router::new().route("/", page(text)));
/// let sites = Sites { shop: site("wares"), blog: site("words") };
/// let answer = cgigate::testing::get("/").header("Host", "shop.example.org").ask(&sites);
/// assert_eq!(answer.text(), "wares");
/// ```
// Not every service that can be cloned can be shared.
pub struct Tower<S>(Mutex<S>);

impl<S> fmt::Debug for Tower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tower(..)")
    }
}

impl<S, B> Application for Tower<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<Exception>,
    B: http_body::Body + 'static,
    B::Error: Into<Exception>,
{
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        let parts = request::parts(&environ)?;
        let is_head = parts.method == Method::HEAD;
        let (body, feed) = incoming(request::content_length(environ.vars));
        let request = http::Request::from_parts(parts, body);
        let mut driver = Driver { runtime: runtime()?, environ, feed };
        // A panic while it was cloned has left it as it was.
        let service = lock(&self.0).clone();
        let (mut head, body, first) = driver.drive(ask(service, request, is_head))??;
        if !has_body(head.status, is_head) {
            response::start(&head, start_response)?;
            return Ok(if is_head { head_alone() } else { Body::Empty });
        }
        let opening = first.is_pending();
        let data = match first {
            Poll::Ready(Some(frame)) => frame.map_err(Into::into)?.into_data().ok(),
            Poll::Ready(None) | Poll::Pending => None,
        };
        let there = data.as_ref().map_or(0, Buf::remaining);
        if body.is_end_stream() && !opening && there < LARGE {
            response::start(&head, start_response)?;
            return Ok(data.map_or(Body::Empty, |mut data| {
                Vec::from(data.copy_to_bytes(data.remaining())).into()
            }));
        }
        if let (Some(left), header::Entry::Vacant(length)) =
            (body.size_hint().exact(), head.headers.entry(header::CONTENT_LENGTH))
        {
            length.insert((there as u64 + left).into());
        }
        response::start(&head, start_response)?;
        Ok(Body::Blocks(Box::new(Frames { driver, body: Some(body), opening, data, lent: 0 })))
    }
}

/// Blocks as large as that go out from where they lie; smaller ones leave with the end of the
/// response in one write.
const LARGE: usize = 16 << 10;

/// A response and, if it was there at once, the first frame of its body.
type Asked<B, D, E> =
    (http::response::Parts, Pin<Box<B>>, Poll<Option<Result<http_body::Frame<D>, E>>>);

async fn ask<S, B>(
    mut service: S,
    request: http::Request<RequestBody>,
    is_head: bool,
) -> Result<Asked<B, B::Data, B::Error>, Exception>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: Into<Exception>,
    B: http_body::Body,
{
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    let (head, body) = service.call(request).await.map_err(Into::into)?.into_parts();
    let mut body = Box::pin(body);
    let first = match has_body(head.status, is_head) {
        true => poll_fn(|cx| Poll::Ready(body.as_mut().poll_frame(cx))).await,
        false => Poll::Ready(None),
    };
    Ok((head, body, first))
}

/// RFC 9110 section 6.4.1. Of the others nobody asks for the body.
fn has_body(status: StatusCode, is_head: bool) -> bool {
    !is_head && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The answer to a HEAD: of no body at all a Content-Length of 0 would be made.
fn head_alone<'r>() -> Body<'r> {
    Body::from_iter(std::iter::once(Ok(Vec::new())))
}

/// A thread at one request, and what it waits with.
struct Driver<'r> {
    runtime: &'static Runtime,
    environ: Environ<'r>,
    feed: Feed,
}

/// Why a future is not polled just now.
enum Step<T> {
    Done(T),
    /// It waits for the body of the request.
    Reads,
    /// Nobody waits for it any more.
    Gone,
}

impl Driver<'_> {
    /// Polls `future` until it is done.
    ///
    /// # Errors
    /// The client has gone.
    fn drive<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Exception> {
        let mut future = pin!(future);
        loop {
            match self.runtime.block_on(poll_fn(|cx| self.step(future.as_mut(), cx))) {
                Step::Done(done) => return Ok(done),
                Step::Reads => self.read()?,
                Step::Gone => return Err(io::Error::from(ClientGone).into()),
            }
        }
    }

    fn step<T>(
        &self,
        mut future: Pin<&mut impl Future<Output = T>>,
        cx: &mut Context<'_>,
    ) -> Poll<Step<T>> {
        let mut reads = self.feed.is_wanted(cx.waker());
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(cx) {
                return Poll::Ready(Step::Done(done));
            }
            // Who asked for the body may be a task on another thread, and may have had something
            // for this future before: reading waits until it was looked at.
            match std::mem::replace(&mut reads, self.feed.is_wanted(cx.waker())) {
                true => return Poll::Ready(Step::Reads),
                false if reads => continue,
                false => {}
            }
            // In this order: who goes between the two wakes the task. What of the body has come is
            // read before this: a client that only sends no more still waits.
            self.environ.request.wake_with(cx.waker());
            return match self.environ.request.is_cancelled() {
                true => Poll::Ready(Step::Gone),
                false => Poll::Pending,
            };
        }
    }

    /// Lays a piece of the body where the service finds it. This thread waits for the client, and
    /// for nothing else: the runtime is for others meanwhile.
    fn read(&mut self) -> Result<(), Exception> {
        let piece = loop {
            match self.environ.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                piece => break piece.map(Bytes::copy_from_slice),
            }
        };
        let piece = piece.map_err(Exception::from);
        if let Ok(piece) = &piece {
            self.environ.input.consume(piece.len());
        }
        match piece {
            Err(exc) if is_departure(&exc) => return Err(exc),
            piece => self.feed.give(piece),
        }
        Ok(())
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        if !self.environ.wsgi.run_once {
            drive_what_is_left(self.runtime);
        }
    }
}

/// The frames of a body, each lent until the next is asked for. Trailers have no place to go.
struct Frames<'r, B: http_body::Body> {
    driver: Driver<'r>,
    body: Option<Pin<Box<B>>>,
    /// Nothing was there at once: the header fields go out before anything else is waited for.
    opening: bool,
    data: Option<B::Data>,
    /// How much of `data` is lent.
    lent: usize,
}

impl<B> Frames<'_, B>
where
    B: http_body::Body,
    B::Error: Into<Exception>,
{
    /// The next frame with data in it becomes `data`; false at the end.
    fn next_data(&mut self) -> Result<bool, Exception> {
        let Some(body) = &mut self.body else { return Ok(false) };
        let frame = self.driver.drive(poll_fn(|cx| body.as_mut().poll_frame(cx)))?;
        let Some(frame) = frame else { return Ok(false) };
        (self.data, self.lent) = (frame.map_err(Into::into)?.into_data().ok(), 0);
        Ok(true)
    }
}

impl<B> Blocks for Frames<'_, B>
where
    B: http_body::Body,
    B::Error: Into<Exception>,
{
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        if std::mem::take(&mut self.opening) {
            return Ok(Some(b""));
        }
        if let Some(data) = &mut self.data {
            data.advance(std::mem::take(&mut self.lent));
        }
        while !self.data.as_ref().is_some_and(Buf::has_remaining) {
            if !self.next_data()? {
                return Ok(None);
            }
        }
        let block = self.data.as_ref().map(Buf::chunk);
        self.lent = block.map_or(0, <[u8]>::len);
        Ok(block)
    }
}

impl<B: http_body::Body> Drop for Frames<'_, B> {
    fn drop(&mut self) {
        // What is dropped may want to leave a task behind.
        let _context = self.driver.runtime.enter();
        self.body = None;
    }
}
