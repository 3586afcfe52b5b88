//! Files: deleted when they are closed, read at places.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::windows::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_TEMPORARY, FILE_FLAG_DELETE_ON_CLOSE, FILE_SHARE_DELETE,
};

/// The path that the bytes of a variable name, which are UTF-8 (`read_environ`).
pub(crate) fn path(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
}

/// Makes folders; whose they are is for the folder above to say, from which they inherit it.
pub(crate) fn private_folders() -> DirBuilder {
    DirBuilder::new()
}

/// A new file that goes away with its handle. Until then it has the name `path`, under which nobody
/// else can open it.
///
/// # Errors
/// There is one already, or none can be made.
pub(crate) fn nameless(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).share_mode(FILE_SHARE_DELETE);
    options.attributes(FILE_ATTRIBUTE_TEMPORARY).custom_flags(FILE_FLAG_DELETE_ON_CLOSE);
    options.open(path)
}

/// Fills `buffer` with what lies at offset `at`.
///
/// # Errors
/// `UnexpectedEof`: the file ends before; else what the system says.
pub(crate) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.seek_read(buffer, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => (buffer, at) = (&mut buffer[n..], at + n as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_file_is_gone_when_it_is_closed() {
        let path = std::env::temp_dir().join(format!("cgigate-nameless-{}", std::process::id()));
        let file = nameless(&path).unwrap();
        file.seek_write(b"\r\n\x1a\0", 3).unwrap();
        let mut there = [1; 7];
        read_exact_at(&file, &mut there, 0).unwrap();
        assert_eq!(&there, b"\0\0\0\r\n\x1a\0");
        let beyond = read_exact_at(&file, &mut there, 1).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
        assert!(File::open(&path).is_err(), "nobody else can open it");
        drop(file);
        assert!(!path.exists());
    }
}
