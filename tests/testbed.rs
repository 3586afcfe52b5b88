//! The testbed's own applications do what the tests that drive them take for granted.
// All of this file is tests.
#![allow(clippy::unwrap_used)]

#[path = "testbed/bodies.rs"]
mod bodies;
#[path = "testbed/faults.rs"]
mod faults;
#[path = "testbed/heads.rs"]
mod heads;
#[path = "testbed/query.rs"]
mod query;
#[path = "testbed/roles.rs"]
mod roles;

use cgigate::{
    Application,
    handlers::{Attributes, Ending, Plain, Slate, Streams, run},
};

/// Status, header block, body, `wsgi.errors` and how it ended.
struct Answer {
    head: String,
    body: String,
    errors: String,
    ending: Ending,
}

fn ask(app: &dyn Application, query: &str, stdin: &str, vars: &[(&str, &str)]) -> Answer {
    let mut slate = Slate::default();
    slate.vars.set("QUERY_STRING", query);
    for (name, value) in vars {
        slate.vars.set(name, value);
    }
    let (mut stdin, mut out, mut errors) = (stdin.as_bytes(), Vec::new(), Vec::new());
    let streams = Streams { stdin: &mut stdin, stdout: &mut out, stderr: &mut errors };
    let outcome = run(&Plain(Attributes::CGI), app, &mut slate, streams).unwrap();
    let out = String::from_utf8(out).unwrap();
    let (head, body) = out.split_once("\r\n\r\n").unwrap();
    Answer {
        head: head.into(),
        body: body.into(),
        errors: String::from_utf8(errors).unwrap(),
        ending: outcome.ending,
    }
}

#[test]
fn bodies_are_read_left_alone_and_made() {
    assert_eq!(ask(&bodies::count, "", "hello", &[]).body, "5\n");
    assert_eq!(ask(&bodies::noread, "", "hello", &[]).body, "ignored\n");
    assert_eq!(ask(&bodies::stream, "chunks=3&size=2", "", &[]).body, "xxxxxx");
    let bytes = ask(&bodies::bytes, "n=100000", "", &[]);
    assert!(bytes.head.ends_with("Content-Length: 100000"), "{}", bytes.head);
    assert_eq!(bytes.body.len(), 100_000);
}

#[test]
fn any_status_but_an_interim_one_is_answered() {
    assert!(ask(&heads::status, "code=404", "", &[]).head.starts_with("Status: 404 Not Found\r\n"));
    for code in ["204", "304"] {
        let none = ask(&heads::status, &format!("code={code}"), "", &[]);
        assert!(none.head.starts_with(&format!("Status: {code} ")) && none.body.is_empty());
    }
    for code in ["100", "x"] {
        let refused = ask(&heads::status, &format!("code={code}"), "", &[]);
        assert!(refused.head.starts_with("Status: 500 "), "{}", refused.head);
    }
}

#[test]
fn header_fields_keep_their_order() {
    let head = ask(&heads::headers, "n=2", "", &[]).head;
    assert!(head.contains("\r\nX-1: 1\r\nX-2: 2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2"), "{head}");
}

#[test]
fn faults_happen_when_and_how_they_were_ordered() {
    assert_eq!(ask(&faults::sleep, "ms=1", "", &[]).body, "slept 1\n");
    assert_eq!(ask(&faults::deadline, "", "", &[]).body, "none\n");
    assert_eq!(ask(&faults::spin, "us=1", "", &[]).body, "computed 1\n");
    let logged = ask(&faults::stderr, "", "", &[]);
    assert_eq!((&*logged.body, &*logged.errors), ("logged\n", "a line for the log\n"));
    for how in ["error", "panic"] {
        let before = ask(&faults::fault, &format!("when=before&how={how}"), "", &[]);
        assert!(before.head.starts_with("Status: 500 ") && before.errors.contains("as asked for"));
        let after = ask(&faults::fault, &format!("when=after&how={how}"), "", &[]);
        assert_eq!(after.body, "partial\n");
        assert_eq!(after.ending, Ending::Cut { length_known: false });
        let after = ask(&faults::fault, &format!("when=after&how={how}&length=9"), "", &[]);
        assert_eq!(after.ending, Ending::Cut { length_known: true });
    }
}

#[test]
fn the_other_roles_answer() {
    let passed = ask(&roles::authorize, "user=tester", "", &[]).head;
    assert!(passed.starts_with("Status: 200 ") && passed.contains("\r\nVariable-WHO: tester"));
    assert!(ask(&roles::authorize, "user=x", "", &[]).head.starts_with("Status: 403 "));
    // What comes of DATA behind STDIN is a matter of the wire (tests/conformance).
    assert_eq!(ask(&roles::filter, "", "stdin", &[]).body, "");
}
