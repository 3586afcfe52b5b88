//! `--record DIR`, wherever it was said.

use crate::gateway::{Dispatcher, RecordPlan, Recorder};
use anyhow::Context as _;

/// The recorder of a plan.
pub(super) fn recorder(plan: Option<RecordPlan>) -> anyhow::Result<Option<Recorder>> {
    let Some(plan) = plan else { return Ok(None) };
    let what = format!("--record {}", plan.folder.display());
    Recorder::new(plan).map(Some).context(what)
}

/// The dispatcher, with the recorder over what it refuses by itself.
pub(super) fn refusals(dispatcher: Dispatcher, recorder: &Option<Recorder>) -> Dispatcher {
    match recorder {
        Some(recorder) => dispatcher.recorded(recorder),
        None => dispatcher,
    }
}
