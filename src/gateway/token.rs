//! A connection's name.

/// A connection's name in events: its slot in the lower half, its generation in the upper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(pub(super) u64);

impl Token {
    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn index(self) -> usize {
        self.0 as u32 as usize
    }
}
