//! `read_environ`: the request's variables out of the process environment, and the date of headers.
//!
//! On Unix the environment is bytes, and bytes are what [`Vars`] holds: nothing is recoded. On
//! Windows it is UTF-16, and which bytes the web server meant depends on the server.

use crate::types::Vars;
use std::time::SystemTime;

/// Reads the process environment: bytes as they are on Unix; on Windows what
/// [`transcode_windows`] makes of it.
pub fn read_environ() -> Vars {
    let mut vars = Vars::default();
    read_into(&mut vars);
    vars
}

#[cfg(unix)]
fn read_into(vars: &mut Vars) {
    use std::os::unix::ffi::OsStrExt;
    for (name, value) in std::env::vars_os() {
        let start = vars.appended().len();
        vars.append(name.as_bytes());
        let middle = vars.appended().len();
        vars.append(value.as_bytes());
        vars.index(start..middle, middle..vars.appended().len());
    }
}

#[cfg(windows)]
fn read_into(vars: &mut Vars) {
    use std::os::windows::ffi::OsStrExt;
    let software = std::env::var_os("SERVER_SOFTWARE").unwrap_or_default();
    let encoding = Encoding::of(&software.to_string_lossy());
    for (name, value) in std::env::vars_os() {
        let units: Vec<u16> = value.encode_wide().collect();
        let name = name.to_string_lossy();
        let value = match needs_transcode(&name) {
            true => transcode_windows(&units, encoding),
            false => String::from_utf16_lossy(&units).into_bytes(),
        };
        vars.set(name.as_bytes(), value);
    }
}

/// How a web server on Windows turned the bytes of a URL into UTF-16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// IIS, and Python's own server: as UTF-8.
    Utf8,
    /// Apache: a character a byte.
    Latin1,
}

impl Encoding {
    /// By SERVER_SOFTWARE, as wsgiref tells them apart. Of servers that wsgiref does not know it
    /// takes the system's code page for granted; today that is UTF-8.
    pub fn of(server_software: &str) -> Self {
        match server_software.to_ascii_lowercase() {
            software if software.starts_with("apache/") => Self::Latin1,
            _ => Self::Utf8,
        }
    }
}

/// The bytes that a web server meant by a UTF-16 value; what has none becomes `?`.
///
/// ```
/// use cgigate::handlers::{Encoding, transcode_windows};
///
/// let units: Vec<u16> = "/\u{fc}".encode_utf16().collect();
/// assert_eq!(transcode_windows(&units, Encoding::of("Microsoft-IIS/10.0")), b"/\xc3\xbc");
/// assert_eq!(transcode_windows(&units, Encoding::of("Apache/2.4")), b"/\xfc");
/// ```
pub fn transcode_windows(units: &[u16], encoding: Encoding) -> Vec<u8> {
    let characters = char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or('?'));
    match encoding {
        Encoding::Utf8 => characters.collect::<String>().into_bytes(),
        Encoding::Latin1 => characters.map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
    }
}

/// Whether a variable comes from the request, so that its bytes are the client's (wsgiref's
/// `_needs_transcode`).
pub fn needs_transcode(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "SCRIPT_NAME",
        "PATH_INFO",
        "QUERY_STRING",
        "REQUEST_METHOD",
        "AUTH_TYPE",
        "CONTENT_TYPE",
        "CONTENT_LENGTH",
        "HTTPS",
        "REMOTE_USER",
        "REMOTE_IDENT",
    ];
    let name = name.trim_start_matches("REDIRECT_");
    NAMES.contains(&name) || name.starts_with("HTTP_") || name.starts_with("SSL_")
}

/// `format_date_time`: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
pub fn format_date_time(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_request_are_recoded_and_others_not() {
        for name in ["PATH_INFO", "HTTP_X", "SSL_CLIENT", "REDIRECT_REDIRECT_HTTP_A", "HTTPS"] {
            assert!(needs_transcode(name), "{name}");
        }
        for name in ["PATH_TRANSLATED", "SERVER_NAME", "REQUEST_URI", "REDIRECT_", "http_x"] {
            assert!(!needs_transcode(name), "{name}");
        }
    }

    #[test]
    fn what_windows_hands_over_becomes_the_bytes_of_the_url() {
        let units: Vec<u16> = "/z\u{fc}rich/\u{65e5}\u{672c}/\u{1f600}".encode_utf16().collect();
        let iis = transcode_windows(&units, Encoding::of("Microsoft-IIS/10.0"));
        assert_eq!(iis, "/z\u{fc}rich/\u{65e5}\u{672c}/\u{1f600}".as_bytes());
        assert_eq!(transcode_windows(&units, Encoding::Latin1), b"/z\xfcrich/??/?");
        assert_eq!(transcode_windows(&[0xd800], Encoding::Utf8), b"?");
    }
}
