//! One case of a file, and what becomes of it.

use serde_json::Value;
use std::{fs, path::Path};

/// What came of a case.
pub enum Verdict {
    /// As CPython does it.
    Same,
    /// As the named rule (`"D19"`) says instead, which was checked.
    Differs(&'static str),
    /// Neither: what came, and what should have.
    Wrong(String),
}

impl Verdict {
    /// Same if the two are equal, else wrong, and how.
    pub fn compare<T: PartialEq + std::fmt::Debug>(got: &T, expected: &T) -> Self {
        if got == expected {
            Self::Same
        } else {
            Self::Wrong(format!("\n   got {got:?}\n  want {expected:?}"))
        }
    }

    /// What is not the same is as `rule` says if `holds`, else still wrong.
    pub fn unless(self, rule: &'static str, holds: impl FnOnce() -> bool) -> Self {
        match self {
            Self::Wrong(_) if holds() => Self::Differs(rule),
            verdict => verdict,
        }
    }
}

/// A case: what is done, and what CPython did.
pub struct Case {
    pub name: String,
    pub tags: Vec<String>,
    pub input: Value,
    /// `expect_315` where the file has it.
    pub expect: Value,
}

/// The cases of a file.
pub fn read(path: &Path) -> Vec<Case> {
    let text = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value =
        serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let cases = file["cases"].as_array().expect("a list of cases");
    assert!(!cases.is_empty(), "no case in {}", path.display());
    let tags = |case: &Value| {
        let tags = case["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        tags.iter().map(|tag| text_of(tag).to_owned()).collect()
    };
    cases
        .iter()
        .map(|case| Case {
            name: text_of(&case["name"]).to_owned(),
            tags: tags(case),
            input: case["input"].clone(),
            expect: case.get("expect_315").unwrap_or(&case["expect"]).clone(),
        })
        .collect()
}

/// The text of a JSON string.
pub fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} should be a string"))
}

/// The bytes that a string of the vectors stands for, one a character.
pub fn bytes_of(value: &Value) -> Vec<u8> {
    cgigate::types::from_native(text_of(value))
        .unwrap_or_else(|| panic!("{value} should be Latin-1"))
        .into_owned()
}

/// A list of JSON, empty for null.
pub fn list_of(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
