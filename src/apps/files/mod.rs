//! `files`: the files below one directory, through `wsgi.file_wrapper`.
//!
//! | | |
//! |---|---|
//! | `find.rs` | which file a path means, and that none outside the root is meant |
//! | `condition.rs` | whether the client has it already (RFC 9110 section 13) |
//! | `range.rs` | which part of it is wanted (RFC 9110 section 14) |

mod condition;
mod find;
mod range;

use crate::types::{Body, Environ, FileWrapper, Response, StartResponse};
use condition::Validators;
use find::Found;
use range::Part;
use std::{
    io::{Seek, SeekFrom},
    path::Path,
};

/// Where the root is: not in the request's variables, where a client might have a hand in it, and
/// never DOCUMENT_ROOT, which would go round the web server's own rules.
const ROOT: &str = "CGIGATE_FILES_ROOT";

/// Answers the file that PATH_INFO names below the directory `CGIGATE_FILES_ROOT` of the process
/// environment; 404 while that is not set.
///
/// # Errors
/// The client has gone away, or the file cannot be read.
pub fn files<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    match std::env::var_os(ROOT).filter(|root| !root.is_empty()) {
        Some(root) => serve(Path::new(&root), &environ, start_response),
        None => refuse(start_response, "404 Not Found", &[]),
    }
}

fn serve<'r>(
    root: &Path,
    environ: &Environ<'r>,
    start_response: &mut dyn StartResponse,
) -> Response<'r> {
    let method = environ.get("REQUEST_METHOD").unwrap_or(b"GET");
    if method != b"GET" && method != b"HEAD" {
        return refuse(start_response, "405 Method Not Allowed", &[("Allow", "GET, HEAD".into())]);
    }
    let path = environ.get("PATH_INFO").unwrap_or_default();
    let Some(Found { mut file, metadata, path }) = find::find(root, path) else {
        return refuse(start_response, "404 Not Found", &[]);
    };
    let validators = Validators::of(&metadata);
    let mut headers = validators.headers();
    if validators.client_has_it(environ.vars) {
        start_response.call("304 Not Modified", &headers)?;
        return Ok(Body::Empty);
    }

    let size = metadata.len();
    // Only GET has ranges (RFC 9110 section 14.2).
    let range = environ.get("HTTP_RANGE").filter(|_| method == b"GET");
    let range = range.filter(|_| validators.range_applies(environ.vars));
    let part = range.map_or(Part::Whole, |range| Part::of(range, size));
    let (status, from, len) = match part {
        Part::Whole => ("200 OK", 0, size),
        Part::Some { first, last } => {
            headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
            ("206 Partial Content", first, last - first + 1)
        }
        Part::None => {
            let unsatisfied = [("Content-Range", format!("bytes */{size}"))];
            return refuse(start_response, "416 Range Not Satisfiable", &unsatisfied);
        }
    };
    let kind = mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream");
    headers.push(("Content-Type", kind.into()));
    headers.push(("Content-Length", len.to_string()));
    headers.push(("Accept-Ranges", "bytes".into()));
    start_response.call(status, &headers)?;
    file.seek(SeekFrom::Start(from))?;
    Ok(FileWrapper::file(file, Some(len)).blksize(64 << 10).into())
}

/// An answer without a file: the status is its text.
fn refuse<'r>(
    start_response: &mut dyn StartResponse,
    status: &'static str,
    headers: &[(&'static str, String)],
) -> Response<'r> {
    let mut headers = headers.to_vec();
    headers.push(("Content-Type", "text/plain".into()));
    start_response.call(status, &headers)?;
    Ok(format!("{status}\n").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Application, apps::testing::answer};
    use std::{fs, path::PathBuf};

    /// The application over a root of its own: the process environment belongs to all tests.
    struct Below(PathBuf);

    impl Application for Below {
        fn call<'r>(
            &'r self,
            environ: Environ<'r>,
            start_response: &mut dyn StartResponse,
        ) -> Response<'r> {
            serve(&self.0, &environ, start_response)
        }
    }

    fn root(name: &str) -> Below {
        let root = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("in/dir")).unwrap();
        fs::write(root.join("secret"), "no").unwrap();
        fs::write(root.join("in/a b.txt"), "0123456789").unwrap();
        Below(root.join("in"))
    }

    fn status(answer: &str) -> &str {
        answer.lines().next().unwrap_or_default().strip_prefix("Status: ").unwrap_or_default()
    }

    fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
        answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    #[test]
    fn a_file_has_type_length_and_validators_and_its_conditions_hold() {
        let app = root("files");
        let get = |extra: &[(&str, &[u8])]| {
            let mut vars: Vec<(&str, &[u8])> =
                vec![("REQUEST_METHOD", b"GET"), ("PATH_INFO", b"/a b.txt")];
            vars.extend_from_slice(extra);
            answer(&app, &vars, b"")
        };
        let whole = get(&[]);
        assert_eq!(status(&whole), "200 OK");
        assert!(whole.ends_with("\r\n\r\n0123456789"), "{whole}");
        assert_eq!(field(&whole, "Content-Type"), Some("text/plain"));
        assert_eq!(field(&whole, "Content-Length"), Some("10"));
        let etag = field(&whole, "ETag").unwrap();
        let date = field(&whole, "Last-Modified").unwrap();

        let same = get(&[("HTTP_IF_NONE_MATCH", etag.as_bytes())]);
        assert_eq!((status(&same), field(&same, "ETag")), ("304 Not Modified", Some(etag)));
        assert_eq!(
            status(&get(&[("HTTP_IF_MODIFIED_SINCE", date.as_bytes())])),
            "304 Not Modified"
        );
        let part = get(&[("HTTP_RANGE", b"bytes=2-4")]);
        assert_eq!(status(&part), "206 Partial Content");
        assert_eq!(field(&part, "Content-Range"), Some("bytes 2-4/10"));
        assert!(part.ends_with("\r\n\r\n234"), "{part}");
        let stale = get(&[("HTTP_RANGE", b"bytes=2-4"), ("HTTP_IF_RANGE", b"\"old\"")]);
        assert_eq!(status(&stale), "200 OK");
        let behind = get(&[("HTTP_RANGE", b"bytes=10-")]);
        assert_eq!(status(&behind), "416 Range Not Satisfiable");
        assert_eq!(field(&behind, "Content-Range"), Some("bytes */10"));
        let post = get(&[("REQUEST_METHOD", b"POST")]);
        assert_eq!(
            (status(&post), field(&post, "Allow")),
            ("405 Method Not Allowed", Some("GET, HEAD"))
        );
        let head = get(&[("REQUEST_METHOD", b"HEAD")]);
        assert!(head.ends_with("\r\n\r\n") && field(&head, "Content-Length") == Some("10"));
        fs::remove_dir_all(app.0.parent().unwrap()).unwrap();
    }

    #[test]
    fn nothing_but_files_below_the_root_is_found() {
        let app = root("outside");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", app.0.join("link")).unwrap();
            std::os::unix::fs::symlink("a b.txt", app.0.join("inner")).unwrap();
            let inner: [(&str, &[u8]); 1] = [("PATH_INFO", b"/inner")];
            assert_eq!(status(&answer(&app, &inner, b"")), "200 OK");
        }
        for path in [
            "",
            "/",
            "/dir",
            "/dir/",
            "/nothing",
            "/../secret",
            "/dir/../../secret",
            "/link",
            "/a b.txt/",
            "/a b.txt\0",
            "/dir/../a b.txt",
            "//etc/passwd",
            "/a b.txt/x",
        ] {
            let missing = answer(&app, &[("PATH_INFO", path.as_bytes())], b"");
            assert_eq!(status(&missing), "404 Not Found", "{path:?}");
        }
        fs::remove_dir_all(app.0.parent().unwrap()).unwrap();
    }
}
