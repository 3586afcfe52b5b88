//! `echo`: the request's body, sent back block by block as it comes in.

use super::NOSNIFF;
use crate::types::{Blocks, Body, Environ, Exception, InputStream, Response, StartResponse};
use std::io::BufRead;

/// Answers with the body of the request, under its own Content-Type.
///
/// ```
/// let request = cgigate::testing::post("/", "a=1").header("Content-Type", "text/plain");
/// let answer = request.ask(&cgigate::apps::echo);
/// assert_eq!((answer.header("Content-Type"), answer.text()), (Some("text/plain"), "a=1".into()));
/// ```
///
/// # Errors
/// The client has gone away, or sent a Content-Type that cannot be sent back.
pub fn echo<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let content_type = environ.vars.filled("CONTENT_TYPE").unwrap_or(b"application/octet-stream");
    let (name, nosniff) = NOSNIFF;
    let headers = [("Content-Type", content_type), (name, nosniff.as_bytes())];
    start_response.call("200 OK", &headers)?;
    Ok(Body::Blocks(Box::new(Echo { input: environ.input, lent: 0 })))
}

/// Lends out what lies in the input's buffer, without a copy.
struct Echo<'r> {
    input: InputStream<'r>,
    /// Bytes of the buffer that were lent, and are done with when the next block is asked for.
    lent: usize,
}

impl Blocks for Echo<'_> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        self.input.consume(self.lent);
        self.lent = 0;
        let block = self.input.fill_buf()?;
        self.lent = block.len();
        Ok(if block.is_empty() { None } else { Some(block) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::answer;

    #[test]
    fn it_sends_back_the_body_and_its_type() {
        assert_eq!(
            answer(&super::echo, &[("CONTENT_TYPE", b"text/x")], b"ping"),
            "Status: 200 OK\r\nContent-Type: text/x\r\n\
             X-Content-Type-Options: nosniff\r\n\r\nping"
        );
        let untyped = answer(&super::echo, &[], b"");
        assert!(untyped.contains("\r\nContent-Type: application/octet-stream\r\n"), "{untyped}");
    }
}
