//! What `head` says, of uwsgi.
#![no_main]

mod head;

use cgigate::uwsgi::Uwsgi;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| head::any_bytes::<Uwsgi>(input));
