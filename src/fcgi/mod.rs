//! FastCGI 1.0 without I/O: bytes in, events out; values in, bytes out. Imports nothing of this crate.
//!
//! What a web server says on a connection, and when:
//!
//! ```text
//! GET_VALUES                                      at any time, id 0; answered at once
//! BEGIN_REQUEST  PARAMS*  PARAMS(empty)           each request under an id of its own,
//!                STDIN*   STDIN(empty)            any number of them interleaved
//!                DATA*    DATA(empty)             (filters only)
//! ABORT_REQUEST                                   at any moment of a request
//! ```
//!
//! Back go STDOUT and STDERR records and one END_REQUEST for each request.
//!
//! | section of the specification | here |
//! |---|---|
//! | 3.3 records, 8 types and constants | `record.rs` |
//! | 3.4 name-value pairs | `pairs.rs` |
//! | 4 management records | `connection.rs`, [`Answer`] |
//! | 5 application records, 6 roles | `phase.rs`: the table of what may follow what |
//! | a request that lies in one piece | `whole.rs`, [`Whole`] |
//! | the web server's side of all that | `client.rs`, [`Client`] |
//! | a capture in words | [`words`] |

mod client;
mod connection;
mod pairs;
mod phase;
mod record;
mod whole;
mod words;

pub use client::{Client, IdInUse, Reply, ReplyError, Request, abort_request, get_values};
pub use connection::{Answer, Connection, Event, Limits, ProtocolError};
pub use pairs::{
    Pair, PairError, Pairs, VALUES, Values, pair, pair_at, pairs, usual_pair, values_result,
};
pub use record::{
    HEADER_LEN, MAX_CONTENT, ProtocolStatus, RecordType, RequestId, Role, begin_request,
    end_request, header, stream, unknown_type,
};
pub use whole::Whole;
pub use words::{Words, words};
