//! How many connections wait to be accepted, as the kernel tells of other processes' sockets too.
//!
//! Of Unix sockets only sock_diag(7) tells it; of TCP proc(5) does as well.

use super::option;
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

/// A listener, known by its inode: whoever asks need not keep it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerId {
    inode: u64,
    is_unix: bool,
}

/// Connections that wait on a listener, and how many may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptQueue {
    pub(crate) waiting: u32,
    /// 0 where the kernel does not say.
    pub(crate) most: u32,
}

impl ListenerId {
    /// # Errors
    /// It is no open descriptor.
    pub(crate) fn of(listener: impl AsFd) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let fd = listener.as_fd().try_clone_to_owned()?;
        let is_unix = option::get(fd.as_raw_fd(), libc::SO_DOMAIN) == Some(libc::AF_UNIX);
        Ok(Self { inode: File::from(fd).metadata()?.ino(), is_unix })
    }

    /// # Errors
    /// The kernel does not tell, or nobody listens on it any more.
    pub(crate) fn queue(self) -> io::Result<AcceptQueue> {
        if self.is_unix { unix_queue(self.inode) } else { tcp_queue(self.inode) }
    }
}

/// `/proc/net/tcp`: listeners come first, and theirs is the length of the accept queue where others
/// have what is unread.
fn tcp_queue(inode: u64) -> io::Result<AcceptQueue> {
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = File::open(table) else { continue };
        for line in BufReader::new(table).lines().skip(1) {
            match listening(&line?) {
                Some((it, waiting)) if it == inode => return Ok(AcceptQueue { waiting, most: 0 }),
                Some(_) => {}
                None => break,
            }
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Of a line of that table: inode and queue, if the socket listens.
fn listening(line: &str) -> Option<(u64, u32)> {
    let mut fields = line.split_whitespace();
    let (state, queues) = (fields.nth(3)?, fields.next()?);
    let waiting = u32::from_str_radix(queues.split_once(':')?.1, 16).ok()?;
    let inode = fields.nth(4)?.parse().ok()?;
    (state == "0A").then_some((inode, waiting))
}

/// struct nlmsghdr, struct unix_diag_req.
const REQUEST: usize = 16 + 24;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const TCP_LISTEN: u32 = 10;
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_RQLEN: u16 = 4;

fn unix_queue(inode: u64) -> io::Result<AcceptQueue> {
    // Inodes of sockets are 32 bits wide.
    let inode = u32::try_from(inode).map_err(io::Error::other)?;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_SOCK_DIAG) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut request = Vec::with_capacity(REQUEST);
    request.extend((REQUEST as u32).to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    request.extend([0; 8]); // sequence number, port
    request.extend([libc::AF_UNIX as u8, 0, 0, 0]); // family, protocol, padding
    for word in [1 << TCP_LISTEN, inode, UDIAG_SHOW_RQLEN, u32::MAX, u32::MAX] {
        request.extend(word.to_ne_bytes());
    }
    let mut answer = [0; 1024];
    // SAFETY: both buffers are as long as is said, the second is exclusive. The kernel answers
    // before the first call returns, so the second does not wait for long.
    let n = unsafe {
        let fd = socket.as_raw_fd();
        if libc::send(fd, request.as_ptr().cast(), request.len(), 0) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), libc::MSG_DONTWAIT)
    };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    rqlen(&answer[..n]).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The UNIX_DIAG_RQLEN of an answer.
fn rqlen(answer: &[u8]) -> Option<AcceptQueue> {
    let u16_at = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    if u16_at(4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    // struct nlmsghdr, struct unix_diag_msg, then attributes.
    let mut at = 16 + 16;
    loop {
        let (len, kind) = (usize::from(u16_at(at)?), u16_at(at + 2)?);
        if kind == UNIX_DIAG_RQLEN {
            return Some(AcceptQueue { waiting: u32_at(at + 4)?, most: u32_at(at + 8)? });
        }
        // Attributes are aligned to four; one that is shorter than its own head has no next.
        at += len.max(4).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener, UnixStream},
        },
    };

    #[test]
    fn connections_that_nobody_has_accepted_are_counted() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = tcp.local_addr().unwrap();
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(at).unwrap()).collect();
        assert_eq!(ListenerId::of(&tcp).unwrap().queue().unwrap().waiting, 3);

        let name = format!("cgigate-accept-queue-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let unix = UnixListener::bind_addr(&address).unwrap();
        let _clients: Vec<_> =
            (0..2).map(|_| UnixStream::connect_addr(&address).unwrap()).collect();
        let queue = ListenerId::of(&unix).unwrap().queue().unwrap();
        assert!(queue.waiting == 2 && queue.most > 0, "{queue:?}");
        let gone = ListenerId::of(&unix).unwrap();
        drop(unix);
        assert!(gone.queue().is_err());
    }

    #[test]
    fn an_answer_that_is_cut_short_is_none() {
        assert!((0..64).all(|len| rqlen(&vec![0; len]).is_none()));
    }
}
