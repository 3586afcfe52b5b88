//! The cases of `simple_server.json`: one connection to a `WsgiServer` as it is made, over a real
//! socket.

use super::{
    case::{Case, Verdict, bytes_of, list_of, text_of},
    described::Described,
};
use cgigate::{
    net::Peer,
    simple_server::{WsgiRequestHandler, WsgiServer},
    types::to_native,
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What came of a connection, or should have.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    response: String,
    environ: Option<BTreeMap<String, String>>,
    seen: Value,
    input: Option<String>,
    closed: u64,
    /// The last line of `wsgi.errors`, without Python's name for the kind of error.
    error: Option<String>,
    log: Vec<String>,
}

pub fn run(case: &Case) -> Verdict {
    for key in case.input.as_object().expect("an input").keys() {
        assert!(matches!(key.as_str(), "request" | "app"), "no connection has {key:?}");
    }
    let mut request = Vec::new();
    for piece in list_of(&case.input["request"]) {
        let times = piece[1].as_u64().expect("how often");
        (0..times).for_each(|_| request.extend(bytes_of(&piece[0])));
    }
    let got = serve(&request, &case.input["app"], &case.expect);
    let mut want = expected(&case.expect);
    let request = Sent::of(&request);
    if request.began_blank && want == nothing() && got != want {
        // One empty line is skipped, where http.server closes without a word.
        return Verdict::Differs(if request.bad_line_end { "D13" } else { "D25" });
    }
    if let Some((rule, statuses)) = request.refusal() {
        // A page that the server makes itself is compared by its status alone.
        let status = status(&got.response);
        let refused = got.environ.is_none() && statuses.contains(&status);
        return match refused {
            true if is_page(&want) && status == self::status(&want.response) => Verdict::Same,
            true => Verdict::Differs(rule),
            false => Verdict::Wrong(format!("{rule} has it refused, but: {got:?}")),
        };
    }
    if is_page(&want) {
        let same = is_page(&got) && status(&got.response) == status(&want.response);
        // White space that is none in ASCII is part of the target.
        let verdict = if same { Verdict::Same } else { Verdict::compare(&got, &want) };
        return verdict.unless("D39", || {
            request.line.iter().any(|byte| matches!(byte, 0x85 | 0xa0)) && got.environ.is_some()
        });
    }
    let rule = request.change(&mut want, &got, &case.input["app"]);
    if rule == Some("D1") && status(&got.response) == "400" {
        // The body ended early, which is an error that the application passed on.
        return Verdict::Differs("D1");
    }
    match (Verdict::compare(&got, &want), rule) {
        (Verdict::Same, Some(rule)) => Verdict::Differs(rule),
        (verdict, _) => verdict,
    }
}

/// What comes of a connection that is closed without a word.
fn nothing() -> Outcome {
    let (response, log) = (String::new(), Vec::new());
    let (environ, input, error) = (None, None, None);
    Outcome { response, environ, seen: Value::Null, input, closed: 0, error, log }
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}

/// A page of `send_error`.
fn is_page(outcome: &Outcome) -> bool {
    outcome.environ.is_none() && outcome.response.contains("text/html;charset=utf-8")
}

fn expected(expect: &Value) -> Outcome {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let error = text(&expect["error"]).map(|error| match error.split_once(": ") {
        Some(("AssertionError" | "ValueError" | "TypeError", words)) => words.to_owned(),
        _ => error,
    });
    Outcome {
        response: text_of(&expect["response"]).into(),
        environ: expect["environ"].as_object().map(pairs),
        seen: expect["seen"].clone(),
        input: text(&expect["input"]),
        closed: expect["closed"].as_u64().unwrap_or(0),
        error,
        log: list_of(&expect["log"]).iter().map(|line| text_of(line).to_owned()).collect(),
    }
}

fn pairs(object: &Map<String, Value>) -> BTreeMap<String, String> {
    object.iter().map(|(name, value)| (name.clone(), text_of(value).to_owned())).collect()
}

/// Keeps what would go to stderr.
#[derive(Clone, Default)]
struct Kept {
    log: Arc<Mutex<Vec<String>>>,
    errors: Arc<Mutex<Vec<u8>>>,
}

impl WsgiRequestHandler for Kept {
    fn get_stderr(&self) -> Box<dyn Write + '_> {
        Box::new(self.clone())
    }

    fn log_message(&self, client: Peer, message: fmt::Arguments<'_>) {
        let client = self.address_string(client);
        self.log.lock().unwrap().push(format!("{client} - - [{{LOGDATE}}] {message}"));
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.errors.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn serve(request: &[u8], app: &Value, expect: &Value) -> Outcome {
    let (app, kept) = (Described::new(app), Kept::default());
    let record = Arc::clone(&app.record);
    let mut server = WsgiServer::new("127.0.0.1:0").unwrap();
    server.base_environ.set("SERVER_NAME", "localhost");
    server.base_environ.set("SERVER_PORT", "8000");
    server.set_app(app);
    server.set_handler(kept.clone());
    let address = server.server_address().unwrap();
    let mut response = Vec::new();
    thread::scope(|scope| {
        let served = scope.spawn(|| server.handle_request().unwrap());
        let mut client = TcpStream::connect(address).unwrap();
        // A server that has seen enough may close before all of it is sent.
        let _ = client.write_all(request).and_then(|()| client.shutdown(Shutdown::Write));
        // A response that is cut short ends with a reset.
        let _ = client.read_to_end(&mut response);
        drop(client);
        assert!(served.join().unwrap());
    });
    let errors = kept.errors.lock().unwrap();
    let error = to_native(&errors).trim_end().lines().last().map(str::to_owned);
    let seen = record.seen().map(|seen| {
        // Of what the application can see, that which the case is about.
        let all = seen.as_object().unwrap().clone();
        let wanted = expect["seen"].as_object();
        let wanted = |name: &String| wanted.is_none_or(|wanted| wanted.contains_key(name));
        Value::Object(all.into_iter().filter(|(name, _)| wanted(name)).collect())
    });
    let environ = record.environ().map(|environ| {
        let mut environ = pairs(environ.as_object().unwrap());
        environ.insert("SERVER_SOFTWARE".into(), "{SERVER_SOFTWARE}".into());
        // What the client really sent, in addition to all that wsgiref tells (D18).
        let target = environ.remove("REQUEST_URI").expect("a REQUEST_URI");
        assert!(to_native(request).contains(&target), "REQUEST_URI is {target:?}");
        environ
    });
    Outcome {
        response: masked(&to_native(&response)),
        environ,
        seen: seen.unwrap_or_else(|| json!(null)),
        input: record.input().map(|input| to_native(&input).into_owned()),
        closed: record.closed(),
        error,
        log: kept.log.lock().unwrap().clone(),
    }
}

/// The response with the date and the server's name as the vectors have them.
fn masked(response: &str) -> String {
    let Some((head, body)) = response.split_once("\r\n\r\n") else { return response.to_owned() };
    let line = |line: &str| match line.split_once(": ") {
        Some(("Date", date)) if date.ends_with(" GMT") => "Date: {DATE}".to_owned(),
        Some(("Server", "cgigate")) => "Server: {SERVER}".to_owned(),
        _ => line.to_owned(),
    };
    format!("{}\r\n\r\n{body}", head.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n"))
}

/// A request as the client sent it, for the rules to look at.
struct Sent<'r> {
    line: &'r [u8],
    /// What ends the lines of the head: whether each one ends in CR LF, but for the last at the end.
    lines: Vec<&'r [u8]>,
    bad_line_end: bool,
    /// An empty line came first.
    began_blank: bool,
    body: &'r [u8],
}

impl<'r> Sent<'r> {
    fn of(request: &'r [u8]) -> Self {
        let began_blank = request.starts_with(b"\r\n") || request.starts_with(b"\n");
        let request = request.strip_prefix(b"\r\n").unwrap_or(request);
        let (mut rest, mut lines, mut bad_line_end) = (request, Vec::new(), false);
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let (line, behind) = match end {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, &b""[..]),
            };
            let text = line.strip_suffix(b"\r");
            bad_line_end |= end.is_some() && text.is_none();
            let text = text.unwrap_or(line);
            bad_line_end |= text.contains(&b'\r') && !lines.is_empty();
            rest = behind;
            if text.is_empty() {
                break;
            }
            lines.push(text);
        }
        let line = lines.first().copied().unwrap_or_default();
        Self { line, lines, bad_line_end, began_blank, body: rest }
    }

    fn words(&self) -> Vec<&'r [u8]> {
        self.line.split(|&byte| byte == b' ').collect()
    }

    fn target(&self) -> &'r [u8] {
        self.words().get(1).copied().unwrap_or_default()
    }

    fn is_head(&self) -> bool {
        self.words()[0] == b"HEAD"
    }

    /// Names and values of the header lines.
    fn fields(&self) -> impl Iterator<Item = (&'r [u8], &'r [u8])> {
        self.lines.iter().skip(1).filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }

    fn values(&self, name: &str) -> Vec<&'r [u8]> {
        let named = self.fields().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| value).collect()
    }

    /// The rule by which it is refused, with what.
    fn refusal(&self) -> Option<(&'static str, &'static [&'static str])> {
        const BAD: &[&str] = &["400"];
        let space = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0x0b | 0x1c..=0x1f);
        if self.line.iter().all(space) {
            return None;
        }
        let words = self.words();
        if self.line.iter().any(|byte| *byte != b' ' && space(byte)) || words.contains(&&b""[..]) {
            return Some(("D25", BAD));
        }
        let version = *words.last()?;
        if words.len() == 2 || version == b"HTTP/0.9" {
            return Some(("D24", BAD));
        }
        // What http.server refuses too has no rule.
        let numbers = version.strip_prefix(b"HTTP/").unwrap_or_default();
        let parts: Vec<_> = numbers.split(|&byte| byte == b'.').collect();
        let number = |part: &&[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        let good = words.len() == 3 && parts.len() == 2 && parts.iter().all(number);
        if !good || self.lines.iter().any(|line| line.len() > 65534) || self.lines.len() > 101 {
            return None;
        }
        if parts[0].iter().any(|byte| !b"01".contains(byte)) {
            return None;
        }
        if !words[0].iter().all(is_token) {
            return Some(("D25", BAD));
        }
        let target = words[1];
        let absolute = [&b"http://"[..], b"https://"].iter().any(|scheme| {
            target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme))
        });
        let asterisk = target == b"*" && words[0] == b"OPTIONS";
        if target.contains(&b'#') || !(target.starts_with(b"/") || absolute || asterisk) {
            return Some(("D17", BAD));
        }
        // A user would make another host of it.
        let authority = target.split(|&byte| byte == b'/').nth(2).filter(|_| absolute);
        if authority.is_some_and(|host| host.is_empty() || host.contains(&b'@')) {
            return Some(("D17", BAD));
        }
        let path = target.split(|&byte| byte == b'?').next()?;
        if target.contains(&0) || path.windows(3).any(|three| three == b"%00") {
            return Some(("D18", BAD));
        }
        let no_field = |line: &&[u8]| {
            let colon = line.iter().position(|&byte| byte == b':').unwrap_or(0);
            colon == 0 || !line[..colon].iter().all(is_token) || line.contains(&0)
        };
        if self.bad_line_end || self.lines.iter().skip(1).any(no_field) {
            return Some(("D13", BAD));
        }
        let lengths = self.values("Content-Length");
        let lengths: Vec<_> = lengths.into_iter().filter(|value| !value.is_empty()).collect();
        let digits = |value: &&[u8]| value.iter().all(u8::is_ascii_digit);
        let numbers = lengths.iter().map(|value| to_native(value).parse::<u128>().ok());
        let numbers: Vec<_> = numbers.collect();
        if !lengths.iter().all(digits) || numbers.windows(2).any(|n| n[0] != n[1]) {
            return Some(("D2", BAD));
        }
        if numbers.iter().any(|n| n.is_none_or(|n| n > u128::from(u64::MAX))) {
            return Some(("D2", &["413"]));
        }
        let codings = self.values("Transfer-Encoding");
        if codings.is_empty() {
            return None;
        }
        let modern = parts[0].ends_with(b"1") && parts[1].iter().any(|digit| *digit != b'0');
        let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if !lengths.is_empty() || !modern {
            return Some(("D14", BAD));
        }
        match codings[..] {
            [ref one] if chunked(one) => match unchunk(self.body) {
                Some(_) => None,
                None => Some(("D14", BAD)),
            },
            _ => Some(("D14", &["400", "501"])),
        }
    }

    /// Makes of what wsgiref did what the rules say instead; the first that changes anything.
    fn change(&self, want: &mut Outcome, got: &Outcome, app: &Value) -> Option<&'static str> {
        let mut rule = None;
        let mut by = |name: &'static str, want: &mut Outcome, change: &dyn Fn(&mut Outcome)| {
            let before = want.clone();
            change(want);
            if *want != before {
                rule = rule.or(Some(name));
            }
        };
        by("D12", want, &|want| self.without_underscores(want));
        by("D39", want, &|want| self.strip_ascii(want));
        by("D16", want, &|want| {
            let cookies = self.values("Cookie").join(&b"; "[..]);
            if let Some(joined) = environ(want, "HTTP_COOKIE") {
                *joined = to_native(&cookies).into_owned();
            }
        });
        by("D20", want, &|want| {
            want.environ.as_mut().map(|environ| environ.remove("HTTP_PROXY"));
        });
        by("D2", want, &|want| {
            let lengths = self.values("Content-Length");
            let length = lengths.into_iter().find(|value| !value.is_empty());
            if let (Some(length), Some(there)) = (length, environ(want, "CONTENT_LENGTH")) {
                *there = to_native(length).into_owned();
            }
        });
        by("D14", want, &|want| self.unchunked(want, app));
        by("D1", want, &|want| self.bounded(want, app));
        by("D17", want, &|want| self.origin_form(want));
        by("D40", want, &|want| {
            if status(&want.response).starts_with('1') {
                fail(want, got);
            }
        });
        by("D22", want, &|want| {
            let mut names = list_of(&app["headers"]).iter().map(|field| bytes_of(&field[0]));
            if names.any(|name| name.is_empty() || !name.iter().all(is_token)) {
                fail(want, got);
            }
        });
        by("D41", want, &|want| {
            if text_of(&app["start_response"]) == "never" && got.error != want.error {
                want.error = Some("write() before start_response()".into());
            }
        });
        by("D7", want, &|want| self.cut(want, app));
        by("D38", want, &|want| closed(want, got, app));
        by("D6", want, &|want| {
            if !self.is_head() {
                declared(want, got);
            }
        });
        by("D5", want, &|want| self.bodiless(want, app));
        by("D29", want, &|want| {
            let line = to_native(self.line).into_owned();
            let bare = line.replace('\\', "\\\\");
            for logged in &mut want.log {
                *logged = logged.replace(&bare, &bare.replace('"', "\\x22"));
            }
        });
        rule
    }

    fn without_underscores(&self, want: &mut Outcome) {
        let Some(environ) = &mut want.environ else { return };
        for (name, _) in self.fields().filter(|(name, _)| name.contains(&b'_')) {
            let name = to_native(name).to_ascii_uppercase().replace('-', "_");
            let others = self.fields().filter(|(other, _)| {
                !other.contains(&b'_')
                    && to_native(other).to_ascii_uppercase().replace('-', "_") == name
            });
            let values: Vec<_> = others.map(|(_, value)| value).collect();
            let name = format!("HTTP_{name}");
            if environ.remove(&name).is_some() && !values.is_empty() {
                environ.insert(name, to_native(&values.join(&b","[..])).into_owned());
            }
        }
    }

    /// Python takes 0x85 and 0xA0 for white space, though they may be half a character of UTF-8.
    fn strip_ascii(&self, want: &mut Outcome) {
        let Some(environ) = &mut want.environ else { return };
        for (name, value) in self.fields() {
            let edge = |byte: Option<&u8>| byte.is_some_and(|byte| matches!(byte, 0x85 | 0xa0));
            let name = format!("HTTP_{}", to_native(name).to_ascii_uppercase().replace('-', "_"));
            if let (true, Some(there)) =
                (edge(value.first()) || edge(value.last()), environ.get_mut(&name))
            {
                *there = to_native(value).into_owned();
            }
        }
    }

    fn unchunked(&self, want: &mut Outcome, app: &Value) {
        if self.values("Transfer-Encoding").is_empty() {
            return;
        }
        let body = unchunk(self.body).expect("refused else");
        if let Some(environ) = &mut want.environ {
            environ.remove("HTTP_TRANSFER_ENCODING");
            environ.insert("CONTENT_LENGTH".into(), body.len().to_string());
        }
        if want.input.is_some() {
            want.input = Some(to_native(read(&body, app)).into_owned());
        }
    }

    /// The body is as long as CONTENT_LENGTH says: shorter it is an error, longer it is cut.
    fn bounded(&self, want: &mut Outcome, app: &Value) {
        if want.input.is_none() || !self.values("Transfer-Encoding").is_empty() {
            return;
        }
        let lengths = self.values("Content-Length");
        let length = lengths.iter().find(|value| !value.is_empty());
        let length = length.map_or(0, |digits| to_native(digits).parse().unwrap());
        match self.body.get(..length) {
            Some(body) => want.input = Some(to_native(read(body, app)).into_owned()),
            None if read(&vec![0; length], app).len() <= self.body.len() => {}
            None => want.input = None,
        }
    }

    fn origin_form(&self, want: &mut Outcome) {
        let target = to_native(self.target()).into_owned();
        if target == "*"
            && let Some(path) = environ(want, "PATH_INFO")
        {
            path.clear();
        }
        let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
            return;
        };
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (scheme, _) = target.split_once("://").unwrap();
        let taken = format!("{scheme}://{host}");
        let Some(whole) = environ(want, "PATH_INFO") else { return };
        let rest = whole.strip_prefix(&taken).unwrap_or(whole).to_owned();
        *whole = if path.starts_with('/') { rest } else { "/".into() };
        want.environ.as_mut().unwrap().insert("HTTP_HOST".into(), host.into());
    }

    /// There is an access line also of a response that was cut short.
    fn cut(&self, want: &mut Outcome, app: &Value) {
        let raises = matches!(text_of(&app["raise"]), "during" | "after");
        if raises && want.log.is_empty() && !want.response.is_empty() {
            let line = to_native(self.line).replace('\\', "\\\\");
            let (status, body) = (status(&want.response).to_owned(), body(&want.response).len());
            want.log =
                vec![format!("127.0.0.1 - - [{{LOGDATE}}] \"{line}\" {status} {body} aborted")];
        }
    }

    /// No content, and no length that we made, where there is none.
    fn bodiless(&self, want: &mut Outcome, app: &Value) {
        let status = status(&want.response).to_owned();
        let lengthless = matches!(status.as_str(), "204" | "304");
        if !lengthless && !self.is_head() {
            return;
        }
        let Some((head, _)) = want.response.split_once("\r\n\r\n") else { return };
        let mut names = list_of(&app["headers"]).iter().map(|field| text_of(&field[0]));
        let given = names.any(|name| name.eq_ignore_ascii_case("Content-Length"));
        let field = |line: &&str| {
            let length = line.starts_with("Content-Length: ");
            !(length && (status == "204" || (status == "304" && !given)))
        };
        let head: Vec<_> = head.split("\r\n").filter(field).collect();
        want.response = format!("{}\r\n\r\n", head.join("\r\n"));
        for line in &mut want.log {
            let (request, aborted) = match line.strip_suffix(" aborted") {
                Some(request) => (request, " aborted"),
                None => (&**line, ""),
            };
            let (request, _) = request.rsplit_once(' ').unwrap();
            *line = format!("{request} 0{aborted}");
        }
    }
}

fn environ<'w>(want: &'w mut Outcome, name: &str) -> Option<&'w mut String> {
    want.environ.as_mut()?.get_mut(name)
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// As much of a body as the application reads.
fn read<'b>(body: &'b [u8], app: &Value) -> &'b [u8] {
    let size = usize::try_from(app["read"].as_i64().unwrap_or(-1)).unwrap_or(usize::MAX);
    &body[..size.min(body.len())]
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// A body in chunks, if it is one.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return (rest.starts_with(b"\r\n") || rest.ends_with(b"\r\n\r\n")).then_some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

/// What the application said is refused, as an error of its own: the words are ours.
fn fail(want: &mut Outcome, got: &Outcome) {
    let page = "A server error occurred.  Please contact the administrator.";
    want.response = format!(
        "HTTP/1.0 500 Internal Server Error\r\nDate: {{DATE}}\r\nServer: {{SERVER}}\r\n\
         Content-Type: text/plain\r\nContent-Length: 59\r\n\r\n{page}"
    );
    assert!(got.error.is_some(), "nothing is said of what was refused");
    want.error.clone_from(&got.error);
    for line in &mut want.log {
        let request = line.rsplitn(3, ' ').nth(2).unwrap();
        *line = format!("{request} 500 59");
    }
}

/// An error of `close()` after a whole response is logged, and nothing else.
fn closed(want: &mut Outcome, got: &Outcome, app: &Value) {
    if text_of(&app["raise"]) == "close" && want.log.len() == 2 {
        want.log.pop();
        assert!(got.error.as_ref().is_some_and(|error| error.contains("close")), "{:?}", got.error);
        want.error.clone_from(&got.error);
    }
}

/// What is longer than its Content-Length is cut, and either way it is said.
fn declared(want: &mut Outcome, got: &Outcome) {
    let Some((head, body)) = want.response.split_once("\r\n\r\n") else { return };
    let declared = head.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
    let Some(declared) = declared.and_then(|digits| digits.parse::<usize>().ok()) else { return };
    let sent = body.len();
    if sent == declared || matches!(status(&want.response), "204" | "304") {
        return;
    }
    let (head, body) = (head.to_owned(), body[..sent.min(declared)].to_owned());
    for line in &mut want.log {
        *line = line.strip_suffix(&format!(" {sent}")).unwrap_or(line).to_owned();
        line.push_str(&format!(" {}", body.len()));
        if sent < declared {
            line.push_str(" aborted");
        }
    }
    let said = |error: &String| error.contains("Content-Length");
    assert!(got.error.as_ref().is_some_and(said), "{:?}", got.error);
    want.error.clone_from(&got.error);
    want.response = format!("{head}\r\n\r\n{body}");
}
