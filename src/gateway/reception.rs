//! One read of a connection: what came lies in one piece.

use super::slot::Slot;
use crate::fcgi::{Aside, Series};
use std::{
    io::{self, IoSliceMut},
    sync::atomic::Ordering,
};

/// What one read brought.
pub(super) struct Reception {
    /// How many bytes are to be understood, those that stood over among them.
    pub(super) len: usize,
    /// What has to be known for that: headers that were as expected are left out.
    pub(super) series: Option<Series>,
    /// The peer sends nothing more.
    pub(super) is_end: bool,
    /// There was no room for more.
    pub(super) is_full: bool,
}

/// Receives once into `input`, behind what stood over.
pub(super) fn receive(slot: &Slot, input: &mut [u8]) -> io::Result<Reception> {
    let (stood_over, series) = match slot.goes_on.load(Ordering::Relaxed) {
        true => {
            let front = slot.front();
            (front.tail(input), front.series())
        }
        false => (0, None),
    };
    match series {
        Some(series) => receive_series(slot, input, series),
        None => {
            let room = &mut input[stood_over..];
            let (most, came) = (room.len(), slot.socket.recv(room)?);
            Ok(Reception::new(came, most, stood_over + came, None))
        }
    }
}

fn receive_series(slot: &Slot, input: &mut [u8], mut series: Series) -> io::Result<Reception> {
    let mut aside = Aside::default();
    let slices = series.slices(input, &mut aside);
    let most = slices.iter().map(|slice| slice.len()).sum();
    let came = slot.socket.recv_vectored(&mut slices.map(IoSliceMut::new))?;
    let len = series.join(input, &aside, came);
    Ok(Reception::new(came, most, len, Some(series)))
}

impl Reception {
    fn new(came: usize, most: usize, len: usize, series: Option<Series>) -> Self {
        Self { len, series, is_end: came == 0, is_full: came == most }
    }
}
