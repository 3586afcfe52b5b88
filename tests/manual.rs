//! `man`, `completions` and `--help`: what tells people how to use the rest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

fn cgigate(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    let Output { status, stdout, .. } = command.env_clear().args(args).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap())
}

/// What a program says to `text`, if there is such a program here.
fn given(program: &str, args: &[&str], text: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED: there is no {program}");
        return None;
    };
    let (mut stdin, text) = (child.stdin.take().unwrap(), text.to_owned());
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let done = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    Some(done)
}

#[test]
fn the_page_renders_without_a_warning_and_has_every_command() {
    let (code, page) = cgigate(&["man"]);
    assert_eq!(code, Some(0));
    for heading in [".SH NAME", ".SH ENVIRONMENT", ".SH \"EXIT STATUS\"", ".SH SIGNALS"] {
        let plain = heading.replace('"', "");
        assert!(page.lines().any(|line| line.replace('"', "") == plain), "{heading}");
    }
    let Some(done) = given("groff", &["-man", "-Tascii", "-ww", "-P-cbou"], &page) else { return };
    let (shown, warned) = (String::from_utf8_lossy(&done.stdout), done.stderr);
    assert!(warned.is_empty(), "{}", String::from_utf8_lossy(&warned));
    for command in ["fastcgi", "http", "get", "config", "check", "man", "completions"] {
        assert!(shown.contains(&format!("cgigate {command}")), "{command}");
    }
    for words in ["--max-body", "CGIGATE_FILES_ROOT", "wrong usage", "cgigate get -d @body.json"] {
        assert!(shown.contains(words), "{words}");
    }
}

#[test]
fn shells_take_their_completions() {
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let (code, script) = cgigate(&["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(script.contains("max-body") && script.contains("record-secrets"), "{shell}");
        if let Some(done) = given(shell, check, &script) {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
    }
    assert_eq!(cgigate(&["completions", "cmd"]).0, Some(2));
}

#[test]
fn help_teaches() {
    let (code, help) = cgigate(&["--help"]);
    assert_eq!(code, Some(0));
    for words in
        ["Examples:", "Exit status:", "Environment:", "CGIGATE_FILES_ROOT", "2  wrong usage"]
    {
        assert!(help.contains(words), "{words}: {help}");
    }
    let too_long = help.lines().find(|line| line.chars().count() > 110);
    assert_eq!(too_long, None);
    assert!(!help.contains('\x1b'), "no colours where there is no terminal");
    let (_, short) = cgigate(&["-h"]);
    assert!(short.lines().count() < 30 && short.contains("cgigate --help"), "{short}");
    for command in ["cgi", "fastcgi", "http", "get", "config", "check", "completions"] {
        let (code, help) = cgigate(&[command, "--help"]);
        assert!(code == Some(0) && help.contains("Examples:"), "{command}: {help}");
    }
}

#[test]
fn each_application_has_a_line() {
    let (code, apps) = cgigate(&["apps"]);
    assert_eq!(code, Some(0));
    for line in apps.lines() {
        let (name, about) = line.split_once("  ").expect("NAME  description");
        assert!(!name.contains(' ') && about.trim() == about && !about.is_empty(), "{line}");
    }
    assert!(apps.contains("hello  Hello World\n"), "{apps}");
}
