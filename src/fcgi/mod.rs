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
//! | what either side says | `event.rs`, [`Event`]; `reply.rs`, [`Reply`] |
//! | a request that lies in one piece | `whole.rs`, [`Whole`] |
//! | the web server's side of all that | `client.rs`, [`Client`] |
//! | a capture in words | [`words`] |
//!
//! An application's side that answers all requests alike, and the web server's that asks it:
//!
//! ```
//! use cgigate::fcgi::{self, Client, Connection, Event, Limits, RecordType, Reply, Request, Role};
//! use std::num::NonZeroU16;
//!
//! /// What is to be written for records that are whole.
//! fn answer(app: &mut Connection, mut input: &[u8]) -> Result<Vec<u8>, fcgi::ProtocolError> {
//!     let mut out = Vec::new();
//!     while let (used, Some(event)) = app.next(input)? {
//!         input = &input[used..];
//!         if let Event::StdinEnd { id } = event {
//!             fcgi::stream(&mut out, RecordType::Stdout, id, b"Status: 204 No Content\r\n\r\n");
//!             fcgi::end_request(&mut out, id, 0, fcgi::ProtocolStatus::RequestComplete);
//!             app.finish(id);
//!         }
//!     }
//!     Ok(out)
//! }
//!
//! let id = fcgi::RequestId(NonZeroU16::MIN);
//! let (mut server, mut asked) = (Client::new(), Vec::new());
//! server.begin(&mut asked, &Request { id, role: Role::Responder, keep_conn: true, params: &[] })?;
//! fcgi::stream(&mut asked, RecordType::Stdin, id, b"");
//! let mut app = Connection::new(Limits { max_requests: 8, max_params: 1 << 20 });
//! let answered = answer(&mut app, &asked)?;
//! let piece = b"Status: 204 No Content\r\n\r\n";
//! assert_eq!(server.next(&answered)?.1, Some(Reply::Stdout { id, piece }));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod client;
mod connection;
mod event;
mod pairs;
mod phase;
mod record;
mod reply;
mod series;
mod whole;
mod words;

pub use client::{Client, IdInUse, Request, abort_request, get_values};
pub use connection::{Connection, Limits};
pub use event::{Answer, Event, ProtocolError};
pub use pairs::{
    Pair, PairError, Pairs, VALUES, Values, pair, pair_at, pairs, usual_pair, values_result,
};
pub use record::{
    HEADER_LEN, MAX_CONTENT, ProtocolStatus, RecordType, RequestId, Role, begin_request,
    end_request, header, stream, unknown_type,
};
pub use reply::{Reply, ReplyError};
pub(crate) use series::{Aside, Series};
pub use whole::Whole;
pub use words::{Words, words};
