//! `files`: the files below one directory, through `wsgi.file_wrapper`.
//!
//! | | |
//! |---|---|
//! | `find.rs` | which file a path means, and that none outside the root is meant |
//! | `condition.rs` | whether the client has it already (RFC 9110 section 13) |
//! | `range.rs`, `multipart.rs` | which parts of it are wanted (RFC 9110 section 14) |
//! | `accel.rs` | leaving the sending to the web server |

mod accel;
mod condition;
mod find;
mod multipart;
mod range;

pub use crate::sys::Links;
use crate::types::{Application, Body, Environ, Exception, FileWrapper, Response, StartResponse};
pub use accel::{Accel, AccelError};
use condition::{Condition, Validators};
use find::Found;
use multipart::Multipart;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use range::{Part, Wanted};
use std::{
    env,
    fs::{File, Metadata},
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// Where the root is: not in the request's variables, where a client might have a hand in it, and
/// never DOCUMENT_ROOT, which would go round the web server's own rules.
const ROOT: &str = "CGIGATE_FILES_ROOT";
/// Names of index files, white space between them; empty for none.
const INDEX: &str = "CGIGATE_FILES_INDEX";
/// Which symbolic links are followed.
const LINKS: &str = "CGIGATE_FILES_LINKS";
/// Who sends the files: `--accel`.
pub(crate) const ACCEL: &str = "CGIGATE_ACCEL";

/// What `files` reads from the process environment.
pub(crate) const SETTINGS: [&str; 4] = [ROOT, INDEX, LINKS, ACCEL];

/// Answers the file that PATH_INFO names below the directory `CGIGATE_FILES_ROOT` of the process
/// environment; 404 while that is not set.
///
/// | variable | default | |
/// |---|---|---|
/// | `CGIGATE_FILES_ROOT` | – | the directory |
/// | `CGIGATE_FILES_INDEX` | `index.html` | what is answered for a directory: names, white space between them |
/// | `CGIGATE_FILES_LINKS` | `inside` | symbolic links: `never` followed, only those that stay `inside` the root, or `everywhere` |
/// | `CGIGATE_ACCEL` | – | `nginx`, `nginx:/PREFIX`, `apache` or `lighttpd`: that one sends the files itself ([`Accel`]) |
///
/// They are read once, with the first request. In an own gateway [`Files`] is the same without
/// variables.
///
/// ```
/// use cgigate::{Gateway, apps, testing};
///
/// let gateway = Gateway::new().responder("files", apps::files);
/// // CGIGATE_FILES_ROOT=/srv/www site http; and without it there is nothing:
/// assert_eq!(testing::get("/logo.png").ask(&apps::files).status, 404);
/// # let _ = gateway;
/// ```
///
/// # Errors
/// The client has gone away, the file cannot be read, or a variable means nothing.
pub fn files<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    static FILES: OnceLock<Result<Option<Files>, String>> = OnceLock::new();
    match FILES.get_or_init(Files::of_environment) {
        Ok(Some(files)) => files.serve(&environ, start_response),
        Ok(None) => refuse(start_response, "404 Not Found", &[]),
        Err(why) => Err(why.clone().into()),
    }
}

/// The files below a directory, as an application.
///
/// GET and HEAD; the conditions and ranges of RFC 9110, several ranges too; a directory is answered
/// by its index or not at all, never by a list. Nothing outside the root is, wherever a path or a
/// symbolic link leads: on Linux the kernel sees to that (openat2(2)).
///
/// ```
/// use cgigate::{Gateway, apps::{Files, Links}};
///
/// let files = Files::below("/srv/www").index(["index.html", "index.txt"]).links(Links::Never);
/// let gateway = Gateway::new().responder("static", files).about("the files of the site");
/// # let _ = gateway;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    root: PathBuf,
    index: Vec<PathBuf>,
    links: Links,
    accel: Option<Accel>,
}

impl Files {
    /// Files below `root`, with `index.html` for a directory, and links that stay inside.
    ///
    /// ```
    /// use cgigate::{apps::Files, testing};
    ///
    /// let docs = Files::below("docs");
    /// let page = testing::get("/files.md").ask(&docs);
    /// assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/markdown")));
    /// assert_eq!(testing::get("/../Cargo.toml").ask(&docs).status, 404);
    /// ```
    pub fn below(root: impl Into<PathBuf>) -> Self {
        let (root, index) = (root.into(), vec!["index.html".into()]);
        Self { root, index, links: Links::Inside, accel: None }
    }

    /// What is answered for a directory: the first that is there.
    ///
    /// ```
    /// let files = cgigate::apps::Files::below("/srv/www").index(["index.html", "index.txt"]);
    /// # let _ = files;
    /// ```
    #[must_use]
    pub fn index<N: Into<PathBuf>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { index: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Which symbolic links are followed.
    ///
    /// ```
    /// use cgigate::apps::{Files, Links};
    ///
    /// let files = Files::below("/srv/www").links(Links::Never);
    /// # let _ = files;
    /// ```
    #[must_use]
    pub fn links(self, links: Links) -> Self {
        Self { links, ..self }
    }

    /// Leaves the sending to the web server in front, which must have been told so.
    ///
    /// ```
    /// use cgigate::{apps::{Accel, Files}, testing};
    ///
    /// let docs = Files::below("docs").accel(Accel::Nginx("/internal".into()));
    /// let answer = testing::get("/files.md").ask(&docs);
    /// assert_eq!(answer.header("X-Accel-Redirect"), Some("/internal/files.md"));
    /// assert!(answer.body.is_empty()); // nginx sends the file
    /// ```
    #[must_use]
    pub fn accel(self, accel: Accel) -> Self {
        Self { accel: Some(accel), ..self }
    }

    fn of_environment() -> Result<Option<Self>, String> {
        let var = |name| env::var_os(name).filter(|value| !value.is_empty());
        let Some(root) = var(ROOT) else { return Ok(None) };
        let mut files = Self::below(root);
        if let Some(names) = env::var_os(INDEX) {
            let names = names.into_string().map_err(|_| format!("{INDEX}: no UTF-8"))?;
            files = files.index(names.split_whitespace());
        }
        let text = |name| var(name).map(|value| value.to_string_lossy().into_owned());
        if let Some(links) = text(LINKS) {
            files.links = match &*links {
                "never" => Links::Never,
                "inside" => Links::Inside,
                "everywhere" => Links::Everywhere,
                _ => {
                    return Err(format!("{LINKS}: {links:?}: use never, inside or everywhere"));
                }
            };
        }
        let accel = text(ACCEL).map(|accel| accel.parse::<Accel>()).transpose();
        files.accel = accel.map_err(|error| format!("{ACCEL}: {error}"))?;
        Ok(Some(files))
    }

    fn serve<'r>(
        &self,
        environ: &Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        let method = environ.get("REQUEST_METHOD").unwrap_or(b"GET");
        if method != b"GET" && method != b"HEAD" {
            let allow = [("Allow", "GET, HEAD".into())];
            return refuse(start_response, "405 Method Not Allowed", &allow);
        }
        let (file, metadata, path) =
            match find::find(self, environ.get("PATH_INFO").unwrap_or_default()) {
                None => return refuse(start_response, "404 Not Found", &[]),
                Some(Found::Directory(path)) => {
                    let location = [("Location", with_slash(environ, &path))];
                    return refuse(start_response, "301 Moved Permanently", &location);
                }
                Some(Found::File { file, metadata, path }) => (file, metadata, path),
            };
        let kind = mime_guess::from_path(&path).first_raw().unwrap_or("application/octet-stream");
        match self.accel.as_ref().and_then(|accel| accel.field(&self.root, &path)) {
            // Conditions and ranges are then between the client and that server.
            Some(field) => {
                start_response.call("200 OK", &[("Content-Type", kind.into()), field])?;
                Ok(Body::Empty)
            }
            None => send(environ, start_response, file, &metadata, kind),
        }
    }
}

impl Application for Files {
    fn call<'r>(
        &'r self,
        environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        self.serve(&environ, start_response)
    }
}

/// Answers a file that is there, as far as it is wanted: conditions come before ranges (RFC 9110
/// section 13.2.2).
fn send<'r>(
    environ: &Environ<'r>,
    start_response: &mut dyn StartResponse,
    file: File,
    metadata: &Metadata,
    kind: &str,
) -> Response<'r> {
    let validators = Validators::of(metadata);
    let mut headers = validators.headers();
    match validators.condition(environ.vars) {
        Condition::Holds => {}
        Condition::ClientHasIt => {
            start_response.call("304 Not Modified", &headers)?;
            return Ok(Body::Empty);
        }
        Condition::Fails => return refuse(start_response, "412 Precondition Failed", &[]),
    }
    let size = metadata.len();
    headers.push(("Accept-Ranges", "bytes".into()));
    // Only GET has ranges (RFC 9110 section 14.2).
    let range =
        environ.get("HTTP_RANGE").filter(|_| environ.get("REQUEST_METHOD") != Some(b"HEAD"));
    let range = range.filter(|_| validators.range_applies(environ.vars));
    match range.map_or(Wanted::Whole, |range| Wanted::of(range, size)) {
        Wanted::Whole => {
            headers.push(("Content-Type", kind.into()));
            start_with(start_response, "200 OK", headers, size)?;
            from(file, 0, size)
        }
        Wanted::Nothing => {
            let unsatisfied = [("Content-Range", format!("bytes */{size}"))];
            refuse(start_response, "416 Range Not Satisfiable", &unsatisfied)
        }
        Wanted::Parts(parts) => {
            if let [part @ Part { first, last }] = parts[..] {
                headers.push(("Content-Type", kind.into()));
                headers.push(("Content-Range", format!("bytes {first}-{last}/{size}")));
                start_with(start_response, "206 Partial Content", headers, part.len())?;
                return from(file, first, part.len());
            }
            let body = Multipart::new(file, parts, size, kind);
            headers.push(("Content-Type", body.content_type()));
            start_with(start_response, "206 Partial Content", headers, body.len())?;
            Ok(Body::Blocks(Box::new(body)))
        }
    }
}

fn start_with(
    start_response: &mut dyn StartResponse,
    status: &'static str,
    mut headers: Vec<(&'static str, String)>,
    length: u64,
) -> Result<(), Exception> {
    headers.push(("Content-Length", length.to_string()));
    start_response.call(status, &headers)?;
    Ok(())
}

/// So many bytes of a file.
fn from<'r>(mut file: File, first: u64, length: u64) -> Response<'r> {
    file.seek(SeekFrom::Start(first))?;
    Ok(FileWrapper::file(file, Some(length)).blksize(64 << 10).into())
}

/// The path of a directory as it should have been asked for, with the query that came.
fn with_slash(environ: &Environ<'_>, path: &Path) -> String {
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
    let script = environ.get("SCRIPT_NAME").unwrap_or_default();
    // Two slashes at the front would name another host.
    let script = percent_encode(script, PLAIN).to_string();
    let script = script.trim_matches('/');
    let parts = [script.to_owned(), accel::uri_path(path)];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    let mut location = parts.fold(String::from("/"), |location, part| location + &part + "/");
    if let Some(query) = environ.vars.filled("QUERY_STRING") {
        location.push('?');
        location.push_str(&percent_encode(query, percent_encoding::CONTROLS).to_string());
    }
    location
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
    use crate::apps::testing::answer;
    use std::fs;

    fn root(name: &str) -> Files {
        let root = std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
        fs::create_dir_all(root.join("in/dir")).unwrap();
        fs::write(root.join("secret"), "no").unwrap();
        fs::write(root.join("in/a b.txt"), "0123456789").unwrap();
        Files::below(root.join("in"))
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
        fs::remove_dir_all(app.root.parent().unwrap()).unwrap();
    }

    #[test]
    fn nothing_but_files_below_the_root_is_found() {
        let app = root("outside");
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("../secret", app.root.join("link")).unwrap();
            std::os::unix::fs::symlink("a b.txt", app.root.join("inner")).unwrap();
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
        fs::remove_dir_all(app.root.parent().unwrap()).unwrap();
    }

    #[test]
    fn several_ranges_are_several_parts_of_the_length_that_is_told() {
        let app = root("ranges");
        let vars: [(&str, &[u8]); 2] =
            [("PATH_INFO", b"/a b.txt"), ("HTTP_RANGE", b"bytes=0-1,-3,20-,4-4")];
        let parts = answer(&app, &vars, b"");
        assert_eq!(status(&parts), "206 Partial Content");
        let kind = field(&parts, "Content-Type").unwrap();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let (_, body) = parts.split_once("\r\n\r\n").unwrap();
        let part = |range: &str, content: &str| {
            format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes \
                 {range}/10\r\n\r\n{content}"
            )
        };
        let end = format!("\r\n--{boundary}--\r\n");
        assert_eq!(body, [part("0-1", "01"), part("7-9", "789"), part("4-4", "4"), end].concat());
        assert_eq!(field(&parts, "Content-Length"), Some(&*body.len().to_string()));
        let head = [vars[0], vars[1], ("REQUEST_METHOD", b"HEAD")];
        assert_eq!(status(&answer(&app, &head, b"")), "200 OK", "ranges are GET's");
        let changed = [vars[0], vars[1], ("HTTP_IF_MATCH", b"\"old\"")];
        assert_eq!(status(&answer(&app, &changed, b"")), "412 Precondition Failed");
        fs::remove_dir_all(app.root.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_directory_is_its_index_and_has_a_slash_at_its_end() {
        let app = root("index");
        fs::write(app.root.join("dir/index.html"), "<p>").unwrap();
        let get = |path: &str| {
            let vars =
                [("SCRIPT_NAME", "//evil.test/x"), ("PATH_INFO", path), ("QUERY_STRING", "a=1")];
            answer(&app, &vars.map(|(name, value)| (name, value.as_bytes())), b"")
        };
        let page = get("/dir/");
        assert!(status(&page) == "200 OK" && page.ends_with("<p>"), "{page}");
        assert_eq!(field(&page, "Content-Type"), Some("text/html"));
        for path in ["/dir", "//dir", "/./dir"] {
            let moved = get(path);
            assert_eq!(status(&moved), "301 Moved Permanently", "{path}");
            assert_eq!(field(&moved, "Location"), Some("/evil.test/x/dir/?a=1"), "{path}");
        }
        assert_eq!(status(&get("/")), "404 Not Found", "there is none");
        fs::write(app.root.join("home"), "").unwrap();
        let app = app.clone().index(["none", "home"]);
        assert_eq!(status(&answer(&app, &[("PATH_INFO", b"/")], b"")), "200 OK");
        let bare = answer(&app, &[("SCRIPT_NAME", b"/f")], b"");
        assert_eq!(field(&bare, "Location"), Some("/f/"));
        fs::remove_dir_all(app.root.parent().unwrap()).unwrap();
    }

    #[cfg(unix)] // By its paths.
    #[test]
    fn a_server_that_sends_files_itself_is_told_which() {
        let app = root("accel");
        let root = app.root.canonicalize().unwrap();
        let get = |accel: Accel, path: &str| {
            let app = app.clone().accel(accel);
            answer(&app, &[("PATH_INFO", path.as_bytes()), ("HTTP_RANGE", b"bytes=0-0")], b"")
        };
        let nginx = get(Accel::Nginx("/in".into()), "/a b.txt");
        assert_eq!(field(&nginx, "X-Accel-Redirect"), Some("/in/a%20b.txt"));
        assert!(nginx.ends_with("\r\n\r\n") && status(&nginx) == "200 OK", "{nginx}");
        assert_eq!(field(&nginx, "ETag"), None, "that is the server's own");
        let whole = format!("{}/a%20b.txt", root.display());
        assert_eq!(field(&get(Accel::Lighttpd, "/a b.txt"), "X-Sendfile"), Some(&*whole));
        let whole = whole.replace("%20", " ");
        assert_eq!(field(&get(Accel::Apache, "/a b.txt"), "X-Sendfile"), Some(&*whole));
        assert_eq!(status(&get(Accel::Apache, "/../secret")), "404 Not Found");
        fs::remove_dir_all(app.root.parent().unwrap()).unwrap();
    }
}
