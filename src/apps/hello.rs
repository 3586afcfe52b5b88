//! `hello`: the smallest application there is.

use crate::types::{Environ, Response, StartResponse};

/// Answers `Hello World`.
///
/// ```
/// assert_eq!(cgigate::testing::get("/").ask(&cgigate::apps::hello).text(), "Hello World\n");
/// ```
///
/// # Errors
/// The client has gone away.
pub fn hello<'r>(_: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    start_response.call("200 OK", &[("Content-Type", "text/plain; charset=utf-8")])?;
    Ok("Hello World\n".into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_greets() {
        assert_eq!(
            super::super::testing::answer(&super::hello, &[], b""),
            "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 12\r\n\r\nHello World\n"
        );
    }
}
