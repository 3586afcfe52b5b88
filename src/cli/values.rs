//! Sizes and durations as operators write them.

use crate::headers::check_name;
use std::{
    fmt,
    ops::{Bound, RangeBounds},
    str::FromStr,
    time::Duration,
};

/// `8k`, `16M`, `1G`, or plain bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: use bytes, or 8k, 16M, 1G");
    let (digits, unit) = match text.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']) {
        Some(digits) => (digits, text.as_bytes()[text.len() - 1].to_ascii_lowercase()),
        None => (text, b'b'),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let shift = match unit {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        _ => 0,
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// `500ms`, `30s`, `5m`, `1h`; plain seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let number: u64 = digits.parse().map_err(|_| wrong_duration(text))?;
    let millis = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    millis.map(Duration::from_millis).ok_or_else(|| wrong_duration(text))
}

/// How long something may take, if there is a limit to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(pub(super) Option<Duration>);

/// A duration, or `none`.
pub(super) fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => duration(text).map(|it| Limit(Some(it))).map_err(or_none),
    }
}

/// The same of what needs some time: many a server takes 0 for no limit.
pub(super) fn patience(text: &str) -> Result<Limit, String> {
    match limit(text)? {
        Limit(Some(Duration::ZERO)) => {
            Err(format!("{text:?} would be over at once: use 30s, 5m, or none"))
        }
        limit => Ok(limit),
    }
}

/// The size that a body may have, or `none`: then of any.
pub(super) fn body_size(text: &str) -> Result<u64, String> {
    match text {
        "none" => Ok(u64::MAX),
        _ => size(text).map_err(or_none),
    }
}

fn or_none(wrong: String) -> String {
    wrong + ", or none"
}

fn wrong_duration(text: &str) -> String {
    format!("{text:?} is no duration: use 500ms, 30s, 5m")
}

/// A path at which the server answers for itself, decoded: it begins with a slash.
pub(super) fn page(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains(['?', '#']) {
        true => Ok(text.into()),
        false => Err(format!("{text:?} is no path: use /status, decoded and without a query")),
    }
}

/// What turns an option on or off that takes no value, where a variable stands for it.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" | "yes" => Ok(true),
        "" | "0" | "off" | "false" | "no" => Ok(false),
        _ => Err(format!("{text:?} is neither on nor off")),
    }
}

/// A whole number in a range.
pub(super) fn number<T, R>(range: R) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + fmt::Display,
    R: RangeBounds<T> + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (range.start_bound(), range.end_bound()) {
            (Bound::Included(least), Bound::Included(most)) => {
                format!("{text:?} is no number: use {least} to {most}")
            }
            (Bound::Included(least), _) => format!("{text:?} is no number: use {least} or more"),
            _ => format!("{text:?} is no number"),
        })
    }
}

/// A number of processes, or `auto`.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    if text == "auto" {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from));
    }
    let count = text.parse().ok().filter(|count| (1..=1024).contains(count));
    count.ok_or_else(|| format!("{text:?} is no number of workers: use 1 to 1024, or auto"))
}

/// A method is a token (RFC 9110 section 9.1).
pub(super) fn method(word: &str) -> Result<String, String> {
    let checked = check_name(word.as_bytes());
    checked.map(|()| word.into()).map_err(|_| format!("{word:?} is no method: use a word, as GET"))
}

/// What comes behind the host in a URL.
pub(super) fn target(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.into()),
        false => Err(format!("{text:?} is no path: a PATH begins with /")),
    }
}

/// An octal file mode: `0660`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("{text:?} is no file mode: use octal digits, as 0660"))
}

/// The name of a variable that may stand beside a request's own: not of those that its client sets.
pub(super) fn variable(name: &str) -> Result<String, String> {
    match name {
        "" => Err("a name is wanted".into()),
        _ if name.contains('=') => Err(format!("{name:?} is no name: only the name is wanted")),
        _ if name.starts_with("HTTP_") => {
            Err(format!("{name:?} would be taken for a field of the client's request"))
        }
        _ => Ok(name.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_nonsense_is_named() {
        assert_eq!((size("17"), size("8k")), (Ok(17), Ok(8192)));
        assert_eq!((size("16M"), size("1G")), (Ok(16 << 20), Ok(1 << 30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!((duration("2"), duration("5m")), (duration("2s"), Ok(Duration::from_secs(300))));
        let limited = |millis| Ok(Limit(Some(Duration::from_millis(millis))));
        assert_eq!(
            (limit("none"), limit("0"), limit("1s")),
            (Ok(Limit(None)), limited(0), limited(1000))
        );
        assert_eq!((patience("none"), patience("1ms")), (Ok(Limit(None)), limited(1)));
        for wrong in ["0", "0s", "off", "-1"] {
            let why = patience(wrong).unwrap_err();
            assert!(why.contains(&format!("{wrong:?}")) && why.ends_with(", or none"), "{why}");
        }
        assert_eq!((body_size("none"), body_size("1k")), (Ok(u64::MAX), Ok(1024)));
        assert!(body_size("all").is_err_and(|why| why.ends_with(", or none")));
        assert_eq!((mode("0660"), mode("600")), (Ok(0o660), Ok(0o600)));
        for wrong in ["", "k", "-1", "1T", "99999999999G", "1.5"] {
            assert!(size(wrong).is_err_and(|why| why.contains(wrong)), "{wrong}");
            assert!(duration(&format!("{wrong}x")).is_err(), "{wrong}");
        }
        assert_eq!((switch("1"), switch("On")), (Ok(true), Ok(true)));
        assert_eq!((switch(""), switch("off")), (Ok(false), Ok(false)));
        assert!(switch("perhaps").is_err_and(|why| why.contains("perhaps")));
        assert_eq!((number(1..)("7"), number(1..=9)("9")), (Ok(7), Ok(9)));
        for wrong in ["", "x", "0", "-3", "1.5", "70000"] {
            let why = number::<u16, _>(1..=65535)(wrong).unwrap_err();
            assert_eq!(why, format!("{wrong:?} is no number: use 1 to 65535"));
        }
        assert!(number::<usize, _>(0..)("-1").is_err_and(|why| why.ends_with("use 0 or more")));
        assert_eq!(workers("3"), Ok(3));
        assert!(workers("auto").is_ok_and(|count| count > 0));
        assert!(workers("0").is_err_and(|why| why.contains("\"0\"")));
        assert!(mode("999").is_err() && mode("7777").is_err());
        assert!(method("M-SEARCH").is_ok() && method("").is_err() && method("G T").is_err());
        assert!(target("/").is_ok() && target("").is_err() && target("hello").is_err());
        assert_eq!(variable("DB_HOST"), Ok("DB_HOST".into()));
        for wrong in ["", "A=b", "HTTP_PROXY", "HTTP_"] {
            assert!(variable(wrong).is_err(), "{wrong}");
        }
    }
}
