//! `wsgiref.simple_server`: HTTP without a web server in front.
//!
//! | wsgiref | here |
//! |---|---|
//! | `make_server`, `WSGIServer` | [`make_server`], [`WsgiServer`] |
//! | `serve_forever`, `handle_request`, `shutdown`, `set_app`, `get_app`, `base_environ` | of the same names |
//! | `WSGIRequestHandler`: `get_environ`, `get_stderr`, `handle`, `log_message`, … | the methods of [`WsgiRequestHandler`], one object for all requests |
//! | its `command`, `path`, `headers`, `requestline`, … | the fields of [`Request`] |
//! | `ServerHandler` | [`ServerHandler`] |
//! | `demo_app` | [`demo_app`] |
//!
//! By default it is wsgiref's server, HTTP/1.0 and one request a connection, one after the other,
//! for trying an application out. [`Options::http`] makes of it what `cgigate http` runs: HTTP/1.1
//! with kept connections, which survives clients that mean no good.
//!
//! Where `http.server` would guess what a client meant, a 400 says that nobody should.
//!
//! ```
//! use cgigate::simple_server::{demo_app, make_server};
//! use std::{io::{Read, Write}, net::TcpStream, thread};
//!
//! let server = make_server("127.0.0.1", 0, demo_app)?;
//! let address = server.server_address().expect("it listens");
//! let answer = thread::scope(|scope| {
//!     scope.spawn(|| server.handle_request()); // serve_forever answers all that follow, too
//!     let (mut client, mut answer) = (TcpStream::connect(address)?, String::new());
//!     client.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
//!     client.read_to_string(&mut answer)?;
//!     Ok::<_, std::io::Error>(answer)
//! })?;
//! assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains("Hello world!"));
//! # Ok::<_, std::io::Error>(())
//! ```

// `server` is what is seen from outside; it serves by `queue`, one client at a time, or by `front`, which
// watches many and hands what is ready to `pool`. A head is found by `head_scan` and understood by
// `request`, out of `request_line` and `fields`; `answer` runs it, between `body` and `response`.
mod answer;
mod body;
mod chunked;
mod connection;
mod environ;
mod fields;
mod front;
mod handler;
mod head_scan;
mod log;
mod options;
mod pool;
mod queue;
mod refused;
mod request;
mod request_line;
mod response;
mod server;
mod serving;
mod spooled;
mod under_way;
mod watched;

pub use crate::apps::demo as demo_app;
pub use environ::get_environ;
pub use handler::{DefaultHandler, ServerHandler, Size, WsgiRequestHandler};
pub use log::{Escaped, log_date_time_string};
pub use options::Options;
pub use refused::Refused;
pub use request::{Framing, Request, Rules};
pub use server::{WsgiServer, make_server};
