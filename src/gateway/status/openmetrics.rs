//! The status for Prometheus and its likes: OpenMetrics 1.0 as text.
//!
//! Each metric family is described before its samples, names end with their unit, counters with
//! `_total`, buckets count what is up to their bound, and `# EOF` ends it all.

use super::{Histogram, Snapshot};
use std::{
    fmt::{self, Write},
    time::UNIX_EPOCH,
};

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes `snapshot` down.
pub(super) fn render(out: &mut String, snapshot: &Snapshot) -> fmt::Result {
    let Snapshot { totals, .. } = snapshot;
    family(out, "cgigate_build", "info", None, "What serves.")?;
    writeln!(out, "cgigate_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
    let started = snapshot.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let name = "cgigate_start_time_seconds";
    family(out, name, "gauge", Some("seconds"), "When the server was started, since 1970.")?;
    writeln!(out, "{name} {started:.3}")?;

    gauge(out, "cgigate_processes", "Processes that serve.", snapshot.processes.len() as u64)?;
    let name = "cgigate_threads";
    family(out, name, "gauge", None, "Threads that run applications, by what they are at.")?;
    writeln!(out, "{name}{{state=\"busy\"}} {}", snapshot.busy())?;
    writeln!(out, "{name}{{state=\"idle\"}} {}", snapshot.idle())?;
    let help = "Complete requests that wait for a thread.";
    gauge(out, "cgigate_queued_requests", help, snapshot.queued())?;
    let name = "cgigate_accept_queue";
    family(out, name, "gauge", None, "Connections that wait to be accepted, by listener.")?;
    for door in &snapshot.doors {
        if let Some(waiting) = door.waiting {
            writeln!(out, "{name}{{listener=\"{}\"}} {waiting}", Label(&door.address))?;
        }
    }

    let name = "cgigate_requests";
    family(out, name, "counter", None, "Requests that have ended, by status; 0: without one.")?;
    for (code, count) in totals.by_code() {
        writeln!(out, "{name}_total{{code=\"{code}\"}} {count}")?;
    }
    let (unit, help) = (Some("bytes"), "Bytes of request bodies that applications have read.");
    counter(out, "cgigate_received_body_bytes", unit, help, totals.received)?;
    let help = "Bytes of response bodies that were sent.";
    counter(out, "cgigate_sent_body_bytes", unit, help, totals.sent)?;
    let help = "Time that requests were in the application.";
    histogram(out, "cgigate_app_duration_seconds", help, &totals.app)?;
    let help = "Time that requests waited for a thread.";
    histogram(out, "cgigate_queue_duration_seconds", help, &totals.queue)?;

    let help = "Workers that have died and were replaced.";
    counter(out, "cgigate_restarts", None, help, snapshot.restarts)?;
    counter(out, "cgigate_reloads", None, "Reloads that went well.", snapshot.reloads)?;
    let name = "cgigate_resident_memory_bytes";
    family(out, name, "gauge", Some("bytes"), "Memory, by process.")?;
    let processes = snapshot.processes.iter().map(|process| (process.pid, process.resident));
    for (pid, resident) in processes.chain(snapshot.supervisor) {
        if let Some(resident) = resident {
            writeln!(out, "{name}{{pid=\"{pid}\"}} {resident}")?;
        }
    }
    out.write_str("# EOF\n")
}

fn family(out: &mut String, name: &str, kind: &str, unit: Option<&str>, help: &str) -> fmt::Result {
    writeln!(out, "# TYPE {name} {kind}")?;
    if let Some(unit) = unit {
        writeln!(out, "# UNIT {name} {unit}")?;
    }
    writeln!(out, "# HELP {name} {help}")
}

fn gauge(out: &mut String, name: &str, help: &str, value: u64) -> fmt::Result {
    family(out, name, "gauge", None, help)?;
    writeln!(out, "{name} {value}")
}

fn counter(
    out: &mut String,
    name: &str,
    unit: Option<&str>,
    help: &str,
    value: u64,
) -> fmt::Result {
    family(out, name, "counter", unit, help)?;
    writeln!(out, "{name}_total {value}")
}

fn histogram(out: &mut String, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
    family(out, name, "histogram", Some("seconds"), help)?;
    let mut below = 0u64;
    for ((_, bound), count) in Histogram::BOUNDS.iter().zip(histogram.buckets) {
        below = below.wrapping_add(count);
        writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {below}")?;
    }
    let count = histogram.count();
    writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}")?;
    writeln!(out, "{name}_sum {:.6}", histogram.micros as f64 / 1e6)?;
    writeln!(out, "{name}_count {count}")
}

/// The value of a label: escaped as the format has it, and without control characters.
struct Label<'t>(&'t str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            c if c.is_control() || "<>&".contains(c) => write!(f, "\\\\u{:04x}", u32::from(c)),
            c => f.write_char(c),
        })
    }
}
