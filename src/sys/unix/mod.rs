//! Unix: Linux for all of it, other systems for what they share with it.

mod accounts;
mod beneath;
#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod epoll;
mod file;
#[cfg(target_os = "linux")]
mod landlock;
mod limits;
mod linger;
mod peer;
mod process;
mod socket;
#[cfg(target_os = "linux")]
mod thread;

pub(crate) use accounts::{become_user, group, user};
pub(crate) use beneath::open_beneath;
#[cfg(target_os = "linux")]
pub(crate) use channel::{
    keep_on_exec, monotonic_micros, packet_pair, poll_readable, receive_packet, send_packet,
};
#[cfg(target_os = "linux")]
pub(crate) use epoll::{Bell, Epoll, Happened, Ready};
pub(crate) use file::{nameless, path, private_folders, read_exact_at, write_all_at};
#[cfg(target_os = "linux")]
pub(crate) use landlock::{Right, confine};
pub(crate) use limits::raise_descriptor_limit;
pub(crate) use linger::reset_on_close;
pub(crate) use peer::peer;
pub(crate) use process::{
    Signal, Signals, adopt, each_var, is_listening, is_stream, listen, remove_var, set_var, stdout,
    try_lock, wait_stdio,
};
pub(crate) use socket::{Readiness, SocketCell, accept, is_exhausted, poll_each};
#[cfg(target_os = "linux")]
pub(crate) use thread::ThreadState;
