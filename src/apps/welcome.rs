//! `welcome`: what a browser sees that comes to a gateway with nothing else at `/`.

use crate::types::{Environ, Response, StartResponse};
use std::fmt::Write;

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <title>cgigate works</title>\n\
    <style>body{font:16px sans-serif;margin:2em}td,th{text-align:left;padding:0 1em 0 0;\
    vertical-align:top}td{font-family:monospace;word-break:break-all}</style>\n\
    <h1>It works</h1>\n";

/// Answers a page that shows the request and its variables.
///
/// # Errors
/// The client has gone away.
pub fn welcome<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let shown = |name: &str| escape(environ.get(name).unwrap_or_default());
    let mut page = String::from(HEAD);
    let (method, path) = (shown("REQUEST_METHOD"), shown("PATH_INFO"));
    writeln!(page, "<p>This is cgigate {}.", env!("CARGO_PKG_VERSION"))?;
    writeln!(page, "You asked for <code>{method} {path}</code>.</p>\n<table>")?;
    let mut pairs: Vec<_> = environ.vars.iter().collect();
    pairs.sort_unstable();
    for (name, value) in pairs {
        writeln!(page, "<tr><th>{}</th><td>{}</td></tr>", escape(name), escape(value))?;
    }
    page.push_str("</table>\n</html>\n");
    let headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        // The page shows what the client sent: should escaping ever fail, nothing may run.
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ];
    start_response.call("200 OK", &headers)?;
    Ok(page.into())
}

fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_client_sent_is_escaped() {
        let vars: [(&str, &[u8]); 1] = [("PATH_INFO", b"/<script>\"'&")];
        let page = super::super::testing::answer(&super::welcome, &vars, b"");
        assert!(page.contains("/&lt;script&gt;&quot;&#39;&amp;"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }
}
