//! `log_message` and its likes: a line for each request, in the format that `http.server` has from
//! the common log format.

use crate::types::to_native;
use std::{
    fmt::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

/// What a client sent, for a log: control characters, `"` and `\` cannot pretend to be something
/// else.
///
/// ```
/// use cgigate::simple_server::Escaped;
///
/// assert_eq!(Escaped(b"GET /\x1b\"\\ caf\xe9").to_string(), r"GET /\x1b\x22\\ café");
/// ```
pub struct Escaped<'l>(pub &'l [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in to_native(self.0).chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\x22")?,
                // Of Latin-1 these fit two digits.
                c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// `log_date_time_string`, in UTC and saying so.
///
/// ```
/// use cgigate::simple_server::log_date_time_string;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
/// assert_eq!(log_date_time_string(time), "06/Nov/1994 08:49:37 +0000");
/// ```
pub fn log_date_time_string(time: SystemTime) -> String {
    // "Sun, 22 Nov 2026 07:28:12 GMT" has all of it at fixed places.
    let date = httpdate::fmt_http_date(time.max(UNIX_EPOCH));
    match (date.get(5..7), date.get(8..11), date.get(12..16), date.get(17..25)) {
        (Some(day), Some(month), Some(year), Some(clock)) => {
            format!("{day}/{month}/{year} {clock} +0000")
        }
        _ => date,
    }
}
