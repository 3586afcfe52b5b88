//! A file without a name as memory: its pages are the system's, which may write them out and take
//! them for others.

use super::nameless;
use std::{
    fs::File,
    io::{self, IoSlice, Write},
    ops::{Deref, DerefMut},
    os::fd::AsRawFd,
    path::Path,
    ptr::NonNull,
};

/// All of a file that nobody else can open.
pub(crate) struct Mapped {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: it is bytes that the value alone owns, as a box does.
unsafe impl Send for Mapped {}
// SAFETY: as above; `&Mapped` gives nothing but `&[u8]`.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// A new file of `len` zeros; for a moment it has the name `path`. Room on the disk is taken for
    /// all of it: memory that turns out to have none would end the process.
    ///
    /// # Errors
    /// There is no room, or no such file can be made.
    pub(crate) fn new(path: &Path, len: usize) -> io::Result<Self> {
        let file = nameless(path)?;
        fill(&file, len)?;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the system picks. The file stays as long as it
        // is mapped.
        let address = unsafe {
            let nowhere = std::ptr::null_mut();
            libc::mmap(nowhere, len, rights, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        match NonNull::new(address.cast::<u8>()) {
            Some(start) if address != libc::MAP_FAILED => Ok(Self { address: start, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is so long and lives as long as `self`; the file behind it has no name
        // and no descriptor any more, so nobody else writes or shortens it.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.len) }
    }
}

impl DerefMut for Mapped {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and nothing borrows from it any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

/// Zeros, written: pages that come by the dozen cost less than those that are made one by one when
/// they are first touched. Where a file system gives a huge page for a write that fills one (ext4,
/// XFS), it is mapped as one too.
fn fill(mut file: &File, len: usize) -> io::Result<()> {
    const HUGE: usize = 2 << 20;
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let huge = [IoSlice::new(&ZEROS); HUGE / ZEROS.len()];
    let mut left = len;
    while left > 0 {
        let written = match left / ZEROS.len() {
            0 => file.write(&ZEROS[..left])?,
            whole => file.write_vectored(&huge[..whole.min(huge.len())])?,
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        left -= written;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zeros_that_keep_what_is_written_and_leaves_no_name_behind() {
        let path = std::env::temp_dir().join(format!("cgigate-mapped-{}", std::process::id()));
        let mut memory = Mapped::new(&path, 3_000_001).unwrap();
        assert!(!path.exists());
        assert_eq!((memory.len(), memory.iter().all(|&byte| byte == 0)), (3_000_001, true));
        memory[3_000_000] = 7;
        assert_eq!(memory[2_999_995..], [0, 0, 0, 0, 0, 7]);
    }
}
