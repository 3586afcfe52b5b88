//! Opening a file below a directory, wherever symbolic links on the way may lead.

use crate::sys::{
    Links,
    beneath::{check_way, resolve},
};
use std::{fs::File, io, os::windows::fs::OpenOptionsExt as _, path::Path};
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_BACKUP_SEMANTICS;

/// Opens what lies at `relative` below `root` for reading. The caller has to ask what it is: it may
/// be a directory.
///
/// # Errors
/// There is nothing, it may not be read, or a link is in the way that is not followed.
pub(crate) fn open_beneath(root: &Path, relative: &Path, links: Links) -> io::Result<File> {
    check_way(relative)?;
    let path = resolve(root, relative, links)?;
    // Without it no directory can be opened.
    File::options().read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}
