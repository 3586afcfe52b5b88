//! What a person at a terminal gets beside the words: colours, and a line that says how far it is.
//! Elsewhere, and where NO_COLOR is set (no-color.org), nothing but the words.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

/// How a word is to look.
#[derive(Clone, Copy, Debug)]
pub(super) enum Colour {
    Good,
    Bad,
    Quiet,
}

/// The words on stdout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    colours: bool,
}

impl Paint {
    pub(super) fn of_stdout() -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { colours: io::stdout().is_terminal() && !plain && !dumb }
    }

    pub(super) fn word(self, colour: Colour, word: &str) -> String {
        let code = match colour {
            Colour::Good => 32,
            Colour::Bad => 31,
            Colour::Quiet => 2,
        };
        if self.colours { format!("\x1b[{code}m{word}\x1b[0m") } else { word.into() }
    }
}

/// A line on stderr that says what is being done, where somebody sees it.
#[derive(Debug)]
pub(super) struct Progress {
    shown: bool,
    total: usize,
}

impl Progress {
    pub(super) fn of(total: usize) -> Self {
        Self { shown: io::stderr().is_terminal(), total }
    }

    /// Item `number`, counted from one, is under way.
    pub(super) fn at(&self, number: usize, name: &str) {
        if self.shown {
            let name: String = name.chars().take(60).collect();
            let _ = write!(io::stderr(), "\r\x1b[K{number}/{} {name}", self.total);
        }
    }

    /// Makes room for other words.
    pub(super) fn clear(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// The three counts that `check` and `conform` end with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: usize,
}

impl Count {
    /// The last line.
    pub(super) fn line(self, paint: Paint) -> String {
        let Self { passed, failed, skipped } = self;
        let passed = format!("{passed} passed");
        let failed = match failed {
            0 => format!("{failed} failed"),
            _ => paint.word(Colour::Bad, &format!("{failed} failed")),
        };
        let passed = match self.failed {
            0 => paint.word(Colour::Good, &passed),
            _ => passed,
        };
        format!("{passed}, {failed}, {skipped} skipped")
    }
}
