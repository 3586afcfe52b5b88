//! What is Windows' own: CGI with its environment, and FastCGI on the named pipe of IIS. Run by
//! `scripts/test-windows`, under wine where there is no Windows.
#![cfg(windows)]
// A test that cannot start its program has nothing better to do than to panic.
#![allow(clippy::unwrap_used)]

mod cgi;
mod fixtures;
mod pipe;

use std::path::{Path, PathBuf};

/// The gateway of the tests, an example of the package: cargo puts examples beside the folder that
/// this test is in.
fn testbed() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    folder.join("examples/testbed.exe")
}
