//! The runtime of a worker: tokio's current-thread scheduler, one for all threads of the process.
//!
//! Each thread polls the service that it serves; one of them at a time turns the timers and sockets
//! over for all. So a connection pool, a client or a channel can be shared among requests, which a
//! runtime for each thread would let stall: a socket belongs to the runtime that it was opened on.

use std::{future::Future, io, sync::Once, sync::OnceLock, thread};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime, made when it is first asked for.
pub(super) fn runtime() -> io::Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let made = Builder::new_current_thread().enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| made))
}

/// Waits for a future on the runtime that [`tower()`](super::tower()) runs its services on: for what
/// has to be opened before the first request, such as a connection pool.
///
/// ```no_run
/// # async fn router() -> std::io::Result<axum::Router> { Ok(axum::Router::new()) }
/// fn main() -> std::process::ExitCode {
///     cgigate::Gateway::new()
///         .make("site", || Ok(cgigate::tower(cgigate::adapter::block_on(router())??)))
///         .main()
/// }
/// ```
///
/// # Errors
/// The system has no descriptors or memory left for a runtime.
///
/// # Panics
/// When called within a runtime, as tokio's own `block_on`.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(runtime()?.block_on(future))
}

/// Tasks that a request left behind go on although no other comes: a thread is started for them,
/// the first time that there are any.
pub(super) fn drive_what_is_left(runtime: &'static Runtime) {
    static STARTED: Once = Once::new();
    if STARTED.is_completed() || runtime.metrics().num_alive_tasks() == 0 {
        return;
    }
    STARTED.call_once(|| {
        let driver = thread::Builder::new().name("cgigate-tasks".into());
        // Without a thread they go on during the next requests.
        let _ = driver.spawn(move || runtime.block_on(std::future::pending::<()>()));
    });
}
