//! PEP 3333, "A Note On String Types": bytes in Unicode strings, one character a byte (Latin-1).

use std::borrow::Cow;

/// The native string of some bytes: each byte becomes the character of the same number.
///
/// ```
/// assert_eq!(cgigate::types::to_native(b"caf\xe9"), "caf\u{e9}");
/// ```
pub fn to_native(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(ascii) if ascii.is_ascii() => Cow::Borrowed(ascii),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// The bytes of a native string; `None` where a character stands for no byte (above U+00FF).
///
/// ```
/// use cgigate::types::from_native;
///
/// assert_eq!(from_native("caf\u{e9}").as_deref(), Some(&b"caf\xe9"[..]));
/// assert_eq!(from_native("\u{20ac}"), None);
/// ```
pub fn from_native(native: &str) -> Option<Cow<'_, [u8]>> {
    if native.is_ascii() {
        return Some(Cow::Borrowed(native.as_bytes()));
    }
    native.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<_>>>().map(Cow::Owned)
}

/// Python's `repr` of a native string, which has no character above U+00FF.
pub(crate) fn repr(text: &str) -> String {
    // Python prefers single quotes, and takes double ones only to save escaping.
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            // Not printable to Python: controls, the no-break space and the soft hyphen.
            c if c.is_control() || c == '\u{a0}' || c == '\u{ad}' => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repr_is_pythons() {
        for (text, want) in [
            ("", "''"),
            ("plain", "'plain'"),
            ("it's", "\"it's\""),
            ("\"both\" it's", "'\"both\" it\\'s'"),
            ("a\\b", "'a\\\\b'"),
            ("\t\r\n\0\x1b\x7f", "'\\t\\r\\n\\x00\\x1b\\x7f'"),
            ("caf\u{e9}\u{a0}\u{ad}\u{80}", "'caf\u{e9}\\xa0\\xad\\x80'"),
        ] {
            assert_eq!(repr(text), want, "{text:?}");
        }
    }
}
