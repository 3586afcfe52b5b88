//! What is known of a response while it is under way.

use super::{AssertionError, Sink, WsgiWarning};
use crate::types::{Environ, Violation};

/// Follows one response from `start_response` to the end of its body.
pub(super) struct Watch<'r> {
    pub(super) warn: &'r Sink,
    pub(super) file_wrapper: bool,
    is_head: bool,
    started: bool,
    /// Whose answer has no content: `HEAD`, 204, 304.
    bodiless: Option<&'static str>,
    /// The Content-Length, as it was given.
    declared: Option<Vec<u8>>,
    sent: u64,
    /// About the body one warning is enough.
    warned: bool,
}

impl<'r> Watch<'r> {
    pub(super) fn new(environ: &Environ<'_>, warn: &'r Sink) -> Self {
        Self {
            warn,
            file_wrapper: environ.wsgi.file_wrapper,
            is_head: environ.get("REQUEST_METHOD") == Some(b"HEAD"),
            started: false,
            bodiless: None,
            declared: None,
            sent: 0,
            warned: false,
        }
    }

    /// `start_response` was called, with these; perhaps not for the first time.
    pub(super) fn start(&mut self, code: u16, fields: &[(&[u8], &[u8])]) {
        self.started = true;
        self.bodiless = match code {
            204 => Some("204"),
            304 => Some("304"),
            _ => self.is_head.then_some("HEAD"),
        };
        let length = fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(b"content-length"));
        self.declared = length.map(|(_, value)| value.to_vec());
    }

    pub(super) fn check_started(&self) -> Result<(), AssertionError> {
        if self.started { Ok(()) } else { Err(AssertionError(Violation::NotStarted)) }
    }

    /// So many bytes more of the body.
    pub(super) fn count(&mut self, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
        match (self.bodiless, self.length()) {
            (Some(what), _) if self.sent > 0 => self.warn_once(WsgiWarning::Content(what)),
            (None, Some(declared)) if self.sent > declared => self.warn_of_length(),
            _ => {}
        }
    }

    /// The body has ended by itself.
    pub(super) fn end(&mut self) {
        if self.bodiless.is_none() && self.declared.is_some() && self.length() != Some(self.sent) {
            self.warn_of_length();
        }
    }

    fn length(&self) -> Option<u64> {
        std::str::from_utf8(self.declared.as_deref()?).ok()?.trim().parse().ok()
    }

    fn warn_of_length(&mut self) {
        let declared = self.declared.clone().unwrap_or_default();
        self.warn_once(WsgiWarning::ContentLength { declared, sent: self.sent });
    }

    fn warn_once(&mut self, warning: WsgiWarning) {
        if !std::mem::replace(&mut self.warned, true) {
            (self.warn)(warning);
        }
    }
}
