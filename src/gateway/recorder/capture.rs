//! Looks on while an application answers.
//!
//! All that holds a part of the request or the answer holds the capture too; with the last of them
//! the answer is over, and what was seen is handed on.

use super::{Holds, Recorder, lock};
use crate::gateway::{Refusal, fixture::Pairs};
use crate::types::{
    Application, Blocks, Body, Environ, ErrorStream, Exception, FileLike, FileWrapper, HeaderIter,
    InputStream, Request, RequestFault, Response, StartResponse, Vars, is_departure,
};
use std::{
    fs::File,
    io::{self, BufRead, Read, Seek as _, Write},
    sync::{Arc, Mutex, MutexGuard, Weak},
};

/// An application under the recorder.
pub(super) struct Recorded<A> {
    pub(super) app: A,
    pub(super) name: &'static str,
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
    /// The same, where it was the request's own fault.
    pub(super) fault: Option<RequestFault>,
    /// What the gateway answered in an application's place, and whether it would again.
    pub(super) refused: Option<(Refusal, Holds)>,
}

impl Record {
    /// A request that the gateway has refused.
    pub(super) fn of_refused(refusal: Refusal, holds: Holds, environ: Pairs) -> Self {
        Self { environ, refused: Some((refusal, holds)), ..Self::default() }
    }
}

/// The variables, unless they are longer than may be kept.
pub(super) fn pairs(vars: &Vars, size: usize) -> Option<Pairs> {
    let long: usize = vars.iter().map(|(name, value)| name.len() + value.len()).sum();
    let owned = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
    (long <= size).then(|| vars.iter().map(owned).collect())
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
    /// Too long, or no answer of the application.
    left_out: bool,
    recorder: Recorder,
}

/// One thread has it, but for the moment in which its time is over.
#[derive(Clone)]
struct Shared(Arc<Mutex<Capture>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Capture> {
        lock(&self.0)
    }
}

/// Where a request has what is seen of it, while its application has to be done in time.
#[derive(Clone)]
struct UnderWay(Weak<Mutex<Capture>>);

/// A request whose time is over, as far as it was seen: what its application still does is no answer.
#[cfg(target_os = "linux")]
pub(in crate::gateway) struct Overdue(Record, Recorder);

#[cfg(target_os = "linux")]
impl Overdue {
    /// To be asked for before the application hears of it; `None`: nothing is recorded.
    pub(in crate::gateway) fn of(request: &Request) -> Option<Self> {
        let UnderWay(capture) = request.extensions().get()?;
        let capture = capture.upgrade()?;
        let mut capture = lock(&capture);
        if std::mem::replace(&mut capture.left_out, true) {
            return None;
        }
        let Record { app, environ, stdin, errors, .. } = std::mem::take(&mut capture.record);
        let refused = Some((Refusal::OVERDUE, Holds::Then));
        let record = Record { app, environ, stdin, errors, refused, ..Record::default() };
        Some(Self(record, capture.recorder.clone()))
    }

    /// 504 was answered.
    pub(in crate::gateway) fn submit(self) {
        self.1.submit(self.0);
    }
}

impl Capture {
    fn keep(&mut self, which: fn(&mut Record) -> &mut Vec<u8>, bytes: &[u8]) {
        let kept = which(&mut self.record);
        if kept.len() + bytes.len() > self.size {
            self.left_out = true;
        }
        if !self.left_out {
            kept.extend_from_slice(bytes);
        }
    }

    fn fail(&mut self, exc: &Exception) {
        // Whoever has gone has no answer that could be compared with another.
        self.left_out |= is_departure(exc);
        self.record.failed = Some(exc.to_string());
        self.record.fault = RequestFault::find(exc).cloned();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.record.failed = Some("the application panicked".into());
        }
        if !self.left_out {
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
        let (size, recorder) = (self.recorder.size(), self.recorder.clone());
        let Some(pairs) = pairs(environ.vars, size) else {
            return self.app.call(environ, start_response);
        };
        let record = Record { app: Some(self.name), environ: pairs, ..Record::default() };
        let capture = Capture { record, size, left_out: false, recorder };
        let capture = Shared(Arc::new(Mutex::new(capture)));
        if environ.request.deadline().is_some() {
            environ.request.extensions().insert(UnderWay(Arc::downgrade(&capture.0)));
        }
        let input = Input { input: environ.input, capture: capture.clone() };
        environ.input = InputStream::Owned(Box::new(input));
        let errors = Errors { errors: environ.errors, capture: capture.clone() };
        environ.errors = ErrorStream::Owned(Box::new(errors));
        let mut started = Started { start_response, capture: &capture };
        match self.app.call(environ, &mut started) {
            Ok(body) => watch(body, capture),
            Err(exc) => {
                capture.lock().fail(&exc);
                Err(exc)
            }
        }
    }
}

/// The body as it is, looked on.
fn watch(body: Body<'_>, capture: Shared) -> Response<'_> {
    let seen = |seen: Seen| capture.lock().record.body = seen;
    match body {
        Body::Empty => {
            seen(Seen::Empty);
            Ok(Body::Empty)
        }
        Body::One(block) => {
            seen(Seen::One(Vec::new()));
            capture.lock().keep(bytes, &block);
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
                    let limit = capture.lock().size as u64;
                    match file.try_clone() {
                        Ok(file) if len.unwrap_or(there).min(there) <= limit => {
                            seen(Seen::File { file, from, len });
                        }
                        _ => capture.lock().left_out = true,
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
        self.blocks.begin(&mut started).inspect_err(|exc| self.capture.lock().fail(exc))
    }

    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        let block = self.blocks.next_block().inspect_err(|exc| self.capture.lock().fail(exc))?;
        let mut capture = self.capture.lock();
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
        self.capture.lock().keep(bytes, &room[..n]);
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
        self.capture.lock().record.head = Some((status.to_vec(), fields.collect()));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.capture.lock().keep(|record| &mut record.written, data);
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
        self.capture.lock().keep(|record| &mut record.stdin, &room[..n]);
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
            self.capture.lock().keep(|record| &mut record.stdin, taken);
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
        self.capture.lock().keep(|record| &mut record.errors, &data[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.errors.flush()
    }
}
