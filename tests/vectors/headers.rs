//! The cases of `headers.json`.

use super::{
    case::{Case, Verdict, text_of},
    given::only_keys,
};
use cgigate::{
    headers::Headers,
    types::{Violation, from_native, to_native},
};
use serde_json::{Value, json};

pub fn run(case: &Case) -> Verdict {
    only_keys(&case.input, &["init", "ops"]);
    only_keys(&case.expect, &["init", "results", "items", "bytes"]);
    let ours = ours(&case.input);
    Verdict::compare(&ours, &case.expect)
        // Only ASCII has letter case.
        .unless("D39", || ours == Model { d39: true, d22: false }.run(&case.input))
        // Names are tokens, values bytes, checked before anything is changed.
        .unless("D22", || ours == Model { d39: true, d22: true }.run(&case.input))
}

fn refused(violation: &Violation) -> Value {
    match violation {
        Violation::HeaderControl(_) => control(),
        _ => no_header(),
    }
}

fn control() -> Value {
    json!({"raise": "ValueError", "message": "Control characters not allowed in headers"})
}

/// Refused by D22, in words of our own.
fn no_header() -> Value {
    json!({"raise": "Violation"})
}

/// What `Headers` says to the case's operations. A native string that has no bytes cannot be said
/// to it: it is refused where it would have been.
fn ours(input: &Value) -> Value {
    let mut headers = Headers::default();
    for pair in pairs(&input["init"]) {
        if let Err(value) = add(&mut headers, Headers::add, &pair[0], &pair[1]) {
            return json!({"init": value});
        }
    }
    let list = headers.into_vec();
    let mut headers = Headers::from_vec(list).expect("as they were");
    let results: Vec<_> = ops(input).iter().map(|op| operate(&mut headers, op)).collect();
    let items: Vec<_> = items(&headers);
    json!({"results": results, "items": items, "bytes": to_native(&headers.to_bytes())})
}

fn native(bytes: &[u8]) -> String {
    to_native(bytes).into_owned()
}

fn items(headers: &Headers) -> Vec<[String; 2]> {
    headers.iter().map(|(name, value)| [native(name), native(value)]).collect()
}

type Change = fn(&mut Headers, Vec<u8>, Vec<u8>) -> Result<(), Violation>;

fn add(headers: &mut Headers, change: Change, name: &Value, value: &Value) -> Result<(), Value> {
    let bytes = |text| from_native(text_of(text)).ok_or_else(no_header).map(|b| b.into_owned());
    change(headers, bytes(name)?, bytes(value)?).map_err(|violation| refused(&violation))
}

fn operate(headers: &mut Headers, op: &Value) -> Value {
    let result = |value: Value| json!({"result": value});
    let done = |done: Result<(), Value>| done.err().unwrap_or_else(|| json!({"result": null}));
    // What has no bytes is no name of any header: its UTF-8 is none either.
    let name = || {
        let name = text_of(&op["name"]);
        from_native(name).map_or_else(|| name.as_bytes().to_vec(), |name| name.into_owned())
    };
    known(op);
    match text_of(&op["op"]) {
        "get" | "getitem" => result(json!(headers.get(name()).map(native))),
        "get_default" => {
            result(headers.get(name()).map_or(op["default"].clone(), |value| json!(native(value))))
        }
        "contains" => result(json!(headers.contains(name()))),
        "get_all" => {
            let values: Vec<_> = headers.get_all(name()).into_iter().map(native).collect();
            result(json!(values))
        }
        "del" => {
            headers.remove(name());
            result(Value::Null)
        }
        "set" => done(add(headers, |h, n, v| h.set(n, v), &op["name"], &op["value"])),
        "setdefault" => match headers.get(name()).map(native) {
            // The value is not looked at, be it bytes or not.
            Some(first) => {
                assert_eq!(headers.set_default(name(), "").map(native).unwrap(), first);
                result(json!(first))
            }
            None => match add(
                headers,
                |h, n, v| h.set_default(n, v).map(drop),
                &op["name"],
                &op["value"],
            ) {
                Ok(()) => result(json!(headers.get(name()).map(native))),
                Err(value) => value,
            },
        },
        "len" => result(json!(headers.len())),
        "keys" => result(json!(headers.keys().map(native).collect::<Vec<_>>())),
        "values" => result(json!(headers.values().map(native).collect::<Vec<_>>())),
        "items" => result(json!(items(headers))),
        "str" => result(json!(headers.to_string())),
        "add_header" => {
            let params: Vec<_> = pairs(&op["params"])
                .iter()
                .map(|param| (text_of(&param[0]), param[1].as_str()))
                .collect();
            let name = name();
            let added = headers.add_header(name, op["value"].as_str(), &params);
            done(added.map_err(|violation| refused(&violation)))
        }
        other => panic!("no operation {other:?}"),
    }
}

fn known(op: &Value) {
    only_keys(op, &["op", "name", "value", "default", "params"]);
}

fn ops(input: &Value) -> &[Value] {
    input["ops"].as_array().expect("operations")
}

fn pairs(list: &Value) -> &[Value] {
    match list {
        Value::Null => &[],
        list => list.as_array().expect("a list of pairs"),
    }
}

/// wsgiref's `Headers` written down once more, with one rule or the other.
struct Model {
    d39: bool,
    d22: bool,
}

type Items = Vec<(String, String)>;

impl Model {
    fn run(&self, input: &Value) -> Value {
        let mut items = Items::new();
        for pair in pairs(&input["init"]) {
            let (name, value) = (text_of(&pair[0]), text_of(&pair[1]));
            if let Err(value) = self.check(name, value) {
                return json!({"init": value});
            }
            items.push((name.to_owned(), value.to_owned()));
        }
        let results: Vec<_> = ops(input)
            .iter()
            .map(|op| match self.operate(&mut items, op) {
                Ok(value) => json!({"result": value}),
                Err(value) => value,
            })
            .collect();
        let text: String = items.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        json!({"results": results, "items": items, "bytes": text + "\r\n"})
    }

    fn lower(&self, name: &str) -> String {
        if self.d39 { name.to_ascii_lowercase() } else { name.to_lowercase() }
    }

    fn check(&self, name: &str, value: &str) -> Result<(), Value> {
        let is_byte = |c| c <= '\u{ff}';
        if self.d22 && !(name.chars().all(is_byte) && value.chars().all(is_byte)) {
            return Err(no_header());
        }
        let is_control = |c: char| c.is_ascii_control();
        if name.contains(is_control) {
            return Err(control());
        }
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if self.d22 && (name.is_empty() || !name.chars().all(token)) {
            return Err(no_header());
        }
        if value.contains(|c: char| is_control(c) && c != '\t') {
            return Err(control());
        }
        Ok(())
    }

    /// Of a name that is looked for: under D22 it is just not there.
    fn look(&self, name: &str) -> Result<String, Value> {
        let bad = !self.d22 && name.contains(|c: char| c.is_ascii_control());
        if bad { Err(control()) } else { Ok(self.lower(name)) }
    }

    fn operate(&self, items: &mut Items, op: &Value) -> Result<Value, Value> {
        let find = |items: &Items| -> Result<Vec<String>, Value> {
            let name = self.look(text_of(&op["name"]))?;
            let same = items.iter().filter(|(n, _)| self.lower(n) == name);
            Ok(same.map(|(_, value)| value.clone()).collect())
        };
        let (name, value) = (&op["name"], &op["value"]);
        Ok(match text_of(&op["op"]) {
            "get" | "getitem" => json!(find(items)?.first()),
            "get_default" => match find(items)?.first() {
                Some(value) => json!(value),
                None => op["default"].clone(),
            },
            "contains" => json!(!find(items)?.is_empty()),
            "get_all" => json!(find(items)?),
            "del" => {
                let name = self.look(text_of(name))?;
                items.retain(|(n, _)| self.lower(n) != name);
                Value::Null
            }
            "set" => {
                let (name, value) = (text_of(name), text_of(value));
                if self.d22 {
                    self.check(name, value)?;
                }
                let lower = self.look(name)?;
                items.retain(|(n, _)| self.lower(n) != lower);
                self.check(name, value)?;
                items.push((name.to_owned(), value.to_owned()));
                Value::Null
            }
            "setdefault" => match find(items)?.first() {
                Some(first) => json!(first),
                None => {
                    self.check(text_of(name), text_of(value))?;
                    items.push((text_of(name).to_owned(), text_of(value).to_owned()));
                    value.clone()
                }
            },
            "len" => json!(items.len()),
            "keys" => json!(items.iter().map(|(name, _)| name).collect::<Vec<_>>()),
            "values" => json!(items.iter().map(|(_, value)| value).collect::<Vec<_>>()),
            "items" => json!(items),
            "str" => {
                let text: String = items.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
                json!(text + "\r\n")
            }
            "add_header" => {
                let mut parts: Vec<String> =
                    value.as_str().map(str::to_owned).into_iter().collect();
                for param in pairs(&op["params"]) {
                    let key = text_of(&param[0]).replace('_', "-");
                    parts.push(match param[1].as_str() {
                        None | Some("") => key,
                        Some(text) => {
                            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                            format!("{key}=\"{text}\"")
                        }
                    });
                }
                let joined = parts.join("; ");
                self.check(text_of(name), &joined)?;
                items.push((text_of(name).to_owned(), joined));
                Value::Null
            }
            other => panic!("no operation {other:?}"),
        })
    }
}
