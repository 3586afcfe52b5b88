//! What a server says of itself: `--status-path`, `--ping-path`, `--admin`.
//!
//! A [`Snapshot`] is what was read at one moment; its neighbours write it down in three ways.
//! Whatever came from a client is escaped, in all of them.

mod json;
mod openmetrics;
mod pages;
mod snapshot;
mod source;
mod text;

pub(crate) use pages::Pages;
pub(crate) use snapshot::{Busy, Door, Histogram, Process, Snapshot, Totals};
pub(crate) use source::Source;
