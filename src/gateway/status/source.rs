//! Where a snapshot comes from: the scoreboard, and what the kernel knows of processes and sockets.

use super::{Door, Snapshot};
use crate::{
    gateway::scoreboard::Scoreboard,
    sys::{AcceptQueue, ListenerId},
};
use std::{fs, os::fd::AsFd, sync::Arc};

/// What a process can tell of the server that it belongs to.
#[derive(Debug)]
pub(crate) struct Source {
    board: Arc<Scoreboard>,
    supervisor: Option<u32>,
    doors: Vec<(String, Option<ListenerId>)>,
}

impl Source {
    /// `listeners`, with their addresses, are looked at and not kept open: nobody is to wait at a
    /// door that only this keeps.
    pub(crate) fn new<'l, L: AsFd + 'l>(
        board: Arc<Scoreboard>,
        supervisor: Option<u32>,
        listeners: impl IntoIterator<Item = (String, &'l L)>,
    ) -> Self {
        let doors = listeners.into_iter();
        let doors = doors.map(|(address, listener)| (address, ListenerId::of(listener).ok()));
        Self { board, supervisor, doors: doors.collect() }
    }

    /// What there is to say now.
    pub(crate) fn read(&self) -> Snapshot {
        let mut snapshot = self.board.read();
        for process in &mut snapshot.processes {
            process.resident = resident(process.pid);
        }
        let waiting = |id: ListenerId| id.queue().ok().map(|AcceptQueue { waiting, .. }| waiting);
        snapshot.doors = self
            .doors
            .iter()
            .map(|(address, id)| Door { address: address.clone(), waiting: id.and_then(waiting) })
            .collect();
        snapshot.supervisor = self.supervisor.map(|pid| (pid, resident(pid)));
        snapshot
    }
}

/// The memory of a process in bytes (proc(5)); `None` where a sandbox hides it.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kib.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_one_that_is_none_has_not() {
        assert!(resident(std::process::id()).unwrap() > 1 << 16);
        assert_eq!(resident(u32::MAX), None);
    }
}
