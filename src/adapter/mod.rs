//! Applications that speak the types of the crate `http`: plain functions (feature `http`), and
//! tower services such as axum's `Router` (feature `tower`).
//!
//! Neither feature is a default one, and without them nothing here is compiled, nor any crate that
//! it needs. [`http()`] and [`tower()`] make an [`Application`](crate::Application) of what they are
//! given, which a [`Gateway`](crate::Gateway) then serves as CGI, FastCGI, SCGI, uwsgi and HTTP.
//!
//! # What becomes of a request
//!
//! | the environ | the `http::Request` |
//! |---|---|
//! | `REQUEST_METHOD` | the method; one that is no token, or none, is a 400 |
//! | `PATH_INFO` | the path of the URI, `/` where it is empty: what the application was asked for, below the place where it is mounted |
//! | `QUERY_STRING` | the query, as the client wrote it |
//! | `SCRIPT_NAME`, `REMOTE_USER` and all the others | [`MetaVariables`], in the extensions |
//! | `REQUEST_URI` | only for its spelling: where it names SCRIPT_NAME and PATH_INFO, the path is what stands there, with each `%2F`. Otherwise PATH_INFO is percent-encoded |
//! | `HTTP_X_NAME` | a header field `x-name`; values are bytes, and need not be UTF-8 |
//! | `CONTENT_TYPE`, `CONTENT_LENGTH` | `content-type`, `content-length` where it is a length |
//! | `HTTP_TRANSFER_ENCODING` | nothing: the body has been decoded |
//! | `SERVER_PROTOCOL` | the version; HTTP/1.1 where it is none that `http` knows |
//! | `wsgi.input` | the body, read as the application asks for it |
//! | the other `wsgi.*` | [`MetaVariables::wsgi`] |
//!
//! A URI of more than 65,534 bytes is a 414, more than 32,768 header fields are a 431, and a value
//! with a control character a 400, as in hyper.
//!
//! # What becomes of a response
//!
//! Status and header fields go to `start_response`. Hop-by-hop fields are dropped: they concern a
//! connection, which is not the application's here; so is `Status`, by which CGI would understand
//! something else. A Content-Length is added where the body's is known. An interim status (1xx) is
//! an error, as from every application.
//!
//! ```
//! use cgigate::adapter::MetaVariables;
//! use http::Response;
//!
//! let site = cgigate::http(|request| {
//!     let meta = request.extensions().get::<MetaVariables>().expect("every request has them");
//!     match (request.uri().path(), meta.filled("REMOTE_USER")) {
//!         ("/", Some(_)) => Response::builder().body("Come in.\n"),
//!         ("/", None) => Response::builder().status(403).body("Members only.\n"),
//!         _ => Response::builder().status(404).body("Nothing here.\n"),
//!     }
//! });
//! assert_eq!(cgigate::testing::get("/").ask(&site).status, 403);
//! assert_eq!(cgigate::testing::get("/").var("REMOTE_USER", "ann").ask(&site).status, 200);
//! ```

mod function;
mod meta;
mod request;
mod response;

#[cfg(feature = "tower")]
mod incoming;
#[cfg(feature = "tower")]
mod runtime;
#[cfg(feature = "tower")]
mod service;

pub use function::{Answer, Http, http};
pub use meta::MetaVariables;

#[cfg(feature = "tower")]
pub use incoming::RequestBody;
#[cfg(feature = "tower")]
pub use runtime::block_on;
#[cfg(feature = "tower")]
pub use service::{Tower, tower};
