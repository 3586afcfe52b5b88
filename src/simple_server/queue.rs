//! wsgiref's way: one client at a time, one request a connection.

use super::{
    answer::answer,
    connection::{After, Connection, PIECE},
    head_scan::HeadScan,
    refused::TOO_SLOW,
    serving::Serving,
};
use crate::{
    handlers::Slate,
    sys::{Epoll, Happened, Readiness, Ready},
};
use std::{
    io,
    os::fd::AsRawFd,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How long is waited for the rest of a request that nobody wants.
const PATIENCE: Duration = Duration::from_secs(2);

/// The clients wait in the kernel's queue.
pub(super) struct Queue(Epoll);

impl Queue {
    pub(super) fn of(serving: &Serving<'_>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        for (listener, token) in serving.listeners.iter().zip(0..) {
            epoll.add(listener.as_raw_fd(), token, Ready::While)?;
        }
        epoll.add(serving.bell.as_raw_fd(), u64::MAX, Ready::Once)?;
        Ok(Self(epoll))
    }

    /// Waits for a connection that may be served, and serves it.
    pub(super) fn serve_one(
        &self,
        serving: &Serving<'_>,
        slate: &mut Slate,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        let mut happened = [Happened::default(); Epoll::BATCH];
        loop {
            if serving.stopping.load(Ordering::Acquire) {
                return Ok(false);
            }
            let millis = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => -1,
                Some(Duration::ZERO) => return Ok(false),
                Some(left) => i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX),
            };
            let n = self.0.wait(&mut happened, millis);
            // One that is not taken now is reported again.
            let ready = happened[..n].iter().find_map(|one| {
                serving.listeners.get(usize::try_from(one.token).unwrap_or(usize::MAX))
            });
            let Some(listener) = ready else { continue };
            if let Some(mut connection) = serving.accept(listener)? {
                serve(&mut connection, serving, slate);
                return Ok(true);
            }
        }
    }
}

/// Reads one request, answers it, and closes.
fn serve(connection: &mut Connection, serving: &Serving<'_>, slate: &mut Slate) {
    let mut scan = HeadScan::new(serving.options.rules);
    let deadline = serving.options.read_timeout.map(|limit| Instant::now() + limit);
    let after = loop {
        match scan.scan(&connection.buffer) {
            Ok(Some(head)) => break answer(connection, head, serving, slate, false),
            Ok(None) => {}
            Err(refused) => break connection.refuse(serving, &refused, None),
        }
        match receive(connection, deadline) {
            Ok(1..) => {}
            Ok(0) if scan.end(&mut connection.buffer) => {}
            Err(e) if e.kind() == io::ErrorKind::TimedOut && !scan.is_idle() => {
                break connection.refuse(serving, &TOO_SLOW, None);
            }
            Ok(0) | Err(_) => return,
        }
    };
    if after != After::Close {
        connection.drain(PATIENCE);
    }
}

/// Adds to the buffer what comes until `deadline`.
fn receive(connection: &mut Connection, deadline: Option<Instant>) -> io::Result<usize> {
    let mut piece = [0; PIECE];
    loop {
        match connection.socket.recv(&mut piece) {
            Ok(n) => {
                connection.buffer.extend_from_slice(&piece[..n]);
                return Ok(n);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) || !connection.socket.wait(Readiness::Read, left)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
