//! What an operator can set about serving, with the defaults that the manual states.

use std::time::Duration;

/// Limits and times of one worker process. `None` is no limit.
///
/// ```
/// use cgigate::gateway::Settings;
///
/// let settings = Settings { threads: 16, ..Settings::default() };
/// assert_eq!(settings.max_queue, 1000);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// App calls at a time: 4 × CPUs, at least 4.
    pub threads: usize,
    /// How many of them wait for connections while nothing blocks: the CPUs of this process.
    pub waiters: usize,
    /// Connections beyond these are answered 503.
    pub max_connections: usize,
    /// Requests open on one connection; more are refused with `FCGI_OVERLOADED`.
    pub max_requests_per_connection: usize,
    /// Bytes of a request body; longer ones are answered 413.
    pub max_body: Option<u64>,
    /// Bytes of a request's variables; longer ones are answered 431.
    pub max_params: usize,
    /// How many variables a request may have; more are answered 431.
    pub max_variables: usize,
    /// Complete requests that wait for a thread; further ones are answered 503.
    pub max_queue: usize,
    /// What is said of multiplexing. What comes interleaved is served either way.
    pub multiplex: bool,
    /// How long a request may stand still before it is complete: 408.
    pub read_timeout: Option<Duration>,
    /// How long a peer may take nothing of its answer.
    pub write_timeout: Option<Duration>,
    /// The app's wall time, for [`Request::deadline`](crate::types::Request::deadline).
    pub request_timeout: Option<Duration>,
    /// How long a complete request may wait for a thread: 503.
    pub queue_timeout: Option<Duration>,
    /// How long a connection without a request is kept.
    pub idle_timeout: Option<Duration>,
    /// How long requests in flight may take after a stop.
    pub graceful_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: (4 * cpus).max(4),
            waiters: cpus,
            max_connections: 10_000,
            max_requests_per_connection: 1000,
            max_body: None,
            max_params: 1 << 20,
            max_variables: 10_000,
            max_queue: 1000,
            multiplex: true,
            read_timeout: Some(Duration::from_secs(60)),
            write_timeout: Some(Duration::from_secs(60)),
            request_timeout: None,
            queue_timeout: None,
            idle_timeout: None,
            graceful_timeout: Duration::from_secs(30),
        }
    }
}
