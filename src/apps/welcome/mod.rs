//! `welcome`: what a browser sees that comes to `cgigate http` with nothing else at `/`.
//!
//! One page, with nothing that has to be fetched for it: the request as it came, its variables, and
//! the way to the other applications. It is looked at by `scripts/test-pages`, in a browser.

use crate::types::{Application, Environ, Response, StartResponse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::fmt::Write as _;

/// As it stands in the page, its last line end included.
const STYLE: &str = include_str!("style.css");

/// The page shows what the client sent: should escaping ever fail, nothing may run, and nothing be
/// fetched. The style is known by its hash; the browser test sees that it is this one:
/// `openssl dgst -sha256 -binary style.css | base64`.
const POLICY: &str = "default-src 'none'; img-src data:; \
    style-src 'sha256-v7ssdyXDUFqsQTHnrTRv5ZNFoXS2XQFZsYGeldnV4ug='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What stands in a path of a URL.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Greets somebody who tries the executable out: an application for
/// [`Gateway::welcome`](crate::Gateway::welcome).
///
/// ```
/// use cgigate::{apps::Welcome, testing};
///
/// let page = testing::get("/").ask(&Welcome::new(vec![("shop", "wares of all kinds")]));
/// assert!(page.text().contains(r#"<a href="/shop">"#));
/// ```
#[derive(Clone, Debug)]
pub struct Welcome {
    apps: Vec<(&'static str, &'static str)>,
}

impl Welcome {
    /// With links to these applications, names and descriptions.
    ///
    /// ```
    /// let welcome = cgigate::apps::Welcome::new(vec![("hello", "greets")]);
    /// assert!(cgigate::testing::get("/").ask(&welcome).text().contains("greets"));
    /// ```
    pub fn new(apps: Vec<(&'static str, &'static str)>) -> Self {
        Self { apps }
    }
}

impl Application for Welcome {
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        let page = page(&environ, &self.apps)?;
        let headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            // It is another one for each request.
            ("Cache-Control", "no-store"),
        ];
        start_response.call("200 OK", &headers)?;
        Ok(page.into())
    }
}

fn page(
    environ: &Environ<'_>,
    apps: &[(&'static str, &'static str)],
) -> Result<String, std::fmt::Error> {
    let shown = |name: &str| escape(environ.get(name).unwrap_or_default());
    let version = env!("CARGO_PKG_VERSION");
    let part = |name: &str| environ.get(name).unwrap_or_default();
    let (script_name, path_info) = (part("SCRIPT_NAME"), part("PATH_INFO"));
    let mut page = String::with_capacity(16 << 10);
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>cgigate works</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<header><div>\n\
         <p class=\"brand\"><b>cgigate</b> <span>{version}</span></p>\n<h1>It works</h1>\n\
         <p class=\"lead\">You asked for <code>{} {}</code> and were answered by Rust.</p>\n\
         </div></header>\n<main>\n",
        shown("REQUEST_METHOD"),
        escape(&[script_name, path_info].concat()),
    )?;
    applications(&mut page, environ, apps)?;
    request(&mut page, environ)?;
    variables(&mut page, environ)?;
    page.push_str(NEXT);
    write!(page, "</main>\n</body>\n</html>\n")?;
    Ok(page)
}

fn applications(
    page: &mut String,
    environ: &Environ<'_>,
    apps: &[(&str, &str)],
) -> std::fmt::Result {
    if apps.is_empty() {
        return Ok(());
    }
    // Two slashes at the front would name another host.
    let script = environ.get("SCRIPT_NAME").unwrap_or_default();
    let script = percent_encode(script, PATH).to_string();
    let mount = match script.trim_matches('/') {
        "" => String::new(),
        script => format!("/{script}"),
    };
    page.push_str("<h2>Applications</h2>\n<ul class=\"apps\">\n");
    for (name, about) in apps {
        let link = percent_encode(name.as_bytes(), PATH);
        let (name, about) = (escape(name.as_bytes()), escape(about.as_bytes()));
        writeln!(
            page,
            "<li><a href=\"{mount}/{link}\"><b>{name}</b> <span>{about}</span></a></li>"
        )?;
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// What is of interest first.
fn request(page: &mut String, environ: &Environ<'_>) -> std::fmt::Result {
    let wsgi = &environ.wsgi;
    let runs = match (wsgi.run_once, wsgi.multithread, wsgi.multiprocess) {
        (true, ..) => "once, as CGI does",
        (false, true, true) => "threads in several processes",
        (false, true, false) => "threads of one process",
        (false, false, true) => "several processes",
        (false, false, false) => "one thread",
    };
    let value = |name: &str| String::from_utf8_lossy(environ.get(name).unwrap_or_default());
    let facts = [
        ("Client", value("REMOTE_ADDR")),
        ("Host", value("HTTP_HOST")),
        ("Protocol", value("SERVER_PROTOCOL")),
        ("Scheme", wsgi.url_scheme.as_str().into()),
        ("Server", value("SERVER_SOFTWARE")),
        ("Runs in", runs.into()),
    ];
    page.push_str("<h2>This request</h2>\n<dl class=\"box\">\n");
    for (term, fact) in facts {
        let fact = or_nothing(fact.as_bytes());
        writeln!(page, "<div><dt>{term}</dt><dd class=\"value\">{fact}</dd></div>")?;
    }
    page.push_str("</dl>\n");
    Ok(())
}

fn variables(page: &mut String, environ: &Environ<'_>) -> std::fmt::Result {
    let mut pairs: Vec<_> = environ.vars.iter().collect();
    pairs.sort_unstable();
    writeln!(page, "<h2>The environ, {} variables</h2>\n<table class=\"box\">", pairs.len())?;
    for (name, value) in pairs {
        let (name, value) = (escape(name), or_nothing(value));
        writeln!(page, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>")?;
    }
    page.push_str("</table>\n");
    Ok(())
}

const NEXT: &str = "<h2>Where to go from here</h2>\n<ul>\n\
<li><p><code>cgigate --help</code> <span>all there is, with examples</span></p></li>\n\
<li><p><code>cgigate config nginx</code> <span>what nginx needs to ask this executable, and how it \
is started then</span></p></li>\n\
<li><p><code>cargo doc --open</code> <span>an application of your own, in Rust</span></p></li>\n\
</ul>\n";

fn or_nothing(value: &[u8]) -> String {
    if value.is_empty() { "<i>empty</i>".into() } else { escape(value) }
}

/// Text that HTML takes for text. Control characters are shown by their pictures.
fn escape(bytes: &[u8]) -> String {
    let mut out = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            '\x7f'..='\u{9f}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::testing::answer;

    #[test]
    fn what_the_client_sent_is_escaped() {
        let vars: [(&str, &[u8]); 3] =
            [("PATH_INFO", b"/<script>\"'&"), ("HTTP_<B>", b"\0\x1b\xff"), ("QUERY_STRING", b"")];
        let page = answer(&Welcome::new(Vec::new()), &vars, b"");
        assert!(page.contains("/&lt;script&gt;&quot;&#39;&amp;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<B>"), "{page}");
        assert!(page.contains("<i>empty</i>") && !page.contains(['\0', '\x1b']), "{page}");
    }

    #[test]
    fn every_application_is_a_link_below_the_mount() {
        let apps = Welcome::new(vec![("hello", "greets <all>"), ("a b", "")]);
        let page = answer(&apps, &[("SCRIPT_NAME", b"//evil.test/x\"")], b"");
        assert!(page.contains("<a href=\"/evil.test/x%22/hello\"><b>hello</b>"), "{page}");
        assert!(page.contains("greets &lt;all&gt;"), "{page}");
        assert!(page.contains("/a%20b\""), "{page}");
        assert!(answer(&apps, &[], b"").contains("<a href=\"/hello\">"));
    }
}
