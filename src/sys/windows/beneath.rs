//! Opening a file below a directory, wherever symbolic links on the way may lead.

use crate::sys::Links;
use std::{
    fs::File,
    io::{self, ErrorKind},
    os::windows::fs::OpenOptionsExt as _,
    path::{Component, Path},
};
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_BACKUP_SEMANTICS;

/// Opens what lies at `relative` below `root` for reading. The caller has to ask what it is: it may
/// be a directory. Resolved first and opened then: whoever may write below the directory could put a
/// link there in between.
///
/// # Errors
/// There is nothing, it may not be read, or a link is in the way that is not followed.
pub(crate) fn open_beneath(root: &Path, relative: &Path, links: Links) -> io::Result<File> {
    // Said by whoever made the path; that it holds is not left to that.
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(ErrorKind::NotFound.into());
    }
    let root = root.canonicalize()?;
    let named = root.join(relative);
    let path = named.canonicalize()?;
    let allowed = match links {
        Links::Never => path == named,
        Links::Inside => path.starts_with(&root),
        Links::Everywhere => true,
    };
    if !allowed {
        return Err(ErrorKind::NotFound.into());
    }
    // Without it no directory can be opened.
    File::options().read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)
}
