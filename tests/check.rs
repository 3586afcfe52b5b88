//! `cgigate check`: fixtures replayed in process, and what is said of those that are answered
//! otherwise.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;

use built::example;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn check(executable: &Path, folders: &[&Path]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(executable).env_clear().arg("check").args(folders).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A folder for cases of a test, gone at its end.
struct Cases(PathBuf);

impl Cases {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Adds a request to `hello`, and what is expected of it.
    fn add(&self, name: &str, files: &[(&str, &str)]) -> &Self {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).unwrap();
        let environ = "REQUEST_METHOD=GET\nSERVER_PROTOCOL=HTTP/1.1\nCGIGATE_APP=hello\n";
        for (file, content) in [("environ", environ)].iter().chain(files) {
            fs::write(folder.join(file), content).unwrap();
        }
        self
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const HELLO: &str = "Status: 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 12\r\n\r\nHello World\n";

#[test]
fn the_projects_fixtures_are_answered_and_the_script_says_so_too() {
    let fixtures = Path::new(ROOT).join("fixtures/cgi");
    for executable in [example("testbed"), env!("CARGO_BIN_EXE_cgigate").into()] {
        let (code, said, _) = check(&executable, &[&fixtures]);
        let script = Command::new(Path::new(ROOT).join("scripts/check-fixtures"))
            .env("CGIGATE", &executable)
            .output()
            .unwrap();
        let script = String::from_utf8(script.stdout).unwrap();
        assert_eq!(said.lines().last(), script.lines().last(), "{said}\n{script}");
        assert_eq!(code, Some(0), "{said}");
    }
}

#[test]
fn a_difference_is_shown_and_counted() {
    let cases = Cases::new("check-differs");
    cases.add("right", &[("stdout", HELLO), ("app", "hello\n")]);
    cases.add("wrong", &[("stdout", &HELLO.replace("World", "W\u{f6}rld"))]);
    cases.add("exits", &[("stdout", HELLO), ("exit", "1\n")]);
    cases.add("silent", &[("stdout", HELLO), ("stderr", "oh\n")]);
    cases.add("other", &[("app", "nobody\n")]);
    cases.add("no/line", &[("environ", "A=1\nB\n")]);
    cases.add(".unfinished", &[]);
    let (code, said, _) = check(env!("CARGO_BIN_EXE_cgigate").as_ref(), &[&cases.0]);
    let said = said.replace(&format!("{}/", cases.0.display()), "");
    assert_eq!(
        said,
        "FAILED exits: as CGI, FastCGI, SCGI, uwsgi, HTTP: exit status 0 instead of 1\n\
         FAILED no/line: environ, line 2: no NAME=value\n\
         SKIPPED other: nobody is not linked\n\
         FAILED silent: as CGI: stderr lacks: oh\n\
         FAILED wrong: as CGI, FastCGI, SCGI, uwsgi, HTTP: stdout differs in line 5\n  \
         expected: \"Hello W\\xc3\\xb6rld\\n\"\n  \
         got:      \"Hello World\\n\"\n\
         1 passed, 4 failed, 1 skipped\n"
    );
    assert_eq!(code, Some(1));
}

#[test]
fn what_needs_a_process_of_its_own_has_one() {
    let cases = Cases::new("check-process");
    fs::write(cases.0.join("page.txt"), "a page\n").unwrap();
    let environ = format!(
        "REQUEST_METHOD=GET\nPATH_INFO=/page.txt\nCGIGATE_APP=files\nCGIGATE_FILES_ROOT={}\n",
        cases.0.display()
    );
    cases.add("file", &[("environ", &environ), ("stdout", "Status: 404 Not Found\r\n")]);
    let (code, said, _) = check(env!("CARGO_BIN_EXE_cgigate").as_ref(), &[&cases.0]);
    assert!(said.contains("got:      \"Status: 200 OK\\r\\n\""), "{said}");
    assert_eq!(code, Some(1));
}

#[test]
fn a_folder_that_cannot_be_read_is_wrong_usage() {
    let cases = Cases::new("check-empty");
    for (folder, why) in
        [(cases.0.join("none"), "No such file or directory"), (cases.0.clone(), "no fixture in it")]
    {
        let (code, said, error) = check(env!("CARGO_BIN_EXE_cgigate").as_ref(), &[&folder]);
        assert_eq!((code, &*said, error.lines().count()), (Some(2), "", 1), "{error}");
        assert!(
            error.starts_with(&format!("cgigate: check {}: {why}", folder.display())),
            "{error}"
        );
    }
    assert_eq!(check(env!("CARGO_BIN_EXE_cgigate").as_ref(), &[]).0, Some(2));
}
