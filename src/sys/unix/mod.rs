//! Unix: Linux for all of it, other systems for what they share with it.

#[cfg(target_os = "linux")]
mod epoll;
mod socket;

#[cfg(target_os = "linux")]
pub(crate) use epoll::{Bell, Epoll, Ready};
pub(crate) use socket::{Readiness, SocketCell, accept, this_thread, thread_sleeps};
