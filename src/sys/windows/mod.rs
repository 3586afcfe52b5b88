//! Windows: what a process that IIS starts needs. There are no sockets here.

mod beneath;
mod file;
mod mapped;
mod pipe;
mod process;

pub(crate) use beneath::open_beneath;
pub(crate) use file::{nameless, path, private_folders, read_exact_at};
pub(crate) use mapped::Mapped;
pub(crate) use pipe::{Pipe, ShutdownEvent, stdin_is_pipe_to_serve};
pub(crate) use process::{remove_var, set_var, stdout, wait_stdio};
