//! The status for programs: one object of JSON (RFC 8259). Times are in seconds, sizes in bytes.

use super::{Histogram, Process, Snapshot};
use crate::gateway::escape::Json;
use std::{
    fmt::{self, Write},
    time::UNIX_EPOCH,
};

pub(super) const CONTENT_TYPE: &str = "application/json";

/// Writes `snapshot` down; `full`: with the requests under way.
pub(super) fn render(out: &mut String, snapshot: &Snapshot, full: bool) -> fmt::Result {
    let Snapshot { totals, .. } = snapshot;
    let started = snapshot.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    write!(out, "{{\"version\":{}", Json(env!("CARGO_PKG_VERSION").as_bytes()))?;
    write!(out, ",\"started\":{started:.3}")?;
    write!(out, ",\"uptime\":{:.3}", snapshot.uptime.as_secs_f64())?;
    write!(out, ",\"threads\":{{\"busy\":{},\"idle\":{}}}", snapshot.busy(), snapshot.idle())?;
    write!(out, ",\"in_flight\":{},\"queued\":{}", snapshot.busy(), snapshot.queued())?;
    write!(out, ",\"requests\":{{\"total\":{}", totals.requests())?;
    list(out, ",\"by_class\":{", "}", totals.by_class(), |out, (class, count)| {
        write!(out, "\"{class}\":{count}")
    })?;
    list(out, ",\"by_status\":{", "}}", totals.by_code(), |out, (code, count)| {
        write!(out, "\"{code}\":{count}")
    })?;
    write!(out, ",\"bytes\":{{\"received\":{},\"sent\":{}}}", totals.received, totals.sent)?;
    histogram(out, "app_seconds", &totals.app)?;
    histogram(out, "queue_seconds", &totals.queue)?;
    write!(out, ",\"restarts\":{},\"reloads\":{}", snapshot.restarts, snapshot.reloads)?;
    write!(out, ",\"memory\":{}", OrNull(snapshot.resident()))?;
    if let Some((pid, resident)) = snapshot.supervisor {
        write!(out, ",\"supervisor\":{{\"pid\":{pid},\"memory\":{}}}", OrNull(resident))?;
    }
    list(out, ",\"listeners\":[", "]", &snapshot.doors, |out, door| {
        let waiting = OrNull(door.waiting.map(u64::from));
        write!(out, "{{\"address\":{},\"waiting\":{waiting}}}", Json(door.address.as_bytes()))
    })?;
    list(out, ",\"processes\":[", "]}\n", &snapshot.processes, |out, it| process(out, it, full))
}

fn process(out: &mut String, process: &Process, full: bool) -> fmt::Result {
    write!(out, "{{\"pid\":{},\"generation\":{}", process.pid, process.generation)?;
    write!(out, ",\"uptime\":{:.3}", process.uptime.as_secs_f64())?;
    let (busy, queued) = (process.busy.len() as u64, process.queued);
    let idle = process.threads.saturating_sub(busy);
    write!(out, ",\"threads\":{{\"busy\":{busy},\"idle\":{idle}}},\"queued\":{queued}")?;
    write!(out, ",\"memory\":{}", OrNull(process.resident))?;
    if full {
        list(out, ",\"in_flight\":[", "]", &process.busy, |out, busy| {
            let (age, cut) = (busy.age.as_secs_f64(), busy.is_cut);
            let text = Json(&busy.text);
            write!(out, "{{\"age\":{age:.6},\"request\":{text},\"cut\":{cut}}}")
        })?;
    }
    out.write_char('}')
}

/// Counts are cumulative, as in OpenMetrics.
fn histogram(out: &mut String, name: &str, histogram: &Histogram) -> fmt::Result {
    let (count, sum) = (histogram.count(), histogram.micros as f64 / 1e6);
    write!(out, ",\"{name}\":{{\"count\":{count},\"sum\":{sum:.6}")?;
    let mut below = 0;
    let bounds = Histogram::BOUNDS.iter().zip(histogram.buckets);
    list(out, ",\"up_to\":{", "}}", bounds, |out, ((_, bound), count)| {
        below += count;
        write!(out, "\"{bound}\":{below}")
    })
}

fn list<T>(
    out: &mut String,
    begin: &str,
    end: &str,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> fmt::Result,
) -> fmt::Result {
    out.push_str(begin);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item)?;
    }
    out.push_str(end);
    Ok(())
}

struct OrNull(Option<u64>);

impl fmt::Display for OrNull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("null"),
        }
    }
}
