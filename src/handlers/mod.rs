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
//! # What the types rule out
//!
//! A block is bytes; text has to say in which encoding:
//!
//! ```compile_fail,E0308
//! # use cgigate::{Exception, StartResponse};
//! # fn f(start_response: &mut dyn StartResponse) -> Result<(), Exception> {
//! start_response.write("text")
//! # }
//! ```
//!
//! The application's list of header fields is lent to be read, so that no Content-Length can turn
//! up in it, as wsgiref lets happen:
//!
//! ```compile_fail,E0596
//! # use cgigate::StartResponse;
//! fn set_content_length(start_response: &mut dyn StartResponse, fields: &Vec<(&str, &str)>) {
//!     fields.push(("Content-Length", "5"));
//! }
//! ```
//!
//! What wsgiref leaves to subclasses by `NotImplementedError` is a method without a default, or a
//! stream that [`run`](run()) cannot be called without:
//!
//! ```compile_fail,E0046
//! struct Mine;
//! impl cgigate::handlers::Handler for Mine {}
//! ```
//!
//! ```compile_fail,E0063
//! # use cgigate::handlers::Streams;
//! # let (mut stdin, mut stdout) = (std::io::empty(), Vec::new());
//! let streams = Streams { stdin: &mut stdin, stdout: &mut stdout };
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
pub(crate) use read_environ::read_into;
pub use read_environ::{
    Encoding, format_date_time, needs_transcode, read_environ, transcode_environ, transcode_windows,
};
pub use run::{Ending, Outcome, Slate, Streams, run};
