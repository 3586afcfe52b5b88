//! Applications that take their time, complain, fail, panic or take the process with them.

use crate::query::{number, param};
use cgigate::{Body, Environ, Exception, Response, StartResponse};
use std::{
    io,
    io::Write,
    thread,
    time::{Duration, Instant},
};

const PLAIN: (&str, &str) = ("Content-Type", "text/plain");

/// `?ms=N`: sleeps before it answers.
pub(crate) fn sleep<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let ms = number(environ.vars, "ms", 0);
    thread::sleep(Duration::from_millis(ms));
    start_response.call("200 OK", &[PLAIN])?;
    Ok(format!("slept {ms}\n").into())
}

/// `?us=N`: keeps a CPU busy for so long before it answers.
pub(crate) fn spin<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let us = number(environ.vars, "us", 0);
    let until = Instant::now() + Duration::from_micros(us);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    start_response.call("200 OK", &[PLAIN])?;
    Ok(format!("computed {us}\n").into())
}

/// How many milliseconds there are left to answer, or `none` where nobody limits them.
pub(crate) fn deadline<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let left = environ.request.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    start_response.call("200 OK", &[PLAIN])?;
    Ok(left.map_or_else(|| "none\n".into(), |left| format!("{}\n", left.as_millis())).into())
}

/// Writes a line to wsgi.errors.
pub(crate) fn stderr<'r>(
    mut environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    environ.errors.write_all(b"a line for the log\n")?;
    environ.errors.flush()?;
    start_response.call("200 OK", &[PLAIN])?;
    Ok("logged\n".into())
}

/// `?when=before|after&how=error|panic|abort`: fails before anything was sent, or after a block.
///
/// With `length=N` the response says that it will have so many bytes.
pub(crate) fn fault<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let how = How::asked(param(environ.vars, "how"));
    if param(environ.vars, "when") != Some("after") {
        return Err(how.happen());
    }
    let length = param(environ.vars, "length").map(|length| ("Content-Length", length));
    let headers: Vec<_> = [PLAIN].into_iter().chain(length).collect();
    start_response.call("200 OK", &headers)?;
    let mut sent = false;
    Ok(Body::from_iter(std::iter::from_fn(move || {
        let first = !std::mem::replace(&mut sent, true);
        Some(if first { Ok(b"partial\n".to_vec()) } else { Err(how.happen()) })
    })))
}

#[derive(Clone, Copy)]
enum How {
    Error,
    Panic,
    Abort,
}

impl How {
    fn asked(how: Option<&str>) -> Self {
        match how {
            Some("panic") => Self::Panic,
            Some("abort") => Self::Abort,
            _ => Self::Error,
        }
    }

    /// Returns only an error.
    fn happen(self) -> Exception {
        match self {
            Self::Error => io::Error::other("an error, as asked for").into(),
            Self::Panic => panic!("a panic, as asked for"),
            Self::Abort => std::process::abort(),
        }
    }
}
