//! `shift_path_info`: walking down a path, a segment at a time.
//!
//! Two forms. [`shift_path_info`] is wsgiref's, for applications that find their objects by it:
//! the end of `/x/` is a segment of its own, which is empty, and `..` takes the end of SCRIPT_NAME
//! away. [`shift_path_info_strict`] is what the gateway finds applications by: only a segment that
//! is a name counts, what follows it stays as the client sent it, and no client gets out of the
//! place that SCRIPT_NAME says.

use crate::types::Vars;
use std::ops::Range;

/// A path that would leave the place it is under: a segment is `..`.
///
/// ```
/// use cgigate::util::{DotDot, shift_path_info_strict};
///
/// let mut vars = [("PATH_INFO", "/../secret")].into_iter().collect();
/// assert_eq!(shift_path_info_strict(&mut vars), Err(DotDot)); // to be answered 404
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a path segment is '..'")]
pub struct DotDot;

/// PATH_INFO has no `/` to begin with (RFC 3875 section 4.1.5), and so no segment.
///
/// ```
/// use cgigate::util::{NoSlash, shift_path_info};
///
/// let mut vars = [("PATH_INFO", "page")].into_iter().collect();
/// assert_eq!(shift_path_info(&mut vars), Err(NoSlash)); // to be answered 404
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PATH_INFO does not begin with '/'")]
pub struct NoSlash;

/// `shift_path_info`: moves the first segment of PATH_INFO to the end of SCRIPT_NAME and returns
/// it; `None` when PATH_INFO is empty or absent.
///
/// Empty and `.` segments are dropped from PATH_INFO, the last segment apart. So of `/` alone the
/// segment is empty, and SCRIPT_NAME then ends in `/`: an application can tell `/x` from `/x/`.
/// Of `/.` alone there is none, and PATH_INFO becomes empty.
///
/// SCRIPT_NAME is normalised as `os.path.normpath` does it. A segment `..` shortens it: who finds
/// something of value by SCRIPT_NAME takes [the strict form](shift_path_info_strict).
///
/// # Errors
/// PATH_INFO does not begin with `/`, where wsgiref raises IndexError or takes the wrong segment:
/// a 404, most likely. Nothing was changed.
///
/// ```
/// use cgigate::{types::Vars, util::{NoSlash, shift_path_info}};
///
/// let mut vars: Vars = [("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b//./c/")].into_iter().collect();
/// assert_eq!(shift_path_info(&mut vars)?.as_deref(), Some(&b"b"[..]));
/// assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/a/b"[..]));
/// assert_eq!(vars.get("PATH_INFO"), Some(&b"/c/"[..]));
/// # Ok::<_, NoSlash>(())
/// ```
pub fn shift_path_info(vars: &mut Vars) -> Result<Option<Vec<u8>>, NoSlash> {
    let Some(path) = vars.filled("PATH_INFO") else { return Ok(None) };
    let path = path.strip_prefix(b"/").ok_or(NoSlash)?;
    let mut segments = path.split(|&byte| byte == b'/');
    let last = segments.next_back().unwrap_or_default();
    let mut segments = segments.filter(|&segment| !matches!(segment, b"" | b"."));
    // The last counts whatever it is, and is the first where no other does.
    let (segment, rest) = match segments.next() {
        Some(segment) => (segment.to_vec(), joined(segments.chain([last]))),
        None => (last.to_vec(), Vec::new()),
    };
    let script_name = vars.get("SCRIPT_NAME").unwrap_or_default();
    let mut script_name = normal(&[script_name, b"/", &segment].concat());
    if script_name.ends_with(b"/") {
        script_name.pop();
    }
    if segment.is_empty() && !script_name.ends_with(b"/") {
        script_name.push(b'/');
    }
    vars.set("SCRIPT_NAME", script_name);
    vars.set("PATH_INFO", rest);
    Ok(Some(segment).filter(|segment| segment != b"."))
}

/// `posixpath.normpath`, of a path that is not empty.
fn normal(path: &[u8]) -> Vec<u8> {
    // POSIX gives exactly two slashes at the front a meaning of their own.
    let root: &[u8] = match path {
        [b'/', b'/', b'/', ..] => b"/",
        [b'/', b'/', ..] => b"//",
        [b'/', ..] => b"/",
        _ => b"",
    };
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|&last| last != b"..") => {
                kept.pop();
            }
            b".." if !root.is_empty() => {}
            segment => kept.push(segment),
        }
    }
    let path = [root, &kept.join(&b'/')[..]].concat();
    if path.is_empty() { b".".to_vec() } else { path }
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
    let path_info = vars.get("PATH_INFO").unwrap_or_default();
    let Some(segment) = first_segment(path_info)? else { return Ok(None) };
    let name = path_info[segment.clone()].to_vec();
    shift_segment(vars, segment);
    Ok(Some(name))
}

/// The same, when it is known where in PATH_INFO the [first segment](first_segment) lies.
pub(crate) fn shift_segment(vars: &mut Vars, segment: Range<usize>) {
    // With the slash before it.
    let begin = segment.start - 1;
    if begin > 0
        && let Some(path_info) = vars.lies("PATH_INFO")
    {
        vars.set_lying("PATH_INFO", path_info.start + begin..path_info.end);
    }
    // A `/` that it ends in is the one before the segment.
    if let Some(script_name) = vars.lies("SCRIPT_NAME")
        && vars.appended()[script_name.clone()].ends_with(b"/")
    {
        vars.set_lying("SCRIPT_NAME", script_name.start..script_name.end - 1);
    }
    vars.shift("PATH_INFO", segment.end - begin, "SCRIPT_NAME");
}

/// Where in a path the first segment lies that counts. A slash is before it.
pub(crate) fn first_segment(path: &[u8]) -> Result<Option<Range<usize>>, DotDot> {
    let mut at = 0;
    while let Some(rest) = path[at..].strip_prefix(b"/") {
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let next = at + 1 + end;
        match &rest[..end] {
            b"" | b"." => at = next,
            b".." => return Err(DotDot),
            _ => return Ok(Some(at + 1..next)),
        }
    }
    Ok(None)
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
    fn a_path_without_slash_is_refused_and_nothing_is_changed() {
        for path in ["foo", "foo/bar", "."] {
            let mut vars = vars("/a/b", path);
            assert_eq!(shift_path_info(&mut vars), Err(NoSlash), "{path}");
            assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/a/b"[..]));
            assert_eq!(vars.get("PATH_INFO"), Some(path.as_bytes()));
        }
    }

    #[test]
    fn a_script_name_is_normalised_as_posix_paths_are() {
        for (script_name, path_info, want) in [
            ("/a", "/../x", ""),
            ("/a/b", "/..", "/a"),
            ("", "/..", ""),
            ("//a", "/x", "//a/x"),
            ("///a", "/x", "/a/x"),
            ("/a//b/./", "/x", "/a/b/x"),
            ("a", "/..", "."),
            ("", "/../..", ""),
        ] {
            let mut vars = vars(script_name, path_info);
            shift_path_info(&mut vars).unwrap();
            let got = vars.native("SCRIPT_NAME").unwrap();
            assert_eq!(got, want, "{script_name} {path_info}");
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
            let got = first_segment(path.as_bytes())
                .map(|some| some.map(|at| (&path[at.clone()], &path[at.end..])));
            assert_eq!(got, want, "{path}");
        }
    }

    #[test]
    fn the_strict_shift_moves_what_it_has_taken() {
        for (script_name, path_info, want) in [
            ("/a", "/b/c", ("/a/b", "/c")),
            ("/", "/b/c", ("/b", "/c")),
            ("", "//./b//c", ("/b", "//c")),
            ("/a", "/", ("/a", "/")),
        ] {
            let mut vars = vars(script_name, path_info);
            let segment = shift_path_info_strict(&mut vars).unwrap();
            assert_eq!(segment.is_some(), path_info != "/");
            let (script, path) = (vars.native("SCRIPT_NAME"), vars.native("PATH_INFO"));
            assert_eq!((&*script.unwrap(), &*path.unwrap()), want, "{script_name} {path_info}");
        }
    }

    proptest! {
        /// A walk ends; in its strict form SCRIPT_NAME only grows, and no `..` gets into it.
        #[test]
        fn every_walk_ends_below_where_it_began(path in "(/|\\.|x|\\.\\.|é){0,12}") {
            let (mut lax, mut strict) = (vars("/app", &path), vars("/app", &path));
            let mut before = b"/app".to_vec();
            for _ in 0..=path.len() {
                let _ = shift_path_info(&mut lax);
                if let Ok(Some(segment)) = shift_path_info_strict(&mut strict) {
                    prop_assert_ne!(segment, b"..");
                    let after = strict.get("SCRIPT_NAME").unwrap().to_vec();
                    prop_assert!(after.starts_with(&before) && after.len() > before.len());
                    before = after;
                }
            }
            prop_assert!(lax.filled("PATH_INFO").is_none_or(|path| !path.starts_with(b"/")));
        }
    }
}
