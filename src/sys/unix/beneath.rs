//! Opening a file below a directory, wherever symbolic links on the way may lead.

use crate::sys::{
    Links,
    beneath::{check_way, resolve},
};
use std::{fs::File, io, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Opens what lies at `relative` below `root` for reading, without waiting for anybody. The caller
/// has to ask what it is: it may be a directory, a pipe or a device.
///
/// # Errors
/// There is nothing, it may not be read, or a link is in the way that is not followed.
pub(crate) fn open_beneath(root: &Path, relative: &Path, links: Links) -> io::Result<File> {
    check_way(relative)?;
    #[cfg(target_os = "linux")]
    if links != Links::Everywhere {
        match by_kernel::open(root, relative, links) {
            // An old kernel, or a sandbox that has not heard of the call.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {}
            opened => return opened,
        }
    }
    walk(root, relative, links)
}

/// Without the kernel's help: resolved first and opened then.
fn walk(root: &Path, relative: &Path, links: Links) -> io::Result<File> {
    let path = resolve(root, relative, links)?;
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(target_os = "linux")]
mod by_kernel {
    use super::Links;
    use std::{
        ffi::CString,
        fs::File,
        io,
        os::{
            fd::{AsRawFd as _, FromRawFd as _},
            unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
        },
        path::Path,
    };

    /// openat2(2): the kernel itself sees to it that the way never leaves the directory.
    pub(super) fn open(root: &Path, relative: &Path, links: Links) -> io::Result<File> {
        let directory = libc::O_PATH | libc::O_DIRECTORY;
        let root = File::options().read(true).custom_flags(directory).open(root)?;
        let relative = match relative.as_os_str().as_bytes() {
            b"" => CString::default(),
            path => CString::new(path)?,
        };
        let path = if relative.is_empty() { c"." } else { &*relative };
        // SAFETY: a struct of integers, for which zero is a value; its later fields are to be zero.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        how.flags = flags as u64; // Bits.
        how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
        if links == Links::Never {
            how.resolve |= libc::RESOLVE_NO_SYMLINKS;
        }
        /// Somebody renames directories just now.
        const TRIES: usize = 8;
        let mut tries = 0;
        loop {
            // SAFETY: the descriptor is open for the call, the path ends with NUL, and `how` is a
            // struct of the size that is told.
            let fd = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    root.as_raw_fd(),
                    path.as_ptr(),
                    &raw const how,
                    size_of::<libc::open_how>(),
                )
            };
            if fd >= 0 {
                // SAFETY: just opened, and nobody else's. Descriptors are ints.
                return Ok(unsafe { File::from_raw_fd(fd as i32) });
            }
            let error = io::Error::last_os_error();
            tries += 1;
            let again = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR));
            if !again || tries == TRIES {
                return Err(error);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    #[test]
    fn no_way_leads_out_by_the_kernel_and_without_it() {
        let folder = std::env::temp_dir().join(format!("cgigate-beneath-{}", std::process::id()));
        let root = folder.join("root");
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(folder.join("secret"), "secret").unwrap();
        fs::write(root.join("file"), "file").unwrap();
        symlink("file", root.join("link")).unwrap();
        symlink("../file", root.join("dir/up")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink(&folder, root.join("folder")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        let rows = [
            ("file", [true, true, true]),
            ("link", [false, true, true]),
            ("dir/up", [false, true, true]),
            ("out", [false, false, true]),
            ("folder/secret", [false, false, true]),
            ("magic/etc/hostname", [false, false, true]),
            ("nothing", [false; 3]),
            ("../secret", [false; 3]),
            ("/etc/passwd", [false; 3]),
        ];
        for (path, want) in rows {
            let path = Path::new(path);
            for (links, want) in [Links::Never, Links::Inside, Links::Everywhere].iter().zip(want) {
                let opened = open_beneath(&root, path, *links);
                assert_eq!(opened.is_ok(), want, "{path:?} {links:?} {opened:?}");
                let plain = check_way(path).is_ok();
                let walked = walk(&root, path, *links);
                assert!(!plain || walked.is_ok() == want, "{path:?} {links:?} {walked:?}");
            }
        }
        let mut text = String::new();
        let up = open_beneath(&root, Path::new("dir/up"), Links::Inside);
        up.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "file");
        let itself = open_beneath(&root, Path::new(""), Links::Never).unwrap();
        assert!(itself.metadata().unwrap().is_dir());
        fs::remove_dir_all(folder).unwrap();
    }
}
