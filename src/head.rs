//! The head of a request as SCGI and uwsgi have it, as it comes in: a size, so many bytes of
//! name-value pairs, and what follows is the body. What differs between the two is a [`Wire`].
//!
//! ```text
//! Size ──── so many bytes ────► Content ── the last of them ──► End ── its byte, if any ──► Done
//! ```
//!
//! No I/O; imports nothing of this crate.
//!
//! What knows no more than this serves both:
//!
//! ```
//! use cgigate::head::{Event, Head, HeadError, Wire, pairs};
//! use cgigate::{scgi::Scgi, uwsgi::Uwsgi};
//!
//! /// How many variables a request has whose head lies at the front of `input`.
//! fn count<W: Wire>(input: &[u8]) -> Result<usize, HeadError> {
//!     match Head::<W>::new(64 << 10).next(input)? {
//!         (_, Some(Event::Params(params))) => {
//!             Ok(pairs::<W>(params).collect::<Result<Vec<_>, _>>()?.len())
//!         }
//!         _ => Ok(0), // none of them, or nothing of them yet
//!     }
//! }
//!
//! assert_eq!(count::<Scgi>(b"24:CONTENT_LENGTH\x002\0SCGI\x001\0,hi"), Ok(2));
//! assert_eq!(count::<Uwsgi>(b"\0\x06\0\0\x01\0A\x01\0b"), Ok(1));
//! ```

use std::{fmt::Debug, marker::PhantomData, ops::Range};

/// What one protocol's head has of its own.
///
/// ```
/// use cgigate::{head::Wire, scgi::Scgi, uwsgi::Uwsgi};
///
/// /// How many bytes a head takes whose pairs are of `len` bytes, once its size was read.
/// fn whole<W: Wire>(size_len: usize, len: usize) -> usize {
///     size_len + len + usize::from(W::END.is_some())
/// }
///
/// assert_eq!(whole::<Scgi>(3, 24), b"24:CONTENT_LENGTH\x002\0SCGI\x001\0,".len());
/// assert_eq!(whole::<Uwsgi>(4, 6), b"\0\x06\0\0\x01\0A\x01\0b".len());
/// ```
pub trait Wire: Copy + Debug {
    /// The byte behind the pairs, where there is one.
    ///
    /// ```
    /// use cgigate::{head::Wire, scgi::Scgi, uwsgi::Uwsgi};
    ///
    /// assert_eq!((Scgi::END, Uwsgi::END), (Some(b','), None));
    /// ```
    const END: Option<u8>;

    /// Reads the size at the front of `input`: how many bytes say it, and how many bytes of pairs
    /// follow, at most `max`; `None` while more bytes are needed.
    ///
    /// ```
    /// use cgigate::{head::{HeadError, Wire}, scgi::Scgi};
    ///
    /// assert_eq!(Scgi::size(b"24:CONTENT_L", 100), Ok(Some((3, 24))));
    /// assert_eq!(Scgi::size(b"24", 100), Ok(None)); // it may go on
    /// assert_eq!(Scgi::size(b"240:", 100), Err(HeadError::TooLong { max: 100 }));
    /// ```
    ///
    /// # Errors
    /// What comes is no head of this protocol, or a longer one than allowed.
    fn size(input: &[u8], max: usize) -> Result<Option<(usize, usize)>, HeadError>;

    /// The pair of a whole head that begins where the value of the last one ended, at first at 0.
    /// No pair follows an error.
    ///
    /// ```
    /// use cgigate::{head::Wire, uwsgi::Uwsgi};
    ///
    /// let head = b"\x01\0A\x01\0b\x01\0C\0\0";
    /// assert_eq!(Uwsgi::pair_at(head, 0), Some(Ok((2..3, 5..6))));
    /// assert_eq!(Uwsgi::pair_at(head, 6), Some(Ok((8..9, 11..11))));
    /// assert_eq!(Uwsgi::pair_at(head, 11), None);
    /// ```
    fn pair_at(head: &[u8], at: usize) -> Option<Result<Pair, HeadError>>;
}

/// Where in a head a name lies, and where its value.
///
/// ```
/// use cgigate::{head::Pair, uwsgi::pairs};
///
/// let head = b"\x01\0A\x01\0b";
/// let text = |(name, value): Pair| (&head[name], &head[value]);
/// assert!(pairs(head).flatten().map(text).eq([(&b"A"[..], &b"b"[..])]));
/// ```
pub type Pair = (Range<usize>, Range<usize>);

/// The pairs of a whole head; the first error is the last item.
///
/// ```
/// use cgigate::{head, uwsgi::Uwsgi};
///
/// let found: Vec<_> = head::pairs::<Uwsgi>(b"\x01\0A\x01\0b\x01\0C").collect();
/// assert_eq!(found, [Ok((2..3, 5..6)), Err(head::HeadError::Pair { at: 6 })]);
/// ```
pub fn pairs<W: Wire>(head: &[u8]) -> impl Iterator<Item = Result<Pair, HeadError>> {
    std::iter::successors(W::pair_at(head, 0), |last| W::pair_at(head, last.as_ref().ok()?.1.end))
}

/// What a piece of input came to. Borrows from the caller's buffer, never from the head.
///
/// ```
/// use cgigate::scgi::{Event, Head, HeadError};
///
/// let mut input = &b"24:CONTENT_LENGTH\x002\0SCGI\x001\0,hi"[..];
/// let (mut head, mut params) = (Head::new(1 << 20), Vec::new());
/// while let (used, Some(event)) = head.next(input)? {
///     input = &input[used..];
///     match event {
///         Event::Params(piece) => params.extend_from_slice(piece),
///         Event::ParamsEnd => break,
///     }
/// }
/// assert_eq!((params.len(), input), (24, &b"hi"[..])); // what is left is of the body
/// # Ok::<_, HeadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'i> {
    /// Some bytes of the pairs, which may be cut anywhere; never empty.
    Params(&'i [u8]),
    /// The pairs are whole, and what follows is the body.
    ParamsEnd,
}

/// The peer does not speak the protocol, or not well; the connection is of no more use.
///
/// ```
/// use cgigate::{head::HeadError, scgi};
///
/// // A web server speaks HTTP to a port where SCGI is spoken:
/// let error = scgi::Head::new(1 << 20).next(b"GET / HTTP/1.1\r\n").unwrap_err();
/// assert_eq!(error, HeadError::Netstring);
/// assert_eq!(error.to_string(), "the request does not begin with the length of a netstring");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// SCGI: no netstring; its length is no number, or begins with a zero.
    #[error("the request does not begin with the length of a netstring")]
    Netstring,
    /// uwsgi: a packet that is no request.
    #[error("a packet of modifier1 {0}, where only 0 is served")]
    Modifier(u8),
    /// More bytes of pairs than are allowed.
    #[error("a head of more than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// SCGI: the netstring is not ended by a comma.
    #[error("byte {0:#04x} stands where the comma behind the head should be")]
    Comma(u8),
    /// A pair that is cut short, or has a name of no bytes.
    #[error("the name-value pair at byte {at} is malformed")]
    Pair {
        /// Where in the pairs it begins.
        at: usize,
    },
    /// SCGI: the first pair is not a CONTENT_LENGTH of plain digits.
    #[error("the head does not begin with a CONTENT_LENGTH in digits")]
    ContentLength,
    /// SCGI: no pair says `SCGI` = `1`.
    #[error("the head does not say SCGI=1")]
    Version,
    /// SCGI: a name or a value to be sent holds a NUL, which the wire cannot say.
    #[error("a name or value with a NUL in it")]
    Nul,
}

/// The head of a request, as it comes in; [`scgi::Head`](crate::scgi::Head) and
/// [`uwsgi::Head`](crate::uwsgi::Head) have the examples.
///
/// ```
/// use cgigate::{head::Head, uwsgi::Uwsgi};
///
/// let mut head = Head::<Uwsgi>::new(1 << 20); // which is a uwsgi::Head
/// assert_eq!(head.next(b"\0\x06\0")?, (0, None)); // more, please
/// # Ok::<_, cgigate::head::HeadError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Head<W> {
    max: usize,
    decode: Decode,
    wire: PhantomData<W>,
}

/// Where in the head the next byte lies.
#[derive(Clone, Copy, Debug)]
enum Decode {
    Size,
    Content { left: usize },
    End,
    Done,
}

impl<W: Wire> Head<W> {
    /// A head of which nothing came yet, with at most `max` bytes of pairs.
    ///
    /// ```
    /// use cgigate::scgi::{Head, HeadError};
    ///
    /// let tight = Head::new(16).next(b"24:CONTENT_LENGTH\x002\0SCGI\x001\0,");
    /// assert_eq!(tight, Err(HeadError::TooLong { max: 16 }));
    /// ```
    pub const fn new(max: usize) -> Self {
        Self { max, decode: Decode::Size, wire: PhantomData }
    }

    /// Reads from the front of `input`, as far as the next event: how many bytes were used, and
    /// the event. No event means that more is needed; bytes not used must be there again at the
    /// next call. After [`Event::ParamsEnd`] nothing is used any more.
    ///
    /// ```
    /// use cgigate::uwsgi::{Event, Head, HeadError};
    ///
    /// let mut head = Head::new(1 << 20);
    /// assert_eq!(head.next(b"\0\x06\0\0\x01\0A")?, (7, Some(Event::Params(b"\x01\0A"))));
    /// assert_eq!(head.next(b"\x01\0b")?, (3, Some(Event::Params(b"\x01\0b"))));
    /// assert_eq!(head.next(b"the body")?, (0, Some(Event::ParamsEnd)));
    /// # Ok::<_, HeadError>(())
    /// ```
    ///
    /// # Errors
    /// What comes is no head of the protocol, or a longer one than allowed.
    pub fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Option<Event<'i>>), HeadError> {
        match self.decode {
            Decode::Size => {
                let Some((used, left)) = W::size(input, self.max)? else { return Ok((0, None)) };
                self.decode = Decode::Content { left };
                let (more, event) = self.next(&input[used..])?;
                Ok((used + more, event))
            }
            Decode::Content { left: 0 } => {
                self.decode = Decode::End;
                self.next(input)
            }
            Decode::Content { left } => {
                let piece = &input[..input.len().min(left)];
                if piece.is_empty() {
                    return Ok((0, None));
                }
                self.decode = Decode::Content { left: left - piece.len() };
                Ok((piece.len(), Some(Event::Params(piece))))
            }
            Decode::End => {
                let used = match (W::END, input.first()) {
                    (None, _) => 0,
                    (Some(_), None) => return Ok((0, None)),
                    (Some(end), Some(&byte)) if byte == end => 1,
                    (Some(_), Some(&other)) => return Err(HeadError::Comma(other)),
                };
                self.decode = Decode::Done;
                Ok((used, Some(Event::ParamsEnd)))
            }
            Decode::Done => Ok((0, None)),
        }
    }
}

/// Ways to hear a head, for the tests of both protocols.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The pairs of what `pieces` bring together, and how many bytes of body follow them.
    pub(crate) type Heard = Result<(Vec<u8>, Option<usize>), HeadError>;

    pub(crate) fn feed<W: Wire>(pieces: &[&[u8]], max: usize) -> Heard {
        let (mut head, mut pairs, mut held) = (Head::<W>::new(max), Vec::new(), Vec::new());
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

    pub(crate) fn the_same_however_cut<W: Wire>(wire: &[u8], max: usize) -> Heard {
        let whole = feed::<W>(&[wire], max);
        assert_eq!(feed::<W>(&wire.chunks(1).collect::<Vec<_>>(), max), whole, "byte by byte");
        for cut in 0..=wire.len() {
            assert_eq!(feed::<W>(&[&wire[..cut], &wire[cut..]], max), whole, "cut at {cut}");
        }
        whole
    }

    type Named = (Vec<u8>, Vec<u8>);

    pub(crate) fn read<W: Wire>(head: &[u8]) -> Result<Vec<Named>, HeadError> {
        let named = |(n, v): Pair| (head[n].to_vec(), head[v].to_vec());
        pairs::<W>(head).map(|pair| pair.map(named)).collect()
    }
}
