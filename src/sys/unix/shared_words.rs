//! Memory that several processes share: 64-bit words, all zero at first, each read and written
//! whole.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr::NonNull,
    sync::atomic::AtomicU64,
};

/// A mapping of a memory file (memfd_create(2)), whose size nobody can change.
#[derive(Debug)]
pub(crate) struct SharedWords {
    file: OwnedFd,
    words: NonNull<AtomicU64>,
    len: usize,
}

// SAFETY: atomics may be used from wherever, and the mapping lives as long as the value.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

impl SharedWords {
    /// So many words. Memory is taken for those that are used.
    ///
    /// # Errors
    /// The system has no more descriptors, or no address space.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"cgigate".as_ptr(), flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just opened, and nobody else has it.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.set_len((len * size_of::<AtomicU64>()) as u64)?;
        // SAFETY: no pointers.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, SEALS | libc::F_SEAL_SEAL) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Self::map(file, len)
    }

    /// What another process made with [`new`](Self::new).
    ///
    /// # Errors
    /// It is no such file.
    pub(crate) fn of(file: OwnedFd) -> io::Result<Self> {
        // A file that could shrink would end whoever reads behind its end.
        // SAFETY: no pointers.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SEALS != SEALS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no memory to be shared"));
        }
        let file = File::from(file);
        let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Self::map(file, size / size_of::<AtomicU64>())
    }

    fn map(file: File, len: usize) -> io::Result<Self> {
        let (size, rights) = (len * size_of::<AtomicU64>(), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping, at an address that the system picks.
        let address = unsafe {
            let flags = libc::MAP_SHARED;
            libc::mmap(std::ptr::null_mut(), size, rights, flags, file.as_raw_fd(), 0)
        };
        match NonNull::new(address.cast()) {
            Some(words) if address != libc::MAP_FAILED => {
                Ok(Self { file: file.into(), words, len })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// All of them.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has so many words, begins at a page, is zero where nothing was
        // written, keeps its size by the seals, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.len) }
    }
}

impl AsFd for SharedWords {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and nothing borrows from it any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), self.len * size_of::<AtomicU64>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn what_one_mapping_writes_the_other_reads() {
        let ours = SharedWords::new(1000).unwrap();
        let theirs = SharedWords::of(ours.file.try_clone().unwrap()).unwrap();
        assert_eq!((ours.words().len(), theirs.words().len()), (1000, 1000));
        ours.words()[999].store(7, Ordering::Relaxed);
        assert_eq!(theirs.words()[999].load(Ordering::Relaxed), 7);
        assert!(File::from(ours.file.try_clone().unwrap()).set_len(1).is_err(), "sealed");
        assert!(SharedWords::of(File::open("/dev/null").unwrap().into()).is_err());
    }
}
