//! A mutex that is locked in spite of poisoning.
//!
//! An application may panic under any lock that what it calls takes. What is guarded here is whole at
//! every step, so nothing is to be feared from going on with it; not to go on would end every request
//! that follows.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
