//! `cgi` and `iis`: one request, made up as a web server would make it, answered on stdout.

use super::{options::Desk, record};
use crate::{
    gateway::{
        Dispatcher, Gateway,
        cgi::{self, Mode},
        fixture::parse_environ,
    },
    handlers::Slate,
    types::Vars,
};
use anyhow::Context as _;
use std::{fs, io::IsTerminal as _, process::ExitCode};

pub(super) fn run(mut gateway: Gateway, desk: Desk, iis: bool) -> anyhow::Result<ExitCode> {
    let recorder = record::recorder(desk.record.plan())?;
    if let Some(recorder) = &recorder {
        gateway = recorder.recorded(gateway);
    }
    if desk.validate {
        gateway = gateway.validated();
    }
    gateway.build()?;
    let mut slate = Slate::default();
    make_up(&mut slate.vars, &desk);
    if let Some(file) = &desk.environ {
        let lines = fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let pairs = parse_environ(&lines).with_context(|| format!("read {}", file.display()))?;
        pairs.iter().for_each(|(name, value)| slate.vars.set(name, value));
    }
    // Programs take it for a configured proxy.
    slate.vars.remove("HTTP_PROXY");
    let app = desk.app.clone();
    let dispatcher = Dispatcher::new(gateway, app, None, u64::MAX);
    let dispatcher = record::refusals(dispatcher, &recorder);
    let mode = Mode { iis, nph: false, max_body: u64::MAX };
    let whole = cgi::respond(&dispatcher, mode, &mut slate).map_err(anyhow::Error::from_boxed)?;
    if let Some(recorder) = recorder {
        recorder.finish();
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The variables that every web server sets (RFC 3875 section 4.1).
fn make_up(vars: &mut Vars, desk: &Desk) {
    let (path, query) = desk.target.split_once('?').unwrap_or((&desk.target, ""));
    let path_info: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    let software = concat!("cgigate/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", software),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("HTTP_HOST", "localhost"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REQUEST_METHOD", &desk.method),
        ("REQUEST_URI", &desk.target),
        ("SCRIPT_NAME", ""),
        ("QUERY_STRING", query),
    ] {
        vars.set(name, value);
    }
    vars.set("PATH_INFO", path_info);
    // A body of no known length ends where stdin ends, as one in chunks does behind Apache.
    let may_have_body = !matches!(desk.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "DELETE");
    if may_have_body && !std::io::stdin().is_terminal() {
        vars.set("HTTP_TRANSFER_ENCODING", "chunked");
    }
}
