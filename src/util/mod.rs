//! `wsgiref.util`: what can be told from an environ, and what a server may not be told in headers.
//!
//! [`FileWrapper`] is a body, and so lives in [`types`](crate::types); it is here as well, where
//! wsgiref has it. Its `__getitem__`, which Python 3.11 removed, was not ported.
//!
//! ```
//! use cgigate::{testing, types::{Environ, Response, StartResponse}};
//! use cgigate::util::{application_uri, shift_path_info};
//!
//! /// `/notes/7` is the seventh note; a link leads to the first.
//! fn notes<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
//!     let first = application_uri(&environ)?;
//!     let number = shift_path_info(environ.vars)?.unwrap_or_default();
//!     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
//!     Ok([b"Note ", &number[..], b"; see also ", &first, b"/1\n"].concat().into())
//! }
//!
//! let request = testing::get("/7").var("SCRIPT_NAME", "/notes").header("Host", "example.org");
//! assert_eq!(request.ask(&notes).text(), "Note 7; see also http://example.org/notes/1\n");
//! ```

mod shift;
mod testing;
mod uri;

use crate::types::{Scheme, Vars};

pub use crate::types::FileWrapper;
pub use shift::{DotDot, NoSlash, shift_path_info, shift_path_info_strict};
pub(crate) use shift::{first_segment, shift_segment};
pub use testing::{TestEnviron, setup_testing_defaults};
#[cfg(feature = "http")]
pub(crate) use uri::SCRIPT;
pub use uri::{MissingKey, application_uri, request_uri};

/// `guess_scheme`: https where `HTTPS` is `yes`, `on` or `1`, in that spelling.
///
/// ```
/// use cgigate::{types::Scheme, util::guess_scheme};
///
/// assert_eq!(guess_scheme(&[("HTTPS", "on")].into_iter().collect()), Scheme::Https);
/// assert_eq!(guess_scheme(&[("HTTPS", "true")].into_iter().collect()), Scheme::Http);
/// ```
pub fn guess_scheme(vars: &Vars) -> Scheme {
    match vars.get("HTTPS") {
        Some(b"yes" | b"on" | b"1") => Scheme::Https,
        _ => Scheme::Http,
    }
}

/// `is_hop_by_hop`: whether a header field concerns one connection only (RFC 9110 section 7.6.1),
/// so that no application may send it.
///
/// wsgiref's list, with `trailer` and `proxy-connection`, which it forgot. Letter case counts for
/// nothing, in ASCII alone.
///
/// ```
/// assert!(cgigate::util::is_hop_by_hop("Transfer-Encoding"));
/// assert!(!cgigate::util::is_hop_by_hop("Content-Encoding"));
/// ```
pub fn is_hop_by_hop(name: impl AsRef<[u8]>) -> bool {
    let name = name.as_ref();
    let names: &[&str] = match name.len() {
        2 => &["te"],
        7 => &["trailer", "upgrade"],
        8 => &["trailers"],
        10 => &["connection", "keep-alive"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        18 => &["proxy-authenticate"],
        19 => &["proxy-authorization"],
        _ => &[],
    };
    names.iter().any(|hop| hop.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_guessed_of_three_spellings_alone() {
        let guess = |value: &str| guess_scheme(&[("HTTPS", value)].into_iter().collect());
        for value in ["yes", "on", "1"] {
            assert_eq!(guess(value), Scheme::Https, "{value}");
        }
        for value in ["", "ON", "On", "Yes", "true", "off", "0", "01", " on", "on "] {
            assert_eq!(guess(value), Scheme::Http, "{value}");
        }
        assert_eq!(guess_scheme(&Vars::default()), Scheme::Http);
    }

    #[test]
    fn hop_by_hop_is_wsgirefs_list_and_the_two_that_it_forgot() {
        let wsgirefs = "connection keep-alive proxy-authenticate proxy-authorization te trailers \
                        transfer-encoding upgrade";
        for name in wsgirefs.split(' ').chain(["trailer", "proxy-connection"]) {
            assert!(is_hop_by_hop(name), "{name}");
            assert!(is_hop_by_hop(name.to_uppercase()), "{name}");
        }
        // The last begins with the Kelvin sign, which is a k to Unicode.
        for name in ["", "host", "content-length", "te ", "tes", "connection:", "\u{212a}eep-alive"]
        {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }
}
