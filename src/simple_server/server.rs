//! The pool: one thread accepts, the others answer.

use super::{Options, Respond, connection};
use crate::{
    handlers::{Attributes, Handler, Slate},
    headers::Headers,
    sys,
};
use std::{
    io,
    net::{TcpListener, TcpStream},
    os::fd::AsRawFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Duration,
};

/// How long after `stop` was set nobody may have noticed.
const NOTICE: Duration = Duration::from_millis(200);

/// Serves HTTP on `listener` until `stop` is set; then finishes what is in flight.
///
/// # Errors
/// The listener cannot be used, or there are no threads to be had.
pub fn serve(
    listener: &TcpListener,
    options: &Options,
    stop: &AtomicBool,
    respond: &Respond<'_>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let handler = Origin::new(options.threads > 1);
    // Nobody waits in the channel: the kernel's backlog is the queue.
    let (hand_over, connections) = sync_channel(0);
    let connections = Mutex::new(connections);
    thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            thread::Builder::new().spawn_scoped(scope, || {
                let mut slate = Slate::default();
                while let Some(stream) = next(&connections) {
                    connection::answer(&stream, options, &handler, &mut slate, respond);
                }
            })?;
        }
        while !stop.load(Ordering::Acquire) {
            if let Some(stream) = accept(listener)?
                && hand_over.send(stream).is_err()
            {
                break;
            }
        }
        drop(hand_over);
        Ok(())
    })
}

fn next(connections: &Mutex<Receiver<TcpStream>>) -> Option<TcpStream> {
    connections.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// The next connection, if one comes soon.
fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    if !sys::poll(listener.as_raw_fd(), sys::Readiness::Read, Some(NOTICE))? {
        return Ok(None);
    }
    match listener.accept() {
        Ok((stream, _)) => Ok(stream.set_nonblocking(false).is_ok().then_some(stream)),
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput) => Err(e),
        // Gone again already, taken by another process, or no descriptor is free just now.
        Err(e) => {
            if e.kind() != io::ErrorKind::WouldBlock {
                thread::sleep(Duration::from_millis(10));
            }
            Ok(None)
        }
    }
}

/// `ServerHandler`: an origin server that closes the connection after the answer.
pub(super) struct Origin(Attributes);

impl Origin {
    fn new(multithread: bool) -> Self {
        Self(Attributes {
            wsgi_multithread: multithread,
            wsgi_multiprocess: false,
            http_version: "1.1".into(),
            server_software: Some(concat!("cgigate/", env!("CARGO_PKG_VERSION")).into()),
            ..Attributes::BASE
        })
    }
}

impl Handler for Origin {
    fn attributes(&self) -> &Attributes {
        &self.0
    }

    fn cleanup_headers(&self, headers: &mut Headers) {
        // The name is a token and the value has no control characters: it is not refused.
        let _ = headers.set("Connection", "close");
    }
}
