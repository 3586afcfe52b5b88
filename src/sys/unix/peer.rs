//! Who is at the other end of a socket.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

/// The address of the peer of a connected socket; a Unix socket's has none.
///
/// # Errors
/// It is no connected socket (any more), or of another family.
pub(crate) fn peer_address(socket: BorrowedFd<'_>) -> io::Result<Option<IpAddr>> {
    let mut name = Name::new();
    let (address, len) = name.room();
    // SAFETY: `address` has the room that `len` says, and both live through the call.
    let failed = unsafe { libc::getpeername(socket.as_raw_fd(), address, len) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    name.address()
}

/// Room for the name of a socket, of whatever family.
pub(super) struct Name {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl Name {
    pub(super) fn new() -> Self {
        // SAFETY: all zeroes is a valid sockaddr_storage: of no family.
        let storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self { storage, len: size_of_val(&storage) as libc::socklen_t }
    }

    /// Where a system call puts it, and how much room is there.
    pub(super) fn room(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.storage).cast(), &raw mut self.len)
    }

    /// The address that it says; a Unix socket's is no address.
    ///
    /// # Errors
    /// It is of another family.
    pub(super) fn address(&self) -> io::Result<Option<IpAddr>> {
        match libc::c_int::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that it is a sockaddr_in, for which the storage is large
                // enough and aligned.
                let v4 = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                // In the order of the network.
                Ok(Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into()))
            }
            libc::AF_INET6 => {
                // SAFETY: as above, a sockaddr_in6.
                let v6 = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in6>().read() };
                Ok(Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into()))
            }
            libc::AF_UNIX => Ok(None),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
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
            assert_eq!(peer_address(server.as_fd()).unwrap(), Some(from.ip()));
            drop(client);
        }
        let (one, _other) = UnixStream::pair().unwrap();
        let ours = std::fs::metadata("/proc/self").unwrap().uid();
        assert_eq!(peer_address(one.as_fd()).unwrap(), None);
        assert_eq!(peer_user(one.as_fd()).unwrap(), ours);
        assert!(peer_address(File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
