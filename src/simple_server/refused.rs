//! What is said of a request that is not run; each part of it has the reasons that are its own.

/// A request that is answered with its status and nothing else; the reason holds no byte of it.
///
/// ```
/// use cgigate::simple_server::Refused;
///
/// let refused = Refused { status: "400 Bad Request", why: "a line does not end in CR LF" };
/// assert_eq!(refused.to_string(), "400 Bad Request: a line does not end in CR LF");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {why}")]
pub struct Refused {
    /// Code and reason phrase.
    pub status: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

impl Refused {
    /// The three digits.
    ///
    /// ```
    /// use cgigate::simple_server::Refused;
    ///
    /// let refused = Refused { status: "414 URI Too Long", why: "the request line is too long" };
    /// assert_eq!(refused.code(), 414);
    /// ```
    pub fn code(&self) -> u16 {
        self.status.get(..3).and_then(|code| code.parse().ok()).unwrap_or(500)
    }

    pub(super) const fn bad(why: &'static str) -> Self {
        Self { status: "400 Bad Request", why }
    }
}

pub(super) const LINE_END: Refused = Refused::bad("a line does not end in CR LF");
pub(super) const LINE_TOO_LONG: Refused =
    Refused { status: "414 URI Too Long", why: "the request line is too long" };
pub(super) const HEAD_TOO_LONG: Refused = Refused {
    status: "431 Request Header Fields Too Large",
    why: "the header lines are too long, or too many",
};
pub(super) const BODY_TOO_LONG: Refused =
    Refused { status: "413 Content Too Large", why: "the body is longer than this server takes" };
pub(super) const TOO_SLOW: Refused =
    Refused { status: "408 Request Timeout", why: "the request stood still for too long" };
