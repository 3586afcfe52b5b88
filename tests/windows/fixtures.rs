//! The shared cases of CGI (`fixtures/cgi`), those that an environment of UTF-16 can say.

use crate::testbed;
use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// `NAME=value` lines; a TAB goes on with the last value. `None`: what cannot be said on Windows,
/// bytes that are no UTF-8 and two names that differ in case alone.
fn environ(file: &Path) -> Option<Vec<(String, String)>> {
    let text = String::from_utf8(fs::read(file).unwrap_or_default()).ok()?;
    let joined = text.replace("\n\t", "\0");
    let lines = joined.lines().filter_map(|line| line.split_once('='));
    let environ: Vec<(String, String)> =
        lines.map(|(name, value)| (name.into(), value.replace('\0', "\n"))).collect();
    let names = environ.iter().map(|(name, _)| name.to_ascii_uppercase());
    (names.collect::<BTreeSet<_>>().len() == environ.len()).then_some(environ)
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cgi");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    cases.sort();
    cases
}

/// The answer without what the system adds to every environment, and the length that comes of it.
fn clean(answer: &[u8]) -> Vec<u8> {
    const ADDED: [&[u8]; 4] = [b"Content-Length: ", b"SystemDrive", b"SystemRoot", b"WINE"];
    let lines = answer.split_inclusive(|&byte| byte == b'\n');
    let kept = lines.filter(|line| !ADDED.iter().any(|added| line.starts_with(added)));
    kept.flatten().copied().collect()
}

/// Whether it is the answer that is expected, with any date for `{DATE}`.
fn same(expected: &[u8], actual: &[u8]) -> bool {
    const PLACE: &[u8] = b"{DATE}";
    let Some(at) = expected.windows(PLACE.len()).position(|window| window == PLACE) else {
        return expected == actual;
    };
    let (before, after) = (&expected[..at], &expected[at + PLACE.len()..]);
    let rest = actual.strip_prefix(before);
    let date = rest.and_then(|rest| rest.split_at_checked("Sun, 06 Nov 1994 08:49:37 GMT".len()));
    date.is_some_and(|(_, rest)| same(after, rest))
}

#[test]
fn cases_of_cgi_are_answered_as_everywhere() {
    let (mut asked, mut wrong) = (0, Vec::new());
    for case in cases() {
        let Some(environ) = environ(&case.join("environ")) else { continue };
        let mut command = Command::new(testbed());
        let args = fs::read_to_string(case.join("args")).unwrap_or_default();
        command.args(args.lines()).env_clear().envs(environ);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Whoever answers without reading may have gone.
        let body = fs::read(case.join("stdin")).unwrap_or_default();
        let _ = child.stdin.take().unwrap().write_all(&body);
        let output = child.wait_with_output().unwrap();
        let exit = fs::read_to_string(case.join("exit")).unwrap_or("0".into());
        let exited = match exit.trim().parse() {
            // A signal's number, elsewhere.
            Ok(129..) => !output.status.success(),
            exit => output.status.code() == exit.ok(),
        };
        let stdout = fs::read(case.join("stdout")).unwrap_or_default();
        asked += 1;
        if !same(&clean(&stdout), &clean(&output.stdout)) || !exited {
            wrong.push(format!("{}: {output:?}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 100, "{asked} cases");
}
