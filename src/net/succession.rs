//! What becomes of the kept connections of a server that ends: another takes them, as they are.

use std::{
    fmt,
    io::{self, ErrorKind},
    os::fd::BorrowedFd,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// Takes over a connection of a server that ends, which closes its own descriptor when that has
/// gone well; it is told what is spoken on it. It must not wait: `WouldBlock` means that it is to be
/// asked again.
pub(crate) type Heir = Box<dyn Fn(BorrowedFd<'_>, &str) -> io::Result<()> + Send + Sync>;

/// Whether there is an heir, and who it is.
#[derive(Default)]
pub(crate) struct Succession {
    heir: OnceLock<Heir>,
    open: AtomicBool,
}

/// What became of the wish to hand a connection over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Gone,
    /// The heir has its hands full: to be tried again.
    Later,
    /// Nobody takes it.
    Never,
}

impl Succession {
    /// From now on connections are handed over. There is one heir: a second one is not heard.
    pub(crate) fn begin(&self, heir: Heir) {
        if self.heir.set(heir).is_ok() {
            self.open.store(true, Ordering::SeqCst);
        }
    }

    /// From now on they are closed; whether they were handed over until now.
    pub(crate) fn end(&self) -> bool {
        self.open.swap(false, Ordering::SeqCst)
    }

    /// Whether connections are handed over, and not closed.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Hands a connection over that has no request under way, and nothing of one received.
    pub(crate) fn pass(&self, socket: BorrowedFd<'_>, spoken: &str) -> Passed {
        let Some(heir) = self.heir.get().filter(|_| self.is_open()) else { return Passed::Never };
        match heir(socket, spoken) {
            Ok(()) => Passed::Gone,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Passed::Later,
            Err(_) => Passed::Never,
        }
    }
}

impl fmt::Debug for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Succession").field("open", &self.open).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd as _;

    #[test]
    fn connections_are_handed_over_while_there_is_an_heir() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let succession = Succession::default();
        assert_eq!(
            (succession.is_open(), succession.pass(socket.as_fd(), "http")),
            (false, Passed::Never)
        );
        let full = AtomicBool::new(true);
        succession.begin(Box::new(move |_, _| match full.swap(false, Ordering::Relaxed) {
            true => Err(ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }));
        assert_eq!(succession.pass(socket.as_fd(), "http"), Passed::Later);
        assert_eq!(succession.pass(socket.as_fd(), "http"), Passed::Gone);
        assert!(succession.end() && !succession.end());
        assert_eq!(succession.pass(socket.as_fd(), "http"), Passed::Never);
    }
}
