//! Unix: Linux for all of it, other systems for what they share with it.

#[cfg(target_os = "linux")]
mod epoll;
mod linger;
mod process;
mod socket;
#[cfg(target_os = "linux")]
mod thread;

#[cfg(target_os = "linux")]
pub(crate) use epoll::{Bell, Epoll, Happened, Ready};
pub(crate) use linger::reset_on_close;
pub(crate) use process::{
    Signal, Signals, adopt, is_listening, is_stream, listen, remove_var, stdout, wait_either,
};
pub(crate) use socket::{Readiness, SocketCell, accept, poll};
#[cfg(target_os = "linux")]
pub(crate) use thread::ThreadState;
