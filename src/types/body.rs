//! PEP 3333's iterable: what an application returns, in the shapes that a handler can tell apart.

use super::{Exception, StartResponse};
use std::{borrow::Cow, fmt, fs::File, io, io::Read};

/// An iterable of byte blocks, each lent until the next is asked for.
///
/// The order is PEP 3333's: a block is on its way to the client before the next one is made.
///
/// ```
/// use cgigate::{Body, Exception, types::Blocks};
///
/// struct Countdown(u8, String);
///
/// impl Blocks for Countdown {
///     fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
///         let Some(rest) = self.0.checked_sub(1) else { return Ok(None) };
///         self.1 = format!("{}\n", std::mem::replace(&mut self.0, rest));
///         Ok(Some(self.1.as_bytes()))
///     }
///
///     fn blocks(&self) -> Option<usize> {
///         Some(self.0.into())
///     }
/// }
///
/// let app = cgigate::app(|_, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(Body::Blocks(Box::new(Countdown(3, String::new()))))
/// });
/// assert_eq!(cgigate::testing::get("/").ask(&app).text(), "3\n2\n1\n");
/// ```
pub trait Blocks {
    /// Called once, before the first block: where an iterable that has not called
    /// `start_response` yet does so, as a generator would in its first `next()`.
    ///
    /// ```
    /// use cgigate::{Body, Exception, StartResponse, types::Blocks};
    ///
    /// /// Knows its status only when it is asked for its first block.
    /// struct Late;
    ///
    /// impl Blocks for Late {
    ///     fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
    ///         start_response.call("404 Not Found", &[("Content-Type", "text/plain")])?;
    ///         Ok(())
    ///     }
    ///     fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
    ///         Ok(None)
    ///     }
    /// }
    ///
    /// let app = cgigate::app(|_environ, _start_response| Ok(Body::Blocks(Box::new(Late))));
    /// assert_eq!(cgigate::testing::get("/").ask(&app).status, 404);
    /// ```
    ///
    /// # Errors
    /// As [`Application::call`](super::Application::call).
    fn begin(&mut self, _start_response: &mut dyn StartResponse) -> Result<(), Exception> {
        Ok(())
    }

    /// The next block, or `None` at the end.
    ///
    /// ```
    /// use cgigate::{Exception, types::Blocks};
    ///
    /// /// The lines of a text, with nothing copied.
    /// struct Lines<'t>(&'t str);
    ///
    /// impl Blocks for Lines<'_> {
    ///     fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
    ///         let end = self.0.find('\n').map_or(self.0.len(), |at| at + 1);
    ///         let (line, rest) = self.0.split_at(end);
    ///         self.0 = rest;
    ///         Ok((!line.is_empty()).then_some(line.as_bytes()))
    ///     }
    /// }
    ///
    /// let mut lines = Lines("one\ntwo\n");
    /// assert_eq!(lines.next_block()?, Some(&b"one\n"[..]));
    /// assert_eq!(lines.next_block()?, Some(&b"two\n"[..]));
    /// assert_eq!(lines.next_block()?, None);
    /// # Ok::<_, Exception>(())
    /// ```
    ///
    /// # Errors
    /// As [`Application::call`](super::Application::call).
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception>;

    /// `len(iterable)`, where it is known before the first block. Of a length of one the handler
    /// makes a Content-Length.
    ///
    /// ```
    /// use cgigate::{Body, Exception, testing, types::Blocks};
    ///
    /// /// One block, made when it is asked for.
    /// struct Page(Option<String>);
    ///
    /// impl Blocks for Page {
    ///     fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
    ///         let first = self.0.replace(String::from("a page")).is_none();
    ///         Ok(self.0.as_ref().filter(|_| first).map(String::as_bytes))
    ///     }
    ///     fn blocks(&self) -> Option<usize> {
    ///         Some(1)
    ///     }
    /// }
    ///
    /// let app = cgigate::app(|_environ, start_response| {
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(Body::Blocks(Box::new(Page(None))))
    /// });
    /// assert_eq!(testing::get("/").ask(&app).header("Content-Length"), Some("6"));
    /// ```
    fn blocks(&self) -> Option<usize> {
        None
    }

    /// `close()`: called once, whether or not the blocks were read to the end.
    ///
    /// ```
    /// use cgigate::{Body, Exception, testing, types::Blocks};
    ///
    /// /// Says at its end how much the client took.
    /// struct Counted(u32);
    ///
    /// impl Blocks for Counted {
    ///     fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
    ///         self.0 += 1;
    ///         Ok((self.0 <= 3).then_some(b"block\n"))
    ///     }
    ///     fn close(&mut self) -> Result<(), Exception> {
    ///         Err(format!("asked {} times", self.0).into())
    ///     }
    /// }
    ///
    /// let app = cgigate::app(|_environ, start_response| {
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(Body::Blocks(Box::new(Counted(0))))
    /// });
    /// assert_eq!(testing::get("/").ask(&app).log, "asked 4 times\n");
    /// ```
    ///
    /// # Errors
    /// What went wrong is logged; the response is not changed by it any more.
    fn close(&mut self) -> Result<(), Exception> {
        Ok(())
    }
}

/// What an application returns.
///
/// ```
/// use cgigate::Body;
///
/// assert!(matches!(Body::from("a page"), Body::One(_)));
/// assert!(matches!(Body::from_iter([Ok(b"block".to_vec())].into_iter()), Body::Blocks(_)));
/// ```
pub enum Body<'r> {
    /// `[]`
    Empty,
    /// `[block]`: its length becomes the Content-Length, and it leaves together with the headers.
    One(Cow<'r, [u8]>),
    /// Any other iterable.
    Blocks(Box<dyn Blocks + 'r>),
    /// `wsgi.file_wrapper(filelike)`
    File(FileWrapper<'r>),
}

impl<'r> Body<'r> {
    /// A body of several blocks, made as they are asked for. Its length is not known beforehand.
    ///
    /// ```
    /// let lines = (1..=3).map(|n| format!("{n}\n").into_bytes());
    /// # let _ =
    /// cgigate::Body::from_iter(lines.map(Ok))
    /// # ;
    /// ```
    // Not FromIterator: the iterator is kept, not exhausted.
    #[allow(clippy::should_implement_trait)]
    pub fn from_iter<I>(blocks: I) -> Self
    where
        I: Iterator<Item = Result<Vec<u8>, Exception>> + 'r,
    {
        Self::Blocks(Box::new(IterBlocks { blocks, block: Vec::new() }))
    }
}

struct IterBlocks<I> {
    blocks: I,
    block: Vec<u8>,
}

impl<I: Iterator<Item = Result<Vec<u8>, Exception>>> Blocks for IterBlocks<I> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        let Some(block) = self.blocks.next() else { return Ok(None) };
        self.block = block?;
        Ok(Some(&self.block))
    }
}

impl<'r> From<&'r str> for Body<'r> {
    fn from(block: &'r str) -> Self {
        Self::One(Cow::Borrowed(block.as_bytes()))
    }
}

impl<'r> From<&'r [u8]> for Body<'r> {
    fn from(block: &'r [u8]) -> Self {
        Self::One(Cow::Borrowed(block))
    }
}

impl From<Vec<u8>> for Body<'_> {
    fn from(block: Vec<u8>) -> Self {
        Self::One(Cow::Owned(block))
    }
}

impl From<String> for Body<'_> {
    fn from(block: String) -> Self {
        Self::One(Cow::Owned(block.into_bytes()))
    }
}

impl<'r> From<FileWrapper<'r>> for Body<'r> {
    fn from(file: FileWrapper<'r>) -> Self {
        Self::File(file)
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::One(block) => f.debug_tuple("One").field(block).finish(),
            Self::Blocks(_) => f.write_str("Blocks(..)"),
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
        }
    }
}

/// `wsgi.file_wrapper`, and `wsgiref.util.FileWrapper`: turns something to be read into blocks.
///
/// Where it wraps a real file, a handler may give it to the kernel and copy nothing. It has no
/// length, so no Content-Length is made of it. What it wraps is closed when the wrapper is dropped,
/// and not at the end of the blocks.
///
/// ```
/// use cgigate::types::{Blocks, FileWrapper};
///
/// let mut wrapper = FileWrapper::new(&b"three blocks"[..]).blksize(5);
/// let mut sizes = Vec::new();
/// while let Some(block) = wrapper.next_block().unwrap() {
///     sizes.push(block.len());
/// }
/// assert_eq!(sizes, [5, 5, 2]);
/// ```
pub struct FileWrapper<'r> {
    /// What is read.
    pub filelike: FileLike<'r>,
    /// Bytes a block has at the most.
    pub blksize: usize,
    block: Vec<u8>,
    ended: bool,
}

/// What a [`FileWrapper`] wraps.
///
/// ```
/// use cgigate::types::{FileLike, FileWrapper};
///
/// /// How long a body will be, where that can be told.
/// fn length(wrapper: &FileWrapper<'_>) -> Option<u64> {
///     match &wrapper.filelike {
///         FileLike::File { len: Some(len), .. } => Some(*len),
///         FileLike::File { file, len: None } => file.metadata().ok().map(|about| about.len()),
///         FileLike::Other(_) => None,
///     }
/// }
///
/// let file = std::fs::File::open("LICENSE")?;
/// assert_eq!(length(&FileWrapper::file(file, Some(100))), Some(100));
/// assert_eq!(length(&FileWrapper::new(&b"text"[..])), None);
/// # Ok::<_, std::io::Error>(())
/// ```
pub enum FileLike<'r> {
    /// A real file, which a handler may hand to the kernel.
    File {
        /// Read from where it stands.
        file: File,
        /// No more than so many bytes.
        len: Option<u64>,
    },
    /// Anything else that can be read.
    Other(Box<dyn Read + 'r>),
}

impl<'r> FileWrapper<'r> {
    /// wsgiref's `blksize=8192`.
    ///
    /// ```
    /// use cgigate::types::FileWrapper;
    ///
    /// let wrapper = FileWrapper::new(std::io::empty()).blksize(8 * FileWrapper::BLKSIZE);
    /// assert_eq!(wrapper.blksize, 65_536);
    /// ```
    pub const BLKSIZE: usize = 8192;

    /// Wraps anything that can be read.
    ///
    /// ```
    /// use cgigate::{testing, types::FileWrapper};
    /// use std::io::Read;
    ///
    /// // What is made while it is read:
    /// let app = cgigate::app(|_environ, start_response| {
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(FileWrapper::new(b"head, ".chain(std::io::repeat(b'x').take(3))).into())
    /// });
    /// assert_eq!(testing::get("/").ask(&app).text(), "head, xxx");
    /// ```
    pub fn new(filelike: impl Read + 'r) -> Self {
        Self::over(FileLike::Other(Box::new(filelike)))
    }

    /// Wraps a real file, from where it stands to its end, or for `len` bytes.
    ///
    /// ```
    /// use cgigate::{testing, types::FileWrapper};
    /// use std::{fs::File, io::{Seek, SeekFrom}};
    ///
    /// let part = cgigate::app(|_environ, start_response| {
    ///     let mut file = File::open("LICENSE")?;
    ///     file.seek(SeekFrom::Start(4))?;
    ///     start_response.call("206 Partial Content", &[("Content-Type", "text/plain")])?;
    ///     Ok(FileWrapper::file(file, Some(7)).into())
    /// });
    /// assert_eq!(testing::get("/").ask(&part).text(), "License");
    /// ```
    pub fn file(file: File, len: Option<u64>) -> Self {
        Self::over(FileLike::File { file, len })
    }

    fn over(filelike: FileLike<'r>) -> Self {
        Self { filelike, blksize: Self::BLKSIZE, block: Vec::new(), ended: false }
    }

    /// The same with blocks of another size, in bytes. Of size 0 there is none.
    ///
    /// ```
    /// use cgigate::types::{Blocks, FileWrapper};
    ///
    /// let mut wrapper = FileWrapper::new(&b"abcdef"[..]).blksize(4);
    /// assert_eq!(wrapper.next_block()?, Some(&b"abcd"[..]));
    /// assert_eq!(wrapper.next_block()?, Some(&b"ef"[..]));
    /// # Ok::<_, cgigate::Exception>(())
    /// ```
    #[must_use]
    pub fn blksize(mut self, blksize: usize) -> Self {
        self.blksize = blksize;
        self
    }
}

impl Blocks for FileWrapper<'_> {
    /// One read of at most `blksize` bytes. The end is final: the document says so, and asks for
    /// no more than that (its source would read again).
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        if self.ended {
            return Ok(None);
        }
        self.block.resize(self.blksize, 0);
        let n = loop {
            let read = match &mut self.filelike {
                FileLike::File { file, len: None } => file.read(&mut self.block),
                FileLike::File { file, len: Some(left) } => {
                    let room = usize::try_from(*left).unwrap_or(usize::MAX).min(self.block.len());
                    file.read(&mut self.block[..room]).inspect(|&n| *left -= n as u64)
                }
                FileLike::Other(filelike) => filelike.read(&mut self.block),
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.ended = n == 0;
        Ok(if n == 0 { None } else { Some(&self.block[..n]) })
    }
}

impl fmt::Debug for FileWrapper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FileWrapper");
        match &self.filelike {
            FileLike::File { file, len } => shown.field("file", file).field("len", len),
            FileLike::Other(_) => shown.field("filelike", &"<Read>"),
        };
        shown.field("blksize", &self.blksize).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, io::Write, rc::Rc};

    /// Gives what it is told, read by read; counts its reads and says when it is closed.
    #[derive(Default)]
    struct Scripted {
        reads: std::collections::VecDeque<&'static [u8]>,
        asked: Rc<Cell<usize>>,
        closed: Rc<Cell<bool>>,
    }

    impl Read for Scripted {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.asked.set(self.asked.get() + 1);
            (&mut self.reads.pop_front().unwrap_or_default()).read(buf)
        }
    }

    impl Drop for Scripted {
        fn drop(&mut self) {
            self.closed.set(true);
        }
    }

    fn sizes(wrapper: &mut FileWrapper<'_>) -> Vec<usize> {
        std::iter::from_fn(|| wrapper.next_block().unwrap().map(<[u8]>::len)).collect()
    }

    #[test]
    fn blocks_are_8192_bytes_but_the_last() {
        let mut wrapper = FileWrapper::new(io::repeat(b'x').take(20_000));
        assert_eq!(sizes(&mut wrapper), [8192, 8192, 3616]);
        assert!(FileWrapper::new(&b"abc"[..]).blksize(0).next_block().unwrap().is_none());
    }

    #[test]
    fn the_end_is_final_and_the_file_is_closed_with_its_wrapper_not_before() {
        let mut file = Scripted::default();
        file.reads.extend([&b"ab"[..], b"c", b"", b"more"]);
        let (asked, closed) = (file.asked.clone(), file.closed.clone());
        let mut wrapper = FileWrapper::new(file);
        assert_eq!(sizes(&mut wrapper), [2, 1]);
        assert!(wrapper.next_block().unwrap().is_none());
        assert_eq!((asked.get(), closed.get()), (3, false));
        drop(wrapper);
        assert!(closed.get());
    }

    #[test]
    fn a_real_file_may_have_an_end_of_its_own() {
        let path = std::env::temp_dir().join(format!("cgigate-body-{}", std::process::id()));
        File::create(&path).unwrap().write_all(&[b'x'; 100]).unwrap();
        let mut wrapper = FileWrapper::file(File::open(&path).unwrap(), Some(70)).blksize(50);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(sizes(&mut wrapper), [50, 20]);
    }
}
