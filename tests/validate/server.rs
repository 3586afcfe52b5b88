//! A server and applications that write down what happens to them.

use cgigate::{
    Application, Body, Environ, Exception, Response, StartResponse, Vars, app,
    types::{Blocks, ErrorStream, HeaderIter, InputStream, Request, Scheme, Side, Wsgi},
    validate::{AssertionError, WsgiWarning, validator},
};
use std::sync::{Arc, Mutex};

pub(super) const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// A request that nothing can be said against.
pub(super) const GOOD: [(&str, &str); 7] = [
    ("REQUEST_METHOD", "GET"),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SCRIPT_NAME", ""),
    ("PATH_INFO", "/"),
    ("QUERY_STRING", ""),
];

/// `GOOD` with others over it; without those whose value is `None`.
pub(super) fn vars(changes: &[(&str, Option<&str>)]) -> Vars {
    let mut vars: Vars = GOOD.into_iter().collect();
    for (name, value) in changes {
        match value {
            Some(value) => vars.set(name, value),
            None => assert!(vars.remove(name)),
        }
    }
    vars
}

pub(super) const WSGI: Wsgi = Wsgi {
    version: (1, 0),
    url_scheme: Scheme::Http,
    multithread: false,
    multiprocess: false,
    run_once: false,
    file_wrapper: true,
};

pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// A server that writes down what it is told, and refuses what it is told to refuse.
#[derive(Default)]
pub(super) struct Server {
    pub(super) log: Log,
    pub(super) refuses: bool,
}

impl StartResponse for Server {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception> {
        let names: Vec<_> = headers.map(|(name, _)| String::from_utf8_lossy(name)).collect();
        let status = String::from_utf8_lossy(status);
        let exc = if exc_info.is_some() { " exc_info" } else { "" };
        self.log.lock().unwrap().push(format!("start {status} {}{exc}", names.join(" ")));
        if self.refuses { Err("refused".into()) } else { Ok(()) }
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.log.lock().unwrap().push(format!("write {}", String::from_utf8_lossy(data)));
        Ok(())
    }
}

/// Calls `app` under the validator, and lets `server` do something with the body.
pub(super) fn call<T>(
    app: impl Application,
    changes: &[(&str, Option<&str>)],
    wsgi: Wsgi,
    server: impl FnOnce(Response<'_>, &mut Server) -> T,
) -> (T, Vec<WsgiWarning>) {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&warnings);
    let app = validator(app).warn(move |warning| heard.lock().unwrap().push(warning));
    let (mut vars, request) = (vars(changes), Request::default());
    let (mut stdin, mut stderr) = (&b"one\ntwo"[..], Vec::new());
    let (input, errors) = (InputStream::Lent(&mut stdin), ErrorStream::Lent(&mut stderr));
    let environ = Environ::new(&mut vars, input, errors, wsgi, &request);
    let mut start_response = Server::default();
    let answer = app.call(environ, &mut start_response);
    let result = server(answer, &mut start_response);
    let warnings = std::mem::take(&mut *warnings.lock().unwrap());
    (result, warnings)
}

/// Reads a body to its end and closes it, as a handler does; what it failed with.
pub(super) fn read(answer: Response<'_>, server: &mut Server) -> Result<Vec<u8>, Exception> {
    let mut whole = Vec::new();
    match answer? {
        Body::Empty => {}
        Body::One(block) => whole.extend_from_slice(&block),
        Body::Blocks(mut blocks) => {
            let sent = (|| {
                blocks.begin(server)?;
                while let Some(block) = blocks.next_block()? {
                    whole.extend_from_slice(block);
                }
                Ok::<_, Exception>(())
            })();
            blocks.close()?;
            sent?;
        }
        Body::File(mut file) => {
            while let Some(block) = file.next_block()? {
                whole.extend_from_slice(block);
            }
        }
    }
    Ok(whole)
}

/// The side and the words, if the validator refused.
pub(super) fn refusal<T>(result: Result<T, Exception>) -> Option<(Side, String)> {
    let exc = result.err()?;
    let AssertionError(violation) = exc.downcast_ref().expect("an error of the validator");
    Some((violation.side(), violation.to_string()))
}

pub(super) fn hello() -> impl Application {
    app(|_, start_response| {
        start_response.call("200 OK", &[PLAIN])?;
        Ok("Hello\n".into())
    })
}

/// An application that gives these: the words, if they are refused as its fault.
pub(super) fn heads(status: &str, headers: &[(&str, &str)]) -> (Option<String>, Vec<WsgiWarning>) {
    let (status, headers) = (status.to_owned(), Vec::from(headers));
    let headers: Vec<_> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let app = app(move |_, start_response| {
        start_response.call(&status, &headers)?;
        Ok(Body::Empty)
    });
    let (result, warnings) = call(app, &[], WSGI, read);
    let words = refusal(result).map(|(side, words)| {
        assert_eq!(side, Side::Application, "{words}");
        words
    });
    (words, warnings)
}

pub(super) fn field(name: &str, value: &str) -> (Option<String>, Vec<WsgiWarning>) {
    heads("200 OK", &[PLAIN, (name, value)])
}

pub(super) fn bad_field(name: &str, value: &str) -> String {
    let (words, _) = field(name, value);
    words.unwrap_or_else(|| panic!("{name:?}: {value:?} passed"))
}

/// Blocks that write down what happens to them.
#[derive(Default)]
pub(super) struct Chunks {
    pub(super) log: Log,
    pub(super) late: bool,
    pub(super) left: Vec<&'static str>,
}

impl Blocks for Chunks {
    fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
        self.log.lock().unwrap().push("begin".into());
        if self.late {
            start_response.call("200 OK", &[PLAIN])?;
        }
        Ok(())
    }

    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        self.log.lock().unwrap().push("next".into());
        Ok((!self.left.is_empty()).then(|| self.left.remove(0).as_bytes()))
    }

    fn blocks(&self) -> Option<usize> {
        Some(self.left.len())
    }

    fn close(&mut self) -> Result<(), Exception> {
        self.log.lock().unwrap().push("close".into());
        Ok(())
    }
}

/// Starts, or does not, and returns blocks; and the log of them.
pub(super) fn chunks(
    starts: bool,
    late: bool,
    left: &'static [&'static str],
) -> (impl Application, Log) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let app = app(move |_, start_response| {
        if starts {
            start_response.call("200 OK", &[PLAIN])?;
        }
        Ok(Body::Blocks(Box::new(Chunks { log: Arc::clone(&kept), late, left: left.to_vec() })))
    });
    (app, log)
}
