//! `start_response` and `write`: what is refused, what is replaced, and in which order.

use super::{HEAD, PAGE, TEXT, cgi};
use cgigate::{Body, app, handlers::Ending, types::FileWrapper};
use std::io::Write;

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
    assert_eq!(words("X Y", "a").unwrap(), "Bad header name: 'X Y'");
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
