//! One CGI request over the process's own streams (RFC 3875).
//!
//! mod_cgi, mod_cgid and fcgiwrap write the whole body before they read a byte of the answer. An
//! application that answers while it reads would stand still for ever, and the web server with it:
//! so while the answer cannot be written, what comes of the body is read ahead.

use super::{
    Dispatcher,
    spool::{End, Spool},
};
use crate::{
    fcgi::Role,
    handlers::{
        Attributes, Content, ContentInput, Ending, Output, Plain, Preamble, Slate, Streams, run,
        strip_script_name,
    },
    sys,
    types::{Exception, Vars},
};
use std::{
    cell::RefCell,
    fs::File,
    io::{self, BufRead, IoSlice, Read, StdinLock, Write},
};

/// What CGI leaves open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// `IISCGIHandler`: PATH_INFO repeats SCRIPT_NAME.
    pub(crate) iis: bool,
    /// The response begins with an HTTP status line.
    pub(crate) nph: bool,
    /// `--max-body`, in bytes.
    pub(crate) max_body: u64,
}

/// The variables of the request that this process was started for.
#[cfg(windows)]
pub(crate) fn environ(vars: &mut Vars) {
    *vars = crate::handlers::read_environ();
}

/// The variables of the request that this process was started for, which has one thread yet.
#[cfg(unix)]
pub(crate) fn environ(vars: &mut Vars) {
    let (mut count, mut bytes) = (0, 0);
    sys::each_var(|name, value| {
        count += 1;
        bytes += name.len() + value.len();
    });
    vars.reserve(count, bytes);
    sys::each_var(|name, value| {
        let start = vars.appended().len();
        vars.append(name);
        let middle = vars.appended().len();
        vars.append(value);
        vars.index(start..middle, middle..vars.appended().len());
    });
    vars.settle();
}

/// Answers the request whose variables are in `slate`; whether all of the answer was written.
///
/// # Errors
/// An error that came of answering an error.
pub(crate) fn respond(
    dispatcher: &Dispatcher,
    mode: Mode,
    slate: &mut Slate,
) -> Result<bool, Exception> {
    if mode.iis {
        strip_script_name(&mut slate.vars);
    }
    let app = dispatcher.dispatch(Role::Responder, &mut slate.vars);
    // A length that is none was refused just now; what is left of the body then is not looked at.
    let content = Content::of_cgi(&slate.vars).unwrap_or(Content::Length(0));
    let preamble = if mode.nph { Preamble::StatusLine } else { Preamble::StatusFirst };
    let handler = Plain(Attributes { preamble, ..Attributes::CGI });
    let mut stderr = io::stderr();
    let mut stdout = sys::stdout();
    if content == Content::Length(0) {
        let mut stdout = Stdout { file: &mut stdout, ahead: None };
        let streams = Streams { stdin: &mut io::empty(), stdout: &mut stdout, stderr: &mut stderr };
        let outcome = run(&handler, app, slate, streams)?;
        return Ok(!matches!(outcome.ending, Ending::Cut { .. }));
    }
    let ahead = RefCell::new(Ahead::new(content, mode.max_body));
    let stdin = Stdin { ahead: &ahead, block: Vec::new(), at: 0 };
    let mut stdin = ContentInput::new(stdin, content, mode.max_body);
    let mut stdout = Stdout { file: &mut stdout, ahead: Some(&ahead) };
    let streams = Streams { stdin: &mut stdin, stdout: &mut stdout, stderr: &mut stderr };
    let outcome = run(&handler, app, slate, streams)?;
    ahead.borrow_mut().drain();
    Ok(!matches!(outcome.ending, Ending::Cut { .. }))
}

/// The body between the process's stdin and the application.
struct Ahead {
    stdin: StdinLock<'static>,
    spool: Spool,
    max_body: u64,
    /// Bytes of the body that are still in stdin; the most there is where nobody knows.
    left: u64,
}

impl Ahead {
    fn new(content: Content, max_body: u64) -> Self {
        let left = match content {
            Content::Length(length) => length,
            Content::UntilEnd | Content::Chunked => u64::MAX,
        };
        Self { stdin: io::stdin().lock(), spool: Spool::default(), max_body, left }
    }

    /// Takes what there is off stdin; waits if there is nothing. Nothing comes of the end.
    fn read(&mut self, mut keep: impl FnMut(&[u8])) -> io::Result<usize> {
        let there = self.stdin.fill_buf()?;
        let fits = usize::try_from(self.left).unwrap_or(usize::MAX).min(there.len());
        keep(&there[..fits]);
        self.stdin.consume(fits);
        self.left = if fits == 0 { 0 } else { self.left - fits as u64 };
        Ok(fits)
    }

    fn read_ahead(&mut self) -> io::Result<()> {
        let mut piece = Vec::new();
        self.read(|there| piece.extend_from_slice(there))?;
        self.spool.push(&piece, Some(self.max_body));
        if self.left == 0 {
            self.spool.end(End::Whole);
        }
        Ok(())
    }

    /// A server whose last bytes nobody took reports a broken pipe instead of the answer.
    fn drain(&mut self) {
        const PATIENCE: i32 = 2_000; // Milliseconds without a byte.
        const MOST: u64 = 1 << 30;
        let mut drained = 0;
        while self.left > 0 && drained < MOST {
            match sys::wait_stdio(false, PATIENCE) {
                Ok((true, _)) => {}
                _ => return,
            }
            match self.read(|_| {}) {
                Ok(n @ 1..) => drained += n as u64,
                _ => return,
            }
        }
    }
}

/// `wsgi.input`, before [`ContentInput`] bounds it.
struct Stdin<'a> {
    ahead: &'a RefCell<Ahead>,
    block: Vec<u8>,
    at: usize,
}

impl BufRead for Stdin<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.block.len() {
            let ahead = &mut *self.ahead.borrow_mut();
            self.at = 0;
            if !ahead.spool.take_block(&mut self.block)? && ahead.left > 0 {
                ahead.read(|there| self.block.extend_from_slice(there))?;
            }
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
    }
}

impl Read for Stdin<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

/// The process's stdout, without a buffer: the exchange hands over what belongs together.
struct Stdout<'a> {
    file: &'a mut File,
    ahead: Option<&'a RefCell<Ahead>>,
}

impl Stdout<'_> {
    /// Returns when some bytes can be written without waiting: how many. All, when nothing is to
    /// be read ahead any more.
    fn room(&self) -> io::Result<usize> {
        /// poll(2) promises room for so many bytes in a pipe (PIPE_BUF).
        const PROMISED: usize = 4096;
        let Some(ahead) = self.ahead else { return Ok(usize::MAX) };
        let mut ahead = ahead.borrow_mut();
        while ahead.left > 0 {
            match sys::wait_stdio(true, -1)? {
                (_, true) => return Ok(PROMISED),
                _ => ahead.read_ahead()?,
            }
        }
        Ok(usize::MAX)
    }
}

impl Write for Stdout<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = self.room()?.min(data.len());
        self.file.write(&data[..room])
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.room()?;
        let total: usize = data.iter().map(|slice| slice.len()).sum();
        if total <= room {
            return self.file.write_vectored(data);
        }
        let first = data.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.file.write(&first[..room.min(first.len())])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Stdout<'_> {}
