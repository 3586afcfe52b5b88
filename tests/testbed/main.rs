//! A gateway for tests: the applications that come with the library, and others that misbehave
//! to order.
//!
//! `cargo build --release --example testbed` makes `target/release/examples/testbed`.

mod bodies;
mod breakout;
mod faults;
mod heads;
mod query;
mod roles;

use cgigate::{Gateway, apps, validate::validator};
use std::process::ExitCode;

fn main() -> ExitCode {
    Gateway::new()
        .responder("demo", apps::demo)
        .about("the environ, as wsgiref's demo_app prints it")
        .index()
        .responder("hello", apps::hello)
        .about("Hello World")
        .responder("environ", apps::environ)
        .about("the variables of the request, one NAME=value a line")
        .responder("echo", apps::echo)
        .about("the body of the request")
        .responder("files", apps::files)
        .about("the files below CGIGATE_FILES_ROOT")
        .responder("probe", apps::probe)
        .about("what the web server in front gets wrong, and what mends it")
        .responder("count", bodies::count)
        .about("the length of the request's body")
        .responder("noread", bodies::noread)
        .about("leaves the request's body alone")
        .responder("stream", bodies::stream)
        .about("?chunks=N&size=S&delay_ms=D: a body in time")
        .responder("bytes", bodies::bytes)
        .about("?n=N: a body of a length")
        .responder("status", heads::status)
        .about("?code=404: that status")
        .responder("headers", heads::headers)
        .about("?n=N: so many header fields, and two cookies")
        .responder("sleep", faults::sleep)
        .about("?ms=N: sleeps")
        .responder("spin", faults::spin)
        .about("?us=N: computes")
        .responder("deadline", faults::deadline)
        .about("how much time there is left to answer")
        .responder("stderr", faults::stderr)
        .about("writes a line to wsgi.errors")
        .responder("fault", faults::fault)
        .about("?when=before|after&how=error|panic|abort: fails")
        .responder("breakout", breakout::breakout)
        .about("?folder=F: tries to get out of a sandbox")
        .responder("validated", validator(apps::demo))
        .about("demo, under the validator")
        .authorizer("authorize", roles::authorize)
        .about("AUTHORIZER: lets user=tester pass")
        .filter("filter", roles::filter)
        .about("FILTER: its data in upper case")
        .main()
}
