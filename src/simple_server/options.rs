//! What can be set about a server.

use super::request::Rules;
use crate::net::Allow;
use std::time::Duration;

/// Limits and times of a [`WsgiServer`](super::WsgiServer); `None` is no limit.
///
/// ```
/// use cgigate::simple_server::Options;
///
/// let options = Options { threads: 2, ..Options::http() };
/// assert!(options.is_modern() && !Options::default().is_modern());
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// How requests are read, and with them how connections are: under [`Rules::Strict`] it is
    /// HTTP/1.1, which keeps them, and as many threads answer as `threads` says; under
    /// [`Rules::Wsgiref`] it is HTTP/1.0, one request a connection, one after the other, and of what
    /// follows only `max_body`, `read_timeout`, `write_timeout` and `allow` count.
    pub rules: Rules,
    /// Requests that are answered at a time.
    pub threads: usize,
    /// Connections beyond these are answered 503.
    pub max_connections: usize,
    /// Complete requests that wait for a thread; further ones are answered 503.
    pub max_queue: usize,
    /// Bytes of a request body; longer ones are answered 413.
    pub max_body: u64,
    /// How long a head may take in all, and how long a body may stand still: 408.
    pub read_timeout: Option<Duration>,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Option<Duration>,
    /// How long a connection without a request is kept.
    pub idle_timeout: Option<Duration>,
    /// How long a complete request may wait for a thread: 503.
    pub queue_timeout: Option<Duration>,
    /// How long requests that are on their way in may take once the server was told to stop.
    pub graceful_timeout: Duration,
    /// Who may connect; `None` is whoever reaches the listener.
    pub allow: Option<Allow>,
}

impl Options {
    /// What `cgigate http` turns on.
    ///
    /// ```
    /// use cgigate::simple_server::Options;
    ///
    /// assert!(Options::http().is_modern() && !Options::default().is_modern());
    /// ```
    pub fn http() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            rules: Rules::Strict,
            threads: (4 * cpus).max(4),
            max_connections: 10_000,
            max_queue: 1000,
            max_body: 16 << 20,
            read_timeout: Some(Duration::from_secs(60)),
            write_timeout: Some(Duration::from_secs(60)),
            idle_timeout: Some(Duration::from_secs(30)),
            queue_timeout: None,
            graceful_timeout: Duration::from_secs(30),
            allow: None,
        }
    }

    /// Whether HTTP/1.1 is spoken.
    ///
    /// ```
    /// use cgigate::simple_server::{Options, Rules};
    ///
    /// let options = Options { rules: Rules::Strict, ..Options::default() };
    /// assert!(options.is_modern()); // connections are kept
    /// ```
    pub fn is_modern(&self) -> bool {
        self.rules == Rules::Strict
    }
}

/// wsgiref's: no limit but those of `http.server`'s parser.
impl Default for Options {
    fn default() -> Self {
        Self {
            rules: Rules::Wsgiref,
            threads: 1,
            max_body: u64::MAX,
            read_timeout: None,
            write_timeout: None,
            idle_timeout: None,
            ..Self::http()
        }
    }
}
