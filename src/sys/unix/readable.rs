//! Waiting until something can be read from one of several descriptors (poll(2)).

use std::{io, os::fd::RawFd, time::Duration};

/// From which of them something can be read. None when `limit` is over, or a signal came.
///
/// # Errors
/// The wait failed.
pub(crate) fn poll_readable(fds: &[RawFd], limit: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut entries: Vec<_> = fds.iter().copied().map(entry).collect();
    let any = poll(&mut entries, limit)?;
    Ok(entries.iter().map(|entry| any && entry.revents != 0).collect())
}

/// Listeners at which somebody may knock: who waits for that takes no connection from those who
/// accept. Of those that wait by `Ready::While` for a listener the kernel wakes one, and this is woken
/// beside it, not in its place.
pub(crate) struct Knocks(Vec<libc::pollfd>);

impl Knocks {
    pub(crate) fn at(listeners: impl Iterator<Item = RawFd>) -> Self {
        Self(listeners.map(entry).collect())
    }

    /// Whether a connection waits; `limit`: how long to wait for one. Also true if it cannot be told.
    pub(crate) fn wait(&mut self, limit: Duration) -> bool {
        poll(&mut self.0, Some(limit)).unwrap_or(true)
    }
}

fn entry(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

/// Whether there is something to be read; not when `limit` is over, or a signal came.
fn poll(entries: &mut [libc::pollfd], limit: Option<Duration>) -> io::Result<bool> {
    let millis = limit
        .map_or(-1, |limit| libc::c_int::try_from(limit.as_millis()).unwrap_or(libc::c_int::MAX));
    // SAFETY: an exclusive slice of initialised entries, and its length.
    let n = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, millis) };
    if n < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(n > 0)
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
