//! The checks of `wsgiref.validate` that types make here: what breaks them does not compile.
//!
//! Below, each with wsgiref's words where it has any. `app` takes an environ and a
//! `start_response`, as every application does.
//!
//! *Two arguments required*, and *No keyword arguments allowed* (there are none):
//!
//! ```compile_fail,E0061
//! # use cgigate::{Application, Environ};
//! fn server(app: &dyn Application, environ: Environ<'_>) {
//!     let _ = app.call(environ);
//! }
//! ```
//!
//! *The application must return an iterator, if only an empty list*:
//!
//! ```compile_fail,E0308
//! # use cgigate::{Environ, Response, StartResponse};
//! fn app<'r>(_: Environ<'r>, _: &mut dyn StartResponse) -> Response<'r> {
//!     Ok(None)
//! }
//! ```
//!
//! *Invalid number of arguments*, of `start_response`:
//!
//! ```compile_fail,E0061
//! # use cgigate::{Body, Environ, Response, StartResponse};
//! fn app<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     start_response.call("200 OK")?;
//!     Ok(Body::Empty)
//! }
//! ```
//!
//! `input.read` takes exactly one argument:
//!
//! ```compile_fail,E0061
//! # use cgigate::Environ;
//! # use std::io::Read;
//! fn read(mut environ: Environ<'_>) {
//!     let _ = environ.input.read();
//! }
//! ```
//!
//! What is read are bytes, never a string:
//!
//! ```compile_fail,E0308
//! # use cgigate::Environ;
//! # use std::io::BufRead;
//! fn read(mut environ: Environ<'_>) {
//!     let _: &str = environ.input.fill_buf().unwrap();
//! }
//! ```
//!
//! *input.close() must not be called*, and *errors.close() must not be called*:
//!
//! ```compile_fail,E0599
//! # use cgigate::Environ;
//! fn close(mut environ: Environ<'_>) {
//!     environ.input.close();
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use cgigate::Environ;
//! fn close(mut environ: Environ<'_>) {
//!     environ.errors.close();
//! }
//! ```
//!
//! The streams have no other methods, as `seek`:
//!
//! ```compile_fail,E0599
//! # use cgigate::Environ;
//! # use std::io::{Seek, SeekFrom};
//! fn seek(mut environ: Environ<'_>) {
//!     let _ = environ.input.seek(SeekFrom::Start(0));
//! }
//! ```
//!
//! What is written to `wsgi.errors` has one type:
//!
//! ```compile_fail,E0308
//! # use cgigate::Environ;
//! # use std::io::Write;
//! fn complain(mut environ: Environ<'_>) {
//!     let _ = environ.errors.write(7);
//! }
//! ```
//!
//! `write()` takes bytes only:
//!
//! ```compile_fail,E0308
//! # use cgigate::StartResponse;
//! fn write(start_response: &mut dyn StartResponse) {
//!     let _ = start_response.write("text");
//! }
//! ```
//!
//! A body is an iterable: nothing else becomes one.
//!
//! ```compile_fail,E0277
//! let _ = cgigate::Body::from_iter(7);
//! ```
//!
//! *Iterator yielded non-bytestring*:
//!
//! ```compile_fail,E0271
//! let _ = cgigate::Body::from_iter(["text"].into_iter());
//! ```
//!
//! *Environment is not of the right type*:
//!
//! ```compile_fail,E0308
//! # use cgigate::{Application, StartResponse};
//! # use std::collections::HashMap;
//! fn server(app: &dyn Application, start_response: &mut dyn StartResponse) {
//!     let _ = app.call(HashMap::<String, String>::new(), start_response);
//! }
//! ```
//!
//! *Environment missing required key*, of those of `wsgi.*`:
//!
//! ```compile_fail,E0063
//! # use cgigate::types::{Scheme, Wsgi};
//! let _ = Wsgi { version: (1, 0), url_scheme: Scheme::Http };
//! ```
//!
//! ```compile_fail,E0061
//! # use cgigate::{Environ, Vars, types::{InputStream, Request, Wsgi}};
//! fn environ<'r>(vars: &'r mut Vars, input: InputStream<'r>, wsgi: Wsgi, request: &'r Request) {
//!     let _ = Environ::new(vars, input, wsgi, request); // No wsgi.errors.
//! }
//! ```
//!
//! *Environmental variable X is not a string*:
//!
//! ```compile_fail,E0277
//! cgigate::Vars::default().set("SERVER_PORT", 80);
//! ```
//!
//! *wsgi.version should be a tuple*:
//!
//! ```compile_fail,E0308
//! # use cgigate::types::Wsgi;
//! fn old(wsgi: &mut Wsgi) {
//!     wsgi.version = [1, 0];
//! }
//! ```
//!
//! *wsgi.url_scheme unknown*:
//!
//! ```compile_fail,E0599
//! # use cgigate::types::{Scheme, Wsgi};
//! fn transfer(wsgi: &mut Wsgi) {
//!     wsgi.url_scheme = Scheme::Ftp;
//! }
//! ```
//!
//! *wsgi.input doesn't have the attribute readline*, and *wsgi.errors doesn't have the attribute
//! flush*:
//!
//! ```compile_fail,E0277
//! # use cgigate::types::InputStream;
//! struct NoReadline;
//! impl std::io::Read for NoReadline {
//!     fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
//!         Ok(0)
//!     }
//! }
//! let _ = InputStream::Owned(Box::new(NoReadline));
//! ```
//!
//! ```compile_fail,E0046
//! struct NoFlush;
//! impl std::io::Write for NoFlush {
//!     fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
//!         Ok(0)
//!     }
//! }
//! ```
//!
//! *Status must be of type str*:
//!
//! ```compile_fail,E0277
//! # use cgigate::StartResponse;
//! fn start(start_response: &mut dyn StartResponse) {
//!     let _ = start_response.call(200, &[("Content-Type", "text/plain")]);
//! }
//! ```
//!
//! *Headers must be of type list*, *Individual headers must be of type tuple*, *Header name must be
//! of type str*:
//!
//! ```compile_fail,E0308
//! # use cgigate::StartResponse;
//! fn start(start_response: &mut dyn StartResponse) {
//!     let _ = start_response.call("200 OK", ("Content-Type", "text/plain"));
//! }
//! ```
//!
//! ```compile_fail,E0308
//! # use cgigate::StartResponse;
//! fn start(start_response: &mut dyn StartResponse) {
//!     let _ = start_response.call("200 OK", &[["Content-Type", "text/plain"]]);
//! }
//! ```
//!
//! ```compile_fail,E0277
//! # use cgigate::StartResponse;
//! fn start(start_response: &mut dyn StartResponse) {
//!     let _ = start_response.call("200 OK", &[(1, "text/plain")]);
//! }
//! ```
//!
//! *exc_info is not a tuple*:
//!
//! ```compile_fail,E0308
//! # use cgigate::StartResponse;
//! fn start(start_response: &mut dyn StartResponse) {
//!     let plain = &[("Content-Type", "text/plain")];
//!     let _ = start_response.call_exc("500 Oops", plain, 1);
//! }
//! ```
//!
//! *You should not return a string as your application iterator*: a string is no body, and made
//! into one it is a single block.
//!
//! ```compile_fail,E0308
//! # use cgigate::{Environ, Response, StartResponse};
//! fn app<'r>(_: Environ<'r>, _: &mut dyn StartResponse) -> Response<'r> {
//!     Ok("text")
//! }
//! ```
