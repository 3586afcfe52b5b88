//! `conform ADDR`: the rules of FastCGI, turned on any responder.
//!
//! | | |
//! |---|---|
//! | here | which of the checks are wanted, and what is said of each |
//! | `checks.rs` | the rules, and beside it what each check does |
//! | `responder.rs` | whom they ask, and how it answers in the plainest way |
//! | `records.rs` | what it is sent |
//! | `wire.rs` | one connection with a limit for everything, and records as they come |
//!
//! What a responder answers is its application's affair; that it answers, and in which records, is
//! the protocol's. Nothing here waits longer than it was told to.

mod checks;
mod records;
mod responder;
mod wire;

use super::{
    Usage,
    get::request::{add_params, made_up},
    terminal::{Colour, Count, Paint, Progress},
    values::duration,
};
use crate::{fcgi::Role, net::Destination};
use anyhow::Context as _;
use checks::CHECKS;
use clap::Args;
use responder::Responder;
use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

/// Whom to check, and by which request.
#[derive(Args, Debug)]
pub(super) struct Conform {
    /// Where the responder listens: 127.0.0.1:9000, :9000, host:9000, unix:/path, unix:@name
    #[arg(value_name = "ADDR")]
    responder: Destination,
    /// What is asked for: a PATH[?QUERY] that is answered at once, GET and POST
    #[arg(long, env = "CGIGATE_PATH", default_value = "/")]
    path: OsString,
    /// A parameter as it is sent, over the one made up; repeatable. php-fpm wants
    /// SCRIPT_FILENAME=/path/of.php [env: CGIGATE_PARAM, white space between]
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<OsString>,
    /// How long each check may take
    #[arg(long, env = "CGIGATE_TIMEOUT", value_name = "D", value_parser = duration,
          default_value = "5s")]
    timeout: Duration,
    /// Only the checks whose names have this in them
    #[arg(long, env = "CGIGATE_ONLY", value_name = "WORD")]
    only: Option<String>,
}

/// What came of a check.
type Outcome = Result<(), Miss>;

/// Why a check has not passed.
#[derive(Debug)]
enum Miss {
    /// What it did instead of what the specification says.
    Failed(String),
    /// Why there was nothing to check.
    Skipped(String),
}

impl<E: std::error::Error> From<E> for Miss {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// One rule.
struct Check {
    name: &'static str,
    /// Of the FastCGI specification.
    section: &'static str,
    /// What a responder does.
    rule: &'static str,
    run: fn(&Responder<'_>) -> Outcome,
}

pub(super) fn run(conform: &Conform) -> anyhow::Result<ExitCode> {
    let Conform { responder: destination, path, param, timeout, only } = conform;
    let mut params = made_up(path, "GET", Role::Responder)?;
    add_params(&mut params, param)?;
    let params = params.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
    if timeout.is_zero() {
        return Err(Usage("--timeout: longer than nothing, please".into()).into());
    }
    let what = || format!("conform {destination}");
    // Nobody there is another thing than somebody who does it wrong.
    drop(destination.connect(Some(*timeout)).context("connect").with_context(what)?);
    let responder = Responder::new(destination, *timeout, params);
    let wanted = |check: &&Check| only.as_ref().is_none_or(|word| check.name.contains(&**word));
    let checks: Vec<_> = CHECKS.iter().filter(wanted).collect();
    if checks.is_empty() {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        let why = format!("--only: no check has that in its name; there are {}", names.join(", "));
        return Err(Usage(why).into());
    }
    report(&responder, &checks)
}

fn report(responder: &Responder<'_>, checks: &[&Check]) -> anyhow::Result<ExitCode> {
    let (paint, progress) = (Paint::of_stdout(), Progress::of(checks.len()));
    let mut count = Count::default();
    let mut out = io::stdout().lock();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    for (check, number) in checks.iter().zip(1..) {
        progress.at(number, check.name);
        let outcome = (check.run)(responder);
        progress.clear();
        let (word, why) = match outcome {
            Ok(()) => {
                count.passed += 1;
                (paint.word(Colour::Good, "passed "), None)
            }
            Err(Miss::Failed(why)) => {
                count.failed += 1;
                (paint.word(Colour::Bad, "FAILED "), Some(why))
            }
            Err(Miss::Skipped(why)) => {
                count.skipped += 1;
                (paint.word(Colour::Quiet, "SKIPPED"), Some(why))
            }
        };
        let Check { name, section, rule, .. } = check;
        let why = why.map(|why| format!("\n          {why}")).unwrap_or_default();
        writeln!(out, "{word} {name:width$}  {section:4} {rule}{why}").context("write")?;
    }
    writeln!(out, "{}", count.line(paint)).context("write")?;
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
