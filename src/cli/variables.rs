//! The `CGIGATE_*` variables that stand for options, in what clap leaves to be done.

use super::options::Options;
use crate::sys;
use clap::{
    CommandFactory as _,
    error::{ContextKind, ContextValue},
};
use std::{
    env,
    ffi::{OsStr, OsString},
};

/// Puts one space between the values of each variable that stands for a repeatable option: any
/// white space may be there, and clap parts them at one character.
///
/// To be called while the process has one thread.
pub(super) fn part() {
    for command in Options::command().get_subcommands() {
        for option in command.get_arguments().filter(|arg| arg.get_value_delimiter().is_some()) {
            let Some(name) = option.get_env().and_then(OsStr::to_str) else { continue };
            let Ok(value) = env::var(name) else { continue };
            let parted = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            if parted != value {
                sys::set_var(name, &parted);
            }
        }
    }
}

/// An error of usage, where the value is a variable's and not the command line's.
pub(super) fn named(line: String, error: &clap::Error, words: &[OsString]) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // As it stands in the line: `--max-body <SIZE>`.
    let (option, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let long = option.split(' ').next().unwrap_or_default();
    let name = format!("CGIGATE_{}", long.trim_start_matches('-').to_uppercase().replace('-', "_"));
    let is_it = |word: &OsString| word.to_string_lossy().split('=').next() == Some(long);
    let Ok(variable) = env::var(&name) else { return line };
    let is_in_it = variable == value || variable.split(' ').any(|word| word == value);
    match is_in_it && !words.iter().any(is_it) {
        true => line.replace(&format!("'{option}'"), &name),
        false => line,
    }
}
