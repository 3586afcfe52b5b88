//! What an answer does when its socket is full: it has room made in it, once, and then waits.
//!
//! What a Unix socket holds decides how often this thread and its peer wake each other: with more of it
//! a long answer takes a fifth less time of the CPU. It is the system's memory, and a peer that reads
//! slowly keeps it, so a process lends it to few answers at one time.

use super::slot::Slot;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// What a socket with room holds, without what the system has around the bytes.
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
    slot: &'c Slot,
    /// How long it waits, if that is not enough.
    pub(super) limit: Option<Duration>,
    asked: bool,
    /// It has some; its socket held so much before.
    usual: Option<i32>,
}

impl<'c> Room<'c> {
    pub(super) fn new(slot: &'c Slot, limit: Option<Duration>) -> Self {
        Self { rooms: &ROOMS, slot, limit, asked: false, usual: None }
    }

    /// The socket is full. True: now it is not.
    #[cold]
    pub(super) fn make(&mut self) -> bool {
        // Other answers on the connection would have to wait behind more of this one.
        if self.asked || self.slot.runs() > 1 {
            return false;
        }
        self.asked = true;
        if !self.rooms.take() {
            return false;
        }
        let socket = &self.slot.socket;
        self.usual =
            socket.send_buffer().filter(|usual| *usual < BYTES && socket.set_send_buffer(BYTES));
        if self.usual.is_none() {
            self.rooms.give_back();
        }
        self.usual.is_some()
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(usual) = self.usual {
            // What lies in it already stays. That the peer has gone is no matter.
            self.slot.socket.set_send_buffer(usual);
            self.rooms.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::slot::Table, *};
    use std::{
        cell::RefCell,
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
    };

    /// Connections whose peers read nothing.
    struct House(Table, RefCell<Vec<UnixStream>>);

    impl House {
        fn connect(&self) -> &Slot {
            let (ours, theirs) = UnixStream::pair().unwrap();
            self.1.borrow_mut().push(theirs);
            let token = self.0.claim(ours.into(), 0).unwrap();
            self.0.slot(token)
        }
    }

    fn of<'c>(rooms: &'static Rooms, slot: &'c Slot) -> Room<'c> {
        Room { rooms, ..Room::new(slot, None) }
    }

    /// Sends until the socket is full.
    fn fill(slot: &Slot) -> usize {
        let block = vec![0; 8 << 20];
        std::iter::from_fn(|| slot.socket.send(&block).ok()).sum()
    }

    #[test]
    fn a_full_socket_takes_more_until_the_answer_ends() {
        static OWN: Rooms = Rooms::new(1);
        let house = House(Table::new(), RefCell::default());
        let slot = house.connect();
        let usual = slot.socket.send_buffer();
        let mut room = of(&OWN, slot);
        assert!(fill(slot) > 0 && room.make() && fill(slot) > 0);
        // As much as the administrator allows (net.core.wmem_max).
        assert!(slot.socket.send_buffer() > usual);
        assert!(!room.make(), "it is asked for once");
        drop(room);
        assert_eq!((slot.socket.send_buffer(), OWN.taken.load(Ordering::Relaxed)), (usual, 0));
    }

    #[test]
    fn no_more_than_so_many_have_it_and_none_with_neighbours() {
        static OWN: Rooms = Rooms::new(1);
        let house = House(Table::new(), RefCell::default());
        let shared = house.connect();
        shared.add_runs(2);
        assert!(!of(&OWN, shared).make());
        let (first, second) = (house.connect(), house.connect());
        let mut has_it = of(&OWN, first);
        assert!(has_it.make());
        assert!(!of(&OWN, second).make());
        drop(has_it);
        assert!(of(&OWN, second).make());
    }

    #[test]
    fn tcp_finds_its_own_measure() {
        static OWN: Rooms = Rooms::new(1);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let table = Table::new();
        let slot = table.slot(table.claim(ours.into(), 0).unwrap());
        assert!(!of(&OWN, slot).make());
        assert_eq!(OWN.taken.load(Ordering::Relaxed), 0);
    }
}
