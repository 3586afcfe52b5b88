//! `wsgiref.simple_server`: HTTP for trying an application out, without a web server in front.
//!
//! One request a connection, a thread each. What faces the world should be a web server; this is
//! strict about requests all the same, for it will be put behind something that is not.

mod connection;
mod log;
mod request;
mod server;

use crate::{
    handlers::{Handler, Outcome, Slate, Streams, run},
    types::{Application, Exception},
};
use std::{io, net::TcpListener, sync::atomic::AtomicBool, time::Duration};

pub use server::serve;

/// Limits and times of a server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Requests that are answered at a time.
    pub threads: usize,
    /// Bytes of a request body; longer ones are answered 413.
    pub max_body: u64,
    /// How long the head may take in all, and how long the body may stand still: 408.
    pub read_timeout: Duration,
    /// How long a client may take nothing of its answer.
    pub write_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: (4 * cpus).max(4),
            max_body: 16 << 20,
            read_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
        }
    }
}

/// What answers a request, from any thread: picks the application by the variables in the slate,
/// and calls [`run`](crate::handlers::run()) with it and the rest.
pub type Respond<'a> =
    dyn Fn(&dyn Handler, &mut Slate, Streams<'_>) -> Result<Outcome, Exception> + Sync + 'a;

/// `make_server(host, port, app).serve_forever()`: answers every request with `app`.
///
/// ```no_run
/// let listener = std::net::TcpListener::bind("127.0.0.1:8000")?;
/// cgigate::simple_server::serve_forever(&listener, &cgigate::apps::demo)?;
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Errors
/// The listener cannot be used.
pub fn serve_forever(listener: &TcpListener, app: &dyn Application) -> io::Result<()> {
    let respond = |handler: &dyn Handler, slate: &mut Slate, streams: Streams<'_>| {
        run(handler, app, slate, streams)
    };
    serve(listener, &Options::default(), &AtomicBool::new(false), &respond)
}
