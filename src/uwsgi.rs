//! The uwsgi protocol without I/O: the head of a request, both ways.
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
//!
//! ```
//! use cgigate::uwsgi::{Event, Head, HeadError, head, pairs};
//!
//! let mut request = Vec::new();
//! head(&mut request, &[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/")])?; // the web server's side
//!
//! let (_, event) = Head::new(1 << 16).next(&request)?; // and the application's
//! let Some(Event::Params(params)) = event else { panic!("it lies there whole") };
//! let (_, path) = pairs(params).last().expect("there are two")?;
//! assert_eq!(&params[path], b"/");
//! # Ok::<_, HeadError>(())
//! ```

use crate::head::{self, Pair, Wire};
use nom::{
    IResult, Parser,
    combinator::verify,
    multi::length_data,
    number::complete::{be_u8, le_u16},
};

pub use crate::head::{Event, HeadError};

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
pub type Head = head::Head<Uwsgi>;

/// What uwsgi's head has of its own: four bytes before it.
///
/// ```
/// use cgigate::{head::{Head, pairs}, uwsgi::Uwsgi};
///
/// // For what serves both protocols; who serves this one says `uwsgi::Head` and `uwsgi::pairs`.
/// let mut head = Head::<Uwsgi>::new(1 << 20);
/// assert_eq!(pairs::<Uwsgi>(b"\x01\0A\x01\0b").count(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Uwsgi;

impl Wire for Uwsgi {
    const END: Option<u8> = None;

    fn size(input: &[u8], max: usize) -> Result<Option<(usize, usize)>, HeadError> {
        match parse_header(input) {
            Err(_) => Ok(None),
            Ok((_, (modifier1 @ 1.., _))) => Err(HeadError::Modifier(modifier1)),
            Ok((_, (0, size))) if usize::from(size) > max => Err(HeadError::TooLong { max }),
            Ok((_, (0, size))) => Ok(Some((HEADER_LEN, size.into()))),
        }
    }

    fn pair_at(head: &[u8], at: usize) -> Option<Result<Pair, HeadError>> {
        let rest = head.get(at..).filter(|rest| !rest.is_empty())?;
        let Ok((rest, (name, value))) = parse_pair(rest) else {
            return Some(Err(HeadError::Pair { at }));
        };
        let end = head.len() - rest.len();
        let name_at = at + size_of::<u16>();
        Some(Ok((name_at..name_at + name.len(), end - value.len()..end)))
    }
}

/// The most bytes of pairs that the wire can say.
///
/// ```
/// use cgigate::uwsgi::{HeadError, MAX_PAIRS, head};
///
/// let cookie = "x".repeat(MAX_PAIRS);
/// let sent = head(&mut Vec::new(), &[("HTTP_COOKIE", cookie)]);
/// assert_eq!(sent, Err(HeadError::TooLong { max: MAX_PAIRS })); // by SCGI it would go
/// ```
pub const MAX_PAIRS: usize = u16::MAX as usize;

const HEADER_LEN: usize = 4;

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
pub fn pairs(head: &[u8]) -> impl Iterator<Item = Result<Pair, HeadError>> {
    head::pairs::<Uwsgi>(head)
}

fn parse_pair(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let name = verify(length_data(le_u16), |name: &[u8]| !name.is_empty());
    (name, length_data(le_u16)).parse(input)
}

/// Appends the head of a request.
///
/// ```
/// let mut request = Vec::new();
/// cgigate::uwsgi::head(&mut request, &[("A", "b")])?;
/// assert_eq!(request, b"\0\x06\0\0\x01\0A\x01\0b");
/// # Ok::<_, cgigate::uwsgi::HeadError>(())
/// ```
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
    use crate::head::tests::{feed, read, the_same_however_cut};
    use proptest::prelude::*;

    #[test]
    fn a_head_is_the_same_both_ways() {
        let wire = b"\0\x0d\0\0\x04\0NAME\x05\0value";
        let mut written = Vec::new();
        head(&mut written, &[("NAME", "value")]).unwrap();
        assert_eq!(written, wire);
        written.extend_from_slice(b"body");
        let (bytes, body) = the_same_however_cut::<Uwsgi>(&written, 100).unwrap();
        assert_eq!(body, Some(4));
        assert_eq!(read::<Uwsgi>(&bytes).unwrap(), [(b"NAME".to_vec(), b"value".to_vec())]);
    }

    #[test]
    fn a_head_of_no_pairs_is_whole_at_once() {
        assert_eq!(the_same_however_cut::<Uwsgi>(b"\0\0\0\0", 100), Ok((vec![], Some(0))));
    }

    #[test]
    fn what_is_no_request_or_too_long_is_refused() {
        for (wire, error) in [
            (&b"GET / HTTP/1.1"[..], HeadError::Modifier(b'G')),
            (b"\x64\0\0\0", HeadError::Modifier(100)),
            (b"\0\x65\0\0", HeadError::TooLong { max: 100 }),
        ] {
            assert_eq!(
                the_same_however_cut::<Uwsgi>(wire, 100),
                Err(error),
                "{}",
                wire.escape_ascii()
            );
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
            let (bytes, body) = feed::<Uwsgi>(&[&wire[..cut], &wire[cut..]], MAX_PAIRS).unwrap();
            prop_assert_eq!(body, Some(0));
            let params: Vec<_> =
                params.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
            prop_assert_eq!(read::<Uwsgi>(&bytes).unwrap(), params);
        }

        #[test]
        fn no_bytes_bring_it_down(bytes: Vec<u8>) {
            let _ = feed::<Uwsgi>(&[&bytes], 1 << 20);
            let _ = read::<Uwsgi>(&bytes);
        }
    }
}
