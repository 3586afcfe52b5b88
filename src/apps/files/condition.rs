//! RFC 9110 section 13: whether the client has the file already.

use crate::types::Vars;
use std::{
    fs::Metadata,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What tells one state of a file from another.
pub(super) struct Validators {
    etag: String,
    /// In whole seconds, as HTTP has it; none for a time that HTTP cannot write.
    modified: Option<SystemTime>,
}

impl Validators {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let now = SystemTime::now();
        // RFC 9110 section 8.8.2.1: never a date in the future.
        let time = metadata.modified().ok().map(|time| time.min(now));
        let age = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let nanos = age.unwrap_or_default().as_nanos();
        Self {
            etag: format!("\"{nanos:x}-{:x}\"", metadata.len()),
            modified: age.map(|age| UNIX_EPOCH + Duration::from_secs(age.as_secs())),
        }
    }

    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("ETag", self.etag.clone())];
        if let Some(modified) = self.modified {
            headers.push(("Last-Modified", httpdate::fmt_http_date(modified)));
        }
        headers
    }

    /// Sections 13.1.2 and 13.1.3: with If-None-Match, If-Modified-Since does not count.
    pub(super) fn client_has_it(&self, vars: &Vars) -> bool {
        if let Some(tags) = vars.get("HTTP_IF_NONE_MATCH") {
            return self.is_among(tags);
        }
        let since = vars.get("HTTP_IF_MODIFIED_SINCE").and_then(date);
        matches!((self.modified, since), (Some(modified), Some(since)) if modified <= since)
    }

    /// Section 13.1.5: a range of what the client has is wanted only if it is still the same.
    pub(super) fn range_applies(&self, vars: &Vars) -> bool {
        match vars.get("HTTP_IF_RANGE") {
            None => true,
            Some(tag) if tag == self.etag.as_bytes() => true,
            Some(value) => self.modified.is_some() && date(value) == self.modified,
        }
    }

    fn is_among(&self, tags: &[u8]) -> bool {
        tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|tag| {
            // The comparison is the weak one.
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes()
        })
    }
}

fn date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_win_over_dates_and_are_compared_weakly() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let validators =
            Validators { etag: "\"a-1\"".into(), modified: httpdate::parse_http_date(date).ok() };
        let has =
            |pairs: &[(&str, &str)]| validators.client_has_it(&pairs.iter().copied().collect());
        assert!(!has(&[]));
        for tags in ["\"a-1\"", "W/\"a-1\"", "*", "\"x\", \"a-1\""] {
            assert!(has(&[("HTTP_IF_NONE_MATCH", tags)]), "{tags}");
        }
        let since = ("HTTP_IF_MODIFIED_SINCE", date);
        assert!(has(&[since]) && !has(&[since, ("HTTP_IF_NONE_MATCH", "\"x\"")]));
        assert!(!has(&[("HTTP_IF_MODIFIED_SINCE", "Sun, 06 Nov 1994 08:49:36 GMT")]));
        assert!(!has(&[("HTTP_IF_MODIFIED_SINCE", "yesterday")]));
    }
}
