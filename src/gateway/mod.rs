//! The shells: where applications meet connections.

mod call;
mod connection;
mod desk;
mod queue;
mod server;
mod settings;
mod shared;
mod slot;
mod spool;
mod steward;
mod streams;
mod threads;
mod wire;

pub use server::{Dispatch, Server, Stopper};
pub use settings::Settings;
