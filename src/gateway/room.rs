//! Room in a Unix socket for a long answer.
//!
//! What the socket holds decides how often this thread and its peer wake each other: with more of it
//! a long answer takes up to a quarter less time of the CPU. It is the system's memory, and a peer that
//! reads slowly keeps it, so a process lends it to few answers at one time.

use crate::sys::SocketCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An answer is long when it is longer than what a socket holds by default.
const LONG: usize = 256 << 10;

/// What the socket holds for a long one, without what the system has around the bytes.
const BYTES: i32 = 1 << 20;

/// Rooms of a process: 64 MiB, with what is around them.
static ROOMS: Rooms = Rooms::new(32);

/// How many answers may have one.
struct Rooms {
    taken: AtomicUsize,
    most: usize,
}

impl Rooms {
    const fn new(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    fn take(&self) -> bool {
        let one_more = |taken| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// That of one answer.
pub(super) struct Room<'c> {
    rooms: &'static Rooms,
    socket: &'c SocketCell,
    /// Bytes of the answer.
    sent: usize,
    /// It has one; its socket held so much before.
    usual: Option<i32>,
}

impl<'c> Room<'c> {
    pub(super) fn new(socket: &'c SocketCell) -> Self {
        Self { rooms: &ROOMS, socket, sent: 0, usual: None }
    }

    /// So many bytes more are about to be sent. `alone`: no other answer would have to wait behind
    /// them on the connection.
    #[inline]
    pub(super) fn sending(&mut self, bytes: usize, alone: impl FnOnce() -> bool) {
        let before = self.sent;
        self.sent = before.saturating_add(bytes);
        if before < LONG && self.sent >= LONG && alone() {
            self.widen();
        }
    }

    #[cold]
    fn widen(&mut self) {
        if !self.rooms.take() {
            return;
        }
        self.usual = self
            .socket
            .send_buffer()
            .filter(|usual| *usual < BYTES && self.socket.set_send_buffer(BYTES));
        if self.usual.is_none() {
            self.rooms.give_back();
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(usual) = self.usual {
            // What lies in it already stays. That the peer has gone is no matter.
            self.socket.set_send_buffer(usual);
            self.rooms.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::{fd::OwnedFd, unix::net::UnixStream},
    };

    fn pair() -> (SocketCell, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (SocketCell::from(OwnedFd::from(ours)), theirs)
    }

    fn of<'c>(rooms: &'static Rooms, socket: &'c SocketCell) -> Room<'c> {
        Room { rooms, ..Room::new(socket) }
    }

    /// What a peer that does not read leaves in the socket.
    fn holds(socket: &SocketCell) -> usize {
        let block = vec![0; 8 << 20];
        std::iter::from_fn(|| socket.send(&block).ok()).sum()
    }

    #[test]
    fn a_long_answer_has_room_until_its_end() {
        static OWN: Rooms = Rooms::new(1);
        let ((short, _a), (long, _b)) = (pair(), pair());
        let usual = short.send_buffer().unwrap();
        let mut room = of(&OWN, &short);
        room.sending(LONG - 1, || true);
        assert_eq!(short.send_buffer(), Some(usual), "it is not long");
        room.sending(1, || true);
        drop(room);
        assert_eq!((short.send_buffer(), OWN.taken.load(Ordering::Relaxed)), (Some(usual), 0));
        let mut room = of(&OWN, &long);
        room.sending(usize::MAX, || true);
        room.sending(usize::MAX, || true);
        // As much as the administrator allows (net.core.wmem_max).
        assert!(long.send_buffer() > Some(usual), "{usual}");
        assert!(holds(&long) > holds(&short));
    }

    #[test]
    fn no_more_than_so_many_have_it_and_none_with_neighbours() {
        static OWN: Rooms = Rooms::new(1);
        let ((one, _a), (other, _b)) = (pair(), pair());
        let usual = one.send_buffer();
        let mut first = of(&OWN, &one);
        first.sending(LONG, || false);
        assert_eq!(one.send_buffer(), usual);
        let mut first = of(&OWN, &one);
        first.sending(LONG, || true);
        let mut second = of(&OWN, &other);
        second.sending(LONG, || true);
        assert_eq!(other.send_buffer(), usual);
        drop((first, second));
        let mut second = of(&OWN, &other);
        second.sending(LONG, || true);
        assert!(other.send_buffer() > usual);
    }

    #[test]
    fn tcp_finds_its_own_measure() {
        static OWN: Rooms = Rooms::new(1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = SocketCell::from(OwnedFd::from(ours));
        let mut room = of(&OWN, &socket);
        room.sending(LONG, || true);
        assert_eq!((room.usual, OWN.taken.load(Ordering::Relaxed)), (None, 0));
    }
}
