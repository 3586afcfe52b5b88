//! Which file a path means.

use super::Files;
use crate::sys::open_beneath;
use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    path::{Path, PathBuf},
};

/// What a path means below the root.
pub(super) enum Found {
    /// A regular file, open.
    File {
        file: File,
        metadata: Metadata,
        /// Below the root, as the client named it: a link may have a better extension than its
        /// target.
        path: PathBuf,
    },
    /// A directory that has an index, whose relative links need a slash at the end of the path.
    Directory(PathBuf),
}

/// What `path_info` means. All reasons why there is nothing look the same.
pub(super) fn find(files: &Files, path_info: &[u8]) -> Option<Found> {
    let (relative, slash) = relative(path_info)?;
    let open = |path: &Path| {
        let file = open_beneath(&files.root, path, files.links).ok()?;
        let metadata = file.metadata().ok()?;
        Some((file, metadata))
    };
    let (file, metadata) = open(&relative)?;
    if metadata.is_file() && !slash {
        return Some(Found::File { file, metadata, path: relative });
    }
    if !metadata.is_dir() {
        return None;
    }
    files.index.iter().find_map(|index| {
        let path = relative.join(index);
        let (file, metadata) = open(&path).filter(|(_, metadata)| metadata.is_file())?;
        Some(match slash {
            true => Found::File { file, metadata, path },
            false => Found::Directory(relative.clone()),
        })
    })
}

/// The segments of a path that leads down only; and whether a slash ends it, or nothing is there
/// that could.
fn relative(path_info: &[u8]) -> Option<(PathBuf, bool)> {
    let mut relative = PathBuf::new();
    let segments = match path_info {
        b"" => return Some((relative, false)),
        path => path.strip_prefix(b"/")?,
    };
    for segment in segments.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => return None,
            segment => relative.push(file_name(segment)?),
        }
    }
    Some((relative, path_info.ends_with(b"/")))
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
