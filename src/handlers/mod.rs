//! `wsgiref.handlers`: how one request is run.
//!
//! | wsgiref | here |
//! |---|---|
//! | `BaseHandler`'s class attributes | the fields of [`Attributes`] |
//! | `os_environ` | [`SimpleHandler::os_environ`]: empty, unless somebody fills it |
//! | `setup_environ`, `add_cgi_vars`, `get_scheme`, `cleanup_headers`, `log_exception`, `error_output` | methods of [`Handler`], with the same defaults |
//! | `get_stdin`, `get_stderr`, `_write`, `_flush` | [`Streams`]: one value, because all three are lent at once |
//! | `sendfile`, `result_is_file`, `wsgi_file_wrapper` | [`Output::sendfile`], [`Body::File`](crate::Body::File), [`Attributes::wsgi_file_wrapper`] |
//! | `run` | [`run`](run()), the one place that calls an application |
//! | `start_response`, `write`, `finish_response`, `send_headers`, `close`, … | `exchange.rs`, private: one response from its first byte to its last |
//! | `headers_class` | left out: [`Headers`](crate::headers::Headers) has no subclasses, and what one would be written for, a last change of the fields, is [`Handler::cleanup_headers`] |
//! | `SimpleHandler`, `BaseCGIHandler`, `CGIHandler`, `IISCGIHandler` | [`SimpleHandler`], [`BaseCgiHandler`], [`CgiHandler`], [`IisCgiHandler`] |
//! | `read_environ`, `format_date_time` | [`read_environ`](read_environ()), [`format_date_time`] |
//!
//! What wsgiref checks or leaves to subclasses here, and the compiler does, is in
//! [`statics`](crate::docs::statics); where an answer is another on purpose, in
//! [`differences`](crate::docs::differences).
//!
//! ```
//! use cgigate::{Vars, handlers::{BaseCgiHandler, Ending}};
//!
//! let hello = cgigate::app(|_environ, start_response| {
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok("Hello\n".into())
//! });
//! let environ: Vars = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/")].into_iter().collect();
//! let (mut answer, mut log) = (Vec::new(), Vec::new());
//! let outcome = BaseCgiHandler::new(&b""[..], &mut answer, &mut log, environ).run(&hello)?;
//! assert!(answer.starts_with(b"Status: 200 OK\r\n") && log.is_empty());
//! assert_eq!((outcome.bytes_sent, outcome.ending), (6, Ending::Whole));
//! # Ok::<_, cgigate::Exception>(())
//! ```

mod attributes;
mod cgi;
mod content;
mod exchange;
mod handler;
mod log;
mod output;
mod panic;
mod read_environ;
mod run;

pub use attributes::{Attributes, Preamble};
pub use cgi::{BaseCgiHandler, CgiHandler, IisCgiHandler, SimpleHandler, strip_script_name};
pub use content::{Content, ContentInput};
pub use handler::{Handler, Plain};
pub use output::Output;
pub use panic::Panicked;
pub(crate) use panic::message as panic_message;
pub use read_environ::{
    Encoding, format_date_time, needs_transcode, read_environ, transcode_environ, transcode_windows,
};
pub use run::{Ending, Outcome, Slate, Streams, run};
