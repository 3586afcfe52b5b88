//! The cases of `iis.json`: the pure function, and the executable told to be IISCGIHandler.

use super::case::{Case, Verdict, bytes_of};
use cgigate::{
    handlers::strip_script_name,
    types::{Vars, to_native},
};
use serde_json::Value;
use std::{ffi::OsString, os::unix::ffi::OsStringExt, process::Command};

pub fn run(case: &Case) -> Verdict {
    let mut vars = Vars::default();
    for (name, value) in case.input.as_object().expect("an input") {
        assert!(["SCRIPT_NAME", "PATH_INFO"].contains(&name.as_str()), "no case sets {name:?}");
        if !value.is_null() {
            vars.set(name, bytes_of(value));
        }
    }
    let expected = &case.expect["PATH_INFO"];
    let expected = (!expected.is_null()).then(|| bytes_of(expected));
    let told = ask(&case.input);
    strip_script_name(&mut vars);
    let pure = vars.get("PATH_INFO").map(<[u8]>::to_vec);
    let show = |path: &Option<Vec<u8>>| path.as_deref().map(|path| to_native(path).into_owned());
    Verdict::compare(&[show(&pure), show(&told)], &[show(&expected), show(&expected)])
}

/// The PATH_INFO that `environ` prints under IISCGIHandler.
fn ask(input: &Value) -> Option<Vec<u8>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    command.env_clear();
    command.envs([
        ("REQUEST_METHOD", "GET"),
        ("CGIGATE_APP", "environ"),
        ("CGIGATE_HANDLER", "iis"),
    ]);
    for name in ["SCRIPT_NAME", "PATH_INFO"] {
        if !input[name].is_null() {
            command.env(name, OsString::from_vec(bytes_of(&input[name])));
        }
    }
    let answer = command.output().expect("the executable");
    assert!(answer.status.success() && answer.stderr.is_empty(), "{answer:?}");
    let end = answer.stdout.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    // The variables are sorted; a path may have line ends of its own.
    let (body, next) = (&answer.stdout[end + 4..], b"\nREQUEST_METHOD=GET\n");
    let Some(path) = body.strip_prefix(b"PATH_INFO=") else {
        assert!(body.starts_with(&next[1..]), "{answer:?}");
        return None;
    };
    let end = path.windows(next.len()).position(|window| window == next).expect("the next");
    Some(path[..end].to_vec())
}
