//! The cases of `util.json`.

use super::{
    case::{Case, Verdict, bytes_of, text_of},
    given::{Given, only_keys, raised},
};
use cgigate::{
    Vars,
    types::{Blocks, from_native, to_native},
    util::{
        FileWrapper, MissingKey, NoSlash, TestEnviron, application_uri, guess_scheme,
        is_hop_by_hop, request_uri, shift_path_info,
    },
};
use serde_json::{Map, Value, json};
use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read},
    rc::Rc,
};

pub fn run(case: &Case) -> Verdict {
    let input = &case.input;
    let known: &[&str] = match text_of(&input["fn"]) {
        "guess_scheme" | "application_uri" | "setup_testing_defaults" => &["fn", "environ"],
        "request_uri" => &["fn", "environ", "include_query"],
        "is_hop_by_hop" => &["fn", "name"],
        "shift_path_info" => &["fn", "environ", "calls"],
        "FileWrapper" => &["fn", "data", "repeat", "reads", "blksize", "close"],
        other => panic!("no function {other:?}"),
    };
    only_keys(input, known);
    match text_of(&input["fn"]) {
        "guess_scheme" => {
            let scheme = guess_scheme(Given::new(&input["environ"]).vars());
            Verdict::compare(&json!({"result": scheme.as_str()}), &case.expect)
        }
        "is_hop_by_hop" => hop_by_hop(text_of(&input["name"]), &case.expect),
        "application_uri" => uri(case, &|given| application_uri(&given.environ())),
        "request_uri" => {
            let include_query = input.get("include_query").is_none_or(|value| value == true);
            uri(case, &move |given| request_uri(&given.environ(), include_query))
        }
        "shift_path_info" => shift(case),
        "setup_testing_defaults" => defaults(case),
        _ => file_wrapper(case),
    }
}

fn hop_by_hop(name: &str, expect: &Value) -> Verdict {
    let is = is_hop_by_hop(name);
    let forgotten = ["trailer", "proxy-connection"].contains(&&*name.to_ascii_lowercase());
    Verdict::compare(&json!({"result": is}), expect)
        .unless("D21", || forgotten && is)
        // Only ASCII has letter case here.
        .unless("D39", || !name.is_ascii() && !is)
}

type UriOf<'f> = &'f dyn Fn(&mut Given) -> Result<Vec<u8>, MissingKey>;

fn uri(case: &Case, uri_of: UriOf<'_>) -> Verdict {
    const USED: [&str; 6] =
        ["HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"];
    let mut given = Given::new(&case.input["environ"]);
    let mut expect = case.expect.clone();
    let scheme = &case.input["environ"]["wsgi.url_scheme"];
    if let (None, Some(scheme), Some(theirs)) =
        (given.scheme, scheme.as_str(), case.expect["result"].as_str())
    {
        // All but https have port 80 to wsgiref, so that http tells what the rest is.
        let rest = theirs.strip_prefix(scheme).expect("the scheme comes first");
        expect["result"] = json!(format!("http{rest}"));
    }
    let got = uri_of(&mut given);
    let shown = match &got {
        Ok(uri) => json!({"result": to_native(uri)}),
        Err(MissingKey(key)) => json!({"raise": "KeyError", "message": format!("'{key}'")}),
    };
    let path = given.vars().get("PATH_INFO").unwrap_or_default().to_vec();
    let no_script = given.vars().filled("SCRIPT_NAME").is_none();
    let base = application_uri(&given.environ());
    let lost_one = || {
        // wsgiref's is ours without the first character of the path.
        let (Ok(ours), Ok(base)) = (&got, &base) else { return false };
        let path = &ours[base.len()..];
        let theirs = [&base[..], path.get(1..).unwrap_or_default()].concat();
        expect == json!({"result": to_native(&theirs)})
    };
    let no_slash = !path.starts_with(b"/") && !path.is_empty();
    let verdict = Verdict::compare(&shown, &expect)
        .unless("D19", || no_script && no_slash && lost_one())
        // What is no byte is in no variable.
        .unless("D35", || USED.iter().any(|name| given.is_foreign(name)) && is_foreign(&expect))
        // A scheme is always there.
        .unless("D35", || {
            scheme.is_null() && raised(&expect) == Some(("KeyError", "'wsgi.url_scheme'"))
        });
    match verdict {
        // And is one of two.
        Verdict::Same if given.scheme.is_none() => Verdict::Differs("D35"),
        verdict => verdict,
    }
}

/// Whether Python said what is no native string, or raised an error of such.
fn is_foreign(expect: &Value) -> bool {
    match raised(expect) {
        Some((kind, _)) => kind == "UnicodeEncodeError",
        None => expect["result"].as_str().is_some_and(|result| from_native(result).is_none()),
    }
}

/// Each call starts where wsgiref's last one ended, so that one that differs does not hide the
/// next.
fn shift(case: &Case) -> Verdict {
    let given = Given::new(&case.input["environ"]);
    let steps = case.expect["steps"].as_array().expect("steps");
    assert_eq!(Some(steps.len() as u64), case.input["calls"].as_u64(), "a step a call");
    let mut before = given.vars().clone();
    let mut verdict = Verdict::Same;
    for step in steps {
        let mut vars = before.clone();
        let got = shift_path_info(&mut vars);
        let native = |vars: &Vars, name| vars.native(name).map(|value| value.into_owned());
        let shown = match &got {
            Ok(segment) => json!({
                "name": segment.as_deref().map(to_native),
                "SCRIPT_NAME": native(&vars, "SCRIPT_NAME"),
                "PATH_INFO": native(&vars, "PATH_INFO"),
            }),
            Err(refused) => json!({"raise": refused.to_string()}),
        };
        match Verdict::compare(&shown, step)
            .unless("D19", || as_d19_says(&before, &got, &vars, step))
            .unless("D35", || {
                let foreign =
                    ["name", "SCRIPT_NAME", "PATH_INFO"].map(|key| json!({"result": step[key]}));
                !given.foreign.is_empty()
                    && (step.get("raise").is_some() || foreign.iter().any(is_foreign))
            }) {
            Verdict::Same => {}
            Verdict::Wrong(why) => return Verdict::Wrong(why),
            differs => verdict = differs,
        }
        for name in ["SCRIPT_NAME", "PATH_INFO"] {
            if let Some(value) = step[name].as_str() {
                before.set(name, from_native(value).unwrap_or_default());
            }
        }
    }
    verdict
}

/// A path without `/` is refused, and nothing is changed.
fn as_d19_says(
    before: &Vars,
    got: &Result<Option<Vec<u8>>, NoSlash>,
    after: &Vars,
    step: &Value,
) -> bool {
    let path = before.get("PATH_INFO").unwrap_or_default();
    let theirs = raised(step).is_none_or(|(kind, _)| kind == "IndexError");
    *got == Err(NoSlash)
        && !path.is_empty()
        && !path.starts_with(b"/")
        && theirs
        && before.iter().eq(after.iter())
}

fn defaults(case: &Case) -> Verdict {
    let mut given = Given::new(&case.input["environ"]);
    let vars = given.vars().clone();
    let scheme = given.scheme.unwrap_or_else(|| guess_scheme(&vars));
    let mut test = TestEnviron::new(vars, scheme);
    // The other keys of `wsgi` are fields, which whoever gives them sets.
    let wsgi = given.environ().wsgi;
    let (input, errors) = (test.input.get_ref().is_empty(), test.errors.is_empty());
    test.wsgi.version = wsgi.version;
    let flag = |value: bool| json!(u8::from(value));
    let native = |bytes| to_native(bytes).into_owned();
    let vars = test.vars.iter().map(|(name, value)| (native(name), json!(native(value))));
    let mut ours: Map<String, Value> = vars.collect();
    for (key, value) in [
        ("wsgi.version", json!([test.wsgi.version.0, test.wsgi.version.1])),
        ("wsgi.run_once", flag(test.wsgi.run_once || wsgi.run_once)),
        ("wsgi.multithread", flag(test.wsgi.multithread || wsgi.multithread)),
        ("wsgi.multiprocess", flag(test.wsgi.multiprocess || wsgi.multiprocess)),
        ("wsgi.input", json!(input.then_some("<BytesIO empty>"))),
        ("wsgi.errors", json!(errors.then_some("<StringIO empty>"))),
        ("wsgi.url_scheme", json!(test.wsgi.url_scheme.as_str())),
    ] {
        ours.insert(key.to_owned(), value);
    }
    only_keys(&case.expect, &["environ"]);
    let mut theirs = case.expect["environ"].as_object().expect("an environ").clone();
    for value in theirs.values_mut() {
        // Of Python's truths this is the same one.
        if let Some(truth) = value.as_bool() {
            *value = flag(truth);
        }
    }
    Verdict::compare(&ours, &theirs).unless("D35", || {
        // Without what no environ of ours holds, and what wsgiref made of that.
        for key in &given.foreign {
            let made: &[&str] = match &**key {
                "wsgi.url_scheme" => &["SERVER_PORT"],
                "SERVER_NAME" => &["HTTP_HOST"],
                _ => &[],
            };
            for key in made.iter().chain([&&**key]) {
                ours.remove(*key);
                theirs.remove(*key);
            }
        }
        !given.foreign.is_empty() && ours == theirs
    })
}

/// What a file was asked, and whether it was closed.
#[derive(Default)]
struct Log {
    sizes: Vec<usize>,
    closed: bool,
}

/// A file that gives what the case says, a read at a time.
struct Scripted {
    reads: VecDeque<Vec<u8>>,
    log: Rc<RefCell<Log>>,
    closes: bool,
}

impl Read for Scripted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.log.borrow_mut().sizes.push(buf.len());
        let mut read = self.reads.pop_front().unwrap_or_default();
        if read.len() > buf.len() && !buf.is_empty() {
            // Python's file may give more than was asked for. This one has to wait with it.
            self.reads.push_front(read.split_off(buf.len()));
        }
        (&read[..]).read(buf)
    }
}

/// A file in memory.
struct Plain {
    data: io::Cursor<Vec<u8>>,
    log: Rc<RefCell<Log>>,
    closes: bool,
}

impl Read for Plain {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.log.borrow_mut().sizes.push(buf.len());
        self.data.read(buf)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.log.borrow_mut().closed |= self.closes;
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.log.borrow_mut().closed |= self.closes;
    }
}

fn file_wrapper(case: &Case) -> Verdict {
    let (input, expect) = (&case.input, &case.expect);
    only_keys(expect, &["chunks", "sizes", "after", "has_close", "closed"]);
    let log: Rc<RefCell<Log>> = Rc::default();
    let closes = input["close"] == true;
    let wrapper = match &input["reads"] {
        Value::Null => {
            let repeat = input["repeat"].as_u64().unwrap_or(1).try_into().unwrap();
            let data = io::Cursor::new(bytes_of(&input["data"]).repeat(repeat));
            FileWrapper::new(Plain { data, log: log.clone(), closes })
        }
        reads => {
            let reads = reads.as_array().expect("reads").iter().map(bytes_of).collect();
            FileWrapper::new(Scripted { reads, log: log.clone(), closes })
        }
    };
    let mut wrapper = match &input["blksize"] {
        Value::Null => wrapper,
        size => match size.as_u64() {
            Some(size) => wrapper.blksize(size.try_into().unwrap()),
            // A size is a number of bytes.
            None => return Verdict::Differs("D35"),
        },
    };
    let mut next = || {
        let block = wrapper.next_block().unwrap();
        block.map_or(Value::Null, |block| json!(to_native(block)))
    };
    let chunks: Vec<_> = std::iter::from_fn(|| Some(next()).filter(Value::is_string)).collect();
    let sizes = log.borrow().sizes.clone();
    let after = [next(), next()];
    let closed_early = log.borrow().closed;
    drop(wrapper);
    let has_close = log.borrow().closed && !closed_early;

    // What the two calls after the end asked of the file is in the sizes too.
    let theirs = expect["sizes"].as_array().expect("sizes");
    let theirs = json!(theirs[..theirs.len() - 2]);
    let shown = json!({
        "chunks": chunks, "sizes": sizes, "after": after,
        "has_close": has_close, "closed": log.borrow().closed,
    });
    let mut wanted = expect.clone();
    wanted["sizes"] = theirs;
    let joined = |chunks: &Value| {
        let chunks = chunks.as_array().expect("chunks").iter();
        chunks.map(text_of).collect::<String>()
    };
    Verdict::compare(&shown, &wanted)
        .unless("U23", || {
            // The document: the end is final. Its source reads on.
            let mut as_documented = wanted.clone();
            as_documented["after"] = json!([null, null]);
            shown == as_documented
        })
        // `Read` gives at the most what it is asked for: the same in more pieces, or, asked for
        // nothing, nothing.
        .unless("D35", || {
            let asked = sizes.iter().max().copied().unwrap_or_default();
            let longer = |read: &Value| text_of(read).chars().count() > asked;
            let theirs = if asked == 0 { String::new() } else { joined(&wanted["chunks"]) };
            input["reads"].as_array().is_some_and(|reads| reads.iter().any(longer))
                && joined(&shown["chunks"]) == theirs
        })
}
