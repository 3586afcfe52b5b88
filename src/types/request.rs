//! What stays true of a request however its environ is changed: is anybody still waiting for it?

use crate::lock::lock;
use std::{
    any::{Any, TypeId},
    fmt,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::Waker,
    time::Instant,
};

/// Whoever waits for an answer, for a thread other than the one that runs the request.
pub(crate) trait Client: Send + Sync {
    /// Nothing was sent: says 504.
    fn refuse(&self, request: &Arc<Request>);

    /// An answer has begun: ends it so that the client can tell that it is not whole.
    fn cut(&self, request: &Arc<Request>);
}

const OPEN: u8 = 0;
/// The application does.
const BEGUN: u8 = 1;
/// The gateway did, or has cut off what the application had begun.
const OVERDUE: u8 = 2;

/// The request behind an environ. The gateway sees it from other threads while the application runs.
///
/// ```
/// let patient = cgigate::app(|environ, start_response| {
///     for _ in 0..3 {
///         if environ.request.is_cancelled() {
///             return Err("nobody waits for this any more".into());
///         }
///         // ... a part of the work ...
///     }
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok("done\n".into())
/// });
/// assert_eq!(cgigate::testing::get("/").ask(&patient).text(), "done\n");
/// ```
#[derive(Default)]
pub struct Request {
    cancelled: AtomicBool,
    deadline: OnceLock<Instant>,
    /// Who answers: [`OPEN`] and what comes after it.
    answer: AtomicU8,
    waker: Mutex<Option<Waker>>,
    /// Whether it has had one: read without the lock.
    had_waker: AtomicBool,
    extensions: OnceLock<Extensions>,
}

impl Request {
    /// Whether the client, or the web server for it, has gone away. In CGI nobody sees it before
    /// something is written. Over HTTP a client that sends no more counts as gone, and is answered
    /// all the same by whoever does not ask.
    ///
    /// ```
    /// let app = cgigate::app(|environ, start_response| {
    ///     let mut sum = 0u64;
    ///     for n in 0..1_000_000u64 {
    ///         if n % 100_000 == 0 && environ.request.is_cancelled() {
    ///             return Err("nobody waits for it any more".into());
    ///         }
    ///         sum += n;
    ///     }
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(format!("{sum}\n").into())
    /// });
    /// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "499999500000\n");
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// When the gateway will answer 504 in the application's place.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let app = cgigate::app(|environ, start_response| {
    ///     let deadline = environ.request.deadline();
    ///     let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    ///     // The database is given up a little earlier than this request would be.
    ///     let patience = left.unwrap_or(Duration::from_secs(60)).mul_f32(0.9);
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(format!("{patience:?}\n").into())
    /// });
    /// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "54s\n");
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.get().copied()
    }

    /// The application begins now, and has until then.
    pub(crate) fn limit(&self, deadline: Instant) {
        // Nobody else says so: `renew` has taken the last one's away.
        let _ = self.deadline.set(deadline);
    }

    /// The application's answer is about to be sent. False: its time is over, and somebody else has
    /// answered. Who begins the answer is decided here, once.
    pub(crate) fn begin_answer(&self) -> bool {
        let begun = self.answer.compare_exchange(OPEN, BEGUN, Ordering::AcqRel, Ordering::Acquire);
        matches!(begun, Ok(_) | Err(BEGUN))
    }

    /// The application's time is over. True: it has not begun to answer, and will not.
    pub(crate) fn take_answer(&self) -> bool {
        self.answer.swap(OVERDUE, Ordering::AcqRel) == OPEN
    }

    /// Whether the gateway has ended this request in its application's place.
    pub(crate) fn is_overdue(&self) -> bool {
        self.answer.load(Ordering::Acquire) == OVERDUE
    }

    /// Wakes a task when the request is cancelled: for applications that wait for something else.
    ///
    /// ```
    /// use cgigate::types::Request;
    /// use std::{sync::Arc, sync::atomic::{AtomicBool, Ordering}, task::Wake};
    ///
    /// struct Told(AtomicBool);
    ///
    /// impl Wake for Told {
    ///     fn wake(self: Arc<Self>) {
    ///         self.0.store(true, Ordering::Relaxed);
    ///     }
    /// }
    ///
    /// let (request, told) = (Request::default(), Arc::new(Told(AtomicBool::new(false))));
    /// request.wake_with(&Arc::clone(&told).into());
    /// request.cancel(); // as the gateway does when the client has gone
    /// assert!(told.0.load(Ordering::Relaxed) && request.is_cancelled());
    /// ```
    pub fn wake_with(&self, waker: &Waker) {
        self.had_waker.store(true, Ordering::Relaxed);
        *lock(&self.waker) = Some(waker.clone());
    }

    /// Objects that middleware hands on, by type. Allocated when first used.
    ///
    /// ```
    /// use cgigate::{Application, Environ, Response, StartResponse, testing};
    ///
    /// #[derive(Clone)]
    /// struct User(&'static str);
    ///
    /// /// Middleware: looks who it is, and tells whoever is inside.
    /// struct Login<A>(A);
    ///
    /// impl<A: Application> Application for Login<A> {
    ///     fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
    ///         environ.request.extensions().insert(User("ann")); // by a cookie, let us say
    ///         self.0.call(environ, start)
    ///     }
    /// }
    ///
    /// let whoami = cgigate::app(|environ, start_response| {
    ///     let User(name) = environ.request.extensions().get().ok_or("no Login is around it")?;
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(name.into())
    /// });
    /// assert_eq!(testing::get("/").ask(&Login(whoami)).text(), "ann");
    /// ```
    pub fn extensions(&self) -> &Extensions {
        self.extensions.get_or_init(Extensions::default)
    }

    /// Nobody waits any more: [`is_cancelled`](Self::is_cancelled) from now on.
    ///
    /// ```
    /// use cgigate::types::Request;
    ///
    /// let request = Request::default();
    /// request.cancel(); // what a server does that sees its client go
    /// assert!(request.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        if let Some(waker) = lock(&self.waker).take() {
            waker.wake();
        }
    }

    /// Whether nothing was said of it, and nothing kept with it.
    pub(crate) fn is_new(&self) -> bool {
        let said = self.is_cancelled() || self.answer.load(Ordering::Acquire) != OPEN;
        let kept = self.deadline.get().is_some() || self.extensions.get().is_some();
        !said && !kept && !self.had_waker.load(Ordering::Relaxed)
    }

    /// As new, for the next request; keeps nothing of the last one.
    pub(crate) fn renew(&mut self, deadline: Option<Instant>) {
        *self.cancelled.get_mut() = false;
        *self.answer.get_mut() = OPEN;
        self.deadline = deadline.map(OnceLock::from).unwrap_or_default();
        *self.waker.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        *self.had_waker.get_mut() = false;
        self.extensions.take();
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("cancelled", &self.is_cancelled())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

/// A map from type to value.
///
/// ```
/// use cgigate::types::Request;
///
/// #[derive(Clone, PartialEq, Debug)]
/// struct User(String);
///
/// let request = Request::default();
/// request.extensions().insert(User("ann".into()));
/// assert_eq!(request.extensions().get(), Some(User("ann".into())));
/// ```
#[derive(Default)]
pub struct Extensions(Mutex<Vec<(TypeId, Box<dyn Any + Send>)>>);

impl Extensions {
    /// Puts a value in; it takes the place of one of the same type.
    ///
    /// ```
    /// use cgigate::types::Request;
    ///
    /// #[derive(Clone, Debug, PartialEq)]
    /// struct Language(&'static str);
    ///
    /// let request = Request::default();
    /// request.extensions().insert(Language("en"));
    /// request.extensions().insert(Language("de")); // in its place
    /// assert_eq!(request.extensions().get(), Some(Language("de")));
    /// ```
    pub fn insert<T: Any + Send>(&self, value: T) {
        let mut values = lock(&self.0);
        values.retain(|(id, _)| *id != TypeId::of::<T>());
        values.push((TypeId::of::<T>(), Box::new(value)));
    }

    /// A copy of the value of a type.
    ///
    /// ```
    /// use cgigate::types::Request;
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// let request = Request::default(); // no middleware has said who it is
    /// let name = request.extensions().get().map_or("nobody".into(), |User(name)| name);
    /// assert_eq!(name, "nobody");
    /// ```
    pub fn get<T: Any + Send + Clone>(&self) -> Option<T> {
        let values = lock(&self.0);
        let (_, value) = values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.downcast_ref().cloned()
    }
}
