//! The system calls behind the safe face of the rest of the crate; the only unsafe code there is.
//!
//! One function a call, safe to call, each block with the rule that makes it so.
#![allow(unsafe_code)]

#[cfg(unix)]
mod unix;
#[cfg(unix)]
#[allow(unused_imports)]
pub use unix::*;
