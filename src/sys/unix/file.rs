//! Files: without a name, read at places, for nobody else.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

/// The path that the bytes of a variable name.
pub(crate) fn path(name: &[u8]) -> PathBuf {
    OsStr::from_bytes(name).into()
}

/// Makes folders that nobody else can enter.
pub(crate) fn private_folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// A new file that goes away with its descriptor; for a moment it has the name `path`.
///
/// # Errors
/// There is one already, or none can be made.
pub(crate) fn nameless(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// Fills `buffer` with what lies at offset `at`.
///
/// # Errors
/// `UnexpectedEof`: the file ends before; else what the system says.
pub(crate) fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(buffer, at)
}

/// Reads what lies at offset `at`, as much as there is at once.
///
/// # Errors
/// What the system says.
#[cfg(target_os = "linux")]
pub(crate) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, at) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
