//! `finish_response`: the body, block by block, its length, and its end.

use super::{ANYHOW, HEAD, TEXT, Told, Wire, blocks, cgi, run_on, under};
use cgigate::{
    Application, Body, Environ, Exception, Response, StartResponse, Vars, app,
    handlers::{Attributes, Ending, Handler, Plain},
    headers::Headers,
    types::{Blocks, FileWrapper, Scheme},
};
use std::{
    fs::File,
    io::{ErrorKind, Write},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

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
