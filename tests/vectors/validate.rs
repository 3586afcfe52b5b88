//! The cases of `validate.json`: a described application under the validator, and a described
//! server that drives it.

use super::{
    case::{Case, Verdict, bytes_of, list_of, text_of},
    described::{Described, Raised},
};
use cgigate::{
    Application, Body, Environ, Exception, StartResponse, Vars,
    types::{
        ErrorStream, HeaderIter, InputStream, Request, Scheme, Violation, Wsgi, from_native,
        to_native,
    },
    validate::{AssertionError, WsgiWarning, validator},
};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
};

/// The keys that are fields here, which nobody can leave out (row V24).
const FIELDS: [&str; 7] = [
    "wsgi.version",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
    "wsgi.url_scheme",
];

pub fn run(case: &Case) -> Verdict {
    if let Err(why) = known(&case.input) {
        return Verdict::Wrong(why);
    }
    let Some(vars) = vars(&case.input["environ"]) else {
        return Verdict::Wrong("a variable is no native string".into())
            .unless("D35", || has_wide_character(&case.input["environ"]));
    };
    let outcome = drive(&case.input, vars);
    let rule = outcome.differs(case);
    match Verdict::compare(&outcome.seen, &case.expect) {
        Verdict::Same if outcome.added.is_empty() => Verdict::Same,
        // What wsgiref does not look at is warned of (row V55).
        Verdict::Same if outcome.added.iter().all(|added| is_due(added, &case.input)) => {
            Verdict::Differs("D33")
        }
        Verdict::Same => Verdict::Wrong(format!("warned of {:?}", outcome.added)),
        wrong => match rule {
            Some(rule) => Verdict::Differs(rule),
            None => wrong,
        },
    }
}

fn known(input: &Value) -> Result<(), String> {
    let keys = |value: &Value, known: &[&str]| {
        let object = value.as_object().ok_or("no object")?;
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("nothing here knows {key:?}")),
            None => Ok(()),
        }
    };
    keys(input, &["environ", "app", "server"])?;
    keys(&input["server"], &["consume", "close", "read_after_close"])
}

/// The variables; `None` if one of them is no native string.
fn vars(environ: &Value) -> Option<Vars> {
    let mut vars = Vars::default();
    for (name, value) in environ.as_object()? {
        // Other keys with a dot are extensions, of any type: no business of the validator's.
        if !name.contains('.') {
            vars.set(from_native(name)?, from_native(value.as_str()?)?);
        }
    }
    Some(vars)
}

fn has_wide_character(value: &Value) -> bool {
    match value {
        Value::String(text) => from_native(text).is_none(),
        Value::Array(values) => values.iter().any(has_wide_character),
        Value::Object(values) => values.values().any(has_wide_character),
        _ => false,
    }
}

/// What came of a case.
struct Outcome {
    /// As `expect` has it.
    seen: Value,
    violation: Option<Violation>,
    /// Warnings that wsgiref does not know.
    added: Vec<WsgiWarning>,
}

/// The described server: its `start_response`, and what it received.
#[derive(Default)]
struct Server {
    head: Option<(Vec<u8>, Value)>,
    body: Vec<Value>,
}

impl StartResponse for Server {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        _: Option<Exception>,
    ) -> Result<(), Exception> {
        let headers = headers.map(|(name, value)| json!([to_native(name), to_native(value)]));
        self.head = Some((status.to_vec(), headers.collect()));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Exception> {
        self.body.push(json!(to_native(data)));
        Ok(())
    }
}

fn drive(input: &Value, mut vars: Vars) -> Outcome {
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&warnings);
    let app = Described::new(&input["app"]);
    let app = validator(app).warn(move |warning| heard.lock().unwrap().push(warning));

    let environ = &input["environ"];
    let flag = |key: &str| environ[key].as_bool().unwrap_or_default();
    let https = environ["wsgi.url_scheme"] == "https";
    let wsgi = Wsgi {
        version: (1, 0),
        url_scheme: if https { Scheme::Https } else { Scheme::Http },
        multithread: flag("wsgi.multithread"),
        multiprocess: flag("wsgi.multiprocess"),
        run_once: flag("wsgi.run_once"),
        file_wrapper: environ.get("wsgi.file_wrapper").is_some(),
    };
    let (mut stdin, mut stderr, request) = (io::empty(), io::sink(), Request::default());
    let (stdin, stderr) = (InputStream::Lent(&mut stdin), ErrorStream::Lent(&mut stderr));
    let environ = Environ::new(&mut vars, stdin, stderr, wsgi, &request);

    let mut server = Server::default();
    let (failed, body) = match app.call(environ, &mut server) {
        Ok(body) => serve(&input["server"], body, &mut server),
        Err(exc) => (Some(("call", exc)), None),
    };
    let before_drop = warnings.lock().unwrap().len();
    drop(body);
    let mut warnings = std::mem::take(&mut *warnings.lock().unwrap());
    let dropped: String =
        warnings.drain(before_drop..).map(|warning| warning.to_string()).collect();

    let (added, warnings): (Vec<_>, Vec<_>) = warnings.into_iter().partition(is_added);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let raised = failed.as_ref().map(|(_, exc)| python(exc));
    let (status, headers) = server.head.unzip();
    let seen = json!({
        "raise": raised.as_ref().map(|(kind, _)| kind),
        "message": raised.as_ref().map(|(_, message)| message),
        "stage": failed.as_ref().map(|(stage, _)| stage),
        "status": status.map(|status| to_native(&status).into_owned()),
        "headers": headers,
        "warnings": warnings,
        "body": server.body,
        "stderr": dropped,
        "dropped": Some(dropped.as_str()).filter(|dropped| !dropped.is_empty()),
    });
    let violation = failed.and_then(|(_, exc)| exc.downcast::<AssertionError>().ok());
    Outcome { seen, violation: violation.map(|error| error.0), added }
}

/// The first exception, with where it came.
type Failed = Option<(&'static str, Exception)>;

/// Does with a body what the case says, and gives back what is left of it.
fn serve<'r>(how: &Value, body: Body<'r>, server: &mut Server) -> (Failed, Option<Body<'r>>) {
    let Body::Blocks(mut blocks) = body else {
        panic!("no described application returns {body:?}");
    };
    let mut failed: Failed = None;
    let mut note = |stage, result: Result<(), Exception>| {
        if let (Err(exc), None) = (result, &failed) {
            failed = Some((stage, exc));
        }
    };
    let consume = how["consume"].as_i64().unwrap();
    if consume != 0 {
        let mut iterate = || {
            blocks.begin(server)?;
            let mut left = u64::try_from(consume).unwrap_or(u64::MAX);
            while left > 0 {
                let Some(block) = blocks.next_block()? else { break };
                server.body.push(json!(to_native(block)));
                left -= 1;
            }
            Ok(())
        };
        note("iterate", iterate());
    }
    if how["close"].as_bool().unwrap() {
        note("close", blocks.close());
    }
    if how["read_after_close"].as_bool().unwrap() {
        // A Python iterable has no `begin` that a server could leave out.
        if consume == 0 && !how["close"].as_bool().unwrap() {
            note("after_close", blocks.begin(server));
        }
        note("after_close", blocks.next_block().map(drop));
    }
    (failed, Some(Body::Blocks(blocks)))
}

/// The exception in Python's words.
fn python(exc: &Exception) -> (String, String) {
    if let Some(AssertionError(violation)) = exc.downcast_ref() {
        return ("AssertionError".into(), violation.to_string());
    }
    let io = exc.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let raised = exc.downcast_ref::<Raised>().or_else(|| io?.downcast_ref());
    match raised {
        Some(raised) => (raised.kind.clone(), raised.message.clone()),
        None => ("an error that is not Python's".into(), exc.to_string()),
    }
}

fn is_added(warning: &WsgiWarning) -> bool {
    !matches!(
        warning,
        WsgiWarning::QueryString | WsgiWarning::RequestMethod(_) | WsgiWarning::Status(_)
    )
}

/// Whether the case gives reason for a warning that wsgiref does not know.
fn is_due(warning: &WsgiWarning, input: &Value) -> bool {
    let (environ, app) = (&input["environ"], &input["app"]);
    let heads = [&app["headers"], &app["second"][1]];
    let fields: Vec<_> = heads.into_iter().flat_map(list_of).collect();
    let statuses = [&app["status"], &app["second"][0]];
    let name_is = |wanted: &[u8]| fields.iter().any(|field| bytes_of(&field[0]) == wanted);
    let absent = |key: &str| environ[key].as_str().is_none_or(str::is_empty);
    match warning {
        WsgiWarning::EnvironKey(key) => absent(key),
        WsgiWarning::StatusControl(status) => {
            status.iter().any(u8::is_ascii_control)
                && statuses.iter().any(|given| given.is_string() && bytes_of(given) == *status)
        }
        WsgiWarning::HopByHop(name) => cgigate::util::is_hop_by_hop(name) && name_is(name),
        WsgiWarning::Repeated(name) => {
            let same = |field: &&&Value| bytes_of(&field[0]).eq_ignore_ascii_case(name);
            fields.iter().filter(same).count() > 1
        }
        WsgiWarning::HeaderValue(value) => {
            value.iter().any(|byte| b"\t\x7f".contains(byte))
                && fields.iter().any(|field| bytes_of(&field[1]) == *value)
        }
        WsgiWarning::ContentLength { declared, sent } => {
            *declared != sent.to_string().into_bytes()
                && fields.iter().any(|field| bytes_of(&field[1]) == *declared)
        }
        WsgiWarning::Content("HEAD") => environ["REQUEST_METHOD"] == "HEAD",
        WsgiWarning::Content(code) => statuses.iter().any(|given| {
            given.as_str().is_some_and(|status| status.trim_start().starts_with(code))
        }),
        WsgiWarning::FileWrapper => environ.get("wsgi.file_wrapper").is_none(),
        _ => false,
    }
}

impl Outcome {
    fn raised(&self, kind: impl FnOnce(&Violation) -> bool) -> bool {
        self.violation.as_ref().is_some_and(kind)
    }

    /// The rule by which the port differs in a case like this, if it does so as the rule says.
    fn differs(&self, case: &Case) -> Option<&'static str> {
        let environ = self.differs_in_environ(case);
        environ.or_else(|| self.differs_in_status(case)).or_else(|| self.differs_in_fields(case))
    }

    fn differs_in_environ(&self, case: &Case) -> Option<&'static str> {
        let environ = &case.input["environ"];
        let (raise, message) = expected(case);
        let absent_and_named =
            |key: &str| environ.get(key).is_none() && message.ends_with(&format!("'{key}'"));

        // Fields that cannot be absent, and an enum that has no third value.
        let scheme = environ["wsgi.url_scheme"].as_str();
        let other_scheme = !matches!(scheme, Some("http" | "https"));
        if FIELDS.into_iter().any(absent_and_named)
            || (message.starts_with("wsgi.url_scheme unknown: ") && other_scheme)
        {
            return Some("static in Rust");
        }
        // Plain digits of at most 64 bits.
        let length = environ["CONTENT_LENGTH"].as_str().unwrap_or_default();
        let plain = length.bytes().all(|byte| byte.is_ascii_digit());
        if !(length.is_empty() || plain && length.parse::<u64>().is_ok())
            && self.raised(|violation| matches!(violation, Violation::ContentLength(_)))
        {
            return Some("D2");
        }
        // What is absent may be empty, and is no reason to stumble.
        let key = ["SCRIPT_NAME", "PATH_INFO"].into_iter().find(|key| absent_and_named(key))?;
        let told = raise == "KeyError" && self.added.contains(&WsgiWarning::EnvironKey(key));
        told.then_some("D33")
    }

    fn differs_in_status(&self, case: &Case) -> Option<&'static str> {
        let app = &case.input["app"];
        let (raise, message) = expected(case);
        let not_started = self.raised(|violation| *violation == Violation::NotStarted);

        // Strings are bytes.
        let refused = self.seen["raise"] == "UnicodeEncodeError";
        if has_wide_character(app) && (refused || (app["swallow"] == true && not_started)) {
            return Some("D35");
        }
        // A code that is no number is one rule broken, not an error of `int` or of a list.
        let code = |violation: &Violation| {
            matches!(violation, Violation::StatusCodeInvalid(_))
                || matches!(violation, Violation::StatusCodeLength(code) if code.is_empty())
        };
        let stumbles = matches!(raise, "ValueError" | "IndexError");
        if (stumbles || message.starts_with("Status code is invalid: "))
            && self.seen["stage"] == case.expect["stage"]
            && self.raised(code)
        {
            return Some("D33");
        }
        // The end of a body that never started is caught, too.
        let never = app["start_response"] == "never" && list_of(&app["chunks"]).is_empty();
        (never && not_started).then_some("D33")
    }

    /// A name is a token, and a value may have tabs.
    fn differs_in_fields(&self, case: &Case) -> Option<&'static str> {
        let app = &case.input["app"];
        let (_, message) = expected(case);
        let heads = [&app["headers"], &app["second"][1]];
        let mut fields = heads.into_iter().flat_map(list_of);
        if message.starts_with("Bad header name: ") {
            let refused =
                |name: &Value| Violation::HeaderName(bytes_of(name)).to_string() == message;
            let token = fields.any(|field| refused(&field[0]) && is_token(text_of(&field[0])));
            let passed = !self.raised(|violation| violation.to_string() == message);
            return (token && passed).then_some("D33");
        }
        let tab = message.ends_with("(bad char: '\\t')")
            && fields.any(|field| text_of(&field[1]).contains('\t'));
        let refused =
            |violation: &Violation| matches!(violation, Violation::HeaderValue { bad: b'\t', .. });
        (tab && !self.raised(refused)).then_some("D33")
    }
}

/// What Python raised, and its words.
fn expected(case: &Case) -> (&str, &str) {
    let text = |key: &str| case.expect[key].as_str().unwrap_or_default();
    (text("raise"), text("message"))
}

/// RFC 9110 section 5.6.2.
fn is_token(name: &str) -> bool {
    let tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(tchar)
}
