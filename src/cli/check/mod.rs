//! `check DIR...`: replays fixtures against the applications of this executable.
//!
//! Each is run in process as CGI, FastCGI, SCGI, uwsgi and HTTP would run it, under the validator, and
//! must be answered as it says. One that only a process of its own can answer (it dies, or has
//! settings that an application reads from the process environment) is run in one, as
//! `scripts/check-fixtures` runs them all; the two agree on every case, but for what a server has
//! refused that CGI does not: that the script skips.

mod replay;
mod wire;

use super::{
    Usage, own_name,
    terminal::{Colour, Count, Paint, Progress},
};
use crate::gateway::{
    Dispatcher, Gateway,
    fixture::{Difference, Fixture},
};
use anyhow::Context as _;
use clap::Args;
use replay::{Applications, Shape};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// What to replay.
#[derive(Args, Debug)]
pub(super) struct Check {
    /// A fixture, or a folder with fixtures in it or below it
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
}

/// What became of one case.
enum Verdict {
    Passed,
    /// Why, each reason in lines of its own.
    Failed(Vec<String>),
    Skipped(String),
}

pub(super) fn run(gateway: Gateway, check: &Check) -> anyhow::Result<ExitCode> {
    let mut folders = Vec::new();
    for folder in &check.folders {
        let before = folders.len();
        find(folder, &mut folders)
            .map_err(|error| Usage(format!("check {}: {error}", folder.display())))?;
        if folders.len() == before {
            let why = "no fixture in it: a fixture is a folder with a file `environ`";
            return Err(Usage(format!("check {}: {why}", folder.display())).into());
        }
    }
    let warnings = replay::Warnings::default();
    let mut gateway = replay::watched(gateway, &warnings);
    gateway.build()?;
    let names = gateway.apps().map(|(name, _)| name).collect();
    let (own_name, _) = own_name();
    let dispatcher = Dispatcher::new(gateway, None, own_name.as_deref(), u64::MAX);
    let apps = Applications { dispatcher: Arc::new(dispatcher), names, warnings };
    report(&folders, &apps)
}

/// The folders of all cases at `folder` and below it, in order.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if Fixture::is_at(folder) || is_conversation(folder) {
        found.push(folder.into());
        return Ok(());
    }
    let mut inner = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A recording that is not finished yet begins with a dot.
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().is_dir() {
            inner.push(entry.path());
        }
    }
    inner.sort();
    inner.iter().try_for_each(|folder| find(folder, found))
}

/// A raw conversation of a socket protocol.
fn is_conversation(folder: &Path) -> bool {
    folder.join("request").is_file() && folder.join("response").is_file()
}

/// Replays each case and says what is to be said of it.
fn report(folders: &[PathBuf], apps: &Applications) -> anyhow::Result<ExitCode> {
    let (paint, progress) = (Paint::of_stdout(), Progress::of(folders.len()));
    let mut count = Count::default();
    let mut out = io::stdout().lock();
    for (folder, number) in folders.iter().zip(1..) {
        let name = folder.display().to_string();
        progress.at(number, &name);
        let verdict = judge(folder, apps);
        progress.clear();
        let mut lines = String::new();
        match verdict {
            Verdict::Passed => count.passed += 1,
            Verdict::Skipped(why) => {
                count.skipped += 1;
                let word = paint.word(Colour::Quiet, "SKIPPED");
                lines = format!("{word} {name}: {why}\n");
            }
            Verdict::Failed(reasons) => {
                count.failed += 1;
                let word = paint.word(Colour::Bad, "FAILED");
                for reason in reasons {
                    lines.push_str(&format!("{word} {name}: {reason}\n"));
                }
            }
        }
        for warning in apps.warnings.take() {
            let word = paint.word(Colour::Quiet, "warning");
            lines.push_str(&format!("{word} {name}: {warning}\n"));
        }
        out.write_all(lines.as_bytes()).context("write what was found")?;
    }
    writeln!(out, "{}", count.line(paint)).context("write what was found")?;
    Ok(if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn judge(folder: &Path, apps: &Applications) -> Verdict {
    if is_conversation(folder) {
        return Verdict::Skipped("a conversation on a socket, not a request".into());
    }
    let fixture = match Fixture::read(folder) {
        Ok(fixture) => fixture,
        Err(error) => return Verdict::Failed(vec![error.to_string()]),
    };
    if let Some(app) = &fixture.app
        && !apps.names.contains(&app.as_str())
        && !replay::is_only_on_sockets(&fixture)
    {
        return Verdict::Skipped(match &fixture.refused {
            Some(why) => format!("{why}; not an application's answer"),
            None => format!("{app} is not linked"),
        });
    }
    // The same reason in several shapes is told once.
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for &shape in Shape::of(&fixture) {
        for reason in replay::wrong(&fixture, shape, apps) {
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, shapes)) => shapes.push(shape.name()),
                None => reasons.push((reason, vec![shape.name()])),
            }
        }
    }
    if reasons.is_empty() {
        return Verdict::Passed;
    }
    let told = reasons.iter().map(|(reason, shapes)| format!("as {}: {reason}", shapes.join(", ")));
    Verdict::Failed(told.collect())
}

/// Both sides of a difference, each in a line, from a little before the byte where they part.
fn show(Difference { line, expected, got }: Difference<'_>) -> String {
    const BEFORE: usize = 40;
    const SHOWN: usize = 160;
    let both = expected.unwrap_or_default().iter().zip(got.unwrap_or_default());
    let parting = both.take_while(|(a, b)| a == b).count();
    let from = if parting > SHOWN - BEFORE { parting - BEFORE } else { 0 };
    let side = |text: Option<&[u8]>| match text {
        None => "the end".into(),
        Some(text) => {
            let rest = &text[from.min(text.len())..];
            let (before, after) = (if from > 0 { "..." } else { "" }, rest.len() > SHOWN);
            let piece = rest[..rest.len().min(SHOWN)].escape_ascii();
            format!("\"{before}{piece}{}\"", if after { "..." } else { "" })
        }
    };
    format!(
        "stdout differs in line {line}\n  expected: {}\n  got:      {}",
        side(expected),
        side(got)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_in_printable_words_around_the_place() {
        let shown = show(Difference { line: 2, expected: Some(b"a\xe9\r\n"), got: None });
        assert_eq!(
            shown,
            "stdout differs in line 2\n  expected: \"a\\xe9\\r\\n\"\n  got:      the end"
        );
        let (long, other) = ([b'x'; 1000], [&[b'x'; 500][..], b"y"].concat());
        let shown = show(Difference { line: 1, expected: Some(&long), got: Some(&other) });
        assert!(shown.ends_with(&format!("got:      \"...{}y\"", "x".repeat(40))), "{shown}");
        assert!(shown.contains(&format!("expected: \"...{}...\"", "x".repeat(160))), "{shown}");
    }
}
