//! `read_environ`: the request's variables out of the process environment, and the date of headers.
//!
//! On Unix the environment is bytes, and bytes are what [`Vars`] holds: nothing is recoded. On
//! Windows it is UTF-16, and which bytes the web server meant depends on the server.

use crate::types::Vars;
use std::time::SystemTime;

/// Reads the process environment: bytes as they are on Unix; on Windows what
/// [`transcode_environ`] makes of it. HTTP_PROXY stays away, as from every request.
///
/// ```
/// assert!(!cgigate::handlers::read_environ().contains("HTTP_PROXY"));
/// ```
pub fn read_environ() -> Vars {
    let mut vars = Vars::default();
    read_into(&mut vars);
    vars.settle();
    vars
}

#[cfg(unix)]
fn read_into(vars: &mut Vars) {
    use std::os::unix::ffi::OsStrExt;
    for (name, value) in std::env::vars_os() {
        note(vars, name.as_bytes(), value.as_bytes());
    }
}

#[cfg(windows)]
fn read_into(vars: &mut Vars) {
    use std::os::windows::ffi::OsStrExt;
    let wide = |text: std::ffi::OsString| text.encode_wide().collect();
    let environ: Vec<_> = std::env::vars_os().map(|(n, v)| (wide(n), wide(v))).collect();
    // The system's code page, as Python has taken it since 3.6.
    for (name, value) in transcode_environ(&environ, Encoding::Utf8).iter() {
        note(vars, name, value);
    }
}

/// A variable as if it had come on a wire.
fn note(vars: &mut Vars, name: &[u8], value: &[u8]) {
    let start = vars.appended().len();
    vars.append(name);
    let middle = vars.appended().len();
    vars.append(value);
    vars.index(start..middle, middle..vars.appended().len());
}

/// How a web server on Windows turned the bytes of a URL into UTF-16.
///
/// ```
/// use cgigate::handlers::{Encoding, transcode_windows};
///
/// // What the client sent as %80, and a server made a euro sign of:
/// let units: Vec<u16> = "\u{20ac}".encode_utf16().collect();
/// assert_eq!(transcode_windows(&units, Encoding::Windows1252), b"\x80");
/// assert_eq!(transcode_windows(&units, Encoding::Latin1), b"?");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// IIS, and Python's own server: as UTF-8.
    Utf8,
    /// Apache: a character a byte.
    Apache,
    /// A code page of one byte a character: ASCII.
    Ascii,
    /// The same: ISO 8859-1.
    Latin1,
    /// The same: Windows-1252.
    Windows1252,
}

impl Encoding {
    /// By SERVER_SOFTWARE, as wsgiref tells them apart. Of servers that it does not know it takes
    /// the system's code page for granted.
    ///
    /// ```
    /// use cgigate::handlers::Encoding;
    ///
    /// assert_eq!(Encoding::of("Apache/2.4.59 (Win64)", Encoding::Windows1252), Encoding::Apache);
    /// assert_eq!(Encoding::of("Microsoft-IIS/10.0", Encoding::Windows1252), Encoding::Utf8);
    /// ```
    pub fn of(server_software: &str, system: Self) -> Self {
        let software = server_software.to_ascii_lowercase();
        if software.starts_with("apache/") {
            return Self::Apache;
        }
        let python = software.starts_with("simplehttp/") && software.contains("python/3");
        if python || software.starts_with("microsoft-iis/") { Self::Utf8 } else { system }
    }

    /// The byte of a character in a code page of bytes.
    fn byte(self, c: char) -> Option<u8> {
        /// From 0x80 on; U+FFFD where there is none.
        const WINDOWS_1252: &str = "\u{20ac}\u{fffd}\u{201a}\u{192}\u{201e}\u{2026}\u{2020}\u{2021}\
            \u{2c6}\u{2030}\u{160}\u{2039}\u{152}\u{fffd}\u{17d}\u{fffd}\
            \u{fffd}\u{2018}\u{2019}\u{201c}\u{201d}\u{2022}\u{2013}\u{2014}\
            \u{2dc}\u{2122}\u{161}\u{203a}\u{153}\u{fffd}\u{17e}\u{178}";
        match (self, u8::try_from(c)) {
            (Self::Ascii, Ok(0x80..)) | (Self::Windows1252, Ok(0x80..=0x9f)) => None,
            (_, Ok(byte)) => Some(byte),
            (Self::Windows1252, Err(_)) if c != char::REPLACEMENT_CHARACTER => {
                (0x80..).zip(WINDOWS_1252.chars()).find(|&(_, other)| other == c).map(|(b, _)| b)
            }
            _ => None,
        }
    }
}

/// What [`read_environ`] makes of a process environment of Windows, pairs of UTF-16 names and
/// values: a pure function, the same everywhere.
///
/// Variables of the request ([`needs_transcode`]) become the bytes of the URL, by
/// [`transcode_windows`] and what SERVER_SOFTWARE says, or by the code page of the system. All
/// others become UTF-8.
///
/// ```
/// use cgigate::handlers::{Encoding, transcode_environ};
///
/// let utf16 = |text: &str| text.encode_utf16().collect::<Vec<_>>();
/// let pairs = [("SERVER_SOFTWARE", "Apache/2.4"), ("PATH_INFO", "/\u{fc}"), ("HOME", "\u{fc}")];
/// let environ = pairs.map(|(name, value)| (utf16(name), utf16(value)));
/// let vars = transcode_environ(&environ, Encoding::Utf8);
/// assert_eq!(vars.get("PATH_INFO"), Some(&b"/\xfc"[..]));
/// assert_eq!(vars.get("HOME"), Some(&b"\xc3\xbc"[..]));
/// ```
pub fn transcode_environ(environ: &[(Vec<u16>, Vec<u16>)], system: Encoding) -> Vars {
    let utf8 = |units: &[u16]| transcode_windows(units, Encoding::Utf8);
    let named = environ.iter().map(|(name, value)| (utf8(name), value));
    let software = named.clone().find(|(name, _)| name.eq_ignore_ascii_case(b"SERVER_SOFTWARE"));
    let software = software.map(|(_, value)| String::from_utf16_lossy(value)).unwrap_or_default();
    let encoding = Encoding::of(&software, system);
    let mut vars = Vars::default();
    for (name, value) in named {
        let value = match needs_transcode(&String::from_utf8_lossy(&name)) {
            true => transcode_windows(value, encoding),
            false => utf8(value),
        };
        note(&mut vars, &name, &value);
    }
    vars.settle();
    vars
}

/// The bytes that a web server meant by a UTF-16 value.
///
/// Half a surrogate pair, which stands for nothing, becomes `?`, and so does a character that is not
/// in the code page. A value of Apache's with a
/// character that is no byte did not come the way Apache's values do, and becomes UTF-8 whole.
///
/// ```
/// use cgigate::handlers::{Encoding, transcode_windows};
///
/// let units: Vec<u16> = "/\u{fc}".encode_utf16().collect();
/// assert_eq!(transcode_windows(&units, Encoding::Utf8), b"/\xc3\xbc");
/// assert_eq!(transcode_windows(&units, Encoding::Apache), b"/\xfc");
/// ```
pub fn transcode_windows(units: &[u16], encoding: Encoding) -> Vec<u8> {
    let characters = char::decode_utf16(units.iter().copied()).map(|c| c.unwrap_or('?'));
    let utf8 = || characters.clone().collect::<String>().into_bytes();
    match encoding {
        Encoding::Utf8 => utf8(),
        Encoding::Apache => {
            let bytes: Option<_> = characters.clone().map(|c| u8::try_from(c).ok()).collect();
            bytes.unwrap_or_else(utf8)
        }
        page => characters.map(|c| page.byte(c).unwrap_or(b'?')).collect(),
    }
}

/// Whether a variable comes from the request, so that its bytes are the client's (wsgiref's
/// `_needs_transcode`).
///
/// ```
/// use cgigate::handlers::needs_transcode;
///
/// assert!(needs_transcode("PATH_INFO") && needs_transcode("REDIRECT_HTTP_COOKIE"));
/// assert!(!needs_transcode("SYSTEMROOT"));
/// ```
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

/// `format_date_time`: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7). Fractions of a
/// second are cut off.
///
/// ```
/// use cgigate::handlers::format_date_time;
/// use std::time::{Duration, SystemTime};
///
/// let time = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_900);
/// assert_eq!(format_date_time(time), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn format_date_time(time: SystemTime) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i128::from(since.as_secs()),
        Err(before) => -(before.duration().as_nanos().div_ceil(1_000_000_000) as i128),
    };
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let month = MONTHS[month];
    format!("{weekday}, {day:02} {month} {year:4} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Year, month (from 0) and day of the Gregorian calendar, by days since 1970-01-01.
fn civil(days: i128) -> (i128, usize, i128) {
    // Years begin with March here, so that the leap day is the last of its year, and are counted
    // in the 400 years after which the calendar repeats.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year + i128::from(month >= 10);
    (year, ((month + 2) % 12) as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

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
        let iis = transcode_windows(&units, Encoding::Utf8);
        assert_eq!(iis, "/z\u{fc}rich/\u{65e5}\u{672c}/\u{1f600}".as_bytes());
        let apache: Vec<u16> = "/z\u{fc}rich".encode_utf16().collect();
        assert_eq!(transcode_windows(&apache, Encoding::Apache), b"/z\xfcrich");
        assert_eq!(transcode_windows(&[0xd800], Encoding::Utf8), b"?");
    }

    #[test]
    fn no_character_is_lost_where_apache_did_not_write_bytes() {
        let units: Vec<u16> = "\u{fc}/\u{20ac}".encode_utf16().collect();
        assert_eq!(transcode_windows(&units, Encoding::Apache), "\u{fc}/\u{20ac}".as_bytes());
    }

    #[test]
    fn the_proxy_field_never_arrives() {
        let wide = |text: &str| text.encode_utf16().collect::<Vec<_>>();
        let environ = [("HTTP_PROXY", "http://evil"), ("HTTP_A", "1")];
        let environ = environ.map(|(name, value)| (wide(name), wide(value)));
        let vars = transcode_environ(&environ, Encoding::Utf8);
        assert_eq!(format!("{vars:?}"), r#"{"HTTP_A": "1"}"#);
    }

    #[test]
    fn servers_are_told_apart_by_how_their_name_begins() {
        for (software, want) in [
            ("Apache/2.4.58 (Win64)", Encoding::Apache),
            ("APACHE/", Encoding::Apache),
            ("Apache", Encoding::Latin1),
            ("Apache-Coyote/1.1", Encoding::Latin1),
            ("X Apache/2", Encoding::Latin1),
            ("Microsoft-IIS/10.0", Encoding::Utf8),
            ("SimpleHTTP/0.6 Python/3.14", Encoding::Utf8),
            ("SimpleHTTP/0.6 Python/2.7", Encoding::Latin1),
            ("", Encoding::Latin1),
        ] {
            assert_eq!(Encoding::of(software, Encoding::Latin1), want, "{software}");
        }
    }

    #[test]
    fn what_a_code_page_does_not_have_is_a_question_mark() {
        let units: Vec<u16> = "a\u{e9}\u{20ac}\u{81}\u{178}\u{fffd}".encode_utf16().collect();
        for (page, want) in [
            (Encoding::Ascii, &b"a?????"[..]),
            (Encoding::Latin1, b"a\xe9?\x81??"),
            (Encoding::Windows1252, b"a\xe9\x80?\x9f?"),
        ] {
            assert_eq!(transcode_windows(&units, page), want, "{page:?}");
        }
    }

    #[test]
    fn dates_are_english_and_of_any_year() {
        let at = |seconds: f64| {
            let span = Duration::from_secs_f64(seconds.abs());
            format_date_time(match seconds < 0.0 {
                true => SystemTime::UNIX_EPOCH - span,
                false => SystemTime::UNIX_EPOCH + span,
            })
        };
        for (seconds, want) in [
            (0.0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777.9, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400.0, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199.0, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_102_444_800.0, "Fri, 01 Jan 2100 00:00:00 GMT"),
            (4_107_542_400.0, "Mon, 01 Mar 2100 00:00:00 GMT"),
            // Files have such times, and httpdate panics of them.
            (-0.5, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (-2_208_988_800.0, "Mon, 01 Jan 1900 00:00:00 GMT"),
            (253_402_300_800.0, "Sat, 01 Jan 10000 00:00:00 GMT"),
        ] {
            assert_eq!(at(seconds), want);
        }
    }

    proptest! {
        #[test]
        fn dates_are_those_of_httpdate(seconds in 0u64..253_402_300_800) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(format_date_time(time), httpdate::fmt_http_date(time));
        }
    }
}
