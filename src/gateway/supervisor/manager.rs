//! What a service manager hears (sd_notify(3)), if there is one.

use crate::{net, sys::say};
use std::time::{Duration, Instant};

/// A service manager that wants to hear that all is well (sd_watchdog_enabled(3)).
pub(super) struct Watchdog {
    every: Duration,
    pub(super) next: Instant,
}

impl Watchdog {
    pub(super) fn wanted() -> Option<Self> {
        let variable = |name| std::env::var(name).ok();
        if variable("WATCHDOG_PID").is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
            return None;
        }
        let micros: u64 = variable("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0)?;
        Some(Self { every: Duration::from_micros(micros / 2), next: Instant::now() })
    }

    pub(super) fn tell(&mut self, now: Instant) {
        if now >= self.next {
            self.next = now + self.every;
            tell_manager("WATCHDOG=1");
        }
    }
}

/// Tells the service manager; a server goes on without.
pub(crate) fn tell_manager(state: &str) {
    if let Err(error) = net::notify(state) {
        let state = state.lines().next().unwrap_or_default();
        say(format_args!("cgigate: tell the service manager {state}: {error}"));
    }
}
