//! RFC 9110 section 13: whether the client has the file already, or wants another state of it.

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

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// There are none, or they are met.
    Holds,
    /// 304
    ClientHasIt,
    /// 412
    Fails,
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

    /// Section 13.2.2, for GET and HEAD: tags before dates, and who wants it unchanged before who
    /// has it already.
    pub(super) fn condition(&self, vars: &Vars) -> Condition {
        let unchanged = match vars.get("HTTP_IF_MATCH") {
            // Section 13.1.1: the comparison is the strong one.
            Some(tags) => self.is_among(tags, |tag| tag == self.etag.as_bytes()),
            None => match (self.modified, vars.get("HTTP_IF_UNMODIFIED_SINCE").and_then(date)) {
                (Some(modified), Some(since)) => modified <= since,
                _ => true,
            },
        };
        let client_has_it = match vars.get("HTTP_IF_NONE_MATCH") {
            // Section 13.1.2: the weak one.
            Some(tags) => self.is_among(tags, |tag| {
                tag.strip_prefix(b"W/").unwrap_or(tag) == self.etag.as_bytes()
            }),
            None => match (self.modified, vars.get("HTTP_IF_MODIFIED_SINCE").and_then(date)) {
                (Some(modified), Some(since)) => modified <= since,
                _ => false,
            },
        };
        match (unchanged, client_has_it) {
            (false, _) => Condition::Fails,
            (true, true) => Condition::ClientHasIt,
            (true, false) => Condition::Holds,
        }
    }

    /// Section 13.1.5: a range of what the client has is wanted only if it is still the same.
    pub(super) fn range_applies(&self, vars: &Vars) -> bool {
        match vars.get("HTTP_IF_RANGE") {
            None => true,
            Some(tag) if tag == self.etag.as_bytes() => true,
            Some(value) => self.modified.is_some() && date(value) == self.modified,
        }
    }

    fn is_among(&self, tags: &[u8], same: impl Fn(&[u8]) -> bool) -> bool {
        let mut tags = tags.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        tags.any(|tag| tag == b"*" || same(tag))
    }
}

fn date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_win_over_dates_and_are_compared_as_each_condition_says() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let validators =
            Validators { etag: "\"a-1\"".into(), modified: httpdate::parse_http_date(date).ok() };
        let condition =
            |pairs: &[(&str, &str)]| validators.condition(&pairs.iter().copied().collect());
        let has = |pairs: &[(&str, &str)]| condition(pairs) == Condition::ClientHasIt;
        assert_eq!(condition(&[]), Condition::Holds);
        for tags in ["\"a-1\"", "W/\"a-1\"", "*", "\"x\", \"a-1\""] {
            assert!(has(&[("HTTP_IF_NONE_MATCH", tags)]), "{tags}");
        }
        let since = ("HTTP_IF_MODIFIED_SINCE", date);
        assert!(has(&[since]) && !has(&[since, ("HTTP_IF_NONE_MATCH", "\"x\"")]));
        assert!(!has(&[("HTTP_IF_MODIFIED_SINCE", "Sun, 06 Nov 1994 08:49:36 GMT")]));
        assert!(!has(&[("HTTP_IF_MODIFIED_SINCE", "yesterday")]));

        let fails = |pairs: &[(&str, &str)]| condition(pairs) == Condition::Fails;
        let matches = |tags| ("HTTP_IF_MATCH", tags);
        assert!(!fails(&[matches("\"x\", \"a-1\"")]) && !fails(&[matches("*")]));
        assert!(fails(&[matches("W/\"a-1\"")]) && fails(&[matches("\"x\""), since]));
        let unmodified = |date| ("HTTP_IF_UNMODIFIED_SINCE", date);
        assert!(!fails(&[unmodified(date)]) && !fails(&[unmodified("yesterday")]));
        let before = unmodified("Sun, 06 Nov 1994 08:49:36 GMT");
        assert!(fails(&[before]) && !fails(&[before, matches("\"a-1\"")]));
    }
}
