//! Who ends a connection, and when.

use super::*;
use crate::{
    handlers::Handler,
    types::{Application, Vars},
};
use std::num::NonZeroU16;

struct Responders;

impl Dispatch for Responders {
    fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application {
        unreachable!("nothing is run here")
    }

    fn serves(&self, role: Role) -> bool {
        role == Role::Responder
    }

    fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) {
        unreachable!("nothing is run here")
    }
}

/// An answer of `get /echo` ended without END_REQUEST, once in a hundred on a busy machine: the
/// end of STDIN came to another thread while this one was about to send it.
#[test]
fn an_answer_that_is_still_to_be_sent_is_not_cut_off_by_whoever_receives() {
    let id = RequestId(NonZeroU16::MIN);
    let settings = Settings::default();
    let (token, came) = (Token(1 << 32), None);
    let rules = Rules {
        settings: &settings,
        apps: &Responders,
        responds: true,
        token,
        now: 0,
        came,
        direct: false,
    };
    let (mut front, mut sorting) =
        (Front::new(Protocol::FastCgi, &settings, false), Sorting::default());
    let mut wire = Vec::new();
    fcgi::begin_request(&mut wire, id, Role::Responder, false);
    fcgi::stream(&mut wire, fcgi::RecordType::Params, id, b"");
    front.feed(&wire, &mut sorting, &rules).unwrap();
    assert_eq!(sorting.ready.len(), 1);
    let finished = front.finish_unsent(id);
    assert!(finished.close && finished.unread);
    // Before END_REQUEST is out.
    front.feed(b"\x01\x05\0\x01\0\0\0\0", &mut sorting, &rules).unwrap();
    assert!(!front.wants_end());
    // A request that is refused is answered by whoever receives, who then ends the connection.
    wire.clear();
    fcgi::begin_request(&mut wire, id, Role::Filter, false);
    front.feed(&wire, &mut sorting, &rules).unwrap();
    assert!(!sorting.answers.is_empty() && front.wants_end());
}
