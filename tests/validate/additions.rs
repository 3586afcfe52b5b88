//! What wsgiref does not look at, and the port warns of (row V55).

use super::server::{Chunks, PLAIN, WSGI, call, field, heads, hello, read};
use cgigate::{
    Application, Body, app,
    types::{FileWrapper, Wsgi},
    validate::WsgiWarning,
};
use std::{
    fs::{self, File},
    io::{self, Write},
};

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
        let (whole, warnings) = call(hello(), &[("SERVER_PROTOCOL", value)], WSGI, read);
        assert_eq!(whole.unwrap(), b"Hello\n");
        assert_eq!(warnings, [WsgiWarning::EnvironKey("SERVER_PROTOCOL")]);
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
