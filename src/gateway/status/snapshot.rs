//! What there is to say of a server at one moment.

use std::time::{Duration, SystemTime};

/// A server, with all of its processes.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) started: SystemTime,
    /// By the clock that only goes forward.
    pub(crate) uptime: Duration,
    /// The process that looks after the workers, and its memory in bytes.
    pub(crate) supervisor: Option<(u32, Option<u64>)>,
    pub(crate) processes: Vec<Process>,
    pub(crate) doors: Vec<Door>,
    pub(crate) totals: Totals,
    pub(crate) restarts: u64,
    pub(crate) reloads: u64,
}

/// A process that serves.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) generation: u64,
    pub(crate) uptime: Duration,
    /// Threads that run applications.
    pub(crate) threads: u64,
    /// Complete requests that wait for one.
    pub(crate) queued: u64,
    /// Memory, in bytes, where the system tells.
    pub(crate) resident: Option<u64>,
    pub(crate) busy: Vec<Busy>,
}

/// A request under way.
#[derive(Clone, Debug)]
pub(crate) struct Busy {
    pub(crate) age: Duration,
    /// Method and path, as they came.
    pub(crate) text: Vec<u8>,
    /// The path was longer.
    pub(crate) is_cut: bool,
}

/// A listener.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    pub(crate) address: String,
    /// Connections that wait to be accepted, where the kernel tells.
    pub(crate) waiting: Option<u32>,
}

/// Of all processes that there were.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    /// Requests by status, from 100 on; the last: those that got none.
    pub(crate) codes: Vec<u64>,
    /// Bytes of bodies.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) app: Histogram,
    pub(crate) queue: Histogram,
}

/// How long something took, how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    pub(crate) buckets: [u64; Self::BUCKETS],
    pub(crate) micros: u64,
}

impl Snapshot {
    pub(crate) fn threads(&self) -> u64 {
        self.processes.iter().map(|process| process.threads).sum()
    }

    pub(crate) fn busy(&self) -> u64 {
        self.processes.iter().map(|process| process.busy.len() as u64).sum()
    }

    pub(crate) fn idle(&self) -> u64 {
        self.threads().saturating_sub(self.busy())
    }

    pub(crate) fn queued(&self) -> u64 {
        self.processes.iter().map(|process| process.queued).sum()
    }

    /// Memory of all processes, where it is known of each.
    pub(crate) fn resident(&self) -> Option<u64> {
        let workers = self.processes.iter().map(|process| process.resident);
        workers.chain(self.supervisor.map(|(_, resident)| resident)).sum()
    }
}

impl Totals {
    /// 100 to 599, and none.
    pub(crate) const CODES: usize = 501;

    /// Each status that there was, 0 for none, and how often.
    pub(crate) fn by_code(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let code = |at: usize| if at == Self::CODES - 1 { 0 } else { 100 + at as u16 };
        let counts = self.codes.iter().enumerate().map(move |(at, count)| (code(at), *count));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Requests of each class: 1xx to 5xx, and those that got no status at all.
    pub(crate) fn by_class(&self) -> [(&'static str, u64); 6] {
        let mut classes =
            [("1xx", 0), ("2xx", 0), ("3xx", 0), ("4xx", 0), ("5xx", 0), ("none", 0u64)];
        for (code, count) in self.by_code() {
            let at = if code == 0 { 5 } else { usize::from(code / 100 - 1) };
            classes[at].1 = classes[at].1.wrapping_add(count);
        }
        classes
    }

    pub(crate) fn requests(&self) -> u64 {
        self.codes.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    #[cfg(test)]
    pub(crate) fn of(&self, code: u16) -> u64 {
        self.by_code().find(|(it, _)| *it == code).map_or(0, |(_, count)| count)
    }
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            codes: vec![0; Self::CODES],
            received: 0,
            sent: 0,
            app: Histogram::default(),
            queue: Histogram::default(),
        }
    }
}

impl Histogram {
    /// The bounds of the buckets in microseconds, the last of which has none.
    pub(crate) const BOUNDS: [(u64, &str); 13] = [
        (500, "0.0005"),
        (1_000, "0.001"),
        (2_500, "0.0025"),
        (5_000, "0.005"),
        (10_000, "0.01"),
        (25_000, "0.025"),
        (50_000, "0.05"),
        (100_000, "0.1"),
        (250_000, "0.25"),
        (500_000, "0.5"),
        (1_000_000, "1.0"),
        (5_000_000, "5.0"),
        (30_000_000, "30.0"),
    ];
    pub(crate) const BUCKETS: usize = Self::BOUNDS.len() + 1;

    /// Which bucket counts this.
    pub(crate) fn bucket(time: Duration) -> usize {
        let micros = time.as_micros();
        let fits = |(bound, _): &(u64, &str)| micros <= u128::from(*bound);
        Self::BOUNDS.iter().position(fits).unwrap_or(Self::BUCKETS - 1)
    }

    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_goes_into_the_first_bucket_whose_bound_is_not_below_it() {
        let bucket = |micros| Histogram::bucket(Duration::from_micros(micros));
        assert_eq!([0, 500, 501, 1_000, 30_000_000, 30_000_001].map(bucket), [0, 0, 1, 1, 12, 13]);
        assert!(Histogram::BOUNDS.is_sorted());
        for (bound, label) in Histogram::BOUNDS {
            assert_eq!(label.parse::<f64>().unwrap(), bound as f64 / 1e6);
        }
    }

    #[test]
    fn statuses_add_up_to_their_classes() {
        let mut totals = Totals::default();
        for (at, count) in [(0, 1), (100, 2), (104, 3), (304, 4), (499, 5), (500, 6)] {
            totals.codes[at] = count;
        }
        let all = [(100, 1), (200, 2), (204, 3), (404, 4), (599, 5), (0, 6)];
        assert_eq!(totals.by_code().collect::<Vec<_>>(), all);
        assert_eq!(totals.by_class().map(|(_, count)| count), [1, 5, 0, 4, 5, 6]);
        assert_eq!(totals.requests(), 21);
    }
}
