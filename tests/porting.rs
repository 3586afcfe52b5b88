//! `docs/porting.md` shows a WSGI application in Python and the same in Rust: what it shows is what
//! `examples/shoutbox.py` and `examples/shoutbox.rs` are, and these give the same answers.
#![cfg(unix)]
// All of this file is tests.
#![allow(clippy::unwrap_used)]
// Their `main` is for the program.
#![allow(dead_code)]

#[path = "../examples/shoutbox.rs"]
mod shoutbox;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The fenced blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn what_the_page_shows_is_in_the_files() {
    let page = read("docs/porting.md");
    for (language, file) in [("python", "examples/shoutbox.py"), ("rust", "examples/shoutbox.rs")] {
        let (blocks, text) = (blocks(&page, language), read(file));
        assert_eq!(blocks.len(), 4, "{language}");
        for block in blocks {
            assert!(text.contains(block), "{file} has no\n{block}");
        }
    }
}

/// A folder for what one of them keeps.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("shouts-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn shouts(&self) -> PathBuf {
        self.0.join("shouts.txt")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One CGI request, by the variables that a web server would set: stdout and stderr.
fn ask(
    program: &mut Command,
    folder: &Folder,
    [method, path, form]: [&str; 3],
) -> (String, String) {
    let vars = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("REQUEST_METHOD", method),
        ("SCRIPT_NAME", "/cgi-bin/shoutbox"),
        ("PATH_INFO", path),
        ("QUERY_STRING", ""),
    ];
    program.env_clear().envs(vars).env("SHOUTS", folder.shouts());
    if method == "POST" {
        program.env("CONTENT_TYPE", "application/x-www-form-urlencoded");
        program.env("CONTENT_LENGTH", form.len().to_string());
    }
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().unwrap();
    // Who answers without reading may be gone.
    let _ = child.stdin.take().unwrap().write_all(form.as_bytes());
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{program:?}: {}", String::from_utf8_lossy(&done.stderr));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr))
}

#[test]
fn both_give_the_same_answers() {
    let python = std::env::var_os("PYTHON").unwrap_or("/usr/bin/python3".into());
    if !Path::new(&python).exists() {
        // As in scripts/test, which says so.
        eprintln!("SKIPPED: the Python half of docs/porting.md, for there is no python3");
        return;
    }
    let twin = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shoutbox.py");
    let rust = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/shoutbox");
    let folders = [Folder::new("python"), Folder::new("rust")];
    let mut answers = 0;
    for (request, wanted) in [
        (["GET", "/", ""], "Status: 200 OK\r\n"),
        (["POST", "/", "text=one++two%0D%0Athree"], "Location: /cgi-bin/shoutbox/\r\n"),
        (
            ["POST", "/", "other=x&text=%3Cb%3E+%26+caf%C3%A9+%E2%98%83+%FF"],
            "Status: 303 See Other\r\n",
        ),
        (["POST", "/", "text=first&text=last"], "Content-Length: 0\r\n"),
        (["POST", "/", "text=+"], "Status: 400 Bad Request\r\n"),
        (["POST", "/", ""], "Say something.\n"),
        (["GET", "", ""], "<li>&lt;b&gt; &amp; café ☃ \u{fffd}</li>\n<li>last</li>\n</ul>\n"),
        (["GET", "/elsewhere", ""], "Status: 404 Not Found\r\n"),
    ] {
        let theirs = ask(Command::new(&python).arg(twin), &folders[0], request);
        let ours = ask(&mut Command::new(&rust), &folders[1], request);
        assert_eq!(theirs, ours, "{request:?}");
        assert!(ours.0.contains(wanted), "{request:?}: {}", ours.0);
        answers += 1;
    }
    assert_eq!(answers, 8);
    let [theirs, ours] = folders.each_ref().map(|folder| fs::read(folder.shouts()).unwrap());
    assert_eq!(theirs, ours);
}
