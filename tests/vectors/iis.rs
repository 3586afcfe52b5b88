//! The cases of `iis.json`.

use super::case::{Case, Verdict};

pub fn run(_case: &Case) -> Verdict {
    Verdict::Wrong("cannot be run yet".to_owned())
}
