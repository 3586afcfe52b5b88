//! The writing half of a connection: whole records, one sender at a time.

use super::slot::Slot;
use crate::{sys::Readiness, types::ClientGone};
use std::{
    fs::File,
    io::{self, IoSlice},
    sync::{MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

impl Slot {
    /// Sends whole records, and waits while the peer takes none, up to `limit`.
    ///
    /// # Errors
    /// [`ClientGone`]; the connection is closing then.
    pub(super) fn send(
        &self,
        slices: &mut [IoSlice<'_>],
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let whole_records = self.lock_writer();
        let sent = self.push(slices, limit);
        drop(whole_records);
        self.flush_outbox(limit);
        sent
    }

    /// Sends a record header and `len` bytes of `file` behind it.
    ///
    /// # Errors
    /// As `send`. A file that is shorter than was said ends the connection: half a record is out.
    pub(super) fn send_file(
        &self,
        header: &[u8],
        (file, from, len): (&File, u64, usize),
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let whole_records = self.lock_writer();
        self.push(&mut [IoSlice::new(header)], limit)?;
        let mut sent = 0;
        while sent < len {
            match self.socket.sendfile(file, from + sent as u64, len - sent) {
                Ok(0) => return Err(self.give_up()),
                Ok(n) => sent += n,
                Err(error) => self.wait_for_room(&error, limit)?,
            }
        }
        drop(whole_records);
        self.flush_outbox(limit);
        Ok(())
    }

    /// Says something short without ever waiting for another sender: if one is at it, he sends
    /// this along when he is done.
    pub(super) fn say(&self, records: &mut Vec<u8>, limit: Option<Duration>) {
        if records.is_empty() {
            return;
        }
        /// A peer that has so many answers unread asks without listening.
        const MOST: usize = 256 << 10;
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if outbox.len() > MOST {
            self.set_closing();
        } else {
            outbox.append(records);
        }
        records.clear();
        drop(outbox);
        self.flush_outbox(limit);
    }

    /// Whoever puts something into the outbox tries the writer afterwards, and whoever lets the
    /// writer go looks into the outbox afterwards: one of the two finds it.
    fn flush_outbox(&self, limit: Option<Duration>) {
        loop {
            let whole_records = match self.writer.try_lock() {
                Ok(guard) => guard,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let records = {
                let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *outbox)
            };
            if records.is_empty() {
                drop(whole_records);
                // Something may have come between the look and the release.
                let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
                if outbox.is_empty() {
                    return;
                }
                continue;
            }
            let _closing_if_not = self.push(&mut [IoSlice::new(&records)], limit);
        }
    }

    fn lock_writer(&self) -> MutexGuard<'_, ()> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut slices: &mut [IoSlice<'_>], limit: Option<Duration>) -> io::Result<()> {
        while slices.iter().any(|slice| !slice.is_empty()) {
            let sent = match &*slices {
                [one] => self.socket.send(one),
                many => self.socket.send_vectored(many),
            };
            match sent {
                Ok(n) => IoSlice::advance_slices(&mut slices, n),
                Err(error) => self.wait_for_room(&error, limit)?,
            }
        }
        Ok(())
    }

    fn wait_for_room(&self, error: &io::Error, limit: Option<Duration>) -> io::Result<()> {
        if error.kind() == io::ErrorKind::WouldBlock
            && self.socket.wait(Readiness::Write, limit).unwrap_or(false)
        {
            return Ok(());
        }
        Err(self.give_up())
    }

    /// Nothing can be said on this connection any more.
    fn give_up(&self) -> io::Error {
        self.set_closing();
        // Half a record may be out: whoever else would write gets an error, not a mess.
        self.socket.shutdown_write();
        ClientGone.into()
    }
}
