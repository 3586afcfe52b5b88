//! The clock that only goes forward (clock_gettime(2)).

/// Its microseconds, as sd_notify(3) wants them.
pub(crate) fn monotonic_micros() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC);
    // Neither is negative.
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Its milliseconds as of the kernel's last tick, a few of them ago: not even the processor's counter
/// is read, which waits for all that goes before.
pub(crate) fn coarse_millis() -> u64 {
    let now = ask(libc::CLOCK_MONOTONIC_COARSE);
    // As above.
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

fn ask(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is exclusive. Both clocks are there on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_is_the_other_one_of_a_moment_ago() {
        let before = monotonic_micros() / 1_000;
        let coarse = coarse_millis();
        assert!(coarse <= monotonic_micros() / 1_000);
        // Ticks are of 10 ms at the most, but may come late to a processor that others have.
        assert!(coarse + 1_000 >= before, "{coarse} {before}");
    }
}
