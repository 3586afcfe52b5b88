//! `wsgiref.handlers` through the public face: what the handler promises the application, and what
//! it sends, write by write. The whole responses of well over three hundred applications are in
//! `tests/vectors.rs`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use cgigate::{
    Application, Body, Environ, Exception, Response, StartResponse, Vars, app,
    handlers::{
        Attributes, BaseCgiHandler, Ending, Handler, Outcome, Output, Plain, SimpleHandler, Slate,
        Streams, run,
    },
    headers::Headers,
    types::{Blocks, FileWrapper, Scheme},
};
use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// A stdout that keeps each write by itself, and may fail.
#[derive(Default)]
struct Wire {
    writes: Vec<Vec<u8>>,
    flushes: usize,
    fails: Option<ErrorKind>,
    takes_files: bool,
}

impl Wire {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.writes.concat()).into_owned()
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[io::IoSlice::new(data)])
    }

    fn write_vectored(&mut self, data: &[io::IoSlice<'_>]) -> io::Result<usize> {
        if let Some(kind) = self.fails {
            return Err(kind.into());
        }
        let all: Vec<u8> = data.iter().flat_map(|slice| slice.to_vec()).collect();
        let n = all.len();
        self.writes.push(all);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        Ok(())
    }
}

impl Output for Wire {
    fn sendfile(&mut self, _: &File, from: u64, len: u64) -> io::Result<Option<u64>> {
        if !self.takes_files {
            return Ok(None);
        }
        self.writes.push(format!("<{len} bytes from {from}>").into_bytes());
        Ok(Some(len))
    }
}

struct Done {
    wire: Wire,
    log: String,
    outcome: Result<Outcome, Exception>,
}

impl Done {
    fn text(&self) -> String {
        self.wire.text()
    }

    fn ending(&self) -> Ending {
        self.outcome.as_ref().unwrap().ending
    }
}

fn run_on(handler: &dyn Handler, mut wire: Wire, vars: Vars, app: &dyn Application) -> Done {
    let mut slate = Slate::default();
    slate.vars = vars;
    let mut log = Vec::new();
    let streams = Streams { stdin: &mut &b""[..], stdout: &mut wire, stderr: &mut log };
    let outcome = run(handler, app, &mut slate, streams);
    Done { wire, log: String::from_utf8(log).unwrap(), outcome }
}

fn cgi(app: &dyn Application) -> Done {
    run_on(&Plain(Attributes::CGI), Wire::default(), Vars::default(), app)
}

fn under(method: &str, app: &dyn Application) -> Done {
    let vars = [("REQUEST_METHOD", method)].into_iter().collect();
    run_on(&Plain(Attributes::CGI), Wire::default(), vars, app)
}

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];
const HEAD: &str = "Status: 200 OK\r\nContent-Type: text/plain\r\n";
const PAGE: &str = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\
    Content-Length: 59\r\n\r\nA server error occurred.  Please contact the administrator.";

/// A body that does as it is told, and counts how often it was closed.
struct Told<'r> {
    blocks: Vec<Result<&'static str, &'static str>>,
    sized: bool,
    closing: Result<(), &'static str>,
    closed: &'r AtomicUsize,
    at: usize,
}

fn told<'r>(
    closed: &'r AtomicUsize,
    blocks: &[Result<&'static str, &'static str>],
) -> Box<Told<'r>> {
    Box::new(Told { blocks: blocks.to_vec(), sized: false, closing: Ok(()), closed, at: 0 })
}

impl Blocks for Told<'_> {
    fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
        let block = self.blocks.get(self.at).copied().transpose()?;
        self.at += 1;
        Ok(block.map(str::as_bytes))
    }

    fn blocks(&self) -> Option<usize> {
        self.sized.then_some(self.blocks.len())
    }

    fn close(&mut self) -> Result<(), Exception> {
        self.closed.fetch_add(1, Relaxed);
        Ok(self.closing?)
    }
}

/// An application that sends these blocks after this status and these fields.
fn blocks<'a>(
    status: &'static str,
    headers: &'a [(&'static str, &'static str)],
    blocks: &'a [Result<&'static str, &'static str>],
    closed: &'a AtomicUsize,
) -> impl Application + 'a {
    struct Sends<'a> {
        status: &'static str,
        headers: &'a [(&'static str, &'static str)],
        blocks: &'a [Result<&'static str, &'static str>],
        closed: &'a AtomicUsize,
    }
    impl Application for Sends<'_> {
        fn call<'r>(&'r self, _: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
            start.call(self.status, self.headers)?;
            Ok(Body::Blocks(told(self.closed, self.blocks)))
        }
    }
    Sends { status, headers, blocks, closed }
}

static ANYHOW: AtomicUsize = AtomicUsize::new(0);

// setup_environ

#[test]
fn the_class_bodies_are_those_of_wsgiref() {
    let base = Attributes::BASE;
    assert!(base.wsgi_multithread && base.wsgi_multiprocess && !base.wsgi_run_once);
    assert!(base.origin_server && base.wsgi_file_wrapper);
    assert_eq!(
        (&*base.http_version, base.server_software, base.traceback_limit),
        ("1.0", None, None)
    );
    assert_eq!(base.error_status, "500 Internal Server Error");
    assert_eq!(*base.error_headers, [("Content-Type".into(), "text/plain".into())]);
    let body = "A server error occurred.  Please contact the administrator.";
    assert_eq!(base.error_body, body.as_bytes());

    let cgi = Attributes::CGI;
    assert!(!cgi.wsgi_multithread && cgi.wsgi_multiprocess && cgi.wsgi_run_once);
    assert!(!cgi.origin_server);

    let simple = SimpleHandler::new(&b""[..], vec![], vec![], Vars::default());
    assert!(simple.attributes.wsgi_multithread && !simple.attributes.wsgi_multiprocess);
    assert!(simple.attributes.origin_server && simple.os_environ.is_empty());
    let base_cgi = BaseCgiHandler::new(&b""[..], vec![], vec![], Vars::default());
    assert!(!base_cgi.attributes.origin_server && !base_cgi.attributes.wsgi_multiprocess);
}

/// What an application sees: the variables, sorted, and the scheme.
fn seen(environ: &Environ<'_>) -> String {
    let mut vars: Vec<_> = environ.vars.iter().map(|(n, v)| [n, b"=", v].concat()).collect();
    vars.sort();
    format!("{} {}", String::from_utf8(vars.join(&b' ')).unwrap(), environ.wsgi.url_scheme)
}

#[test]
fn the_environ_is_laid_over_os_environ_and_the_handlers_variables_over_both() {
    struct Adds(Attributes);
    impl Handler for Adds {
        fn attributes(&self) -> &Attributes {
            &self.0
        }
        fn add_cgi_vars(&self, vars: &mut Vars) {
            vars.set("C", "handler");
            vars.set("HTTPS", "on"); // get_scheme sees it
        }
    }
    let show = app(|environ, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok(seen(&environ).into())
    });
    let vars = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Vars>();
    let mut out = Vec::new();
    let environ = vars(&[("B", "request"), ("C", "request"), ("wsgi.url_scheme", "gopher")]);
    let mut handler = BaseCgiHandler::new(&b""[..], &mut out, vec![], environ);
    handler.os_environ = vars(&[("A", "system"), ("B", "system"), ("wsgi.own", "x")]);
    let software = Attributes { server_software: Some("mine/1".into()), ..Attributes::BASE };
    let _ = handler.run_as(&Adds(software), &show).unwrap();
    let out = String::from_utf8(out).unwrap();
    let want = "A=system B=request C=handler HTTPS=on SERVER_SOFTWARE=mine/1 wsgi.own=x https";
    assert!(out.ends_with(&format!("\r\n\r\n{want}")), "{out}");
}

#[test]
fn server_software_is_an_origin_servers_and_only_where_there_is_none() {
    let show = app(|environ, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok(environ.vars.native("SERVER_SOFTWARE").unwrap_or("none".into()).into_owned().into())
    });
    for (origin_server, given, want) in
        [(true, None, "mine"), (true, Some("theirs"), "theirs"), (false, None, "none")]
    {
        let software = Some("mine".into());
        let at = Attributes { origin_server, server_software: software, ..Attributes::BASE };
        let vars = given.map(|given| ("SERVER_SOFTWARE", given)).into_iter().collect();
        let done = run_on(&Plain(at), Wire::default(), vars, &show);
        assert!(done.text().ends_with(&format!("\r\n\r\n{want}")), "{}", done.text());
    }
}

// start_response

/// The log of an application that calls `start_response` with these.
fn refused(status: &[u8], name: &[u8], value: &[u8]) -> Option<String> {
    let (status, name, value) = (status.to_vec(), name.to_vec(), value.to_vec());
    let done = cgi(&app(move |_, start_response| {
        start_response.call(&status, &[(&name, &value)])?;
        Ok(Body::Empty)
    }));
    match done.log.as_str() {
        "" => None,
        log => {
            assert_eq!(done.text(), PAGE, "{log}");
            Some(log.trim_end().to_owned())
        }
    }
}

#[test]
fn a_status_is_three_ascii_digits_a_space_and_no_control_character() {
    for (status, words) in [
        (&b"200 OK"[..], None),
        (b"200 ", None),
        (b"999 x", None),
        (b"200 caf\xe9", None),
        (b"", Some("Status must be at least 4 characters")),
        (b"200", Some("Status must be at least 4 characters")),
        (b"2x0 OK", Some("Status message must begin w/3-digit code")),
        (b"\xb2\xb2\xb2 OK", Some("Status message must begin w/3-digit code")),
        (b"200OK", Some("Status message must have a space after code")),
        (b"100 Continue", Some("Status 100 is interim and cannot end a request")),
        (b"199 x", Some("Status 199 is interim and cannot end a request")),
    ] {
        assert_eq!(refused(status, b"X", b"y").as_deref(), words, "{status:?}");
    }
    for control in (0..0x20).chain([0x7f]) {
        let words = refused(&[b"200 O".as_slice(), &[control]].concat(), b"X", b"y");
        assert_eq!(words.unwrap(), "Control characters are not allowed in status", "{control}");
    }
}

#[test]
fn header_fields_are_checked_and_those_of_one_connection_refused() {
    let words = |name: &str, value: &str| refused(b"200 OK", name.as_bytes(), value.as_bytes());
    assert_eq!(words("X-A", "a\tb"), None);
    assert_eq!(words("X", "a\nb").unwrap(), "Control characters not allowed in headers");
    assert_eq!(words("X\0", "a").unwrap(), "Control characters not allowed in headers");
    assert_eq!(words("X Y", "a").unwrap(), "Bad header name: \"X Y\"");
    for name in ["Connection", "TE", "trailers", "Trailer", "Proxy-Connection", "UPGRADE"] {
        let want = format!("Hop-by-hop header, '{name}: close', not allowed");
        assert_eq!(words(name, "close").unwrap(), want);
    }
}

#[test]
fn a_second_call_needs_exc_info_and_replaces_only_what_was_not_sent() {
    let done = cgi(&app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        start_response.call("404 Not Found", &TEXT)?;
        Ok("x".into())
    }));
    assert_eq!((done.text().as_str(), done.log.as_str()), (PAGE, "Headers already set!\n"));

    let done = cgi(&app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        start_response.call_exc("404 Not Found", &[("X", "y")], Some("oh".into()))?;
        Ok("x".into())
    }));
    assert_eq!(done.text(), "Status: 404 Not Found\r\nX: y\r\nContent-Length: 1\r\n\r\nx");

    let done = cgi(&app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?.write_all(b"sent")?;
        start_response.call_exc("404 Not Found", &[("X", "y")], Some("oh".into()))?;
        Ok("x".into())
    }));
    assert_eq!(done.text(), format!("{HEAD}\r\nsent"));
    assert_eq!((done.log.as_str(), done.ending()), ("oh\n", Ending::Cut { length_known: false }));
}

#[test]
fn what_was_refused_is_not_kept() {
    // Neither at first …
    let done = cgi(&app(|_, start_response| {
        let _ = start_response.call("nonsense", &TEXT).err();
        let _ = start_response.call("200 OK", &[("TE", "x")]).err();
        start_response.call("200 OK", &TEXT)?;
        Ok("x".into())
    }));
    assert_eq!(done.text(), format!("{HEAD}Content-Length: 1\r\n\r\nx"));
    // … nor where it would have replaced something.
    let done = cgi(&app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        let bad = [("X", "y"), ("Connection", "close")];
        assert!(start_response.call_exc("404 Not Found", &bad, Some("oh".into())).is_err());
        assert!(start_response.call_exc("1", &TEXT, Some("oh".into())).is_err());
        Ok("x".into())
    }));
    assert_eq!(done.text(), format!("{HEAD}Content-Length: 1\r\n\r\nx"));
}

#[test]
fn a_response_that_was_never_started_is_one_error_for_every_shape() {
    let shapes: [fn() -> Body<'static>; 4] = [
        || Body::Empty,
        || "x".into(),
        || Body::from_iter(std::iter::empty()),
        || FileWrapper::new(&b"x"[..]).into(),
    ];
    for shape in shapes {
        let done = cgi(&app(move |_, _| Ok(shape())));
        let want = (PAGE, "write() before start_response()\n");
        assert_eq!((done.text().as_str(), done.log.as_str()), want);
    }
    let done = cgi(&app(|_, start_response| {
        start_response.write(b"x")?;
        Ok(Body::Empty)
    }));
    assert_eq!(done.log, "write() before start_response()\n");
}

// finish_response

#[test]
fn an_application_is_called_then_its_body_asked_then_closed() {
    struct Events<'e>(&'e Mutex<Vec<&'static str>>);
    impl Events<'_> {
        fn note(&self, what: &'static str) {
            self.0.lock().unwrap().push(what);
        }
    }
    impl Handler for Events<'_> {
        fn attributes(&self) -> &Attributes {
            &Attributes::CGI
        }
        fn add_cgi_vars(&self, _: &mut Vars) {
            self.note("add_cgi_vars");
        }
        fn get_scheme(&self, _: &Vars) -> Scheme {
            self.note("get_scheme");
            Scheme::Http
        }
        fn cleanup_headers(&self, _: &mut Headers) {
            self.note("cleanup_headers");
        }
    }
    impl Application for Events<'_> {
        fn call<'r>(&'r self, _: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
            self.note("call");
            start.call("200 OK", &TEXT)?;
            Ok(Body::Blocks(Box::new(Events(self.0))))
        }
    }
    impl Blocks for Events<'_> {
        fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
            self.note("next_block");
            let asked = self.0.lock().unwrap().iter().filter(|what| **what == "next_block").count();
            Ok((asked == 1).then_some(b"x"))
        }
        fn close(&mut self) -> Result<(), Exception> {
            self.note("close");
            Ok(())
        }
    }
    let events = Mutex::default();
    let told = Events(&events);
    let done = run_on(&told, Wire::default(), Vars::default(), &told);
    assert_eq!(done.ending(), Ending::Whole);
    let want = ["add_cgi_vars", "get_scheme", "call", "next_block", "cleanup_headers"];
    let want = [&want[..], &["next_block", "close"]].concat();
    assert_eq!(*events.lock().unwrap(), want);
}

#[test]
fn a_length_is_made_for_one_block_and_for_none() {
    let length = |shape: fn() -> Body<'static>| {
        let done = cgi(&app(move |_, start_response| {
            start_response.call("200 OK", &TEXT)?;
            Ok(shape())
        }));
        let text = done.text();
        let length = text.split_once("Content-Length: ").map(|(_, rest)| rest.to_owned());
        length.map(|rest| rest.split_once("\r\n").unwrap().0.to_owned())
    };
    assert_eq!(length(|| Body::Empty).as_deref(), Some("0"));
    assert_eq!(length(|| "hello".into()).as_deref(), Some("5"));
    assert_eq!(length(|| "".into()).as_deref(), Some("0"));
    assert_eq!(length(|| Body::from_iter(std::iter::empty())).as_deref(), Some("0"));
    assert_eq!(length(|| Body::from_iter([Ok(b"x".to_vec())].into_iter())), None);
    assert_eq!(length(|| FileWrapper::new(&b"x"[..]).into()), None);
    assert_eq!(length(|| sized_blocks(1)).as_deref(), Some("2"));
    assert_eq!(length(|| sized_blocks(2)), None);
}

fn sized_blocks(n: usize) -> Body<'static> {
    let blocks = vec![Ok("ab"); n];
    let told = Told { blocks, sized: true, closing: Ok(()), closed: &ANYHOW, at: 0 };
    Body::Blocks(Box::new(told))
}

#[test]
fn head_and_first_block_are_one_write_and_each_block_is_flushed_before_the_next() {
    let many = [Ok("a"), Ok(""), Ok("b")];
    let done = cgi(&blocks("200 OK", &TEXT, &many, &ANYHOW));
    let head = format!("{HEAD}\r\na").into_bytes();
    assert_eq!(done.wire.writes, [head, b"b".to_vec()]);
    assert_eq!(done.wire.flushes, 3 + 1); // and once at the end

    // An empty first block sends the head all the same.
    let done = cgi(&blocks("200 OK", &TEXT, &[Ok(""), Err("oh")], &ANYHOW));
    assert_eq!((done.text(), done.log.as_str()), (format!("{HEAD}\r\n"), "oh\n"));
}

#[test]
fn what_write_sends_comes_first_and_makes_no_length() {
    let done = cgi(&app(|_, start_response| {
        let mut write = start_response.call("200 OK", &TEXT)?;
        write.write_all(b"one ")?;
        write.write_all(b"two ")?;
        Ok("three".into())
    }));
    assert_eq!(done.text(), format!("{HEAD}\r\none two three"));
    assert_eq!(done.outcome.unwrap().bytes_sent, 13);
}

#[test]
fn a_body_may_start_the_response_as_late_as_before_its_first_block() {
    struct Late(&'static [u8], bool);
    impl Blocks for Late {
        fn begin(&mut self, start_response: &mut dyn StartResponse) -> Result<(), Exception> {
            let mut write = start_response.call("200 OK", &TEXT)?;
            if self.1 {
                write.write_all(b"early ")?;
            }
            Ok(())
        }
        fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
            let block = std::mem::take(&mut self.0);
            Ok((!block.is_empty()).then_some(block))
        }
        fn blocks(&self) -> Option<usize> {
            Some(1)
        }
    }
    let late = |writes| cgi(&app(move |_, _| Ok(Body::Blocks(Box::new(Late(b"late", writes))))));
    assert_eq!(late(false).text(), format!("{HEAD}Content-Length: 4\r\n\r\nlate"));
    // wsgiref makes a length of what write() sent, and the block is beyond it.
    assert_eq!(late(true).text(), format!("{HEAD}\r\nearly late"));
}

#[test]
fn a_body_is_closed_once_whatever_happens() {
    for blocks_made in [&[Ok("a"), Ok("b")][..], &[], &[Err("oh")], &[Ok("a"), Err("oh")]] {
        let closed = AtomicUsize::new(0);
        let done = cgi(&blocks("200 OK", &TEXT, blocks_made, &closed));
        assert_eq!(closed.load(Relaxed), 1, "{blocks_made:?}");
        assert_eq!(done.log.is_empty(), blocks_made.iter().all(Result::is_ok));
    }
    let closed = AtomicUsize::new(0);
    let wire = Wire { fails: Some(ErrorKind::BrokenPipe), ..Wire::default() };
    let gone = blocks("200 OK", &TEXT, &[Ok("a")], &closed);
    let done = run_on(&Plain(Attributes::CGI), wire, Vars::default(), &gone);
    assert_eq!((closed.load(Relaxed), done.ending()), (1, Ending::Departed));
    assert_eq!(done.log, "");
}

#[test]
fn an_error_of_close_is_logged_and_adds_nothing_to_the_response() {
    for (block, length) in [(None, "Content-Length: 0\r\n"), (Some(Ok("x")), "")] {
        let done = cgi(&app(move |_, start_response| {
            start_response.call("200 OK", &TEXT)?;
            let blocks = block.into_iter().collect();
            let closing = Err("cannot close");
            Ok(Body::Blocks(Box::new(Told {
                blocks,
                sized: false,
                closing,
                closed: &ANYHOW,
                at: 0,
            })))
        }));
        let body = if block.is_some() { "x" } else { "" };
        assert_eq!(done.text(), format!("{HEAD}{length}\r\n{body}"));
        assert_eq!((done.log.as_str(), done.ending()), ("cannot close\n", Ending::Whole));
    }
}

#[test]
fn a_declared_length_is_kept_to() {
    let sent = |length, made: &[Result<&'static str, &'static str>]| {
        let headers = [("Content-Length", length)];
        cgi(&blocks("200 OK", &headers, made, &ANYHOW))
    };
    let head = |length| format!("Status: 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let long = sent("3", &[Ok("ab"), Ok("cd"), Err("never asked for")]);
    assert_eq!((long.text(), long.ending()), (head("3") + "abc", Ending::Whole));
    let words = "the response was longer than its Content-Length of 3, and was cut\n";
    assert_eq!(long.log, words);

    let short = sent("9", &[Ok("ab")]);
    assert_eq!(short.text(), head("9") + "ab");
    assert_eq!(short.ending(), Ending::Cut { length_known: true });
    assert_eq!(short.log, "the response has 2 bytes, and its Content-Length said 9\n");
}

#[test]
fn responses_without_content_send_none_and_204_has_no_length() {
    let closed = AtomicUsize::new(0);
    let given = [("Content-Length", "1")];
    for (method, status, headers, want) in [
        ("HEAD", "200 OK", &[][..], ""),
        ("HEAD", "200 OK", &given, "Content-Length: 1\r\n"),
        ("GET", "204 No Content", &[], ""),
        ("GET", "204 No Content", &given, ""),
        ("GET", "304 Not Modified", &[], ""),
        ("GET", "304 Not Modified", &given, "Content-Length: 1\r\n"),
    ] {
        let done = under(method, &blocks(status, headers, &[Ok("x")], &closed));
        assert_eq!(done.text(), format!("Status: {status}\r\n{want}\r\n"), "{method} {status}");
        assert_eq!((done.log.as_str(), done.outcome.unwrap().bytes_sent), ("", 0));
    }
    assert_eq!(closed.load(Relaxed), 6);
    let done = under("GET", &blocks("204 No Content", &[], &[], &closed));
    assert_eq!(done.text(), "Status: 204 No Content\r\n\r\n");
}

#[test]
fn a_file_goes_to_sendfile_where_there_is_one_and_is_read_elsewhere() {
    let path = std::env::temp_dir().join(format!("cgigate-handlers-{}", std::process::id()));
    std::fs::write(&path, "0123456789").unwrap();
    let app = app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok(FileWrapper::file(File::open(&path)?, Some(4)).into())
    });
    for (takes_files, wsgi_file_wrapper, want) in
        [(true, true, "<4 bytes from 0>"), (false, true, "0123"), (true, false, "0123")]
    {
        let handler = Plain(Attributes { wsgi_file_wrapper, ..Attributes::CGI });
        let wire = Wire { takes_files, ..Wire::default() };
        let done = run_on(&handler, wire, Vars::default(), &app);
        assert_eq!(done.text(), format!("{HEAD}\r\n{want}"));
        assert_eq!(done.outcome.unwrap().bytes_sent, 4);
    }
    std::fs::remove_file(&path).unwrap();
}

// send_headers

#[test]
fn an_origin_server_has_a_status_line_and_a_date_and_ancient_clients_get_the_body_alone() {
    let dated = [("Date", "today"), ("Server", "theirs")];
    let own = app(move |_, start_response| {
        start_response.call("200 OK", &dated)?;
        Ok("x".into())
    });
    let plain = app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok("x".into())
    });
    let software = Some("mine".into());
    let at =
        Attributes { server_software: software, http_version: "1.1".into(), ..Attributes::BASE };
    let origin = |protocol: Option<&str>, app: &dyn Application| {
        let vars = protocol.map(|protocol| ("SERVER_PROTOCOL", protocol)).into_iter().collect();
        run_on(&Plain(at.clone()), Wire::default(), vars, app).text()
    };
    let text = origin(Some("HTTP/1.1"), &plain);
    let (status, rest) = text.split_once("Date: ").unwrap();
    let (date, rest) = rest.split_once("\r\n").unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    assert_eq!(rest, "Server: mine\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx");

    let want = "HTTP/1.1 200 OK\r\nDate: today\r\nServer: theirs\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(origin(None, &own), want); // wsgiref sends nothing at all
    assert_eq!(origin(Some(""), &own), want);
    assert_eq!(origin(Some("http/0.9"), &own), "x");
    // Gateways leave that to the server in front.
    let vars = [("SERVER_PROTOCOL", "HTTP/0.9")].into_iter().collect();
    let done = run_on(&Plain(Attributes::CGI), Wire::default(), vars, &plain);
    assert_eq!(done.text(), format!("{HEAD}Content-Length: 1\r\n\r\nx"));
}

#[test]
fn a_handler_has_the_last_word_on_the_fields_but_breaks_no_rule_either() {
    struct Cleans(Attributes);
    impl Handler for Cleans {
        fn attributes(&self) -> &Attributes {
            &self.0
        }
        fn cleanup_headers(&self, headers: &mut Headers) {
            assert!(headers.set("X", "a\nb").is_err());
            headers.set("X", "cleaned").unwrap();
        }
    }
    let plain = app(|_, start_response| {
        start_response.call("200 OK", &[("X", "y")])?;
        Ok("x".into())
    });
    let done = run_on(&Cleans(Attributes::CGI), Wire::default(), Vars::default(), &plain);
    assert_eq!(done.text(), "Status: 200 OK\r\nX: cleaned\r\nContent-Length: 1\r\n\r\nx");
}

// errors

#[test]
fn an_error_before_the_head_is_the_500_page_and_one_after_it_cuts_the_response() {
    let done = cgi(&app(|_, _| Err("secret".into())));
    assert_eq!((done.text().as_str(), done.log.as_str()), (PAGE, "secret\n"));
    assert_eq!((done.ending(), done.outcome.unwrap().status), (Ending::Whole, 500));

    let done = cgi(&blocks("200 OK", &TEXT, &[Ok("a"), Err("secret")], &ANYHOW));
    assert_eq!((done.text(), done.log.as_str()), (format!("{HEAD}\r\na"), "secret\n"));
    assert_eq!(done.ending(), Ending::Cut { length_known: false });
}

#[test]
fn a_panic_is_an_error_like_any_other_and_its_backtrace_has_a_limit() {
    let panics = app(|_, _| panic!("oh no"));
    let lines = |traceback_limit| {
        let handler = Plain(Attributes { traceback_limit, ..Attributes::CGI });
        let done = run_on(&handler, Wire::default(), Vars::default(), &panics);
        assert_eq!(done.text(), PAGE);
        assert!(done.log.starts_with("the application panicked at tests/handlers.rs:"));
        assert!(done.log.lines().next().unwrap().ends_with(": oh no"), "{}", done.log);
        done.log.lines().count()
    };
    assert_eq!(lines(Some(0)), 1);
    assert!(lines(Some(2)) <= 1 + 2 * 2 && lines(Some(2)) < lines(None));

    struct Panics;
    impl Blocks for Panics {
        fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
            panic!("while iterating");
        }
    }
    let done = cgi(&app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?.write_all(b"a")?;
        Ok(Body::Blocks(Box::new(Panics)))
    }));
    assert_eq!(done.text(), format!("{HEAD}\r\na"));
    assert_eq!(done.ending(), Ending::Cut { length_known: false });
}

#[test]
fn only_our_own_writer_tells_that_the_client_has_gone() {
    for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted] {
        let hello = app(|_, start_response| {
            start_response.call("200 OK", &TEXT)?;
            Ok("x".into())
        });
        let wire = Wire { fails: Some(kind), ..Wire::default() };
        let done = run_on(&Plain(Attributes::CGI), wire, Vars::default(), &hello);
        assert_eq!((done.ending(), done.log.as_str()), (Ending::Departed, ""));

        let theirs = cgi(&app(move |_, _| Err(io::Error::from(kind).into())));
        assert_eq!(theirs.text(), PAGE);
        assert_eq!(theirs.log, format!("{}\n", io::Error::from(kind)));
    }
}

#[test]
fn the_log_has_the_causes_and_no_control_characters() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot greet {0}")]
    struct Greet(&'static str, #[source] io::Error);
    let done = cgi(&app(|_, _| Err(Greet("ann\nbob", io::Error::other("out of words")).into())));
    assert_eq!(done.log, "cannot greet ann\\nbob\ncaused by: out of words\n");
}

#[test]
fn an_error_page_that_fails_is_the_callers_error() {
    let at = Attributes { error_status: "bad".into(), ..Attributes::CGI };
    let done = run_on(&Plain(at), Wire::default(), Vars::default(), &app(|_, _| Err("oh".into())));
    assert_eq!((done.text().as_str(), done.log.as_str()), ("", "oh\n"));
    let words = "Status must be at least 4 characters";
    assert_eq!(done.outcome.unwrap_err().to_string(), words);
}

#[test]
fn a_handler_runs_again_as_if_it_never_had() {
    let calls = AtomicUsize::new(0);
    let sometimes = app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        match calls.fetch_add(1, Relaxed) {
            1 => Err("the second time".into()),
            _ => Ok("x".into()),
        }
    });
    let mut out = Vec::new();
    let mut handler = BaseCgiHandler::new(&b""[..], &mut out, vec![], Vars::default());
    let statuses: Vec<_> = (0..3).map(|_| handler.run(&sometimes).unwrap().status).collect();
    assert_eq!(statuses, [200, 500, 200]);
    let whole = format!("{HEAD}Content-Length: 1\r\n\r\nx");
    assert_eq!(String::from_utf8(out).unwrap(), format!("{whole}{PAGE}{whole}"));
}

#[test]
fn a_writer_that_takes_little_gets_all() {
    struct Little(Vec<u8>);
    impl Write for Little {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let n = data.len().min(2);
            self.0.extend_from_slice(&data[..n]);
            Ok(n)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let hello = blocks("200 OK", &TEXT, &[Ok("hello "), Ok("world")], &ANYHOW);
    let mut little = Little(Vec::new());
    let mut handler = BaseCgiHandler::new(&b""[..], &mut little, vec![], Vars::default());
    let _ = handler.run(&hello).unwrap();
    assert_eq!(String::from_utf8(little.0).unwrap(), format!("{HEAD}\r\nhello world"));
}
