//! A long body on its way to its application, in files that are used as memory: received where it is
//! read from.

use super::nameless::{SHELF, Scratch};
use std::{collections::VecDeque, io, ops::Range};

/// How long the first file of a body is. The next is twice as long as the one before, up to
/// `LONGEST`: a body takes at most twice the room that it needs.
const FIRST: usize = 1 << 20;
const LONGEST: usize = 16 << 20;

/// Room for a record of the longest kind, and for what stood over.
const LEAST: usize = 128 << 10;

/// Pieces as long as this stay where they are; shorter ones are put together, so that a byte of them
/// is never worth its entry in a list.
const SHORT: usize = 16 << 10;

/// Pieces of a body, in their order.
#[derive(Default)]
pub(super) struct Roll {
    /// None but the last is without a piece.
    sheets: VecDeque<Sheet>,
    /// Files that it has had.
    count: u32,
}

struct Sheet {
    scratch: Scratch,
    pieces: VecDeque<Range<usize>>,
    /// Where there is room again.
    filled: usize,
}

impl Sheet {
    /// The piece at `piece` is the next; behind it there is room.
    fn keep(&mut self, piece: Range<usize>) {
        match self.pieces.back_mut() {
            Some(last) if last.end == piece.start => last.end = piece.end,
            Some(last) if last.end == self.filled && piece.len() < SHORT => {
                let end = last.end + piece.len();
                self.scratch.copy_within(piece, last.end);
                last.end = end;
                self.filled = end;
                return;
            }
            _ => self.pieces.push_back(piece.clone()),
        }
        self.filled = piece.end;
    }
}

impl Roll {
    pub(super) fn is_empty(&self) -> bool {
        self.sheets.front().is_none_or(|sheet| sheet.pieces.is_empty())
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
            self.sheets.pop_back_if(|sheet| sheet.pieces.is_empty());
            self.sheets.push_back(Sheet { scratch, pieces: VecDeque::new(), filled: 0 });
        }
        let sheet = self.sheets.back_mut().expect("it was just looked at");
        Ok(&mut sheet.scratch[sheet.filled..])
    }

    /// What was received into that room is of the body where these lie.
    pub(super) fn keep(&mut self, pieces: impl IntoIterator<Item = Range<usize>>) {
        let Some(sheet) = self.sheets.back_mut() else { return };
        let room = sheet.filled;
        for piece in pieces {
            sheet.keep(room + piece.start..room + piece.end);
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
            self.keep([0..now.len()]);
            data = later;
        }
        Ok(())
    }

    /// The next bytes, as many as lie together. None: it is empty.
    pub(super) fn front(&self) -> &[u8] {
        let sheet = self.sheets.front();
        let piece = sheet.and_then(|sheet| Some(&sheet.scratch[sheet.pieces.front()?.clone()]));
        piece.unwrap_or_default()
    }

    /// So many of them are done with.
    pub(super) fn consume(&mut self, n: usize) {
        let Some(sheet) = self.sheets.front_mut() else { return };
        let Some(piece) = sheet.pieces.front_mut() else { return };
        piece.start += n;
        if piece.start == piece.end {
            sheet.pieces.pop_front();
        }
        if sheet.pieces.is_empty() {
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
        for length in [1, 20_000, 3, 70_000, SHORT - 1, SHORT, 5, 5].into_iter().cycle().take(400) {
            let room = roll.room().expect("a file");
            assert!(room.len() >= LEAST);
            room[..8].fill(0xff);
            for byte in &mut room[8..8 + length] {
                *byte = (at % 251) as u8;
                body.push(*byte);
                at += 1;
            }
            roll.keep([8..8 + length]);
        }
        assert!(drain(&mut roll) == body);
        assert!(roll.is_empty() && roll.front().is_empty());
    }

    #[test]
    fn short_pieces_are_put_together_and_those_that_lie_together_are_one() {
        let mut roll = Roll::default();
        roll.room().expect("a file")[..24].copy_from_slice(b"--------a--bc-------defg");
        roll.keep([8..9, 11..13, 20..24]);
        assert_eq!(roll.front(), b"abcdefg");
        roll.room().expect("a file")[..3].copy_from_slice(b"hij");
        roll.keep([0..3]);
        assert_eq!(roll.front(), b"abcdefghij");
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
