//! What the server gives: the environ.

use super::server::{WSGI, call, hello, read, refusal};
use cgigate::{types::Side, validate::WsgiWarning};

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
fn an_authorizer_is_told_of_no_paths() {
    let role = ("FCGI_ROLE", Some("AUTHORIZER"));
    let without = [role, ("SCRIPT_NAME", None), ("PATH_INFO", None)];
    assert_eq!(environ(&without), (None, Vec::new()));
}
