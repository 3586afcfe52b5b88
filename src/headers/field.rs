//! What a header field may be: a token, and a value without control characters.

use crate::types::{HeaderPart, Violation};

/// RFC 9110 section 5.6.2: `tchar`, for each byte.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        token[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < others.len() {
        token[others[at] as usize] = true;
        at += 1;
    }
    token
};

pub(crate) fn check_name(name: &[u8]) -> Result<(), Violation> {
    // Without an early end the compiler need not ask after each byte.
    let is_token = name.iter().fold(true, |all, &byte| all & TOKEN[usize::from(byte)]);
    if is_token && !name.is_empty() {
        return Ok(());
    }
    Err(match name.iter().any(u8::is_ascii_control) {
        true => Violation::HeaderControl(HeaderPart::Name),
        false => Violation::HeaderName(name.to_vec()),
    })
}

pub(crate) fn check_value(value: &[u8]) -> Result<(), Violation> {
    let bad = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    match has_control(value) && value.iter().any(bad) {
        true => Err(Violation::HeaderControl(HeaderPart::Value)),
        false => Ok(()),
    }
}

/// Whether any of the bytes is a control character, eight looked at together.
pub(crate) fn has_control(bytes: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // A byte that is smaller borrows: it has the highest bit then, and had not before.
    let smaller = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & (EACH << 7);
    let control = |word: u64| smaller(word, 0x20) | smaller(word ^ (EACH * 0x7f), 1) != 0;
    if let Some(last) = bytes.last_chunk() {
        let (words, _) = bytes.as_chunks();
        return words.iter().chain([last]).any(|word| control(u64::from_ne_bytes(*word)));
    }
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let (first, last) = (u32::from_ne_bytes(*first), u32::from_ne_bytes(*last));
            control(u64::from(first) << 32 | u64::from(last))
        }
        _ => bytes.iter().any(u8::is_ascii_control),
    }
}
