//! How web servers really behave (docs/servers.md), rule by rule: each has a test here that begins
//! with its number, and says what the gateway makes of it.
//!
//! The testbed is asked as a web server would ask it, by each of the four ways in. Whole servers are
//! in `scripts/test-servers`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod door;
mod receiving;
mod responding;
mod wire;
