//! RFC 9110 section 14.6: several parts of a file in one answer, `multipart/byteranges`.

use super::range::Part;
use crate::types::{Blocks, Exception};
use std::{
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read, Seek, SeekFrom},
};

/// Bytes of a block.
const BLOCK: usize = 64 << 10;

/// The body of such an answer.
pub(super) struct Multipart {
    file: File,
    boundary: String,
    /// The head of each part, and what of the file follows.
    parts: std::vec::IntoIter<(String, Part)>,
    /// Bytes of the part under way that are still to come.
    left: u64,
    ended: bool,
    block: Vec<u8>,
}

impl Multipart {
    /// The `parts` of a file of `size` bytes and that type.
    pub(super) fn new(file: File, parts: Vec<Part>, size: u64, kind: &str) -> Self {
        // Nobody who wrote the file can have known it.
        let boundary = format!("{:016x}", RandomState::new().build_hasher().finish());
        let head = |part: Part| {
            let Part { first, last } = part;
            let range = format!("Content-Range: bytes {first}-{last}/{size}");
            (format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\n{range}\r\n\r\n"), part)
        };
        let parts: Vec<_> = parts.into_iter().map(head).collect();
        let parts = parts.into_iter();
        Self { file, boundary, parts, left: 0, ended: false, block: Vec::new() }
    }

    /// The value of its Content-Type.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Its length in bytes.
    pub(super) fn len(&self) -> u64 {
        let parts = self.parts.as_slice().iter();
        let parts: u64 = parts.map(|(head, part)| head.len() as u64 + part.len()).sum();
        parts + self.end().len() as u64
    }

    fn end(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

impl Blocks for Multipart {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        self.block.clear();
        if self.left == 0 {
            match self.parts.next() {
                Some((head, part)) => {
                    self.block.extend_from_slice(head.as_bytes());
                    self.file.seek(SeekFrom::Start(part.first))?;
                    self.left = part.len();
                }
                None if self.ended => return Ok(None),
                None => {
                    self.block.extend_from_slice(self.end().as_bytes());
                    self.ended = true;
                    return Ok(Some(&self.block));
                }
            }
        }
        let n = (&self.file).take(self.left.min(BLOCK as u64)).read_to_end(&mut self.block)?;
        if n == 0 {
            let why = "the file has become shorter than it was";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why).into());
        }
        self.left -= n as u64; // At most so many were taken.
        Ok(Some(&self.block))
    }
}
