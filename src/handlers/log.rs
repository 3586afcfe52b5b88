//! `log_exception`: what the administrator reads of an error.

use super::Panicked;
use crate::types::{Exception, causes};
use std::io;

/// The error and its causes, a line each; of a panic `limit` frames of its backtrace too.
pub(super) fn log(
    exc: &Exception,
    limit: Option<usize>,
    errors: &mut dyn io::Write,
) -> io::Result<()> {
    let mut text = String::new();
    let mut last = String::new();
    for error in causes(exc) {
        let line = error.to_string();
        // An io::Error that carries another prints that one's text: once is enough.
        if line == last {
            continue;
        }
        text.push_str(if last.is_empty() { "" } else { "caused by: " });
        escape_into(&mut text, &line);
        text.push('\n');
        last = line;
    }
    if let Some(panicked) = causes(exc).find_map(|error| error.downcast_ref::<Panicked>()) {
        panicked.backtrace_into(&mut text, limit);
    }
    errors.write_all(text.as_bytes())?;
    errors.flush()
}

/// One line whatever the error says: a log cannot be forged by what an error quotes.
pub(super) fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}
