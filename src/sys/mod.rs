//! The system calls behind the safe face of the rest of the crate; the only unsafe code there is.
//!
//! One function a call, safe to call, each block with the rule that makes it so.
#![allow(unsafe_code)]

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;

/// One line on stderr, by one write. That nobody reads it must not end a server: `eprintln!` panics
/// when the pipe is closed.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
