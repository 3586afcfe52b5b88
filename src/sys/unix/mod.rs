//! Unix: Linux for all of it, other systems for what they share with it.

mod accounts;
mod beneath;
#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod epoll;
mod limits;
mod linger;
mod peer;
mod process;
mod socket;
#[cfg(target_os = "linux")]
mod thread;

pub(crate) use accounts::{become_user, group, user};
pub use beneath::Links;
pub(crate) use beneath::open_beneath;
#[cfg(target_os = "linux")]
pub(crate) use channel::{
    keep_on_exec, monotonic_micros, packet_pair, poll_readable, receive_packet, send_packet,
};
#[cfg(target_os = "linux")]
pub(crate) use epoll::{Bell, Epoll, Happened, Ready};
pub(crate) use limits::raise_descriptor_limit;
pub(crate) use linger::reset_on_close;
pub use peer::Peer;
pub(crate) use peer::peer;
pub(crate) use process::{
    Signal, Signals, adopt, each_var, is_listening, is_stream, listen, remove_var, set_var, stdout,
    try_lock, wait_either,
};
pub(crate) use socket::{Readiness, SocketCell, accept, is_exhausted, poll_each};
#[cfg(target_os = "linux")]
pub(crate) use thread::ThreadState;
