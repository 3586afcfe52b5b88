//! Users and groups by name (getpwnam_r(3), getgrnam_r(3)), and becoming another user.

use std::{ffi::CString, io};

/// A user of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    /// The group of its entry.
    pub(crate) gid: u32,
    name: CString,
}

/// Longest entry that is looked at; a group may have many members.
const MOST: usize = 1 << 20;

/// The user of that name.
///
/// # Errors
/// The accounts cannot be read. `None`: they have no such name.
pub(crate) fn user(name: &str) -> io::Result<Option<User>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let found = look_up(|space| {
        // SAFETY: all zeroes is a valid passwd: null pointers and zeroes.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: `name` ends with a NUL, `space` is exclusive and as long as is said, and what the
        // entry points to lies in `space`, which nobody looks at after this.
        let error = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                space.as_mut_ptr(),
                space.len(),
                &raw mut found,
            )
        };
        (error, (!found.is_null()).then_some((entry.pw_uid, entry.pw_gid)))
    })?;
    Ok(found.map(|(uid, gid)| User { uid, gid, name }))
}

/// The number of the group of that name.
///
/// # Errors
/// The groups cannot be read. `None`: there is none of that name.
pub(crate) fn group(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    look_up(|space| {
        // SAFETY: all zeroes is a valid group: null pointers and zeroes.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: as for users.
        let error = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                &raw mut entry,
                space.as_mut_ptr(),
                space.len(),
                &raw mut found,
            )
        };
        (error, (!found.is_null()).then_some(entry.gr_gid))
    })
}

/// Calls with more and more space until it is enough.
fn look_up<T>(
    mut call: impl FnMut(&mut [libc::c_char]) -> (libc::c_int, Option<T>),
) -> io::Result<Option<T>> {
    let mut space = vec![0; 1024];
    loop {
        match call(&mut space) {
            (libc::ERANGE, _) if space.len() < MOST => space.resize(space.len() * 4, 0),
            (0 | libc::ENOENT | libc::ESRCH, found) => return Ok(found),
            (error, _) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Makes this process, for good, one of `gid` and, where one is given, of a user with its groups.
///
/// To be called before any thread is started, and after everything is open that needs the rights.
///
/// # Errors
/// It was not root, or the system refuses; what was given up by then stays so: the process should end.
pub(crate) fn become_user(user: Option<&User>, gid: u32) -> io::Result<()> {
    // Groups first: after setuid nobody may change them any more.
    match user {
        Some(user) => {
            // SAFETY: the name ends with a NUL. The type of the group differs between systems.
            check(unsafe { libc::initgroups(user.name.as_ptr(), gid as _) })?;
        }
        // SAFETY: no groups are read from where none are.
        None => check(unsafe { libc::setgroups(0, std::ptr::null()) })?,
    }
    // SAFETY: no pointers. Of root these set the real, effective and saved numbers alike.
    check(unsafe { libc::setgid(gid) })?;
    let Some(user) = user else { return Ok(()) };
    // SAFETY: as above.
    check(unsafe { libc::setuid(user.uid) })?;
    // SAFETY: no pointers. Success is what must not be.
    if user.uid != 0 && unsafe { libc::setuid(0) } == 0 {
        return Err(io::Error::other("root could be regained"));
    }
    Ok(())
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_nobody_by_nonsense() {
        let root = user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_c_str()), (0, 0, c"root"));
        assert_eq!(group("daemon").unwrap(), Some(1));
        for nonsense in ["", "no such name", "a\0b", "root:"] {
            assert_eq!(user(nonsense).unwrap(), None, "{nonsense:?}");
            assert_eq!(group(nonsense).unwrap(), None, "{nonsense:?}");
        }
    }
}
