//! A file that lines are added to, by one write each, while others move it away.

use crate::sys::{self, say};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    mem::ManuallyDrop,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// What is written at one time stands together, whichever process wrote it (O_APPEND, write(2)).
/// That a disk is full costs lines, and nothing else.
#[derive(Debug)]
pub(crate) struct LogFile {
    to: To,
    /// The last line is not whole.
    torn: AtomicBool,
    /// It was said already that lines are lost.
    told: AtomicBool,
}

#[derive(Debug)]
enum To {
    File(PathBuf, File),
    /// Which is not this value's to close.
    Stdout(ManuallyDrop<File>),
}

impl LogFile {
    /// # Errors
    /// The file can be neither opened nor made.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self::new(To::File(path.into(), open(path)?)))
    }

    pub(crate) fn stdout() -> Self {
        Self::new(To::Stdout(sys::stdout()))
    }

    fn new(to: To) -> Self {
        Self { to, torn: AtomicBool::new(false), told: AtomicBool::new(false) }
    }

    /// Adds `line`, which ends with a line break.
    pub(crate) fn add(&self, line: &[u8]) {
        let written = match self.torn.load(Relaxed) && self.torn.swap(false, Relaxed) {
            true => self.write(&[b"\n", line].concat()),
            false => self.write(line),
        };
        let why = match written {
            Ok(true) => return,
            Ok(false) => {
                self.torn.store(true, Relaxed);
                io::ErrorKind::StorageFull.to_string()
            }
            Err(error) => error.to_string(),
        };
        if !self.told.swap(true, Relaxed) {
            let name = self.name();
            say(format_args!(
                "cgigate: write to {name}: {why}; serving goes on, lines are lost (not told again)"
            ));
        }
    }

    /// Whether all of it was written.
    fn write(&self, line: &[u8]) -> io::Result<bool> {
        loop {
            match self.file().write(line) {
                Ok(n) => return Ok(n == line.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on in a new file, if the old one was moved away. Who writes meanwhile writes to one of
    /// the two. What cannot be opened leaves the old one in use, and says so.
    pub(crate) fn reopen(&self) {
        let To::File(path, file) = &self.to else { return };
        match open(path).and_then(|new| sys::replace_descriptor(file.as_fd(), new.as_fd())) {
            Ok(()) => {
                self.torn.store(false, Relaxed);
                self.told.store(false, Relaxed);
            }
            Err(error) => {
                say(format_args!(
                    "cgigate: reopen {}: {error}; the old file stays",
                    path.display()
                ));
            }
        }
    }

    /// From now on what this process writes to stderr goes there.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn become_stderr(&self) -> io::Result<()> {
        sys::replace_descriptor(io::stderr().as_fd(), self.file().as_fd())
    }

    fn name(&self) -> String {
        match &self.to {
            To::File(path, _) => path.display().to_string(),
            To::Stdout(_) => "stdout".into(),
        }
    }

    fn file(&self) -> &File {
        match &self.to {
            To::File(_, file) => file,
            To::Stdout(file) => file,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lines_go_on_in_a_new_file_once_the_old_one_was_moved_away() {
        let path = std::env::temp_dir().join(format!("cgigate-log-file-{}", std::process::id()));
        let moved = path.with_extension("1");
        let log = LogFile::open(&path).unwrap();
        log.add(b"one\n");
        fs::rename(&path, &moved).unwrap();
        log.add(b"two\n");
        log.reopen();
        log.add(b"three\n");
        assert_eq!(fs::read(&moved).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::read(&path).unwrap(), b"three\n");
        log.torn.store(true, Relaxed);
        log.add(b"whole\n");
        assert_eq!(fs::read(&path).unwrap(), b"three\n\nwhole\n");
        fs::remove_file(moved).unwrap();
        fs::remove_file(path).unwrap();
    }
}
