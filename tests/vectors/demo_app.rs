//! The cases of `demo_app.json`.
//!
//! Our environ has every `wsgi.*` key, which PEP 3333 asks for and the cases mostly leave out: the
//! lines of those that a case does not give are taken away before the pages are compared.

use super::{
    case::{Case, Verdict, bytes_of},
    given::{Given, WSGI, only_keys},
};
use cgigate::{
    Body, Exception, StartResponse, apps,
    types::{HeaderIter, to_native},
};
use serde_json::json;

/// What `start_response` was told.
#[derive(Default)]
struct Told {
    status: String,
    headers: Vec<[String; 2]>,
}

impl StartResponse for Told {
    fn start_response(
        &mut self,
        status: &[u8],
        headers: &mut HeaderIter<'_>,
        exc_info: Option<Exception>,
    ) -> Result<(), Exception> {
        assert!(exc_info.is_none() && self.status.is_empty(), "once, and all went well");
        let native = |bytes| to_native(bytes).into_owned();
        self.status = native(status);
        self.headers = headers.map(|(name, value)| [native(name), native(value)]).collect();
        Ok(())
    }

    fn write(&mut self, _data: &[u8]) -> Result<(), Exception> {
        panic!("the page is the body");
    }
}

pub fn run(case: &Case) -> Verdict {
    only_keys(&case.input, &["environ"]);
    only_keys(&case.expect, &["status", "headers", "body"]);
    let environ = &case.input["environ"];
    let mut given = Given::new(environ);
    let mut told = Told::default();
    let page = match apps::demo(given.environ(), &mut told) {
        Ok(Body::One(block)) => String::from_utf8(block.into_owned()).unwrap(),
        other => panic!("one block, not {other:?}"),
    };
    let wanted = String::from_utf8(bytes_of(&case.expect["body"])).unwrap();

    // Lines that are ours alone: a value is one line, for Python's repr has no line break.
    let absent = WSGI.iter().filter(|key| environ.get(*key).is_none());
    let page = absent.fold(page, |page, key| without(page, key));
    let shown = |page: &str| json!({"status": told.status, "headers": told.headers, "body": page});
    let expected = |page: &str| {
        let mut expect = case.expect.clone();
        expect["body"] = json!(page);
        expect
    };
    Verdict::compare(&shown(&page), &expected(&wanted)).unless("D35", || {
        // Objects of Python's, and strings that have no bytes, are in no environ of ours; what it
        // has in their place, if anything, prints in its own way. All else is the same.
        let drop = |page: String| given.foreign.iter().fold(page, |page, key| without(page, key));
        !given.foreign.is_empty() && shown(&drop(page)) == expected(&drop(wanted))
    })
}

/// The page without the line of a key.
fn without(page: String, key: &str) -> String {
    let start = format!("\n{key} = ");
    let Some(at) = page.find(&start) else { return page };
    let line = &page[at + start.len()..];
    let end = at + start.len() + line.find('\n').expect("lines end");
    format!("{}{}", &page[..at], &page[end..])
}

#[test]
fn a_line_is_taken_out_whole() {
    let page = "Hello world!\n\na = '1'\nb = '2'\n".to_owned();
    assert_eq!(without(page.clone(), "a"), "Hello world!\n\nb = '2'\n");
    assert_eq!(without(page.clone(), "b"), "Hello world!\n\na = '1'\n");
    assert_eq!(without(page.clone(), "c"), page);
}
