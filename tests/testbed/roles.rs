//! Applications in the two other roles of FastCGI (sections 6.3 and 6.4).

use crate::query::param;
use cgigate::{Environ, Response, StartResponse, types::Vars};
use std::io::Read;

/// Lets `user=tester` pass, and tells the web server who that is.
pub(crate) fn authorize<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let plain = ("Content-Type", "text/plain");
    if param(environ.vars, "user") != Some("tester") {
        start_response.call("403 Forbidden", &[plain])?;
        return Ok("403 Forbidden\n".into());
    }
    start_response.call("200 OK", &[plain, ("Variable-WHO", "tester")])?;
    Ok("".into())
}

/// Answers FCGI_DATA, which follows FCGI_STDIN on wsgi.input, in upper case.
pub(crate) fn filter<'r>(
    mut environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let mut input = Vec::new();
    environ.input.read_to_end(&mut input)?;
    let stdin = length(environ.vars, "FCGI_DATA_LENGTH")
        .map(|data| input.len().saturating_sub(data))
        .or(length(environ.vars, "CONTENT_LENGTH"))
        .unwrap_or(0);
    let mut data = input.split_off(stdin.min(input.len()));
    data.make_ascii_uppercase();
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(data.into())
}

fn length(vars: &Vars, name: &str) -> Option<usize> {
    std::str::from_utf8(vars.filled(name)?).ok()?.parse().ok()
}
