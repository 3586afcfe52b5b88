//! Applications that speak `http`: what they are told, what becomes of what they say, and an axum
//! `Router` over CGI, FastCGI, SCGI, uwsgi and HTTP.
#![cfg(target_os = "linux")]
// All of this file is tests.
#![allow(clippy::unwrap_used)]

#[path = "fastcgi_peer/mod.rs"]
mod fastcgi_peer;
#[path = "tower/function.rs"]
mod function;
#[path = "tower/heads.rs"]
mod heads;
#[path = "tower/router.rs"]
mod router;
#[path = "tower/served.rs"]
mod served;
#[path = "tower/streams.rs"]
mod streams;
#[path = "tower/ways.rs"]
mod ways;
