//! SCGI without I/O: the head of a request, both ways.
//!
//! ```text
//! 24:CONTENT_LENGTH 0 27 0 SCGI 0 1 0 ... ,27 bytes of body      (each lone 0 is a NUL)
//! ```
//!
//! A netstring of names and values, each ended by a NUL, CONTENT_LENGTH first and `SCGI` = `1`
//! among them; the body follows, and its end is where CONTENT_LENGTH says. One request a
//! connection; the answer has no frame at all. Source: the SCGI document of 2008, sections 3 and 4.
//!
//! Names that come twice are let through, which section 4 forbids: nginx sends one for each header
//! field that the client sent twice.
//!
//! ```
//! use cgigate::scgi::{Event, Head, HeadError, head, pairs};
//!
//! let mut request = Vec::new();
//! head(&mut request, 2, &[("REQUEST_METHOD", "POST")])?; // the web server's side
//! request.extend_from_slice(b"hi");
//!
//! let (used, event) = Head::new(1 << 20).next(&request)?; // and the application's
//! let Some(Event::Params(params)) = event else { panic!("it lies there whole") };
//! assert_eq!(pairs(params).collect::<Result<Vec<_>, _>>()?.len(), 3);
//! assert_eq!(&request[used..], b",hi");
//! # Ok::<_, HeadError>(())
//! ```

use crate::head::{self, Pair, Wire};
use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_till, take_till1},
    character::streaming::{char, digit1},
    sequence::terminated,
};

pub use crate::head::{Event, HeadError};

/// The head of a request, as it comes in.
///
/// ```
/// use cgigate::scgi::{Event, Head, HeadError};
///
/// let mut head = Head::new(1 << 20);
/// let (used, event) = head.next(b"24:CONTENT_LENGTH\x002\0SCGI\x001\0,hi")?;
/// assert_eq!((used, event), (27, Some(Event::Params(b"CONTENT_LENGTH\x002\0SCGI\x001\0"))));
/// let (used, event) = head.next(b",hi")?;
/// assert_eq!((used, event), (1, Some(Event::ParamsEnd)));
/// # Ok::<_, HeadError>(())
/// ```
pub type Head = head::Head<Scgi>;

/// What SCGI's head has of its own: a netstring around it.
///
/// ```
/// use cgigate::{head::{Head, pairs}, scgi::Scgi};
///
/// // For what serves both protocols; who serves this one says `scgi::Head` and `scgi::pairs`.
/// let mut head = Head::<Scgi>::new(1 << 20);
/// assert_eq!(pairs::<Scgi>(b"CONTENT_LENGTH\x000\0SCGI\x001\0").count(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scgi;

impl Wire for Scgi {
    const END: Option<u8> = Some(b',');

    fn size(input: &[u8], max: usize) -> Result<Option<(usize, usize)>, HeadError> {
        length(input, max)
    }

    fn pair_at(head: &[u8], at: usize) -> Option<Result<Pair, HeadError>> {
        pair_at(head, at)
    }
}

/// The most digits of a netstring's length: what needs more is no head.
const MAX_DIGITS: usize = 10;

/// The bytes up to the colon, and the length that they say, once the colon has come.
fn length(input: &[u8], max: usize) -> Result<Option<(usize, usize)>, HeadError> {
    // No further than the colon may be, so that the error is the same however the input is cut.
    let front = &input[..input.len().min(MAX_DIGITS + 1)];
    match parse_length(front) {
        // An empty head has no CONTENT_LENGTH, and so no zero may come first at all.
        Ok((_, [b'0', ..])) => Err(HeadError::Netstring),
        Ok((_, digits)) => match decimal(digits).and_then(|len| usize::try_from(len).ok()) {
            Some(len) if len <= max => Ok(Some((digits.len() + 1, len))),
            _ => Err(HeadError::TooLong { max }),
        },
        Err(nom::Err::Incomplete(_)) if front.len() <= MAX_DIGITS => Ok(None),
        Err(nom::Err::Incomplete(_)) => Err(HeadError::TooLong { max }),
        Err(_) => Err(HeadError::Netstring),
    }
}

fn parse_length(input: &[u8]) -> IResult<&[u8], &[u8]> {
    terminated(digit1, char(':')).parse(input)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// The pairs of a whole head: where in it each name and each value lies. That CONTENT_LENGTH comes
/// first and `SCGI` = `1` comes at all is seen to here; the first error is the last item.
///
/// ```
/// let head = b"CONTENT_LENGTH\x002\0SCGI\x001\0";
/// let pairs: Result<Vec<_>, _> = cgigate::scgi::pairs(head).collect();
/// assert_eq!(pairs, Ok(vec![(0..14, 15..16), (17..21, 22..23)]));
/// ```
pub fn pairs(head: &[u8]) -> impl Iterator<Item = Result<Pair, HeadError>> {
    head::pairs::<Scgi>(head)
}

fn pair_at(head: &[u8], mut at: usize) -> Option<Result<Pair, HeadError>> {
    let is_first = at == 0;
    loop {
        // Behind the NUL of the last value.
        let start = if is_first { 0 } else { at + 1 };
        let rest = head.get(start..)?;
        if rest.is_empty() && !is_first {
            return (!says_version(head)).then_some(Err(HeadError::Version));
        }
        let (name, value) = match parse_pair(rest) {
            Ok((_, pair)) => pair,
            Err(_) if is_first => return Some(Err(HeadError::ContentLength)),
            Err(_) => return Some(Err(HeadError::Pair { at: start })),
        };
        let is_length = name == b"CONTENT_LENGTH";
        // One that is too large for any body is a length all the same.
        if is_first && !(is_length && is_number(value)) {
            return Some(Err(HeadError::ContentLength));
        }
        let name_end = start + name.len();
        at = name_end + 1 + value.len();
        // nginx says it again, perhaps empty, where its configuration has a scgi_param for it.
        if is_first || !is_length || !value.is_empty() {
            return Some(Ok((start..name_end, name_end + 1..at)));
        }
    }
}

/// Whether `SCGI` = `1` is among pairs that are whole.
fn says_version(head: &[u8]) -> bool {
    let mut texts = head.split(|&byte| byte == 0);
    std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).any(|pair| pair == (b"SCGI", b"1"))
}

fn parse_pair(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let nul = |byte| byte == 0;
    let name = terminated(take_till1(nul), tag(&b"\0"[..]));
    let value = terminated(take_till(nul), tag(&b"\0"[..]));
    (name, value).parse(input)
}

/// Appends the head of a request: CONTENT_LENGTH, `SCGI`, then `params`, which hold neither.
///
/// ```
/// let mut request = Vec::new();
/// cgigate::scgi::head(&mut request, 2, &[("REQUEST_METHOD", "POST")])?;
/// request.extend_from_slice(b"hi");
/// assert_eq!(request, b"44:CONTENT_LENGTH\x002\0SCGI\x001\0REQUEST_METHOD\0POST\0,hi");
/// # Ok::<_, cgigate::scgi::HeadError>(())
/// ```
///
/// # Errors
/// [`HeadError::Nul`]; `out` is as it was.
pub fn head<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    content_length: u64,
    params: &[(N, V)],
) -> Result<(), HeadError> {
    let mut pairs = format!("CONTENT_LENGTH\0{content_length}\0SCGI\x001\0").into_bytes();
    for (name, value) in params {
        for text in [name.as_ref(), value.as_ref()] {
            if text.contains(&0) {
                return Err(HeadError::Nul);
            }
            pairs.extend_from_slice(text);
            pairs.push(0);
        }
    }
    out.extend_from_slice(format!("{}:", pairs.len()).as_bytes());
    out.extend_from_slice(&pairs);
    out.push(b',');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::{feed, read, the_same_however_cut};
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_document_is_read_and_written() {
        let wire = b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,What is the answer to life?";
        let (head_bytes, body) = the_same_however_cut::<Scgi>(wire, 100).unwrap();
        assert_eq!(body, Some(27));
        assert_eq!(read::<Scgi>(&head_bytes).unwrap().len(), 4);
        let mut written = Vec::new();
        let params = [("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/deepthought")];
        head(&mut written, 27, &params).unwrap();
        assert_eq!(written, wire[..wire.len() - 27]);
    }

    #[test]
    fn what_is_no_netstring_is_refused() {
        use HeadError::{Comma, Netstring, TooLong};
        for (wire, error) in [
            (&b"GET / HTTP/1.1"[..], Netstring),
            (b":", Netstring),
            (b"-1:", Netstring),
            (b"07:", Netstring),
            (b"0:,", Netstring),
            (b"5 :", Netstring),
            (b"101:", TooLong { max: 100 }),
            (b"99999999999", TooLong { max: 100 }),
            (b"99999999999999999999999:", TooLong { max: 100 }),
            // Met by the fuzzer: whole it was no netstring, byte by byte too long.
            (b"77777777777777777777[77:", TooLong { max: 100 }),
            (b"1:a;", Comma(b';')),
        ] {
            assert_eq!(
                the_same_however_cut::<Scgi>(wire, 100),
                Err(error),
                "{}",
                wire.escape_ascii()
            );
        }
    }

    #[test]
    fn a_head_cut_anywhere_asks_for_more() {
        let mut wire = Vec::new();
        head(&mut wire, 0, &[("A", "1")]).unwrap();
        for cut in 0..wire.len() {
            assert_eq!(feed::<Scgi>(&[&wire[..cut]], 100).unwrap().1, None, "cut at {cut}");
        }
    }

    #[test]
    fn malformed_pairs_are_refused_and_the_error_is_the_last_item() {
        use HeadError::{ContentLength, Pair, Version};
        for (head, error) in [
            (&b""[..], ContentLength),
            (b"SCGI\x001\0CONTENT_LENGTH\x000\0", ContentLength),
            (b"CONTENT_LENGTH\0\0SCGI\x001\0", ContentLength),
            (b"CONTENT_LENGTH\0-1\0SCGI\x001\0", ContentLength),
            (b"CONTENT_LENGTH\x000\0", Version),
            (b"CONTENT_LENGTH\x000\0SCGI\x002\0", Version),
            (b"CONTENT_LENGTH\x000\0SCGI\x001\0A", Pair { at: 24 }),
            (b"CONTENT_LENGTH\x000\0SCGI\x001\0A\0b", Pair { at: 24 }),
            (b"CONTENT_LENGTH\x000\0SCGI\x001\0\0b\0", Pair { at: 24 }),
        ] {
            let mut all = pairs(head);
            assert_eq!(all.by_ref().find_map(Result::err), Some(error), "{}", head.escape_ascii());
            assert_eq!(all.next(), None);
        }
        assert_eq!(super::head(&mut Vec::new(), 0, &[("A", "b\0c")]), Err(HeadError::Nul));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            length: u64,
            params in proptest::collection::vec(("[^\0]{1,20}", "[^\0]{0,200}"), 0..20),
            cut: prop::sample::Index,
        ) {
            let mut wire = Vec::new();
            head(&mut wire, length, &params).unwrap();
            let cut = cut.index(wire.len() + 1);
            let (bytes, body) = feed::<Scgi>(&[&wire[..cut], &wire[cut..]], 1 << 20).unwrap();
            prop_assert_eq!(body, Some(0));
            let read = read::<Scgi>(&bytes).unwrap();
            prop_assert_eq!(&read[0].1, &length.to_string().into_bytes());
            let params: Vec<_> =
                params.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
            prop_assert_eq!(&read[2..], &params[..]);
        }

        #[test]
        fn no_bytes_bring_it_down(bytes: Vec<u8>) {
            let _ = feed::<Scgi>(&[&bytes], 1 << 20);
            let _ = read::<Scgi>(&bytes);
        }
    }
}
