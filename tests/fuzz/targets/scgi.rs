//! What `head` says, of scgi.
#![no_main]

mod head;

use cgigate::scgi::Scgi;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| head::any_bytes::<Scgi>(input));
