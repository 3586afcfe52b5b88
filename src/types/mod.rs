//! The contract of PEP 3333: what an application, a server and everything between them agree on.
//!
//! The names are those of `wsgiref.types`. Nothing here reads a socket, formats a status line
//! or knows that CGI exists.
//!
//! ```
//! use cgigate::types::{Body, Environ, FileWrapper, Response, Scheme, StartResponse};
//! use std::{fs::File, io::Write};
//!
//! fn licence<'r>(mut environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
//!     if environ.wsgi.url_scheme == Scheme::Http {
//!         writeln!(environ.errors, "asked for without TLS")?;
//!     }
//!     start.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok(Body::File(FileWrapper::file(File::open("LICENSE")?, None)))
//! }
//!
//! let answer = cgigate::testing::get("/").ask(&licence);
//! assert!(answer.text().contains("Permission is hereby granted"));
//! assert_eq!(answer.log, "asked for without TLS\n");
//! ```

mod application;
mod body;
mod departure;
mod environ;
mod fault;
mod key;
mod native;
mod request;
mod stream;
mod vars;
mod violation;

pub use application::{Application, Exception, HeaderIter, Response, StartResponse, Write, app};
pub use body::{Blocks, Body, FileLike, FileWrapper};
pub use departure::{ClientGone, is_departure};
pub use environ::{Environ, Scheme, Wsgi};
pub use fault::RequestFault;
pub(crate) use fault::causes;
pub(crate) use native::repr;
pub use native::{from_native, to_native};
pub(crate) use request::Client;
pub use request::{Extensions, Request};
pub use stream::{ErrorStream, InputStream};
pub use vars::{Split, Unindexed, Vars};
pub use violation::{HeaderPart, Side, Violation};
