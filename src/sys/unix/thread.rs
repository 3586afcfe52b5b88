//! What the kernel knows of a thread (proc(5)).

use std::{fs::File, io, os::unix::fs::FileExt};

/// The state of one thread, for another to look at: its file stays open, so that a look is one
/// system call.
#[derive(Debug)]
pub(crate) struct ThreadState(File);

impl ThreadState {
    /// That of the thread that asks.
    pub(crate) fn of_this_thread() -> io::Result<Self> {
        File::open("/proc/thread-self/stat").map(Self)
    }

    /// Whether it sleeps in the kernel, and does not merely wait for a CPU.
    pub(crate) fn sleeps(&self) -> bool {
        let mut stat = [0; 64];
        let len = self.0.read_at(&mut stat, 0).unwrap_or(0);
        // The state follows the name, which is in parentheses and may hold any character.
        let state = stat[..len].iter().rposition(|&c| c == b')').and_then(|at| stat.get(at + 2));
        matches!(state, Some(b'S' | b'D'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    #[test]
    fn a_thread_that_waits_sleeps_and_the_one_that_looks_does_not() {
        assert!(!ThreadState::of_this_thread().unwrap().sleeps());
        let ((tell, told), (free, waits)) = (mpsc::channel(), mpsc::channel::<()>());
        let other = thread::spawn(move || {
            tell.send(ThreadState::of_this_thread().unwrap()).unwrap();
            let _ = waits.recv();
        });
        let state = told.recv().unwrap();
        while !state.sleeps() {
            thread::yield_now();
        }
        drop(free);
        other.join().unwrap();
    }
}
