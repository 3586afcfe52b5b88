//! The end of a connection that the peer must not take for an orderly one.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Resets the connection of `socket` now; whoever uses the socket meanwhile finds none. A Unix
/// socket has no such thing: its peer reads the end.
pub(crate) fn reset_now(socket: BorrowedFd<'_>) {
    // SAFETY: all zeroes is a valid sockaddr, whose family is AF_UNSPEC; for TCP that dissolves the
    // connection (connect(2)).
    unsafe {
        let nowhere: libc::sockaddr = std::mem::zeroed();
        let len = size_of_val(&nowhere) as libc::socklen_t; // Sixteen.
        if libc::connect(socket.as_raw_fd(), &raw const nowhere, len) != 0 {
            libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR);
        }
    }
}

/// Closing `socket` will reset its connection; what is still unsent is dropped (SO_LINGER, socket(7)).
pub(crate) fn reset_on_close(socket: BorrowedFd<'_>) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the value is a linger, and its size is said with it (socket(7)).
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
