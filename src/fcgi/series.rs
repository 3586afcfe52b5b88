//! A long body as web servers send it: record after record, each with the same header. Their contents
//! are received side by side, where the body is wanted, and the headers aside.
//!
//! ```text
//! on the wire    ..content header content header content header cont..
//! in the room    ..contentcontentcontentcont..
//! aside          headerheaderheader
//! ```
//!
//! That is a guess, and what does not come up to it is put back as it was on the wire. Nothing is
//! received here, and nothing understood.

use super::{
    Connection,
    connection::{Decode, Open},
    phase::Phase,
    record::{HEADER_LEN, Header, RecordType, RequestId, header},
};

/// Records that begin in one read. nginx sends 32 KiB in each of them and Apache 8, and a Unix socket
/// holds about 200.
const RECORDS: usize = 32;

/// Where their headers are received.
pub(crate) type Aside = [[u8; HEADER_LEN]; RECORDS];

/// How a body is expected to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    id: RequestId,
    /// How much content of the record under way is still to come.
    left: usize,
    /// How much the next ones have, each.
    content_len: u16,
}

impl Connection {
    /// How the body that is coming in goes on, if its last two records were alike.
    pub(crate) fn series(&self) -> Option<Series> {
        let Header { kind, id, content_len, padding_len, .. } = self.rhythm.steady()?;
        let left = match self.decode {
            Decode::Header => 0,
            Decode::Content { left, .. } => left as usize,
            Decode::Skip { .. } => return None,
        };
        if kind != RecordType::Stdin as u8 || padding_len != 0 {
            return None;
        }
        let comes_in = |open: &&Open| open.id.0.get() == id && open.phase == Phase::Stdin;
        let Open { id, .. } = *self.open.iter().find(comes_in)?;
        Some(Series { id, left, content_len })
    }

    /// What comes next was received as `series` has it: it has content where headers were.
    pub(crate) fn go_on(&mut self, series: &Series) {
        if series.left > 0 {
            // At most a record more than begin in one read: that fits.
            let (kind, id, left) = (RecordType::Stdin, series.id, series.left as u32);
            self.decode = Decode::Content { kind, id, left, padding_len: 0 };
        }
    }
}

impl Series {
    /// Whether so many records are as much as comes in one read. Shorter ones are received as they are.
    pub(crate) fn is_of_long_records(&self) -> bool {
        self.content_len() * RECORDS >= 192 << 10
    }

    /// Where to receive, in this order, if the room is longer than all headers; together they are no
    /// longer than it is. The last ones may be empty.
    pub(crate) fn slices<'r>(
        &self,
        room: &'r mut [u8],
        aside: &'r mut Aside,
    ) -> [&'r mut [u8]; 2 * RECORDS + 1] {
        // It may be that all of it has to go into the room.
        let most = room.len().saturating_sub(size_of::<Aside>());
        let (mut contents, mut headers) = (&mut room[..most], aside.iter_mut());
        let mut wanted = self.left;
        std::array::from_fn(|at| {
            if at % 2 == 0 {
                let len = std::mem::replace(&mut wanted, self.content_len()).min(contents.len());
                let (now, later) = std::mem::take(&mut contents).split_at_mut(len);
                contents = later;
                return now;
            }
            match headers.next() {
                Some(header) if !contents.is_empty() => header,
                _ => &mut [],
            }
        })
    }

    /// So many bytes were received there: how many of them lie in the room now. The headers that are
    /// as expected are not among them, and what follows each is of the record under way.
    pub(crate) fn join(&mut self, room: &mut [u8], aside: &Aside, came: usize) -> usize {
        let expected = header(RecordType::Stdin, self.id.0.get(), self.content_len);
        let (mut end, mut headers) = (came.min(self.left), &aside[..]);
        let mut rest = came - end;
        while let [first, others @ ..] = headers
            && rest >= HEADER_LEN
            && *first == expected
        {
            let content = (rest - HEADER_LEN).min(self.content_len());
            rest -= HEADER_LEN + content;
            end += content;
            self.left += self.content_len();
            headers = others;
        }
        self.restore(&mut room[end..], headers, rest);
        end + rest
    }

    /// Puts so many bytes, which begin with a header, as they were on the wire.
    fn restore(&self, room: &mut [u8], headers: &[[u8; HEADER_LEN]], len: usize) {
        let record = HEADER_LEN + self.content_len();
        // The last one first: each goes where the one behind it lay.
        for (at, header) in headers.iter().enumerate().take(len.div_ceil(record)).rev() {
            let (from, to) = (at * self.content_len(), at * record);
            let header = &header[..HEADER_LEN.min(len - to)];
            let content = self.content_len().min(len - to - header.len());
            room.copy_within(from..from + content, to + header.len());
            room[to..to + header.len()].copy_from_slice(header);
        }
    }

    fn content_len(&self) -> usize {
        self.content_len.into()
    }
}

/// How alike the records of streams are.
#[derive(Debug)]
pub(super) struct Rhythm {
    /// The header of the last one.
    header: Option<Header>,
    /// The one before it had the same.
    is_steady: bool,
}

impl Rhythm {
    pub(super) const NONE: Self = Self { header: None, is_steady: false };

    pub(super) fn note(&mut self, header: Header) {
        self.is_steady = self.header.replace(header) == Some(header);
    }

    fn steady(&self) -> Option<Header> {
        self.header.filter(|_| self.is_steady)
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
