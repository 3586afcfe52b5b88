//! Temporary files: without a name, read and written at places.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// A new file that goes away with its descriptor; for a moment it has the name `path`.
///
/// # Errors
/// There is one already, or none can be made.
pub(crate) fn nameless(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Writes all of `bytes` at offset `at`.
///
/// # Errors
/// What the system says.
pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

/// Fills `buffer` with what lies at offset `at`.
///
/// # Errors
/// `UnexpectedEof`: the file ends before; else what the system says.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(buffer, at)
}
