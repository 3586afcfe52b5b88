//! RFC 9110 section 14: which part of the file is wanted.

/// What a Range field comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: also for fields that mean nothing, and for several ranges at once, which a
    /// server may ignore (section 14.2).
    Whole,
    /// From the one offset to the other, both included.
    Some {
        /// The offset of the first byte.
        first: u64,
        /// The offset of the last byte.
        last: u64,
    },
    /// Nothing that the file has.
    None,
}

impl Part {
    /// The part of a file of `size` bytes that `range` asks for.
    pub(super) fn of(range: &[u8], size: u64) -> Self {
        let spec =
            range.split_at_checked(6).filter(|(unit, _)| unit.eq_ignore_ascii_case(b"bytes="));
        let spec = spec.and_then(|(_, spec)| std::str::from_utf8(spec).ok());
        let Some((first, last)) = spec.and_then(|spec| spec.trim().split_once('-')) else {
            return Self::Whole;
        };
        let (first, last) = (first.trim_end(), last.trim_start());
        if first.is_empty() {
            return Self::suffix(last, size);
        }
        let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
        match (number(first), last) {
            (Some(first), Some(last)) if last < first => Self::Whole,
            (Some(first), Some(_)) if first >= size => Self::None,
            (Some(first), Some(last)) => Self::Some { first, last: last.min(size - 1) },
            _ => Self::Whole,
        }
    }

    /// The last `length` bytes.
    fn suffix(length: &str, size: u64) -> Self {
        match number(length) {
            Some(0) => Self::None,
            Some(length) if size > 0 => {
                Self::Some { first: size.saturating_sub(length), last: size - 1 }
            }
            // Nothing has no last bytes that Content-Range could name.
            _ => Self::Whole,
        }
    }
}

/// Digits; more of them than fit are as good as the largest number.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_by_table() {
        let some = |first, last| Part::Some { first, last };
        for (range, size, want) in [
            ("bytes=0-0", 10, some(0, 0)),
            ("bytes=2-4", 10, some(2, 4)),
            ("BYTES=5-", 10, some(5, 9)),
            ("bytes=-3", 10, some(7, 9)),
            ("bytes=-30", 10, some(0, 9)),
            ("bytes=5-99999999999999999999999", 10, some(5, 9)),
            ("bytes=10-", 10, Part::None),
            ("bytes=0-", 0, Part::None),
            ("bytes=-0", 10, Part::None),
            ("bytes=-1", 0, Part::Whole),
            ("bytes=4-2", 10, Part::Whole),
            ("bytes=0-1,3-4", 10, Part::Whole),
            ("bytes=", 10, Part::Whole),
            ("bytes=-", 10, Part::Whole),
            ("bytes=a-b", 10, Part::Whole),
            ("bytes=+1-2", 10, Part::Whole),
            ("bytes=99-x", 10, Part::Whole),
            ("lines=0-1", 10, Part::Whole),
            ("", 10, Part::Whole),
        ] {
            assert_eq!(Part::of(range.as_bytes(), size), want, "{range}");
        }
    }
}
