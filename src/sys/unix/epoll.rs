//! epoll(7) and eventfd(2): how the threads of a worker wait for their connections.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

/// An epoll instance. Threads share it: each event goes to one of those that wait.
pub(crate) struct Epoll(OwnedFd);

/// How a descriptor reports that it has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// As long as there is something (level-triggered).
    While,
    /// Once for all that is there, and again when more comes (edge-triggered).
    Once,
}

/// One event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Happened {
    pub(crate) token: u64,
    /// The peer has stopped sending, or is gone.
    pub(crate) ended: bool,
}

const ONCE: i32 = libc::EPOLLIN | libc::EPOLLET | libc::EPOLLRDHUP;

/// Events taken together by one `epoll_wait`.
const BATCH: usize = 16;

impl Epoll {
    pub(crate) const BATCH: usize = BATCH;

    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is used.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened, and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Reports under `token` what `fd` has to read, that its peer stopped sending, or hung up.
    /// What is there already is reported too.
    pub(crate) fn add(&self, fd: RawFd, token: u64, ready: Ready) -> io::Result<()> {
        let events = match ready {
            // Of the processes that wait for the same listener not all are woken.
            Ready::While => libc::EPOLLIN | libc::EPOLLEXCLUSIVE,
            Ready::Once => ONCE,
        };
        self.control(libc::EPOLL_CTL_ADD, fd, token, events)
    }

    /// Of `fd`, which reports once, only a hang-up or an error is reported from now on.
    pub(crate) fn hush(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, libc::EPOLLET)
    }

    /// Everything is again, and what is there already at once.
    pub(crate) fn unhush(&self, fd: RawFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, ONCE)
    }

    fn control(&self, what: libc::c_int, fd: RawFd, token: u64, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: `event` lives through the call; wrong descriptors are an error, not a fault.
        let done = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, fd, &raw mut event) };
        check(done)
    }

    /// Reports nothing of `fd` any more.
    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        // SAFETY: EPOLL_CTL_DEL takes no event (epoll_ctl(2), since Linux 2.6.9).
        let done = unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut())
        };
        check(done)
    }

    /// Waits up to `millis` (for ever: -1), and gives what happened.
    pub(crate) fn wait(&self, happened: &mut [Happened; BATCH], millis: i32) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let (fd, room, no_mask) = (self.0.as_raw_fd(), BATCH as i32, std::ptr::null::<()>());
        // libc's own is a cancellation point, as in `socket`.
        // SAFETY: `events` has room for BATCH events, as is said; no signals are masked.
        let n = unsafe {
            let call = libc::SYS_epoll_pwait;
            libc::syscall(call, fd, events.as_mut_ptr(), room, millis, no_mask, 0usize)
        };
        // Negative: interrupted by a signal. The caller's loop comes round again.
        let n = usize::try_from(n).unwrap_or(0);
        const END: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
        for (happened, event) in happened.iter_mut().zip(&events[..n]) {
            let flags = event.events;
            *happened = Happened { token: event.u64, ended: flags & END != 0 };
        }
        n
    }
}

/// An eventfd that is rung and never read: edge-triggered, each ring wakes one waiter.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is used.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just opened, and nobody else has it.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn ring(&self) {
        let one = 1u64.to_ne_bytes();
        // SAFETY: eight bytes are there. It can fail only after 2^64 rings.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
