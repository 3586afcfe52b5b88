//! Rust web applications behind a classic web server.
#![deny(unsafe_code)]

pub mod fcgi;
#[cfg(target_os = "linux")]
pub mod gateway;
pub mod handlers;
pub mod headers;
mod sys;
pub mod types;
pub mod util;

pub use types::{Application, Body, Environ, Exception, Response, StartResponse, Vars, app};
