//! A long body on its way to its application, in files that are used as memory: received where it is
//! read from.

use super::nameless::{SHELF, Scratch};
use std::{collections::VecDeque, io, ops::Range};

/// How long the first file of a body is. The next is twice as long as the one before, up to
/// `LONGEST`: a body takes at most twice the room that it needs.
const FIRST: usize = 512 << 10;
const LONGEST: usize = 16 << 20;

/// Room for a record of the longest kind, and for what stood over.
const LEAST: usize = 128 << 10;

/// Bytes of a body, in their order.
#[derive(Default)]
pub(super) struct Roll {
    /// None but the last is empty.
    sheets: VecDeque<Sheet>,
    /// Files that it has had.
    count: u32,
}

/// One file: bytes that are to be read, and behind them room for more.
struct Sheet {
    scratch: Scratch,
    read: usize,
    filled: usize,
}

impl Roll {
    pub(super) fn is_empty(&self) -> bool {
        self.front().is_empty()
    }

    /// Where more can be received: never less than the longest record takes.
    ///
    /// # Errors
    /// No more files can be had.
    pub(super) fn room(&mut self) -> io::Result<&mut [u8]> {
        let is_full = |sheet: &Sheet| sheet.scratch.len() - sheet.filled < LEAST;
        if self.sheets.back().is_none_or(is_full) {
            let scratch = SHELF.scratch(LONGEST.min(FIRST << self.count.min(8)))?;
            self.count += 1;
            if self.sheets.back().is_some_and(|sheet| sheet.read == sheet.filled) {
                self.sheets.pop_back();
            }
            self.sheets.push_back(Sheet { scratch, read: 0, filled: 0 });
        }
        let sheet = self.sheets.back_mut().expect("it was just looked at");
        Ok(&mut sheet.scratch[sheet.filled..])
    }

    /// What was received into that room is of the body where these lie. Those that do not lie together
    /// are put so while they are in the CPU's cache: each block that is sent wakes its reader.
    pub(super) fn keep(&mut self, pieces: impl IntoIterator<Item = Range<usize>>) {
        let Some(sheet) = self.sheets.back_mut() else { return };
        let room = sheet.filled;
        for piece in pieces {
            let length = piece.len();
            if room + piece.start != sheet.filled {
                sheet.scratch.copy_within(room + piece.start..room + piece.end, sheet.filled);
            }
            sheet.filled += length;
        }
    }

    /// Adds bytes that lie elsewhere.
    ///
    /// # Errors
    /// As [`room`](Self::room); some of them may have been added.
    pub(super) fn push(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let room = self.room()?;
            let (now, later) = data.split_at(data.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.keep(std::iter::once(0..now.len()));
            data = later;
        }
        Ok(())
    }

    /// The next bytes, as many as lie together. None: it is empty.
    pub(super) fn front(&self) -> &[u8] {
        self.sheets.front().map_or(&[], |sheet| &sheet.scratch[sheet.read..sheet.filled])
    }

    /// So many of them are done with.
    pub(super) fn consume(&mut self, n: usize) {
        let Some(sheet) = self.sheets.front_mut() else { return };
        sheet.read += n;
        if sheet.read == sheet.filled {
            // The file is at somebody else's disposal.
            self.sheets.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(roll: &mut Roll) -> Vec<u8> {
        let mut all = Vec::new();
        while !roll.is_empty() {
            let n = roll.front().len().min(50_000);
            all.extend_from_slice(&roll.front()[..n]);
            roll.consume(n);
        }
        all
    }

    #[test]
    fn what_was_received_around_its_headers_comes_out_without_them() {
        let (mut roll, mut body) = (Roll::default(), Vec::new());
        let mut at = 0_usize;
        for length in [1, 20_000, 3, 70_000].into_iter().cycle().take(400) {
            let room = roll.room().expect("a file");
            assert!(room.len() >= LEAST);
            room[..8].fill(0xff);
            for byte in &mut room[8..8 + length] {
                *byte = (at % 251) as u8;
                body.push(*byte);
                at += 1;
            }
            roll.keep(std::iter::once(8..8 + length));
        }
        assert!(drain(&mut roll) == body);
        assert!(roll.is_empty() && roll.front().is_empty());
    }

    #[test]
    fn reading_and_adding_may_take_turns() {
        let (mut roll, mut got, mut body) = (Roll::default(), Vec::new(), Vec::new());
        for n in 0..1000_usize {
            let piece = vec![n as u8; n * 7];
            roll.push(&piece).expect("files");
            body.extend_from_slice(&piece);
            if n % 3 == 0 {
                got.extend_from_slice(roll.front());
                roll.consume(roll.front().len());
            }
        }
        got.extend(drain(&mut roll));
        assert!(got == body);
    }
}
