//! The request as a web server would make it: nginx's parameters, with curl's words over them.

use super::{options::Get, upload::Source};
use crate::{
    cli::Usage,
    fcgi::{RecordType, Role},
    headers::{check_name, check_value},
    types::Vars,
};
use percent_encoding::percent_decode;
use std::{env, ffi::OsStr, path::Path};

/// A request, and what follows its parameters.
pub(super) struct Request {
    pub(super) params: Vars,
    pub(super) bodies: Vec<(RecordType, Source)>,
}

pub(super) fn make(target: &OsStr, options: &Get) -> anyhow::Result<Request> {
    let stdin = match &options.data {
        Some(_) if options.role == Role::Authorizer => {
            return Err(usage("--data: an authorizer gets no body (section 6.3)"));
        }
        Some(data) => Some(body(data)?),
        None => None,
    };
    let data = match (&options.filter_data, options.role) {
        (Some(path), Role::Filter) => Some(Source::file(path)?),
        (None, Role::Filter) => {
            return Err(usage("--role filter: it needs --filter-data FILE, which it is to change"));
        }
        (Some(_), _) => {
            return Err(usage("--filter-data: only a filter gets it; say --role filter"));
        }
        (None, _) => None,
    };
    let mut params = Vars::default();
    make_up(&mut params, target, options)?;
    if let Some(stdin) = &stdin {
        params.set("CONTENT_TYPE", "application/x-www-form-urlencoded");
        if let Some(length) = stdin.length() {
            params.set("CONTENT_LENGTH", length.to_string());
        }
    }
    if let Some(data) = &data {
        // Section 6.4: without its length it could not be told from one cut short.
        let length = data.length();
        let length = length.ok_or_else(|| usage("--filter-data: its length is not known"))?;
        params.set("FCGI_DATA_LENGTH", length.to_string());
        params.set("FCGI_DATA_LAST_MOD", data.modified().unwrap_or_default().to_string());
    }
    let lines = of_environment("CGIGATE_HEADER", &options.header, |byte| byte == b'\n');
    let given = options.header.iter().map(|field| field.as_encoded_bytes());
    for field in lines.iter().map(Vec::as_slice).chain(given) {
        add_header(&mut params, field)?;
    }
    let words = of_environment("CGIGATE_PARAM", &options.param, |byte| byte.is_ascii_whitespace());
    let given = options.param.iter().map(|pair| pair.as_encoded_bytes());
    for pair in words.iter().map(Vec::as_slice).chain(given) {
        let at = pair.iter().position(|&byte| byte == b'=').filter(|at| *at > 0);
        let at =
            at.ok_or_else(|| usage(&format!("--param {}: use NAME=VALUE", pair.escape_ascii())))?;
        params.set(&pair[..at], &pair[at + 1..]);
    }
    // Section 6.3: an authorizer has no STDIN, and most servers send none, not even its end.
    let stdin = match options.role {
        Role::Authorizer => None,
        Role::Responder | Role::Filter => Some(stdin.unwrap_or_else(|| Source::memory(Vec::new()))),
    };
    let stdin = stdin.map(|stdin| (RecordType::Stdin, stdin));
    let bodies = stdin.into_iter().chain(data.map(|data| (RecordType::Data, data)));
    Ok(Request { params, bodies: bodies.collect() })
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
fn make_up(params: &mut Vars, target: &OsStr, options: &Get) -> anyhow::Result<()> {
    let uri = target.as_encoded_bytes();
    if uri.first() != Some(&b'/') {
        return Err(usage(&format!("{}: a PATH begins with /", uri.escape_ascii())));
    }
    let at = uri.iter().position(|&byte| byte == b'?');
    let (path, query) = at.map_or((uri, &b""[..]), |at| (&uri[..at], &uri[at + 1..]));
    let path: Vec<u8> = percent_decode(path).collect();
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
        ("REQUEST_METHOD", method(options).as_bytes()),
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
    if options.role != Role::Authorizer {
        params.set("SCRIPT_NAME", "");
        params.set("PATH_INFO", path);
    }
    Ok(())
}

pub(super) fn method(options: &Get) -> &str {
    let body = if options.data.is_some() { "POST" } else { "GET" };
    options.method.as_deref().unwrap_or(body)
}

/// `Name: value`, as RFC 3875 section 4.1.18 and the two before it have it in a request.
fn add_header(params: &mut Vars, field: &[u8]) -> anyhow::Result<()> {
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
    // One that came twice has both values (RFC 9110 section 5.3), but for those made up here.
    let made_up = [&b"HTTP_HOST"[..], b"HTTP_USER_AGENT", b"HTTP_ACCEPT"].contains(&&*variable);
    let joined = match params.get(&variable) {
        Some(before) if !made_up && variable.starts_with(b"HTTP_") => {
            let between = if variable == b"HTTP_COOKIE" { &b"; "[..] } else { b", " };
            [before, between, value].concat()
        }
        _ => value.to_vec(),
    };
    params.set(variable, joined);
    Ok(())
}

/// The values of a variable that stands for a repeatable option, unless the command line has it.
/// clap would cut those of the command line at the same bytes.
fn of_environment(name: &str, given: &[impl Sized], cuts: fn(u8) -> bool) -> Vec<Vec<u8>> {
    let text = env::var_os(name).filter(|_| given.is_empty()).unwrap_or_default();
    let values = text.as_encoded_bytes().split(|&byte| cuts(byte)).map(<[u8]>::trim_ascii);
    values.filter(|value| !value.is_empty()).map(<[u8]>::to_vec).collect()
}

fn usage(what: &str) -> anyhow::Error {
    Usage(format!("get: {what}")).into()
}
