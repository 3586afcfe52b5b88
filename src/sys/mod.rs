//! The system calls behind the safe face of the rest of the crate; the only unsafe code there is.
//!
//! One function a call, safe to call, each block with the rule that makes it so.
#![allow(unsafe_code)]

mod say;
#[cfg(unix)]
mod unix;
pub(crate) use say::{Level, say, say_at, say_block, say_lines, say_text};
#[cfg(unix)]
pub use unix::*;
