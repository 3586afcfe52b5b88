//! `--record DIR`, wherever it was said.

use crate::{
    apps,
    gateway::{Dispatcher, RecordPlan, RecordSettings, Recorder},
};
use anyhow::Context as _;
use std::env;

/// The recorder of a plan.
pub(super) fn recorder(plan: Option<RecordPlan>) -> anyhow::Result<Option<Recorder>> {
    let Some(plan) = plan else { return Ok(None) };
    let what = format!("--record {}", plan.folder.display());
    Recorder::new(plan).map(Some).context(what)
}

/// What the applications that come with the gateway read from the process environment.
pub(super) fn settings() -> RecordSettings {
    let set = |name: &&str| {
        let value = env::var_os(name)?;
        Some((name.as_bytes().to_vec(), value.as_encoded_bytes().to_vec()))
    };
    vec![("files", apps::FILES_SETTINGS.iter().filter_map(set).collect())]
}

/// The dispatcher, with the recorder over what it refuses by itself.
pub(super) fn refusals(dispatcher: Dispatcher, recorder: &Option<Recorder>) -> Dispatcher {
    match recorder {
        Some(recorder) => dispatcher.recorded(recorder),
        None => dispatcher,
    }
}
