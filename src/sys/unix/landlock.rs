//! Landlock (landlock(7)): what a process can take from itself, for good, without being root.
//!
//! libc has the numbers of the calls, and not yet what they take: that is here, as in
//! `linux/landlock.h`.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
};

/// `struct landlock_ruleset_attr`: what is refused unless a rule allows it.
#[repr(C)]
struct Handled {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    parent: i32,
}

const VERSION: libc::c_uint = 1;
const PATH_BENEATH: libc::c_int = 1;

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// What can be said of a file, and not only of a folder.
const OF_FILES: u64 = WRITE_FILE | READ_FILE | TRUNCATE;

/// The first version that knows each of these: for files in the order of their bits from REFER on.
const ALL_OF_1: u64 = (1 << 13) - 1;
const NO_BIND: u64 = 1;
const SCOPES: u64 = 0b11; // Abstract Unix sockets, and signals.

fn handled(version: libc::c_long) -> Handled {
    let since = |first, bits| if version >= first { bits } else { 0 };
    Handled {
        // From the fifth on: IOCTL_DEV.
        files: ALL_OF_1 | since(2, REFER) | since(3, TRUNCATE) | since(5, 1 << 15),
        network: since(4, NO_BIND),
        scoped: since(6, SCOPES),
    }
}

/// What may be done with a path and all below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Read,
    /// And make files and folders, change and remove them.
    Write,
}

/// From now on this thread, and whatever it starts, can open nothing but `paths`, execute nothing,
/// bind no TCP port, and neither signal processes outside nor reach their abstract sockets: as far as
/// the kernel's version of Landlock has these. What is open already stays open.
///
/// To be called while the process has one thread.
///
/// # Errors
/// `Unsupported`: the kernel has no Landlock. Otherwise one of the paths cannot be opened.
pub(crate) fn confine(paths: &[(&Path, Right)]) -> io::Result<()> {
    let null = std::ptr::null::<Handled>();
    // SAFETY: with this flag nothing is read from the address (landlock_create_ruleset(2)).
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, null, 0usize, VERSION) };
    if version < 1 {
        return Err(ErrorKind::Unsupported.into());
    }
    let handled = handled(version);
    // SAFETY: the address and the size are those of `handled`. Fields that an older kernel does not
    // know are zero, as it wants them.
    let ruleset = unsafe {
        let size = size_of::<Handled>();
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size, 0)
    };
    // A descriptor fits its own type.
    let ruleset = ruleset as libc::c_int;
    check(ruleset)?;
    // SAFETY: it was just opened, and nobody else has it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset) };
    for (path, right) in paths {
        let of_path =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        allow(&ruleset, path, *right, handled.files).map_err(of_path)?;
    }
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: no pointers.
    let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
    check(done as libc::c_int)
}

fn allow(ruleset: &OwnedFd, path: &Path, right: Right, handled: u64) -> io::Result<()> {
    let beneath = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let read = READ_FILE | READ_DIR;
    let mut allowed = match right {
        Right::Read => read,
        Right::Write => {
            let change = WRITE_FILE | TRUNCATE | REFER;
            read | change | MAKE_REG | MAKE_DIR | REMOVE_FILE | REMOVE_DIR
        }
    };
    if !beneath.metadata()?.is_dir() {
        allowed &= OF_FILES;
    }
    let rule = Beneath { allowed: allowed & handled, parent: beneath.as_raw_fd() };
    // SAFETY: `rule` is what is said, and lives through the call, as does its descriptor.
    let done = unsafe {
        let ruleset = ruleset.as_raw_fd();
        libc::syscall(libc::SYS_landlock_add_rule, ruleset, PATH_BENEATH, &raw const rule, 0)
    };
    check(done as libc::c_int)
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, net::TcpListener, process::Command, thread};

    #[test]
    fn a_confined_thread_reaches_what_it_may_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("cgigate-landlock-{}", std::process::id()));
        let (read, write, other) = (folder.join("r"), folder.join("w"), folder.join("o"));
        for folder in [&read, &write, &other] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("f"), "text").unwrap();
        }
        // It holds for the thread that asks, and those that it starts.
        let outcome = thread::scope(|scope| {
            let confined = scope.spawn(|| {
                match confine(&[(&read, Right::Read), (&write, Right::Write)]) {
                    Err(error) if error.kind() == ErrorKind::Unsupported => return None,
                    done => done.unwrap(),
                }
                let may = [
                    fs::read(read.join("f")).is_ok(),
                    fs::write(write.join("new"), "").is_ok(),
                    fs::remove_file(write.join("f")).is_ok(),
                ];
                let may_not = [
                    fs::write(read.join("f"), "").is_ok(),
                    fs::read(other.join("f")).is_ok(),
                    fs::write(other.join("new"), "").is_ok(),
                    Command::new("/bin/true").status().is_ok(),
                ];
                // Since the fourth version.
                let binds = TcpListener::bind("127.0.0.1:0").is_ok();
                Some((may, may_not, binds))
            });
            confined.join().unwrap()
        });
        fs::remove_dir_all(folder).unwrap();
        if let Some((may, may_not, binds)) = outcome {
            assert_eq!((may, may_not), ([true; 3], [false; 4]));
            let _older = binds;
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_named() {
        let nowhere = Path::new("/nowhere/at/all");
        let refused = thread::spawn(move || confine(&[(nowhere, Right::Read)])).join().unwrap();
        let error = refused.unwrap_err();
        let named = error.to_string().starts_with("/nowhere/at/all: ");
        assert!(named || error.kind() == ErrorKind::Unsupported, "{error}");
    }
}
