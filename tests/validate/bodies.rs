//! What the application returns, and how the server reads it.

use super::server::{Chunks, PLAIN, WSGI, call, chunks, read, refusal};
use cgigate::{
    Body, Exception, app,
    types::{FileWrapper, Side},
    validate::WsgiWarning,
};
use std::io;

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
