//! Who is at the other end of a socket.

use crate::sys::Peer;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

/// The peer of a connected socket.
///
/// # Errors
/// It is no connected socket (any more), or of another family.
pub(crate) fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    match peer_address(socket)? {
        Some(address) => Ok(Peer::Ip(address)),
        None => peer_user(socket).map(Peer::User),
    }
}

/// The address of the peer of a connected socket; a Unix socket's has none.
///
/// # Errors
/// As [`peer`].
pub(crate) fn peer_address(socket: BorrowedFd<'_>) -> io::Result<Option<IpAddr>> {
    // SAFETY: all zeroes is a valid sockaddr_storage: of no family.
    let mut address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut len = size_of_val(&address) as libc::socklen_t;
    // SAFETY: `address` is as large as `len` says, and lives through the call.
    let failed =
        unsafe { libc::getpeername(socket.as_raw_fd(), (&raw mut address).cast(), &raw mut len) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    match libc::c_int::from(address.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in, for which the storage is large
            // enough and aligned.
            let v4 = unsafe { (&raw const address).cast::<libc::sockaddr_in>().read() };
            // In the order of the network.
            Ok(Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into()))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, a sockaddr_in6.
            let v6 = unsafe { (&raw const address).cast::<libc::sockaddr_in6>().read() };
            Ok(Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into()))
        }
        libc::AF_UNIX => Ok(None),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The user of the process at the other end of a Unix socket.
///
/// # Errors
/// The system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn peer_user(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of_val(&credentials) as libc::socklen_t;
    // SAFETY: the value is a ucred, which the option is, and `len` says its size.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    };
    if failed == 0 { Ok(credentials.uid) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_user(_: BorrowedFd<'_>) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        net::{TcpListener, TcpStream},
        os::{
            fd::AsFd,
            unix::{fs::MetadataExt, net::UnixStream},
        },
    };

    #[test]
    fn the_peer_is_known_by_address_or_by_user() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else {
                assert!(at.starts_with('['), "only IPv6 may be missing on this machine");
                continue;
            };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, from) = listener.accept().unwrap();
            assert_eq!(peer(server.as_fd()).unwrap(), Peer::Ip(from.ip()));
            drop(client);
        }
        let (one, _other) = UnixStream::pair().unwrap();
        let ours = std::fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(peer(one.as_fd()).unwrap(), Peer::User(ours));
        assert!(peer(File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
