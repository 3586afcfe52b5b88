//! The calls on a connected stream socket, each one system call that never blocks but `poll`.

use super::{option, peer::Name};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    net::IpAddr,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicI32, Ordering},
    time::Duration,
};

/// Where a connection's descriptor is kept while others may look at it.
///
/// Who uses it while somebody else takes it out gets `EBADF`, or another connection's bytes: the
/// owner sees to it that nobody does (`gateway/slot.rs`: only who is counted uses it, and it is
/// taken out when nobody is).
pub(crate) struct SocketCell(AtomicI32);

const NONE: RawFd = -1;

impl SocketCell {
    pub(crate) const fn empty() -> Self {
        Self(AtomicI32::new(NONE))
    }

    /// Puts a socket in; one that was there is closed.
    pub(crate) fn put(&self, socket: OwnedFd) {
        let old = self.0.swap(socket.into_raw_fd(), Ordering::AcqRel);
        drop(own(old));
    }

    /// Takes it out, to be closed or kept.
    pub(crate) fn take(&self) -> Option<OwnedFd> {
        own(self.0.swap(NONE, Ordering::AcqRel))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.load(Ordering::Relaxed)
    }

    /// The socket, for a call that takes no owner's place.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn with<T>(
        &self,
        call: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let fd = self.raw();
        if fd == NONE {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // SAFETY: it is open until it is taken out, and the owner of this cell sees to it that
        // nobody takes it out meanwhile; it is not NONE, which is the one value that may not be.
        call(unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// What has come, up to the size of `buffer`; 0 when the peer sends no more.
    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, len) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: `buffer` is exclusive, and its length is passed with it.
        retry(|| unsafe { calls::recv(self.raw(), at, len, libc::MSG_DONTWAIT) })
    }

    /// The same into several slices, in order.
    pub(crate) fn recv_vectored(&self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        // SAFETY: all zeroes is a valid msghdr, without address and control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // IoSliceMut is guaranteed to have the layout of iovec.
        message.msg_iov = slices.as_mut_ptr().cast();
        message.msg_iovlen = slices.len() as _;
        // SAFETY: `message` points to `slices`, which are exclusive and live through the call.
        retry(|| unsafe { libc::recvmsg(self.raw(), &raw mut message, libc::MSG_DONTWAIT) })
    }

    /// Sends what the socket's buffer takes.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `bytes` is readable for the length that is passed with it.
        retry(|| unsafe { calls::send(self.raw(), bytes.as_ptr().cast(), bytes.len(), flags) })
    }

    /// Sends what the socket's buffer takes of several slices, in order.
    pub(crate) fn send_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // SAFETY: all zeroes is a valid msghdr, without address and control data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        // IoSlice is guaranteed to have the layout of iovec; sendmsg writes to neither.
        message.msg_iov = slices.as_ptr().cast_mut().cast();
        message.msg_iovlen = slices.len() as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `message` points to `slices`, which live through the call.
        retry(|| unsafe { libc::sendmsg(self.raw(), &raw const message, flags) })
    }

    /// Sends `len` bytes of `file` from offset `from`, as far as the socket's buffer takes them.
    #[cfg(target_os = "linux")]
    pub(crate) fn sendfile(&self, file: &File, from: u64, len: usize) -> io::Result<usize> {
        let mut offset = libc::off_t::try_from(from).map_err(io::Error::other)?;
        // SAFETY: `offset` lives through the call. The socket is non-blocking.
        retry(|| unsafe { libc::sendfile(self.raw(), file.as_raw_fd(), &raw mut offset, len) })
    }

    /// How much a Unix socket holds for a peer that has not read it (`SO_SNDBUF`, in the measure of
    /// [`set_send_buffer`](Self::set_send_buffer)). `None`: it is another, which finds its own measure.
    #[cfg(target_os = "linux")]
    pub(crate) fn send_buffer(&self) -> Option<libc::c_int> {
        let is_unix = option::get(self.raw(), libc::SO_DOMAIN) == Some(libc::AF_UNIX);
        // The system tells twice what it was told, for what is around the bytes.
        is_unix.then(|| option::get(self.raw(), libc::SO_SNDBUF)).flatten().map(|twice| twice / 2)
    }

    /// Whether it may be so; more than net.core.wmem_max is cut down to that.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_send_buffer(&self, bytes: libc::c_int) -> bool {
        option::set(self.raw(), libc::SO_SNDBUF, bytes)
    }

    /// Waits for `what`, or for the peer to hang up, as long as `limit`.
    pub(crate) fn wait(&self, what: Readiness, limit: Option<Duration>) -> io::Result<bool> {
        poll(self.raw(), what, limit)
    }

    /// Whether the peer has gone altogether: it neither sends nor reads any more.
    pub(crate) fn is_hung_up(&self) -> bool {
        let mut entry = libc::pollfd { fd: self.raw(), events: 0, revents: 0 };
        // SAFETY: one exclusive, initialised entry, as is said.
        let n = unsafe { libc::poll(&raw mut entry, 1, 0) };
        n > 0 && entry.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn shutdown_write(&self) {
        // SAFETY: no pointers. That the peer has gone already is no matter.
        unsafe { libc::shutdown(self.raw(), libc::SHUT_WR) };
    }
}

impl From<OwnedFd> for SocketCell {
    fn from(socket: OwnedFd) -> Self {
        Self(AtomicI32::new(socket.into_raw_fd()))
    }
}

impl Drop for SocketCell {
    fn drop(&mut self) {
        drop(self.take());
    }
}

fn own(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: only `put` stores descriptors, which it was given to own, and `swap` hands each
    // out once.
    (fd != NONE).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Read,
    Write,
}

/// Waits until `fd` is ready or its peer has hung up; false when `limit` is over.
fn poll(fd: RawFd, what: Readiness, limit: Option<Duration>) -> io::Result<bool> {
    let [ready] = poll_each([(fd, what)], limit)?;
    Ok(ready)
}

/// The same for several at once: which are ready; none when `limit` is over. A negative number
/// stands for nothing to wait for.
pub(crate) fn poll_each<const N: usize>(
    waits: [(RawFd, Readiness); N],
    limit: Option<Duration>,
) -> io::Result<[bool; N]> {
    let millis = limit.map_or(-1, |limit| {
        libc::c_int::try_from(limit.as_millis().max(1)).unwrap_or(libc::c_int::MAX)
    });
    let mut entries = waits.map(|(fd, what)| {
        let events = match what {
            Readiness::Read => libc::POLLIN,
            Readiness::Write => libc::POLLOUT,
        };
        libc::pollfd { fd, events, revents: 0 }
    });
    // SAFETY: an exclusive array of N initialised entries, as is said.
    retry(|| unsafe { libc::poll(entries.as_mut_ptr(), N as libc::nfds_t, millis) } as isize)?;
    Ok(entries.map(|entry| entry.revents != 0))
}

/// The next connection that waits on a listener, non-blocking and not inherited by children, and
/// the address of its peer; a Unix socket's has none.
pub(crate) fn accept(listener: RawFd) -> io::Result<(OwnedFd, Option<IpAddr>)> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let mut name = Name::new();
    let (address, len) = name.room();
    // SAFETY: `address` has the room that `len` says, and both live through the call.
    let fd = retry(|| unsafe { libc::accept4(listener, address, len, flags) } as isize)?;
    // SAFETY: `fd` was just opened, and nobody else has it. A descriptor fits its own type.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    Ok((socket, name.address()?))
}

/// Whether an error of `accept` says that no descriptor is free just now, or no memory.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    const EXHAUSTED: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|errno| EXHAUSTED.contains(&errno))
}

/// recv(2) and send(2) as libc has them: cancellation points (pthreads(7)), which nobody here is in
/// need of.
#[cfg(not(target_os = "linux"))]
use libc as calls;

/// The same without: that is two atomic operations less for each.
#[cfg(target_os = "linux")]
mod calls {
    use libc::{c_int, c_void};
    use std::ptr::null;

    /// As libc's.
    pub(super) unsafe fn recv(fd: c_int, to: *mut c_void, len: usize, flags: c_int) -> isize {
        let nobody = (null::<c_void>(), null::<c_void>());
        // SAFETY: the caller's; nobody asks whom it comes from.
        unsafe {
            libc::syscall(libc::SYS_recvfrom, fd, to, len, flags, nobody.0, nobody.1) as isize
        }
    }

    /// As libc's.
    pub(super) unsafe fn send(fd: c_int, from: *const c_void, len: usize, flags: c_int) -> isize {
        let nobody = null::<c_void>();
        // SAFETY: the caller's; the socket is connected, so no address is given.
        unsafe { libc::syscall(libc::SYS_sendto, fd, from, len, flags, nobody, 0) as isize }
    }
}

fn retry(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(n) = usize::try_from(call()) {
            return Ok(n);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
