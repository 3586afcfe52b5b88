//! Section 3.4 of the specification: name-value pairs.
//!
//! Lengths are one byte below 128 and four bytes, the highest bit set, from there on. A pair may
//! lie across two records; the pieces are joined before anything here sees them.

use super::record::{HEADER_LEN, RecordType, header};
use nom::{
    IResult, Parser,
    number::complete::{be_u8, be_u32},
};
use std::ops::Range;

/// A stream of pairs ends in the middle of one, and so none of it can be believed.
///
/// ```
/// use cgigate::fcgi::{PairError, pairs};
///
/// let cut = b"\x01\x01Ab\x01\x05Bon"; // of the second value there are two bytes of five
/// let found: Result<Vec<_>, _> = pairs(cut).collect();
/// assert_eq!(found, Err(PairError { at: 4 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name-value pair at byte {at} is cut short")]
pub struct PairError {
    /// Where the broken pair begins.
    pub at: usize,
}

/// Where in a stream a name and its value lie.
///
/// ```
/// use cgigate::fcgi::{Pair, PairError, pairs};
///
/// let stream = b"\x06\x02A_NAMEhi";
/// let (name, value): Pair = pairs(stream).next().expect("there is one")?;
/// assert_eq!((&stream[name], &stream[value]), (&b"A_NAME"[..], &b"hi"[..]));
/// # Ok::<_, PairError>(())
/// ```
pub type Pair = (Range<usize>, Range<usize>);

/// The pairs of a whole stream: where in it each name and each value lies.
///
/// ```
/// let pairs: Result<Vec<_>, _> = cgigate::fcgi::pairs(b"\x01\x02Ahi\x01\x00B").collect();
/// assert_eq!(pairs, Ok(vec![(2..3, 3..5), (7..8, 8..8)]));
/// ```
pub fn pairs(stream: &[u8]) -> Pairs<'_> {
    Pairs { stream, at: 0 }
}

/// See [`pairs`].
///
/// ```
/// let stream = b"\x01\x02Ahi\x01\x00B";
/// let mut found = cgigate::fcgi::pairs(stream);
/// assert_eq!(found.next(), Some(Ok((2..3, 3..5))));
/// assert_eq!(found.count(), 1); // how many are left
/// ```
#[derive(Clone, Debug)]
pub struct Pairs<'s> {
    stream: &'s [u8],
    at: usize,
}

impl Iterator for Pairs<'_> {
    type Item = Result<Pair, PairError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = pair_at(self.stream, self.at)?;
        // Nothing follows an error.
        self.at = found.as_ref().map_or(self.stream.len(), |(_, value)| value.end);
        Some(found)
    }
}

/// The pair that begins at `at`, where the last one ended: a step of [`pairs`], for who changes
/// what the stream lies in from step to step.
///
/// ```
/// let stream = b"\x01\x02Ahi\x01\x00B";
/// assert_eq!(cgigate::fcgi::pair_at(stream, 5), Some(Ok((7..8, 8..8))));
/// assert_eq!(cgigate::fcgi::pair_at(stream, 8), None);
/// ```
pub fn pair_at(stream: &[u8], at: usize) -> Option<Result<Pair, PairError>> {
    let Some((name, value, _)) = stream.get(at..).and_then(usual_pair) else {
        return other_pair_at(stream, at);
    };
    let value = at + USUAL_LENGTHS + name.len()..at + USUAL_LENGTHS + name.len() + value.len();
    Some(Ok((at + USUAL_LENGTHS..value.start, value)))
}

/// Of a pair whose lengths are of one byte each.
const USUAL_LENGTHS: usize = 2;

/// The name and the value at the front, and what follows, if neither is longer than one byte can
/// say: what [`pair_at`] makes of nearly every pair, at a fifth of the instructions.
///
/// ```
/// assert_eq!(cgigate::fcgi::usual_pair(b"\x01\x02Ahi\x01"), Some((&b"A"[..], &b"hi"[..], &b"\x01"[..])));
/// assert_eq!(cgigate::fcgi::usual_pair(b"\x01\x80"), None);
/// ```
#[inline]
pub fn usual_pair(stream: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&[name, value], rest) = stream.split_first_chunk::<USUAL_LENGTHS>()?;
    let len = usize::from(name) + usize::from(value);
    let (pair, behind) = rest.split_at_checked(len).filter(|_| name | value <= SHORT)?;
    let (name, value) = pair.split_at_checked(name.into())?;
    Some((name, value, behind))
}

#[cold]
fn other_pair_at(stream: &[u8], at: usize) -> Option<Result<Pair, PairError>> {
    let pair = stream.get(at..).filter(|pair| !pair.is_empty())?;
    let Ok((rest, (name_len, value_len))) = parse_lengths(pair) else {
        return Some(Err(PairError { at }));
    };
    let name = stream.len() - rest.len();
    // Saturated lengths are beyond the end of any stream.
    let value = name.saturating_add(name_len);
    let end = value.saturating_add(value_len);
    Some(if end > stream.len() { Err(PairError { at }) } else { Ok((name..value, value..end)) })
}

/// The longest length of one byte.
const SHORT: u8 = 127;

fn parse_lengths(input: &[u8]) -> IResult<&[u8], (usize, usize)> {
    (parse_length, parse_length).parse(input)
}

fn parse_length(input: &[u8]) -> IResult<&[u8], usize> {
    match input.first() {
        Some(..=SHORT) => be_u8.map(usize::from).parse(input),
        // 31 bits, which every usize here has.
        _ => be_u32.map(|len| (len & 0x7fff_ffff) as usize).parse(input),
    }
}

/// Appends a pair.
///
/// ```
/// let mut stream = Vec::new();
/// cgigate::fcgi::pair(&mut stream, b"A", b"hi");
/// assert_eq!(stream, b"\x01\x02Ahi");
/// ```
///
/// # Panics
/// When the name or the value is of 2 GiB or more, which the wire cannot say.
pub fn pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for len in [name.len(), value.len()] {
        match u8::try_from(len) {
            Ok(short) if short <= SHORT => out.push(short),
            _ => {
                let long = u32::try_from(len).ok().filter(|len| len >> 31 == 0);
                let long = long.expect("names and values are shorter than 2 GiB");
                out.extend_from_slice(&(long | 1 << 31).to_be_bytes());
            }
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

/// The names that GET_VALUES may ask for (section 4.1), in the order of [`Values`]' bits.
///
/// ```
/// let mut wire = Vec::new();
/// cgigate::fcgi::get_values(&mut wire, &cgigate::fcgi::VALUES); // all that can be asked
/// ```
pub const VALUES: [&[u8]; 3] = [b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS"];

/// What a gateway answers to GET_VALUES.
///
/// ```
/// use cgigate::fcgi::{Values, values_result};
///
/// // One request at a time, and none of them interleaved:
/// let (mut wire, values) = (Vec::new(), Values { max_conns: 1, max_reqs: 1, mpxs_conns: false });
/// values_result(&mut wire, 0b111, &values);
/// assert!(wire.ends_with(b"\x0f\x01FCGI_MPXS_CONNS0"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// `FCGI_MAX_CONNS`
    pub max_conns: usize,
    /// `FCGI_MAX_REQS`
    pub max_reqs: usize,
    /// `FCGI_MPXS_CONNS`
    pub mpxs_conns: bool,
}

/// The bits of the names in [`VALUES`] that a GET_VALUES body asks for. Others are not known, and
/// left out of the answer, as section 4.1 has it.
pub(super) fn asked(body: &[u8]) -> Result<u8, PairError> {
    let mut asked = 0;
    for found in pairs(body) {
        let (name, _) = found?;
        if let Some(at) = VALUES.iter().position(|known| *known == &body[name.clone()]) {
            asked |= 1 << at;
        }
    }
    Ok(asked)
}

/// Appends a GET_VALUES_RESULT record with the values asked for, each once.
///
/// ```
/// use cgigate::fcgi::{Values, values_result};
///
/// let values = Values { max_conns: 100, max_reqs: 1000, mpxs_conns: true };
/// let (mut wire, asked) = (Vec::new(), 0b100); // the third of `VALUES`
/// values_result(&mut wire, asked, &values);
/// assert_eq!(&wire[8..], b"\x0f\x01FCGI_MPXS_CONNS1");
/// ```
pub fn values_result(out: &mut Vec<u8>, asked: u8, values: &Values) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    let numbers = [values.max_conns, values.max_reqs, usize::from(values.mpxs_conns)];
    for (at, (name, number)) in VALUES.iter().zip(numbers).enumerate() {
        if asked & 1 << at != 0 {
            pair(out, name, number.to_string().as_bytes());
        }
    }
    // Three short names and numbers of at most twenty digits.
    let len = (out.len() - start - HEADER_LEN) as u16;
    out[start..start + HEADER_LEN].copy_from_slice(&header(RecordType::GetValuesResult, 0, len));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_of_one_byte_or_of_four() {
        for (name, value) in [(0, 0), (1, 127), (127, 128), (128, 127), (300, 70_000)] {
            let (name, value) = (vec![b'n'; name], vec![b'v'; value]);
            let mut wire = Vec::new();
            pair(&mut wire, &name, &value);
            let prefix = |len: usize| if len < 128 { 1 } else { 4 };
            let lengths = prefix(name.len()) + prefix(value.len());
            assert_eq!(wire.len(), lengths + name.len() + value.len());
            let found: Vec<_> = pairs(&wire).collect::<Result<_, _>>().unwrap();
            assert_eq!(
                (&wire[found[0].0.clone()], &wire[found[0].1.clone()]),
                (&name[..], &value[..])
            );
        }
    }

    #[test]
    fn a_stream_cut_anywhere_in_a_pair_is_an_error_that_says_where() {
        let mut wire = Vec::new();
        pair(&mut wire, b"A", b"1");
        let second = wire.len();
        pair(&mut wire, b"LONG", &[b'x'; 200]);
        for end in second + 1..wire.len() {
            let got: Result<Vec<_>, _> = pairs(&wire[..end]).collect();
            assert_eq!(got, Err(PairError { at: second }), "cut at {end}");
        }
        let claimed = pairs(b"\xff\xff\xff\xff\xff\xff\xff\xffx").next();
        assert_eq!(claimed, Some(Err(PairError { at: 0 })));
    }

    #[test]
    fn only_what_was_asked_is_answered_and_each_once() {
        let mut body = Vec::new();
        for name in ["FCGI_MPXS_CONNS", "OTHER", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"] {
            pair(&mut body, name.as_bytes(), b"");
        }
        let asked = asked(&body).unwrap();
        let mut wire = Vec::new();
        values_result(&mut wire, asked, &Values { max_conns: 1, max_reqs: 22, mpxs_conns: true });
        assert_eq!(&wire[..8], [1, 10, 0, 0, 0, 35, 0, 0]);
        assert_eq!(&wire[8..], b"\x0d\x02FCGI_MAX_REQS22\x0f\x01FCGI_MPXS_CONNS1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_pairs_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for found in pairs(&bytes).flatten() {
                prop_assert!(found.0.end == found.1.start && found.1.end <= bytes.len());
            }
        }
    }
}
