//! A thread's seat: what it has counted, and which request it is at.
//!
//! The text of a request is longer than a word, so there is a sequence number before it: who reads while
//! it changes reads again.

use super::add;
use crate::gateway::status::{Busy, Histogram, Totals};
use std::{
    hint::spin_loop,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    time::Duration,
};

/// Odd while what follows, up to the counters, is being changed.
const SEQUENCE: usize = 0;
/// When the request began that runs, in microseconds of the monotonic clock; 0: none.
const SINCE: usize = 1;
const TEXT_LEN: usize = 2;
const TEXT: usize = 3;
const TEXT_WORDS: usize = 32;
const RECEIVED: usize = TEXT + TEXT_WORDS;
const SENT: usize = RECEIVED + 1;
/// Two histograms: buckets, then their sum in microseconds.
const APP: usize = SENT + 1;
const HISTOGRAM: usize = Histogram::BUCKETS + 1;
const QUEUE: usize = APP + HISTOGRAM;
/// By status, from 100 on; the last is for what is none of these.
const CODES: usize = QUEUE + HISTOGRAM;
/// Words of a seat: a whole number of pairs of cache lines.
pub(super) const LEN: usize = (CODES + Totals::CODES).next_multiple_of(16);

/// Bytes of a request's text that there is room for.
const MOST_TEXT: usize = TEXT_WORDS * 8;

/// One thread's counters. Nobody else writes them.
#[derive(Clone, Copy)]
pub(crate) struct Seat<'b>(pub(super) &'b [AtomicU64]);

/// What a request came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    /// 0: none was sent.
    pub(crate) status: u16,
    /// Bytes of bodies.
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// In the application, and before that in the queue.
    pub(crate) app: Duration,
    pub(crate) queue: Duration,
}

impl Seat<'_> {
    /// A request runs from now on; `text` says which, as far as there is room.
    pub(crate) fn begin<'t>(&self, now: u64, text: impl IntoIterator<Item = &'t [u8]>) {
        let sequence = self.0[SEQUENCE].load(Relaxed);
        self.0[SEQUENCE].store(sequence | 1, Relaxed);
        fence(Release);
        let (mut word, mut len) = (0, 0);
        for byte in text.into_iter().flatten().take(MOST_TEXT) {
            word |= u64::from(*byte) << (len % 8 * 8);
            len += 1;
            if len % 8 == 0 {
                self.0[TEXT + len / 8 - 1].store(word, Relaxed);
                word = 0;
            }
        }
        if len % 8 != 0 {
            self.0[TEXT + len / 8].store(word, Relaxed);
        }
        self.0[TEXT_LEN].store(len as u64, Relaxed);
        self.0[SINCE].store(now.max(1), Relaxed);
        self.0[SEQUENCE].store((sequence | 1) + 1, Release);
    }

    /// It has ended.
    pub(crate) fn end(&self, visit: &Visit) {
        self.rest();
        self.count(visit);
        add(&self.0[RECEIVED], visit.received);
        for (at, time) in [(APP, visit.app), (QUEUE, visit.queue)] {
            add(&self.0[at + Histogram::bucket(time)], 1);
            add(&self.0[at + Histogram::BUCKETS], time.as_micros() as u64);
        }
    }

    /// Nothing runs.
    pub(crate) fn rest(&self) {
        self.0[SINCE].store(0, Relaxed);
    }

    /// A request was refused without running.
    pub(crate) fn count(&self, visit: &Visit) {
        let code = usize::from(visit.status).wrapping_sub(100).min(Totals::CODES - 1);
        add(&self.0[CODES + code], 1);
        add(&self.0[SENT], visit.sent);
    }

    /// Adds what was counted here.
    pub(super) fn add_to(&self, totals: &mut Totals) {
        let number = |at: usize| self.0[at].load(Relaxed);
        for (at, count) in totals.codes.iter_mut().enumerate() {
            *count = count.wrapping_add(number(CODES + at));
        }
        totals.received = totals.received.wrapping_add(number(RECEIVED));
        totals.sent = totals.sent.wrapping_add(number(SENT));
        for (histogram, from) in [(&mut totals.app, APP), (&mut totals.queue, QUEUE)] {
            for (at, count) in histogram.buckets.iter_mut().enumerate() {
                *count = count.wrapping_add(number(from + at));
            }
            histogram.micros = histogram.micros.wrapping_add(number(from + Histogram::BUCKETS));
        }
    }

    /// Which request runs, if one does.
    pub(super) fn busy(&self, now: u64) -> Option<Busy> {
        let mut text = Vec::new();
        // Whoever writes is done in a moment; who died meanwhile never is.
        for _ in 0..8 {
            let sequence = self.0[SEQUENCE].load(Acquire);
            let since = self.0[SINCE].load(Relaxed);
            if since == 0 {
                return None;
            }
            let len = usize::try_from(self.0[TEXT_LEN].load(Relaxed)).unwrap_or(MOST_TEXT);
            let len = len.min(MOST_TEXT);
            text.clear();
            let words = &self.0[TEXT..TEXT + TEXT_WORDS];
            text.extend(words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).take(len));
            fence(Acquire);
            if sequence.is_multiple_of(2) && self.0[SEQUENCE].load(Relaxed) == sequence {
                let age = Duration::from_micros(now.saturating_sub(since));
                return Some(Busy { age, text, is_cut: len == MOST_TEXT });
            }
            spin_loop();
        }
        None
    }
}
