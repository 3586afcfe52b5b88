//! Applications about bodies: read, left alone, slow, long.

use crate::query::number;
use cgigate::{
    Body, Environ, Response, StartResponse,
    types::{Blocks, Exception},
};
use std::{io, thread, time::Duration};

const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// Reads the whole body, and answers its length.
pub(crate) fn count<'r>(
    mut environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let length = io::copy(&mut environ.input, &mut io::sink())?;
    start_response.call("200 OK", &[PLAIN])?;
    Ok(format!("{length}\n").into())
}

/// Does not read the body.
pub(crate) fn noread<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[PLAIN])?;
    Ok("ignored\n".into())
}

/// `?chunks=N&size=S&delay_ms=D`: N blocks of S bytes, one every D ms.
pub(crate) fn stream<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let size = usize::try_from(number(environ.vars, "size", 1024))?;
    let left = number(environ.vars, "chunks", 10);
    let delay = Duration::from_millis(number(environ.vars, "delay_ms", 0));
    start_response.call("200 OK", &[PLAIN])?;
    Ok(Body::Blocks(Box::new(Stream { block: vec![b'x'; size], left, delay, begun: false })))
}

struct Stream {
    block: Vec<u8>,
    left: u64,
    delay: Duration,
    begun: bool,
}

impl Blocks for Stream {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        if self.left == 0 {
            return Ok(None);
        }
        if std::mem::replace(&mut self.begun, true) {
            thread::sleep(self.delay);
        }
        self.left -= 1;
        Ok(Some(&self.block))
    }
}

/// `?n=N`: a body of N bytes, and its Content-Length.
pub(crate) fn bytes<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let left = number(environ.vars, "n", 0);
    start_response.call("200 OK", &[PLAIN, ("Content-Length", &left.to_string())])?;
    Ok(Body::Blocks(Box::new(Bytes { left })))
}

struct Bytes {
    left: u64,
}

impl Blocks for Bytes {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        // What is in memory already is best sent in few and long blocks.
        static BLOCK: [u8; 512 << 10] = [b'x'; 512 << 10];
        let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(BLOCK.len());
        self.left -= n as u64;
        Ok(if n == 0 { None } else { Some(&BLOCK[..n]) })
    }
}
