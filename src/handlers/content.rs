//! The body of a request: how long it is, and a stream that ends where it ends.

use crate::types::{RequestFault, Vars, to_native};
use std::io::{self, BufRead, Read};

/// How the end of a request's body is known.
///
/// ```
/// use cgigate::handlers::Content;
///
/// let vars = [("CONTENT_LENGTH", "5")].into_iter().collect();
/// assert_eq!(Content::of_cgi(&vars)?, Content::Length(5));
/// assert!(Content::length(&[("CONTENT_LENGTH", "five")].into_iter().collect()).is_err());
/// # Ok::<_, cgigate::types::RequestFault>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// After so many bytes (RFC 3875 section 4.1.2).
    Length(u64),
    /// Not told: where the stream ends.
    UntilEnd,
    /// The stream is still in chunks (RFC 9112 section 7.1).
    Chunked,
}

impl Content {
    /// What CONTENT_LENGTH says: `None` where it is absent, empty or `-1`, by which Caddy means
    /// that it does not know.
    ///
    /// ```
    /// use cgigate::{Vars, handlers::Content};
    ///
    /// let vars = |length: &str| -> Vars { [("CONTENT_LENGTH", length)].into_iter().collect() };
    /// assert_eq!(Content::length(&vars("5"))?, Some(5));
    /// assert_eq!(Content::length(&vars("-1"))?, None);
    /// let fault = Content::length(&vars("5, 7")).unwrap_err();
    /// assert_eq!(fault.status(), "400 Bad Request");
    /// # Ok::<_, cgigate::types::RequestFault>(())
    /// ```
    ///
    /// # Errors
    /// It is anything else but digits, or over 64 bits.
    pub fn length(vars: &Vars) -> Result<Option<u64>, RequestFault> {
        Self::length_in(vars, "CONTENT_LENGTH")
    }

    /// The same of another variable: FCGI_DATA_LENGTH (FastCGI section 6.4).
    pub(crate) fn length_in(vars: &Vars, name: &str) -> Result<Option<u64>, RequestFault> {
        let Some(value) = vars.filled(name).filter(|value| *value != b"-1") else {
            return Ok(None);
        };
        if !value.iter().all(u8::is_ascii_digit) {
            return Err(RequestFault::BadLength(to_native(value).into_owned()));
        }
        let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        length.map(Some).ok_or(RequestFault::BodyTooLong { limit: u64::MAX })
    }

    /// How many bytes are still to come at the beginning, as far as is known, and whether that is all.
    fn begin(self) -> (u64, bool) {
        match self {
            Self::Length(length) => (length, length == 0),
            Self::UntilEnd => (u64::MAX, false),
            Self::Chunked => (0, false),
        }
    }

    /// The body of a CGI request. Without a length there is none, unless the client sent chunks:
    /// then the web server has decoded them and closes the stream at the end; busybox alone hands
    /// over the chunks themselves.
    ///
    /// ```
    /// use cgigate::handlers::Content;
    ///
    /// let apache = [("HTTP_TRANSFER_ENCODING", "chunked"), ("SERVER_SOFTWARE", "Apache/2.4")];
    /// assert_eq!(Content::of_cgi(&apache.into_iter().collect())?, Content::UntilEnd);
    /// # Ok::<_, cgigate::types::RequestFault>(())
    /// ```
    ///
    /// # Errors
    /// As [`length`](Self::length).
    pub fn of_cgi(vars: &Vars) -> Result<Self, RequestFault> {
        if let Some(length) = Self::length(vars)? {
            return Ok(Self::Length(length));
        }
        let coding = vars.get("HTTP_TRANSFER_ENCODING").unwrap_or_default();
        let software = vars.get("SERVER_SOFTWARE").unwrap_or_default();
        Ok(match coding.eq_ignore_ascii_case(b"chunked") {
            false => Self::Length(0),
            true if software.starts_with(b"busybox") => Self::Chunked,
            true => Self::UntilEnd,
        })
    }
}

/// `wsgi.input` over a stream that may go on behind the body.
///
/// ```
/// use cgigate::handlers::{Content, ContentInput};
/// use std::io::Read;
///
/// let (stream, mut text) = (&b"hello, and the next request"[..], String::new());
/// ContentInput::new(stream, Content::Length(5), u64::MAX).read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// let mut short = ContentInput::new(&b"hel"[..], Content::Length(5), u64::MAX);
/// assert!(short.read_to_string(&mut text).is_err());
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct ContentInput<R> {
    stream: R,
    content: Content,
    /// Of the body, or of the chunk: bytes still to come.
    left: u64,
    /// Bytes handed out so far, and how many there may be.
    taken: u64,
    limit: u64,
    ended: bool,
    /// Why there is no body to be read.
    fault: Option<RequestFault>,
}

impl<R: BufRead> ContentInput<R> {
    /// The body of `content` at the front of `stream`; more than `limit` bytes are an error.
    ///
    /// ```
    /// use cgigate::{Exception, handlers::{Content, ContentInput}, types::RequestFault};
    /// use std::io::{Read, copy, sink};
    ///
    /// let mut input = ContentInput::new(&b"more than was agreed on"[..], Content::UntilEnd, 10);
    /// let error: Exception = copy(&mut input, &mut sink()).unwrap_err().into();
    /// let status = RequestFault::find(&error).map(RequestFault::status);
    /// assert_eq!(status, Some("413 Content Too Large"));
    /// ```
    pub fn new(stream: R, content: Content, limit: u64) -> Self {
        let (left, ended) = content.begin();
        Self { stream, content, left, taken: 0, limit, ended, fault: None }
    }

    /// Another body follows on the same stream.
    pub(crate) fn restart(&mut self, content: Content, limit: u64) {
        (self.content, self.taken, self.limit) = (content, 0, limit);
        (self.left, self.ended) = content.begin();
    }

    /// What it reads from.
    pub(crate) fn stream_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    /// The body of the CGI request that has these variables ([`Content::of_cgi`]). Where they say
    /// nothing that makes sense, every read fails with that.
    ///
    /// ```
    /// use cgigate::{Vars, handlers::ContentInput};
    /// use std::io::Read;
    ///
    /// let vars: Vars = [("CONTENT_LENGTH", "4")].into_iter().collect();
    /// let (stdin, mut body) = (&b"body, and what some server adds\r\n"[..], String::new());
    /// ContentInput::of_cgi(stdin, &vars).read_to_string(&mut body)?;
    /// assert_eq!(body, "body");
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn of_cgi(stream: R, vars: &Vars) -> Self {
        match Content::of_cgi(vars) {
            Ok(content) => Self::new(stream, content, u64::MAX),
            Err(fault) => {
                let input = Self::new(stream, Content::Length(0), 0);
                Self { fault: Some(fault), ..input }
            }
        }
    }

    /// Goes on to the next chunk; its size is zero at the end.
    fn next_chunk(&mut self) -> io::Result<()> {
        if self.taken > 0 {
            let end = read_line(&mut self.stream)?;
            if !end.is_empty() {
                return Err(RequestFault::BadChunk.into());
            }
        }
        let line = read_line(&mut self.stream)?;
        let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let digits = std::str::from_utf8(size)
            .ok()
            .filter(|size| !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let size = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.left = size.ok_or_else(|| io::Error::from(RequestFault::BadChunk))?;
        if self.left == 0 {
            self.ended = true;
            while !read_line(&mut self.stream)?.is_empty() {} // The trailer section.
        }
        Ok(())
    }
}

/// A line of the framing, without its end.
fn read_line(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    const LONGEST: u64 = 8 << 10;
    let mut line = Vec::new();
    stream.take(LONGEST).read_until(b'\n', &mut line)?;
    if line.pop_if(|byte| *byte == b'\n').is_none() {
        let fault = match (line.len() as u64) < LONGEST {
            true => RequestFault::ChunksCutShort,
            false => RequestFault::BadChunk,
        };
        return Err(fault.into());
    }
    line.pop_if(|byte| *byte == b'\r');
    Ok(line)
}

impl<R: BufRead> BufRead for ContentInput<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        if self.content == Content::Chunked && self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended {
            return Ok(&[]);
        }
        if self.taken > self.limit {
            return Err(RequestFault::BodyTooLong { limit: self.limit }.into());
        }
        let there = self.stream.fill_buf()?;
        if there.is_empty() {
            if self.content == Content::UntilEnd {
                self.ended = true;
                return Ok(&[]);
            }
            return Err(RequestFault::BodyCutShort { missing: self.left }.into());
        }
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(there.len());
        Ok(&there[..fits])
    }

    fn consume(&mut self, n: usize) {
        self.stream.consume(n);
        self.taken += n as u64;
        if self.content != Content::UntilEnd {
            self.left -= n as u64;
        }
        self.ended |= self.left == 0 && self.content != Content::Chunked;
    }
}

impl<R: BufRead> Read for ContentInput<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(stream: &[u8], content: Content) -> Result<Vec<u8>, Option<RequestFault>> {
        let mut got = Vec::new();
        match ContentInput::new(stream, content, 100).read_to_end(&mut got) {
            Ok(_) => Ok(got),
            Err(e) => Err(RequestFault::find(&e.into()).cloned()),
        }
    }

    #[test]
    fn the_body_ends_at_its_length_and_an_early_end_is_an_error() {
        assert_eq!(body(b"hello world", Content::Length(5)), Ok(b"hello".to_vec()));
        assert_eq!(body(b"anything", Content::Length(0)), Ok(vec![]));
        let short = Err(Some(RequestFault::BodyCutShort { missing: 3 }));
        assert_eq!(body(b"he", Content::Length(5)), short);
    }

    #[test]
    fn chunks_are_decoded_and_bad_ones_refused() {
        let good = b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\nrest";
        assert_eq!(body(good, Content::Chunked), Ok(b"hello world".to_vec()));
        let long = "1".repeat(9000);
        for bad in ["x\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "-1\r\n", "fffffffffffffffff\r\n", &long] {
            let fault = Err(Some(RequestFault::BadChunk));
            assert_eq!(body(bad.as_bytes(), Content::Chunked), fault, "{bad:?}");
        }
    }

    #[test]
    fn chunks_that_end_early_are_an_end_of_file_that_nobody_expected() {
        let whole = b"5\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for end in 0..whole.len() {
            let mut input = ContentInput::new(&whole[..end], Content::Chunked, 100);
            let error = input.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}: {error}");
        }
    }

    #[test]
    fn a_cgi_request_whose_length_is_none_has_no_body_that_could_be_read() {
        let vars = [("CONTENT_LENGTH", "+5")].into_iter().collect();
        let error = ContentInput::of_cgi(&b"hello"[..], &vars).read(&mut [0]).unwrap_err();
        assert_eq!(RequestFault::find(&error.into()), Some(&RequestFault::BadLength("+5".into())));
    }

    #[test]
    fn a_body_of_unknown_length_has_a_limit() {
        assert_eq!(body(&[b'x'; 100], Content::UntilEnd), Ok(vec![b'x'; 100]));
        let long = Err(Some(RequestFault::BodyTooLong { limit: 100 }));
        assert_eq!(body(&[b'x'; 101], Content::UntilEnd), long);
    }

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        let length =
            |value: &str| Content::length(&[("CONTENT_LENGTH", value)].into_iter().collect());
        assert_eq!(length("17"), Ok(Some(17)));
        assert_eq!((length(""), length("-1")), (Ok(None), Ok(None)));
        for bad in ["+5", " 5", "1_0", "abc", "-3", "5, 7", "0x5"] {
            assert_eq!(length(bad), Err(RequestFault::BadLength(bad.into())), "{bad:?}");
        }
        let huge = length("99999999999999999999");
        assert_eq!(huge.map_err(|fault| fault.status()), Err("413 Content Too Large"));
    }

    #[test]
    fn without_a_length_cgi_has_a_body_only_where_the_client_sent_chunks() {
        let content = |pairs: &[(&str, &str)]| Content::of_cgi(&pairs.iter().copied().collect());
        assert_eq!(content(&[]), Ok(Content::Length(0)));
        let coding = ("HTTP_TRANSFER_ENCODING", "chunked");
        assert_eq!(content(&[coding]), Ok(Content::UntilEnd));
        let busybox = ("SERVER_SOFTWARE", "busybox httpd/1.35.0");
        assert_eq!(content(&[coding, busybox]), Ok(Content::Chunked));
    }
}
