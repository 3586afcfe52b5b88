//! The end of a connection that the peer must not take for an orderly one.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

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
