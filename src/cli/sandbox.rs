//! `--sandbox`: what a worker that has started can do without, it cannot do any more.
//!
//! By Landlock, for the file system above all: a hole in an application should not open the machine.
//! Open to it stay
//!
//! - for reading: CGIGATE_FILES_ROOT, what `--sandbox-read` names, its own executable (for the
//!   names in a backtrace), and what /proc has on the process itself;
//! - for writing: the folder of temporary files (TMPDIR or /tmp: bodies that are long), the folder
//!   of `--record`, those of log files (which are opened anew on USR1), what `--sandbox-write`
//!   names, and /dev/null;
//! - whatever was opened before: listeners, connections, logs, what applications open while they
//!   are built.
//!
//! It executes nothing, binds no TCP port, signals no other process, and its kernel gives it no new
//! privileges whatever it does. What Landlock does not have stays as it was: it may connect to where
//! it likes, and change rights and owners of files where its user may; `--user` is for that.
//! Threads that an application starts while it is built are not confined.
//!
//! A list of system calls (seccomp) does not pay here: which of them applications need is not known
//! to a gateway, a list that is too short ends processes in the middle of the night, and one that is
//! long enough for all refuses little that Landlock leaves open.

use super::options::Server;
use crate::sys::{self, Right};
use anyhow::{Context as _, anyhow};
use std::{
    env,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Confines this process, if that was asked for. No thread may run yet.
pub(super) fn enter(server: &Server) -> anyhow::Result<()> {
    if !server.sandbox {
        return Ok(());
    }
    let usual = usual(server);
    // What is usual, and not there, is not missed.
    let usual = usual.iter().filter(|(path, _)| path.exists());
    let usual = usual.map(|(path, right)| (path.as_path(), *right));
    let read = server.sandbox_read.iter().map(|path| (path.as_path(), Right::Read));
    let write = server.sandbox_write.iter().map(|path| (path.as_path(), Right::Write));
    let paths: Vec<(&Path, Right)> = usual.chain(read).chain(write).collect();
    sys::confine(&paths)
        .map_err(|error| match error.kind() {
            ErrorKind::Unsupported => {
                anyhow!("this kernel has no Landlock, or was started without it (lsm=landlock,...)")
            }
            _ => error.into(),
        })
        .context("--sandbox")
}

fn usual(server: &Server) -> Vec<(PathBuf, Right)> {
    let mut paths = vec![
        ("/proc/self".into(), Right::Read),
        ("/dev/urandom".into(), Right::Read),
        ("/dev/null".into(), Right::Write),
        (env::temp_dir(), Right::Write),
    ];
    paths.extend(env::current_exe().map(|path| (path, Right::Read)));
    paths.extend(env::var_os("CGIGATE_FILES_ROOT").map(|root| (root.into(), Right::Read)));
    paths.extend(server.record.plan().map(|plan| (plan.folder, Right::Write)));
    let logs = server.access_log.iter().chain(&server.error_log);
    paths.extend(logs.filter_map(|log| Some((folder_of(log)?, Right::Write))));
    paths
}

/// Where a log file will be made anew; of what is no file, itself.
fn folder_of(log: &Path) -> Option<PathBuf> {
    let log = std::path::absolute(log).ok().filter(|log| log.exists())?;
    if log.is_file() { log.parent().map(Into::into) } else { Some(log) }
}
