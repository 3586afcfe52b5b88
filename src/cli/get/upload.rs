//! What is sent: the head of a request, and its bodies as they are read, one record at a time.

use crate::{
    fcgi::{HEADER_LEN, RecordType, RequestId, header},
    gateway::nameless::nameless,
    sys::{Readiness, SocketCell},
};
use anyhow::{Context as _, bail};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Cursor, ErrorKind, Read, Seek as _},
    os::fd::{AsFd as _, AsRawFd as _, RawFd},
    path::Path,
    time::UNIX_EPOCH,
};

/// The content of a record, in bytes.
const CHUNK: usize = 32 << 10;

/// Where a body comes from.
pub(super) struct Source {
    reader: Box<dyn Read>,
    /// What to wait for before it is read; memory is always there.
    fd: Option<RawFd>,
    name: String,
    /// How many bytes are to come, if that is known.
    length: Option<u64>,
    /// Seconds since 1970, of a file.
    modified: Option<u64>,
}

impl Source {
    pub(super) fn memory(bytes: Vec<u8>) -> Self {
        let length = Some(bytes.len() as u64);
        let reader = Box::new(Cursor::new(bytes));
        Self { reader, fd: None, name: String::new(), length, modified: None }
    }

    /// A file, or with `-` stdin.
    pub(super) fn file(path: &Path) -> anyhow::Result<Self> {
        let (name, opened) = match path.to_str() {
            // Not std's: what its buffer held could not be waited for.
            Some("-") => ("stdin".into(), io::stdin().as_fd().try_clone_to_owned().map(File::from)),
            _ => (path.display().to_string(), File::open(path)),
        };
        let source = opened.and_then(|file| Self::of(file, name.clone()));
        source.with_context(|| format!("read {name}"))
    }

    /// The same with its length known: what comes from a pipe is kept in a file first.
    pub(super) fn with_length(mut self) -> anyhow::Result<Self> {
        if self.length.is_some() {
            return Ok(self);
        }
        let kept = nameless().and_then(|mut file| {
            io::copy(&mut self.reader, &mut file)?;
            file.rewind()?;
            Self::of(file, self.name.clone())
        });
        kept.with_context(|| format!("read {}", self.name))
    }

    fn of(mut file: File, name: String) -> io::Result<Self> {
        let found = file.metadata()?;
        if found.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        // Of a pipe, a terminal or a device nobody knows the length.
        let length = match found.is_file() {
            true => Some(found.len().saturating_sub(file.stream_position()?)),
            false => None,
        };
        let modified = found.modified()?.duration_since(UNIX_EPOCH).ok().map(|age| age.as_secs());
        let fd = Some(file.as_raw_fd());
        Ok(Self { reader: Box::new(file), fd, name, length, modified })
    }

    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(super) fn modified(&self) -> Option<u64> {
        self.modified
    }

    /// Fills `room`; 0 at the end, which is where its length said.
    fn read(&mut self, room: &mut [u8]) -> anyhow::Result<usize> {
        let most = self.length.map_or(room.len(), |left| {
            usize::try_from(left).map_or(room.len(), |left| left.min(room.len()))
        });
        if most == 0 {
            return Ok(0);
        }
        let n = loop {
            match self.reader.read(&mut room[..most]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.with_context(|| format!("read {}", self.name))?,
            }
        };
        if let Some(left) = &mut self.length {
            if n == 0 {
                bail!("read {}: it ended {left} bytes before its length", self.name);
            }
            *left -= n as u64; // At most `most`.
        }
        Ok(n)
    }
}

/// What there is still to be sent.
pub(super) struct Upload {
    id: RequestId,
    out: Vec<u8>,
    sent: usize,
    bodies: VecDeque<(RecordType, Source)>,
}

impl Upload {
    /// `head` goes first, then each body as a stream of its type.
    pub(super) fn new(id: RequestId, head: Vec<u8>, bodies: Vec<(RecordType, Source)>) -> Self {
        Self { id, out: head, sent: 0, bodies: bodies.into() }
    }

    /// What to wait for before [`advance`](Self::advance) can do something; -1: it has done all.
    pub(super) fn waits_for(&self, socket: RawFd) -> (RawFd, Readiness) {
        match self.bodies.front() {
            Some((_, Source { fd: Some(fd), .. })) if self.is_sent() => (*fd, Readiness::Read),
            None if self.is_sent() => (-1, Readiness::Read),
            _ => (socket, Readiness::Write),
        }
    }

    fn is_sent(&self) -> bool {
        self.sent == self.out.len()
    }

    /// Sends what the socket takes, of what is there or can be read now.
    pub(super) fn advance(&mut self, socket: &SocketCell) -> anyhow::Result<()> {
        if self.is_sent() {
            self.refill()?;
        }
        match socket.send(&self.out[self.sent..]) {
            Ok(n) => self.sent += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // An application that has its answer ready may close before it has read the body: what
            // it answered says whether that was in order.
            Err(error)
                if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) =>
            {
                self.bodies.clear();
                self.sent = self.out.len();
            }
            Err(error) => return Err(error).context("send"),
        }
        Ok(())
    }

    /// The next record: a piece of the first body, or the end of its stream.
    fn refill(&mut self) -> anyhow::Result<()> {
        let Some((kind, source)) = self.bodies.front_mut() else { return Ok(()) };
        self.out.resize(HEADER_LEN + CHUNK, 0);
        let n = source.read(&mut self.out[HEADER_LEN..])?;
        // CHUNK is less than 65,536.
        self.out[..HEADER_LEN].copy_from_slice(&header(*kind, self.id.0.get(), n as u16));
        self.out.truncate(HEADER_LEN + n);
        self.sent = 0;
        if n == 0 {
            self.bodies.pop_front();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_sent_as_long_as_it_was_when_it_was_opened() {
        let path = std::env::temp_dir().join(format!("cgigate-upload-{}", std::process::id()));
        let mut room = [0; 100];
        fs::write(&path, "ten bytes!").unwrap();
        let mut source = Source::file(&path).unwrap();
        assert_eq!(source.length(), Some(10));
        fs::write(&path, "ten bytes! and more").unwrap();
        assert_eq!(source.read(&mut room).unwrap(), 10);
        assert_eq!(source.read(&mut room).unwrap(), 0, "the rest is another's");
        let mut source = Source::file(&path).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert_eq!(source.read(&mut room).unwrap(), 10);
        let error = source.read(&mut room).unwrap_err().to_string();
        assert!(error.ends_with(": it ended 9 bytes before its length"), "{error}");
        fs::remove_file(path).unwrap();
        assert!(Source::file(&std::env::temp_dir()).is_err(), "a folder is no body");
    }

    #[test]
    fn what_has_no_length_gets_one() {
        let source = Source::file(Path::new("/dev/null")).unwrap();
        assert_eq!(source.length(), None);
        assert_eq!(source.with_length().unwrap().length(), Some(0));
    }
}
