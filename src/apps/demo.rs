//! `demo`: `wsgiref.simple_server.demo_app`, to the letter.
//!
//! A Python programmer who moves here can compare the two line by line, so the environ is printed
//! as Python's `repr` would.

use crate::types::{Environ, Response, StartResponse, repr, to_native};
use std::{borrow::Cow, fmt::Write};

/// Answers `Hello world!` and the whole environ, `wsgi.*` keys included.
///
/// ```
/// let answer = cgigate::testing::get("/?a=1").ask(&cgigate::apps::demo);
/// assert!(answer.text().starts_with("Hello world!\n\n"));
/// assert!(answer.text().contains("QUERY_STRING = 'a=1'\n"));
/// ```
///
/// # Errors
/// The client has gone away.
pub fn demo<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut text = String::from("Hello world!\n\n");
    for (name, value) in items(&environ) {
        writeln!(text, "{name} = {value}")?;
    }
    start_response.call("200 OK", &[("Content-Type", "text/plain; charset=utf-8")])?;
    Ok(text.into())
}

/// `sorted(environ.items())`, the values as their `repr`.
fn items<'e>(environ: &'e Environ<'_>) -> Vec<(Cow<'e, str>, String)> {
    let native = |(name, value)| (to_native(name), repr(&to_native(value)));
    let mut items: Vec<_> = environ.vars.iter().map(native).collect();
    let wsgi = &environ.wsgi;
    let (major, minor) = wsgi.version;
    let mut key = |name: &'static str, value: String| items.push((name.into(), value));
    key("wsgi.errors", "<cgigate.ErrorStream>".into());
    if wsgi.file_wrapper {
        key("wsgi.file_wrapper", "<class 'cgigate.FileWrapper'>".into());
    }
    key("wsgi.input", "<cgigate.InputStream>".into());
    key("wsgi.multiprocess", truth(wsgi.multiprocess));
    key("wsgi.multithread", truth(wsgi.multithread));
    key("wsgi.run_once", truth(wsgi.run_once));
    key("wsgi.url_scheme", repr(wsgi.url_scheme.as_str()));
    key("wsgi.version", format!("({major}, {minor})"));
    items.sort_unstable();
    items
}

fn truth(value: bool) -> String {
    if value { "True" } else { "False" }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::testing::answer;

    #[test]
    fn the_page_is_demo_apps() {
        let page = answer(&demo, &[("Z", b"1"), ("A", b"caf\xe9")], b"");
        let (_, body) = page.split_once("\r\n\r\n").unwrap();
        assert_eq!(
            body,
            // Read back as Latin-1, as `answer` does, the UTF-8 of an e-acute is two characters.
            "Hello world!\n\nA = 'caf\u{c3}\u{a9}'\nZ = '1'\n\
             wsgi.errors = <cgigate.ErrorStream>\n\
             wsgi.file_wrapper = <class 'cgigate.FileWrapper'>\n\
             wsgi.input = <cgigate.InputStream>\n\
             wsgi.multiprocess = True\n\
             wsgi.multithread = False\n\
             wsgi.run_once = True\n\
             wsgi.url_scheme = 'http'\n\
             wsgi.version = (1, 0)\n"
        );
    }
}
