//! Parameters from QUERY_STRING. Nothing here is worth percent-encoding.

use cgigate::types::Vars;

/// The value of `name`, if it is there and UTF-8.
pub(crate) fn param<'v>(vars: &'v Vars, name: &str) -> Option<&'v str> {
    let query = std::str::from_utf8(vars.get("QUERY_STRING")?).ok()?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The number in `name`; `default` where there is none.
pub(crate) fn number(vars: &Vars, name: &str, default: u64) -> u64 {
    param(vars, name).and_then(|value| value.parse().ok()).unwrap_or(default)
}
