//! `environ`: what the web server said about the request, byte by byte.

use super::NOSNIFF;
use crate::types::{Environ, Response, StartResponse};

/// Answers one `NAME=value` line for each variable of the request, sorted by name.
///
/// ```
/// let answer = cgigate::testing::get("/a?b").ask(&cgigate::apps::environ);
/// assert!(answer.text().contains("PATH_INFO=/a\nQUERY_STRING=b\n"));
/// ```
///
/// # Errors
/// The client has gone away.
pub fn environ<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut pairs: Vec<_> = environ.vars.iter().collect();
    pairs.sort_unstable();
    let mut text = Vec::new();
    for (name, value) in pairs {
        for part in [name, b"=", value, b"\n"] {
            text.extend_from_slice(part);
        }
    }
    start_response.call("200 OK", &[("Content-Type", "text/plain"), NOSNIFF])?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_lists_raw_bytes_by_name() {
        let vars: [(&str, &[u8]); 3] = [("B", b"caf\xe9"), ("A", b""), ("AA", b"x=y")];
        let answer = super::super::testing::answer(&super::environ, &vars, b"");
        assert!(answer.ends_with("\r\n\r\nA=\nAA=x=y\nB=caf\u{e9}\n"), "{answer}");
        assert!(answer.contains("\r\nX-Content-Type-Options: nosniff\r\n"), "{answer}");
    }
}
