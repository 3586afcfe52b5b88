//! An application that tries what none should: to get out of a sandbox.

use crate::query::param;
use cgigate::{Environ, Response, StartResponse};
use std::{fs, io, net::TcpListener, path::Path, process::Command};

/// `?folder=F`: tries to read /etc/passwd, to write to F and to the folder of temporary files, to
/// execute a program and to listen; a line each, `WHAT: done` or `WHAT: why not`.
pub(crate) fn breakout<'r>(
    environ: Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let folder = param(environ.vars, "folder").unwrap_or("/");
    let attempts = [
        ("read", fs::read("/etc/passwd").map(drop)),
        ("write", write_in(Path::new(folder))),
        ("temporary", write_in(&std::env::temp_dir())),
        ("execute", Command::new("/bin/true").status().map(drop)),
        ("listen", TcpListener::bind("127.0.0.1:0").map(drop)),
    ];
    let line = |(what, outcome): (&str, io::Result<()>)| match outcome {
        Ok(()) => format!("{what}: done\n"),
        Err(error) => format!("{what}: {error}\n"),
    };
    start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    Ok(attempts.map(line).concat().into())
}

fn write_in(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!("breakout-{}", std::process::id()));
    fs::write(&path, "out")?;
    fs::remove_file(path)
}
