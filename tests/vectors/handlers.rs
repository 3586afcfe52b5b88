//! The cases of `handlers.json`: SimpleHandler and BaseCGIHandler here, CGIHandler and
//! IISCGIHandler as a process of its own.
//!
//! What differs on purpose is in `rules.rs`: it turns CPython's answer into the one that the rules
//! demand, and nothing else passes.

mod rules;

use super::{
    case::{Case, Verdict, bytes_of, text_of},
    described::{Described, attributes, raised},
};
use cgigate::{
    handlers::{BaseCgiHandler, SimpleHandler},
    types::{Vars, to_native},
};
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, SystemTime},
};

/// What came of a case: `expect` of the vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub stdout: String,
    /// `None` for a body that has no `close()`.
    pub closed: Option<u64>,
    /// The last line of the error stream.
    pub error: Option<String>,
    /// What `run` raised; of a process its exit status.
    pub run: Option<String>,
    pub called: u64,
    /// The environ, as far as the vectors show it.
    pub seen: Value,
    pub input: Option<String>,
}

pub fn run(case: &Case) -> Verdict {
    for key in case.input.as_object().expect("an input").keys() {
        let known = ["handler", "environ", "stdin", "app"].contains(&key.as_str());
        assert!(known, "no case has {key:?}");
    }
    let python = python(case);
    let (rule, ours) = rules::applied(case, &python);
    let got = if is_process(case) { process(case) } else { in_process(case) };
    match (Verdict::compare(&got, &ours), rule) {
        (Verdict::Same, Some(rule)) => Verdict::Differs(rule),
        (verdict, _) => verdict,
    }
}

pub fn is_process(case: &Case) -> bool {
    match text_of(&case.input["handler"]["kind"]) {
        "SimpleHandler" | "BaseCGIHandler" => false,
        "CGIHandler" | "IISCGIHandler" => true,
        other => panic!("no handler is a {other:?}"),
    }
}

/// What CPython did, in our words.
fn python(case: &Case) -> Answer {
    let Case { expect, .. } = case;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Answer {
        stdout: text_of(&expect["stdout"]).to_owned(),
        closed: expect["closed"].as_u64(),
        error: text(&expect["error"]).map(|line| words(case, &line)),
        run: match &expect["run"] {
            Value::Null => None,
            Value::Number(status) => Some(status.to_string()),
            raise => {
                let (kind, message) = (text_of(&raise["raise"]), text_of(&raise["message"]));
                Some(words(case, &format!("{kind}: {message}")))
            }
        },
        called: expect["called"].as_u64().expect("a number of calls"),
        seen: expect["seen"].clone(),
        input: text(&expect["input"]),
    }
}

/// The last line of a traceback in the words of our log.
///
/// - A rule of wsgiref's own that was broken is an AssertionError or a ValueError there, and a
///   `Violation` here, whose words are the same without Python's name of the type. What the
///   application raises keeps its type, as its words.
/// - One entry of our log is one line, its control characters escaped (D34), where a traceback
///   ends with the last line of the message.
/// - A response that was never started fails by accident in CPython's last step, and has the words
///   of every other such failure here (D41).
fn words(case: &Case, line: &str) -> String {
    const NEVER_STARTED: &str = "AttributeError: 'NoneType' object has no attribute 'setdefault'";
    let app = &case.input["app"];
    let kind = app["raise_type"].as_str().unwrap_or("RuntimeError");
    let message = app["raise_message"].as_str().unwrap_or(text_of(&app["raise"]));
    let raised = raised(kind, message).to_string();
    if app["raise"] != "none" && raised.lines().last() == Some(line) {
        return escaped(&raised);
    }
    if line == NEVER_STARTED {
        return "write() before start_response()".to_owned();
    }
    let ours = ["AssertionError: ", "ValueError: "].iter().find_map(|kind| line.strip_prefix(kind));
    escaped(ours.unwrap_or(line))
}

/// As it stands in the log.
pub fn escaped(text: &str) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => c.to_string(),
    };
    text.chars().map(escape).collect()
}

/// The environ as the vectors show it: `wsgi.*`, and these variables where they are set.
fn seen(record: &Value) -> Value {
    let mut seen = record["seen"].clone();
    let Some(keys) = seen.as_object_mut() else { return seen };
    if keys["wsgi.file_wrapper"] == json!(false) {
        keys.remove("wsgi.file_wrapper");
    }
    for name in ["SERVER_SOFTWARE", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X"] {
        if let Some(value) = record["environ"].get(name) {
            keys.insert(name.to_owned(), value.clone());
        }
    }
    seen
}

fn answer(
    case: &Case,
    stdout: &[u8],
    stderr: &[u8],
    run: Option<String>,
    record: &Value,
) -> Answer {
    let app = &case.input["app"];
    let stderr = String::from_utf8_lossy(stderr);
    Answer {
        stdout: masked(stdout),
        closed: app["close"].as_bool().and_then(|has| has.then(|| record["closed"].as_u64())?),
        error: stderr.lines().last().map(str::to_owned),
        run,
        called: record["called"].as_u64().expect("a number of calls"),
        seen: seen(record),
        input: record["input"].as_str().map(str::to_owned),
    }
}

/// The date that was made just now, which follows the status line, as `{DATE}`.
fn masked(stdout: &[u8]) -> String {
    let text = to_native(stdout).into_owned();
    let Some((status, rest)) = text.split_once("\r\nDate: ") else { return text };
    let Some((date, rest)) = rest.split_once("\r\n") else { return text };
    let recent = httpdate::parse_http_date(date).ok().and_then(|date| {
        let age = SystemTime::now().duration_since(date).ok()?;
        Some(age < Duration::from_secs(3600))
    });
    match recent {
        Some(true) if !status.contains("\r\n") => format!("{status}\r\nDate: {{DATE}}\r\n{rest}"),
        _ => text,
    }
}

fn in_process(case: &Case) -> Answer {
    let (handler, app) = (&case.input["handler"], Described::new(&case.input["app"]));
    let environ = case.input["environ"].as_object().expect("an environ");
    let environ: Vars = environ.iter().map(|(name, value)| (name, bytes_of(value))).collect();
    let stdin = bytes_of(&case.input["stdin"]);
    let (mut stdout, mut stderr) = (Stdout::new(&handler["stdout"]), Vec::new());
    let simple = match text_of(&handler["kind"]) {
        "SimpleHandler" => SimpleHandler::new(&stdin[..], &mut stdout, &mut stderr, environ),
        _ => BaseCgiHandler::new(&stdin[..], &mut stdout, &mut stderr, environ),
    };
    let attributes = attributes(simple.attributes.clone(), handler);
    let run = simple.with(attributes).run(&app).err().map(|exc| exc.to_string());
    answer(case, &stdout.taken, &stderr, run, &app.record.to_json())
}

/// A stdout that does as `handler.stdout` says.
struct Stdout {
    taken: Vec<u8>,
    partial: Option<usize>,
    fails: Option<String>,
    error: String,
}

impl Stdout {
    fn new(told: &Value) -> Self {
        for (key, value) in told.as_object().into_iter().flatten() {
            let known = match key.as_str() {
                "partial" | "error" => true,
                "fail" => ["write", "flush"].contains(&text_of(value)),
                _ => false,
            };
            assert!(known, "no stdout does {key:?}: {value}");
        }
        Self {
            taken: Vec::new(),
            partial: told["partial"].as_u64().map(|most| most.try_into().unwrap()),
            fails: told["fail"].as_str().map(str::to_owned),
            error: told["error"].as_str().unwrap_or_default().to_owned(),
        }
    }

    fn fail_if(&self, what: &str) -> io::Result<()> {
        if self.fails.as_deref() != Some(what) {
            return Ok(());
        }
        let exc = raised(&self.error, "stdout");
        Err(exc.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error))
    }
}

impl Write for Stdout {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.fail_if("write")?;
        let n = self.partial.map_or(data.len(), |most| most.min(data.len()));
        self.taken.extend_from_slice(&data[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.fail_if("flush")
    }
}

/// The executable `described`, with the case's environment and no other.
fn process(case: &Case) -> Answer {
    let (handler, app) = (&case.input["handler"], &case.input["app"]);
    assert!(handler["stdout"].is_null(), "no process has a stdout of its own");
    let folder = Folder::new();
    let told = json!({ "handler": handler, "app": app }).to_string();
    fs::write(folder.0.join("case.json"), told).unwrap();
    fs::write(folder.0.join("stdin"), bytes_of(&case.input["stdin"])).unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples/described");
    assert!(built.exists(), "no {}: cargo build --example described", built.display());
    let mut command = Command::new(built);
    command.env_clear().env("CGIGATE_CASE", &folder.0);
    if handler["kind"] == "IISCGIHandler" {
        command.env("CGIGATE_HANDLER", "iis");
    }
    for (name, value) in case.input["environ"].as_object().expect("an environ") {
        command.env(name, OsString::from_vec(bytes_of(value)));
    }
    command.stdin(fs::File::open(folder.0.join("stdin")).unwrap());
    let done = command.output().expect("the executable");
    let record = fs::read(folder.0.join("record.json"));
    let record = record.unwrap_or_else(|_| panic!("no record was left: {done:?}"));
    let status = done.status.code().map(|status| status.to_string());
    let record = serde_json::from_slice(&record).unwrap();
    answer(case, &done.stdout, &done.stderr, status, &record)
}

/// A folder that goes away with its case.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cgigate-vector-{}-{}", process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
