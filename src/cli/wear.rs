//! `--max-requests`: a worker that has served enough is replaced.

use std::{
    num::NonZeroU64,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts requests, and says once that they are as many as a worker shall serve.
pub(super) struct Wear {
    served: AtomicU64,
    limit: Option<NonZeroU64>,
    enough: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Wear {
    pub(super) fn new(limit: Option<NonZeroU64>) -> Self {
        Self { served: AtomicU64::new(0), limit, enough: OnceLock::new() }
    }

    /// What to do when it is enough. To be said before anything is counted.
    pub(super) fn then(&self, enough: impl Fn() + Send + Sync + 'static) {
        let _ = self.enough.set(Box::new(enough));
    }

    /// One request more.
    pub(super) fn count(&self) {
        let Some(limit) = self.limit else { return };
        if self.served.fetch_add(1, Ordering::Relaxed) + 1 == limit.get()
            && let Some(enough) = self.enough.get()
        {
            enough();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn enough_is_said_once_and_never_without_a_limit() {
        for (limit, expected) in [(None, 0), (NonZeroU64::new(1), 1), (NonZeroU64::new(3), 1)] {
            let said = Arc::new(AtomicU64::new(0));
            let (wear, says) = (Wear::new(limit), Arc::clone(&said));
            wear.then(move || {
                says.fetch_add(1, Ordering::Relaxed);
            });
            (0..5).for_each(|_| wear.count());
            assert_eq!(said.load(Ordering::Relaxed), expected, "{limit:?}");
        }
    }
}
