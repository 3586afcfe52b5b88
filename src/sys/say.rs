//! What a process says of itself on stderr: a line for each thing, by one write each.
//!
//! That nobody reads it must not end a server: `eprintln!` panics when the pipe is closed.

use std::{fmt, io::Write as _};

/// How much it matters, in the numbers of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error = 3,
    Warning = 4,
    Info = 6,
}

/// One line that somebody should look at some time.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    say_at(Level::Warning, line);
}

/// One line, whatever is quoted in it.
pub(crate) fn say_at(level: Level, line: fmt::Arguments<'_>) {
    say_block(level, [line.to_string()]);
}

/// Several lines that belong together, by one write.
pub(crate) fn say_block(level: Level, lines: impl IntoIterator<Item = String>) {
    let level = if goes_to_the_journal() { format!("<{}>", level as u8) } else { String::new() };
    let mut text = String::new();
    for line in lines {
        text += &level;
        push_line(&mut text, &line);
    }
    write(&text);
}

/// Lines that somebody else wrote, without the end of the last.
pub(crate) fn say_lines(lines: &[u8]) {
    let mut text = String::new();
    for line in String::from_utf8_lossy(lines).split('\n') {
        push_line(&mut text, line);
    }
    write(&text);
}

/// A text of several lines that this program wrote.
pub(crate) fn say_text(text: fmt::Arguments<'_>) {
    write(&format!("{text}\n"));
}

fn write(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A line in which no other can hide, and which moves no cursor.
fn push_line(out: &mut String, line: &str) {
    for c in line.chars() {
        match c {
            '\t' => out.push(c),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('\n');
}

/// Whether stderr is what systemd says that it connected to its journal (systemd.exec(5)): there a
/// line begins with its level.
#[cfg(unix)]
fn goes_to_the_journal() -> bool {
    use std::os::{fd::AsFd, unix::fs::MetadataExt};
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let stderr = stderr.and_then(|stderr| stderr.metadata());
    stderr.is_ok_and(|it| stream.to_str() == Some(&format!("{}:{}", it.dev(), it.ino())))
}

#[cfg(not(unix))]
fn goes_to_the_journal() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_in_a_line_stays_in_it() {
        let mut out = String::new();
        push_line(&mut out, "a\tb\r\nforged\u{1b}[2J\0\u{85}é");
        assert_eq!(out, "a\tb\\r\\nforged\\u{1b}[2J\\u{0}\\u{85}é\n");
    }
}
