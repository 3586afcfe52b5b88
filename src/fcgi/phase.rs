//! What may follow what in a request (sections 5 and 6): the table, and all of it.
//!
//! ```text
//!            PARAMS      PARAMS(empty)        STDIN     STDIN(empty)       DATA   DATA(empty)
//! Params     Params      Stdin | Done (A)     error     ignored            error  error
//! Stdin      error       error                Stdin     Done | Data (F)    Data-  Data-
//! Data       error       error                error     error              Data   Done
//! Done       error       error                ignored   ignored            ignored
//! TooLong    ignored     ignored              ignored   ignored            ignored
//! ```
//!
//! (A) an authorizer has no STDIN (section 6.3), and most servers send none; what comes is ignored.
//! (F) a filter's DATA follows its STDIN (section 6.4); Data- before the end of STDIN is an error.
//! Records of an id that is not open are ignored everywhere (section 3.3): their request has ended.

use super::record::{RecordType, Role};

/// How far the input of a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Params,
    Stdin,
    Data,
    Done,
    /// Its PARAMS went over the limit, and it is only waiting to be refused.
    TooLong,
}

/// What a record of a stream means in a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Its content belongs to the request, which stays in its phase.
    Piece,
    /// The stream has ended; the phase that follows.
    End(Phase),
    /// To be read over.
    Ignore,
    /// The peer broke the protocol.
    Wrong,
}

pub(super) fn turn(phase: Phase, kind: RecordType, empty: bool, role: Role) -> Turn {
    match (phase, kind, empty) {
        (Phase::Params, RecordType::Params, false) => Turn::Piece,
        (Phase::Params, RecordType::Params, true) => Turn::End(match role {
            Role::Authorizer => Phase::Done,
            Role::Responder | Role::Filter => Phase::Stdin,
        }),
        (Phase::Stdin, RecordType::Stdin, false) => Turn::Piece,
        (Phase::Stdin, RecordType::Stdin, true) => Turn::End(match role {
            Role::Filter => Phase::Data,
            Role::Responder | Role::Authorizer => Phase::Done,
        }),
        (Phase::Data, RecordType::Data, false) => Turn::Piece,
        (Phase::Data, RecordType::Data, true) => Turn::End(Phase::Done),
        (Phase::Done, RecordType::Stdin | RecordType::Data, _) => Turn::Ignore,
        (Phase::Params, RecordType::Stdin, true) | (Phase::TooLong, ..) => Turn::Ignore,
        _ => Turn::Wrong,
    }
}
