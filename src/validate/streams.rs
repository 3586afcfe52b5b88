//! `InputWrapper` and `ErrorWrapper`: the streams of an environ, with nothing but the methods that
//! PEP 3333 has ("Input and Error Streams").

use super::AssertionError;
use crate::types::{ErrorStream, InputStream, Violation};
use std::io::{self, BufRead, Read, Write};

/// `wsgi.input` as the application gets it: `read`, `readline`, `readlines` and iteration are
/// those of [`Read`] and [`BufRead`].
///
/// ```
/// use cgigate::{types::InputStream, validate::InputWrapper};
/// use std::io::Read;
///
/// let (mut stream, mut text) = (&b"hello"[..], String::new());
/// InputWrapper::new(InputStream::Lent(&mut stream)).read_to_string(&mut text)?;
/// assert_eq!(text, "hello");
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct InputWrapper<'r> {
    input: InputStream<'r>,
}

impl<'r> InputWrapper<'r> {
    /// Over the server's own.
    ///
    /// ```
    /// use cgigate::{types::InputStream, validate::InputWrapper};
    /// use std::io::BufRead;
    ///
    /// let mut stream = &b"one\ntwo\n"[..];
    /// let lines = InputWrapper::new(InputStream::Lent(&mut stream)).lines(); // readlines()
    /// assert_eq!(lines.collect::<Result<Vec<_>, _>>()?, ["one", "two"]);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn new(input: InputStream<'r>) -> Self {
        Self { input }
    }
}

impl Read for InputWrapper<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let asked = buf.len();
        let moved = self.input.read(buf)?;
        check_moved("wsgi.input", asked, moved)
    }
}

impl BufRead for InputWrapper<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.input.consume(n);
    }
}

/// `wsgi.errors` as the application gets it: `write`, `writelines` and `flush`.
///
/// ```
/// use cgigate::{types::ErrorStream, validate::ErrorWrapper};
/// use std::io::Write;
///
/// let mut log = Vec::new();
/// writeln!(ErrorWrapper::new(ErrorStream::Lent(&mut log)), "a line for the log")?;
/// assert_eq!(log, b"a line for the log\n");
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct ErrorWrapper<'r> {
    errors: ErrorStream<'r>,
}

impl<'r> ErrorWrapper<'r> {
    /// Over the server's own.
    ///
    /// What it sees is a stream that says it took more than it was given:
    ///
    /// ```
    /// use cgigate::{types::ErrorStream, validate::ErrorWrapper};
    /// use std::io::{self, Write};
    ///
    /// struct Boastful;
    ///
    /// impl Write for Boastful {
    ///     fn write(&mut self, data: &[u8]) -> io::Result<usize> {
    ///         Ok(data.len() + 1)
    ///     }
    ///     fn flush(&mut self) -> io::Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let error = ErrorWrapper::new(ErrorStream::Lent(&mut Boastful)).write(b"four").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the server is at fault: wsgi.errors moved 5 bytes where there was room for 4"
    /// );
    /// ```
    pub fn new(errors: ErrorStream<'r>) -> Self {
        Self { errors }
    }
}

impl Write for ErrorWrapper<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let moved = self.errors.write(buf)?;
        check_moved("wsgi.errors", buf.len(), moved)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.errors.flush()
    }
}

/// What Rust's types leave to a promise: no more bytes than there was room for.
fn check_moved(stream: &'static str, asked: usize, moved: usize) -> io::Result<usize> {
    if moved <= asked {
        return Ok(moved);
    }
    let violation = Violation::StreamOverrun { stream, asked, moved };
    Err(io::Error::other(AssertionError(violation)))
}
