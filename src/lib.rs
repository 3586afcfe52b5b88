//! Rust web applications behind a classic web server.
#![deny(unsafe_code)]

pub mod fcgi;
pub mod handlers;
pub mod headers;
pub mod scgi;
mod sys;
pub mod types;
pub mod util;
pub mod uwsgi;

pub use types::{Application, Body, Environ, Exception, Response, StartResponse, Vars, app};
