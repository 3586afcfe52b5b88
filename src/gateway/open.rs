//! A request that is open on a connection: how far it has come, and where its body goes.

use super::{call::Call, spool::Spool};
use crate::{
    fcgi::{RequestId, Role},
    types,
};
use std::sync::Arc;

/// An open request.
pub(super) struct Open {
    pub(super) id: RequestId,
    pub(super) role: Role,
    pub(super) keep_conn: bool,
    /// By the clock of the deadlines.
    pub(super) since: u32,
    pub(super) stage: Stage,
}

impl Open {
    /// Whether it was called with some of its body still to come.
    pub(super) fn has_body_open(&self) -> bool {
        matches!(&self.stage, Stage::Called { body, .. } if !matches!(body, Body::Ended))
    }

    /// Whether it runs, or waits for nothing but a thread.
    pub(super) fn is_under_way(&self) -> bool {
        match self.stage {
            Stage::Called { progress, .. } => progress != Progress::Held,
            Stage::Params(_) => false,
        }
    }

    /// Whether it was called for that request: after an abort another may have its id.
    pub(super) fn is_for(&self, its: &Arc<types::Request>) -> bool {
        matches!(&self.stage, Stage::Called { request, .. } if Arc::ptr_eq(request, its))
    }
}

/// How far a request has come.
pub(super) enum Stage {
    /// Its PARAMS are coming in: memory is taken when the first ones come, not before.
    Params(Option<Box<Call>>),
    /// It waits for a thread, or runs.
    Called {
        request: Arc<types::Request>,
        /// Where its body goes, until that has ended.
        body: Body,
        progress: Progress,
    },
}

/// Where a request is that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for other requests of its connection.
    Held,
    /// It waits for a thread.
    Queued,
    Running,
}

/// Where the body of a request goes.
pub(super) enum Body {
    /// To the thread that receives it: the application reads from where it was received.
    Direct,
    /// To a spool, when another thread receives it.
    Spool(Arc<Spool>),
    /// A filter's: DATA has a spool of its own, because STDIN may end before it should.
    Filter {
        stdin: Arc<Spool>,
        data: Arc<Spool>,
    },
    Ended,
}
