//! Any bytes are pairs or an error; the pairs lie in order, and those that are written are read.
#![no_main]

use cgigate::fcgi::{pair, pairs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut at, mut written) = (0, Vec::new());
    for found in pairs(bytes) {
        let Ok((name, value)) = found else { break };
        assert!(at < name.start && name.end == value.start && value.end <= bytes.len());
        at = value.end;
        pair(&mut written, &bytes[name], &bytes[value]);
    }
    // Lengths may have been said in more bytes than they need, but never in fewer.
    assert!(written.len() <= at);
    assert_eq!(
        pairs(&written).filter(Result::is_ok).count(),
        pairs(bytes).filter(Result::is_ok).count()
    );
});
