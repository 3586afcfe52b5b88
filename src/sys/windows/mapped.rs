//! A file without a name as memory: its pages are the system's, which may write them out and take
//! them for others.

use super::nameless;
use std::{
    fs::File,
    io,
    ops::{Deref, DerefMut},
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    path::Path,
    ptr::{NonNull, null},
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_READWRITE,
    UnmapViewOfFile,
};

/// All of a file that nobody else can open.
pub(crate) struct Mapped {
    address: NonNull<u8>,
    len: usize,
    /// It goes with its last handle.
    _file: File,
}

// SAFETY: it is bytes that the value alone owns, as a box does.
unsafe impl Send for Mapped {}
// SAFETY: as above; `&Mapped` gives nothing but `&[u8]`.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// A new file of `len` zeros, by the name `path` as long as it is there. Room on the disk is taken
    /// for all of it.
    ///
    /// # Errors
    /// There is no room, or no such file can be made.
    pub(crate) fn new(path: &Path, len: usize) -> io::Result<Self> {
        let file = nameless(path)?;
        let (high, low) = ((len as u64 >> 32) as u32, len as u32);
        // SAFETY: the file is open; neither rights nor a name are asked for, so both may be null.
        // It is made as long as is said (CreateFileMappingW).
        let section = unsafe {
            CreateFileMappingW(file.as_raw_handle(), null(), PAGE_READWRITE, high, low, null())
        };
        if section.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just opened, and nobody else has it. The view outlives the handle.
        let section = unsafe { OwnedHandle::from_raw_handle(section) };
        // SAFETY: a new view of all of it, at an address that the system picks.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_WRITE, 0, 0, len) };
        match NonNull::new(view.Value.cast()) {
            Some(address) => Ok(Self { address, len, _file: file }),
            None => Err(io::Error::last_os_error()),
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the view is so long and lives as long as `self`; nobody else can open the file.
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
        let view = MEMORY_MAPPED_VIEW_ADDRESS { Value: self.address.as_ptr().cast() };
        // SAFETY: this is the view that `new` made, and nothing borrows from it any more.
        unsafe { UnmapViewOfFile(view) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_zeros_that_keep_what_is_written_and_leaves_no_name_behind() {
        let path = std::env::temp_dir().join(format!("cgigate-mapped-{}", std::process::id()));
        let mut memory = Mapped::new(&path, 100_000).unwrap();
        assert_eq!((memory.len(), memory.iter().all(|&byte| byte == 0)), (100_000, true));
        memory[99_999] = 7;
        assert_eq!(memory[99_990..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        drop(memory);
        assert!(!path.exists());
    }
}
