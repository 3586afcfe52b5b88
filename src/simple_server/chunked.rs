//! The chunked transfer coding (RFC 9112 section 7.1): bytes in, pieces of a body out.
//!
//! Strict, as the request heads: whoever ends a chunk elsewhere than the one in front of us sees
//! another request behind it. Extensions are skipped and trailers thrown away, within limits.

use super::refused::Refused;

/// What the framing may cost in all, trailers and extensions: bytes that are not the body's.
const MAX_FRAMING: usize = 64 << 10;
/// Bytes of the line with a chunk's size.
const LONGEST_LINE: usize = 4 << 10;
/// Of the framing, bytes that every chunk has.
const PLAIN: usize = "ffffffff\r\n\r\n".len();
/// Hexadecimal digits of a size that fits 64 bits.
const MAX_DIGITS: u32 = 16;

const SIZE: Refused = Refused::bad("a chunk has no size");
const END: Refused = Refused::bad("a chunk does not end where its size says");
const LINE: Refused = Refused::bad("a line between chunks is malformed, or too long");
const TRAILER: Refused = Refused::bad("a trailer is malformed, or the trailers are too long");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a size, of which so many came.
    Size(u32),
    /// In white space before an extension, where nothing but `;` may follow.
    Blank,
    /// In an extension.
    Extension,
    /// After the CR behind a size.
    SizeEnd,
    Data,
    /// After the data: CR, then LF.
    DataCr,
    DataLf,
    /// At the beginning of a line behind the last chunk, in its name, in its value, behind its CR.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// After the CR of the empty line.
    LastLf,
    Done,
}

/// A decoder: feed it what came, in order.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    state: State,
    /// Of the size as far as it is known, then of the data to come.
    left: u64,
    line: usize,
    framing: usize,
    announced: u64,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'i> {
    /// Bytes of the body.
    Data(&'i [u8]),
    /// All was looked at: more, please.
    More,
    /// The body is whole.
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { state: State::Size(0), left: 0, line: 0, framing: 0, announced: 0 }
    }

    /// Bytes of the body that the sizes so far come to.
    pub(super) fn announced(&self) -> u64 {
        self.announced
    }

    /// How many bytes were used, and what they came to.
    pub(super) fn next<'i>(&mut self, input: &'i [u8]) -> Result<(usize, Piece<'i>), Refused> {
        let mut at = 0;
        loop {
            if self.state == State::Done {
                return Ok((at, Piece::End));
            }
            if self.state == State::Data {
                let room = usize::try_from(self.left).unwrap_or(usize::MAX);
                let n = room.min(input.len() - at);
                if n == 0 {
                    return Ok((at, Piece::More));
                }
                self.left -= n as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                return Ok((at + n, Piece::Data(&input[at..at + n])));
            }
            let Some(&byte) = input.get(at) else { return Ok((at, Piece::More)) };
            at += 1;
            self.framing(byte)?;
        }
    }

    /// One byte that is not the body's.
    fn framing(&mut self, byte: u8) -> Result<(), Refused> {
        use State::{
            Blank, Data, DataCr, DataLf, Done, Extension, LastLf, Size, SizeEnd, Trailer,
            TrailerEnd, TrailerName, TrailerValue,
        };
        (self.line, self.framing) = (self.line + 1, self.framing + 1);
        if self.line > LONGEST_LINE || self.framing > MAX_FRAMING {
            return Err(LINE);
        }
        self.state = match (self.state, byte) {
            (Size(digits), _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(digit);
                Size(digits + 1)
            }
            (Size(1..) | Extension, b'\r') => SizeEnd,
            (Size(1..) | Blank, b' ' | b'\t') => Blank,
            (Size(1..) | Blank, b';') => Extension,
            (Extension, b'\t' | b' '..=b'~' | 0x80..) => Extension,
            (SizeEnd, b'\n') => {
                self.line = 0;
                self.announced = self.announced.saturating_add(self.left);
                if self.left == 0 { Trailer } else { Data }
            }
            (DataCr, b'\r') => DataLf,
            (DataLf, b'\n') => {
                (self.line, self.left) = (0, 0);
                // A size and line ends are what a chunk has to have.
                self.framing = self.framing.saturating_sub(PLAIN);
                Size(0)
            }
            (Trailer, b'\r') => LastLf,
            (Trailer | TrailerName, _) if is_tchar(byte) => TrailerName,
            (TrailerName, b':') => TrailerValue,
            (TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => TrailerValue,
            (TrailerValue, b'\r') => TrailerEnd,
            (TrailerEnd, b'\n') => {
                self.line = 0;
                Trailer
            }
            (LastLf, b'\n') => Done,
            (Size(_), _) => return Err(SIZE),
            (Blank | Extension | SizeEnd, _) => return Err(LINE),
            (DataCr | DataLf, _) => return Err(END),
            (Trailer | TrailerName | TrailerValue | TrailerEnd | LastLf | Data | Done, _) => {
                return Err(TRAILER);
            }
        };
        Ok(())
    }
}

/// RFC 9110 section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body, and what is left behind it; `Ok(None)`: not all of it is there.
    fn decode(pieces: &[&[u8]]) -> Result<Option<(Vec<u8>, usize)>, Refused> {
        let (mut chunks, mut body) = (Chunks::new(), Vec::new());
        for (n, piece) in pieces.iter().enumerate() {
            let mut rest = *piece;
            loop {
                let (used, came) = chunks.next(rest)?;
                rest = &rest[used..];
                match came {
                    Piece::Data(data) => body.extend_from_slice(data),
                    Piece::More => break,
                    Piece::End => {
                        let behind: usize = pieces[n + 1..].iter().map(|piece| piece.len()).sum();
                        return Ok(Some((body, rest.len() + behind)));
                    }
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_become_a_body_and_what_follows_is_left() {
        for (sent, body, left) in [
            ("0\r\n\r\n", "", 0),
            ("5\r\nhello\r\n0\r\n\r\nGET", "hello", 3),
            (
                "5;a=b;c=\"d\"\r\nhello\r\n6 ; x\r\n world\r\n0\r\nA: b\r\nC:d\r\n\r\n",
                "hello world",
                0,
            ),
            ("00A\r\n0123456789\r\n000\r\n\r\n", "0123456789", 0),
        ] {
            let whole = decode(&[sent.as_bytes()]);
            assert_eq!(whole, Ok(Some((body.into(), left))), "{sent:?}");
            let bytes: Vec<_> = sent.as_bytes().chunks(1).collect();
            assert_eq!(decode(&bytes), whole, "{sent:?} byte by byte");
        }
        assert_eq!(decode(&[b"5\r\nhel"]), Ok(None));
    }

    #[test]
    fn what_another_might_read_otherwise_is_refused() {
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(LONGEST_LINE));
        let many = "A: b\r\n".repeat(MAX_FRAMING / 5);
        let extended = "1;eeeeeeeeeeeeeeeeeeeeeeeeeeeeee\r\nx\r\n".repeat(MAX_FRAMING / 16);
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            " 1\r\n",
            "1 \r\nx\r\n",
            "1\nx\n0\n\n",
            "1\r\nx\n0\r\n\r\n",
            "1\rx\r\n",
            "1\r\nxy\r\n",
            "1\r\nx0\r\n\r\n",
            "11111111111111111\r\n",
            "1;\n\r\nx",
            "1;\0\r\nx",
            "1;a\rb\r\nx",
            "1 1\r\nx",
            "0\r\nA\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\n A: b\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: b\r\n folded\r\n\r\n",
            "0\r\nA: \0\r\n\r\n",
            "0\r\n\n",
            "0\r\nGET / HTTP/1.1\r\n\r\n",
            &long,
            &format!("0\r\n{many}\r\n"),
            &extended,
        ] {
            let got = decode(&[bad.as_bytes()]);
            assert!(
                matches!(got, Err(Refused { status: "400 Bad Request", .. })),
                "{bad:.60?}: {got:?}"
            );
        }
        let small = format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(MAX_FRAMING));
        assert!(
            matches!(decode(&[small.as_bytes()]), Ok(Some((body, 0))) if body.len() == MAX_FRAMING)
        );
    }

    proptest! {
        #[test]
        fn a_body_comes_out_as_it_went_in(
            blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8),
            cut in 1usize..50,
        ) {
            let mut sent = Vec::new();
            for block in &blocks {
                sent.extend(format!("{:x}\r\n", block.len()).bytes());
                sent.extend(block);
                sent.extend(b"\r\n");
            }
            sent.extend(b"0\r\n\r\nrest");
            let pieces: Vec<_> = sent.chunks(cut).collect();
            prop_assert_eq!(decode(&pieces), Ok(Some((blocks.concat(), 4))));
        }
    }
}
