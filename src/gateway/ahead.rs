//! Reading ahead: a body goes to its spool, while its answer has to wait for the end of it. It is
//! received where it is read from afterwards.

use super::{
    desk::{Desk, Intake, Run, Short},
    loan::Loan,
    roll::Roll,
    spool::Spool,
};
use crate::{sys::Readiness, types::Request};
use std::{io, ops::Range, sync::Arc, time::Duration};

/// A web server that has the whole body sends it without a pause; one that has not is not waited
/// for.
const PAUSE: Duration = Duration::from_secs(1);

/// A body that is to be whole before the first byte of its answer is sent.
pub(super) struct Ahead<'c> {
    loan: Loan<'c>,
    spool: &'c Arc<Spool>,
}

impl<'c> Ahead<'c> {
    pub(super) fn new(loan: Loan<'c>, spool: &'c Arc<Spool>) -> Self {
        Self { loan, spool }
    }

    /// Receives until the body is whole, or does not go on. Its faults are told to whoever reads
    /// it.
    pub(super) fn read(&self, request: &Request) {
        let mut desk = None;
        while self.is_wanted(request) {
            if self.loan.take() {
                let drained = self.receive(desk.get_or_insert_with(Desk::default), request);
                self.loan.release(self.spool, drained.unwrap_or_default());
                if drained.is_none() {
                    return;
                }
            } else if !self.spool.wait_for_more(PAUSE) {
                return;
            }
        }
    }

    fn is_wanted(&self, request: &Request) -> bool {
        self.loan.slot.front().is_body_open(self.loan.id) && !request.is_cancelled()
    }

    /// The reading half is ours. True: the socket is empty. None: it is of no use to go
    /// on.
    fn receive(&self, desk: &mut Desk, request: &Request) -> Option<bool> {
        let Loan { slot, id, .. } = self.loan;
        desk.sorting.forget();
        desk.sorting.mine = Some(id);
        slot.front().take_body(id);
        let mut roll = self.spool.lend_roll();
        let received = self.receive_into(&mut roll, desk, request);
        let (received, failed) = match received {
            Err(Stop::NoRoom(error)) => (None, Some(error)),
            Err(Stop::Paused) => (None, None),
            Ok(drained) => (Some(drained), None),
        };
        self.spool.take_back(roll, failed);
        if let Some(end) = desk.sorting.end {
            self.spool.end(end);
        }
        received
    }

    fn receive_into(
        &self,
        roll: &mut Roll,
        desk: &mut Desk,
        request: &Request,
    ) -> Result<bool, Stop> {
        let Loan { shared, line, slot, token, .. } = self.loan;
        loop {
            line.progress();
            let room = roll.room().map_err(Stop::NoRoom)?;
            let (run, short) = (Run::Others, Short::MayHideEnd);
            let (intake, _) = desk.sorting.take_in(room, shared, token, run, short);
            let came = desk.sorting.pieces.iter().map(Range::len).sum();
            if self.spool.admit(came, shared.settings.max_body) {
                roll.keep(desk.sorting.pieces.drain(..));
            }
            desk.sorting.pieces.clear();
            desk.hand_on(shared, token);
            if intake == Intake::Ended || !self.is_wanted(request) {
                return Ok(intake != Intake::More);
            }
            if intake == Intake::Drained {
                self.loan.hush();
                if !slot.socket.wait(Readiness::Read, Some(PAUSE)).unwrap_or(false) {
                    return Err(Stop::Paused);
                }
            }
        }
    }
}

/// Why no more of a body is received ahead.
enum Stop {
    Paused,
    NoRoom(io::Error),
}
