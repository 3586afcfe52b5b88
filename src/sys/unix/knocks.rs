//! Waiting for whoever connects, without taking the connection from those who accept.

use std::{io, os::fd::RawFd, time::Duration};

/// Listeners at which somebody may knock.
///
/// By poll(2): of those that wait by `Ready::While` for a listener the kernel wakes one, and this is
/// woken beside it, not in its place.
pub(crate) struct Knocks(Vec<libc::pollfd>);

impl Knocks {
    pub(crate) fn at(listeners: impl Iterator<Item = RawFd>) -> Self {
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        Self(listeners.map(entry).collect())
    }

    /// Whether a connection waits; `limit`: how long to wait for one. Also true if it cannot be told.
    pub(crate) fn wait(&mut self, limit: Duration) -> bool {
        let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: an exclusive slice of initialised entries, and its length.
        let n = unsafe { libc::poll(self.0.as_mut_ptr(), self.0.len() as libc::nfds_t, millis) };
        n > 0 || n < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
        thread,
    };

    #[test]
    fn a_knock_is_heard_before_the_time_is_over_and_leaves_the_connection_there() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let mut knocks = Knocks::at(listeners.iter().map(AsRawFd::as_raw_fd));
        assert!(!knocks.wait(Duration::ZERO));

        let address = listeners[1].local_addr().unwrap();
        let visitor = thread::spawn(move || TcpStream::connect(address).unwrap());
        assert!(knocks.wait(Duration::from_secs(3600)));
        let _visitor = visitor.join().unwrap();
        listeners[1].accept().unwrap();
        assert!(!knocks.wait(Duration::ZERO));
    }
}
