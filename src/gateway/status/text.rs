//! The status for people: a line for each thing, its name first.

use super::{Histogram, Snapshot};
use crate::gateway::escape::Page;
use std::fmt::{self, Write};

pub(super) const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Writes `snapshot` down; `full`: with the requests under way.
pub(super) fn render(out: &mut String, snapshot: &Snapshot, full: bool) -> fmt::Result {
    let Snapshot { totals, .. } = snapshot;
    writeln!(out, "version: {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "started: {}", httpdate::fmt_http_date(snapshot.started))?;
    writeln!(out, "uptime: {} s", snapshot.uptime.as_secs())?;
    if let Some((pid, _)) = snapshot.supervisor {
        writeln!(out, "supervisor: {pid}")?;
    }
    writeln!(out, "processes: {}", snapshot.processes.len())?;
    writeln!(out, "threads: {}", snapshot.threads())?;
    writeln!(out, "threads busy: {}", snapshot.busy())?;
    writeln!(out, "threads idle: {}", snapshot.idle())?;
    writeln!(out, "queued: {}", snapshot.queued())?;
    for door in &snapshot.doors {
        write!(out, "waiting at {}: ", Page(door.address.as_bytes()))?;
        match door.waiting {
            Some(waiting) => writeln!(out, "{waiting}")?,
            None => writeln!(out, "unknown")?,
        }
    }
    writeln!(out, "requests: {}", totals.requests())?;
    for (class, count) in totals.by_class() {
        writeln!(out, "requests {class}: {count}")?;
    }
    for (code, count) in totals.by_code().filter(|(code, _)| *code > 0) {
        writeln!(out, "requests {code}: {count}")?;
    }
    writeln!(out, "body bytes received: {}", totals.received)?;
    writeln!(out, "body bytes sent: {}", totals.sent)?;
    mean(out, "in the application", &totals.app)?;
    mean(out, "in the queue", &totals.queue)?;
    writeln!(out, "restarts: {}", snapshot.restarts)?;
    writeln!(out, "reloads: {}", snapshot.reloads)?;
    if let Some(resident) = snapshot.resident() {
        writeln!(out, "memory: {resident} bytes")?;
    }
    for process in &snapshot.processes {
        write!(
            out,
            "process {}: generation {}, up {} s, {} of {} threads busy, {} queued",
            process.pid,
            process.generation,
            process.uptime.as_secs(),
            process.busy.len(),
            process.threads,
            process.queued
        )?;
        if let Some(resident) = process.resident {
            write!(out, ", {resident} bytes")?;
        }
        writeln!(out)?;
    }
    if full {
        for process in &snapshot.processes {
            for busy in &process.busy {
                let (age, more) = (busy.age.as_secs_f64(), if busy.is_cut { "..." } else { "" });
                writeln!(out, "in flight: {} {age:.3} s {}{more}", process.pid, Page(&busy.text))?;
            }
        }
    }
    Ok(())
}

fn mean(out: &mut String, name: &str, histogram: &Histogram) -> fmt::Result {
    let mean = histogram.micros.checked_div(histogram.count()).unwrap_or_default();
    writeln!(out, "mean time {name}: {:.6} s", mean as f64 / 1e6)
}
