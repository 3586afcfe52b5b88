//! `probe`: what the web server in front gets wrong, and the line of configuration that mends it.
//!
//! | | |
//! |---|---|
//! | here | the page, and the request by which it is asked for everything |
//! | `findings.rs` | what can be told of a request |
//! | `mends.rs` | each server's words for it |
//!
//! A request like any other shows some of it. The page has a command for curl that sends what is
//! needed for the rest: a field of underscores, credentials, `Proxy`, an encoded path.

mod findings;
mod mends;

use super::NOSNIFF;
use crate::types::{Environ, Response, StartResponse, Vars};
use findings::{Finding, Verdict, findings};
use mends::Front;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::fmt::Write as _;

/// Behind the application's own path: encoded once, and once more.
const PATH: &str = "/a%20b%2520c";
/// A query of words, which some servers make arguments of (RFC 3875 section 4.4).
const QUERY: &str = "--probe";
/// The path at which the answer has a field of this many bytes.
const LONG: (&str, usize) = ("/long-field", 6000);

/// Answers a page of findings, in plain text.
///
/// Use it alone, `--app probe`, where the path does not reach the applications yet: its path then
/// need not be right.
///
/// ```
/// let answer = cgigate::testing::get("/").var("HTTP_PROXY", "evil:80").ask(&cgigate::apps::probe);
/// assert_eq!(answer.status, 200);
/// ```
///
/// # Errors
/// The client has gone away.
pub fn probe<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let (name, nosniff) = NOSNIFF;
    let mut headers =
        vec![("Content-Type", "text/plain; charset=utf-8".into()), (name, nosniff.into())];
    let (path, length) = LONG;
    if environ.get("PATH_INFO").unwrap_or_default().ends_with(path.as_bytes()) {
        headers.push(("X-Long", "x".repeat(length)));
        start_response.call("200 OK", &headers)?;
        return Ok(format!("A field of {length} bytes has come through.\n").into());
    }
    start_response.call("200 OK", &headers)?;
    Ok(page(&environ)?.into())
}

fn page(environ: &Environ<'_>) -> Result<String, std::fmt::Error> {
    let front = Front::of(environ.vars);
    let software =
        environ.vars.native("SERVER_SOFTWARE").unwrap_or("a server without a name".into());
    let software: String = software.chars().filter(|c| !c.is_control()).take(80).collect();
    let mut page = format!("What {software} says of requests\n\n");
    let (mut wrong, mut unasked) = (0, 0);
    for Finding { rule, verdict } in findings(environ) {
        match verdict {
            Verdict::Right => writeln!(page, "ok     {}", rule.sentence())?,
            Verdict::Unasked => {
                unasked += 1;
                writeln!(page, "?      {}", rule.sentence())?;
            }
            Verdict::Wrong(what) => {
                wrong += 1;
                writeln!(page, "WRONG  {}\n       {what}", rule.sentence())?;
                for line in front.mend(rule, &mount(environ.vars)).lines() {
                    writeln!(page, "         {line}")?;
                }
            }
        }
    }
    writeln!(page, "\n{wrong} wrong, {unasked} not asked for")?;
    let base = base(environ);
    if unasked > 0 {
        write!(page, "\nThis asks for all of it:\n\n  curl --path-as-is -u probe:probe \\\n    ")?;
        writeln!(page, "-H 'Proxy: {}' -H 'X_Probe: underscore' \\", findings::PROXY)?;
        writeln!(
            page,
            "    -H \"X-Long: $(printf %5000s | tr ' ' x)\" \\\n    '{base}{PATH}?{QUERY}'"
        )?;
    }
    let (path, length) = LONG;
    writeln!(
        page,
        "\nIf that is answered by 400 or 431, it is fields over 4 KiB that are refused:"
    )?;
    front.long_request().lines().try_for_each(|line| writeln!(page, "  {line}"))?;
    writeln!(page, "\nAn answer with a field of {length} bytes: {base}{path}")?;
    writeln!(page, "If that is answered by 502 or 500:")?;
    front.long_answer().lines().try_for_each(|line| writeln!(page, "  {line}"))?;
    Ok(page)
}

/// The path of the request as the client wrote it, without query.
fn asked_path(vars: &Vars) -> &[u8] {
    let uri = vars.get("REQUEST_URI").unwrap_or_default();
    &uri[..uri.iter().position(|&byte| byte == b'?').unwrap_or(uri.len())]
}

/// Where this application is, in a URL that can be pasted into a shell.
fn base(environ: &Environ<'_>) -> String {
    const URL: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'.')
        .remove(b'-')
        .remove(b'_')
        .remove(b'~')
        .remove(b'%')
        .remove(b':');
    let host = environ.vars.filled("HTTP_HOST").or(environ.vars.filled("SERVER_NAME"));
    let host = host.unwrap_or(b"localhost").iter().map(|&byte| char::from(byte));
    let host: String = host.filter(|c| c.is_ascii_alphanumeric() || ".:-[]".contains(*c)).collect();
    let mut path = match asked_path(environ.vars) {
        b"" => percent_encode(environ.get("SCRIPT_NAME").unwrap_or_default(), URL).to_string(),
        path => percent_encode(path, URL).to_string(),
    };
    let short = path.strip_suffix(PATH).unwrap_or(&path).trim_end_matches('/').len();
    path.truncate(short);
    format!("{}://{host}{path}", environ.wsgi.url_scheme)
}

/// The place that the whole gateway should be mounted at, as far as it can be told: in words that
/// no configuration takes for anything else.
fn mount(vars: &Vars) -> String {
    let path = String::from_utf8_lossy(asked_path(vars)).into_owned();
    let path = path.strip_suffix(PATH).unwrap_or(&path).trim_end_matches('/');
    let path = path.strip_suffix("/probe").unwrap_or(path);
    let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/.-_".contains(c));
    match path {
        "" => "/".into(),
        path if plain => path.into(),
        _ => "/PATH".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::answer;

    const ALL: [(&str, &[u8]); 12] = [
        ("GATEWAY_INTERFACE", b"CGI/1.1"),
        ("SERVER_PROTOCOL", b"HTTP/1.1"),
        ("SERVER_NAME", b"a"),
        ("SERVER_PORT", b"80"),
        ("REMOTE_ADDR", b"192.0.2.7"),
        ("REQUEST_METHOD", b"GET"),
        ("QUERY_STRING", b"--probe"),
        ("REQUEST_URI", b"/app/probe/a%20b%2520c?--probe"),
        ("SCRIPT_NAME", b"/app/probe"),
        ("PATH_INFO", b"/a b%20c"),
        ("HTTP_AUTHORIZATION", b"Basic cHJvYmU6cHJvYmU="),
        ("HTTP_HOST", b"a:8080"),
    ];

    /// The page for a server that says all this rightly, but for what is given.
    fn page(software: &str, other: &[(&str, &[u8])]) -> String {
        let mut vars = ALL.to_vec();
        vars.push(("SERVER_SOFTWARE", software.as_bytes()));
        for (name, value) in other {
            vars.retain(|(known, _)| known != name);
            vars.push((name, value));
        }
        answer(&super::probe, &vars, b"")
    }

    #[test]
    fn nothing_is_wrong_with_a_server_that_does_it_right() {
        let page = page("nginx/1.22.1", &[]);
        assert!(page.contains("\n0 wrong, 0 not asked for\n"), "{page}");
        assert!(page.contains("http://a:8080/app/probe/long-field\n"), "{page}");
        assert!(page.contains("fastcgi_buffer_size 32k;"), "{page}");
        let plain = [("QUERY_STRING", &b""[..]), ("HTTP_AUTHORIZATION", b"")];
        let some = self::page("nginx/1.22.1", &plain);
        assert!(some.contains("'http://a:8080/app/probe/a%20b%2520c?--probe'"), "{some}");
        assert!(some.contains("\n0 wrong, 4 not asked for\n"), "{some}");
    }

    #[test]
    fn each_fault_is_found_and_mended_in_the_servers_words() {
        for (software, vars, mend) in [
            (
                "nginx/1",
                &[("SCRIPT_NAME", &b"/app/probe/a b%20c"[..]), ("PATH_INFO", b"")][..],
                "fastcgi_param CGIGATE_MOUNT /app;",
            ),
            (
                "Caddy/v2",
                &[("SCRIPT_NAME", b""), ("PATH_INFO", b"/app/probe/a b%20c/x")],
                "env CGIGATE_MOUNT /app",
            ),
            ("nginx/1", &[("PATH_INFO", b"/a%20b%2520c")], "fastcgi_param CGIGATE_MOUNT /app;"),
            ("Apache/2.4", &[("PATH_INFO", b"/a b c")], "SetEnv CGIGATE_MOUNT \"/app\""),
            ("Apache/2.4.71 (Debian)", &[("HTTP_AUTHORIZATION", b"")], "CGIPassAuth On"),
            ("HAProxy 2.6.12", &[("HTTP_AUTHORIZATION", b"")], "set-param HTTP_AUTHORIZATION"),
            ("lighttpd/1.4.69", &[("HTTP_X_PROBE", b"underscore")], "lighttpd"),
            ("nginx/1", &[("HTTP_X_PROBE", b"underscore")], "underscores_in_headers off;"),
            ("nginx/1", &[("REMOTE_ADDR", b"")], "fastcgi_param REMOTE_ADDR $remote_addr;"),
            ("nginx/1", &[("HTTP_X_FORWARDED_PROTO", b"https")], "fastcgi_param HTTPS on;"),
            ("other", &[("PATH_INFO", b"")], "--mount /app"),
        ] {
            let page = page(software, vars);
            assert!(page.contains("\n1 wrong, 0 not asked for\n"), "{vars:?} {page}");
            let (_, found) = page.split_once("WRONG").unwrap();
            let (found, _) = found.split_once(" wrong, ").unwrap();
            assert!(found.contains(mend), "{mend}: {page}");
        }
    }

    #[test]
    fn what_a_client_sends_cannot_be_pasted_into_a_shell() {
        let evil = b"/';reboot;'`$(x)`\"/a%20b%2520c?--probe";
        let page = page("x\r\ny", &[("REQUEST_URI", evil), ("HTTP_HOST", b"a';reboot;'")]);
        assert!(
            !page.contains(";reboot") && !page.contains('`') && !page.contains("$(x"),
            "{page}"
        );
    }

    #[test]
    fn the_long_field_is_long() {
        let page = page("nginx/1", &[("PATH_INFO", b"/long-field")]);
        assert!(page.contains(&format!("\r\nX-Long: {}\r\n", "x".repeat(6000))), "{page}");
    }
}
