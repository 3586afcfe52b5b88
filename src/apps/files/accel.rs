//! Leaving the sending to the web server in front: X-Accel-Redirect and X-Sendfile.
//!
//! A header tells it which file to send. It does so itself, conditions and ranges included, and no
//! byte of the file goes through this process. A server that has not been told to look for the
//! header would pass it on to the client, with an empty page: so only where the operator says that
//! this one has been.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::{ffi::OsStr, fmt, path::Path, str::FromStr};

/// Who sends the files.
///
/// ```
/// use cgigate::apps::{Accel, Files};
///
/// let accel: Accel = "nginx:/internal/".parse()?;
/// let files = Files::below("/srv/www").accel(accel);
/// # let _ = files;
/// # Ok::<_, cgigate::apps::AccelError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accel {
    /// nginx, from an `internal` location of this path, whose `alias` is the root.
    Nginx(String),
    /// Apache with mod_xsendfile, `XSendFile On` and an `XSendFilePath` that the root lies in. The
    /// path is sent as it is: from version 1.0 on, `XSendFileUnescape Off`.
    Apache,
    /// lighttpd, with `"x-sendfile" => "enable"`.
    Lighttpd,
}

/// A text that names no such server.
///
/// ```
/// use cgigate::apps::Accel;
///
/// let error = "iis".parse::<Accel>().unwrap_err();
/// assert_eq!(error.to_string(), "\"iis\": use nginx, nginx:/PREFIX, apache or lighttpd");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: use nginx, nginx:/PREFIX, apache or lighttpd")]
pub struct AccelError(String);

impl FromStr for Accel {
    type Err = AccelError;

    fn from_str(text: &str) -> Result<Self, AccelError> {
        match text.split_once(':').unwrap_or((text, Self::PREFIX)) {
            ("nginx", prefix) if prefix.starts_with('/') && !prefix.starts_with("//") => {
                Ok(Self::Nginx(prefix.trim_end_matches('/').into()))
            }
            _ if text == "apache" => Ok(Self::Apache),
            _ if text == "lighttpd" => Ok(Self::Lighttpd),
            _ => Err(AccelError(text.into())),
        }
    }
}

/// As it is written on a command line.
impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nginx(prefix) => write!(f, "nginx:{prefix}/"),
            Self::Apache => f.write_str("apache"),
            Self::Lighttpd => f.write_str("lighttpd"),
        }
    }
}

/// All that could mean something in a URI, or in a header.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

impl Accel {
    /// The path of nginx's internal location, where none is said.
    ///
    /// ```
    /// use cgigate::apps::Accel;
    ///
    /// assert_eq!("nginx".parse(), Ok(Accel::Nginx(Accel::PREFIX.into())));
    /// println!("location {}/ {{ internal; alias /srv/www/; }}", Accel::PREFIX);
    /// ```
    pub const PREFIX: &str = "/cgigate-files";

    /// The field that has the file at `path` below `root` sent; `None` where it cannot be said.
    pub(super) fn field(&self, root: &Path, path: &Path) -> Option<(&'static str, String)> {
        let whole = root.canonicalize().ok()?.join(path);
        match self {
            Self::Nginx(prefix) => {
                let path = Path::new("/").join(path);
                let prefix = percent_encode(prefix.as_bytes(), PLAIN);
                Some(("X-Accel-Redirect", format!("{prefix}{}", encoded(&path))))
            }
            // As it is, which not every path can be in a field.
            Self::Apache => {
                let path = whole.into_os_string().into_string().ok()?;
                (!path.contains(char::is_control)).then_some(("X-Sendfile", path))
            }
            Self::Lighttpd => Some(("X-Sendfile", encoded(&whole))),
        }
    }
}

fn encoded(path: &Path) -> String {
    percent_encode(path.as_os_str().as_encoded_bytes(), PLAIN).to_string()
}

/// Segments for a URI: of `path`, joined by slashes.
pub(super) fn uri_path(path: &Path) -> String {
    let segment = |segment: &OsStr| percent_encode(segment.as_encoded_bytes(), PLAIN).to_string();
    path.iter().map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)] // By its paths.
    #[test]
    fn each_server_is_told_in_its_own_words() {
        let field = |accel: &str, path: &str| {
            accel.parse::<Accel>().unwrap().field(Path::new("/"), Path::new(path)).unwrap()
        };
        assert_eq!(
            field("nginx", "a b/\u{e9}%.txt"),
            ("X-Accel-Redirect", "/cgigate-files/a%20b/%C3%A9%25.txt".into())
        );
        assert_eq!(field("nginx:/in/", "x?y").1, "/in/x%3Fy");
        assert_eq!(field("nginx:/", "x").1, "/x");
        assert_eq!(field("apache", "a b%41"), ("X-Sendfile", "/a b%41".into()));
        assert_eq!(Accel::Apache.field(Path::new("/"), Path::new("\n")), None);
        assert_eq!(field("lighttpd", "\r\n"), ("X-Sendfile", "/%0D%0A".into()));
        let again = |accel: &str| accel.parse::<Accel>().unwrap().to_string().parse::<Accel>();
        assert_eq!(again("nginx"), "nginx".parse());
        assert_eq!(again("nginx:/"), "nginx:/".parse());
        for wrong in ["", "nginx:", "nginx:in", "nginx://in", "apache:/x", "iis"] {
            assert!(wrong.parse::<Accel>().is_err(), "{wrong}");
        }
    }
}
