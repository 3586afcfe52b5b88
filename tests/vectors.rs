//! The vectors: what CPython's own wsgiref answered, case by case, against this crate's public
//! face. The format of each file is in its `about`; where a case has `expect_315`, that is the
//! yardstick.
//!
//! `CGIGATE_VECTORS` names another folder than `fixtures/vectors`, such as `scripts/chance.py`
//! fills. A file, or a case, that nothing here knows how to run is a failure. What differs on purpose
//! does so by a rule of the crate's documentation (D1 to D41), which is a function of what is in the
//! case, and is checked: a case under a rule must come out as the rule says, not just otherwise.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unreachable_pub, reason = "each file has its face, though all is one test")]

#[path = "vectors/case.rs"]
mod case;
#[path = "vectors/demo_app.rs"]
mod demo_app;
#[path = "vectors/described.rs"]
mod described;
#[path = "vectors/given.rs"]
mod given;
#[path = "vectors/handlers.rs"]
mod handlers;
#[path = "vectors/headers.rs"]
mod headers;
#[path = "vectors/iis.rs"]
mod iis;
#[path = "vectors/read_environ.rs"]
mod read_environ;
#[path = "vectors/simple_server.rs"]
mod simple_server;
#[path = "vectors/util.rs"]
mod util;
#[path = "vectors/validate.rs"]
mod validate;

use case::{Case, Verdict};
use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// What runs the cases of a file, by the file's name.
fn runner(file: &str) -> Option<fn(&Case) -> Verdict> {
    Some(match file {
        "demo_app" => demo_app::run,
        "handlers" => handlers::run,
        "headers" => headers::run,
        "iis" => iis::run,
        "read_environ" => read_environ::run,
        "simple_server" => simple_server::run,
        "util" => util::run,
        "validate" => validate::run,
        _ => return None,
    })
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    differ: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn differing(&self) -> usize {
        self.differ.values().sum()
    }

    fn all(&self) -> usize {
        self.passed + self.failed + self.differing()
    }
}

fn run_file(path: &Path, wrong: &mut Vec<String>) -> Tally {
    let file = path.file_stem().unwrap().to_str().unwrap();
    let run = runner(file).unwrap_or_else(|| panic!("{file}: no runner for this file"));
    let mut tally = Tally::default();
    for case in &case::read(path) {
        // A panic of the code under test is a failure of this case, not the end of the run.
        let verdict = catch_unwind(AssertUnwindSafe(|| run(case))).unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
            Verdict::Wrong(format!("panicked: {}", said.unwrap_or("no message")))
        });
        match verdict {
            Verdict::Same => tally.passed += 1,
            Verdict::Differs(rule) => *tally.differ.entry(rule).or_default() += 1,
            Verdict::Wrong(why) => {
                tally.failed += 1;
                wrong.push(format!("{file}: {} {:?}: {why}", case.name, case.tags));
            }
        }
    }
    tally
}

#[test]
fn vectors() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors");
    let given = env::var_os("CGIGATE_VECTORS").map(PathBuf::from);
    // Cases that somebody else made may all be of the kind that differs.
    let ours = given.is_none();
    let folder = given.unwrap_or(default);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no vectors in {}", folder.display());

    let mut wrong = Vec::new();
    let (mut differ, mut all) = (0, 0);
    for path in &files {
        let tally = run_file(path, &mut wrong);
        let name = path.file_name().unwrap().display();
        // Past the harness, which shows nothing of a test that passes.
        writeln!(
            io::stderr(),
            "{name}: {} passed, {} failed, {} differ on purpose {:?}",
            tally.passed,
            tally.failed,
            tally.differing(),
            tally.differ
        )
        .unwrap();
        if path.ends_with("simple_server.json") {
            let few = tally.differing() * 100 <= tally.all() * 35;
            assert!(few || !ours, "{name}: too much differs");
        } else {
            differ += tally.differing();
            all += tally.all();
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    let few = differ * 100 <= all * 15;
    assert!(few || !ours, "{differ} of {all} differ: too many to be on purpose");
}
