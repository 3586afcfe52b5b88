//! Applications about what stands before the body.

use crate::query::{number, param};
use cgigate::{Body, Environ, Response, StartResponse};

/// `?code=404`: answers that status; with `location=URL`, which is not decoded, that is a field.
///
/// An interim one, or what is no status at all, is left for `start_response` to refuse.
pub(crate) fn status<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let code = param(environ.vars, "code").unwrap_or("200");
    let status = format!("{code} {}", reason(code));
    if code == "204" || code == "304" {
        start_response.call(status, &[("X-Status", code)])?;
        return Ok(Body::Empty);
    }
    let location = param(environ.vars, "location").map(|url| ("Location", url));
    let fields: Vec<_> = [("Content-Type", "text/plain")].into_iter().chain(location).collect();
    start_response.call(&status, &fields)?;
    Ok(format!("{status}\n").into())
}

fn reason(code: &str) -> &'static str {
    match code {
        "200" => "OK",
        "201" => "Created",
        "204" => "No Content",
        "301" => "Moved Permanently",
        "302" => "Found",
        "303" => "See Other",
        "304" => "Not Modified",
        "400" => "Bad Request",
        "401" => "Unauthorized",
        "403" => "Forbidden",
        "404" => "Not Found",
        "410" => "Gone",
        "418" => "I'm a teapot",
        "500" => "Internal Server Error",
        "502" => "Bad Gateway",
        "503" => "Service Unavailable",
        _ => "Status",
    }
}

/// `?n=N`: fields `X-1` to `X-N`, and two that must neither be joined nor swapped.
pub(crate) fn headers<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let n = number(environ.vars, "n", 0);
    let mut fields = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    fields.extend((1..=n).map(|at| (format!("X-{at}"), at.to_string())));
    fields.extend(["a=1", "b=2"].map(|cookie| ("Set-Cookie".to_owned(), cookie.to_owned())));
    start_response.call("200 OK", &fields)?;
    Ok(format!("{n}\n").into())
}
