//! `--pid-file`, `--user`, `--group`: what a server is known by, and as whom it runs.

use super::options::Server;
use crate::sys;
use anyhow::{Context as _, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

/// A file with the number of this process; it is removed when this is dropped, if it is ours still.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    pub(super) fn write(path: &Path) -> anyhow::Result<Self> {
        let written = fs::write(path, format!("{}\n", process::id()));
        written.with_context(|| format!("--pid-file {}", path.display()))?;
        Ok(Self(path.into()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == process::id().to_string()) {
            // A user with fewer rights may leave it behind.
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Gives up the rights that only binding needed. No thread may run yet, and no application.
pub(super) fn become_user(server: &Server) -> anyhow::Result<()> {
    let user = match &server.user {
        None => None,
        Some(name) => match sys::user(name).with_context(|| format!("--user {name}"))? {
            Some(user) => Some(user),
            None => bail!("--user {name}: there is no such user"),
        },
    };
    let group = match &server.group {
        None => None,
        Some(name) => match sys::group(name).with_context(|| format!("--group {name}"))? {
            Some(group) => Some(group),
            None => bail!("--group {name}: there is no such group"),
        },
    };
    let Some(group) = group.or(user.as_ref().map(|user| user.gid)) else { return Ok(()) };
    sys::become_user(user.as_ref(), group).with_context(|| {
        let name = server.user.as_deref().or(server.group.as_deref()).unwrap_or_default();
        format!("become {name} (only root can)")
    })
}
