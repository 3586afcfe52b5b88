//! The rules that `validate` checks at run time, by the row of the table of behaviours: each with
//! its words and the side that is at fault.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "validate/additions.rs"]
mod additions;
#[path = "validate/around.rs"]
mod around;
#[path = "validate/bodies.rs"]
mod bodies;
#[path = "validate/command.rs"]
mod command;
#[path = "validate/environ.rs"]
mod environ;
#[path = "validate/heads.rs"]
mod heads;
#[path = "validate/server.rs"]
mod server;
