//! `handle_error` and `log_exception`: failures of the application, of its client, and of the page.

use super::{ANYHOW, HEAD, PAGE, TEXT, Wire, blocks, cgi, run_on};
use cgigate::{
    Body, Exception, Vars, app,
    handlers::{Attributes, BaseCgiHandler, Ending, Plain},
    types::Blocks,
};
use std::{
    fmt,
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

/// Panics wherever it is told to.
#[derive(Debug)]
struct Panics {
    when_shown: bool,
    when_dropped: bool,
}

impl fmt::Display for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.when_shown, "when shown");
        f.write_str("an error")
    }
}

impl std::error::Error for Panics {}

impl Drop for Panics {
    fn drop(&mut self) {
        assert!(!self.when_dropped, "when dropped");
    }
}

#[test]
fn an_error_that_panics_when_it_is_shown_or_dropped_is_answered_like_any_other() {
    for (when_shown, when_dropped, said) in
        [(true, false, ": when shown"), (false, true, ": when dropped"), (true, true, ": when ")]
    {
        let error = move || Panics { when_shown, when_dropped };
        let done = cgi(&app(move |_, _| Err(error().into())));
        assert_eq!((done.text().as_str(), done.ending()), (PAGE, Ending::Whole), "{said}");
        assert!(done.log.contains(said), "{said}: {}", done.log);

        let done = cgi(&app(move |_, start_response| {
            start_response.call("200 OK", &TEXT)?.write_all(b"a")?;
            Err(error().into())
        }));
        assert_eq!(done.text(), format!("{HEAD}\r\na"));
        assert_eq!(done.ending(), Ending::Cut { length_known: false });
        assert!(done.log.contains(said), "{said}: {}", done.log);
    }
}

#[test]
fn an_error_that_is_among_its_own_causes_is_logged_and_no_more() {
    #[derive(Debug)]
    struct Snake;
    impl fmt::Display for Snake {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a tail")
        }
    }
    impl std::error::Error for Snake {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(self)
        }
    }
    let done = cgi(&app(|_, _| Err(Snake.into())));
    assert_eq!((done.text().as_str(), done.log.as_str()), (PAGE, "a tail\n"));
}

/// All bytes are with the client by then, whether or not it was told how many they are.
#[test]
fn a_panic_behind_the_last_block_is_logged_and_the_response_is_whole() {
    struct Late {
        left: usize,
        in_close: bool,
    }
    impl Blocks for Late {
        fn next_block(&mut self) -> Result<Option<&[u8]>, Exception> {
            self.left = self.left.wrapping_sub(1);
            Ok((self.left < 2).then_some(b"a"))
        }
        fn close(&mut self) -> Result<(), Exception> {
            assert!(!self.in_close, "in close");
            Ok(())
        }
    }
    impl Drop for Late {
        fn drop(&mut self) {
            assert!(self.in_close, "in drop");
        }
    }
    for (in_close, said) in [(true, ": in close\n"), (false, ": in drop\n")] {
        let done = cgi(&app(move |_, start_response| {
            start_response.call("200 OK", &TEXT)?;
            Ok(Body::Blocks(Box::new(Late { left: 2, in_close })))
        }));
        assert_eq!((done.text(), done.ending()), (format!("{HEAD}\r\naa"), Ending::Whole));
        assert!(done.log.contains(said), "{}", done.log);
    }
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
