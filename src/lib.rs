//! Rust web applications behind a classic web server.
#![deny(unsafe_code)]

pub mod fcgi;
mod sys;
