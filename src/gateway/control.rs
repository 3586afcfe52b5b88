//! What a supervisor and its workers say to each other, over one line for each worker.
//!
//! The two may be of different versions: after a reload the supervisor is the old executable, and
//! the workers are the new one. So a packet is a letter, and what it is about; what is not known is
//! read over.

use super::scoreboard::{Block, Scoreboard};
use crate::{net::Vacancies, sys};
use std::{
    env, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
};

/// One packet.
#[derive(Debug)]
pub(crate) enum Word {
    /// Worker: its applications are built, and it serves.
    Ready,
    /// Worker: it has served long enough, or cannot go on; another should take its place.
    Replace,
    /// Either way: a kept connection without a request on it, from one that goes to one that stays.
    Connection(Connection),
    /// Supervisor: no new connections, none kept; what is in flight ends.
    Stop,
    /// Supervisor: others serve now. No new connections; those without a request are handed over.
    Retire,
    /// Supervisor: the log files have been moved away.
    Reopen,
}

/// A connection, and the name of what is spoken on it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    pub(crate) spoken: String,
}

/// One end of the line.
#[derive(Debug)]
pub(crate) struct Control(OwnedFd);

impl Control {
    /// # Errors
    /// The system has no more descriptors.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (here, there) = sys::packet_pair()?;
        Ok((Self(here), Self(there)))
    }

    /// # Errors
    /// Nobody listens any more. `WouldBlock`: the kernel takes no more words, or connections, at the
    /// moment.
    pub(crate) fn say(&self, word: &Word) -> io::Result<()> {
        match word {
            Word::Ready => self.send(b'r'),
            Word::Replace => self.send(b'x'),
            Word::Connection(it) => self.pass(it.socket.as_fd(), &it.spoken),
            Word::Stop => self.send(b's'),
            Word::Retire => self.send(b'h'),
            Word::Reopen => self.send(b'u'),
        }
    }

    fn send(&self, letter: u8) -> io::Result<()> {
        sys::send_packet(self.0.as_fd(), &[letter], None)
    }

    /// [`Word::Connection`], of a connection that the caller keeps until this has gone well.
    ///
    /// # Errors
    /// As for `say`.
    pub(crate) fn pass(&self, socket: BorrowedFd<'_>, spoken: &str) -> io::Result<()> {
        sys::send_packet(self.0.as_fd(), &[b"c", spoken.as_bytes()].concat(), Some(socket))
    }

    /// The next word; `None` when the other end is closed.
    ///
    /// # Errors
    /// The line is broken.
    pub(crate) fn hear(&self) -> io::Result<Option<Word>> {
        loop {
            let mut packet = [0; 64];
            let (len, socket) = sys::receive_packet(self.0.as_fd(), &mut packet)?;
            let Some((letter, rest)) = packet[..len].split_first() else { return Ok(None) };
            let word = match (*letter, socket) {
                (b'r', _) => Word::Ready,
                (b'x', _) => Word::Replace,
                (b'c', Some(socket)) => {
                    let spoken = String::from_utf8_lossy(rest).into_owned();
                    Word::Connection(Connection { socket, spoken })
                }
                (b's', _) => Word::Stop,
                (b'h', _) => Word::Retire,
                (b'u', _) => Word::Reopen,
                _ => continue, // Of another version.
            };
            return Ok(Some(word));
        }
    }
}

impl AsRawFd for Control {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What a worker is started with, by the numbers of the descriptors.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) control: Control,
    /// With the names of what is spoken there.
    pub(crate) listeners: Vec<(String, OwnedFd)>,
    /// The worker's block of the scoreboard, if there is one.
    pub(crate) block: Option<Block>,
    /// What the workers know of each other, and which of them this one is, if there are several.
    pub(crate) vacancies: Option<(Arc<Vacancies>, usize)>,
    /// Others than the supervisor's may serve the listeners.
    pub(crate) shares: bool,
}

/// Memory that a worker shares with others, and the number of its part.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) memory: RawFd,
    pub(super) part: usize,
}

impl Inheritance {
    /// The variable that tells a worker what it is, and what it has.
    pub(crate) const NAME: &str = "CGIGATE_WORKER";

    /// Its value: `control=5 fastcgi=3 scgi=4 scoreboard=6 block=0 vacancies=7 vacancy=1`.
    pub(super) fn describe(
        control: &Control,
        listeners: &[(String, OwnedFd)],
        board: Option<Share>,
        vacancies: Option<Share>,
    ) -> String {
        let mut text = format!("control={}", control.as_raw_fd());
        for (spoken, listener) in listeners {
            text.push_str(&format!(" {spoken}={}", listener.as_raw_fd()));
        }
        if let Some(Share { memory, part }) = board {
            text.push_str(&format!(" scoreboard={memory} block={part}"));
        }
        if let Some(Share { memory, part }) = vacancies {
            text.push_str(&format!(" vacancies={memory} vacancy={part}"));
        }
        text
    }

    /// What this process was started with, if a supervisor started it. The variable is taken away:
    /// it is not meant for what the process starts itself.
    ///
    /// To be called while the process has one thread.
    ///
    /// # Errors
    /// The variable does not say what is there.
    pub(crate) fn take() -> io::Result<Option<Self>> {
        let Ok(text) = env::var(Self::NAME) else { return Ok(None) };
        sys::remove_var(Self::NAME);
        let (mut control, mut listeners, mut board, mut block) = (None, Vec::new(), None, None);
        let (mut vacancies, mut vacancy, mut shares) = (None, None, false);
        for part in text.split_whitespace() {
            let Some((name, number)) = part.split_once('=') else { continue };
            let Ok(number) = number.parse() else { continue };
            match name {
                "control" => control = Some(Control(sys::adopt(number)?)),
                "scoreboard" => board = Some(sys::adopt(number)?),
                "block" => block = usize::try_from(number).ok(),
                "vacancies" => vacancies = Some(sys::adopt(number)?),
                "shares" => shares = number != 0,
                "vacancy" => vacancy = usize::try_from(number).ok(),
                _ if sys::is_listening(number) => {
                    listeners.push((name.into(), sys::adopt(number)?));
                }
                _ => {} // Of another version.
            }
        }
        // One of another version is not written to: the requests of this worker are not counted.
        let board = board.and_then(|file| Scoreboard::inherited(file).ok().map(Arc::new));
        let block = board.zip(block).and_then(|(board, block)| Block::new(board, block));
        let vacancies = vacancies.and_then(|file| Vacancies::inherited(file).ok().map(Arc::new));
        let vacancies = vacancies.zip(vacancy);
        match control {
            Some(control) if !listeners.is_empty() => {
                Ok(Some(Self { control, listeners, block, vacancies, shares }))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is set by a supervisor for its workers, and by nobody else",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that was stopped (SIGSTOP) reads nothing; whoever tells it something goes on.
    #[test]
    fn whoever_says_something_waits_for_nobody() {
        let (supervisor, _worker) = Control::pair().unwrap();
        let full = (0..1 << 20).find_map(|_| supervisor.say(&Word::Reopen).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn each_word_is_understood_and_others_are_read_over() {
        let (supervisor, worker) = Control::pair().unwrap();
        let (_near, far) = sys::packet_pair().unwrap();
        worker.send(b'?').unwrap();
        worker.say(&Word::Ready).unwrap();
        worker.say(&Word::Replace).unwrap();
        worker.pass(far.as_fd(), "scgi").unwrap();
        assert!(matches!(supervisor.hear(), Ok(Some(Word::Ready))));
        assert!(matches!(supervisor.hear(), Ok(Some(Word::Replace))));
        let passed = supervisor.hear().unwrap().unwrap();
        assert!(matches!(passed, Word::Connection(_)));
        for word in [Word::Stop, Word::Retire, Word::Reopen, passed] {
            supervisor.say(&word).unwrap();
        }
        drop(supervisor);
        assert!(matches!(worker.hear(), Ok(Some(Word::Stop))));
        assert!(matches!(worker.hear(), Ok(Some(Word::Retire))));
        assert!(matches!(worker.hear(), Ok(Some(Word::Reopen))));
        let Ok(Some(Word::Connection(passed))) = worker.hear() else { panic!("a connection") };
        assert_eq!(passed.spoken, "scgi");
        assert!(matches!(worker.hear(), Ok(None)));
    }
}
