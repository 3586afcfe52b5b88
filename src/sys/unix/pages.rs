//! Pages of files on their way to a socket, by reference and with bytes of ours between them: a pipe
//! holds them (splice(2)).

use super::SocketCell;
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

const PAGE: usize = 4 << 10;

/// What is to be sent.
pub(crate) struct Pages {
    input: OwnedFd,
    output: OwnedFd,
    /// Bytes in it.
    len: usize,
    slots: usize,
}

impl Pages {
    /// An empty one, with so many slots or as many as the system allows.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub(crate) fn new(slots: usize) -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for two descriptors, as is said.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both were just opened, and nobody else has them.
        let [output, input] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let size = libc::c_int::try_from(slots * PAGE).unwrap_or(libc::c_int::MAX);
        // SAFETY: no pointers. It may be refused (pipe(7): pipe-user-pages-soft).
        let mut set = unsafe { libc::fcntl(input.as_raw_fd(), libc::F_SETPIPE_SZ, size) };
        if set < 0 {
            // SAFETY: no pointers.
            set = unsafe { libc::fcntl(input.as_raw_fd(), libc::F_GETPIPE_SZ) };
        }
        let slots = usize::try_from(set).unwrap_or(0) / PAGE;
        Ok(Self { input, output, len: 0, slots })
    }

    /// How many pages it holds, or pieces that are less than a page.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a copy of less than a page behind what is there. The caller sees to it that there is a
    /// slot for it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (start, len) = (bytes.as_ptr().cast(), bytes.len());
        // SAFETY: `bytes` is readable for the length that is passed with it.
        match unsafe { libc::write(self.input.as_raw_fd(), start, len) } {
            // Less than a page is written whole, or not at all (pipe(7), PIPE_BUF).
            n if n >= 0 => self.len += len,
            _ => return Err(io::Error::last_os_error()),
        }
        Ok(())
    }

    /// Puts `len` bytes of `file` from offset `from` behind what is there. The caller sees to it that
    /// there are slots for them.
    ///
    /// # Errors
    /// `UnexpectedEof`: the file ends before; some of it may have been put in.
    pub(crate) fn put_file(&mut self, file: &File, from: u64, len: usize) -> io::Result<()> {
        let mut offset = libc::off64_t::try_from(from).map_err(io::Error::other)?;
        let mut left = len;
        while left > 0 {
            let (input, nowhere) = (self.input.as_raw_fd(), std::ptr::null_mut());
            // SAFETY: `offset` lives through the call; a pipe has no offset.
            let n =
                unsafe { libc::splice(file.as_raw_fd(), &raw mut offset, input, nowhere, left, 0) };
            match usize::try_from(n) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => (left, self.len) = (left - n, self.len + n),
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Sends what the socket's buffer takes of it.
    ///
    /// # Errors
    /// As `send` has them.
    pub(crate) fn send(&mut self, socket: &SocketCell) -> io::Result<()> {
        let (output, nowhere) = (self.output.as_raw_fd(), std::ptr::null_mut());
        let flags = libc::SPLICE_F_NONBLOCK;
        loop {
            // SAFETY: neither end has an offset.
            let n =
                unsafe { libc::splice(output, nowhere, socket.raw(), nowhere, self.len, flags) };
            if let Ok(n) = usize::try_from(n) {
                self.len -= n;
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    #[test]
    fn bytes_and_pages_arrive_in_their_order() {
        let path = std::env::temp_dir().join(format!("cgigate-pages-{}", std::process::id()));
        let mut file = super::super::nameless(&path).unwrap();
        let content: Vec<u8> = (0..20_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&content).unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let socket = SocketCell::from(OwnedFd::from(ours));
        let mut pages = Pages::new(16).unwrap();
        assert!(pages.slots() >= 16 && pages.is_empty());
        pages.put(b"head").unwrap();
        pages.put_file(&file, 5_000, 10_000).unwrap();
        pages.put(b"tail").unwrap();
        while !pages.is_empty() {
            pages.send(&socket).unwrap();
        }
        let mut got = vec![0; 10_008];
        theirs.read_exact(&mut got).unwrap();
        assert_eq!(got, [&b"head"[..], &content[5_000..15_000], b"tail"].concat());
        let beyond = pages.put_file(&file, 19_000, 2_000).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }
}
