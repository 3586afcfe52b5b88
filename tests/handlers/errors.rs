//! `handle_error` and `log_exception`: failures of the application, of its client, and of the page.

use super::{ANYHOW, HEAD, PAGE, TEXT, Wire, blocks, cgi, run_on};
use cgigate::{
    Body, Exception, Vars, app,
    handlers::{Attributes, BaseCgiHandler, Ending, Plain},
    types::Blocks,
};
use std::{
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

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
        assert!(done.log.starts_with("the application panicked at tests/handlers/errors.rs:"));
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

/// The hook that keeps panics for the log kept this one from everybody.
#[test]
fn a_panic_that_the_application_caught_is_logged_and_changes_nothing() {
    let catches = app(|_, start_response| {
        let caught = std::panic::catch_unwind(|| panic!("in a corner"));
        start_response.call("200 OK", &TEXT)?;
        Ok(format!("{}", caught.is_err()).into())
    });
    let done = cgi(&catches);
    assert_eq!(done.text(), format!("{HEAD}Content-Length: 4\r\n\r\ntrue"));
    assert!(done.log.lines().next().unwrap().ends_with(": in a corner"), "{}", done.log);
    assert_eq!(cgi(&app(|_, _| Err("oh".into()))).log, "oh\n");
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
