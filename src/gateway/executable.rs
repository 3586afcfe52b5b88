//! The executable that workers are started from: always by exec, never by fork alone, which would
//! share the handles of what `main` has built and lose its threads.

use crate::sys;
use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A file, as it was when it was opened. What replaces the dead must be what the living are, however
/// often the file on disk has changed meanwhile.
#[derive(Debug)]
pub(crate) struct Executable {
    path: PathBuf,
    /// Kept open, to be started when another file has its name.
    file: File,
}

impl Executable {
    /// Where this process was started from. The name stays as it was said: it may be a link that
    /// will lead to another version.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn path() -> io::Result<PathBuf> {
        let current = env::current_exe()?;
        let said = env::args_os().next().map(PathBuf::from).unwrap_or_default();
        let candidate = match said.components().count() {
            0 => None,
            1 if !said.has_root() => env::var_os("PATH").and_then(|path| {
                env::split_paths(&path).map(|folder| folder.join(&said)).find(|it| it.is_file())
            }),
            _ => Some(said),
        };
        // Whoever starts a process can call it as he likes.
        let ours = |path: &PathBuf| Some(identity(path).ok()? == identity(&current).ok()?);
        let candidate = candidate.filter(|path| ours(path) == Some(true));
        std::path::absolute(candidate.unwrap_or(current))
    }

    /// # Errors
    /// There is no such file now.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.into(), file: File::open(path)? })
    }

    /// Starts a worker, with the arguments and the environment that this process was given, and
    /// `variable` besides.
    ///
    /// # Errors
    /// The file cannot be executed.
    pub(super) fn start(&self, variable: (&str, &str), keep: Vec<RawFd>) -> io::Result<Child> {
        let unchanged = || -> io::Result<bool> {
            let (on_disk, ours) = (identity(&self.path)?, self.file.metadata()?);
            Ok(on_disk == (ours.dev(), ours.ino()))
        };
        let path = match unchanged() {
            Ok(true) => self.path.clone(),
            _ => format!("/proc/self/fd/{}", self.file.as_raw_fd()).into(),
        };
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_else(|| OsString::from(&self.path));
        let mut command = Command::new(path);
        command.arg0(name).args(arguments).env(variable.0, variable.1).stdin(Stdio::null());
        // What a service manager said was said to this process.
        for own in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            command.env_remove(own);
        }
        for own in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(own);
        }
        sys::keep_on_exec(&mut command, keep);
        command.spawn()
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_is_started_whatever_has_its_name_now() {
        let folder = env::temp_dir().join(format!("cgigate-executable-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("program");
        fs::copy("/bin/true", &path).unwrap();
        let executable = Executable::open(&path).unwrap();
        let ends_well = || executable.start(("A", "b"), Vec::new()).unwrap().wait().unwrap();
        assert!(ends_well().success());
        fs::copy("/bin/false", folder.join("next")).unwrap();
        fs::rename(folder.join("next"), &path).unwrap();
        assert!(ends_well().success());
        assert!(
            !Executable::open(&path)
                .unwrap()
                .start(("A", "b"), vec![])
                .unwrap()
                .wait()
                .unwrap()
                .success()
        );
        fs::remove_file(&path).unwrap();
        assert!(ends_well().success() && Executable::open(&path).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}
