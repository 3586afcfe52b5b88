//! CGI: the environment is UTF-16, the streams are bytes.

use crate::testbed;
use std::{
    ffi::OsString,
    io::Write as _,
    os::windows::ffi::OsStringExt as _,
    process::{Command, Output, Stdio},
};

/// Every byte, with what text streams of Windows would change: line ends, and Ctrl-Z, their end.
fn bytes() -> Vec<u8> {
    let all: Vec<u8> = (0..=255).collect();
    [b"a\r\nb\nc\rd\n\r\x1a\0end\x1a\r\n", &all[..]].concat()
}

fn ask(vars: &[(&str, OsString)], body: &[u8]) -> Output {
    let mut command = Command::new(testbed());
    command.env("GATEWAY_INTERFACE", "CGI/1.1").env("SERVER_PROTOCOL", "HTTP/1.1");
    command.env("REQUEST_METHOD", "POST").env("CONTENT_LENGTH", body.len().to_string());
    command.env("SERVER_NAME", "localhost").env("SERVER_PORT", "80").env("SCRIPT_NAME", "");
    command.envs(vars.iter().map(|(name, value)| (name, value)));
    // Words of the query must never reach the command line's parser (RFC 3875 section 4.4).
    command.args(["http", "--version"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    child.wait_with_output().unwrap()
}

fn body(output: &Output) -> &[u8] {
    let stdout = &output.stdout;
    let blank = stdout.windows(4).position(|four| four == b"\r\n\r\n");
    &stdout[blank.unwrap_or_else(|| panic!("no header block: {output:?}")) + 4..]
}

fn variable(output: &Output, name: &str) -> Vec<u8> {
    let line = format!("{name}=");
    let lines = body(output).split(|&byte| byte == b'\n');
    let found = lines.filter_map(|found| found.strip_prefix(line.as_bytes())).next();
    found.unwrap_or_else(|| panic!("no {name}: {output:?}")).to_vec()
}

fn text(units: &str) -> OsString {
    units.into()
}

#[test]
fn a_body_passes_both_ways_as_it_is() {
    let output = ask(&[("PATH_INFO", text("/echo"))], &bytes());
    assert!(output.stdout.starts_with(b"Status: 200 OK\r\nContent-Type: "), "{output:?}");
    assert_eq!(body(&output), bytes());
    assert_eq!(output.status.code(), Some(0));
}

/// More than any pipe keeps, written whole before a byte of the answer is read.
#[test]
fn a_long_body_is_taken_before_the_answer_is_written() {
    let long = bytes().repeat(10_000);
    let output = ask(&[("PATH_INFO", text("/echo"))], &long);
    assert!(body(&output) == long);
}

#[test]
fn what_iis_says_in_utf16_comes_as_the_utf8_of_the_url() {
    for path in ["/z\u{fc}rich", "/\u{65e5}\u{672c}", "/\u{1f600}", "/a b/\u{fc}/\u{1f600}"] {
        let vars = [
            ("SERVER_SOFTWARE", text("Microsoft-IIS/10.0")),
            ("CGIGATE_APP", text("environ")),
            ("PATH_INFO", text(path)),
            ("HTTP_X_NAME", text("\u{fc}")),
        ];
        let output = ask(&vars, b"");
        assert_eq!(variable(&output, "PATH_INFO"), path.as_bytes(), "{path}");
        assert_eq!(variable(&output, "HTTP_X_NAME"), "\u{fc}".as_bytes());
    }
}

#[test]
fn iis_repeats_the_scripts_name_before_the_path() {
    let vars = [
        ("SERVER_SOFTWARE", text("Microsoft-IIS/10.0")),
        ("CGIGATE_APP", text("environ")),
        ("SCRIPT_NAME", text("/cgigate.exe")),
        ("PATH_INFO", text("/cgigate.exe/\u{65e5}")),
    ];
    let output = ask(&vars, b"");
    assert_eq!(variable(&output, "PATH_INFO"), "/\u{65e5}".as_bytes());
    let vars = [&vars[..], &[("CGIGATE_HANDLER", text("cgi"))]].concat();
    let output = ask(&vars, b"");
    assert_eq!(variable(&output, "PATH_INFO"), "/cgigate.exe/\u{65e5}".as_bytes());
}

#[test]
fn apache_says_a_character_a_byte() {
    let vars = [
        ("SERVER_SOFTWARE", text("Apache/2.4.58 (Win64)")),
        ("CGIGATE_APP", text("environ")),
        ("PATH_INFO", text("/z\u{c3}\u{bc}rich")),
    ];
    assert_eq!(variable(&ask(&vars, b""), "PATH_INFO"), "/z\u{fc}rich".as_bytes());
}

#[test]
fn half_a_surrogate_pair_is_a_question_mark() {
    let half = OsString::from_wide(&[u16::from(b'/'), 0xd83d, u16::from(b'x')]);
    let vars = [("CGIGATE_APP", text("environ")), ("PATH_INFO", half)];
    assert_eq!(variable(&ask(&vars, b""), "PATH_INFO"), b"/?x");
}

#[test]
fn a_proxy_that_a_client_named_is_nobodys() {
    let vars = [("CGIGATE_APP", text("environ")), ("HTTP_PROXY", text("http://evil/"))];
    assert!(!body(&ask(&vars, b"")).windows(10).any(|name| name == b"HTTP_PROXY"));
}

#[test]
fn an_answer_that_was_cut_short_exits_1() {
    let vars = [("PATH_INFO", text("/fault")), ("QUERY_STRING", text("when=after&how=panic"))];
    let output = ask(&vars, b"");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("panicked at"), "{output:?}");
}

#[test]
fn commands_that_need_sockets_say_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_cgigate")).arg("fastcgi").output().unwrap();
    let why = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(why.starts_with("cgigate: fastcgi: on Windows IIS starts it"), "{why}");
    let output = Command::new(env!("CARGO_BIN_EXE_cgigate")).arg("apps").output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"demo "), "{output:?}");
}
