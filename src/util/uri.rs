//! `application_uri` and `request_uri`: PEP 3333, "URL Reconstruction".
//!
//! What comes back is bytes, as the variables are: the host and the query go in as the client sent
//! them, and the paths percent-encoded, a byte at a time.

use crate::types::{Environ, Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// A variable that has to be there and is not: Python's `KeyError`.
///
/// ```
/// use cgigate::util::{MissingKey, application_uri, setup_testing_defaults};
///
/// let mut test = setup_testing_defaults(Default::default());
/// test.vars.retain(|name, _| name == b"PATH_INFO"); // a web server that says next to nothing
/// let error = application_uri(&test.environ()).unwrap_err();
/// assert_eq!(error, MissingKey("SERVER_NAME"));
/// assert_eq!(error.to_string(), "the environ has no SERVER_NAME");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environ has no {0}")]
pub struct MissingKey(pub &'static str);

/// What stays as it is in SCRIPT_NAME.
pub(crate) const SCRIPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~').remove(b'/');

/// What stays as it is in PATH_INFO.
const PATH: &AsciiSet = &SCRIPT.remove(b';').remove(b'=').remove(b',');

/// `application_uri`: the URI of the application, without PATH_INFO and query.
///
/// The host is HTTP_HOST as the client said it; without that, SERVER_NAME, and SERVER_PORT where it
/// is not the scheme's own. An empty SCRIPT_NAME is `/`.
///
/// # Errors
/// HTTP_HOST is absent or empty, and SERVER_NAME or SERVER_PORT is missing as well.
///
/// ```
/// use cgigate::util::{application_uri, setup_testing_defaults};
///
/// let vars = [("HTTP_HOST", "example.org"), ("SCRIPT_NAME", "/my app"), ("PATH_INFO", "/x")];
/// let mut test = setup_testing_defaults(vars.into_iter().collect());
/// assert_eq!(application_uri(&test.environ())?, b"http://example.org/my%20app");
/// # Ok::<_, cgigate::util::MissingKey>(())
/// ```
pub fn application_uri(environ: &Environ<'_>) -> Result<Vec<u8>, MissingKey> {
    let must = |key| environ.get(key).ok_or(MissingKey(key));
    let scheme = environ.wsgi.url_scheme;
    let mut uri = format!("{scheme}://").into_bytes();
    match environ.vars.filled("HTTP_HOST") {
        Some(host) => uri.extend_from_slice(host),
        None => {
            uri.extend_from_slice(must("SERVER_NAME")?);
            let port = must("SERVER_PORT")?;
            let own: &[u8] = match scheme {
                Scheme::Http => b"80",
                Scheme::Https => b"443",
            };
            if port != own {
                uri.push(b':');
                uri.extend_from_slice(port);
            }
        }
    }
    quote(&mut uri, environ.vars.filled("SCRIPT_NAME").unwrap_or(b"/"), SCRIPT);
    Ok(uri)
}

/// `request_uri`: the URI of the request, with its query if `include_query` says so.
///
/// It is what the client would have to ask for, not what it wrote: that is in REQUEST_URI, where
/// the server gives it.
///
/// # Errors
/// As [`application_uri`].
///
/// ```
/// use cgigate::util::{request_uri, setup_testing_defaults};
///
/// let vars = [("PATH_INFO", "/caf\u{e9};v=1"), ("QUERY_STRING", "a=b")];
/// let mut test = setup_testing_defaults(vars.into_iter().collect());
/// assert_eq!(request_uri(&test.environ(), true)?, b"http://127.0.0.1/caf%C3%A9;v=1?a=b");
/// # Ok::<_, cgigate::util::MissingKey>(())
/// ```
pub fn request_uri(environ: &Environ<'_>, include_query: bool) -> Result<Vec<u8>, MissingKey> {
    let mut uri = application_uri(environ)?;
    let mut path = environ.get("PATH_INFO").unwrap_or_default();
    if environ.vars.filled("SCRIPT_NAME").is_none() {
        // Its `/` is there already. wsgiref drops the first character whatever it is.
        path = path.strip_prefix(b"/").unwrap_or(path);
    }
    quote(&mut uri, path, PATH);
    if include_query && let Some(query) = environ.vars.filled("QUERY_STRING") {
        uri.push(b'?');
        uri.extend_from_slice(query);
    }
    Ok(uri)
}

fn quote(uri: &mut Vec<u8>, path: &[u8], encoded: &'static AsciiSet) {
    for piece in percent_encode(path, encoded) {
        uri.extend_from_slice(piece.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{types::Vars, util::TestEnviron};
    use proptest::prelude::*;

    fn environ(scheme: Scheme, vars: &[(&str, &[u8])]) -> TestEnviron {
        let mut test = TestEnviron::new(Vars::default(), scheme);
        test.vars = vars.iter().copied().collect();
        test
    }

    fn uri(scheme: Scheme, vars: &[(&str, &[u8])]) -> String {
        let mut test = environ(scheme, vars);
        String::from_utf8(request_uri(&test.environ(), true).unwrap()).unwrap()
    }

    #[test]
    fn the_port_is_left_out_where_it_is_the_schemes_own() {
        for (scheme, port, want) in [
            (Scheme::Http, "80", "http://h/"),
            (Scheme::Http, "443", "http://h:443/"),
            (Scheme::Http, "080", "http://h:080/"),
            (Scheme::Http, "", "http://h:/"),
            (Scheme::Https, "443", "https://h/"),
            (Scheme::Https, "80", "https://h:80/"),
        ] {
            let vars = [("SERVER_NAME", &b"h"[..]), ("SERVER_PORT", port.as_bytes())];
            assert_eq!(uri(scheme, &vars), want);
        }
        let vars = [("HTTP_HOST", &b"h:80"[..]), ("SERVER_PORT", b"1")];
        assert_eq!(uri(Scheme::Http, &vars), "http://h:80/");
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |vars: &[(&str, &[u8])]| {
            application_uri(&environ(Scheme::Http, vars).environ()).unwrap_err()
        };
        assert_eq!(missing(&[]), MissingKey("SERVER_NAME"));
        assert_eq!(missing(&[("SERVER_NAME", b"h")]), MissingKey("SERVER_PORT"));
        assert_eq!(missing(&[("HTTP_HOST", b"")]).to_string(), "the environ has no SERVER_NAME");
    }

    #[test]
    fn script_name_and_path_info_keep_what_each_may() {
        let kept = b"/AZaz09_.-~;=,:@&+$%? \xe9";
        let vars = [("HTTP_HOST", &b"h"[..]), ("SCRIPT_NAME", kept), ("PATH_INFO", kept)];
        let rest = "%3A%40%26%2B%24%25%3F%20%E9";
        assert_eq!(
            uri(Scheme::Http, &vars),
            format!("http://h/AZaz09_.-~%3B%3D%2C{rest}/AZaz09_.-~;=,{rest}")
        );
    }

    #[test]
    fn a_path_without_slash_loses_nothing() {
        let at = |script: &'static [u8]| {
            uri(Scheme::Http, &[("HTTP_HOST", b"h"), ("SCRIPT_NAME", script), ("PATH_INFO", b"p")])
        };
        assert_eq!(at(b""), "http://h/p");
        assert_eq!(at(b"/s"), "http://h/sp");
    }

    proptest! {
        /// What is decoded again is what was there.
        #[test]
        fn paths_survive(script in prop::collection::vec(any::<u8>(), 1..20),
                         path in prop::collection::vec(any::<u8>(), 0..20)) {
            let vars = [("HTTP_HOST", &b"h"[..]), ("SCRIPT_NAME", &script), ("PATH_INFO", &path)];
            let uri = uri(Scheme::Http, &vars);
            let decoded: Vec<u8> = percent_encoding::percent_decode_str(&uri).collect();
            prop_assert_eq!(decoded, [b"http://h", &script[..], &path[..]].concat());
        }
    }
}
