//! What the application gives: status and header fields.

use super::server::{PLAIN, Server, WSGI, bad_field, call, field, heads, refusal, vars};
use cgigate::{
    Application, Body, Environ, app,
    types::{ErrorStream, InputStream, Request, Side},
    validate::{WsgiWarning, validator},
};
use std::io::{self, Write};

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
