//! Any bytes are a head, the begin of one, or an error, the same whole and byte by byte.

use cgigate::head::{Event, Head, HeadError, Wire, pairs};

pub fn any_bytes<W: Wire>(input: &[u8]) {
    let whole = feed::<W>(input, input.len().max(1));
    assert_eq!(feed::<W>(input, 1), whole);
    for bytes in [input, whole.as_ref().map_or(input, |(params, _)| params)] {
        let mut at = 0;
        for (name, value) in pairs::<W>(bytes).map_while(Result::ok) {
            assert!(at <= name.start && name.start < name.end && name.end < value.start);
            at = value.end;
        }
        assert!(at <= bytes.len());
    }
}

fn feed<W: Wire>(input: &[u8], step: usize) -> Result<(Vec<u8>, Option<usize>), HeadError> {
    let (mut head, mut params, mut held) = (Head::<W>::new(1000), Vec::new(), Vec::new());
    let mut whole = false;
    for piece in input.chunks(step) {
        held.extend_from_slice(piece);
        loop {
            let (used, event) = head.next(&held)?;
            match event {
                Some(Event::Params(piece)) => params.extend_from_slice(piece),
                Some(Event::ParamsEnd) => whole = true,
                None => {
                    held.drain(..used);
                    break;
                }
            }
            held.drain(..used);
        }
    }
    Ok((params, whole.then_some(held.len())))
}
