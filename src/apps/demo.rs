//! `demo`: `wsgiref.simple_server.demo_app`, to the letter.
//!
//! A Python programmer who moves here can compare the two line by line, so the environ is printed
//! as Python's `repr` would.

use crate::types::{Environ, Response, StartResponse, to_native};
use std::{borrow::Cow, fmt::Write};

/// Answers `Hello world!` and the whole environ, `wsgi.*` keys included.
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

/// Python's `repr` of a native string, which has no character above U+00FF.
fn repr(text: &str) -> String {
    // Python prefers single quotes, and takes double ones only to save escaping.
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            // Not printable to Python: controls, the no-break space and the soft hyphen.
            c if c.is_control() || c == '\u{a0}' || c == '\u{ad}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::testing::answer;

    #[test]
    fn a_repr_is_pythons() {
        for (text, want) in [
            ("", "''"),
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("\"both\" it's", "'\"both\" it\\'s'"),
            ("a\\b", "'a\\\\b'"),
            ("\t\r\n\0\x1b\x7f", "'\\t\\r\\n\\x00\\x1b\\x7f'"),
            ("caf\u{e9}\u{a0}\u{ad}\u{80}", "'caf\u{e9}\\xa0\\xad\\x80'"),
        ] {
            assert_eq!(repr(text), want, "{text:?}");
        }
    }

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
