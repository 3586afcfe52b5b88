//! A panic of the application as an error like any other, with its place and backtrace.

use crate::types::Exception;
use std::{
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    sync::Once,
};

/// The application panicked.
///
/// ```
/// use cgigate::{Exception, Vars, handlers::{Attributes, Handler, Panicked, SimpleHandler}};
/// use std::io::{self, Write};
///
/// /// Wakes somebody up for panics alone.
/// struct Watched(Attributes);
///
/// impl Handler for Watched {
///     fn attributes(&self) -> &Attributes {
///         &self.0
///     }
///     fn log_exception(&self, exc: &Exception, errors: &mut dyn Write) -> io::Result<()> {
///         let urgency = if exc.is::<Panicked>() { "now" } else { "tomorrow" };
///         writeln!(errors, "{urgency}: {exc}")
///     }
/// }
///
/// let panics = cgigate::app(|_environ, _start_response| panic!("out of cheese"));
/// let mut err = Vec::new();
/// let mut handler = SimpleHandler::new(&b""[..], Vec::new(), &mut err, Vars::default());
/// handler.run_as(&Watched(Attributes::BASE), &panics)?;
/// let line = String::from_utf8(err)?;
/// assert!(line.starts_with("now: the application panicked at "), "{line}");
/// assert!(line.ends_with(": out of cheese\n"), "{line}");
/// # Ok::<_, Exception>(())
/// ```
#[derive(Debug)]
pub struct Panicked {
    message: String,
    place: String,
    backtrace: String,
}

thread_local! {
    /// How many guards this thread is under.
    static GUARDED: Cell<usize> = const { Cell::new(0) };
    static LAST: RefCell<Option<Panicked>> = const { RefCell::new(None) };
    /// Whether there is one in it, which is quicker asked.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Calls `f`; a panic becomes [`Panicked`]. Panics elsewhere are reported as they always were.
pub(super) fn guard<T>(f: impl FnOnce() -> Result<T, Exception>) -> Result<T, Exception> {
    HOOK.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match GUARDED.get() {
            0 => others(info),
            _ => {
                LAST.set(Some(Panicked::capture(info)));
                CAUGHT.set(true);
            }
        }));
    });
    GUARDED.set(GUARDED.get() + 1);
    // Nothing that the closure could leave half done is looked at again but by methods that a
    // failed request must not upset either.
    let caught = catch_unwind(AssertUnwindSafe(f));
    GUARDED.set(GUARDED.get() - 1);
    caught.unwrap_or_else(|payload| {
        let panicked = caught_below().unwrap_or_else(|| Panicked {
            message: message(&*payload),
            place: "an unknown place".into(),
            backtrace: String::new(),
        });
        // A payload whose own drop panics would end the process: it is given up instead.
        std::mem::forget(payload);
        Err(panicked.into())
    })
}

/// A panic under a guard that somebody else has caught: the application, or the task that it was in.
pub(super) fn caught_below() -> Option<Panicked> {
    if CAUGHT.replace(false) { LAST.take() } else { None }
}

impl Panicked {
    fn capture(info: &PanicHookInfo<'_>) -> Self {
        Self {
            message: message(info.payload()),
            place: info.location().map_or_else(|| "an unknown place".into(), ToString::to_string),
            backtrace: Backtrace::force_capture().to_string(),
        }
    }

    /// Appends the backtrace, of `limit` frames at the most.
    pub(super) fn backtrace_into(&self, out: &mut String, limit: Option<usize>) {
        let mut frames = 0;
        for line in self.backtrace.lines() {
            let number = line.trim_start().split_once(": ").map_or("", |(number, _)| number);
            frames += usize::from(!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
            if limit.is_some_and(|limit| frames > limit) {
                break;
            }
            super::log::escape_into(out, line);
            out.push('\n');
        }
    }
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn std::any::Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).into(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a value that is no text".into(),
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the application panicked at {}: {}", self.place, self.message)
    }
}

impl std::error::Error for Panicked {}
