//! `--mount PATH`: SCRIPT_NAME and PATH_INFO out of REQUEST_URI.
//!
//! The stock parameter files of most web servers get the two wrong, each in its own way: the whole
//! path in SCRIPT_NAME (nginx's fastcgi_params, ProxyPass of Apache), the whole path in PATH_INFO
//! (nginx's uwsgi_params, Caddy), neither (nginx's scgi_params). REQUEST_URI is what they all
//! send, as the client wrote it. So it is read as they read it: without query, percent-decoded
//! exactly once, `//` merged, `.` and `..` resolved *after* the decoding (`%2e%2e` is `..`), and
//! only then is the mount looked for. nginx, Apache and lighttpd decide on that same path who may
//! see what; a path left unresolved would be another one than they decided on. HAProxy does not
//! resolve: who has rules for paths there also has `http-request normalize-uri` there.

use crate::types::Vars;
use percent_encoding::percent_decode;
use std::{borrow::Cow, ops::Range, str::FromStr};

/// Where a gateway is mounted.
///
/// The path is written as it stands in SCRIPT_NAME: decoded. `/` is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountPoint {
    /// Without a slash at its end; so nothing for the root.
    script_name: Vec<u8>,
}

/// A text that is no place to be mounted at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path to mount at: use /, or /path without '..', '//' and '?'")]
pub(crate) struct MountPointError(String);

impl MountPointError {
    /// As it was given.
    pub(crate) fn text(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Where a request is below a mount, and below what its path goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    path: Path,
    /// How much of the path is SCRIPT_NAME; the rest is PATH_INFO, which is empty or begins with a
    /// slash.
    script_name: usize,
}

/// A path that is decoded and resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Path {
    /// A part of REQUEST_URI, which was so from the beginning: where it lies in the variables.
    Plain(Range<usize>),
    Resolved(Vec<u8>),
}

impl Place {
    /// The PATH_INFO that a request has there.
    pub(crate) fn path_info<'p>(&'p self, vars: &'p Vars) -> &'p [u8] {
        let path = match &self.path {
            Path::Plain(lies) => &vars.appended()[lies.clone()],
            Path::Resolved(path) => path,
        };
        &path[self.script_name..]
    }

    /// The first so many bytes of PATH_INFO are of SCRIPT_NAME.
    pub(crate) fn go_on(&mut self, by: usize) {
        self.script_name += by;
    }

    /// Gives a request the SCRIPT_NAME and PATH_INFO that it has there.
    pub(crate) fn apply(&self, vars: &mut Vars) {
        let at = self.script_name;
        match &self.path {
            Path::Plain(lies) => {
                vars.set_lying("SCRIPT_NAME", lies.start..lies.start + at);
                vars.set_lying("PATH_INFO", lies.start + at..lies.end);
            }
            Path::Resolved(path) => {
                vars.set("SCRIPT_NAME", &path[..at]);
                vars.set("PATH_INFO", &path[at..]);
            }
        }
    }
}

/// A path that is not below the mount, or none at all: 404.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outside;

impl FromStr for MountPoint {
    type Err = MountPointError;

    fn from_str(text: &str) -> Result<Self, MountPointError> {
        Self::new(text.as_bytes())
    }
}

impl MountPoint {
    /// A mount at a decoded path.
    pub(crate) fn new(path: &[u8]) -> Result<Self, MountPointError> {
        let script_name = path.strip_suffix(b"/").unwrap_or(path);
        let plain = match script_name {
            [] => true,
            [.., b'/'] => false,
            path => resolve(path).as_deref() == Ok(path),
        };
        if path.is_empty() || !plain || path.iter().any(|byte| b"?#\0".contains(byte)) {
            return Err(MountPointError(String::from_utf8_lossy(path).into_owned()));
        }
        Ok(Self { script_name: script_name.to_vec() })
    }

    /// As it was given, but for a slash at its end.
    pub(crate) fn path(&self) -> &[u8] {
        if self.script_name.is_empty() { b"/" } else { &self.script_name }
    }

    /// The whole path of a request as its client sees it, decoded and resolved; `None` where it has
    /// none.
    pub(crate) fn whole_path(vars: &Vars) -> Option<Cow<'_, [u8]>> {
        let Some(lies) = request_uri(vars) else {
            return resolve(&joined(vars)).ok().map(Cow::Owned);
        };
        let request_uri = &vars.appended()[lies];
        match plain_path(request_uri) {
            Some(plain) => Some(Cow::Borrowed(plain)),
            None => resolve(&decoded(request_uri)).ok().map(Cow::Owned),
        }
    }

    /// Where a request is below the mount.
    pub(crate) fn find(&self, vars: &Vars) -> Result<Place, Outside> {
        let Some(lies) = request_uri(vars) else {
            return self.place_resolved(resolve(&joined(vars))?);
        };
        let request_uri = &vars.appended()[lies.clone()];
        if let Some(plain) = plain_path(request_uri) {
            let script_name = self.prefix(plain)?;
            return Ok(Place {
                path: Path::Plain(lies.start..lies.start + plain.len()),
                script_name,
            });
        }
        self.place_resolved(resolve(&decoded(request_uri))?)
    }

    #[cold]
    fn place_resolved(&self, path: Vec<u8>) -> Result<Place, Outside> {
        let script_name = self.prefix(&path)?;
        Ok(Place { path: Path::Resolved(path), script_name })
    }

    /// How much of a resolved path the mount is.
    fn prefix(&self, path: &[u8]) -> Result<usize, Outside> {
        match path.strip_prefix(&self.script_name[..]) {
            Some([] | [b'/', ..]) => Ok(self.script_name.len()),
            _ => Err(Outside),
        }
    }
}

/// The path of a request target, decoded once.
fn decoded(request_uri: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(path_of(request_uri)).into()
}

/// The path of a request target, if nothing in it is encoded or to be resolved: then it stays as it
/// is, and need not be copied. Nearly all are so.
fn plain_path(request_uri: &[u8]) -> Option<&[u8]> {
    let ends = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'%' | 0);
    let mut segment = request_uri.strip_prefix(b"/")?;
    loop {
        if let [b'/' | b'.', ..] = segment {
            return None;
        }
        let Some(end) = segment.iter().position(ends) else { return Some(request_uri) };
        let (&byte, rest) = segment[end..].split_first()?;
        match byte {
            b'/' => segment = rest,
            b'?' | b'#' => return Some(&request_uri[..request_uri.len() - rest.len() - 1]),
            _ => return None,
        }
    }
}

/// Where REQUEST_URI lies, as the client wrote it, if the server has left it so.
fn request_uri(vars: &Vars) -> Option<Range<usize>> {
    // busybox httpd decodes REQUEST_URI, and decoding it again would be once too often.
    let server = vars.get("SERVER_SOFTWARE").unwrap_or_default();
    vars.lies("REQUEST_URI").filter(|_| !server.starts_with(b"busybox httpd"))
}

/// Python's http.server has no REQUEST_URI. Wherever the two are cut, together they are the path.
fn joined(vars: &Vars) -> Vec<u8> {
    let part = |name| vars.get(name).unwrap_or_default();
    [part("SCRIPT_NAME"), part("PATH_INFO")].concat()
}

/// The path of a request target (RFC 9112 section 3.2), still encoded.
///
/// Apache leaves the absolute form as it came; of `*` and `host:port` nothing is below any mount.
fn path_of(request_uri: &[u8]) -> &[u8] {
    let end = request_uri.iter().position(|byte| b"?#".contains(byte));
    let target = &request_uri[..end.unwrap_or(request_uri.len())];
    if target.starts_with(b"/") {
        return target;
    }
    let Some(colon) = target.windows(3).position(|three| three == b"://") else { return target };
    let authority = &target[colon + 3..];
    match authority.iter().position(|&byte| byte == b'/') {
        Some(slash) if is_scheme(&target[..colon]) => &authority[slash..],
        None if is_scheme(&target[..colon]) => b"/",
        _ => target,
    }
}

/// RFC 3986 section 3.1.
fn is_scheme(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A decoded path without `//`, `.` and `..`; a slash at its end stays one.
fn resolve(path: &[u8]) -> Result<Vec<u8>, Outside> {
    // NUL ends a path for the system, but not for us: two ideas of one path.
    let (Some(segments), false) = (path.strip_prefix(b"/"), path.contains(&0)) else {
        return Err(Outside);
    };
    let mut resolved = Vec::with_capacity(path.len());
    let mut open = true; // Whether a slash ends what is resolved so far.
    for segment in segments.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => open = true,
            b".." => {
                // Above the root there is nothing; RFC 3986 would stay there, servers say 400.
                let parent = resolved.iter().rposition(|&byte| byte == b'/').ok_or(Outside)?;
                resolved.truncate(parent);
                open = true;
            }
            segment => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
                open = false;
            }
        }
    }
    if open {
        resolved.push(b'/');
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(mount: &str, request_uri: &[u8]) -> Option<(String, Vec<u8>)> {
        let vars: Vars = [("REQUEST_URI", request_uri)].into_iter().collect();
        let place = mount.parse::<MountPoint>().unwrap().find(&vars).ok()?;
        Some((mount.trim_end_matches('/').into(), place.path_info(&vars).to_vec()))
    }

    /// What nginx, Apache, Caddy, HAProxy and lighttpd sent from set-ups that name neither the one
    /// nor the other rightly; the last two from their other set-ups.
    #[test]
    fn captured_request_uris_of_stock_raw_and_root_set_ups() {
        let rows: [(&str, &[u8]); 10] = [
            ("", b""),
            ("/", b"/"),
            ("/some/path?a=1&b=two%20words&c=%2F%C3%A9&c=", b"/some/path"),
            ("/a/../b/./c", b"/b/c"),
            ("//a//b/", b"/a/b/"),
            ("/caf%E9", b"/caf\xe9"),
            ("/p", b"/p"),
            ("?-d+allow_url_include", b""),
            ("/pct%2520x", b"/pct%20x"),
            ("/new%0Aline", b"/new\nline"),
        ];
        for (rest, path_info) in rows {
            for mount in ["/stock", "/raw", "/x"] {
                let request_uri = format!("{mount}{rest}");
                let want = Some((mount.to_string(), path_info.to_vec()));
                assert_eq!(placed(mount, request_uri.as_bytes()), want, "{request_uri}");
                let whole = [mount.as_bytes(), path_info].concat();
                let at_root = placed("/", request_uri.as_bytes());
                assert_eq!(at_root, Some((String::new(), whole)), "{request_uri} at /");
            }
        }
    }

    #[test]
    fn the_absolute_form_is_read_for_its_path() {
        let some = |path_info: &[u8]| Some(("/app".to_string(), path_info.to_vec()));
        assert_eq!(placed("/app", b"http://other.example.test/app/x?y=1"), some(b"/x"));
        assert_eq!(placed("/app", b"HTTPS://[::1]:8443/app"), some(b""));
        assert_eq!(placed("/", b"http://other.example.test"), Some(("".into(), b"/".to_vec())));
        assert_eq!(placed("/app", b"http://app/x"), None, "a host is no path");
        assert_eq!(placed("/app", b"/app/http://host/x"), some(b"/http:/host/x"));
        assert_eq!(placed("/app", b"//app/x"), some(b"/x"), "no authority without a scheme");
    }

    #[test]
    fn what_leaves_the_mount_is_outside_however_it_is_written() {
        for request_uri in [
            &b""[..],
            b"*",
            b"app/x",
            b"host:443",
            b"?/app/x",
            b"#/app",
            b"/",
            b"/application",
            b"/APP/x",
            b"/app/..",
            b"/app/../x",
            b"/app/%2e%2e/x",
            b"/app/%2E./x",
            b"/app/a%2f..%2f..%2fx",
            b"/../app/x",
            b"/app/../../app/x",
            b"/app%00/x",
            b"/app/x%00.txt",
            b"/app\0",
            b"/app%252Fx",
            b"1http://h/app/x",
            b"ht tp://h/app/x",
        ] {
            assert_eq!(placed("/app", request_uri), None, "{:?}", request_uri.escape_ascii());
        }
    }

    #[test]
    fn it_is_decoded_once_and_what_is_no_escape_stays() {
        let path_info = |request_uri: &[u8]| placed("/app", request_uri).unwrap().1;
        assert_eq!(path_info(b"/app/a%2Fb"), b"/a/b");
        assert_eq!(path_info(b"/app/a%252Fb"), b"/a%2Fb");
        assert_eq!(path_info(b"/app/%252e%252e/b"), b"/%2e%2e/b");
        assert_eq!(path_info(b"/app/100%/%zz/%4"), b"/100%/%zz/%4");
        assert_eq!(path_info(b"/app/a+b;c=%3F%23"), b"/a+b;c=?#");
        assert_eq!(path_info(b"/ap%70/x"), b"/x");
    }

    #[test]
    fn servers_whose_request_uri_is_missing_or_decoded_are_read_by_their_path() {
        let apply = |vars: &[(&str, &str)]| {
            let mut vars: Vars = vars.iter().copied().collect();
            let place = "/app".parse::<MountPoint>().unwrap().find(&vars)?;
            place.apply(&mut vars);
            let get = |name| vars.native(name).unwrap_or_default().into_owned();
            Ok((get("SCRIPT_NAME"), get("PATH_INFO")))
        };
        let want = |path_info: &str| Ok(("/app".to_string(), path_info.to_string()));
        let path = [("SCRIPT_NAME", "/app/a%2F"), ("PATH_INFO", "/b?")];
        assert_eq!(apply(&path), want("/a%2F/b?"));
        let busybox = ("SERVER_SOFTWARE", "busybox httpd/1.35.0");
        let uri = ("REQUEST_URI", "/app/a%2F/b?");
        assert_eq!(apply(&[busybox, uri, path[0], path[1]]), want("/a%2F/b?"));
        assert_eq!(apply(&[uri, path[0], ("PATH_INFO", "/elsewhere")]), want("/a/b"));
        assert_eq!(apply(&[("SCRIPT_NAME", "/other")]), Err(Outside));
        assert_eq!(apply(&[]), Err(Outside));
    }

    #[test]
    fn a_path_is_plain_only_if_resolving_leaves_it() {
        for uri in ["/", "/a", "/a/", "/a/b.c?/../%", "/a.#//"] {
            let path = plain_path(uri.as_bytes()).expect(uri);
            assert_eq!(resolve(path).as_deref(), Ok(path), "{uri}");
        }
        for uri in ["", "a", "//", "/a//b", "/.", "/a/..", "/%41", "/\0", "http://a/", "?", "*"] {
            assert_eq!(plain_path(uri.as_bytes()), None, "{uri}");
        }
    }

    #[test]
    fn a_mount_is_a_plain_absolute_path() {
        for path in ["/", "/app", "/a/b", "/caf\u{e9}", "/a b", "/a%20b"] {
            assert!(path.parse::<MountPoint>().is_ok(), "{path}");
        }
        assert_eq!("/app/".parse::<MountPoint>(), "/app".parse::<MountPoint>());
        for path in ["", "app", "//", "/a//b", "/a/../b", "/..", "/.", "/a?b", "/a#", "/\0", "*"] {
            let error = path.parse::<MountPoint>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{path:?} is no path to mount at")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_it_is_outside_or_below_the_mount_and_resolved(
            request_uri in proptest::collection::vec(
                prop_oneof![Just(b'/'), Just(b'.'), Just(b'%'), Just(b'2'), Just(b'e'), any::<u8>()],
                0..40,
            ),
            mount in prop_oneof![Just("/"), Just("/e"), Just("/2/e")],
        ) {
            for request_uri in [request_uri.clone(), [mount.as_bytes(), b"/", &request_uri].concat()] {
                let mut vars: Vars = [("REQUEST_URI", &request_uri)].into_iter().collect();
                let found = mount.parse::<MountPoint>().unwrap().find(&vars);
                let resolved = resolve(&decoded(&request_uri));
                let resolved = resolved.as_deref().ok().and_then(|path| {
                    let path_info = path.strip_prefix(mount.trim_end_matches('/').as_bytes())?;
                    path_info.starts_with(b"/").then_some(path_info).or(path_info.is_empty().then_some(b""))
                });
                let Some(path_info) = resolved else {
                    prop_assert_eq!(found, Err(Outside));
                    continue;
                };
                found.unwrap().apply(&mut vars);
                let script_name = mount.trim_end_matches('/');
                prop_assert_eq!(vars.get("SCRIPT_NAME"), Some(script_name.as_bytes()));
                prop_assert_eq!(vars.get("PATH_INFO"), Some(path_info));
                prop_assert!(path_info.is_empty() || path_info.starts_with(b"/"));
                prop_assert!(!path_info.contains(&0));
                prop_assert!(!path_info.windows(2).any(|two| two == b"//"));
                prop_assert!(!path_info.split(|b| *b == b'/').any(|s| s == b"." || s == b".."));
            }
        }

        #[test]
        fn a_path_that_is_encoded_comes_back(
            segments in proptest::collection::vec("[^/\0]{1,8}", 1..5),
        ) {
            prop_assume!(!segments.iter().any(|segment| segment == "." || segment == ".."));
            let path = format!("/{}", segments.join("/"));
            let encoded = percent_encoding::utf8_percent_encode(&path, percent_encoding::NON_ALPHANUMERIC);
            let request_uri = format!("/app{}?q", encoded.to_string().replace("%2F", "/"));
            let (_, path_info) = placed("/app", request_uri.as_bytes()).unwrap();
            prop_assert_eq!(path_info, path.into_bytes());
        }
    }
}
