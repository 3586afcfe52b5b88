//! A shoutbox: what people say, kept in a file, a line each. It is `shoutbox.py`, moved line by line
//! in `docs/porting.md`.
//!
//!     SHOUTS=/tmp/shouts cargo run --example shoutbox -- http

use cgigate::{Body, Environ, Gateway, Response, StartResponse};
use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    iter,
    path::PathBuf,
};

fn shouts() -> PathBuf {
    env::var_os("SHOUTS").unwrap_or("shouts.txt".into()).into()
}

const HEAD: &str =
    "<!DOCTYPE html>\n<form method=post><input name=text><button>Shout</button></form>\n<ul>\n";

fn application<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let path = environ.get("PATH_INFO").unwrap_or_default();
    if !matches!(path, b"" | b"/") {
        start_response.call("404 Not Found", &[("Content-Type", "text/plain")])?;
        return Ok("There is only one page.\n".into());
    }
    if environ.get("REQUEST_METHOD") == Some(b"POST") {
        return shout(environ, start_response);
    }
    page(environ, start_response)
}

fn shout<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let mut form = Vec::new();
    environ.input.by_ref().take(10_000).read_to_end(&mut form)?;
    let said = form_urlencoded::parse(&form).filter(|(name, _)| name == "text").last();
    let text = said.map(|(_, text)| text).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        start_response.call("400 Bad Request", &[("Content-Type", "text/plain")])?;
        return Ok("Say something.\n".into());
    }
    let mut file = OpenOptions::new().append(true).create(true).open(shouts())?;
    file.write_all(format!("{text}\n").as_bytes())?;
    writeln!(environ.errors, "shouted {}", text.chars().count())?;
    let script_name = environ.get("SCRIPT_NAME").unwrap_or_default();
    start_response.call("303 See Other", &[("Location", [script_name, b"/"].concat())])?;
    Ok(Body::Empty)
}

fn page<'r>(_environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    let shouts: Box<dyn BufRead> = match File::open(shouts()) {
        Ok(file) => Box::new(BufReader::new(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Box::new(io::empty()),
        Err(error) => return Err(error.into()),
    };
    start_response.call("200 OK", &[("Content-Type", "text/html; charset=utf-8")])?;
    let item = |line: io::Result<String>| {
        let text = line?.trim().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Ok(format!("<li>{text}</li>\n").into_bytes())
    };
    let items = shouts.lines().map(item);
    let body = iter::once(Ok(HEAD.into())).chain(items).chain(iter::once(Ok("</ul>\n".into())));
    Ok(Body::from_iter(body))
}

fn main() -> std::process::ExitCode {
    Gateway::new().responder("shoutbox", application).main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgigate::testing::{get, post};

    #[test]
    fn there_is_only_one_page_and_nothing_is_not_said() {
        assert_eq!(get("/other").validated().ask(&application).status, 404);
        let form = "text=+%0A+";
        assert_eq!(post("/", form).validated().ask(&application).status, 400);
    }
}
