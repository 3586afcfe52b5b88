//! An environ of the vectors, as far as Rust's types hold it.
//!
//! Python's is one dictionary of anything. Here a variable is bytes, and each `wsgi.*` key has a
//! type and is always there: that is rule D35, and where a case cannot be had so it falls under it.

use super::case::text_of;
use cgigate::{
    Environ, Vars,
    types::{Scheme, from_native},
    util::TestEnviron,
};
use serde_json::Value;

/// The keys that every environ has.
pub const WSGI: [&str; 8] = [
    "wsgi.errors",
    "wsgi.file_wrapper",
    "wsgi.input",
    "wsgi.multiprocess",
    "wsgi.multithread",
    "wsgi.run_once",
    "wsgi.url_scheme",
    "wsgi.version",
];

pub struct Given {
    test: TestEnviron,
    /// `wsgi.url_scheme`, where it is one of the two.
    pub scheme: Option<Scheme>,
    /// Keys whose values no environ of ours holds as they are.
    pub foreign: Vec<String>,
}

impl Given {
    pub fn new(environ: &Value) -> Self {
        let test = TestEnviron::new(Vars::default(), Scheme::Http);
        let mut given = Self { test, scheme: None, foreign: Vec::new() };
        given.test.vars.clear();
        for (key, value) in environ.as_object().expect("an environ") {
            if given.hold(key, value).is_none() {
                given.foreign.push(key.clone());
            }
        }
        given
    }

    /// What of it is strings.
    pub fn vars(&self) -> &Vars {
        &self.test.vars
    }

    pub fn environ(&mut self) -> Environ<'_> {
        self.test.environ()
    }

    pub fn is_foreign(&self, key: &str) -> bool {
        self.foreign.iter().any(|foreign| foreign == key)
    }

    fn hold(&mut self, key: &str, value: &Value) -> Option<()> {
        let byte = |at: usize| u8::try_from(value[at].as_u64()?).ok();
        let wsgi = &mut self.test.wsgi;
        match key {
            "wsgi.url_scheme" => {
                wsgi.url_scheme = scheme(value)?;
                self.scheme = Some(wsgi.url_scheme);
            }
            "wsgi.version" if value.as_array()?.len() == 2 => wsgi.version = (byte(0)?, byte(1)?),
            "wsgi.multithread" => wsgi.multithread = value.as_bool()?,
            "wsgi.multiprocess" => wsgi.multiprocess = value.as_bool()?,
            "wsgi.run_once" => wsgi.run_once = value.as_bool()?,
            "wsgi.file_wrapper" => {
                // There is one, but not the case's.
                wsgi.file_wrapper = true;
                return None;
            }
            // Streams are always ours.
            key if WSGI.contains(&key) => return None,
            key => {
                let (name, value) = (from_native(key)?, from_native(value.as_str()?)?);
                self.test.vars.set(name, value);
            }
        }
        Some(())
    }
}

fn scheme(value: &Value) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| scheme.as_str() == value)
}

/// A test that is about no other keys than these.
pub fn only_keys(object: &Value, known: &[&str]) {
    for key in object.as_object().expect("an object").keys() {
        assert!(known.contains(&&**key), "nothing here knows {key:?}");
    }
}

/// The name of the exception that is expected, and its message.
pub fn raised(expect: &Value) -> Option<(&str, &str)> {
    expect.get("raise").map(|kind| (text_of(kind), text_of(&expect["message"])))
}
