//! Reading ahead: a body goes to its spool, while its answer has to wait for the end of it.

use super::{
    desk::{Desk, Intake, Run, Short},
    loan::Loan,
    spool::Spool,
};
use crate::{sys::Readiness, types::Request};
use std::{io, sync::Arc, time::Duration};

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
                let drained = self.receive(desk.get_or_insert_with(Desk::new), request);
                self.loan.release(self.spool, matches!(drained, Ok(true)));
                if drained.is_err() {
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

    /// The reading half is ours. True: the socket is empty. `Err`: the peer paused.
    fn receive(&self, desk: &mut Desk, request: &Request) -> io::Result<bool> {
        let Loan { shared, line, slot, token, .. } = self.loan;
        desk.sorting.forget();
        loop {
            line.progress();
            let intake = desk.take_in(shared, token, Run::Others, Short::MayHideEnd);
            desk.hand_on(shared, token);
            if intake == Intake::Ended || !self.is_wanted(request) {
                return Ok(intake != Intake::More);
            }
            if intake == Intake::Drained {
                self.loan.hush();
                if !slot.socket.wait(Readiness::Read, Some(PAUSE))? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}
