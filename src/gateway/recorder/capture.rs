//! Looks on while an application answers.
//!
//! All that holds a part of the request or the answer holds the capture too; with the last of them
//! the answer is over, and what was seen is handed on.

use super::Recorder;
use crate::gateway::fixture::Pairs;
use crate::types::{
    Application, Blocks, Body, Environ, ErrorStream, Exception, FileLike, FileWrapper, HeaderIter,
    InputStream, Response, StartResponse, is_departure,
};
use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufRead, Read, Seek as _, Write},
    rc::Rc,
};

/// An application under the recorder.
pub(super) struct Recorded<A> {
    pub(super) app: A,
    pub(super) name: Option<&'static str>,
    pub(super) recorder: Recorder,
}

/// The status, and the fields in their order.
pub(super) type Head = (Vec<u8>, Pairs);

/// What was seen of a request and its answer.
#[derive(Default)]
pub(super) struct Record {
    pub(super) app: Option<&'static str>,
    pub(super) environ: Pairs,
    /// What the application has read.
    pub(super) stdin: Vec<u8>,
    /// What it has said to `wsgi.errors`.
    pub(super) errors: Vec<u8>,
    /// Status and fields, as they were said last.
    pub(super) head: Option<Head>,
    /// What it has written by the `write` callable.
    pub(super) written: Vec<u8>,
    pub(super) body: Seen,
    /// Why it did not come to its end.
    pub(super) failed: Option<String>,
}

/// What of a body there was to be seen.
#[derive(Default)]
pub(super) enum Seen {
    /// The application returned none.
    #[default]
    Nothing,
    Empty,
    One(Vec<u8>),
    Blocks {
        bytes: Vec<u8>,
        /// How many there were, and how many there would be.
        count: usize,
        told: Option<usize>,
        ended: bool,
    },
    File {
        file: File,
        from: u64,
        len: Option<u64>,
    },
}

struct Capture {
    record: Record,
    /// Bytes that may be kept of a body.
    size: usize,
    too_long: bool,
    recorder: Recorder,
}

type Shared = Rc<RefCell<Capture>>;

impl Capture {
    fn keep(&mut self, which: fn(&mut Record) -> &mut Vec<u8>, bytes: &[u8]) {
        let kept = which(&mut self.record);
        if kept.len() + bytes.len() > self.size {
            self.too_long = true;
        }
        if !self.too_long {
            kept.extend_from_slice(bytes);
        }
    }

    fn fail(&mut self, exc: &Exception) {
        // Whoever has gone has no answer that could be compared with another.
        self.too_long |= is_departure(exc);
        self.record.failed = Some(exc.to_string());
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.record.failed = Some("the application panicked".into());
        }
        if !self.too_long {
            self.recorder.submit(std::mem::take(&mut self.record));
        }
    }
}

impl<A: Application> Application for Recorded<A> {
    fn call<'r>(
        &'r self,
        mut environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        let pairs = environ.vars.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
        let record = Record { app: self.name, environ: pairs.collect(), ..Record::default() };
        let (size, recorder) = (self.recorder.size(), self.recorder.clone());
        let capture = Capture { record, size, too_long: false, recorder };
        let capture = Rc::new(RefCell::new(capture));
        let input = Input { input: environ.input, capture: Rc::clone(&capture) };
        environ.input = InputStream::Owned(Box::new(input));
        let errors = Errors { errors: environ.errors, capture: Rc::clone(&capture) };
        environ.errors = ErrorStream::Owned(Box::new(errors));
        let mut started = Started { start_response, capture: &capture };
        match self.app.call(environ, &mut started) {
            Ok(body) => watch(body, capture),
            Err(exc) => {
                capture.borrow_mut().fail(&exc);
                Err(exc)
            }
        }
    }
}

/// The body as it is, looked on.
fn watch(body: Body<'_>, capture: Shared) -> Response<'_> {
    let seen = |seen: Seen| capture.borrow_mut().record.body = seen;
    match body {
        Body::Empty => {
            seen(Seen::Empty);
            Ok(Body::Empty)
        }
        Body::One(block) => {
            seen(Seen::One(Vec::new()));
            capture.borrow_mut().keep(bytes, &block);
            Ok(Body::One(block))
        }
        Body::Blocks(blocks) => {
            let told = blocks.blocks();
            seen(Seen::Blocks { bytes: Vec::new(), count: 0, told, ended: false });
            Ok(Body::Blocks(Box::new(Watched { blocks, capture })))
        }
        Body::File(mut wrapper) => {
            wrapper.filelike = match wrapper.filelike {
                FileLike::File { mut file, len } => {
                    let from = file.stream_position().unwrap_or_default();
                    let there = file.metadata()?.len().saturating_sub(from);
                    let limit = capture.borrow().size as u64;
                    match file.try_clone() {
                        Ok(file) if len.unwrap_or(there).min(there) <= limit => {
                            seen(Seen::File { file, from, len });
                        }
                        _ => capture.borrow_mut().too_long = true,
                    }
                    FileLike::File { file, len }
                }
                FileLike::Other(reader) => {
                    seen(Seen::Blocks { bytes: Vec::new(), count: 1, told: None, ended: true });
                    FileLike::Other(Box::new(Copied { reader, capture }))
                }
            };
            Ok(FileWrapper::into(wrapper))
        }
    }
}

/// Where the body is kept.
fn bytes(record: &mut Record) -> &mut Vec<u8> {
    match &mut record.body {
        Seen::One(bytes) | Seen::Blocks { bytes, .. } => bytes,
        Seen::Nothing | Seen::Empty | Seen::File { .. } => &mut record.written,
    }
}

struct Watched<'r> {
    blocks: Box<dyn Blocks + 'r>,
    capture: Shared,
}

impl Blocks for Watched<'_> {
    fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
        let mut started = Started { start_response, capture: &self.capture };
        self.blocks.begin(&mut started).inspect_err(|exc| self.capture.borrow_mut().fail(exc))
    }

    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        let block =
            self.blocks.next_block().inspect_err(|exc| self.capture.borrow_mut().fail(exc))?;
        let mut capture = self.capture.borrow_mut();
        if let Seen::Blocks { count, ended, .. } = &mut capture.record.body {
            *count += usize::from(block.is_some());
            *ended = block.is_none();
        }
        capture.keep(bytes, block.unwrap_or_default());
        Ok(block)
    }

    fn blocks(&self) -> Option<usize> {
        self.blocks.blocks()
    }

    fn close(&mut self) -> Result<(), Exception> {
        self.blocks.close()
    }
}

/// What is read as a file, and is none.
struct Copied<'r> {
    reader: Box<dyn Read + 'r>,
    capture: Shared,
}

impl Read for Copied<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(room)?;
        self.capture.borrow_mut().keep(bytes, &room[..n]);
        Ok(n)
    }
}

struct Started<'s> {
    start_response: &'s mut dyn StartResponse,
    capture: &'s Shared,
}

impl StartResponse for Started<'_> {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception> {
        let fields: Vec<_> = headers.collect();
        let mut again = fields.iter().copied();
        self.start_response.start_response(status, &mut again, exc_info)?;
        let fields = fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
        self.capture.borrow_mut().record.head = Some((status.to_vec(), fields.collect()));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.capture.borrow_mut().keep(|record| &mut record.written, data);
        self.start_response.write(data)
    }
}

struct Input<'r> {
    input: InputStream<'r>,
    capture: Shared,
}

impl Read for Input<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(room)?;
        self.capture.borrow_mut().keep(|record| &mut record.stdin, &room[..n]);
        Ok(n)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // What was just lent is lent again: the stream is not asked for more before this.
        if n > 0
            && let Ok(lent) = self.input.fill_buf()
        {
            let taken = &lent[..n.min(lent.len())];
            self.capture.borrow_mut().keep(|record| &mut record.stdin, taken);
        }
        self.input.consume(n);
    }
}

struct Errors<'r> {
    errors: ErrorStream<'r>,
    capture: Shared,
}

impl Write for Errors<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let n = self.errors.write(data)?;
        self.capture.borrow_mut().keep(|record| &mut record.errors, &data[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.errors.flush()
    }
}
