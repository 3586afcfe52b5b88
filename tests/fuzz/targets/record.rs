//! Any bytes are records in words or an end that says why, and none is lost: one line a record.
#![no_main]

use cgigate::fcgi::{HEADER_LEN, words};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = words(bytes).count();
    assert!(lines <= bytes.len().div_ceil(HEADER_LEN));
    assert_eq!(lines == 0, bytes.is_empty());
});
