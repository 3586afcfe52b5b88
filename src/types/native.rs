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
