//! The writing half of a connection: whole records, one sender at a time.

use super::{room::Room, slot::Slot};
use crate::{
    lock::lock,
    sys::{Pages, Readiness},
    types::ClientGone,
};
use std::{
    fs::File,
    io::{self, IoSlice},
    sync::{MutexGuard, atomic::Ordering},
    time::Duration,
};

impl Slot {
    /// Sends whole records, and waits while the peer takes none, as long as `room` says.
    ///
    /// # Errors
    /// [`ClientGone`]; the connection is closing then.
    #[inline] // A return that comes after a system call is a slow one: the less of them, the better.
    pub(super) fn send(&self, records: &[u8], room: &mut Room<'_>) -> io::Result<()> {
        self.in_turn(room.limit, || self.push(records, room))
    }

    /// The same of records that lie in several places.
    pub(super) fn send_all(
        &self,
        slices: &mut [IoSlice<'_>],
        room: &mut Room<'_>,
    ) -> io::Result<()> {
        self.in_turn(room.limit, || self.push_all(slices, room))
    }

    /// Sends as much of `len` bytes of `file` as the peer takes at once. `None`: they have to be
    /// copied. What it would have failed with a read tells, if the file is to blame, or a write.
    ///
    /// # Errors
    /// As `send`.
    pub(super) fn send_file(
        &self,
        (file, from, len): (&File, u64, usize),
        room: &mut Room<'_>,
    ) -> io::Result<Option<usize>> {
        self.in_turn(room.limit, || {
            loop {
                match self.socket.sendfile(file, from, len) {
                    Err(error) if is_full(&error) => self.make_room(&error, room)?,
                    sent => return Ok(sent.ok()),
                }
            }
        })
    }

    /// Writes when nobody else does.
    #[inline]
    fn in_turn<R>(
        &self,
        limit: Option<Duration>,
        write: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let whole_records = self.writer.wait();
        // What was begun before comes first: it may be half a record.
        if self.unsaid.load(Ordering::Acquire) {
            self.empty_outbox(limit)?;
        }
        let sent = write();
        drop(whole_records);
        self.say_more();
        sent
    }

    /// Sends whole records that are made of pages.
    ///
    /// # Errors
    /// As `send`.
    pub(super) fn send_pages(&self, pages: &mut Pages, room: &mut Room<'_>) -> io::Result<()> {
        self.in_turn(room.limit, || {
            while !pages.is_empty() {
                if let Err(error) = pages.send(&self.socket) {
                    self.make_room(&error, room)?;
                }
            }
            Ok(())
        })
    }

    /// Says something short, without ever waiting: not for another sender, who sends it along
    /// when he is done, and not for the peer. False: some of it is still unsaid, and
    /// [`say_more`](Self::say_more) has to be tried again.
    #[must_use]
    pub(super) fn say(&self, records: &mut Vec<u8>) -> bool {
        if records.is_empty() {
            return true;
        }
        /// A peer that has so many answers unread asks without listening.
        const MOST: usize = 1 << 20;
        let mut outbox = self.lock_outbox();
        let too_many = outbox.len() + records.len() > MOST;
        if !too_many {
            outbox.append(records);
            self.unsaid.store(true, Ordering::SeqCst);
        }
        drop(outbox);
        records.clear();
        if too_many {
            self.give_up();
            return true;
        }
        self.say_more()
    }

    /// Whoever puts something into the outbox tries the writer afterwards, and whoever lets the
    /// writer go looks into the outbox afterwards: one of the two finds it (in one order of all, as the
    /// writer's turns are).
    #[inline]
    pub(super) fn say_more(&self) -> bool {
        !self.unsaid.load(Ordering::SeqCst) || self.say_unsaid()
    }

    fn say_unsaid(&self) -> bool {
        while self.unsaid.load(Ordering::SeqCst) {
            let Some(_whole_records) = self.writer.try_now() else { return true };
            match self.empty_outbox(Some(Duration::ZERO)) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(_) => return true,
            }
        }
        true
    }

    /// The writer is ours: sends what others left. `Ok(false)`: the peer takes no more of it now.
    fn empty_outbox(&self, limit: Option<Duration>) -> io::Result<bool> {
        loop {
            // Not sent with the outbox locked: whoever else has something to say must not wait for
            // a peer that reads slowly.
            let mut outbox = std::mem::take(&mut *self.lock_outbox());
            let mut sent = 0;
            while sent < outbox.len() {
                match self.socket.send(&outbox[sent..]) {
                    Ok(n) => {
                        sent += n;
                        self.stalled.store(0, Ordering::Relaxed);
                    }
                    Err(error) if limit == Some(Duration::ZERO) && is_full(&error) => {
                        outbox.drain(..sent);
                        let mut later = self.lock_outbox();
                        outbox.append(&mut later);
                        *later = outbox;
                        return Ok(false);
                    }
                    Err(error) => {
                        if let Err(gone) = self.wait_for_room(&error, limit) {
                            let mut outbox = self.lock_outbox();
                            *outbox = Vec::new();
                            self.unsaid.store(false, Ordering::Release);
                            return Err(gone);
                        }
                    }
                }
            }
            let outbox = self.lock_outbox();
            if outbox.is_empty() {
                self.unsaid.store(false, Ordering::Release);
                return Ok(true);
            }
        }
    }

    /// Told at each sweep: whether the peer has taken none of the short answers for `limit`.
    pub(super) fn is_stalled(&self, sweep: Duration, limit: Option<Duration>) -> bool {
        // While somebody writes it is his to see.
        if !self.unsaid.load(Ordering::Acquire) || !self.writer.is_free() {
            return false;
        }
        let sweeps = self.stalled.fetch_add(1, Ordering::Relaxed);
        limit.is_some_and(|limit| sweep * sweeps > limit)
    }

    fn lock_outbox(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.outbox)
    }

    fn push(&self, mut bytes: &[u8], room: &mut Room<'_>) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.socket.send(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) => self.make_room(&error, room)?,
            }
        }
        Ok(())
    }

    fn push_all(&self, mut slices: &mut [IoSlice<'_>], room: &mut Room<'_>) -> io::Result<()> {
        while slices.iter().any(|slice| !slice.is_empty()) {
            match self.socket.send_vectored(slices) {
                Ok(n) => IoSlice::advance_slices(&mut slices, n),
                Err(error) => self.make_room(&error, room)?,
            }
        }
        Ok(())
    }

    fn make_room(&self, error: &io::Error, room: &mut Room<'_>) -> io::Result<()> {
        if is_full(error) && room.make() { Ok(()) } else { self.wait_for_room(error, room.limit) }
    }

    fn wait_for_room(&self, error: &io::Error, limit: Option<Duration>) -> io::Result<()> {
        if is_full(error) && self.socket.wait(Readiness::Write, limit).unwrap_or(false) {
            return Ok(());
        }
        Err(self.give_up())
    }

    /// Nothing can be said on this connection any more.
    pub(super) fn give_up(&self) -> io::Error {
        self.set_closing();
        // Half a record may be out: whoever else would write gets an error, not a mess.
        self.socket.shutdown_write();
        ClientGone.into()
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
