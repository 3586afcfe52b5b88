//! Rust web applications behind a classic web server.
#![deny(unsafe_code)]

pub mod apps;
mod cli;
pub mod fcgi;
pub mod gateway;
pub mod handlers;
pub mod headers;
pub mod net;
mod sys;
pub mod types;
pub mod util;

pub use gateway::Gateway;
pub use types::{Application, Body, Environ, Exception, Response, StartResponse, Vars, app};
