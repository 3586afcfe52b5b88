//! The request as a web server would make it: nginx's parameters, with curl's words over them.

use super::{options::Get, upload::Source};
use crate::{
    cli::Usage,
    fcgi::{RecordType, Role},
    headers::{check_name, check_value},
    types::Vars,
};
use percent_encoding::percent_decode;
use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

/// A request, and what follows its parameters.
pub(super) struct Request {
    pub(super) params: Vars,
    pub(super) bodies: Vec<(RecordType, Source)>,
}

pub(super) fn make(target: &OsStr, options: &Get) -> anyhow::Result<Request> {
    let mut params = made_up(target, method(options), options.role)?;
    add_given(&mut params, options)?;
    let mut bodies = Vec::new();
    match (options.role, &options.data) {
        // Section 6.3: an authorizer has no STDIN, and most servers send not even its end.
        (Role::Authorizer, None) => {}
        (Role::Authorizer, Some(_)) => return Err(usage("--data: an authorizer gets no body")),
        (Role::Responder | Role::Filter, data) => {
            let stdin = match data {
                Some(data) => stdin(&mut params, data)?,
                None => Source::memory(Vec::new()),
            };
            bodies.push((RecordType::Stdin, stdin));
        }
    }
    match (options.role, &options.filter_data) {
        (Role::Filter, Some(path)) => {
            let data = Source::file(path)?.with_length()?;
            // Section 6.4: what tells it from data cut short.
            params.set_default("FCGI_DATA_LENGTH", data.length().unwrap_or_default().to_string());
            let modified = data.modified().unwrap_or_default().to_string();
            params.set_default("FCGI_DATA_LAST_MOD", modified);
            bodies.push((RecordType::Data, data));
        }
        (Role::Filter, None) => {
            return Err(usage("--role filter: what shall it change? use --filter-data FILE"));
        }
        (Role::Responder | Role::Authorizer, Some(_)) => {
            return Err(usage("--filter-data: only a filter gets it; use --role filter"));
        }
        (Role::Responder | Role::Authorizer, None) => {}
    }
    Ok(Request { params, bodies })
}

/// What the command line says over what is made up, and the environment under it.
fn add_given(params: &mut Vars, options: &Get) -> anyhow::Result<()> {
    let mut said = Vec::new();
    for field in given("CGIGATE_HEADER", &options.header, |byte| byte == b'\n') {
        let (variable, value) = header(&field)?;
        // One that is said twice has both values (RFC 9110 section 5.3).
        let joined = match params.get(&variable) {
            Some(before) if said.contains(&variable) && variable.starts_with(b"HTTP_") => {
                let between = if variable == b"HTTP_COOKIE" { &b"; "[..] } else { b", " };
                [before, between, &value].concat()
            }
            _ => value,
        };
        params.set(&variable, joined);
        said.push(variable);
    }
    add_params(params, &options.param)
}

/// `--param NAME=VALUE`, over what is made up.
pub(in crate::cli) fn add_params(params: &mut Vars, said: &[OsString]) -> anyhow::Result<()> {
    for pair in given("CGIGATE_PARAM", said, |byte| byte.is_ascii_whitespace()) {
        let wrong = || Usage(format!("--param {}: use NAME=VALUE", pair.escape_ascii()));
        let at = pair.iter().position(|&byte| byte == b'=').filter(|at| *at > 0);
        let at = at.ok_or_else(wrong)?;
        params.set(&pair[..at], &pair[at + 1..]);
    }
    Ok(())
}

/// The body, and what the parameters say of it.
fn stdin(params: &mut Vars, data: &OsStr) -> anyhow::Result<Source> {
    let source = body(data)?;
    params.set_default("CONTENT_TYPE", "application/x-www-form-urlencoded");
    // As nginx does with `fastcgi_request_buffering off`: what comes in chunks goes on as it comes.
    if params.contains("HTTP_TRANSFER_ENCODING") || params.contains("CONTENT_LENGTH") {
        return Ok(source);
    }
    let source = source.with_length()?;
    params.set("CONTENT_LENGTH", source.length().unwrap_or_default().to_string());
    Ok(source)
}

/// `DATA`, `@FILE`, `@-`.
fn body(data: &OsStr) -> anyhow::Result<Source> {
    match data.as_encoded_bytes() {
        [b'@', ..] => match data.to_str() {
            Some(text) => Source::file(Path::new(&text[1..])),
            None => Err(usage("--data: the file's name is no text")),
        },
        bytes => Ok(Source::memory(bytes.to_vec())),
    }
}

/// What nginx would say of `target`, on behalf of a client here.
pub(in crate::cli) fn made_up(target: &OsStr, method: &str, role: Role) -> anyhow::Result<Vars> {
    let uri = target.as_encoded_bytes();
    if uri.first() != Some(&b'/') {
        return Err(Usage(format!("{}: a PATH begins with /", uri.escape_ascii())).into());
    }
    check_name(method.as_bytes())
        .map_err(|_| usage(&format!("--method {method:?}: use a word, as GET")))?;
    let at = uri.iter().position(|&byte| byte == b'?');
    let (path, query) = at.map_or((uri, &b""[..]), |at| (&uri[..at], &uri[at + 1..]));
    let path: Vec<u8> = percent_decode(path).collect();
    let mut params = Vars::default();
    let software = concat!("cgigate/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("GATEWAY_INTERFACE", &b"CGI/1.1"[..]),
        ("SERVER_SOFTWARE", software.as_bytes()),
        ("SERVER_PROTOCOL", b"HTTP/1.1"),
        ("SERVER_NAME", b"localhost"),
        ("SERVER_ADDR", b"127.0.0.1"),
        ("SERVER_PORT", b"80"),
        ("REMOTE_ADDR", b"127.0.0.1"),
        ("REQUEST_SCHEME", b"http"),
        ("REQUEST_METHOD", method.as_bytes()),
        ("REQUEST_URI", uri),
        ("DOCUMENT_URI", &path),
        ("QUERY_STRING", query),
        // php-cgi answers nobody without it.
        ("REDIRECT_STATUS", b"200"),
        ("HTTP_HOST", b"localhost"),
        ("HTTP_USER_AGENT", software.as_bytes()),
        ("HTTP_ACCEPT", b"*/*"),
    ] {
        params.set(name, value);
    }
    // Section 6.3: an authorizer is not told of any script.
    if role != Role::Authorizer {
        params.set("SCRIPT_NAME", "");
        params.set("PATH_INFO", path);
    }
    Ok(params)
}

pub(super) fn method(options: &Get) -> &str {
    let body = if options.data.is_some() { "POST" } else { "GET" };
    options.method.as_deref().unwrap_or(body)
}

/// `Name: value` as a variable: RFC 3875 section 4.1.18, and 4.1.2 and 4.1.3 for two of them.
fn header(field: &[u8]) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let wrong = || usage(&format!("--header {}: use 'Name: value'", field.escape_ascii()));
    let colon = field.iter().position(|&byte| byte == b':').ok_or_else(wrong)?;
    let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
    check_name(name).and_then(|()| check_value(value)).map_err(|_| wrong())?;
    let mut variable = name.to_ascii_uppercase();
    for byte in variable.iter_mut().filter(|byte| **byte == b'-') {
        *byte = b'_';
    }
    if !matches!(&*variable, b"CONTENT_TYPE" | b"CONTENT_LENGTH") {
        variable.splice(..0, *b"HTTP_");
    }
    Ok((variable, value.to_vec()))
}

/// The values of a repeatable option, or of the variable that stands for it, cut at `cuts`. clap
/// would cut those of the command line too.
fn given(name: &str, said: &[OsString], cuts: fn(u8) -> bool) -> Vec<Vec<u8>> {
    if !said.is_empty() {
        return said.iter().map(|value| value.as_encoded_bytes().to_vec()).collect();
    }
    let text = env::var_os(name).unwrap_or_default();
    let values = text.as_encoded_bytes().split(|&byte| cuts(byte)).map(<[u8]>::trim_ascii);
    values.filter(|value| !value.is_empty()).map(<[u8]>::to_vec).collect()
}

fn usage(what: &str) -> anyhow::Error {
    Usage(format!("get: {what}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::{Command, Options};
    use clap::Parser as _;

    fn asked(args: &[&str]) -> anyhow::Result<Request> {
        let options = Options::try_parse_from(["cgigate", "get"].iter().chain(args))?;
        let Some(Command::Get(get)) = options.command else { panic!("another command") };
        make(get.path.as_deref().unwrap_or_default(), &get)
    }

    fn params(args: &[&str]) -> Vars {
        asked(args).map(|request| request.params).unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn holds(vars: &Vars, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            let found = vars.get(name).map(|found| String::from_utf8_lossy(found));
            assert_eq!(found.as_deref(), Some(*value), "{name}");
        }
    }

    #[test]
    fn a_path_is_told_as_nginx_tells_it() {
        let vars = params(&["/a%20b%2fc?x=%20&y"]);
        holds(&vars, &[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", ""), ("PATH_INFO", "/a b/c")]);
        holds(&vars, &[("REQUEST_URI", "/a%20b%2fc?x=%20&y"), ("DOCUMENT_URI", "/a b/c")]);
        holds(&vars, &[("QUERY_STRING", "x=%20&y"), ("GATEWAY_INTERFACE", "CGI/1.1")]);
        assert!(!vars.contains("CONTENT_LENGTH") && !vars.contains("CONTENT_TYPE"));
        holds(&params(&["/"]), &[("QUERY_STRING", ""), ("PATH_INFO", "/")]);
        for wrong in ["", "hello", "?x", "http://localhost/"] {
            assert!(asked(&[wrong]).is_err_and(|error| error.is::<Usage>()), "{wrong}");
        }
    }

    #[test]
    fn headers_become_variables_and_parameters_win() {
        let args = ["-H", "X-One: 1", "-H", "x_one:  2 ", "-H", "Cookie: a=1", "-H", "Cookie: b=2"];
        let more = [
            "-H",
            "Host: example.test",
            "-H",
            "Accept: a/b",
            "-H",
            "Accept: c/d",
            "-H",
            "Content-Type: text/plain",
            "-H",
            "Empty:",
        ];
        let param = ["--param", "SERVER_NAME=a\nb =", "--param", "X=", "/"];
        let vars = params(&[&args[..], &more, &param].concat());
        holds(&vars, &[("HTTP_X_ONE", "1, 2"), ("HTTP_COOKIE", "a=1; b=2"), ("HTTP_EMPTY", "")]);
        holds(&vars, &[("HTTP_HOST", "example.test"), ("CONTENT_TYPE", "text/plain")]);
        holds(&vars, &[("HTTP_ACCEPT", "a/b, c/d")]);
        holds(&vars, &[("SERVER_NAME", "a\nb ="), ("X", "")]);
        for wrong in [["-H", "x"], ["-H", "a b: c"], ["-H", "a: \x01"], ["--param", "=x"]] {
            let refused = asked(&[&wrong[..], &["/"]].concat());
            assert!(refused.is_err_and(|error| error.is::<Usage>()), "{wrong:?}");
        }
    }

    #[test]
    fn a_body_has_a_length_unless_it_comes_in_chunks() {
        let vars = params(&["-d", "a=1", "/"]);
        holds(&vars, &[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", "3")]);
        holds(&vars, &[("CONTENT_TYPE", "application/x-www-form-urlencoded")]);
        let vars = params(&["-d", "a=1", "-X", "PUT", "-H", "Content-Length: 9", "/"]);
        holds(&vars, &[("REQUEST_METHOD", "PUT"), ("CONTENT_LENGTH", "9")]);
        let chunks = params(&["-d", "a=1", "-H", "Transfer-Encoding: chunked", "/"]);
        assert!(!chunks.contains("CONTENT_LENGTH"));
        let missing = asked(&["-d", "@/nonexistent/file", "/"]).err().unwrap();
        assert!(!missing.is::<Usage>() && format!("{missing:#}").contains("/nonexistent/file"));
    }

    #[test]
    fn each_role_gets_its_streams() {
        let kinds = |args: &[&str]| -> Option<Vec<_>> {
            Some(asked(args).ok()?.bodies.into_iter().map(|(kind, _)| kind).collect())
        };
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(kinds(&["/"]), Some(vec![RecordType::Stdin]));
        assert_eq!(kinds(&["--role", "authorizer", "/"]), Some(vec![]));
        let filter = ["--role", "filter", "--filter-data", manifest, "/"];
        assert_eq!(kinds(&filter), Some(vec![RecordType::Stdin, RecordType::Data]));
        let vars = params(&filter);
        assert!(vars.filled("FCGI_DATA_LENGTH").is_some() && vars.contains("FCGI_DATA_LAST_MOD"));
        assert!(!params(&["--role", "authorizer", "/"]).contains("SCRIPT_NAME"));
        assert_eq!(kinds(&["--role", "authorizer", "-d", "x", "/"]), None);
        assert_eq!(kinds(&["--role", "filter", "/"]), None);
        assert_eq!(kinds(&["--filter-data", manifest, "/"]), None);
    }
}
