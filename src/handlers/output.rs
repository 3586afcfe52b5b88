//! `_write`, `_flush` and `sendfile`: where a response goes.

use std::{fs::File, io};

/// Where a response goes: `_write`, `_flush` and `sendfile`.
///
/// One that hands files to something faster than a copy:
///
/// ```
/// use cgigate::handlers::{Attributes, Output, Plain, Slate, Streams, run};
/// use cgigate::types::FileWrapper;
/// use std::{fs::File, io::{self, Write}};
///
/// #[derive(Default)]
/// struct Sink {
///     head: Vec<u8>,
///     files: u64,
/// }
///
/// impl Write for Sink {
///     fn write(&mut self, data: &[u8]) -> io::Result<usize> {
///         self.head.write(data)
///     }
///     fn flush(&mut self) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// impl Output for Sink {
///     fn sendfile(&mut self, _: &File, _from: u64, len: u64) -> io::Result<Option<u64>> {
///         self.files += len; // sendfile(2) would stand here.
///         Ok(Some(len))
///     }
/// }
///
/// let manifest = cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(FileWrapper::file(File::open("Cargo.toml")?, None).into())
/// });
/// let (mut slate, mut sink, mut err) = (Slate::default(), Sink::default(), Vec::new());
/// let streams = Streams { stdin: &mut io::empty(), stdout: &mut sink, stderr: &mut err };
/// let outcome = run(&Plain(Attributes::CGI), &manifest, &mut slate, streams)?;
/// assert_eq!(sink.files, outcome.bytes_sent);
/// assert_eq!(sink.head, b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n");
/// # Ok::<_, cgigate::Exception>(())
/// ```
pub trait Output: io::Write {
    /// Hands up to `len` bytes of a file from offset `from` to the kernel: how many went, or
    /// `None` when the caller has to copy.
    ///
    /// # Errors
    /// The client has gone, or the file cannot be read.
    fn sendfile(&mut self, _file: &File, _from: u64, _len: u64) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// The last byte of the response has been written. The default sends what is buffered; one
    /// that has more to say itself may wait and send it along.
    ///
    /// # Errors
    /// As for a write.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Output for Vec<u8> {}
