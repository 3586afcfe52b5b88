//! `wsgiref.util`: what can be told from an environ, and what a server may not be told in headers.

use crate::types::{Scheme, Vars};

/// `guess_scheme`: https where `HTTPS` is `yes`, `on` or `1`, in that spelling.
///
/// ```
/// use cgigate::{types::Scheme, util::guess_scheme};
///
/// assert_eq!(guess_scheme(&[("HTTPS", "on")].into_iter().collect()), Scheme::Https);
/// assert_eq!(guess_scheme(&[("HTTPS", "true")].into_iter().collect()), Scheme::Http);
/// ```
pub fn guess_scheme(vars: &Vars) -> Scheme {
    match vars.get("HTTPS") {
        Some(b"yes" | b"on" | b"1") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// `is_hop_by_hop`: whether a header field concerns one connection only (RFC 9110 section 7.6.1),
/// so that no application may send it.
///
/// wsgiref's list, with `trailer` and `proxy-connection`, which it forgot.
///
/// ```
/// assert!(cgigate::util::is_hop_by_hop("Transfer-Encoding"));
/// assert!(!cgigate::util::is_hop_by_hop("Content-Encoding"));
/// ```
pub fn is_hop_by_hop(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    let names: &[&str] = match name.len() {
        2 => &["te"],
        7 => &["trailer", "upgrade"],
        8 => &["trailers"],
        10 => &["connection", "keep-alive"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        _ => &[],
    };
    names.iter().any(|hop| hop.as_bytes().eq_ignore_ascii_case(name))
}

/// A path that would leave the place it is under: a segment is `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path segment is '..'")]
pub struct DotDot;

/// `shift_path_info`, in its strict form: moves the first segment of PATH_INFO to SCRIPT_NAME and
/// returns it; `None` when there is none left.
///
/// Empty and `.` segments before it are dropped. SCRIPT_NAME only ever grows.
///
/// # Errors
/// The segment is `..`, which wsgiref lets eat the end of SCRIPT_NAME; nothing is changed.
///
/// ```
/// use cgigate::{types::Vars, util::shift_path_info_strict};
///
/// let mut vars: Vars = [("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b/c")].into_iter().collect();
/// assert_eq!(shift_path_info_strict(&mut vars), Ok(Some(b"b".to_vec())));
/// assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/a/b"[..]));
/// assert_eq!(vars.get("PATH_INFO"), Some(&b"/c"[..]));
/// ```
pub fn shift_path_info_strict(vars: &mut Vars) -> Result<Option<Vec<u8>>, DotDot> {
    let Some((segment, rest)) = split_path_info(vars.get("PATH_INFO").unwrap_or_default())? else {
        return Ok(None);
    };
    let (segment, rest) = (segment.to_vec(), rest.to_vec());
    let mut script_name = vars.get("SCRIPT_NAME").unwrap_or_default().to_vec();
    if script_name.last() == Some(&b'/') {
        script_name.pop();
    }
    script_name.push(b'/');
    script_name.extend_from_slice(&segment);
    vars.set("SCRIPT_NAME", script_name);
    vars.set("PATH_INFO", rest);
    Ok(Some(segment))
}

/// A segment, and what follows it.
type Split<'p> = (&'p [u8], &'p [u8]);

/// The first segment of a path that counts, and what follows it.
pub(crate) fn split_path_info(path: &[u8]) -> Result<Option<Split<'_>>, DotDot> {
    let mut rest = path;
    while let Some(path) = rest.strip_prefix(b"/") {
        let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
        match &path[..end] {
            b"" | b"." => rest = &path[end..],
            b".." => return Err(DotDot),
            segment => return Ok(Some((segment, &path[end..]))),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strict_shift_takes_segments_one_by_one_and_refuses_dot_dot() {
        for (path, want) in [
            ("/b/c", Ok(Some(("b", "/c")))),
            ("/b", Ok(Some(("b", "")))),
            ("//./b//c", Ok(Some(("b", "//c")))),
            ("/", Ok(None)),
            ("", Ok(None)),
            ("b", Ok(None)),
            ("/../b", Err(DotDot)),
            ("/./../b", Err(DotDot)),
        ] {
            let got = split_path_info(path.as_bytes());
            let want =
                want.map(|some| some.map(|(a, b): (&str, &str)| (a.as_bytes(), b.as_bytes())));
            assert_eq!(got, want, "{path}");
        }
    }
}
