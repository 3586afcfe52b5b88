//! The state of one response: wsgiref's "state variables (don't mess with these)".

use super::{Attributes, Ending, Handler, Output, Preamble};
use crate::{
    headers::{Headers, has_control},
    types::{
        Blocks, Body, ClientGone, Exception, FileLike, FileWrapper, HeaderIter, StartResponse,
        Vars, Violation,
    },
    util::is_hop_by_hop,
};
use std::{
    fs::File,
    io::{self, IoSlice, Seek, SeekFrom},
    time::SystemTime,
};

/// Status and headers between `start_response` and the first byte sent, and the memory for them.
#[derive(Default)]
pub(super) struct Head {
    status: Vec<u8>,
    headers: Headers,
    /// Where fields that replace others are put until all of them are known to be good.
    spare: Headers,
    /// The header block as it goes out.
    block: Vec<u8>,
}

impl Head {
    /// How much of it there is, in bytes.
    pub(super) fn memory(&self) -> usize {
        let Self { status, headers, spare, block } = self;
        status.capacity() + headers.memory() + spare.memory() + block.capacity()
    }

    pub(super) fn shrink_to(&mut self, bytes: usize) {
        self.status.shrink_to(bytes);
        self.headers.shrink_to(bytes);
        self.spare.shrink_to(bytes);
        self.block.shrink_to(bytes);
    }
}

/// How many blocks the body has: one alone makes a Content-Length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Unknown,
    OneBlock,
}

pub(super) struct Exchange<'x> {
    handler: &'x dyn Handler,
    at: &'x Attributes,
    head: &'x mut Head,
    stdout: &'x mut dyn Output,
    /// The request's method is HEAD: no byte of the body is sent.
    is_head: bool,
    /// SERVER_PROTOCOL is HTTP/0.9, which has no headers.
    is_ancient: bool,
    started: bool,
    /// The three digits of the status, once started.
    code: u16,
    headers_sent: bool,
    /// All of the body was written.
    finished: bool,
    length: Length,
    /// Bytes of the body that the application made, and that the client may be told of.
    bytes_sent: u64,
    /// What the Content-Length says.
    declared: Option<u64>,
    complaint: Option<Complaint>,
    /// What `close()` failed with when there was nothing left to be said to the client.
    close_error: Option<Exception>,
}

/// What an application got wrong about its length, and was mended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Complaint {
    #[error("the response was longer than its Content-Length of {0}, and was cut")]
    TooLong(u64),
    #[error("the response has {0} bytes, and its Content-Length said {1}")]
    TooShort(u64, u64),
}

impl<'x> Exchange<'x> {
    pub(super) fn new(
        handler: &'x dyn Handler,
        vars: &Vars,
        head: &'x mut Head,
        stdout: &'x mut dyn Output,
    ) -> Self {
        // Only whoever speaks to the client itself has to know.
        let at = handler.attributes();
        let protocol = match at.origin_server {
            true => vars.get("SERVER_PROTOCOL").unwrap_or_default(),
            false => b"",
        };
        Self {
            handler,
            at,
            head,
            stdout,
            is_head: vars.get("REQUEST_METHOD") == Some(b"HEAD"),
            is_ancient: protocol.eq_ignore_ascii_case(b"HTTP/0.9"),
            started: false,
            code: 0,
            headers_sent: false,
            finished: false,
            length: Length::Unknown,
            bytes_sent: 0,
            declared: None,
            complaint: None,
            close_error: None,
        }
    }

    pub(super) fn headers_sent(&self) -> bool {
        self.headers_sent
    }

    /// The three digits of the status that was sent; 0 for none.
    pub(super) fn status(&self) -> u16 {
        if self.headers_sent { self.code } else { 0 }
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        if self.is_bodiless() { 0 } else { self.bytes_sent }
    }

    pub(super) fn complaint(&self) -> Option<Complaint> {
        self.complaint
    }

    pub(super) fn close_error(&mut self) -> Option<Exception> {
        self.close_error.take()
    }

    /// How the response ended, now that nothing more comes.
    pub(super) fn ending(&self) -> Ending {
        match self.complaint {
            Some(Complaint::TooShort(..)) => Ending::Cut { length_known: true },
            _ => Ending::Whole,
        }
    }

    /// How it ended, if it ended here in the middle of things.
    pub(super) fn cut(&self) -> Ending {
        match self.declared {
            _ if self.finished => self.ending(),
            Some(declared) if self.bytes_sent == declared => Ending::Whole,
            declared => Ending::Cut { length_known: declared.is_some() },
        }
    }

    /// `finish_response`: sends what the body holds, and closes it whatever happens.
    pub(super) fn finish(&mut self, body: Body<'_>) -> Result<(), Exception> {
        match body {
            Body::Empty => self.finish_content(),
            Body::One(block) => {
                if !self.headers_sent {
                    self.length = Length::OneBlock;
                }
                self.put(&block)?;
                self.finish_content()
            }
            Body::Blocks(mut blocks) => {
                let sent = self.send_blocks(&mut *blocks).and_then(|()| self.finish_content());
                self.close(&mut *blocks);
                sent
            }
            Body::File(mut file) => {
                self.send_file(&mut file)?;
                self.finish_content()
            }
        }
    }

    fn send_blocks(&mut self, blocks: &mut dyn Blocks) -> Result<(), Exception> {
        blocks.begin(self)?;
        // Only now is it known whether the block is the first: `begin` may have written something.
        if blocks.blocks() == Some(1) && !self.headers_sent {
            self.length = Length::OneBlock;
        }
        while let Some(block) = blocks.next_block()? {
            self.write(block)?;
            if self.is_full() {
                break;
            }
        }
        Ok(())
    }

    /// `close`: what it fails with comes too late to be put into the response, and is logged.
    fn close(&mut self, blocks: &mut dyn Blocks) {
        if let Err(exc) = blocks.close() {
            self.close_error = Some(exc);
        }
    }

    /// The kernel's `sendfile` where there is one and the file is real, else block by block.
    fn send_file(&mut self, wrapper: &mut FileWrapper<'_>) -> Result<(), Exception> {
        if self.started && self.is_bodiless() {
            return self.send_headers(b""); // Of a file nothing is known that only reading it tells.
        }
        let wanted = self.started && self.at.wsgi_file_wrapper;
        if let (true, FileLike::File { file, len }) = (wanted, &mut wrapper.filelike)
            && let Some((from, there)) = extent(file)
        {
            self.send_headers(b"")?;
            let most = len.unwrap_or(there).min(there);
            let sent = self.hand_over(file, from, most)?;
            if sent == most && len.is_none_or(|len| len <= there) {
                return Ok(());
            }
            file.seek(SeekFrom::Start(from + sent))?;
            if let Some(len) = len {
                *len -= sent;
            }
        }
        self.send_blocks(wrapper)
    }

    /// Hands up to `most` bytes of a file to the kernel, none beyond the Content-Length: how many it
    /// took.
    fn hand_over(&mut self, file: &File, from: u64, most: u64) -> Result<u64, Exception> {
        let most = most.min(self.declared.map_or(most, |declared| declared - self.bytes_sent));
        let mut taken = 0;
        while taken < most {
            match self.stdout.sendfile(file, from + taken, most - taken).map_err(departed)? {
                // It has shrunk, or has to be copied: whoever reads it finds out.
                None | Some(0) => break,
                Some(sent) => (taken, self.bytes_sent) = (taken + sent, self.bytes_sent + sent),
            }
        }
        Ok(taken)
    }

    /// `finish_content`: an empty body has headers too. What fails afterwards is too late to change it.
    fn finish_content(&mut self) -> Result<(), Exception> {
        if !self.headers_sent {
            if !self.started {
                return Err(Violation::WriteBeforeStartResponse.into());
            }
            if !self.is_lengthless() && !self.head.headers.contains("Content-Length") {
                self.head.headers.add("Content-Length", "0")?;
            }
            self.send_headers(b"")?;
        }
        if let Some(declared) = self.declared
            && self.bytes_sent < declared
            && !self.is_bodiless()
        {
            self.complaint = Some(Complaint::TooShort(self.bytes_sent, declared));
        }
        self.stdout.finish().map_err(departed)?;
        self.finished = true;
        Ok(())
    }

    /// Writes a block behind the headers, without flushing it.
    fn put(&mut self, data: &[u8]) -> Result<(), Exception> {
        if !self.started {
            return Err(Violation::WriteBeforeStartResponse.into());
        }
        if !self.headers_sent {
            return self.send_headers(data);
        }
        let data = self.fit(data);
        if !data.is_empty() {
            self.stdout.write_all(data).map_err(departed)?;
        }
        Ok(())
    }

    /// `send_headers`, and the first block in the same write.
    fn send_headers(&mut self, block: &[u8]) -> Result<(), Exception> {
        if self.headers_sent {
            return Ok(());
        }
        self.cleanup_headers(block.len());
        // Only now can nothing go wrong any more but the writing.
        self.render_head();
        self.headers_sent = true;
        let block = self.fit(block);
        write_both(self.stdout, &self.head.block, block).map_err(departed)?;
        Ok(())
    }

    /// `cleanup_headers`: wsgiref's own part, and then what an override adds to it.
    fn cleanup_headers(&mut self, first_block: usize) {
        let told = self.length == Length::OneBlock && !self.is_lengthless();
        let (headers, mut digits) = (&mut self.head.headers, [0; 20]);
        let mut made: Option<(&[u8], &[u8])> = None;
        if told && !headers.contains("Content-Length") {
            let field = (&b"Content-Length"[..], decimal(first_block as u64, &mut digits));
            headers.push(field.0, field.1);
            made = Some(field);
        }
        self.handler.cleanup_headers(headers);
        if self.code == 204 {
            headers.remove("Content-Length");
        }
        self.declared = match made {
            // Nearly always it is as it was made.
            Some(_) if headers.last() == made => Some(first_block as u64),
            _ => headers.get("Content-Length").and_then(parse_length),
        };
    }

    /// `send_preamble` and the header fields.
    fn render_head(&mut self) {
        let at = self.at;
        let Head { status, headers, block, .. } = &mut *self.head;
        block.clear();
        if at.origin_server && self.is_ancient {
            return;
        }
        if at.origin_server {
            put(block, [b"HTTP/", at.http_version.as_bytes(), b" ", status]);
            if !headers.contains("Date") {
                let date = httpdate::fmt_http_date(SystemTime::now());
                put(block, [b"Date: ", date.as_bytes()]);
            }
            if let (Some(software), false) = (at.software(), headers.contains("Server")) {
                put(block, [b"Server: ", software.as_bytes()]);
            }
            block.extend_from_slice(headers.lines());
        } else {
            match at.preamble {
                Preamble::StatusFirst => put(block, [b"Status: ", status]),
                Preamble::StatusLine => put(block, [b"HTTP/1.1 ", status]),
                Preamble::StatusLast => {}
            }
            block.extend_from_slice(headers.lines());
            if at.preamble == Preamble::StatusLast {
                put(block, [b"Status: ", status]);
            }
        }
        block.extend_from_slice(b"\r\n");
    }

    /// As much of a block as may be sent: none without a body, none beyond the Content-Length.
    fn fit<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let left = self.declared.map_or(u64::MAX, |declared| declared - self.bytes_sent);
        let fits = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        if let (true, Some(declared), false) =
            (fits < data.len(), self.declared, self.is_bodiless())
        {
            self.complaint = Some(Complaint::TooLong(declared));
        }
        self.bytes_sent += fits as u64;
        if self.is_bodiless() { b"" } else { &data[..fits] }
    }

    /// More than the Content-Length came: the rest need not even be made.
    fn is_full(&self) -> bool {
        matches!(self.complaint, Some(Complaint::TooLong(_)))
    }

    /// RFC 9110 section 6.4.1: responses that have no content.
    fn is_bodiless(&self) -> bool {
        self.is_head || self.is_lengthless()
    }

    /// RFC 9110 section 8.6: responses whose Content-Length is not ours to make.
    fn is_lengthless(&self) -> bool {
        matches!(self.code, 204 | 304)
    }
}

impl StartResponse for Exchange<'_> {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception> {
        match exc_info {
            Some(exc) if self.headers_sent => return Err(exc),
            None if self.started => return Err(violated(Violation::HeadersAlreadySet)),
            _ => {}
        }
        let head = &mut *self.head;
        // What is replaced stays until all of what replaces it is known to be good.
        let fields = if self.started { &mut head.spare } else { &mut head.headers };
        fields.clear();
        let mut hop_by_hop = None;
        for (name, value) in headers {
            fields.add(name, value).map_err(violated)?;
            if is_hop_by_hop(name) && hop_by_hop.is_none() {
                hop_by_hop = Some((name, value));
            }
        }
        let code = check_status(status).map_err(violated)?;
        if let Some((name, value)) = hop_by_hop {
            return Err(hop_by_hop_used(name, value));
        }
        if self.started {
            std::mem::swap(&mut head.headers, &mut head.spare);
        }
        head.status.clear();
        head.status.extend_from_slice(status);
        (self.code, self.started) = (code, true);
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.put(data)?;
        self.stdout.flush().map_err(departed)?;
        Ok(())
    }
}

/// Where a file stands, and how many bytes follow. Of pipes and devices nobody knows, nor of what the
/// kernel makes up while it is read: that says it has none (proc(5)).
fn extent(file: &mut File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok().filter(|it| it.is_file() && it.len() > 0)?;
    let from = file.stream_position().ok()?;
    Some((from, metadata.len().saturating_sub(from)))
}

#[cold]
fn violated(violation: Violation) -> Exception {
    violation.into()
}

#[cold]
fn hop_by_hop_used(name: &[u8], value: &[u8]) -> Exception {
    let (name, value) = (name.to_vec(), value.to_vec());
    Violation::HopByHop { name, value }.into()
}

/// The number at the front of a status that can be the final one.
fn check_status(status: &[u8]) -> Result<u16, Violation> {
    if has_control(status) {
        return Err(Violation::StatusControl);
    }
    if status.len() < 4 {
        return Err(Violation::StatusTooShort);
    }
    if !status[..3].iter().all(u8::is_ascii_digit) {
        return Err(Violation::StatusCode);
    }
    if status[3] != b' ' {
        return Err(Violation::StatusSpace);
    }
    let code = status[..3].iter().fold(0, |code, digit| code * 10 + u16::from(digit & 15));
    match code {
        100..=199 => Err(Violation::StatusInterim(code)),
        _ => Ok(code),
    }
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8; // One digit fits.
        n /= 10;
        if n == 0 {
            return &digits[at..];
        }
    }
}

/// One line of the header block.
fn put<const N: usize>(block: &mut Vec<u8>, parts: [&[u8]; N]) {
    parts.iter().for_each(|part| block.extend_from_slice(part));
    block.extend_from_slice(b"\r\n");
}

/// One `write_vectored` where the system takes all of it.
fn write_both(out: &mut dyn Output, head: &[u8], block: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(head), IoSlice::new(block)];
    let mut left = &mut slices[..];
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match out.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Of our own writer, and of nobody else, these errors mean that the client has gone.
fn departed(error: io::Error) -> io::Error {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset => ClientGone.into(),
        _ => error,
    }
}
