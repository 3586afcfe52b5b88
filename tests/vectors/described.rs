//! An application described as data: the `about` of `handlers.json` says what each key means.

use super::case::{bytes_of, list_of, text_of};
use cgigate::{
    Application, Body, Environ, Exception, Response, StartResponse,
    handlers::Attributes,
    types::{Blocks, FileWrapper, from_native},
};
use serde_json::{Value, json};
use std::{
    fmt,
    io::{self, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Python's `repr` of a string of Latin-1.
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let escape = |c: char| match c {
        '\n' | '\r' | '\t' | '\\' => c.escape_default().to_string(),
        c if c == quote => format!("\\{c}"),
        c if c.is_control() || c == '\u{a0}' || c == '\u{ad}' => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("{quote}{}{quote}", text.chars().map(escape).collect::<String>())
}

/// Python's exception of a case: `RuntimeError: before`.
#[derive(Debug)]
pub struct Raised {
    pub kind: String,
    pub message: String,
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind.as_str(), self.message.as_str()) {
            (kind, "") => f.write_str(kind),
            // A KeyError says the repr of its key.
            (kind @ "KeyError", key) => write!(f, "{kind}: {}", repr(key)),
            (kind, message) => write!(f, "{kind}: {message}"),
        }
    }
}

impl std::error::Error for Raised {}

/// What Python raises, as Rust knows it: the errors of a connection are `io::Error`s of their kind.
pub fn raised(kind: &str, message: &str) -> Exception {
    let raised = Raised { kind: kind.to_owned(), message: message.to_owned() };
    let io = match kind {
        "ConnectionAbortedError" => io::ErrorKind::ConnectionAborted,
        "BrokenPipeError" => io::ErrorKind::BrokenPipe,
        "ConnectionResetError" => io::ErrorKind::ConnectionReset,
        "ConnectionRefusedError" => io::ErrorKind::ConnectionRefused,
        "OSError" => io::ErrorKind::Other,
        _ => return raised.into(),
    };
    io::Error::new(io, raised).into()
}

/// `base` with what the handler of a case sets; its kind and its stdout are others' business.
pub fn attributes(base: Attributes, handler: &Value) -> Attributes {
    let mut at = base;
    for (key, value) in handler.as_object().expect("a handler") {
        let text = || text_of(value).to_owned();
        match key.as_str() {
            "kind" | "stdout" => {}
            "http_version" => at.http_version = text().into(),
            "server_software" => at.server_software = Some(text().into()),
            "error_status" => at.error_status = text().into(),
            "error_headers" => {
                let field = |field: &Value| {
                    (text_of(&field[0]).to_owned().into(), text_of(&field[1]).to_owned().into())
                };
                at.error_headers = list_of(value).iter().map(field).collect();
            }
            "error_body" => at.error_body = bytes_of(value).into(),
            "file_wrapper" => {
                at.wsgi_file_wrapper = value.as_bool().expect("file_wrapper is true or false");
            }
            other => panic!("no handler has {other:?}"),
        }
    }
    at
}

/// What was seen of the application while it ran.
#[derive(Default)]
pub struct Record {
    called: AtomicU64,
    closed: AtomicU64,
    seen: Mutex<Option<Value>>,
    environ: Mutex<Option<Value>>,
    input: Mutex<Option<Vec<u8>>>,
}

impl Record {
    /// How often it was called.
    pub fn called(&self) -> u64 {
        self.called.load(Relaxed)
    }

    /// How often its body was closed.
    pub fn closed(&self) -> u64 {
        self.closed.load(Relaxed)
    }

    /// The `wsgi.*` values it saw, as `seen` of the vectors has them (without the variables).
    pub fn seen(&self) -> Option<Value> {
        self.seen.lock().unwrap().clone()
    }

    /// The variables it saw, names and values as native strings.
    pub fn environ(&self) -> Option<Value> {
        self.environ.lock().unwrap().clone()
    }

    /// What it read of `wsgi.input`.
    pub fn input(&self) -> Option<Vec<u8>> {
        self.input.lock().unwrap().clone()
    }

    /// All of it, as the executable `described` hands it over.
    pub fn to_json(&self) -> Value {
        json!({
            "called": self.called(),
            "closed": self.closed(),
            "seen": self.seen(),
            "environ": self.environ(),
            "input": self.input().map(|input| cgigate::types::to_native(&input).into_owned()),
        })
    }

    fn note(&self, environ: &Environ<'_>) {
        let wsgi = environ.wsgi;
        *self.seen.lock().unwrap() = Some(json!({
            "wsgi.version": [wsgi.version.0, wsgi.version.1],
            "wsgi.url_scheme": wsgi.url_scheme.as_str(),
            "wsgi.multithread": wsgi.multithread,
            "wsgi.multiprocess": wsgi.multiprocess,
            "wsgi.run_once": wsgi.run_once,
            "wsgi.file_wrapper": wsgi.file_wrapper,
            "wsgi.input": true,
            "wsgi.errors": true,
        }));
        let native = |bytes| cgigate::types::to_native(bytes).into_owned();
        let vars = environ.vars.iter().map(|(name, value)| (native(name), json!(native(value))));
        *self.environ.lock().unwrap() = Some(Value::Object(vars.collect()));
    }
}

/// The application that a case describes.
pub struct Described {
    app: Value,
    pub record: Arc<Record>,
}

impl Described {
    pub fn new(app: &Value) -> Self {
        const KNOWN: [&str; 17] = [
            "status",
            "headers",
            "chunks",
            "write_calls",
            "start_response",
            "exc_info",
            "raise",
            "file_wrapper",
            "close",
            "second",
            "sized",
            "start_when",
            "raise_type",
            "raise_message",
            "raise_at",
            "swallow",
            "read",
        ];
        for key in app.as_object().expect("an application").keys() {
            assert!(KNOWN.contains(&key.as_str()), "no application does {key:?}");
        }
        Self { app: app.clone(), record: Arc::default() }
    }

    fn raises(&self, when: &str) -> bool {
        text_of(&self.app["raise"]) == when
    }

    fn flag(&self, key: &str) -> bool {
        self.app[key].as_bool().unwrap_or(false)
    }

    fn exception(&self) -> Exception {
        let kind = self.app["raise_type"].as_str().unwrap_or("RuntimeError");
        let message = self.app["raise_message"].as_str();
        raised(kind, message.unwrap_or_else(|| text_of(&self.app["raise"])))
    }

    fn fail_if(&self, when: &str) -> Result<(), Exception> {
        if self.raises(when) { Err(self.exception()) } else { Ok(()) }
    }

    /// All that happens before the body is made.
    fn start(&self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
        let (status, headers) = (&self.app["status"], &self.app["headers"]);
        match text_of(&self.app["start_response"]) {
            "never" => return self.fail_if("after"),
            "once" | "twice" | "twice_with_exc_info" => {}
            other => panic!("no application calls start_response {other:?}"),
        }
        let first = self.flag("exc_info").then(|| raised("RuntimeError", "first"));
        match say(start_response, status, headers, first) {
            Err(_) if self.flag("swallow") => {}
            said => said?,
        }
        for data in list_of(&self.app["write_calls"]) {
            start_response.write(&bytes_of(data))?;
        }
        let default = json!(["202 Accepted", [["X-Second", "2"]]]);
        let second = self.app.get("second").unwrap_or(&default);
        match text_of(&self.app["start_response"]) {
            "twice" => say(start_response, &second[0], &second[1], None)?,
            "twice_with_exc_info" => {
                let exc = Some(raised("RuntimeError", "recovered"));
                say(start_response, &second[0], &second[1], exc)?;
            }
            _ => {}
        }
        self.fail_if("after")
    }

    fn starts_late(&self) -> bool {
        self.app["start_when"].as_str().is_some_and(|when| match when {
            "iteration" => true,
            "call" => false,
            other => panic!("no application starts at {other:?}"),
        })
    }

    fn read(&self, environ: &mut Environ<'_>) -> Result<(), Exception> {
        let Some(size) = self.app["read"].as_i64() else { return Ok(()) };
        let mut input = Vec::new();
        match u64::try_from(size) {
            Ok(size) => (&mut environ.input).take(size).read_to_end(&mut input)?,
            Err(_) => environ.input.read_to_end(&mut input)?,
        };
        *self.record.input.lock().unwrap() = Some(input);
        Ok(())
    }
}

/// `start_response(status, headers, exc_info)` with native strings.
fn say(
    start_response: &mut dyn StartResponse,
    status: &Value,
    headers: &Value,
    exc_info: Option<Exception>,
) -> Result<(), Exception> {
    let status = native(status)?;
    let field = |field: &Value| Ok((native(&field[0])?, native(&field[1])?));
    let headers = list_of(headers).iter().map(field).collect::<Result<Vec<_>, Exception>>()?;
    start_response.call_exc(status, &headers, exc_info).map(drop)
}

/// The bytes of a native string, or Python's words for one that has none.
fn native(value: &Value) -> Result<Vec<u8>, Exception> {
    from_native(text_of(value))
        .map(|bytes| bytes.into_owned())
        .ok_or_else(|| raised("UnicodeEncodeError", "ordinal not in range(256)"))
}

impl Application for Described {
    fn call<'r>(
        &'r self,
        mut environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        self.record.called.fetch_add(1, Relaxed);
        self.record.note(&environ);
        self.read(&mut environ)?;
        self.fail_if("before")?;
        if !self.starts_late() {
            self.start(start_response)?;
        }
        let wrapper = &self.app["file_wrapper"];
        if wrapper.is_null() {
            return Ok(Body::Blocks(Box::new(Chunks {
                described: self,
                next: 0,
                chunk: Vec::new(),
            })));
        }
        let file = Filelike { data: io::Cursor::new(bytes_of(&wrapper["data"])), described: self };
        let file = FileWrapper::new(file);
        Ok(match wrapper["blksize"].as_u64() {
            Some(size) => file.blksize(size.try_into().unwrap()),
            None => file,
        }
        .into())
    }
}

struct Chunks<'r> {
    described: &'r Described,
    next: usize,
    chunk: Vec<u8>,
}

impl Blocks for Chunks<'_> {
    fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
        if self.described.starts_late() { self.described.start(start_response) } else { Ok(()) }
    }

    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        let raise_at = self.described.app["raise_at"].as_u64().unwrap_or(0);
        if self.described.raises("during") && self.next as u64 == raise_at {
            return Err(self.described.exception());
        }
        let Some(chunk) = list_of(&self.described.app["chunks"]).get(self.next) else {
            return Ok(None);
        };
        self.next += 1;
        self.chunk = bytes_of(chunk);
        Ok(Some(&self.chunk))
    }

    fn blocks(&self) -> Option<usize> {
        let sized = self.described.app["sized"].as_bool().unwrap_or(true);
        sized.then(|| list_of(&self.described.app["chunks"]).len())
    }

    fn close(&mut self) -> Result<(), Exception> {
        if !self.described.flag("close") {
            return Ok(());
        }
        self.described.record.closed.fetch_add(1, Relaxed);
        self.described.fail_if("close")
    }
}

/// The file of a `file_wrapper`: closed when it is dropped, as Rust has it.
struct Filelike<'r> {
    data: io::Cursor<Vec<u8>>,
    described: &'r Described,
}

impl Read for Filelike<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.data.read(buf)
    }
}

impl Drop for Filelike<'_> {
    fn drop(&mut self) {
        if self.described.flag("close") {
            self.described.record.closed.fetch_add(1, Relaxed);
        }
    }
}
