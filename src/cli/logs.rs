//! `--access-log`, `--error-log`: where lines go that an operator keeps.

use super::options::{LogFormat as Format, Server as Options};
use crate::{
    gateway::{AccessLog, LogFile, LogFormat, WholeLines},
    sys::say_lines,
};
use anyhow::Context as _;
use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// The logs of one process.
#[derive(Clone, Default)]
pub(super) struct Logs {
    /// All that this process says takes its way, also what the standard library says of a panic, and
    /// what applications print.
    error: Option<Arc<LogFile>>,
    access: Option<Arc<AccessLog>>,
}

impl Logs {
    /// # Errors
    /// A file can be neither opened nor made.
    pub(super) fn open(server: &Options) -> anyhow::Result<Self> {
        let error = server.error_log.as_deref().map(open).transpose()?;
        let format = match server.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        };
        let access = match server.access_log.as_deref() {
            None => None,
            Some(path) if path.as_os_str() == "-" => Some(LogFile::stdout()),
            Some(path) => Some(open(path)?),
        };
        let access = access.map(|file| Arc::new(AccessLog::new(file, format)));
        Ok(Self { error: error.map(Arc::new), access })
    }

    pub(super) fn access(&self) -> Option<Arc<AccessLog>> {
        self.access.clone()
    }

    /// The server is ready. That is said on stderr, as was all before it, where whoever started the
    /// server reads it; and once more in the log, where what follows goes.
    pub(super) fn begin(&self, announce: impl Fn()) {
        announce();
        if self.error.is_some() {
            self.take_stderr();
            announce();
        }
    }

    /// The files were moved away.
    pub(super) fn reopen(&self) {
        if let Some(access) = &self.access {
            access.reopen();
        }
        if let Some(error) = &self.error {
            error.reopen();
        }
        self.take_stderr();
    }

    fn take_stderr(&self) {
        if let Some(error) = &self.error {
            // There is no reason for it to fail; if it does, stderr stays what it was.
            let _ = error.become_stderr();
        }
    }
}

fn open(path: &Path) -> anyhow::Result<LogFile> {
    LogFile::open(path).with_context(|| format!("open the log {}", path.display()))
}

/// `wsgi.errors` where the protocol carries none: whole lines, in which nothing can pretend to be
/// another line.
#[derive(Default)]
pub(super) struct Errors(WholeLines);

impl Write for Errors {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.add(data, say_lines);
        Ok(data.len())
    }

    /// Only whole lines are written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Errors {
    fn drop(&mut self) {
        self.0.end(say_lines);
    }
}
