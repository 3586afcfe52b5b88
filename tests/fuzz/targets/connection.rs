//! Any bytes give the same events whole and cut: the first byte says where.
#![no_main]

use cgigate::fcgi::{Connection, Event, Limits};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { max_requests: 3, max_params: 100 };

fn feed(input: &[u8], step: usize) -> (Vec<String>, Vec<u8>) {
    let mut connection = Connection::new(LIMITS);
    let (mut seen, mut bytes, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for piece in input.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            let (used, event) = match connection.next(&held) {
                Ok(progress) => progress,
                Err(error) => {
                    seen.push(error.to_string());
                    return (seen, bytes);
                }
            };
            let mut finished = None;
            match event {
                None => {
                    held.drain(..used);
                    break;
                }
                Some(
                    Event::Params { piece, .. }
                    | Event::Stdin { piece, .. }
                    | Event::Data { piece, .. },
                ) => {
                    assert!(!piece.is_empty());
                    bytes.extend_from_slice(piece);
                }
                Some(event) => {
                    if let Event::Abort { id } | Event::ParamsTooLong { id } = event {
                        finished = Some(id);
                    }
                    seen.push(format!("{event:?}"));
                }
            }
            held.drain(..used);
            finished.map(|id| connection.finish(id).expect("it was open"));
        }
    }
    (seen, bytes)
}

fuzz_target!(|input: &[u8]| {
    let Some((step, input)) = input.split_first() else { return };
    assert_eq!(feed(input, usize::from(*step).max(1)), feed(input, input.len().max(1)));
});
