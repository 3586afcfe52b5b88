//! The process: its environment and its streams.

use std::{
    fs::File,
    io,
    mem::ManuallyDrop,
    os::windows::io::FromRawHandle,
    ptr::null_mut,
    thread,
    time::{Duration, Instant},
};
use windows_sys::Win32::System::{
    Console::{GetStdHandle, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE},
    Pipes::PeekNamedPipe,
};

/// Takes a variable out of the process environment.
pub(crate) fn remove_var(name: &str) {
    // SAFETY: on Windows always safe: the system locks its environment.
    unsafe { std::env::remove_var(name) }
}

/// Puts a variable into the process environment.
pub(crate) fn set_var(name: &str, value: &str) {
    // SAFETY: on Windows always safe: the system locks its environment.
    unsafe { std::env::set_var(name, value) }
}

/// The process's stdout without std's buffer: bytes as they are, whatever they say.
pub(crate) fn stdout() -> ManuallyDrop<File> {
    // SAFETY: takes a constant.
    let handle = unsafe { GetStdHandle(STD_OUTPUT_HANDLE) };
    // SAFETY: never dropped, so nothing is closed that others use; a process that was started
    // without it gets an error for its writes.
    ManuallyDrop::new(unsafe { File::from_raw_handle(handle) })
}

/// Waits until there is something to read on stdin, or its end; never for room on stdout, which no
/// pipe of Windows tells of: a body has to be read before something is written.
///
/// # Errors
/// None: what is wrong with stdin, its reader will hear.
pub(crate) fn wait_stdio(_or_stdout: bool, millis: i32) -> io::Result<(bool, bool)> {
    // No limit: the read itself waits.
    let Ok(millis) = u64::try_from(millis) else { return Ok((true, false)) };
    let deadline = Instant::now() + Duration::from_millis(millis);
    while !is_stdin_readable() {
        if Instant::now() >= deadline {
            return Ok((false, false));
        }
        // Windows has no wait for the bytes of an anonymous pipe.
        thread::sleep(Duration::from_millis(5));
    }
    Ok((true, false))
}

/// Whether a read of stdin would not wait; of what is no pipe that is not known, and taken so.
fn is_stdin_readable() -> bool {
    let mut there = 0;
    // SAFETY: takes a constant.
    let stdin = unsafe { GetStdHandle(STD_INPUT_HANDLE) };
    // SAFETY: `there` lives through the call; null stands for what is not asked for.
    let peeked =
        unsafe { PeekNamedPipe(stdin, null_mut(), 0, null_mut(), &raw mut there, null_mut()) };
    // A failure: the other end is closed, or it is no pipe. A read says so, or does as it can.
    peeked == 0 || there > 0
}
