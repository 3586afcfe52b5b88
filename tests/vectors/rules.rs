//! What differs from CPython on purpose: each rule turns its answer into ours.
//!
//! A rule looks at what is in a case, never at its name, and says exactly what comes instead. So
//! a case under a rule fails like any other when it does not come out as the rule says.

use super::{Answer, escaped, is_process};
use crate::{
    case::{Case, list_of, text_of},
    described::{raised, repr},
};
use serde_json::Value;

const TOO_EARLY: &str = "write() before start_response()";

/// A rule and how it changes the answer, if it does.
type Rule = fn(&Told<'_>, &mut Answer) -> &'static str;

/// In the order in which things happen to a response.
const RULES: [Rule; 9] = [
    content_of_the_request,
    start_response,
    no_protocol,
    error_of_a_connection,
    error_in_close,
    made_up_length,
    exit_status,
    declared_length,
    no_content,
];

/// Our answer, and the first rule that made it another than CPython's.
pub fn applied(case: &Case, python: &Answer) -> (Option<&'static str>, Answer) {
    let told = Told::new(case);
    let (mut ours, mut first) = (python.clone(), None);
    for rule in RULES {
        let before = ours.clone();
        let name = rule(&told, &mut ours);
        if ours != before {
            first = first.or(Some(name));
        }
    }
    (first, ours)
}

/// A case, and what its parts mean.
struct Told<'c> {
    app: &'c Value,
    handler: &'c Value,
    environ: &'c Value,
    stdin: &'c str,
    is_process: bool,
}

type Fields = Vec<(String, String)>;

/// How many bytes a native string stands for.
fn bytes(native: &str) -> usize {
    native.chars().count()
}

fn fields(value: &Value) -> Fields {
    let pair = |field: &Value| (text_of(&field[0]).to_owned(), text_of(&field[1]).to_owned());
    list_of(value).iter().map(pair).collect()
}

fn find<'f>(fields: &'f Fields, name: &str) -> Option<&'f str> {
    let field = fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    field.map(|(_, value)| value.as_str())
}

impl<'c> Told<'c> {
    fn new(case: &'c Case) -> Self {
        Self {
            app: &case.input["app"],
            handler: &case.input["handler"],
            environ: &case.input["environ"],
            stdin: text_of(&case.input["stdin"]),
            is_process: is_process(case),
        }
    }

    fn is_origin(&self) -> bool {
        self.handler["kind"] == "SimpleHandler"
    }

    fn protocol(&self) -> Option<&str> {
        self.environ["SERVER_PROTOCOL"].as_str()
    }

    /// A client that knows no header fields, and a server that it asked itself.
    fn is_ancient(&self) -> bool {
        self.is_origin() && self.protocol().is_some_and(|p| p.eq_ignore_ascii_case("HTTP/0.9"))
    }

    fn flag(&self, key: &str) -> bool {
        self.app[key].as_bool().unwrap_or(false)
    }

    fn raises(&self, when: &str) -> bool {
        self.app["raise"] == when
    }

    /// What the application raises, as it is logged.
    fn exception(&self) -> String {
        let kind = self.app["raise_type"].as_str().unwrap_or("RuntimeError");
        let message = self.app["raise_message"].as_str().unwrap_or(text_of(&self.app["raise"]));
        escaped(&raised(kind, message).to_string())
    }

    fn raise_at(&self) -> usize {
        self.app["raise_at"].as_u64().unwrap_or(0).try_into().unwrap()
    }

    /// Whether the application comes to the place where it raises, if nothing stops it before.
    fn comes_to_raise(&self) -> bool {
        match text_of(&self.app["raise"]) {
            "none" => false,
            "before" | "after" => true,
            "during" => !self.has_file() && self.raise_at() <= self.blocks().len(),
            "close" => self.flag("close") && !self.has_file(),
            other => panic!("no application raises {other:?}"),
        }
    }

    /// `close()` is there, and fails. Where the body is a file, Rust closes it: that cannot fail.
    fn fails_in_close(&self) -> bool {
        self.raises("close") && self.flag("close")
    }

    fn has_file(&self) -> bool {
        !self.app["file_wrapper"].is_null()
    }

    /// `start_response` is called when the first block is asked for.
    fn starts_late(&self) -> bool {
        self.app["start_when"] == "iteration"
    }

    fn writes(&self) -> Vec<&str> {
        list_of(&self.app["write_calls"]).iter().map(text_of).collect()
    }

    fn blocks(&self) -> Vec<&str> {
        if self.has_file() {
            let data = text_of(&self.app["file_wrapper"]["data"]);
            return if data.is_empty() { vec![] } else { vec![data] };
        }
        list_of(&self.app["chunks"]).iter().map(text_of).collect()
    }

    fn is_one_block(&self) -> bool {
        let sized = self.app["sized"].as_bool().unwrap_or(true);
        sized && !self.has_file() && list_of(&self.app["chunks"]).len() == 1
    }

    fn status(&self) -> &str {
        text_of(&self.app["status"])
    }

    fn headers(&self) -> Fields {
        fields(&self.app["headers"])
    }

    fn second(&self) -> (String, Fields) {
        match self.app.get("second") {
            Some(second) => (text_of(&second[0]).to_owned(), fields(&second[1])),
            None => ("202 Accepted".to_owned(), vec![("X-Second".into(), "2".into())]),
        }
    }

    fn run_ok(&self) -> Option<String> {
        self.is_process.then(|| "0".to_owned())
    }

    /// A response as it goes out; `length` where the handler makes a Content-Length.
    fn response(&self, status: &str, fields: &Fields, length: Option<usize>, body: &str) -> String {
        if self.is_ancient() {
            return body.to_owned();
        }
        let mut lines = Vec::new();
        if self.is_origin() {
            let version = self.handler["http_version"].as_str().unwrap_or("1.0");
            lines.push(format!("HTTP/{version} {status}"));
            if find(fields, "Date").is_none() {
                lines.push("Date: {DATE}".to_owned());
            }
            let software = self.handler["server_software"].as_str().filter(|name| !name.is_empty());
            if let (Some(software), None) = (software, find(fields, "Server")) {
                lines.push(format!("Server: {software}"));
            }
        } else {
            lines.push(format!("Status: {status}"));
        }
        lines.extend(fields.iter().map(|(name, value)| format!("{name}: {value}")));
        if let (Some(length), None) = (length, find(fields, "Content-Length")) {
            lines.push(format!("Content-Length: {length}"));
        }
        format!("{}\r\n\r\n{body}", lines.join("\r\n"))
    }

    /// The error page.
    fn page(&self) -> String {
        let text =
            |key: &str, default: &str| self.handler[key].as_str().unwrap_or(default).to_owned();
        let status = text("error_status", "500 Internal Server Error");
        let body = "A server error occurred.  Please contact the administrator.";
        let body = text("error_body", body);
        let fields = match self.handler.get("error_headers") {
            Some(own) => fields(own),
            None => vec![("Content-Type".into(), "text/plain".into())],
        };
        self.response(&status, &fields, Some(bytes(&body)), &body)
    }

    /// The application fails before anything was sent: the error page, and the reason in the log.
    fn fails(&self, answer: &mut Answer, words: String, body_made: bool) {
        answer.stdout = self.page();
        let late = body_made && self.fails_in_close() && !self.has_file();
        answer.error = Some(if late { self.exception() } else { escaped(&words) });
        answer.closed = self.flag("close").then_some(u64::from(body_made));
        answer.run = self.run_ok();
    }

    /// The application goes on from a `start_response` that was accepted, to its end.
    fn plays(&self, answer: &mut Answer, status: &str, fields: &Fields) {
        let (writes, blocks) = (self.writes(), self.blocks());
        let raises = self.comes_to_raise();
        let failing = |when: &str| raises && self.raises(when);
        let made = if failing("during") { &blocks[..self.raise_at()] } else { &blocks[..] };
        if writes.is_empty() {
            if failing("after") {
                return self.fails(answer, self.exception(), self.starts_late());
            }
            if failing("during") && made.is_empty() {
                return self.fails(answer, self.exception(), true);
            }
        }
        let length = match (writes.is_empty(), blocks.first()) {
            (true, None) => Some(0),
            (true, Some(first)) if self.is_one_block() => Some(bytes(first)),
            _ => None,
        };
        let made = if failing("after") { &[] } else { made };
        let body = [&writes[..], made].concat().concat();
        answer.stdout = self.response(status, fields, length, &body);
        answer.error = raises.then(|| self.exception());
        let body_made = !failing("after") || self.starts_late();
        answer.closed = self.flag("close").then_some(u64::from(body_made));
        answer.run = self.run_ok();
    }

    /// Head and body; a response without a head is all body.
    fn split<'s>(&self, stdout: &'s str) -> Option<(&'s str, &'s str)> {
        if self.is_ancient() { Some(("", stdout)) } else { stdout.split_once("\r\n\r\n") }
    }
}

/// Why `start_response` refuses, by which rule where CPython does not, and in which words.
fn refusal(status: &str, headers: &Fields) -> Option<(&'static str, String)> {
    let words = |rule, words: &str| Some((rule, words.to_owned()));
    let is_control = |c: char| c < ' ' || c == '\x7f';
    let parts = headers.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    if parts.chain([status]).any(|text| text.chars().any(|c| c > '\u{ff}')) {
        // The application itself cannot make bytes of it.
        return words("D8", "UnicodeEncodeError: ordinal not in range(256)");
    }
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    for (name, value) in headers {
        let value = value.chars().any(|c| is_control(c) && c != '\t');
        if name.chars().any(is_control) || (value && !name.is_empty() && name.chars().all(is_token))
        {
            return words("D22", "Control characters not allowed in headers");
        }
        if name.is_empty() || !name.chars().all(is_token) {
            return Some(("D22", format!("Bad header name: {}", repr(name))));
        }
    }
    let letters: Vec<char> = status.chars().collect();
    if letters.iter().copied().any(is_control) {
        return words("D37", "Control characters are not allowed in status");
    }
    if letters.len() < 4 {
        return words("D37", "Status must be at least 4 characters");
    }
    if !letters[..3].iter().all(char::is_ascii_digit) {
        return words("D39", "Status message must begin w/3-digit code");
    }
    if letters[3] != ' ' {
        return words("D37", "Status message must have a space after code");
    }
    if letters[0] == '1' {
        let code = &status[..3];
        return Some(("D40", format!("Status {code} is interim and cannot end a request")));
    }
    const HOPS: [&str; 10] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "trailer",
        "proxy-connection",
    ];
    let hop = |(name, _): &&(String, String)| HOPS.contains(&&*name.to_ascii_lowercase());
    let (name, value) = headers.iter().find(hop)?;
    Some(("D21", format!("Hop-by-hop header, '{name}: {value}', not allowed")))
}

/// D1 and D2: in CGI `wsgi.input` ends at CONTENT_LENGTH, is empty without one, and a body that
/// ends before it is the client's fault, as is a length that is none.
fn content_of_the_request(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    if !told.is_process {
        return "D1";
    }
    let length = told.environ["CONTENT_LENGTH"].as_str().filter(|l| !["", "-1"].contains(l));
    let bad_request = |answer: &mut Answer| {
        let fields = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        answer.stdout = told.response("400 Bad Request", &fields, Some(16), "400 Bad Request\n");
        answer.closed = told.flag("close").then_some(0);
        answer.run = told.run_ok();
        answer.input = None;
    };
    if length.is_some_and(|length| !length.bytes().all(|byte| byte.is_ascii_digit())) {
        bad_request(answer);
        (answer.called, answer.seen, answer.error) = (0, Value::Null, None);
        return "D2";
    }
    let Some(wanted) = told.app["read"].as_i64() else { return "D1" };
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    let wanted = usize::try_from(wanted).map_or(length, |wanted| wanted.min(length));
    match told.stdin.chars().count() {
        there if there < wanted => {
            bad_request(answer);
            let missing = length - there;
            answer.error = Some(format!("the request body ended {missing} bytes early"));
        }
        _ => answer.input = Some(told.stdin.chars().take(wanted).collect()),
    }
    "D1"
}

/// D8, D21, D22, D39, D40: `start_response` refuses more, and always. D37: what was refused is not
/// kept, so an application that swallows the error has not started its response.
fn start_response(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    let (late, mode) = (told.starts_late(), text_of(&told.app["start_response"]));
    if answer.called == 0 || told.raises("before") || mode == "never" {
        return "D37";
    }
    let (status, headers) = told.second();
    let second = (mode != "once").then(|| refusal(&status, &headers));
    match (refusal(told.status(), &told.headers()), second) {
        (None, Some(Some((rule, words)))) if mode != "twice" && told.writes().is_empty() => {
            told.fails(answer, words, late);
            rule
        }
        (None, _) => "D37",
        (Some((rule, words)), _) if !told.flag("swallow") => {
            told.fails(answer, words, late);
            rule
        }
        (Some(_), second) => {
            match second {
                _ if !told.writes().is_empty() => told.fails(answer, TOO_EARLY.into(), late),
                Some(Some((_, words))) => told.fails(answer, words, late),
                Some(None) => told.plays(answer, &status, &headers),
                None if told.raises("after") => told.fails(answer, told.exception(), late),
                None if told.raises("during") && told.comes_to_raise() && told.raise_at() == 0 => {
                    told.fails(answer, told.exception(), true);
                }
                None => told.fails(answer, TOO_EARLY.into(), true),
            }
            "D37"
        }
    }
}

/// D8: without a SERVER_PROTOCOL the client is taken for a modern one.
fn no_protocol(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    let key = "KeyError: 'SERVER_PROTOCOL'";
    let lost = [&answer.error, &answer.run].into_iter().flatten().any(|error| error == key);
    if told.is_origin() && told.protocol().is_none() && lost {
        match text_of(&told.app["start_response"]) {
            _ if told.raises("before") => told.fails(answer, told.exception(), false),
            "never" if told.raises("after") => {
                told.fails(answer, told.exception(), told.starts_late());
            }
            "never" => told.fails(answer, TOO_EARLY.into(), true),
            "once" => told.plays(answer, told.status(), &told.headers()),
            "twice" => {
                told.fails(answer, "Headers already set!".into(), told.starts_late());
            }
            _ => {
                let (status, headers) = told.second();
                told.plays(answer, &status, &headers);
            }
        }
    }
    "D8"
}

/// D9: a lost connection of the application's own is an error like any other.
fn error_of_a_connection(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    const KINDS: [&str; 3] = ["ConnectionAbortedError", "BrokenPipeError", "ConnectionResetError"];
    let ours = told.app["raise_type"].as_str().is_some_and(|kind| KINDS.contains(&kind));
    let writes = told.handler["stdout"]["fail"].is_null();
    if ours && told.comes_to_raise() && answer.error.is_none() && writes {
        if answer.stdout.is_empty() {
            answer.stdout = told.page();
        }
        answer.error = Some(told.exception());
    }
    "D9"
}

/// D38: an error of `close()` comes after a whole response, and adds nothing to it.
fn error_in_close(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    let error = Some(told.exception());
    if told.fails_in_close() && answer.error == error {
        let page = told.page();
        if let Some(whole) = answer.stdout.strip_suffix(&page).filter(|whole| !whole.is_empty()) {
            answer.stdout = whole.to_owned();
        }
        answer.run = told.run_ok();
        answer.error = error.filter(|_| !told.has_file());
    }
    "D38"
}

/// D6: what `write()` sent while the only block was being made is no part of that block, and no
/// length is made of it.
fn made_up_length(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    let writes = told.writes();
    if let (true, true, Some(first)) = (told.starts_late(), told.is_one_block(), writes.first())
        && find(&told.headers(), "Content-Length").is_none()
    {
        let made_up = format!("\r\nContent-Length: {}\r\n\r\n", bytes(first));
        answer.stdout = answer.stdout.replacen(&made_up, "\r\n\r\n", 1);
    }
    "D6"
}

/// D7: CGI's exit status tells of a response that was cut.
fn exit_status(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    let in_close = told.fails_in_close() && answer.error == Some(told.exception());
    if told.is_process && answer.error.is_some() && answer.run == told.run_ok() && !in_close {
        let refused = "Status: 400 Bad Request\r\n";
        let is_page = answer.stdout == told.page() || answer.stdout.starts_with(refused);
        let declared = declared(told, answer);
        let whole =
            told.split(&answer.stdout).is_some_and(|(_, body)| declared == Some(bytes(body)));
        if !is_page && !whole {
            answer.run = Some("1".to_owned());
        }
    }
    "D7"
}

/// The Content-Length that the application gave to the response that was sent.
fn declared(told: &Told<'_>, answer: &Answer) -> Option<usize> {
    if answer.stdout == told.page() {
        return None;
    }
    let (head, _) = told.split(&answer.stdout)?;
    let headers = match told.is_ancient() {
        true => told.headers(),
        false => {
            let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        }
    };
    let value = find(&headers, "Content-Length")?.trim_matches([' ', '\t']).to_owned();
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok())?
}

/// HEAD, and the statuses that have no content (RFC 9110 section 6.4.1).
fn is_bodiless(told: &Told<'_>, stdout: &str) -> bool {
    let code = match told.is_ancient() {
        true if stdout == told.page() => None,
        true => told.status().get(..3),
        false => stdout.split_once(' ').and_then(|(_, rest)| rest.get(..3)),
    };
    told.environ["REQUEST_METHOD"] == "HEAD" || matches!(code, Some("204" | "304"))
}

/// D6: a body longer than its Content-Length is cut, one that is shorter is an unclean end; both
/// are logged.
fn declared_length(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    if is_bodiless(told, &answer.stdout) {
        return "D6";
    }
    let Some(declared) = declared(told, answer) else { return "D6" };
    let Some((head, body)) = told.split(&answer.stdout) else { return "D6" };
    let in_close = told.fails_in_close() && answer.error == Some(told.exception());
    let length = bytes(body);
    if length > declared {
        let kept: String = body.chars().take(declared).collect();
        answer.stdout = match told.is_ancient() {
            true => kept,
            false => format!("{head}\r\n\r\n{kept}"),
        };
        let what = format!("was longer than its Content-Length of {declared}, and was cut");
        answer.error = Some(format!("the response {what}"));
        answer.run = told.run_ok();
    } else if length < declared && (answer.error.is_none() || in_close) {
        let what = format!("has {length} bytes, and its Content-Length said {declared}");
        answer.error = Some(format!("the response {what}"));
        answer.run = told.is_process.then(|| "1".to_owned());
    }
    "D6"
}

/// D5: responses that have no content send none. No Content-Length is made for them, and 204 may
/// not have one at all.
fn no_content(told: &Told<'_>, answer: &mut Answer) -> &'static str {
    if !is_bodiless(told, &answer.stdout) {
        return "D5";
    }
    let Some((head, _)) = told.split(&answer.stdout) else { return "D5" };
    if told.is_ancient() {
        answer.stdout.clear();
        return "D5";
    }
    let is = |code: &str| head.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(code));
    let given = match text_of(&told.app["start_response"]) {
        "twice_with_exc_info" if told.writes().is_empty() => told.second().1,
        _ => told.headers(),
    };
    let keeps = !is("204") && (!is("304") || find(&given, "Content-Length").is_some());
    let kept = |line: &&str| keeps || !line.to_ascii_lowercase().starts_with("content-length:");
    let lines: Vec<_> = head.split("\r\n").filter(kept).collect();
    answer.stdout = format!("{}\r\n\r\n", lines.join("\r\n"));
    "D5"
}
