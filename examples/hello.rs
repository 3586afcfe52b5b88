//! The smallest gateway.

use cgigate::{Environ, Gateway, Response, StartResponse};

fn hello<'r>(_environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok("Hello, world!\n".into())
}

fn main() -> std::process::ExitCode {
    Gateway::new().responder("hello", hello).main()
}
