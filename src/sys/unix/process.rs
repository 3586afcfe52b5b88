//! The process: its environment, its descriptors, the signals it is sent.

use super::option;
use std::{
    ffi::{CStr, OsStr},
    fs::File,
    io,
    mem::ManuallyDrop,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicI32, Ordering},
};

/// Takes a variable out of the process environment.
///
/// To be called while the process has one thread: reading the environment elsewhere meanwhile is
/// what makes `std::env::remove_var` unsafe.
pub(crate) fn remove_var(name: &str) {
    if std::env::var_os(OsStr::new(name)).is_some() {
        // SAFETY: called from `main` before any thread is started.
        unsafe { std::env::remove_var(name) }
    }
}

/// Puts a variable into the process environment.
///
/// To be called while the process has one thread, as [`remove_var`].
pub(crate) fn set_var(name: &str, value: &str) {
    // SAFETY: called by the command line before any thread is started.
    unsafe { std::env::set_var(name, value) }
}

/// Hands over each variable of the process environment, as std has them: names are not empty.
///
/// To be called while the process has one thread, as [`remove_var`]. std's own walk copies each
/// name and each value into memory of its own, of which a process that answers one request needs
/// more than for all else.
pub(crate) fn each_var(mut take: impl FnMut(&[u8], &[u8])) {
    unsafe extern "C" {
        /// environ(7): ends with a null pointer, as does each of its strings with a null.
        static environ: *const *const libc::c_char;
    }
    // SAFETY: called from `main` before any thread is started, so nothing changes it meanwhile.
    let mut entry = unsafe { environ };
    // SAFETY: the array is initialised up to its null pointer, and not read beyond that.
    while !entry.is_null() && !unsafe { *entry }.is_null() {
        // SAFETY: the entry is a string that ends with a null.
        let text = unsafe { CStr::from_ptr(*entry) }.to_bytes();
        let equals = text.iter().skip(1).position(|byte| *byte == b'=');
        if let Some((name, value)) = equals.map(|at| text.split_at(at + 1)) {
            take(name, &value[1..]);
        }
        // SAFETY: at most the null pointer at the end, which is part of the array.
        entry = unsafe { entry.add(1) };
    }
}

/// Whether a descriptor is a socket that listens (`SO_ACCEPTCONN`); anything else does not.
pub(crate) fn is_listening(fd: RawFd) -> bool {
    option::get(fd, libc::SO_ACCEPTCONN) == Some(1)
}

/// Whether a descriptor is a TCP or Unix stream socket.
pub(crate) fn is_stream(fd: RawFd) -> bool {
    option::get(fd, libc::SO_TYPE) == Some(libc::SOCK_STREAM)
}

/// Makes a number that the process was started with an owned descriptor, once.
///
/// What came through exec does not close on exec, and what this process opens itself does: so the
/// flag tells what somebody here owns already, and is set on what is taken.
///
/// # Errors
/// No such descriptor is open, or it is not one that was handed over.
pub(crate) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes any number; F_GETFD touches no memory.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "it is in use already"));
    }
    // SAFETY: as above.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, flags | libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, it was handed over by whoever started us, and nothing in this process owns
    // it: both by the flag.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The process's stdout without std's buffer, which would cut blocks at their line ends.
pub(crate) fn stdout() -> ManuallyDrop<File> {
    // SAFETY: never dropped, so nothing is closed that others use; a process that was started
    // without it gets EBADF for its writes.
    ManuallyDrop::new(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) })
}

/// Makes the number `old` stand for what `new` stands for, at one moment: who uses it meanwhile uses
/// the one or the other. Whether it closes on exec stays as it was.
///
/// # Errors
/// The system refuses.
#[cfg(target_os = "linux")]
pub(crate) fn replace_descriptor(old: BorrowedFd<'_>, new: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open for as long as they are borrowed; no memory is touched. Whoever owns
    // `old` goes on to own it.
    let done = unsafe {
        let flags = libc::fcntl(old.as_raw_fd(), libc::F_GETFD);
        let flags = if flags & libc::FD_CLOEXEC == 0 { 0 } else { libc::O_CLOEXEC };
        libc::dup3(new.as_raw_fd(), old.as_raw_fd(), flags)
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Takes the lock of an open file or folder (flock(2)), until it is closed; false when another has it.
pub(crate) fn try_lock(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: no pointers; the descriptor is open for as long as it is borrowed.
    unsafe { libc::flock(fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Sets how many connections may wait to be accepted.
///
/// # Errors
/// The descriptor is no socket that can listen.
pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed.
    match unsafe { libc::listen(fd.as_raw_fd(), backlog) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits until there is something to read on stdin or, if it is asked for, room to write on stdout:
/// which.
///
/// # Errors
/// The wait failed.
pub(crate) fn wait_stdio(or_stdout: bool, millis: i32) -> io::Result<(bool, bool)> {
    let stdout = if or_stdout { libc::STDOUT_FILENO } else { -1 };
    let mut entries = [
        libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 },
        libc::pollfd { fd: stdout, events: libc::POLLOUT, revents: 0 },
    ];
    loop {
        // SAFETY: an exclusive array of two initialised entries, as is said.
        let n = unsafe { libc::poll(entries.as_mut_ptr(), 2, millis) };
        match n {
            0.. => return Ok((entries[0].revents != 0, entries[1].revents != 0)),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// What an operator says to a server by signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// TERM, INT, QUIT
    Stop,
    /// HUP
    Reload,
    /// USR1
    Reopen,
}

/// The pipe's end that the handler writes to.
static WRITER: AtomicI32 = AtomicI32::new(-1);

/// Signals as bytes in a pipe, to be waited for like anything else.
pub(crate) struct Signals(File);

impl Signals {
    /// Catches the signals of [`Signal`] from now on.
    ///
    /// # Errors
    /// There is no pipe to be had.
    pub(crate) fn install() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        WRITER.store(OwnedFd::from(writer).into_raw_fd(), Ordering::Release);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGUSR1] {
            // SAFETY: all zero is a valid sigaction: no flags, an empty mask.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            let handler: extern "C" fn(libc::c_int) = note;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            // SAFETY: the handler only does what a handler may: an atomic load and a write.
            if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self(OwnedFd::from(reader).into()))
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// The pipe failed.
    pub(crate) fn wait(&mut self) -> io::Result<Signal> {
        let mut byte = [0];
        io::Read::read_exact(&mut self.0, &mut byte)?;
        Ok(match i32::from(byte[0]) {
            libc::SIGHUP => Signal::Reload,
            libc::SIGUSR1 => Signal::Reopen,
            _ => Signal::Stop,
        })
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

extern "C" fn note(signal: libc::c_int) {
    let byte = signal as u8; // Signal numbers are below 65.
    // SAFETY: write(2) may be called in a handler; one byte lies at the address.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(WRITER.load(Ordering::Acquire), (&raw const byte).cast(), 1);
        *libc::__errno_location() = errno;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_listening_socket_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(is_listening(listener.as_raw_fd()) && is_stream(listener.as_raw_fd()));
        assert!(!is_listening(one.as_raw_fd()) && is_stream(one.as_raw_fd()));
        let file = File::open("/dev/null").unwrap();
        assert!(!is_listening(file.as_raw_fd()) && !is_listening(-1));
        assert!(adopt(-1).is_err());
    }
}
