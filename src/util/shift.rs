//! `shift_path_info`: walking down a path, a segment at a time.
//!
//! Two forms. [`shift_path_info`] is wsgiref's, for applications that find their objects by it:
//! the end of `/x/` is a segment of its own, which is empty. [`shift_path_info_strict`] is what
//! the gateway finds applications by: only a segment that is a name counts, and what follows it
//! stays as the client sent it. Neither lets `..` eat the end of SCRIPT_NAME, as wsgiref does,
//! or changes anything about SCRIPT_NAME but its end.

use crate::types::Vars;

/// A path that would leave the place it is under: a segment is `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path segment is '..'")]
pub struct DotDot;

/// Why [`shift_path_info`] cannot take a segment off. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShiftError {
    /// The segment is `..`.
    #[error(transparent)]
    DotDot(#[from] DotDot),
    /// PATH_INFO has no `/` to begin with (RFC 3875 section 4.1.5), and so no segment.
    #[error("PATH_INFO does not begin with '/'")]
    NoSlash,
}

/// `shift_path_info`: moves the first segment of PATH_INFO to the end of SCRIPT_NAME and returns
/// it; `None` when PATH_INFO is empty or absent.
///
/// Empty and `.` segments are dropped from PATH_INFO, the last segment apart. So of `/` alone the
/// segment is empty, and SCRIPT_NAME then ends in `/`: an application can tell `/x` from `/x/`.
/// Of `/.` alone there is none, and PATH_INFO becomes empty.
///
/// # Errors
/// The segment is `..`, or PATH_INFO does not begin with `/`: a 404, most likely. wsgiref shortens
/// SCRIPT_NAME for the one and raises IndexError for the other.
///
/// ```
/// use cgigate::{types::Vars, util::{ShiftError, shift_path_info}};
///
/// let mut vars: Vars = [("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b//./c/")].into_iter().collect();
/// assert_eq!(shift_path_info(&mut vars)?.as_deref(), Some(&b"b"[..]));
/// assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/a/b"[..]));
/// assert_eq!(vars.get("PATH_INFO"), Some(&b"/c/"[..]));
/// # Ok::<_, ShiftError>(())
/// ```
pub fn shift_path_info(vars: &mut Vars) -> Result<Option<Vec<u8>>, ShiftError> {
    let Some(path) = vars.filled("PATH_INFO") else { return Ok(None) };
    let path = path.strip_prefix(b"/").ok_or(ShiftError::NoSlash)?;
    let mut segments = path.split(|&byte| byte == b'/');
    let last = segments.next_back().unwrap_or_default();
    let mut segments = segments.filter(|&segment| !matches!(segment, b"" | b"."));
    // The last counts whatever it is, and is the first where no other does.
    let (segment, rest) = match segments.next() {
        Some(segment) => (segment, joined(segments.chain([last]))),
        None => (last, Vec::new()),
    };
    if segment == b".." {
        return Err(DotDot.into());
    }
    let segment = (segment != b".").then(|| segment.to_vec());
    let script_name = grown(vars, segment.as_deref());
    vars.set("SCRIPT_NAME", script_name);
    vars.set("PATH_INFO", rest);
    Ok(segment)
}

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
    let script_name = grown(vars, Some(&segment));
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

/// SCRIPT_NAME with one more segment: a `/` that it ends in is the one before the segment.
fn grown(vars: &Vars, segment: Option<&[u8]>) -> Vec<u8> {
    let script_name = vars.get("SCRIPT_NAME").unwrap_or_default();
    let mut grown = script_name.strip_suffix(b"/").unwrap_or(script_name).to_vec();
    if let Some(segment) = segment {
        grown.push(b'/');
        grown.extend_from_slice(segment);
    }
    grown
}

/// A path of these segments.
fn joined<'p>(segments: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut path = Vec::new();
    for segment in segments {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::to_native;
    use proptest::prelude::*;

    /// What came of a shift: the segment, SCRIPT_NAME, PATH_INFO.
    type Shifted<'t> = (Option<&'t str>, &'t str, &'t str);

    fn vars(script_name: &str, path_info: &str) -> Vars {
        [("SCRIPT_NAME", script_name), ("PATH_INFO", path_info)].into_iter().collect()
    }

    #[test]
    fn shifts_as_cpythons_own_tests_have_them() {
        let table: [(&str, &str, Shifted<'_>); 16] = [
            ("/", "", (None, "/", "")),
            ("", "/x/y", (Some("x"), "/x", "/y")),
            ("/a/b", "/y", (Some("y"), "/a/b/y", "")),
            ("/a", "/x/y", (Some("x"), "/a/x", "/y")),
            ("/a", "/x/", (Some("x"), "/a/x", "/")),
            ("/a/b", "//y", (Some("y"), "/a/b/y", "")),
            ("/a/b", "//y/", (Some("y"), "/a/b/y", "/")),
            ("/a/b", "/./y", (Some("y"), "/a/b/y", "")),
            ("/a/b", "/./y/", (Some("y"), "/a/b/y", "/")),
            ("/a/b", "///./..y/.", (Some("..y"), "/a/b/..y", "/.")),
            ("/a/b", "///", (Some(""), "/a/b/", "")),
            ("/a/b", "/.//", (Some(""), "/a/b/", "")),
            ("/a/b", "/x//", (Some("x"), "/a/b/x", "/")),
            ("/a/b", "/.", (None, "/a/b", "")),
            ("", "/././.", (None, "", "")),
            ("/a", "/b//c/./d/", (Some("b"), "/a/b", "/c/d/")),
        ];
        for (script_name, path_info, want) in table {
            let mut vars = vars(script_name, path_info);
            let segment = shift_path_info(&mut vars).unwrap();
            let segment = segment.as_deref().map(to_native);
            let (script, path) = (vars.native("SCRIPT_NAME"), vars.native("PATH_INFO"));
            let got = (segment.as_deref(), &*script.unwrap(), &*path.unwrap());
            assert_eq!(got, want, "{script_name} {path_info}");
        }
    }

    #[test]
    fn without_a_path_nothing_is_touched_and_with_one_both_names_are_written() {
        let mut nothing = Vars::default();
        assert_eq!(shift_path_info(&mut nothing), Ok(None));
        assert!(nothing.is_empty());
        let mut path_alone: Vars = [("PATH_INFO", "/")].into_iter().collect();
        assert_eq!(shift_path_info(&mut path_alone), Ok(Some(Vec::new())));
        assert_eq!(path_alone.get("SCRIPT_NAME"), Some(&b"/"[..]));
    }

    #[test]
    fn dot_dot_and_a_path_without_slash_are_refused_and_nothing_is_changed() {
        for (path, want) in [
            ("/..", ShiftError::DotDot(DotDot)),
            ("/./../x", ShiftError::DotDot(DotDot)),
            ("foo", ShiftError::NoSlash),
            ("foo/bar", ShiftError::NoSlash),
            (".", ShiftError::NoSlash),
        ] {
            let mut vars = vars("/a/b", path);
            assert_eq!(shift_path_info(&mut vars), Err(want), "{path}");
            assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/a/b"[..]));
            assert_eq!(vars.get("PATH_INFO"), Some(path.as_bytes()));
        }
    }

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

    proptest! {
        /// A walk ends, SCRIPT_NAME only grows, and no `..` gets into it.
        #[test]
        fn every_walk_ends_below_where_it_began(path in "(/|\\.|x|\\.\\.|é){0,12}") {
            let mut vars = vars("/app", &path);
            let mut before = b"/app".to_vec();
            for _ in 0..=path.len() {
                let Ok(segment) = shift_path_info(&mut vars) else { return Ok(()) };
                prop_assert_ne!(segment.as_deref(), Some(&b".."[..]));
                let after = vars.get("SCRIPT_NAME").unwrap().to_vec();
                prop_assert!(after.starts_with(&before) || before.ends_with(b"/"));
                before = after;
            }
            prop_assert_eq!(vars.filled("PATH_INFO"), None);
        }
    }
}
