//! The uwsgi protocol without I/O: the head of a request, both ways. Imports nothing of this crate.
//!
//! ```text
//!  0          1..2                      3
//!  modifier1  bytes of pairs, little-   modifier2     then pairs, then the body
//!             endian
//!  pair: name length (2, little-endian)  name  value length (2, little-endian)  value
//! ```
//!
//! Modifier1 is 0 for a request of WSGI's variables, the only one served; modifier2 is its
//! argument and means nothing there. The body is as long as CONTENT_LENGTH says. One request a
//! connection, and the answer begins with an HTTP status line. Source: uWSGI's page on its protocol.

use nom::{
    IResult, Parser,
    combinator::verify,
    multi::length_data,
    number::complete::{be_u8, le_u16},
};
use std::ops::Range;

/// The most bytes of pairs that the wire can say.
pub const MAX_PAIRS: usize = u16::MAX as usize;

const HEADER_LEN: usize = 4;

/// What a piece of input came to. Borrows from the caller's buffer, never from the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// Some bytes of the pairs, which may be cut anywhere; never empty.
    Params(&'i [u8]),
    /// The pairs are whole, and what follows is the body.
    ParamsEnd,
}

/// The peer does not speak uwsgi, or not well; the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A packet that is no request.
    #[error("a packet of modifier1 {0}, which is not 0")]
    Modifier(u8),
    /// More bytes of pairs than are allowed.
    #[error("a head of more than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// A pair that is cut short, or has a name of no bytes.
    #[error("the name-value pair at byte {at} is malformed")]
    Pair {
        /// Where in the pairs it begins.
        at: usize,
    },
}

/// The head of a request, as it comes in.
///
/// ```
/// use cgigate::uwsgi::{Event, Head, HeadError};
///
/// let mut head = Head::new(1 << 20);
/// let (used, event) = head.next(b"\0\x06\0\0\x01\0A\x01\x00b and the body")?;
/// assert_eq!((used, event), (10, Some(Event::Params(b"\x01\0A\x01\0b"))));
/// let (used, event) = head.next(b" and the body")?;
/// assert_eq!((used, event), (0, Some(Event::ParamsEnd)));
/// # Ok::<_, HeadError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Head {
    max: usize,
    decode: Decode,
}

/// Where in the head the next byte lies.
#[derive(Clone, Copy, Debug)]
enum Decode {
    Header,
    Content { left: usize },
    Done,
}

impl Head {
    /// A head of which nothing came yet, with at most `max` bytes of pairs.
    pub const fn new(max: usize) -> Self {
        Self { max, decode: Decode::Header }
    }

    /// Reads from the front of `input`, as far as the next event: how many bytes were used, and
    /// the event. No event means that more is needed; bytes not used must be there again at the
    /// next call. After [`Event::ParamsEnd`] nothing is used any more.
    ///
    /// # Errors
    /// What comes is no request of uwsgi, or has a longer head than allowed.
    pub fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Option<Event<'i>>), HeadError> {
        match self.decode {
            Decode::Header => {
                let Ok((rest, (modifier, size))) = parse_header(input) else {
                    return Ok((0, None));
                };
                if modifier != 0 {
                    return Err(HeadError::Modifier(modifier));
                }
                let (left, max) = (usize::from(size), self.max);
                if left > max {
                    return Err(HeadError::TooLong { max });
                }
                self.decode = Decode::Content { left };
                let (more, event) = self.next(rest)?;
                Ok((HEADER_LEN + more, event))
            }
            Decode::Content { left: 0 } => {
                self.decode = Decode::Done;
                Ok((0, Some(Event::ParamsEnd)))
            }
            Decode::Content { left } => {
                let piece = &input[..input.len().min(left)];
                if piece.is_empty() {
                    return Ok((0, None));
                }
                self.decode = Decode::Content { left: left - piece.len() };
                Ok((piece.len(), Some(Event::Params(piece))))
            }
            Decode::Done => Ok((0, None)),
        }
    }
}

/// Modifier1 and the size of the pairs.
fn parse_header(input: &[u8]) -> IResult<&[u8], (u8, u16)> {
    let (input, (modifier1, size, _modifier2)) = (be_u8, le_u16, be_u8).parse(input)?;
    Ok((input, (modifier1, size)))
}

/// The pairs of a whole head: where in it each name and each value lies; the first error is the
/// last item.
///
/// ```
/// let pairs: Result<Vec<_>, _> = cgigate::uwsgi::pairs(b"\x01\0A\x01\0b").collect();
/// assert_eq!(pairs, Ok(vec![(2..3, 5..6)]));
/// ```
pub fn pairs(head: &[u8]) -> Pairs<'_> {
    Pairs { head, at: 0 }
}

/// See [`pairs`].
#[derive(Clone, Debug)]
pub struct Pairs<'h> {
    head: &'h [u8],
    at: usize,
}

impl Iterator for Pairs<'_> {
    type Item = Result<(Range<usize>, Range<usize>), HeadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (at, end) = (self.at, self.head.len());
        if at == end {
            return None;
        }
        let Ok((rest, (name, value))) = parse_pair(&self.head[at..]) else {
            self.at = end;
            return Some(Err(HeadError::Pair { at }));
        };
        self.at = end - rest.len();
        let name_at = at + size_of::<u16>();
        Some(Ok((name_at..name_at + name.len(), self.at - value.len()..self.at)))
    }
}

fn parse_pair(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let name = verify(length_data(le_u16), |name: &[u8]| !name.is_empty());
    (name, length_data(le_u16)).parse(input)
}

/// Appends the head of a request.
///
/// # Errors
/// [`HeadError::TooLong`] when the pairs take more than [`MAX_PAIRS`] bytes; `out` is as it was.
pub fn head<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    params: &[(N, V)],
) -> Result<(), HeadError> {
    let mut pairs = Vec::new();
    for (name, value) in params {
        for text in [name.as_ref(), value.as_ref()] {
            pairs.extend_from_slice(&size(text)?);
            pairs.extend_from_slice(text);
        }
    }
    let [low, high] = size(&pairs)?;
    out.extend_from_slice(&[0, low, high, 0]);
    out.extend_from_slice(&pairs);
    Ok(())
}

fn size(bytes: &[u8]) -> Result<[u8; 2], HeadError> {
    let size = u16::try_from(bytes.len());
    size.map(u16::to_le_bytes).map_err(|_| HeadError::TooLong { max: MAX_PAIRS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pairs of what `pieces` bring together, and how many bytes of body follow them.
    fn feed(pieces: &[&[u8]], max: usize) -> Result<(Vec<u8>, Option<usize>), HeadError> {
        let (mut head, mut pairs, mut held) = (Head::new(max), Vec::new(), Vec::new());
        let mut whole = false;
        for piece in pieces {
            held.extend_from_slice(piece);
            loop {
                let (used, event) = head.next(&held)?;
                match event {
                    Some(Event::Params(piece)) => pairs.extend_from_slice(piece),
                    Some(Event::ParamsEnd) => whole = true,
                    None => {
                        held.drain(..used);
                        break;
                    }
                }
                held.drain(..used);
            }
        }
        Ok((pairs, whole.then_some(held.len())))
    }

    fn the_same_however_cut(
        wire: &[u8],
        max: usize,
    ) -> Result<(Vec<u8>, Option<usize>), HeadError> {
        let whole = feed(&[wire], max);
        assert_eq!(feed(&wire.chunks(1).collect::<Vec<_>>(), max), whole, "byte by byte");
        for cut in 0..=wire.len() {
            assert_eq!(feed(&[&wire[..cut], &wire[cut..]], max), whole, "cut at {cut}");
        }
        whole
    }

    type Named = (Vec<u8>, Vec<u8>);

    fn read(head: &[u8]) -> Result<Vec<Named>, HeadError> {
        pairs(head).map(|pair| pair.map(|(n, v)| (head[n].to_vec(), head[v].to_vec()))).collect()
    }

    #[test]
    fn a_head_is_the_same_both_ways() {
        let wire = b"\0\x0d\0\0\x04\0NAME\x05\0value";
        let mut written = Vec::new();
        head(&mut written, &[("NAME", "value")]).unwrap();
        assert_eq!(written, wire);
        written.extend_from_slice(b"body");
        let (bytes, body) = the_same_however_cut(&written, 100).unwrap();
        assert_eq!(body, Some(4));
        assert_eq!(read(&bytes).unwrap(), [(b"NAME".to_vec(), b"value".to_vec())]);
    }

    #[test]
    fn a_head_of_no_pairs_is_whole_at_once() {
        assert_eq!(the_same_however_cut(b"\0\0\0\0", 100), Ok((vec![], Some(0))));
    }

    #[test]
    fn what_is_no_request_or_too_long_is_refused() {
        for (wire, error) in [
            (&b"GET / HTTP/1.1"[..], HeadError::Modifier(b'G')),
            (b"\x64\0\0\0", HeadError::Modifier(100)),
            (b"\0\x65\0\0", HeadError::TooLong { max: 100 }),
        ] {
            assert_eq!(the_same_however_cut(wire, 100), Err(error), "{}", wire.escape_ascii());
        }
        let long = [("N", "v".repeat(70_000))];
        assert_eq!(head(&mut Vec::new(), &long), Err(HeadError::TooLong { max: MAX_PAIRS }));
    }

    #[test]
    fn pairs_cut_anywhere_are_an_error_that_says_where() {
        let bytes = b"\x01\0A\x01\0b\x01\0C\x01\0d";
        for cut in 7..bytes.len() {
            let mut all = pairs(&bytes[..cut]);
            assert_eq!(all.next(), Some(Ok((2..3, 5..6))));
            assert_eq!(all.next(), Some(Err(HeadError::Pair { at: 6 })), "cut at {cut}");
            assert_eq!(all.next(), None);
        }
        assert_eq!(pairs(b"\0\0\x01\0v").next(), Some(Err(HeadError::Pair { at: 0 })));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            params in proptest::collection::vec((".{1,20}", ".{0,200}"), 0..20),
            cut: prop::sample::Index,
        ) {
            let mut wire = Vec::new();
            head(&mut wire, &params).unwrap();
            let cut = cut.index(wire.len() + 1);
            let (bytes, body) = feed(&[&wire[..cut], &wire[cut..]], MAX_PAIRS).unwrap();
            prop_assert_eq!(body, Some(0));
            let params: Vec<_> =
                params.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
            prop_assert_eq!(read(&bytes).unwrap(), params);
        }

        #[test]
        fn no_bytes_bring_it_down(bytes: Vec<u8>) {
            let _ = feed(&[&bytes], 1 << 20);
            let _ = read(&bytes);
        }
    }
}
