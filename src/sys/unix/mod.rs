//! Unix: Linux for all of it, other systems for what they share with it.

#[cfg(target_os = "linux")]
mod accept_queue;
mod accounts;
mod beneath;
#[cfg(target_os = "linux")]
mod channel;
#[cfg(target_os = "linux")]
mod clock;
#[cfg(target_os = "linux")]
mod epoll;
mod file;
#[cfg(target_os = "linux")]
mod landlock;
mod limits;
mod linger;
mod mapped;
mod option;
#[cfg(target_os = "linux")]
mod pages;
mod peer;
mod process;
#[cfg(target_os = "linux")]
mod readable;
#[cfg(target_os = "linux")]
mod shared_words;
mod socket;
#[cfg(target_os = "linux")]
mod stack;
#[cfg(target_os = "linux")]
mod thread;

#[cfg(target_os = "linux")]
pub(crate) use accept_queue::{AcceptQueue, ListenerId};
pub(crate) use accounts::{become_user, group, user};
pub(crate) use beneath::open_beneath;
#[cfg(target_os = "linux")]
pub(crate) use channel::{keep_on_exec, packet_pair, receive_packet, send_packet};
#[cfg(target_os = "linux")]
pub(crate) use clock::{coarse_millis, monotonic_micros};
#[cfg(target_os = "linux")]
pub(crate) use epoll::{Bell, Epoll, Happened, Ready};
#[cfg(target_os = "linux")]
pub(crate) use file::read_at;
pub(crate) use file::{nameless, path, private_folders, read_exact_at};
#[cfg(target_os = "linux")]
pub(crate) use landlock::{Right, confine};
pub(crate) use limits::{make_room_for_descriptors, raise_descriptor_limit, survive_full_files};
pub(crate) use linger::{reset_now, reset_on_close};
pub(crate) use mapped::Mapped;
#[cfg(target_os = "linux")]
pub(crate) use pages::Pages;
pub(crate) use peer::{peer_address, peer_user};
#[cfg(target_os = "linux")]
pub(crate) use process::replace_descriptor;
pub(crate) use process::{
    Signal, Signals, adopt, each_var, is_listening, is_stream, listen, remove_var, set_var, stdout,
    try_lock, wait_stdio,
};
#[cfg(target_os = "linux")]
pub(crate) use readable::{Knocks, poll_readable};
#[cfg(target_os = "linux")]
pub(crate) use shared_words::SharedWords;
pub(crate) use socket::{Readiness, SocketCell, accept, is_exhausted, poll_each};
#[cfg(target_os = "linux")]
pub(crate) use stack::{Stack, ThreadId};
#[cfg(target_os = "linux")]
pub(crate) use thread::ThreadState;
