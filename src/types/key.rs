//! What variables are found by.

/// The first and the last letters of a name. With its length they tell names apart that are not
/// longer than both together.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    first: u64,
    last: u64,
}

impl Key {
    /// The longest name that is told by its key.
    pub(super) const TELLS: usize = 16;

    #[inline]
    pub(super) fn of(name: &[u8]) -> Self {
        Self::of_usual(name).unwrap_or_else(|| {
            let letter = |at| name.get(at).map_or(0, |&letter| u64::from(letter));
            Self { first: letter(0) | letter(1) << 8 | letter(2) << 16, last: 0 }
        })
    }

    /// Of four letters or more.
    #[inline]
    pub(super) fn of_usual(name: &[u8]) -> Option<Self> {
        if let (Some(first), Some(last)) = (name.first_chunk(), name.last_chunk()) {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            return Some(Self { first, last });
        }
        let (first, last) = (name.first_chunk()?, name.last_chunk()?);
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        Some(Self { first: first.into(), last: last.into() })
    }

    /// Where names of that key are looked for. Those that nearly all requests have come to buckets of
    /// their own: the factor was searched for that.
    #[inline]
    pub(super) fn bucket(self) -> usize {
        const FACTOR: u64 = 0x5b38_dd31_be66_9801;
        (self.first.wrapping_add(self.last).wrapping_mul(FACTOR) >> 56) as usize
    }

    /// The bit of the second letter, and of one in four other bytes.
    #[inline]
    pub(super) fn second_letter(self) -> u64 {
        1 << (self.first >> 8 & 63)
    }
}
