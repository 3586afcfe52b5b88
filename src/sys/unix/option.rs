//! Options of sockets that are integers (socket(7)).

use std::os::fd::RawFd;

/// `None`: it is no socket, or has no such option.
pub(super) fn get(fd: RawFd, option: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t; // Four.
    // SAFETY: `value` is an int, and `len` says its size: no more is written, whatever the option.
    let done = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut len)
    };
    (done == 0).then_some(value)
}

/// Whether it could be set.
#[cfg(target_os = "linux")]
pub(super) fn set(fd: RawFd, option: libc::c_int, value: libc::c_int) -> bool {
    let len = size_of_val(&value) as libc::socklen_t; // Four.
    // SAFETY: `value` is an int, and `len` says its size: no more is read, whatever the option.
    unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const value).cast(), len) == 0 }
}
