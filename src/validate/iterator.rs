//! `IteratorWrapper`, and its like for files.

use super::{AssertionError, WsgiWarning, watch::Watch, write::WriteWrapper};
use crate::types::{Blocks, Exception, FileLike, FileWrapper, StartResponse, Violation};
use std::{
    io::{self, Read, Seek},
    thread,
};

/// The body as the server gets it: begun, read, closed, in this order.
///
/// What a server sees that goes on reading:
///
/// ```
/// use cgigate::{Application, Body, util::setup_testing_defaults, validate::validator};
/// # use cgigate::{Exception, StartResponse, types::HeaderIter};
/// # struct Ignored;
/// # impl StartResponse for Ignored {
/// #     fn start_response(&mut self, _: &[u8], _: &mut HeaderIter<'_>, _: Option<Exception>)
/// #         -> Result<(), Exception> { Ok(()) }
/// #     fn write(&mut self, _: &[u8]) -> Result<(), Exception> { Ok(()) }
/// # }
/// # let start_response = &mut Ignored;
///
/// let app = validator(cgigate::app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok(Body::from_iter(std::iter::repeat_with(|| Ok(b"more\n".to_vec()))))
/// }));
/// let mut test = setup_testing_defaults([("QUERY_STRING", "")].into_iter().collect());
/// let Body::Blocks(mut body) = app.call(test.environ(), start_response)? else { unreachable!() };
/// body.begin(start_response)?;
/// assert_eq!(body.next_block()?, Some(&b"more\n"[..]));
/// body.close()?;
/// let error = body.next_block().unwrap_err();
/// assert_eq!(error.to_string(), "the server is at fault: Iterator read after closed");
/// # Ok::<_, Exception>(())
/// ```
pub struct IteratorWrapper<'r> {
    iterator: Box<dyn Blocks + 'r>,
    watch: Watch<'r>,
    begun: bool,
    closed: bool,
}

impl<'r> IteratorWrapper<'r> {
    pub(super) fn new(iterator: Box<dyn Blocks + 'r>, watch: Watch<'r>) -> Self {
        Self { iterator, watch, begun: false, closed: false }
    }
}

impl Blocks for IteratorWrapper<'_> {
    fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
        if self.closed {
            return Err(AssertionError(Violation::ReadAfterClosed).into());
        }
        self.begun = true;
        self.iterator.begin(&mut WriteWrapper::new(start_response, &mut self.watch))
    }

    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        if self.closed {
            return Err(AssertionError(Violation::ReadAfterClosed).into());
        }
        if !self.begun {
            return Err(AssertionError(Violation::ReadBeforeBegin).into());
        }
        let block = self.iterator.next_block()?;
        // Behind the block, as in wsgiref: whatever the iterable itself fails with comes first.
        self.watch.check_started()?;
        match block {
            Some(block) => self.watch.count(block.len() as u64),
            None => self.watch.end(),
        }
        Ok(block)
    }

    fn blocks(&self) -> Option<usize> {
        self.iterator.blocks()
    }

    fn close(&mut self) -> Result<(), Exception> {
        self.closed = true;
        self.iterator.close()
    }
}

/// `__del__`
impl Drop for IteratorWrapper<'_> {
    fn drop(&mut self) {
        // Under a panic the server had no chance; a second one in `close` would end the process.
        if self.closed || thread::panicking() {
            return;
        }
        (self.watch.warn)(WsgiWarning::NotClosed);
        // Nobody is left to be told of an error.
        let _ = self.iterator.close();
    }
}

/// A file as it is, its length compared with what was said of it. Of other things that can be
/// read the length shows while they are.
pub(super) fn watch_file<'r>(
    mut file: FileWrapper<'r>,
    mut watch: Watch<'r>,
) -> io::Result<FileWrapper<'r>> {
    if !watch.file_wrapper {
        (watch.warn)(WsgiWarning::FileWrapper);
    }
    file.filelike = match file.filelike {
        FileLike::File { mut file, len } => {
            // Of a pipe or a device nobody knows the length.
            if let (true, Ok(at)) = (file.metadata()?.is_file(), file.stream_position()) {
                let there = file.metadata()?.len().saturating_sub(at);
                watch.count(len.map_or(there, |len| len.min(there)));
                watch.end();
            }
            FileLike::File { file, len }
        }
        FileLike::Other(filelike) => FileLike::Other(Box::new(Counted { filelike, watch })),
    };
    Ok(file)
}

struct Counted<'r> {
    filelike: Box<dyn Read + 'r>,
    watch: Watch<'r>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.filelike.read(buf)?;
        match read {
            0 => self.watch.end(),
            read => self.watch.count(read as u64),
        }
        Ok(read)
    }
}
