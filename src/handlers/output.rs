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
    /// ```
    /// use cgigate::handlers::Output;
    /// use std::{fs::File, io};
    ///
    /// /// Copies `len` bytes from the front of a file, if nothing faster can be had.
    /// fn send(out: &mut dyn Output, file: &File, len: u64) -> io::Result<u64> {
    ///     match out.sendfile(file, 0, len)? {
    ///         Some(sent) => Ok(sent),
    ///         None => io::copy(&mut io::Read::take(file, len), out),
    ///     }
    /// }
    ///
    /// let mut out = Vec::new(); // which has no sendfile
    /// assert_eq!(send(&mut out, &File::open("Cargo.toml")?, 9)?, 9);
    /// assert_eq!(out, b"[package]");
    /// # Ok::<_, io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The client has gone, or the file cannot be read.
    fn sendfile(&mut self, _file: &File, _from: u64, _len: u64) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// The last byte of the response has been written. The default sends what is buffered; one
    /// that has more to say itself may wait and send it along.
    ///
    /// ```
    /// use cgigate::handlers::Output;
    /// use std::io::{self, Write};
    ///
    /// /// Sends a response in one piece.
    /// struct Held<W>(Vec<u8>, W);
    ///
    /// impl<W: Write> Write for Held<W> {
    ///     fn write(&mut self, data: &[u8]) -> io::Result<usize> {
    ///         self.0.write(data)
    ///     }
    ///     fn flush(&mut self) -> io::Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// impl<W: Write> Output for Held<W> {
    ///     fn finish(&mut self) -> io::Result<()> {
    ///         self.1.write_all(&self.0)?;
    ///         self.1.flush()
    ///     }
    /// }
    ///
    /// let mut held = Held(Vec::new(), Vec::new());
    /// held.write_all(b"a page").and_then(|()| held.flush())?;
    /// assert!(held.1.is_empty());
    /// held.finish()?;
    /// assert_eq!(held.1, b"a page");
    /// # Ok::<_, io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for a write.
    fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Output for Vec<u8> {}
