//! What opening a file below a directory has in common wherever there is no call for it.

use super::Links;
use std::{
    io::{self, ErrorKind},
    path::{Component, Path, PathBuf},
};

/// Whether a way leads down, step by step. Said by whoever made it; that it holds is not left to that.
///
/// # Errors
/// It does not: nothing is there.
pub(super) fn check_way(relative: &Path) -> io::Result<()> {
    match relative.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(()),
        false => Err(ErrorKind::NotFound.into()),
    }
}

/// The file that `relative` names, all links followed. Whoever may write below the directory could put
/// a link there between this and its opening.
///
/// # Errors
/// There is nothing, or a link is in the way that is not followed.
pub(super) fn resolve(root: &Path, relative: &Path, links: Links) -> io::Result<PathBuf> {
    let root = root.canonicalize()?;
    let named = root.join(relative);
    let path = named.canonicalize()?;
    let allowed = match links {
        Links::Never => path == named,
        Links::Inside => path.starts_with(&root),
        Links::Everywhere => true,
    };
    if allowed { Ok(path) } else { Err(ErrorKind::NotFound.into()) }
}
