//! Files without a name, for what is too long for memory.
//!
//! To write a page that a file has already takes half the time of a new one, and it is not to be
//! freed either. So the file of one body is kept for the next, for a moment: until the steward has
//! swept twice and nobody has wanted it.

use crate::sys;
use std::{
    fs::File,
    io,
    ops::Deref,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// A file that goes away with its descriptor.
pub(crate) fn nameless() -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("cgigate-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    sys::nameless(&std::env::temp_dir().join(name))
}

/// Files kept at one time, and bytes of each: that much of the disk may be taken for a moment.
const MOST: usize = 4;
const LONGEST: u64 = 64 << 20;

struct Kept {
    file: File,
    /// A sweep has seen it.
    seen: bool,
}

/// Where files are kept.
pub(super) struct Shelf {
    kept: Mutex<Vec<Kept>>,
    /// How many, for whoever only looks.
    count: AtomicUsize,
}

/// Those of this process.
pub(super) static SHELF: Shelf = Shelf::new();

impl Shelf {
    const fn new() -> Self {
        Self { kept: Mutex::new(Vec::new()), count: AtomicUsize::new(0) }
    }

    /// A file for one body. What lies in it beyond what that has written is of no meaning.
    pub(super) fn file(&'static self) -> io::Result<Scratch> {
        let again = self.change(Vec::pop);
        let file = again.map_or_else(nameless, |kept| Ok(kept.file))?;
        Ok(Scratch { shelf: self, file: Some(file) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Told every now and then: what has been there since the last time goes.
    pub(super) fn sweep(&self) {
        if !self.is_empty() {
            self.change(|kept| kept.retain_mut(|kept| !std::mem::replace(&mut kept.seen, true)));
        }
    }

    fn put(&self, file: File) {
        let fits = file.metadata().and_then(|it| match it.len() {
            ..=LONGEST => Ok(()),
            _ => file.set_len(LONGEST),
        });
        if fits.is_ok() {
            self.change(|kept| {
                kept.push(Kept { file, seen: false });
                kept.truncate(MOST);
            });
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Kept>) -> R) -> R {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut kept);
        self.count.store(kept.len(), Ordering::Relaxed);
        result
    }
}

/// A file that goes back to its shelf.
pub(super) struct Scratch {
    shelf: &'static Shelf,
    file: Option<File>,
}

impl Deref for Scratch {
    type Target = File;

    fn deref(&self) -> &File {
        self.file.as_ref().expect("taken out by its end alone")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.shelf.put(file);
        }
    }
}

#[cfg(unix)] // It tells files by their inodes.
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn a_file_is_used_again_and_goes_when_nobody_wants_it() {
        static OWN: Shelf = Shelf::new();
        let inode = |file: &File| file.metadata().expect("an open file").ino();
        let (first, other) = (OWN.file().expect("a file"), OWN.file().expect("another"));
        let again = inode(&first);
        assert_ne!(again, inode(&other));
        first.write_all_at(b"x", LONGEST + 7).expect("room for a hole");
        drop(first);
        let first = OWN.file().expect("a file");
        let is = first.metadata().expect("an open file");
        assert_eq!((is.ino(), is.len(), is.nlink()), (again, LONGEST, 0));
        drop((first, other));
        OWN.sweep();
        assert!(!OWN.is_empty(), "for the bodies that come in the next moment");
        OWN.sweep();
        assert!(OWN.is_empty());
    }
}
