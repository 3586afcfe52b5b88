//! Says where threads are: what the addresses of a stack are called takes a while to find out, and
//! whoever looks after deadlines has none.

use crate::{
    lock::lock,
    sys::{Level, Stack, say_block},
};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How long the end of a process waits for what is still to be told.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that ends when it has told all.
#[derive(Default)]
pub(super) struct Teller(Arc<(Mutex<Told>, Condvar)>);

#[derive(Default)]
struct Told {
    /// What is told first stays here until it is.
    waiting: VecDeque<Arc<(String, io::Result<Stack>)>>,
    /// There is a thread at it.
    busy: bool,
}

impl Teller {
    /// Says `head`, and below it the functions.
    pub(super) fn tell(&self, head: String, stack: io::Result<Stack>) {
        let mut told = self.lock();
        told.waiting.push_back(Arc::new((head, stack)));
        if told.busy {
            return;
        }
        let teller = Self(Arc::clone(&self.0));
        let begun = thread::Builder::new().name("teller".into()).spawn(move || teller.work());
        told.busy = begun.is_ok();
        if begun.is_err() {
            told.say_without_names();
        }
    }

    fn work(&self) {
        loop {
            let Some(next) = self.next() else { return };
            let lines = lines(&next.0, next.1.as_ref().map(Stack::lines));
            // Unless the end of the process would not wait for it.
            if self.lock().waiting.pop_front().is_some() {
                say_block(Level::Warning, lines);
            }
        }
    }

    fn next(&self) -> Option<Arc<(String, io::Result<Stack>)>> {
        let mut told = self.lock();
        let next = told.waiting.front().cloned();
        if next.is_none() {
            told.busy = false;
            self.0.1.notify_all();
        }
        next
    }

    /// Waits until all is told. What takes too long is told without names.
    pub(super) fn finish(&self) {
        let busy = |told: &mut Told| told.busy;
        let told = self.0.1.wait_timeout_while(self.lock(), PATIENCE, busy);
        told.unwrap_or_else(PoisonError::into_inner).0.say_without_names();
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        lock(&self.0.0)
    }
}

impl Told {
    fn say_without_names(&mut self) {
        for told in self.waiting.drain(..) {
            let addresses = told.1.as_ref().map(Stack::addresses);
            say_block(Level::Warning, lines(&told.0, addresses));
        }
    }
}

fn lines(head: &str, stack: Result<Vec<String>, &io::Error>) -> Vec<String> {
    let mut lines = vec![head.to_owned()];
    match stack {
        Ok(frames) => {
            // What has called the application is always the same.
            let ours = |line: &String| line.contains(" cgigate::handlers::");
            let frames = frames.into_iter().take_while(|line| !ours(line)).enumerate();
            lines.extend(frames.map(|(at, frame)| format!("cgigate:   #{at} {frame}")));
        }
        Err(error) => lines.push(format!("cgigate:   where it is: {error}")),
    }
    lines
}
