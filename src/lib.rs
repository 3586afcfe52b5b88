//! Rust web applications behind a classic web server: CGI, FastCGI, SCGI, uwsgi and HTTP from one
//! executable.
//!
//! This is Python's `wsgiref`, reborn: an *application* is a function of an *environ* and a
//! `start_response`, as [PEP 3333](https://peps.python.org/pep-3333/) has it, and a *handler* runs
//! it for whatever server stands in front.
//!
//! ```
//! use cgigate::{Environ, Response, StartResponse};
//!
//! fn hello<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     let path = environ.vars.native("PATH_INFO").unwrap_or_default();
//!     Ok(format!("Hello from {path}\n").into())
//! }
//!
//! let gateway = cgigate::Gateway::new().responder("hello", hello).about("greets");
//! # let _ = gateway; // and in an executable: gateway.main()
//! ```
//!
//! [`Gateway::main`] is the whole program: started by a web server it answers CGI, with a
//! listening socket on descriptor 0 it serves FastCGI, else the command line says what to do.
//!
//! # Where things are
//!
//! | Python | here | |
//! |---|---|---|
//! | `wsgiref.types` | [`types`] | applications, environ, bodies, streams |
//! | `wsgiref.headers` | [`headers`] | response header fields |
//! | `wsgiref.util` | [`util`] | what can be told from an environ |
//! | `wsgiref.handlers` | [`handlers`] | how one request is run |
//! | `wsgiref.simple_server` | [`simple_server`] | HTTP without a web server in front |
//! | `wsgiref.validate` | [`validate`] | who breaks PEP 3333, server or application |
//! | – | [`fcgi`] | FastCGI 1.0 without I/O |
//! | – | [`scgi`], [`uwsgi`] | their request heads, without I/O; what they share is [`head`] |
//! | – | [`gateway`] | applications meet connections |
//! | `demo_app` and others | [`apps`] | to try a server out |
//! | – | [`testing`] | one request in process, for the tests of an application |
//!
//! [`docs::names`] has every name of the Python package, [`docs::differences`] what is different on
//! purpose, [`docs::statics`] what became the compiler's business; [`docs::replay`] how a request that
//! went wrong becomes a test, [`docs::files`] how files are served, [`docs::cluster`] how several
//! machines are one.
//!
//! A layer imports only from those above it; `scripts/layers` checks that.
#![deny(unsafe_code)]
// There are no workers on Windows, so what only they use is not used there.
#![cfg_attr(windows, allow(dead_code, unused_imports))]

#[cfg(feature = "http")]
pub mod adapter;
pub mod apps;
mod cli;
pub mod fcgi;
pub mod gateway;
pub mod handlers;
pub mod head;
pub mod headers;
pub mod net;
pub mod scgi;
#[cfg(unix)]
pub mod simple_server;
mod sys;
pub mod testing;
pub mod types;
pub mod util;
pub mod uwsgi;
pub mod validate;

/// Nothing here but pages to read, the first three for those who know `wsgiref`.
pub mod docs {
    #[doc = include_str!("../docs/names.md")]
    pub mod names {}

    #[doc = include_str!("../docs/differences.md")]
    pub mod differences {}

    #[doc = include_str!("../docs/statics.md")]
    pub mod statics {}

    #[doc = include_str!("../docs/operating.md")]
    pub mod operating {}

    #[doc = include_str!("../docs/cluster.md")]
    pub mod cluster {}

    #[doc = include_str!("../docs/replay.md")]
    pub mod replay {}

    #[cfg(feature = "tower")]
    #[doc = include_str!("../docs/tower.md")]
    pub mod tower {}

    #[doc = include_str!("../docs/files.md")]
    pub mod files {}
}

#[cfg(feature = "http")]
pub use adapter::http;
#[cfg(feature = "tower")]
pub use adapter::tower;
pub use gateway::Gateway;
pub use types::{Application, Body, Environ, Exception, Response, StartResponse, Vars, app};
