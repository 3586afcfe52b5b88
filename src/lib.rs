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
//! listening socket on descriptor 0 it serves FastCGI, else the command line says what to do. With
//! `fn main() -> ExitCode` around it, the lines above are an executable: `cargo run -- http` serves
//! it at `http://127.0.0.1:8000/`, `cargo run -- cgi /path` shows one answer.
//!
//! This page goes on with [WSGI in Rust in ten minutes](#wsgi-in-rust-in-ten-minutes),
//! [tests](#testing), [the choice of a protocol](#cgi-fastcgi-scgi-uwsgi-or-http),
//! [deploying](#deploying) and [where things are](#where-things-are). Those who have a WSGI application
//! in Python see it moved line by line in [`docs::porting`].
//!
//! # WSGI in Rust in ten minutes
//!
//! ## What is asked
//!
//! The [`Environ`] is one request, and the application's own. Its strings are the variables of CGI
//! ([RFC 3875 section 4.1](https://www.rfc-editor.org/rfc/rfc3875#section-4.1)), by the same names
//! over every protocol:
//!
//! | variable | of `GET /app/notes/7?sort=up` |
//! |---|---|
//! | `REQUEST_METHOD` | `GET` |
//! | `SCRIPT_NAME` | `/app`: where the application is; links to itself begin with it |
//! | `PATH_INFO` | `/notes/7`: what of it is asked for, decoded |
//! | `QUERY_STRING` | `sort=up`, as the client wrote it |
//! | `CONTENT_TYPE`, `CONTENT_LENGTH` | of the body |
//! | `HTTP_USER_AGENT`, `HTTP_COOKIE`, … | header fields of the client's |
//! | `REMOTE_ADDR`, `REMOTE_USER` | who asks, as the web server knows it |
//!
//! All of them are bytes, for nobody promises UTF-8: [`get`](Vars::get) has them as they are,
//! [`native`](Vars::native) as a string of Python's kind, a character a byte.
//!
//! ```
//! use cgigate::{Environ, Response, StartResponse};
//!
//! fn search<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     let query = environ.get("QUERY_STRING").unwrap_or_default();
//!     let Some(word) = query.strip_prefix(b"q=") else {
//!         start_response.call("400 Bad Request", &[("Content-Type", "text/plain")])?;
//!         return Ok("Ask for ?q=WORD\n".into());
//!     };
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok(format!("Nothing about {}\n", word.escape_ascii()).into())
//! }
//!
//! assert_eq!(cgigate::testing::get("/?q=wsgi").ask(&search).text(), "Nothing about wsgi\n");
//! assert_eq!(cgigate::testing::get("/").ask(&search).status, 400);
//! ```
//!
//! What has the keys `wsgi.*` in Python is a field here: `environ.input`, `environ.errors`, and in
//! [`environ.wsgi`](types::Wsgi) the scheme, and whether there are other threads and processes.
//!
//! ## What was sent
//!
//! `environ.input` is [`Read`](std::io::Read) and [`BufRead`](std::io::BufRead), and ends where the
//! body ends, whatever the server in front does. A body that breaks off is an error, not an end.
//!
//! ```
//! use cgigate::{Environ, Response, StartResponse};
//! use std::io::Read;
//!
//! fn count<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     let mut text = String::new();
//!     // Nobody is owed all of the memory: a megabyte is enough for words.
//!     environ.input.by_ref().take(1 << 20).read_to_string(&mut text)?;
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok(format!("{}\n", text.split_whitespace().count()).into())
//! }
//!
//! assert_eq!(cgigate::testing::post("/", "three short words").ask(&count).text(), "3\n");
//! ```
//!
//! ## What is answered
//!
//! `start_response` takes a status and header fields; nothing is sent before there is a first byte
//! of the body. The [`Body`] is one of four things:
//!
//! | | for | its length |
//! |---|---|---|
//! | [`Body::Empty`] | redirects, 204 | 0 |
//! | [`Body::One`], of any `&str`, `String`, `Vec<u8>`: `"text".into()` | pages | becomes the Content-Length |
//! | [`Body::Blocks`], of an iterator by [`Body::from_iter`] or a [`Blocks`](types::Blocks) of one's own | what is long, or made as it goes: each block is with the client before the next is asked for | yours to tell, if you know it |
//! | [`Body::File`] | files: the kernel sends them | becomes the Content-Length |
//!
//! ```
//! use cgigate::{Body, Environ, Response, StartResponse, testing, types::FileWrapper};
//! use std::fs::File;
//!
//! fn numbers<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok(Body::from_iter((1..=3).map(|n| Ok(format!("{n}\n").into_bytes()))))
//! }
//!
//! fn licence<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     let file = File::open("LICENSE")?;
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok(FileWrapper::file(file, None).into())
//! }
//!
//! assert_eq!(testing::get("/").ask(&numbers).text(), "1\n2\n3\n");
//! assert!(testing::get("/").ask(&licence).text().contains("MIT"));
//! ```
//!
//! There is `write`, too, for those who cannot do without: `start_response.call(..)?` returns it.
//!
//! ## What goes wrong
//!
//! An error that an application passes on by `?`, or a panic, becomes a page with status 500 that
//! tells the client nothing, and lines in the log that tell you all. Once the header fields are out
//! there is no other status to be had: the body is cut so that the client can tell. That a client
//! has gone away is no fault, and not logged. `environ.errors` is the log:
//!
//! ```
//! use cgigate::{Environ, Response, StartResponse};
//! use std::io::Write;
//!
//! fn fails<'r>(mut environ: Environ<'r>, _: &mut dyn StartResponse) -> Response<'r> {
//!     writeln!(environ.errors, "as it was meant to")?;
//!     Err("no such luck".into())
//! }
//!
//! let answer = cgigate::testing::get("/").ask(&fails);
//! assert_eq!((answer.status, &*answer.log), (500, "as it was meant to\nno such luck\n"));
//! assert!(!answer.text().contains("luck"));
//! ```
//!
//! ## What an application keeps
//!
//! Whatever is `Send + Sync` and has [`Application::call`]: a function, a closure by [`app`], or a
//! struct with a database in it. [`Gateway::make`] builds one when its worker starts, and may fail.
//! Under CGI there is a new process for each request, so what has to last goes into a file or a
//! database, where other workers find it too.
//!
//! ```
//! use cgigate::{Application, Environ, Gateway, Response, StartResponse};
//! use std::{fs, path::PathBuf};
//!
//! struct Motto {
//!     file: PathBuf,
//! }
//!
//! impl Application for Motto {
//!     fn call<'r>(&'r self, _: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
//!         let motto = fs::read_to_string(&self.file)?;
//!         start.call("200 OK", &[("Content-Type", "text/plain; charset=utf-8")])?;
//!         Ok(motto.into())
//!     }
//! }
//!
//! let motto = || {
//!     let file = PathBuf::from(std::env::var_os("MOTTO").ok_or("set MOTTO to a file")?);
//!     Ok(Motto { file })
//! };
//! let gateway = Gateway::new().make("motto", motto).about("what this house stands for");
//! # let _ = gateway;
//! # let answer = cgigate::testing::get("/").ask(&Motto { file: "LICENSE".into() });
//! # assert_eq!(answer.status, 200);
//! ```
//!
//! ## Around an application
//!
//! Middleware is an application that has another one in it: it may change the environ, look at what
//! comes out, or answer in the other's place. `examples/middleware.rs` adds a header field to all
//! answers; [`validator`](validate::validator) tells who breaks the rules; what one wants to tell
//! another goes by [`extensions`](types::Request::extensions).
//!
//! ```
//! use cgigate::{Application, Environ, Response, StartResponse, testing};
//!
//! /// Lets in who has been seen to the door by the web server.
//! struct Members<A>(A);
//!
//! impl<A: Application> Application for Members<A> {
//!     fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
//!         if environ.vars.filled("REMOTE_USER").is_some() {
//!             return self.0.call(environ, start);
//!         }
//!         start.call("403 Forbidden", &[("Content-Type", "text/plain")])?;
//!         Ok("Members only.\n".into())
//!     }
//! }
//!
//! let club = Members(cgigate::apps::hello);
//! assert_eq!(testing::get("/").ask(&club).status, 403);
//! assert_eq!(testing::get("/").var("REMOTE_USER", "ann").ask(&club).status, 200);
//! ```
//!
//! ## Several applications
//!
//! A gateway with one application gives it every request. With several, `--app NAME` says which;
//! else the executable's own name (`ln -s site shop.cgi`), if it is an application's; else the first
//! segment of the path: `/shop/cart` is `/cart` of `shop`. The one that is marked as the
//! [`index`](Gateway::index) has `/`. With the features `http` and `tower`, functions of
//! `http::Request` and axum's `Router` are applications among the others (`docs/tower.md`).
//!
//! # Testing
//!
//! [`testing`] runs one request through an application, without a server; [`validated`] has the rules
//! of PEP 3333 looked after. Such tests are in each file of `examples/`, to copy from.
//!
//! ```
//! use cgigate::testing;
//!
//! let request = testing::post("/", "a=1").header("Content-Type", "text/plain").validated();
//! let answer = request.ask(&cgigate::apps::echo);
//! assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain")));
//! assert_eq!((&*answer.text(), &*answer.log), ("a=1", ""));
//! ```
//!
//! With the executable: `site cgi '/notes?sort=up'` is one request at the desk, `site http` for a
//! browser, `site get --connect unix:/run/site.sock /notes` asks one that is running. What went wrong
//! elsewhere is recorded by `--record` and replayed by `site check` ([`docs::replay`]).
//!
//! [`validated`]: testing::Request::validated
//!
//! # CGI, FastCGI, SCGI, uwsgi or HTTP?
//!
//! The application is the same in all of them, so the choice can be changed any day.
//!
//! | | a request costs | take it |
//! |---|---|---|
//! | CGI | a process, about a millisecond | where nothing may run all day, or only files can be put somewhere; nothing to watch over, and a new executable counts from the next request on |
//! | FastCGI | some microseconds on a kept connection | **else**: every web server has it, it carries logs, several requests at a time, bodies of no known length, authorizers |
//! | SCGI, uwsgi | the same, and a connection | where the web server in front does these better, or has nothing else |
//! | HTTP | the same | for development, behind proxies that speak nothing else, or alone in a network that is trusted: it has no TLS |
//!
//! # Deploying
//!
//! One file is copied: `cargo build --release`, or with `scripts/build-static` one that needs no
//! library of the system's. `site config nginx` (or apache, lighttpd, haproxy, caddy, busybox, iis)
//! prints the whole configuration of a web server, `site config systemd` the units; its first lines
//! say where they go. `--workers`, reloading without losing a request, limits, logs and the sandbox
//! are in [`docs::operating`], what each web server does to requests is in [`docs::servers`], and
//! several machines are in [`docs::cluster`]. `probe` among the [`apps`] tells what the web server in
//! front gets wrong.
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
//! purpose, [`docs::statics`] what became the compiler's business, [`docs::files`] how files are
//! served.
//!
//! A layer imports only from those above it; `scripts/layers` checks that.
#![deny(unsafe_code)]
// There are no workers on Windows, so what only they use is not used there.
#![cfg_attr(windows, allow(dead_code, unused_imports))]

#[cfg(feature = "http")]
pub mod adapter;
pub mod apps;
mod cli;
pub mod docs;
pub mod fcgi;
pub mod gateway;
pub mod handlers;
pub mod head;
pub mod headers;
mod lock;
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

#[cfg(feature = "http")]
pub use adapter::http;
#[cfg(feature = "tower")]
pub use adapter::tower;
pub use gateway::Gateway;
pub use types::{Application, Body, Environ, Exception, Response, StartResponse, Vars, app};
