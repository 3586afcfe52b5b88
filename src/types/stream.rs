//! PEP 3333, "Input and Error Streams": `wsgi.input` and `wsgi.errors`.

use std::io::{self, BufRead, Read, Write};

/// `wsgi.input`: lent by the gateway, or owned once middleware has wrapped it.
///
/// It ends where the request's body ends, even where the server keeps the connection open.
///
/// ```
/// use std::io::{BufRead, Cursor, Read};
///
/// let mut test = cgigate::util::setup_testing_defaults(Default::default());
/// test.input = Cursor::new(b"one\ntwo\nthree and four".to_vec());
/// let mut input = test.environ().input;
///
/// let mut line = Vec::new();
/// input.read_until(b'\n', &mut line)?; // readline()
/// assert_eq!(line, b"one\n");
/// let lines: Vec<_> = input.by_ref().lines().take(1).collect::<Result<_, _>>()?; // readlines()
/// assert_eq!(lines, ["two"]);
/// let mut read = [0; 5];
/// input.read_exact(&mut read)?; // read(5)
/// let mut rest = String::new();
/// input.read_to_string(&mut rest)?; // read()
/// assert_eq!((&read, &*rest), (b"three", " and four"));
/// # Ok::<_, std::io::Error>(())
/// ```
pub enum InputStream<'r> {
    /// The gateway's own.
    Lent(&'r mut dyn BufRead),
    /// Middleware's.
    Owned(Box<dyn BufRead + 'r>),
}

impl<'r> InputStream<'r> {
    fn get(&mut self) -> &mut dyn BufRead {
        match self {
            InputStream::Lent(input) => *input,
            InputStream::Owned(input) => &mut **input,
        }
    }
}

impl Read for InputStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.get().read(buf)
    }
}

impl BufRead for InputStream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.get().fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.get().consume(n);
    }
}

/// `wsgi.errors`: where an application writes what the administrator should read.
///
/// ```
/// use std::io::Write;
///
/// let mut test = cgigate::util::setup_testing_defaults(Default::default());
/// let mut environ = test.environ();
/// writeln!(environ.errors, "the disk is full")?;
/// environ.errors.flush()?;
/// drop(environ);
/// assert_eq!(test.errors, b"the disk is full\n");
/// # Ok::<_, std::io::Error>(())
/// ```
pub enum ErrorStream<'r> {
    /// The gateway's own.
    Lent(&'r mut dyn Write),
    /// Middleware's.
    Owned(Box<dyn Write + 'r>),
}

impl<'r> ErrorStream<'r> {
    fn get(&mut self) -> &mut dyn Write {
        match self {
            ErrorStream::Lent(errors) => *errors,
            ErrorStream::Owned(errors) => &mut **errors,
        }
    }
}

impl Write for ErrorStream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.get().write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.get().flush()
    }
}
