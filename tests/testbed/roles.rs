//! Applications in the two other roles of FastCGI (sections 6.3 and 6.4).

use crate::query::param;
use cgigate::{Environ, Response, StartResponse};
use std::io::{self, Read};

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

/// Answers FCGI_DATA, which follows the end of FCGI_STDIN on wsgi.input, in upper case.
pub(crate) fn filter<'r>(
    mut environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    io::copy(&mut environ.input, &mut io::sink())?;
    let mut data = Vec::new();
    environ.input.read_to_end(&mut data)?;
    data.make_ascii_uppercase();
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(data.into())
}
