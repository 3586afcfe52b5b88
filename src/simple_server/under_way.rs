//! The request that is under way on a connection, and its client that may go meanwhile.

use crate::{lock::lock, types};
use std::sync::{Arc, Mutex, MutexGuard};

/// The request that a thread is at, for whoever sees meanwhile that its client goes.
///
/// A client that has ended its sending side counts as gone: over TCP the two look alike, and nearly
/// all who do it go. It is answered all the same, by applications that do not ask.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<State>);

#[derive(Default)]
struct State {
    request: Option<Arc<types::Request>>,
    gone: bool,
}

impl UnderWay {
    /// A thread begins with a request.
    pub(super) fn begin(self: &Arc<Self>, request: &Arc<types::Request>) -> Begun {
        let mut state = self.state();
        if state.gone {
            request.cancel();
        }
        state.request = Some(Arc::clone(request));
        Begun(Arc::clone(self))
    }

    /// The client has gone.
    pub(super) fn cancel(&self) {
        let mut state = self.state();
        state.gone = true;
        if let Some(request) = &state.request {
            request.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// As long as a thread is at a request, which is another's afterwards.
pub(super) struct Begun(Arc<UnderWay>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.state().request = None;
    }
}
