//! The executable's edge: which run mode, and the command line.
//!
//! The order is the contract's, so that nothing a remote client sends can choose it: a listening
//! socket that was handed over, then a CGI request in the environment, and only then the command
//! line. With a CGI request in the environment the command line is not looked at at all: RFC 3875
//! section 4.4 lets web servers put words of the query there (CVE-2012-1823).

#[cfg(unix)]
mod check;
mod config;
#[cfg(unix)]
mod conform;
mod desk;
#[cfg(unix)]
mod doorman;
mod doors;
#[cfg(unix)]
mod get;
#[cfg(unix)]
mod identity;
#[cfg(unix)]
mod logs;
mod manual;
#[cfg(unix)]
mod observe;
mod options;
#[cfg(unix)]
mod process;
mod record;
mod request;
#[cfg(unix)]
mod sandbox;
#[cfg_attr(windows, path = "serve_windows.rs")]
mod serve;
#[cfg(unix)]
mod servers;
#[cfg(unix)]
mod terminal;
mod values;
mod variables;
#[cfg(unix)]
mod wear;

use crate::{
    gateway::{Gateway, Protocol},
    sys,
};
use anyhow::Context as _;
use clap::Parser;
use options::{Command, Options, Served, Server};
use std::{env, ffi::OsStr, path::Path, process::ExitCode};

/// Exit status of wrong usage.
const USAGE: u8 = 2;

const FASTCGI: Served = Served::WebServers(Protocol::FastCgi);
const SCGI: Served = Served::WebServers(Protocol::Scgi);
const UWSGI: Served = Served::WebServers(Protocol::Uwsgi);

impl Gateway {
    /// Answers the request that this process was started for, or does what the command line says.
    ///
    /// ```no_run
    /// use cgigate::{Gateway, apps};
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Gateway::new().responder("hello", apps::hello).main()
    /// }
    /// ```
    pub fn main(self) -> ExitCode {
        main(self)
    }
}

fn main(gateway: Gateway) -> ExitCode {
    // Before any thread: programs take this variable for a proxy that the operator configured.
    sys::remove_var("HTTP_PROXY");
    let handed_over = serve::is_handed_over();
    if !handed_over && is_cgi() {
        return request::respond(gateway);
    }
    obey(gateway, handed_over)
}

/// Does what the command line says.
#[inline(never)] // A CGI process would touch the stack that all of its options take.
fn obey(gateway: Gateway, handed_over: bool) -> ExitCode {
    variables::part();
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return answer(&error),
    };
    let result = match options.command {
        Some(Command::Apps) => list(&gateway),
        Some(Command::Cgi(desk)) => desk::run(gateway, desk, false),
        Some(Command::Iis(desk)) => desk::run(gateway, desk, true),
        Some(Command::Fastcgi(server)) => serve::run(gateway, FASTCGI, server),
        Some(Command::Scgi(server)) => serve::run(gateway, SCGI, server),
        Some(Command::Uwsgi(server)) => serve::run(gateway, UWSGI, server),
        Some(Command::Http(server)) => serve::run(gateway, Served::Http, server),
        #[cfg(unix)]
        Some(Command::Get(get)) => get::run(&get),
        Some(Command::Config(config)) => config::run(&config),
        #[cfg(unix)]
        Some(Command::Check(check)) => check::run(gateway, &check),
        #[cfg(unix)]
        Some(Command::Conform(conform)) => conform::run(&conform),
        Some(Command::Man) => manual::man(),
        Some(Command::Completions(shell)) => manual::completions(&shell),
        None if handed_over || serve::is_worker() => match Server::of_environment() {
            Ok(server) => serve::run(gateway, FASTCGI, server),
            Err(error) => return answer(&error),
        },
        None => return help(),
    };
    result.unwrap_or_else(|error| {
        sys::say_at(sys::Level::Error, format_args!("cgigate: {error:#}"));
        match error.is::<Usage>() {
            true => USAGE.into(),
            false => ExitCode::FAILURE,
        }
    })
}

/// What clap has to say instead of options.
fn answer(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help that was asked for goes to stdout, and is no error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = env::args_os().collect();
    let line = variables::named(in_one_line(error), error, &words);
    sys::say_at(sys::Level::Error, format_args!("cgigate: {line}"));
    USAGE.into()
}

/// An error of usage as all others are told, without the usage: `--help` has that.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let told = text.split("\n\nUsage: ").next().unwrap_or_default();
    let told = told.split("\n\nFor more information").next().unwrap_or_default();
    let mut lines = told.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let mut line = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    for more in lines {
        // "the following arguments are required:" goes on in the next line.
        line.push_str(if line.ends_with(':') { " " } else { "; " });
        line.push_str(more.strip_prefix("tip: ").unwrap_or(more));
    }
    line + "; --help tells more"
}

/// Something that the operator said is wrong: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn is_cgi() -> bool {
    ["GATEWAY_INTERFACE", "REQUEST_METHOD"].iter().any(|name| env::var_os(name).is_some())
}

fn help() -> ExitCode {
    use clap::CommandFactory as _;
    crate::sys::say_text(format_args!("{}", Options::command().render_help()));
    USAGE.into()
}

fn list(gateway: &Gateway) -> anyhow::Result<ExitCode> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    for (name, about) in gateway.apps() {
        writeln!(out, "{}", format!("{name}  {about}").trim_end()).context("write the list")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The executable's own name, without directory and extension; and whether it began with `nph-`.
fn own_name() -> (Option<String>, bool) {
    let first = env::args_os().next().unwrap_or_default();
    let stem = Path::new(&first).file_stem().and_then(OsStr::to_str).unwrap_or_default();
    match stem.strip_prefix("nph-") {
        Some(rest) => (Some(rest.into()), true),
        None => (Some(stem.into()), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_usage_is_one_line() {
        for (words, wanted) in [
            (&["htpp"][..], "unrecognized subcommand 'htpp'; a similar subcommand exists: 'http'"),
            (&["config"], "the following required arguments were not provided: <SERVER>"),
            (&["http", "--max-body", "lots"], "\"lots\" is no size: use bytes, or 8k, 16M, 1G"),
            (&["completions", "tcsh"], "'tcsh' for '<SHELL>'; [possible values: bash, "),
        ] {
            let error = Options::try_parse_from([&["cgigate"], words].concat());
            let line = in_one_line(&error.expect_err("wrong usage"));
            assert!(line.contains(wanted) && !line.contains('\n'), "{line}");
            assert!(line.ends_with("; --help tells more"), "{line}");
        }
    }
}
