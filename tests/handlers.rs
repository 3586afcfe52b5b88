//! `wsgiref.handlers` through the public face: what the handler promises the application, and what
//! it sends, write by write. The whole responses of well over three hundred applications are in
//! `tests/vectors.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "handlers/environ.rs"]
mod environ;
#[path = "handlers/errors.rs"]
mod errors;
#[path = "handlers/head.rs"]
mod head;
#[path = "handlers/response.rs"]
mod response;
#[path = "handlers/start_response.rs"]
mod start_response;

use cgigate::{
    Application, Body, Environ, Exception, Response, StartResponse, Vars,
    handlers::{Attributes, Ending, Handler, Outcome, Output, Plain, Slate, Streams, run},
    types::Blocks,
};
use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A stdout that keeps each write by itself, and may fail.
#[derive(Default)]
struct Wire {
    writes: Vec<Vec<u8>>,
    flushes: usize,
    fails: Option<ErrorKind>,
    takes_files: bool,
}

impl Wire {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.writes.concat()).into_owned()
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(data)])
    }

    fn write_vectored(&mut self, data: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if let Some(kind) = self.fails {
            return Err(kind.into());
        }
        let all: Vec<u8> = data.iter().flat_map(|slice| slice.to_vec()).collect();
        let n = all.len();
        self.writes.push(all);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        Ok(())
    }
}

impl Output for Wire {
    fn sendfile(&mut self, _: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        if !self.takes_files {
            return Ok(None);
        }
        self.writes.push(format!("<{len} bytes from {from}>").into_bytes());
        Ok(Some(len))
    }
}

struct Done {
    wire: Wire,
    log: String,
    outcome: Result<Outcome, Exception>,
}

impl Done {
    fn text(&self) -> String {
        self.wire.text()
    }

    fn ending(&self) -> Ending {
        self.outcome.as_ref().unwrap().ending
    }
}

fn run_on(handler: &dyn Handler, mut wire: Wire, vars: Vars, app: &dyn Application) -> Done {
    let mut slate = Slate::default();
    slate.vars = vars;
    let mut log = Vec::new();
    let streams = Streams { stdin: &mut &b""[..], stdout: &mut wire, stderr: &mut log };
    let outcome = run(handler, app, &mut slate, streams);
    Done { wire, log: String::from_utf8(log).unwrap(), outcome }
}

fn cgi(app: &dyn Application) -> Done {
    run_on(&Plain(Attributes::CGI), Wire::default(), Vars::default(), app)
}

fn under(method: &str, app: &dyn Application) -> Done {
    let vars = [("REQUEST_METHOD", method)].into_iter().collect();
    run_on(&Plain(Attributes::CGI), Wire::default(), vars, app)
}

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];
const HEAD: &str = "Status: 200 OK\r\nContent-Type: text/plain\r\n";
const PAGE: &str = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\
    Content-Length: 59\r\n\r\nA server error occurred.  Please contact the administrator.";

/// A body that does as it is told, and counts how often it was closed.
struct Told<'r> {
    blocks: Vec<Result<&'static str, &'static str>>,
    sized: bool,
    closing: Result<(), &'static str>,
    closed: &'r AtomicUsize,
    at: usize,
}

fn told<'r>(
    closed: &'r AtomicUsize,
    blocks: &[Result<&'static str, &'static str>],
) -> Box<Told<'r>> {
    Box::new(Told { blocks: blocks.to_vec(), sized: false, closing: Ok(()), closed, at: 0 })
}

impl Blocks for Told<'_> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        let block = self.blocks.get(self.at).copied().transpose()?;
        self.at += 1;
        Ok(block.map(str::as_bytes))
    }

    fn blocks(&self) -> Option<usize> {
        self.sized.then_some(self.blocks.len())
    }

    fn close(&mut self) -> Result<(), Exception> {
        self.closed.fetch_add(1, Relaxed);
        Ok(self.closing?)
    }
}

/// An application that sends these blocks after this status and these fields.
fn blocks<'a>(
    status: &'static str,
    headers: &'a [(&'static str, &'static str)],
    blocks: &'a [Result<&'static str, &'static str>],
    closed: &'a AtomicUsize,
) -> impl Application + 'a {
    struct Sends<'a> {
        status: &'static str,
        headers: &'a [(&'static str, &'static str)],
        blocks: &'a [Result<&'static str, &'static str>],
        closed: &'a AtomicUsize,
    }
    impl Application for Sends<'_> {
        fn call<'r>(&'r self, _: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
            start.call(self.status, self.headers)?;
            Ok(Body::Blocks(told(self.closed, self.blocks)))
        }
    }
    Sends { status, headers, blocks, closed }
}

/// For those who do not ask.
static ANYHOW: AtomicUsize = AtomicUsize::new(0);
