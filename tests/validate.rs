//! The rules that `validate` checks at run time, in wsgiref's order: each with its words and the
//! side that is at fault.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use cgigate::{
    Application, Body, Environ, Exception, Response, StartResponse, Vars, app,
    handlers::{Attributes, Plain, Slate, Streams, run},
    types::{
        Blocks, ErrorStream, FileWrapper, HeaderIter, InputStream, Request, Scheme, Side, Wsgi,
    },
    validate::{AssertionError, WsgiWarning, validator},
};
use std::{
    fs::{self, File},
    io::{self, BufRead, Read, Write},
    sync::{Arc, Mutex},
};

const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// A request that nothing can be said against.
const GOOD: [(&str, &str); 7] = [
    ("REQUEST_METHOD", "GET"),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SCRIPT_NAME", ""),
    ("PATH_INFO", "/"),
    ("QUERY_STRING", ""),
];

/// `GOOD` with others over it; without those whose value is `None`.
fn vars(changes: &[(&str, Option<&str>)]) -> Vars {
    let mut vars: Vars = GOOD.into_iter().collect();
    for (name, value) in changes {
        match value {
            Some(value) => vars.set(name, value),
            None => assert!(vars.remove(name)),
        }
    }
    vars
}

const WSGI: Wsgi = Wsgi {
    version: (1, 0),
    url_scheme: Scheme::Http,
    multithread: false,
    multiprocess: false,
    run_once: false,
    file_wrapper: true,
};

type Log = Arc<Mutex<Vec<String>>>;

/// A server that writes down what it is told, and refuses what it is told to refuse.
#[derive(Default)]
struct Server {
    log: Log,
    refuses: bool,
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
fn call<T>(
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
fn read(answer: Response<'_>, server: &mut Server) -> Result<Vec<u8>, Exception> {
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
fn refusal<T>(result: Result<T, Exception>) -> Option<(Side, String)> {
    let exc = result.err()?;
    let AssertionError(violation) = exc.downcast_ref().expect("an error of the validator");
    Some((violation.side(), violation.to_string()))
}

fn hello() -> impl Application {
    app(|_, start_response| {
        start_response.call("200 OK", &[PLAIN])?;
        Ok("Hello\n".into())
    })
}

/// An environ with these changes: the words, if it is refused as the server's fault.
fn environ(changes: &[(&str, Option<&str>)]) -> (Option<String>, Vec<WsgiWarning>) {
    let (result, warnings) = call(hello(), changes, WSGI, read);
    let words = refusal(result).map(|(side, words)| {
        assert_eq!(side, Side::Server, "{words}");
        words
    });
    (words, warnings)
}

/// What is said of an environ with one change.
fn refused(name: &str, value: Option<&str>) -> String {
    let (words, _) = environ(&[(name, value)]);
    words.unwrap_or_else(|| panic!("{name} {value:?} passed"))
}

fn passes(name: &str, value: Option<&str>) {
    assert_eq!(environ(&[(name, value)]), (None, Vec::new()), "{name} {value:?}");
}

/// An application that gives these: the words, if they are refused as its fault.
fn heads(status: &str, headers: &[(&str, &str)]) -> (Option<String>, Vec<WsgiWarning>) {
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

fn field(name: &str, value: &str) -> (Option<String>, Vec<WsgiWarning>) {
    heads("200 OK", &[PLAIN, (name, value)])
}

fn bad_field(name: &str, value: &str) -> String {
    let (words, _) = field(name, value);
    words.unwrap_or_else(|| panic!("{name:?}: {value:?} passed"))
}

/// Blocks that write down what happens to them.
#[derive(Default)]
struct Chunks {
    log: Log,
    late: bool,
    left: Vec<&'static str>,
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
fn chunks(starts: bool, late: bool, left: &'static [&'static str]) -> (impl Application, Log) {
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

#[test]
fn v1_the_same_bytes_come_with_and_without() {
    let apps: [(&str, Box<dyn Application>); 3] = [
        ("demo", Box::new(cgigate::apps::demo)),
        ("echo", Box::new(cgigate::apps::echo)),
        ("chunks", Box::new(chunks(false, true, &["a", "", "b"]).0)),
    ];
    let answer = |app: &dyn Application| {
        let mut slate = Slate::default();
        slate.vars = vars(&[("CONTENT_LENGTH", Some("7"))]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let streams = Streams { stdin: &mut &b"one\ntwo"[..], stdout: &mut out, stderr: &mut err };
        let outcome = run(&Plain(Attributes::CGI), app, &mut slate, streams).unwrap();
        assert_eq!(String::from_utf8(err).unwrap(), "");
        (outcome, String::from_utf8(out).unwrap())
    };
    for (name, app) in apps {
        let without = answer(&*app);
        assert_eq!(answer(&validator(app)), without, "{name}");
    }
}

#[test]
fn v3_the_environ_is_checked_before_the_application_runs() {
    let (app, log) = chunks(true, false, &["a"]);
    let (result, _) = call(app, &[("SERVER_NAME", None)], WSGI, |answer, _| answer.map(drop));
    assert!(refusal(result).is_some());
    let ((), warnings) = call(hello(), &[("QUERY_STRING", None)], WSGI, |answer, server| {
        read(answer, server).unwrap();
        let log = server.log.lock().unwrap();
        assert_eq!(*log, ["start 200 OK Content-Type"]);
    });
    assert_eq!(warnings, [WsgiWarning::QueryString]);
    assert_eq!(*log.lock().unwrap(), [""; 0], "the body was touched");
}

#[test]
fn v6_what_start_response_is_given_is_checked_in_order_and_passed_on() {
    let bad = ("a b", "v");
    for (status, headers, words) in [
        ("x", &[bad][..], "Status codes must be three characters: 'x'"),
        ("200 OK", &[bad][..], "Bad header name: 'a b'"),
        ("200 OK", &[][..], "No Content-Type header found in headers ([])"),
    ] {
        let app = {
            let headers = headers.to_vec();
            app(move |_, start_response| {
                start_response.call(status, &headers)?;
                Ok(Body::Empty)
            })
        };
        let ((), _) = call(app, &[], WSGI, |answer, server| {
            assert_eq!(refusal(answer).unwrap().1, words);
            assert!(server.log.lock().unwrap().is_empty(), "the server heard of it");
        });
    }
    let twice = app(|_, start_response| {
        let mut write = start_response.call("200 OK", &[PLAIN])?;
        write.write_all(b"abc")?;
        start_response.call_exc("500 Oops", &[PLAIN, ("X", "y")], Some("why".into()))?;
        Ok(Body::Empty)
    });
    let ((), warnings) = call(twice, &[], WSGI, |answer, server| {
        answer.unwrap();
        let log = server.log.lock().unwrap();
        let said =
            ["start 200 OK Content-Type", "write abc", "start 500 Oops Content-Type X exc_info"];
        assert_eq!(*log, said);
    });
    assert!(warnings.is_empty());
}

#[test]
fn v6_who_was_refused_by_the_server_has_started_all_the_same() {
    let app = validator(app(|_, start_response| {
        assert!(start_response.call("200 OK", &[PLAIN]).is_err());
        Ok(Body::Empty)
    }));
    let (mut vars, request) = (vars(&[]), Request::default());
    let (mut stdin, mut stderr) = (io::empty(), io::sink());
    let (input, errors) = (InputStream::Lent(&mut stdin), ErrorStream::Lent(&mut stderr));
    let environ = Environ::new(&mut vars, input, errors, WSGI, &request);
    let mut server = Server { refuses: true, ..Server::default() };
    assert!(app.call(environ, &mut server).is_ok());
}

#[test]
fn v9_the_input_is_read_and_iterated_over() {
    let app = app(|mut environ, start_response| {
        let mut first = [0; 2];
        environ.input.read_exact(&mut first)?;
        let mut line = String::new();
        environ.input.read_line(&mut line)?;
        let rest: Vec<_> = environ.input.lines().collect::<Result<_, _>>()?;
        start_response.call("200 OK", &[PLAIN])?;
        Ok(format!("{first:?} {line:?} {rest:?}").into())
    });
    let (answer, _) = call(app, &[], WSGI, read);
    assert_eq!(answer.unwrap(), br#"[111, 110] "e\n" ["two"]"#);
}

/// A stream that cannot count.
struct Overrun;

impl Read for Overrun {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(buf.len() + 1)
    }
}

impl BufRead for Overrun {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(b"")
    }

    fn consume(&mut self, _: usize) {}
}

impl Write for Overrun {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len() + 1)
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::other("the flush came through"))
    }
}

#[test]
fn v8_v12_streams_move_no_more_than_there_is_room_for_and_a_flush_passes_through() {
    let app = validator(app(|mut environ, _| {
        let error = environ.input.read(&mut [0; 4]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server is at fault: wsgi.input moved 5 bytes where there was room for 4"
        );
        let error = environ.errors.write(b"abc").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the server is at fault: wsgi.errors moved 4 bytes where there was room for 3"
        );
        Err(environ.errors.flush().unwrap_err().into())
    }));
    let (mut vars, request) = (vars(&[]), Request::default());
    let (input, errors) =
        (InputStream::Owned(Box::new(Overrun)), ErrorStream::Owned(Box::new(Overrun)));
    let environ = Environ::new(&mut vars, input, errors, WSGI, &request);
    let error = app.call(environ, &mut Server::default()).unwrap_err();
    assert_eq!(error.to_string(), "the flush came through");
}

#[test]
fn v17_a_body_that_is_closed_or_not_begun_is_not_read() {
    let closed = Some((Side::Server, "Iterator read after closed".to_owned()));
    let ((), _) = call(chunks(true, false, &["a"]).0, &[], WSGI, |answer, server| {
        let Ok(Body::Blocks(mut blocks)) = answer else { panic!("blocks") };
        let early = blocks.next_block().map(drop);
        assert_eq!(refusal(early), Some((Side::Server, "Iterator read before begin()".to_owned())));
        blocks.begin(server).unwrap();
        assert_eq!(blocks.next_block().unwrap(), Some(&b"a"[..]));
        blocks.close().unwrap();
        assert_eq!(refusal(blocks.next_block().map(drop)), closed);
        assert_eq!(refusal(blocks.begin(server)), closed);
    });
}

#[test]
fn v19_start_response_comes_before_the_first_block_or_the_end() {
    let never = "The application returns and we started iterating over its body, but \
                 start_response has not yet been called";
    let never = Some((Side::Application, never.to_owned()));
    for left in [&["a"][..], &[""], &[]] {
        let (result, _) = call(chunks(false, false, left).0, &[], WSGI, read);
        assert_eq!(refusal(result), never, "{left:?}");
        let (late, _) = call(chunks(false, true, left).0, &[], WSGI, read);
        assert_eq!(late.unwrap(), left.concat().as_bytes());
    }
    let body = |make: fn() -> Body<'static>| {
        let (result, _) = call(app(move |_, _| Ok(make())), &[], WSGI, read);
        refusal(result)
    };
    assert_eq!(body(|| Body::Empty), never);
    assert_eq!(body(|| "one".into()), never);
    assert_eq!(body(|| FileWrapper::new(&b"file"[..]).into()), never);
}

#[test]
fn v19_the_fault_of_the_iterable_itself_comes_first() {
    let app =
        app(|_, _| Ok(Body::from_iter(std::iter::once_with(|| Err(Exception::from("its own"))))));
    let (result, _) = call(app, &[], WSGI, read);
    assert_eq!(result.unwrap_err().to_string(), "its own");
}

#[test]
fn v20_close_is_passed_on_once() {
    let (app, log) = chunks(true, false, &["a"]);
    let (whole, warnings) = call(app, &[], WSGI, read);
    assert_eq!((&*whole.unwrap(), warnings), (&b"a"[..], vec![]));
    assert_eq!(*log.lock().unwrap(), ["begin", "next", "next", "close"]);
}

#[test]
fn v21_a_body_that_nobody_closed_is_closed_and_told_of() {
    let (app, log) = chunks(true, false, &["a"]);
    let ((), warnings) = call(app, &[], WSGI, |answer, _| drop(answer.unwrap()));
    assert_eq!(warnings, [WsgiWarning::NotClosed]);
    assert_eq!(warnings[0].to_string(), "Iterator garbage collected without being closed");
    assert_eq!(warnings[0].side(), Side::Server);
    assert_eq!(*log.lock().unwrap(), ["close"]);
}

#[test]
fn v23_keys_that_must_be_there() {
    for name in ["REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT"] {
        let words = format!("Environment missing required key: '{name}'");
        assert_eq!(refused(name, None), words);
        let (first, _) = environ(&[(name, None), ("HTTP_CONTENT_TYPE", Some("x"))]);
        assert_eq!(first, Some(words), "before anything else");
    }
}

#[test]
fn v25_keys_that_must_not() {
    for (name, instead) in
        [("HTTP_CONTENT_TYPE", "CONTENT_TYPE"), ("HTTP_CONTENT_LENGTH", "CONTENT_LENGTH")]
    {
        let words = format!("Environment should not have the key: {name} (use {instead} instead)");
        assert_eq!(refused(name, Some("")), words);
    }
}

#[test]
fn v26_a_query_string_is_missed() {
    let (words, warnings) = environ(&[("QUERY_STRING", None)]);
    assert_eq!((words, &*warnings), (None, &[WsgiWarning::QueryString][..]));
    assert_eq!(
        warnings[0].to_string(),
        "QUERY_STRING is not in the WSGI environment; the cgi module will use sys.argv when this \
         variable is missing, so application errors are more likely"
    );
}

#[test]
fn v32_methods_that_are_known() {
    for method in ["GET", "POST", "OPTIONS", "PATCH", "PUT", "DELETE", "TRACE"] {
        passes("REQUEST_METHOD", Some(method));
    }
    let (_, warnings) = environ(&[("REQUEST_METHOD", Some("HEAD"))]);
    assert_eq!(warnings, [WsgiWarning::Content("HEAD")], "known, but it had a body");
    for method in ["CONNECT", "get", ""] {
        let (words, warnings) = environ(&[("REQUEST_METHOD", Some(method))]);
        assert_eq!((words, warnings.len()), (None, 1));
        assert_eq!(warnings[0].to_string(), format!("Unknown REQUEST_METHOD: '{method}'"));
        assert_eq!(warnings[0].side(), Side::Server);
    }
}

#[test]
fn v33_v34_paths_begin_with_a_slash_or_are_empty() {
    assert_eq!(refused("SCRIPT_NAME", Some("app")), "SCRIPT_NAME doesn't start with /: 'app'");
    assert_eq!(refused("PATH_INFO", Some("*")), "PATH_INFO doesn't start with /: '*'");
    let both = [("SCRIPT_NAME", Some("it's")), ("PATH_INFO", Some("y"))];
    assert_eq!(environ(&both).0.unwrap(), "SCRIPT_NAME doesn't start with /: \"it's\"");
    passes("SCRIPT_NAME", Some("/app"));
    passes("SCRIPT_NAME", Some("//"));
    passes("PATH_INFO", Some(""));
}

#[test]
fn v33_v34_what_is_absent_is_told_of() {
    let without_path = [("SCRIPT_NAME", Some("/a")), ("PATH_INFO", None)];
    let (words, warnings) = environ(&without_path);
    assert_eq!((words, &*warnings), (None, &[WsgiWarning::EnvironKey("PATH_INFO")][..]));
    assert_eq!(warnings[0].to_string(), "Environment missing required key: 'PATH_INFO'");
    let (words, warnings) = environ(&[("SCRIPT_NAME", None)]);
    assert_eq!((words, &*warnings), (None, &[WsgiWarning::EnvironKey("SCRIPT_NAME")][..]));
}

#[test]
fn v35_a_length_is_plain_digits() {
    for length in ["", "0", "10", "007", "18446744073709551615"] {
        passes("CONTENT_LENGTH", Some(length));
    }
    for length in ["-1", "-0", "+5", " 5", "1_0", "1.5", "abc", "18446744073709551616"] {
        let words = format!("Invalid CONTENT_LENGTH: '{length}'");
        assert_eq!(refused("CONTENT_LENGTH", Some(length)), words);
    }
}

#[test]
fn v36_v37_one_of_the_paths_says_something() {
    let words = "One of SCRIPT_NAME or PATH_INFO are required (PATH_INFO should at least be '/' \
                 if SCRIPT_NAME is empty)";
    assert_eq!(refused("PATH_INFO", None), words);
    let neither = [("SCRIPT_NAME", None), ("PATH_INFO", None)];
    assert_eq!(environ(&neither).0.unwrap(), words);
    assert_eq!(
        refused("SCRIPT_NAME", Some("/")),
        "SCRIPT_NAME cannot be '/'; it should instead be '', and PATH_INFO should be '/'"
    );
}

#[test]
fn v39_v40_a_status_begins_with_a_code() {
    let status = |status| heads(status, &[PLAIN]).0;
    for (given, code) in [("20 OK", "20"), ("2000", "2000"), ("", ""), (" \t", ""), ("OK", "OK")] {
        let words = format!("Status codes must be three characters: '{code}'");
        assert_eq!(status(given), Some(words), "{given:?}");
    }
    for (given, code) in [("099 x", "99"), ("abc OK", "'abc'"), ("-10 x", "-10"), ("2.0", "'2.0'")]
    {
        let words = format!("Status code is invalid: {code}");
        assert_eq!(status(given), Some(words), "{given:?}");
    }
    for given in ["100 Continue", "200 OK", "999 x"] {
        assert_eq!(heads(given, &[PLAIN]), (None, Vec::new()), "{given:?}");
    }
}

#[test]
fn v41_one_space_follows_the_code() {
    for given in ["200", "200\tOK", " 200 OK"] {
        let (words, warnings) = heads(given, &[PLAIN]);
        assert_eq!(words, None);
        assert_eq!(warnings, [WsgiWarning::Status(given.into())], "{given:?}");
        let form = "should be a three-digit integer followed by a single space and a status \
                    explanation";
        assert!(warnings[0].to_string().ends_with(form));
        assert_eq!(warnings[0].side(), Side::Application);
    }
    assert_eq!(heads("200 ", &[PLAIN]), (None, Vec::new()));
}

#[test]
fn v43_a_field_is_not_named_status() {
    for name in ["Status", "sTATUS"] {
        assert_eq!(
            bad_field(name, "200 OK"),
            "The Status header cannot be used; it conflicts with CGI script, and HTTP status is \
             not given through headers (value: '200 OK')."
        );
    }
}

#[test]
fn v44_v45_v46_names_of_fields() {
    for name in ["a:b", "X\n", ":"] {
        let quoted = name.replace('\n', "\\n");
        let words = format!("Header names may not contain ':' or '\\n': '{quoted}'");
        assert_eq!(bad_field(name, "v"), words);
    }
    for name in ["", "a b", "a\rb", "caf\u{e9}", "(x)"] {
        assert!(bad_field(name, "v").starts_with("Bad header name: '"), "{name:?}");
    }
    for name in ["a-", "a_", "-", "X--"] {
        let words = format!("Names may not end in '-' or '_': '{name}'");
        assert_eq!(bad_field(name, "v"), words);
    }
    // RFC 9110's tokens, of which wsgiref knows only some.
    for name in ["x", "X-A_1", "a.b", "-a", "9", "it's"] {
        assert_eq!(field(name, "v"), (None, Vec::new()), "{name:?}");
    }
}

#[test]
fn v47_values_have_no_control_characters_but_tabs() {
    assert_eq!(bad_field("X", "a\0b"), "Bad header value: 'a\\x00b' (bad char: '\\x00')");
    assert_eq!(bad_field("X", "\t\r\n"), "Bad header value: '\\t\\r\\n' (bad char: '\\r')");
    for byte in (0..0x20).filter(|byte| *byte != b'\t') {
        bad_field("X", &char::from(byte).to_string());
    }
    assert_eq!(field("X", "caf\u{e9}").0, None);
}

#[test]
fn v48_v49_a_content_type_where_there_is_content_and_only_there() {
    let without = |status: &str| heads(status, &[("X", "it's")]).0;
    for status in ["200 OK", "100 Continue", "205 Reset Content", "302 Found"] {
        let words = "No Content-Type header found in headers ([('X', \"it's\")])";
        assert_eq!(without(status).as_deref(), Some(words), "{status}");
    }
    for code in ["204", "304"] {
        let status = format!("{code} x");
        assert_eq!(without(&status), None, "{status}");
        let words = format!(
            "Content-Type header found in a {code} response, which must not return content."
        );
        assert_eq!(heads(&status, &[("X", "y"), ("content-TYPE", "z")]).0, Some(words));
    }
}

#[test]
fn v52_a_violation_becomes_a_500_and_one_line_on_wsgi_errors() {
    let app = validator(app(|_, start_response| {
        start_response.call("200 OK", &[("a b", "v")])?;
        Ok("Hello\n".into())
    }));
    let mut slate = Slate::default();
    slate.vars = vars(&[]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let streams = Streams { stdin: &mut io::empty(), stdout: &mut out, stderr: &mut err };
    let _ = run(&Plain(Attributes::CGI), &app, &mut slate, streams).unwrap();
    assert!(out.starts_with(b"Status: 500 Internal Server Error\r\n"));
    let line = "the application is at fault: Bad header name: 'a b'\n";
    assert_eq!(String::from_utf8(err).unwrap(), line);
}

#[test]
fn v54_a_body_keeps_its_shape() {
    let shape = |body: fn() -> Body<'static>| {
        let app = app(move |_, start_response| {
            start_response.call("200 OK", &[PLAIN])?;
            Ok(body())
        });
        let (shape, _) = call(app, &[], WSGI, |answer, _| match answer.unwrap() {
            Body::Empty => "empty".to_owned(),
            Body::One(block) => format!("one of {}", block.len()),
            Body::Blocks(mut blocks) => {
                blocks.close().unwrap();
                format!("{:?} blocks", blocks.blocks())
            }
            Body::File(file) => format!("file by {}", file.blksize),
        });
        shape
    };
    assert_eq!(shape(|| Body::Empty), "empty");
    assert_eq!(shape(|| "three".into()), "one of 5");
    assert_eq!(
        shape(|| Body::Blocks(Box::new(Chunks { left: vec!["a", "b"], ..Chunks::default() }))),
        "Some(2) blocks"
    );
    assert_eq!(shape(|| FileWrapper::new(io::empty()).blksize(7).into()), "file by 7");
}

#[test]
fn v55_fields_that_handlers_or_clients_stumble_over_are_told_of() {
    let warned = |name: &str, value: &str| {
        let (words, warnings) = field(name, value);
        assert_eq!(words, None);
        warnings
    };
    assert_eq!(warned("Connection", "close"), [WsgiWarning::HopByHop("Connection".into())]);
    for value in ["a\tb", "a\x7fb"] {
        assert_eq!(warned("X", value), [WsgiWarning::HeaderValue(value.into())]);
    }
    assert_eq!(warned("content-type", "x"), [WsgiWarning::Repeated("content-type".into())]);
    let two = [PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Vary", "a"), ("Vary", "b")];
    assert_eq!(heads("200 OK", &two), (None, Vec::new()));
    let (words, warnings) = heads("200 a\0b", &[PLAIN]);
    assert_eq!((words, warnings), (None, vec![WsgiWarning::StatusControl("200 a\0b".into())]));
}

#[test]
fn v55_a_protocol_is_missed() {
    for value in [None, Some("")] {
        let (words, warnings) = environ(&[("SERVER_PROTOCOL", value)]);
        assert_eq!((words, &*warnings), (None, &[WsgiWarning::EnvironKey("SERVER_PROTOCOL")][..]));
    }
}

/// An answer of this status that says it has so many bytes.
fn sized(
    status: &'static str,
    length: &'static str,
    body: impl Fn() -> Body<'static> + Send + Sync,
) -> impl Application {
    app(move |_, start_response| {
        let plain = if status == "200 OK" { Some(PLAIN) } else { None };
        let headers: Vec<_> = plain.into_iter().chain([("Content-Length", length)]).collect();
        start_response.call(status, &headers)?;
        Ok(body())
    })
}

fn blocks(left: &[&'static str]) -> Body<'static> {
    Body::Blocks(Box::new(Chunks { left: left.to_vec(), ..Chunks::default() }))
}

#[test]
fn v55_a_body_is_as_long_as_its_length_says() {
    let folder = std::env::temp_dir().join(format!("cgigate-validate-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("file");
    fs::write(&path, "four").unwrap();
    let file = || File::open(&path).unwrap();
    let length =
        |declared: &str, sent| vec![WsgiWarning::ContentLength { declared: declared.into(), sent }];
    let told = |length, body: &(dyn Fn() -> Body<'static> + Send + Sync)| {
        let (whole, warnings) = call(sized("200 OK", length, body), &[], WSGI, read);
        whole.unwrap();
        warnings
    };
    let four = || FileWrapper::new(&b"four"[..]).into();
    assert_eq!(told("4", &|| "four".into()), []);
    assert_eq!(told("3", &|| "four".into()), length("3", 4));
    assert_eq!(told("5", &|| "four".into()), length("5", 4));
    assert_eq!(told("5", &|| Body::Empty), length("5", 0));
    assert_eq!(told("x", &|| "four".into()), length("x", 4));
    assert_eq!(told("4", &|| blocks(&["fo", "ur"])), []);
    assert_eq!(told("3", &|| blocks(&["fo", "ur", "!"])), length("3", 4), "once, and at once");
    assert_eq!(told("5", &|| blocks(&["fo", "ur"])), length("5", 4));
    assert_eq!(told("4", &|| FileWrapper::file(file(), None).into()), []);
    assert_eq!(told("2", &|| FileWrapper::file(file(), Some(2)).into()), []);
    assert_eq!(told("4", &|| FileWrapper::file(file(), Some(2)).into()), length("4", 2));
    assert_eq!(told("5", &|| FileWrapper::file(file(), Some(9)).into()), length("5", 4));
    assert_eq!(told("4", &four), []);
    assert_eq!(told("5", &four), length("5", 4));
    assert_eq!(told("3", &four), length("3", 4));
    fs::remove_dir_all(&folder).unwrap();

    let written = app(|_, start_response| {
        let mut write = start_response.call("200 OK", &[PLAIN, ("Content-Length", "4")])?;
        write.write_all(b"fo")?;
        Ok("ur".into())
    });
    assert_eq!(call(written, &[], WSGI, read).1, []);
    let written = app(|_, start_response| {
        let mut write = start_response.call("200 OK", &[PLAIN, ("Content-Length", "1")])?;
        write.write_all(b"fo")?;
        Ok(Body::Empty)
    });
    assert_eq!(call(written, &[], WSGI, read).1, length("1", 2));
}

#[test]
fn v55_some_answers_have_no_body_and_their_length_is_anothers() {
    for (status, method, what) in [
        ("200 OK", "HEAD", "HEAD"),
        ("204 No Content", "GET", "204"),
        ("304 Not Modified", "GET", "304"),
    ] {
        let method = [("REQUEST_METHOD", Some(method))];
        let (_, warnings) = call(sized(status, "9", || Body::Empty), &method, WSGI, read);
        assert_eq!(warnings, [], "{what}");
        for body in [|| "four".into(), || blocks(&["", "fo", "ur"])] {
            let (_, warnings) = call(sized(status, "9", body), &method, WSGI, read);
            assert_eq!(warnings, [WsgiWarning::Content(what)]);
        }
    }
}

#[test]
fn v55_a_file_needs_a_server_that_takes_files() {
    let file = || sized("200 OK", "0", || FileWrapper::new(io::empty()).into());
    let without = Wsgi { file_wrapper: false, ..WSGI };
    assert_eq!(call(file(), &[], without, read).1, [WsgiWarning::FileWrapper]);
    assert_eq!(call(file(), &[], WSGI, read).1, []);
}
