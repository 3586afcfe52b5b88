//! The validator as a whole, and the streams.

use super::server::{PLAIN, Server, WSGI, call, chunks, hello, read, refusal, vars};
use cgigate::{
    Application, Environ, app,
    handlers::{Attributes, Plain, Slate, Streams, run},
    types::{ErrorStream, InputStream, Request},
    validate::{WsgiWarning, validator},
};
use std::io::{self, BufRead, Read, Write};

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
    let never = app(|_, _| panic!("the application ran"));
    let (result, _) = call(never, &[("SERVER_NAME", None)], WSGI, read);
    assert!(refusal(result).is_some());
    let ((), warnings) = call(hello(), &[("QUERY_STRING", None)], WSGI, |answer, server| {
        read(answer, server).unwrap();
        assert_eq!(*server.log.lock().unwrap(), ["start 200 OK Content-Type"]);
    });
    assert_eq!(warnings, [WsgiWarning::QueryString]);
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
