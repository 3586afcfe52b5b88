//! Which file a path means.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    path::{Path, PathBuf},
};

/// A regular file below the root, open.
pub(super) struct Found {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    /// Its path as the client named it: a link may have a better extension than its target.
    pub(super) path: PathBuf,
}

/// The file that `path_info` means below `root`. All reasons why there is none look the same.
pub(super) fn find(root: &Path, path_info: &[u8]) -> Option<Found> {
    let relative = relative(path_info)?;
    let root = root.canonicalize().ok()?;
    let path = root.join(&relative).canonicalize().ok()?;
    // Whatever links were on the way, this is where they lead.
    if !path.starts_with(&root) {
        return None;
    }
    // Asked before it is opened: opening a pipe would wait for somebody to write.
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let file = File::open(&path).ok()?;
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some(Found { file, metadata, path: relative })
}

/// The segments of a path that leads down only, and to a file.
fn relative(path_info: &[u8]) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for segment in path_info.strip_prefix(b"/")?.split(|&byte| byte == b'/') {
        match segment {
            b"." => {}
            b".." => return None,
            segment => relative.push(file_name(segment)?),
        }
    }
    // With an empty last segment the client means a directory.
    (path_info.last() != Some(&b'/')).then_some(relative)
}

#[cfg(unix)]
fn file_name(segment: &[u8]) -> Option<&OsStr> {
    use std::os::unix::ffi::OsStrExt;
    (!segment.contains(&0)).then(|| OsStr::from_bytes(segment))
}

/// On Windows a name may hold a drive, a stream or more segments.
#[cfg(not(unix))]
fn file_name(segment: &[u8]) -> Option<&OsStr> {
    let bad = segment.iter().any(|byte| byte.is_ascii_control() || b":\\".contains(byte));
    std::str::from_utf8(segment).ok().filter(|_| !bad).map(OsStr::new)
}
