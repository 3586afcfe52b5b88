//! A gateway for the vectors: the one application is described by a file, as in `handlers.json`.
//!
//! `CGIGATE_CASE` names a folder: the case's `handler` and `app` are read from `case.json`, and
//! what the application saw is written to `record.json`. The gateway keeps variables of that name
//! from the application, so that its environ is the case's and nothing else. A handler with
//! attributes of its own is the library's; any other is the one that every executable has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(unreachable_pub, dead_code, reason = "files of the test, which uses all of them")]

mod case;
mod described;

use cgigate::{
    Gateway,
    handlers::{Attributes, CgiHandler, Ending, IisCgiHandler, Outcome},
};
use described::{Described, attributes};
use serde_json::Value;
use std::{env, fs, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let folder = PathBuf::from(env::var_os("CGIGATE_CASE").expect("CGIGATE_CASE names a folder"));
    let case: Value = serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
    let (handler, app) = (&case["handler"], Described::new(&case["app"]));
    let record = app.record.clone();
    let code = match handler.as_object().map(|handler| handler.len()) {
        Some(1) => Gateway::new().responder("described", app).main(),
        _ => run_by_hand(handler, &app),
    };
    fs::write(folder.join("record.json"), record.to_json().to_string()).unwrap();
    code
}

fn run_by_hand(handler: &Value, app: &Described) -> ExitCode {
    let stdio = match case::text_of(&handler["kind"]) {
        "IISCGIHandler" => IisCgiHandler::new(),
        _ => CgiHandler::new(),
    };
    match stdio.with(attributes(Attributes::CGI, handler)).run(app) {
        Ok(Outcome { ending: Ending::Cut { .. }, .. }) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(exc) => {
            eprintln!("{exc}");
            ExitCode::FAILURE
        }
    }
}
