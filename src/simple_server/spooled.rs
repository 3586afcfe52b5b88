//! A body that is read before the application runs: 64 KiB of it in memory, a longer one in a file
//! that has no name.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Cursor, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    sync::atomic::{AtomicU64, Ordering},
};

const IN_MEMORY: usize = 64 << 10;

/// What came so far.
#[derive(Default)]
pub(super) struct Spooled {
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
}

impl Spooled {
    pub(super) fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        self.len += piece.len() as u64;
        if self.file.is_none() && self.memory.len() + piece.len() <= IN_MEMORY {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        match &mut self.file {
            Some(file) => file.write_all(piece),
            none => {
                let file = none.insert(nameless()?);
                file.write_all(&std::mem::take(&mut self.memory))?;
                file.write_all(piece)
            }
        }
    }

    /// Bytes that came.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// All that came, from its beginning.
    pub(super) fn into_reader(self) -> io::Result<Box<dyn BufRead>> {
        match self.file {
            None => Ok(Box::new(Cursor::new(self.memory))),
            Some(mut file) => {
                file.rewind()?;
                Ok(Box::new(BufReader::new(file)))
            }
        }
    }
}

/// A file that goes away with its descriptor.
fn nameless() -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("cgigate-http-{}-{count}", std::process::id()));
    let file =
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_from_memory_and_from_a_file() {
        for size in [0, 5, IN_MEMORY, IN_MEMORY + 1, 300_000] {
            let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let mut spooled = Spooled::default();
            body.chunks(7_001).for_each(|piece| spooled.push(piece).unwrap());
            assert_eq!(spooled.len(), size as u64);
            let mut got = Vec::new();
            spooled.into_reader().unwrap().read_to_end(&mut got).unwrap();
            assert!(got == body, "{size}");
        }
    }
}
