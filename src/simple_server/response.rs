//! The way back to the client: what HTTP/1.1 adds to the response that a handler writes.
//!
//! The head that the handler made passes through here whole, with the first block behind it. Its
//! status and its Content-Length tell how the body will end (RFC 9112 section 6.3), and so whether
//! it goes in chunks, and whether the connection can be used again.

use super::{body::gone, connection::UNWANTED, request::Request, serving::Serving};
use crate::{
    handlers::Output,
    sys::{Readiness, SocketCell},
    types::{self, ClientGone},
};
use std::{
    cell::Cell,
    fs::File,
    io::{self, IoSlice, Write},
    sync::Arc,
};

/// Where the body of the response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// The head has not passed yet.
    Unknown,
    /// By itself: its length is known, or there is none.
    Delimited,
    Chunked,
    /// The last chunk has gone out.
    Ended,
    UntilEnd,
}

/// Whether the connection can be used again, by what the response's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Yes,
    No,
    /// The end of the connection ends the body.
    UntilEnd,
}

pub(super) struct Way<'c> {
    socket: &'c SocketCell,
    /// HTTP/1.1 is spoken: else all goes out as it comes.
    modern: bool,
    /// The client understands chunks, and keeps connections without a word.
    client_is_modern: bool,
    is_head: bool,
    keep: bool,
    body: Body,
    /// The client waits for `100 Continue`.
    awaited: &'c Cell<bool>,
    /// What was not read of the request's body.
    left: &'c Cell<u64>,
    serving: &'c Serving<'c>,
    /// The request, if its application has to be done in time.
    limited: Option<Arc<types::Request>>,
}

impl<'c> Way<'c> {
    pub(super) fn new(
        socket: &'c SocketCell,
        request: &Request,
        serving: &'c Serving<'c>,
        may_keep: bool,
        awaited: &'c Cell<bool>,
        left: &'c Cell<u64>,
        limited: Option<Arc<types::Request>>,
    ) -> Self {
        Self {
            socket,
            modern: serving.options.is_modern(),
            client_is_modern: request.is_modern,
            is_head: request.command == "HEAD",
            keep: serving.options.is_modern() && may_keep && request.keep_alive,
            body: Body::Unknown,
            awaited,
            left,
            serving,
            limited,
        }
    }

    /// Whether the connection can be used again.
    pub(super) fn keep(&self) -> Keep {
        match self.body {
            Body::Delimited | Body::Ended if self.keep => Keep::Yes,
            Body::Unknown | Body::UntilEnd => Keep::UntilEnd,
            Body::Delimited | Body::Ended | Body::Chunked => Keep::No,
        }
    }

    /// The first write: the head, and `block` behind it.
    fn send_head(&mut self, head: &[u8], block: &[u8]) -> io::Result<()> {
        let (bodiless, length_known) = look_at(head);
        let bodiless = bodiless || self.is_head;
        self.body = match () {
            () if bodiless || length_known => Body::Delimited,
            () if self.modern && self.client_is_modern => Body::Chunked,
            () => Body::UntilEnd,
        };
        if !self.modern {
            return self.send([head, block, b"", b"", b""]);
        }
        // Whether a client that waits for 100 sends its body after all is its own affair
        // (RFC 9110 section 10.1.1); what comes of a long one is not worth waiting for.
        let unread = self.awaited.take() || self.left.get() > UNWANTED;
        self.keep &= self.body != Body::UntilEnd && !unread;
        let fields: &[u8] = match (self.body, self.keep) {
            (Body::Chunked, true) => b"Transfer-Encoding: chunked\r\n\r\n",
            (Body::Chunked, false) => b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            (_, true) if self.client_is_modern => b"\r\n",
            (_, true) => b"Connection: keep-alive\r\n\r\n",
            (_, false) => b"Connection: close\r\n\r\n",
        };
        let head = head.strip_suffix(b"\r\n").unwrap_or(head);
        if self.body == Body::Chunked && !block.is_empty() {
            let size = format!("{:x}\r\n", block.len());
            return self.send([head, fields, size.as_bytes(), block, b"\r\n"]);
        }
        self.send([head, fields, block, b"", b""])
    }

    fn send_block(&mut self, block: &[u8]) -> io::Result<()> {
        if self.body != Body::Chunked {
            return self.send([block, b"", b"", b"", b""]);
        }
        // A chunk of no size would be the last.
        if block.is_empty() {
            return Ok(());
        }
        let size = format!("{:x}\r\n", block.len());
        self.send([size.as_bytes(), block, b"\r\n", b"", b""])
    }

    /// Sends all of it, waiting for a slow reader.
    fn send(&self, parts: [&[u8]; 5]) -> io::Result<()> {
        if self.limited.as_ref().is_some_and(|request| !request.begin_answer()) {
            return Err(ClientGone.into());
        }
        let mut slices = parts.map(IoSlice::new);
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.socket.send_vectored(left) {
                Ok(n) => IoSlice::advance_slices(&mut left, n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                Err(e) => return Err(gone(e)),
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        match self.serving.wait(
            self.socket,
            Readiness::Write,
            self.serving.options.write_timeout,
        )? {
            true => Ok(()),
            false => Err(gone(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Of a response's head: whether no body can follow, and whether it says how long it is.
fn look_at(head: &[u8]) -> (bool, bool) {
    let mut lines = head.split(|&byte| byte == b'\n');
    let status = lines.next().and_then(|line| line.split(|&byte| byte == b' ').nth(1));
    let bodiless = matches!(status, Some([b'1', ..] | b"204" | b"304"));
    let name = b"content-length:";
    let length_known =
        lines.any(|line| line.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)));
    (bodiless, length_known)
}

impl Write for Way<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut parts = data.iter().map(|slice| &**slice);
        if self.body == Body::Unknown {
            let head = parts.next().unwrap_or_default();
            let block: &[u8] = parts.next().unwrap_or_default();
            self.send_head(head, block)?;
            return Ok(head.len() + block.len());
        }
        let mut sent = 0;
        for part in parts {
            self.send_block(part)?;
            sent += part.len();
        }
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for Way<'_> {
    fn sendfile(&mut self, file: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        // The size of a chunk is said before it is known that the file has so much.
        if self.body == Body::Chunked {
            return Ok(None);
        }
        let piece = usize::try_from(len).unwrap_or(usize::MAX).min(1 << 30);
        loop {
            match self.socket.sendfile(file, from, piece) {
                Ok(n) => return Ok(Some(n as u64)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                // A read tells whether the file is to blame, a write whether the client is.
                Err(_) => return Ok(None),
            }
        }
    }

    /// The end of a whole body: one that is cut short does not come here.
    fn finish(&mut self) -> io::Result<()> {
        if self.body == Body::Chunked {
            self.send([b"0\r\n\r\n", b"", b"", b"", b""])?;
            self.body = Body::Ended;
        }
        Ok(())
    }
}
