//! Files without a name, for what is too long for memory.
//!
//! To write a page that a file has already takes half the time of a new one, and it is not to be
//! freed either. So the files of one body are kept for those that come in the next seconds.

use crate::{
    lock::lock,
    sys::{self, Mapped},
};
use std::{
    env,
    fs::File,
    io,
    ops::{Deref, DerefMut},
    path::PathBuf,
    process,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// A file that goes away with its descriptor.
pub(crate) fn nameless() -> io::Result<File> {
    sys::nameless(&name())
}

fn name() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("cgigate-{}-{count}", process::id()))
}

/// Bytes kept at one time, and for how long: that much of the disk may be taken for a moment. What
/// goes sooner than after half a minute is usually not written to the disk at all
/// (vm.dirty_expire_centisecs).
const MOST: usize = 256 << 20;
const KEPT: Duration = Duration::from_secs(20);

struct Kept {
    memory: Mapped,
    since: Instant,
}

/// Where files are kept.
pub(super) struct Shelf {
    kept: Mutex<Vec<Kept>>,
    /// How many, for whoever only looks.
    count: AtomicUsize,
    /// Bytes of them, at most.
    most: usize,
}

/// Those of this process.
pub(super) static SHELF: Shelf = Shelf::new(MOST);

impl Shelf {
    const fn new(most: usize) -> Self {
        Self { kept: Mutex::new(Vec::new()), count: AtomicUsize::new(0), most }
    }

    /// One that is kept, however long it is, or a new one of `len` bytes. What lies in it is of no
    /// meaning.
    pub(super) fn scratch(&'static self, len: usize) -> io::Result<Scratch> {
        let again = self.change(Vec::pop);
        let memory = again.map_or_else(|| Mapped::new(&name(), len), |kept| Ok(kept.memory))?;
        Ok(Scratch { shelf: self, memory: Some(memory) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Told every now and then: what nobody has wanted goes.
    pub(super) fn sweep(&self, now: Instant) {
        if !self.is_empty() {
            self.change(|kept| kept.retain(|kept| now.duration_since(kept.since) < KEPT));
        }
    }

    fn put(&self, memory: Mapped) {
        self.change(|kept| {
            let there: usize = kept.iter().map(|kept| kept.memory.len()).sum();
            if there + memory.len() <= self.most {
                kept.push(Kept { memory, since: Instant::now() });
            }
        });
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Kept>) -> R) -> R {
        let mut kept = lock(&self.kept);
        let result = change(&mut kept);
        self.count.store(kept.len(), Ordering::Relaxed);
        result
    }
}

/// A file, as memory, that goes back to its shelf.
pub(super) struct Scratch {
    shelf: &'static Shelf,
    memory: Option<Mapped>,
}

const THERE: &str = "taken out by its end alone";

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.as_ref().expect(THERE)
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().expect(THERE)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.shelf.put(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_used_again_and_goes_when_nobody_wants_it() {
        static OWN: Shelf = Shelf::new(MOST);
        let (mut first, other) = (OWN.scratch(4096).unwrap(), OWN.scratch(4096).unwrap());
        assert_ne!(first.as_ptr(), other.as_ptr());
        first[4095] = 7;
        let again = first.as_ptr();
        drop(first);
        let first = OWN.scratch(1 << 20).unwrap();
        assert_eq!((first.as_ptr(), first.len(), first[4095]), (again, 4096, 7));
        drop((first, other));
        let now = Instant::now();
        OWN.sweep(now);
        assert!(!OWN.is_empty(), "for the bodies that come in the next seconds");
        OWN.sweep(now + KEPT);
        assert!(OWN.is_empty());
    }

    #[test]
    fn no_more_than_so_much_is_kept() {
        static OWN: Shelf = Shelf::new(8192);
        let files: Vec<_> = (0..3).map(|_| OWN.scratch(4096).unwrap()).collect();
        drop(files);
        assert_eq!(OWN.count.load(Ordering::Relaxed), 2);
    }
}
