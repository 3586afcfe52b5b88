//! The cases of `read_environ.json`.
//!
//! Python's result is a string a variable; ours is bytes (D35). They are compared as the bytes that
//! Python's string stands for: of the request's variables Latin-1, as PEP 3333 has it, of all others
//! what Python itself would make of it for the system, by the encoding that it decoded with; on
//! Windows, where the environment is text, its UTF-8.

use super::{
    case::{Case, Verdict, bytes_of, text_of},
    given::only_keys,
};
use cgigate::{
    Vars,
    handlers::{Encoding, needs_transcode, transcode_environ},
};
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    fmt::Write,
    process::{Command, Stdio},
};

pub fn run(case: &Case) -> Verdict {
    let input = &case.input;
    match text_of(&input["fn"]) {
        "needs_transcode" => {
            only_keys(input, &["fn", "name"]);
            let needs = needs_transcode(text_of(&input["name"]));
            Verdict::compare(&json!({"result": needs}), &case.expect)
        }
        "read_environ" => {
            only_keys(input, &["fn", "platform", "fsencoding", "environ"]);
            match text_of(&input["platform"]) {
                "posix" => posix(case),
                "win32" => windows(case),
                other => panic!("no platform {other:?}"),
            }
        }
        other => panic!("no function {other:?}"),
    }
}

/// In a process of its own, whose environment is the case's.
fn posix(case: &Case) -> Verdict {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "read_environ::in_a_process_of_its_own", "--ignored", "--nocapture"]);
    child.env_clear().stderr(Stdio::inherit());
    for (name, value) in case.input["environ"].as_object().expect("an environ") {
        child.env(native_os(name.as_bytes()), native_os(&bytes_of(value)));
    }
    let output = child.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    let pairs = output.lines().filter_map(|line| line.split_once(MARK)).map(|(_, pair)| pair);
    let pairs = pairs.map(|pair| pair.split_once(' ').unwrap());
    let vars: Vars = pairs.map(|(name, value)| (from_hex(name), from_hex(value))).collect();
    compare(case, &vars)
}

#[cfg(unix)]
fn native_os(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn native_os(_bytes: &[u8]) -> OsString {
    panic!("an environment of bytes is Unix's alone")
}

const MARK: &str = "read_environ: ";

#[test]
#[ignore = "run by the cases, each in an environment of its own"]
fn in_a_process_of_its_own() {
    // The harness may have begun this line.
    println!();
    for (name, value) in cgigate::handlers::read_environ().iter() {
        println!("{MARK}{} {}", to_hex(name), to_hex(value));
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn windows(case: &Case) -> Verdict {
    let environ = case.input["environ"].as_object().expect("an environ");
    let utf16 = |points: &Value| points_of(points).iter().flat_map(|&point| units(point)).collect();
    let pairs: Vec<_> =
        environ.iter().map(|(name, value)| (name.encode_utf16().collect(), utf16(value))).collect();
    let system = match text_of(&case.input["fsencoding"]) {
        "utf-8" => Encoding::Utf8,
        "cp1252" => Encoding::Windows1252,
        "latin-1" => Encoding::Latin1,
        "ascii" => Encoding::Ascii,
        other => panic!("no code page {other:?}"),
    };
    compare(case, &transcode_environ(&pairs, system))
}

/// A code point as UTF-16: a lone surrogate is itself.
fn units(point: u32) -> Vec<u16> {
    match char::from_u32(point) {
        Some(c) => c.encode_utf16(&mut [0; 2]).to_vec(),
        None => vec![u16::try_from(point).unwrap()],
    }
}

fn points_of(points: &Value) -> Vec<u32> {
    let point = |point: &Value| u32::try_from(point.as_u64().expect("a code point")).unwrap();
    points.as_array().expect("code points").iter().map(point).collect()
}

fn compare(case: &Case, vars: &Vars) -> Verdict {
    let Some(expect) = case.expect["environ"].as_object() else {
        return Verdict::Wrong(format!("{vars:?}\nwant {}", case.expect))
            // Half a surrogate pair fails no request: it is `?`, as wherever wsgiref replaces.
            .unless("D35", || {
                case.expect["raise"] == "UnicodeEncodeError" && is_utf8_of_input(case, vars)
            });
    };
    let is_windows = case.input["platform"] == "win32";
    let encoding = if is_windows { "utf-8" } else { text_of(&case.input["fsencoding"]) };
    // A `Proxy` field never gets as far as a variable.
    let kept = |(name, _): &(&String, &Value)| **name != "HTTP_PROXY";
    let kept = || expect.iter().filter(kept);
    let mut same = vars.len() == kept().count();
    let mut shown = String::new();
    for (name, points) in kept() {
        let points = points_of(points);
        let want = match needs_transcode(name) {
            true => points.iter().map(|&point| u8::try_from(point).ok()).collect(),
            false => encode(&points, encoding),
        };
        same &= want.is_some() && vars.get(name) == want.as_deref();
        writeln!(shown, "{name}: {points:?}").unwrap();
    }
    let verdict = match same {
        true if expect.contains_key("HTTP_PROXY") => Verdict::Differs("D20"),
        true => Verdict::Same,
        false => Verdict::Wrong(format!("{vars:?}\n{shown}")),
    };
    // A value that no server wrote as bytes becomes UTF-8: no character is lost.
    verdict.unless("D35", || {
        is_windows && expect.values().any(has_no_bytes) && is_utf8_of_input(case, vars)
    })
}

/// Whether a string of Python's is no "bytes as Latin-1".
fn has_no_bytes(points: &Value) -> bool {
    points_of(points).iter().any(|&point| point > 0xff)
}

/// Whether all values are the UTF-8 of what the environment had, `?` for half a surrogate pair.
fn is_utf8_of_input(case: &Case, vars: &Vars) -> bool {
    let mut environ = case.input["environ"].as_object().expect("an environ").iter();
    environ.all(|(name, points)| {
        let character = |point: u32| char::from_u32(point).unwrap_or('?');
        let text: String = points_of(points).into_iter().map(character).collect();
        vars.get(name) == Some(text.as_bytes())
    })
}

/// `os.fsencode`, with `surrogateescape`.
fn encode(points: &[u32], encoding: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for &point in points {
        match (point, encoding) {
            (0xdc80..=0xdcff, _) => bytes.push((point - 0xdc00) as u8),
            (0..=0x7f, _) => bytes.push(point as u8),
            (_, "utf-8") => {
                let character = char::from_u32(point)?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            (0..=0xff, "latin-1") => bytes.push(point as u8),
            _ => return None,
        }
    }
    Some(bytes)
}
