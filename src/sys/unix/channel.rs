//! What processes of one server say to each other: packets that may carry a descriptor (unix(7)), and
//! descriptors that live through exec.

use std::{
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
};

/// Two ends of one line. What is sent arrives whole and in order.
///
/// # Errors
/// The system has no more descriptors.
pub(crate) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: `ends` has room for the two numbers that are written.
    let done = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just opened, and nobody else has them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Room for one descriptor in a control message, aligned as its header must be.
const CONTROL: usize = 8;

/// Sends one packet, and perhaps a descriptor along with it. It never waits.
///
/// # Errors
/// Nobody is there any more. `WouldBlock`: the other end has to take something first, for the kernel
/// does not take so many packets, or so many descriptors, that are on their way.
pub(crate) fn send_packet(
    to: BorrowedFd<'_>,
    packet: &[u8],
    passed: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut part =
        libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
    let mut control = [0u64; CONTROL];
    // SAFETY: all zeroes is a valid msghdr, without address and control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    if let Some(passed) = passed {
        message.msg_control = control.as_mut_ptr().cast();
        // SAFETY: arithmetic alone. The room for one number is far below the size of `control`.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
        // SAFETY: `msg_control` points to aligned room for one header and one number, which is what
        // `msg_controllen` says: the first header is in it, and its data too.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(passed.as_raw_fd());
        }
    }
    loop {
        // SAFETY: `message` points to what lives through the call.
        let sent = unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, flags) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(libc::ETOOMANYREFS) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The next packet: how long it is, and the descriptor that came with it. 0 when the other end is
/// closed.
///
/// # Errors
/// The descriptor is no such line.
pub(crate) fn receive_packet(
    from: BorrowedFd<'_>,
    packet: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
    let mut control = [0u64; CONTROL];
    // SAFETY: as for sending.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let n = loop {
        // SAFETY: `message` points to what lives through the call, exclusively.
        let n =
            unsafe { libc::recvmsg(from.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
        if let Ok(n) = usize::try_from(n) {
            break n;
        }
        let error = io::Error::last_os_error();
        // A peer that died with something unread says so by a reset.
        if error.kind() == io::ErrorKind::ConnectionReset {
            return Ok((0, None));
        }
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    // SAFETY: the kernel has said by `msg_controllen` how much of the control data is there.
    let passed = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let is_one = !header.is_null()
            && (*header).cmsg_level == libc::SOL_SOCKET
            && (*header).cmsg_type == libc::SCM_RIGHTS;
        // One is all that `send_packet` ever sends; it is ours from here on.
        is_one
            .then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    };
    Ok((n, passed))
}

/// What is started by `command` has these descriptors too, by the same numbers.
pub(crate) fn keep_on_exec(command: &mut Command, fds: Vec<RawFd>) {
    let keep = move || {
        for fd in &fds {
            // SAFETY: F_SETFD touches no memory.
            if unsafe { libc::fcntl(*fd, libc::F_SETFD, 0) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec it calls fcntl alone, which may be called there; it neither
    // locks nor allocates, and `last_os_error` of a number does not either.
    unsafe { command.pre_exec(keep) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll_readable;
    use std::{io::Read, os::fd::AsFd, os::unix::net::UnixStream};

    #[test]
    fn packets_arrive_whole_with_the_descriptor_that_went_with_them() {
        let (here, there) = packet_pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        send_packet(here.as_fd(), b"one", None).unwrap();
        send_packet(here.as_fd(), b"two", Some(far.as_fd())).unwrap();
        drop((here, far));
        let mut packet = [0; 8];
        let (n, none) = receive_packet(there.as_fd(), &mut packet).unwrap();
        assert_eq!((&packet[..n], none.is_none()), (&b"one"[..], true));
        let (n, passed) = receive_packet(there.as_fd(), &mut packet).unwrap();
        assert_eq!(&packet[..n], b"two");
        std::io::Write::write_all(&mut UnixStream::from(passed.unwrap()), b"through").unwrap();
        let mut text = String::new();
        near.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert_eq!(poll_readable(&[there.as_raw_fd()], None).unwrap(), [true]);
        assert_eq!(receive_packet(there.as_fd(), &mut packet).unwrap().0, 0, "closed");
    }

    #[test]
    fn what_is_kept_has_its_number_in_the_child_and_nothing_else_is_there() {
        let (kept, other) = packet_pair().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "test -e /proc/self/fd/$0 && ! test -e /proc/self/fd/$1"]);
        command.args([kept.as_raw_fd().to_string(), other.as_raw_fd().to_string()]);
        keep_on_exec(&mut command, vec![kept.as_raw_fd()]);
        assert!(command.status().unwrap().success());
    }
}
