//! The executables that tests start.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "not every test starts them all; one that cannot go on has failed"
)]

use std::path::{Path, PathBuf};

/// An example of the package, as cargo built it.
pub(crate) fn example(name: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_cgigate")).with_file_name("examples").join(name);
    assert!(built.exists(), "no {}: cargo build --example {name}", built.display());
    built
}

/// The executable that CGIGATE names, as for the scripts, or else that of this build.
pub(crate) fn testbed() -> PathBuf {
    match std::env::var_os("CGIGATE") {
        Some(given) => std::path::absolute(given).unwrap(),
        None => example("testbed"),
    }
}
