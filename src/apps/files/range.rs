//! RFC 9110 section 14: which parts of the file are wanted.

/// A part of a file, from the one offset to the other, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Part {
    /// In bytes, of which there is one at least.
    pub(super) fn len(self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a Range field comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: also for fields that mean nothing, and for so many ranges, or such, that they
    /// would be no less (section 14.2 lets a server ignore the field).
    Whole,
    /// In the order in which they were asked for.
    Parts(Vec<Part>),
    /// Nothing that the file has.
    Nothing,
}

/// More ranges are no use to anybody, but work for the server (section 17.15).
const MOST: usize = 16;

impl Wanted {
    /// The parts of a file of `size` bytes that `range` asks for.
    pub(super) fn of(range: &[u8], size: u64) -> Self {
        let set =
            range.split_at_checked(6).filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes="));
        let Some(set) = set.and_then(|(_, set)| std::str::from_utf8(set).ok()) else {
            return Self::Whole;
        };
        let (mut parts, mut specs) = (Vec::new(), 0);
        // Empty elements of a list do not count (section 5.6.1.2).
        for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])) {
            if spec.is_empty() {
                continue;
            }
            specs += 1;
            match part(spec, size) {
                _ if specs > MOST => return Self::Whole,
                Err(Meaningless) => return Self::Whole,
                Ok(part) => parts.extend(part),
            }
        }
        let total = parts.iter().fold(0, |total: u64, part| total.saturating_add(part.len()));
        match (specs, parts.len()) {
            (0, _) => Self::Whole,
            (_, 0) => Self::Nothing,
            (_, 1) => Self::Parts(parts),
            // What overlaps so much is an attack, or a mistake.
            _ if total > size => Self::Whole,
            _ => Self::Parts(parts),
        }
    }
}

/// What is no range: the whole field means nothing then.
struct Meaningless;

/// One range-spec; `None` if there is nothing there.
fn part(spec: &str, size: u64) -> Result<Option<Part>, Meaningless> {
    let (first, last) = spec.split_once('-').ok_or(Meaningless)?;
    if first.is_empty() {
        // The last bytes. Nothing has no last bytes that Content-Range could name.
        let length = number(last)?;
        let some = length > 0 && size > 0;
        return Ok(some.then(|| Part { first: size.saturating_sub(length), last: size - 1 }));
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return Err(Meaningless);
    }
    Ok((first < size).then(|| Part { first, last: last.min(size - 1) }))
}

/// Digits; more of them than fit are as good as the largest number.
fn number(digits: &str) -> Result<u64, Meaningless> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { Ok(digits.parse().unwrap_or(u64::MAX)) } else { Err(Meaningless) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_by_table() {
        let some = |parts: &[(u64, u64)]| {
            Wanted::Parts(parts.iter().map(|&(first, last)| Part { first, last }).collect())
        };
        let many = format!("bytes={}", "0-0,".repeat(MOST + 1));
        for (range, size, want) in [
            ("bytes=0-0", 10, some(&[(0, 0)])),
            ("bytes=2-4", 10, some(&[(2, 4)])),
            ("BYTES=5-", 10, some(&[(5, 9)])),
            ("bytes=-3", 10, some(&[(7, 9)])),
            ("bytes=-30", 10, some(&[(0, 9)])),
            ("bytes=5-99999999999999999999999", 10, some(&[(5, 9)])),
            ("bytes=0-1,3-4", 10, some(&[(0, 1), (3, 4)])),
            ("bytes=3-4 , ,\t0-1,", 10, some(&[(3, 4), (0, 1)])),
            ("bytes=0-1,20-30,-2", 10, some(&[(0, 1), (8, 9)])),
            ("bytes=0-1,20-30", 10, some(&[(0, 1)])),
            ("bytes=0-,0-", 10, Wanted::Whole),
            (&many, 10, Wanted::Whole),
            ("bytes=10-", 10, Wanted::Nothing),
            ("bytes=10-,11-,-0", 10, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=-0", 10, Wanted::Nothing),
            ("bytes=-1", 0, Wanted::Nothing),
            ("bytes=4-2", 10, Wanted::Whole),
            ("bytes=0-1,4-2", 10, Wanted::Whole),
            ("bytes=", 10, Wanted::Whole),
            ("bytes=,", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes=a-b", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("bytes=99-x", 10, Wanted::Whole),
            ("lines=0-1", 10, Wanted::Whole),
            ("", 10, Wanted::Whole),
        ] {
            assert_eq!(Wanted::of(range.as_bytes(), size), want, "{range}");
        }
    }

    proptest! {
        #[test]
        fn parts_lie_in_the_file(set in "[-0-9, x]{0,30}", size in 0u64..30) {
            if let Wanted::Parts(parts) = Wanted::of(format!("bytes={set}").as_bytes(), size) {
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < size));
            }
        }
    }
}
