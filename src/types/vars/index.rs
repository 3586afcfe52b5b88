//! How pairs become variables that were appended as they came from the wire.

use super::{Entry, Key, Span, Vars, cut, has, range, span};
use std::{mem::take, ops::Range};

/// Where a name and its value lie.
type Pair = (Range<usize>, Range<usize>);

/// The first pair of a stream: a name, the value right behind it, and what follows.
///
/// ```
/// use cgigate::{fcgi::usual_pair, types::Split};
///
/// let first: Option<Split<'_>> = usual_pair(b"\x01\x02Ahi\x01\x01Bc");
/// let (name, value, rest) = first.expect("there is one");
/// assert_eq!((name, value, rest), (&b"A"[..], &b"hi"[..], &b"\x01\x01Bc"[..]));
/// ```
pub type Split<'p> = (&'p [u8], &'p [u8], &'p [u8]);

/// Why pairs did not become variables.
///
/// ```
/// use cgigate::{fcgi, types::{Unindexed, Vars}};
///
/// let index = |stream: &[u8]| {
///     let mut vars = Vars::default();
///     vars.append(stream);
///     vars.index_few(1, fcgi::usual_pair, fcgi::pair_at)
/// };
/// assert_eq!(index(b"\x01\x01Ab\x01\x01Bc"), Err(Unindexed::TooMany)); // a 431
/// assert_eq!(index(b"\x01\x05Ab"), Err(Unindexed::Pair(fcgi::PairError { at: 0 })));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unindexed<E> {
    /// There are more than there may be.
    #[error("there are more variables than there may be")]
    TooMany,
    /// One of them cannot be read.
    #[error(transparent)]
    Pair(E),
}

impl Vars {
    /// Takes a piece of a stream of pairs as it came from the wire; [`index_by`](Self::index_by)
    /// finds later where in [`appended`](Self::appended) the names and values lie.
    ///
    /// ```
    /// use cgigate::{Vars, uwsgi};
    ///
    /// let mut vars = Vars::default();
    /// vars.append(b"\x04\0NA"); // as it comes in
    /// vars.append(b"ME\x05\0value");
    /// let pairs: Vec<_> = uwsgi::pairs(vars.appended()).collect::<Result<_, _>>()?;
    /// for (name, value) in pairs {
    ///     vars.index(name, value);
    /// }
    /// vars.settle();
    /// assert_eq!(vars.get("NAME"), Some(&b"value"[..]));
    /// # Ok::<_, uwsgi::HeadError>(())
    /// ```
    pub fn append(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// All that was appended.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars = Vars::default();
    /// vars.append(b"PATH_");
    /// vars.append(b"INFO");
    /// assert_eq!(vars.appended(), b"PATH_INFO");
    /// ```
    pub fn appended(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the variables of a request of all that was appended. `pair_at` says where the name and
    /// the value of the pair lie that begins at a place, where the one before it ended.
    ///
    /// Of `HTTP_*` that came twice the values are joined (RFC 9110 section 5.3; cookies by RFC 6265
    /// section 5.4), of other names the last holds, and `HTTP_PROXY` is dropped, which programs
    /// take for a configured proxy. Two different CONTENT_LENGTH become one that is no number, and
    /// so an error of the request.
    ///
    /// ```
    /// use cgigate::{fcgi, types::Vars};
    ///
    /// let mut vars = Vars::default();
    /// vars.append(b"\x06\x03HTTP_A");
    /// vars.append(b"one\x06\x03HTTP_Atwo");
    /// vars.index_by(fcgi::pair_at)?;
    /// assert_eq!(vars.get("HTTP_A"), Some(&b"one, two"[..]));
    /// # Ok::<_, fcgi::PairError>(())
    /// ```
    ///
    /// # Errors
    /// That of `pair_at`. What the variables are then is of no use.
    ///
    /// # Panics
    /// When `pair_at` names a place outside of what was appended.
    pub fn index_by<E>(
        &mut self,
        pair_at: impl Fn(&[u8], usize) -> Option<Result<Pair, E>>,
    ) -> Result<(), E> {
        match self.index_few(usize::MAX, |_: &[u8]| None, pair_at) {
            Ok(()) | Err(Unindexed::TooMany) => Ok(()),
            Err(Unindexed::Pair(error)) => Err(error),
        }
    }

    /// The same of so many pairs at the most, and faster: `usual` knows the usual pair at the front of
    /// a stream, and nothing of errors.
    ///
    /// ```
    /// use cgigate::{fcgi, types::{Unindexed, Vars}};
    ///
    /// let mut vars = Vars::default();
    /// vars.append(b"\x06\x03HTTP_Aone\x06\x03HTTP_Btwo");
    /// vars.index_few(2, fcgi::usual_pair, fcgi::pair_at)?;
    /// assert_eq!(vars.get("HTTP_B"), Some(&b"two"[..]));
    /// # Ok::<_, Unindexed<fcgi::PairError>>(())
    /// ```
    ///
    /// # Errors
    /// There are more, or that of `pair_at`. What the variables are then is of no use.
    #[inline]
    pub fn index_few<E>(
        &mut self,
        most: usize,
        usual: impl Fn(&[u8]) -> Option<Split<'_>>,
        pair_at: impl Fn(&[u8], usize) -> Option<Result<Pair, E>>,
    ) -> Result<(), Unindexed<E>> {
        assert!(self.bytes.len() <= Self::MAX_BYTES, "variables of over a gibibyte");
        let (mut at, mut repeated) = (0, false);
        loop {
            at = self.learn_usual(at, &usual);
            let found = pair_at(&self.bytes, at);
            if self.entries.len() > most {
                return Err(Unindexed::TooMany);
            }
            let Some(found) = found else { break };
            let (name, value) = found.map_err(Unindexed::Pair)?;
            at = value.end;
            self.entries.push(Entry::new(&name, &value));
            repeated |= self.learn_places();
        }
        if repeated || self.contains("HTTP_PROXY") {
            self.settle_repeated();
        }
        Ok(())
    }

    /// Notes pairs from there on and makes them known by their names, as long as they are usual
    /// ones, there is room, and no other name has their bucket; where the next one begins.
    // A quarter of what a request costs: nothing is called in here, so all registers are its own.
    #[inline]
    fn learn_usual(&mut self, from: usize, usual: impl Fn(&[u8]) -> Option<Split<'_>>) -> usize {
        // Apart from each other, for the compiler to see that they are.
        let (bytes, mut entries) = (take(&mut self.bytes), take(&mut self.entries));
        let (buckets, mut letters) = (&mut self.buckets, self.second_letters);
        let mut rest = bytes.get(from..).unwrap_or_default();
        while let Some((name, value, behind)) = usual(rest)
            && let Some(key) = Key::of_usual(name)
            && entries.len() < entries.capacity()
            && let last @ 0 = &mut buckets[key.bucket()]
        {
            let value_end = bytes.len() - behind.len();
            let value = value_end - value.len()..value_end;
            entries.push(Entry::new(&(value.start - name.len()..value.start), &value));
            letters |= key.second_letter();
            // Entries are of 16 bytes and more: their places are of 32 bits.
            *last = entries.len() as u32;
            rest = behind;
        }
        let end = bytes.len() - rest.len();
        (self.second_letters, self.settled) = (letters, entries.len());
        (self.bytes, self.entries) = (bytes, entries);
        end
    }

    /// A pair whose bytes were appended already: a step of [`index_by`](Self::index_by), for who
    /// has no wire, and calls [`settle`](Self::settle) in the end. It is not found before.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// // `NAME=value` lines, as env(1) prints them.
    /// let mut vars = Vars::default();
    /// for line in ["HTTP_COOKIE=a=1", "HTTP_COOKIE=b=2"] {
    ///     let start = vars.appended().len();
    ///     vars.append(line.as_bytes());
    ///     let equals = start + line.find('=').expect("each has one");
    ///     vars.index(start..equals, equals + 1..start + line.len());
    /// }
    /// vars.settle();
    /// assert_eq!(vars.get("HTTP_COOKIE"), Some(&b"a=1; b=2"[..]));
    /// ```
    ///
    /// # Panics
    /// When a range lies outside of what was appended.
    pub fn index(&mut self, name: Range<usize>, value: Range<usize>) {
        assert!(self.bytes.len() <= Self::MAX_BYTES, "variables of over a gibibyte");
        assert!(self.bytes.get(name.clone()).is_some() && self.bytes.get(value.clone()).is_some());
        self.entries.push(Entry::new(&name, &value));
    }

    /// Makes what was noted known by its name, and joins or replaces values of names that came more
    /// than once.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars = Vars::default();
    /// vars.append(b"HTTP_PROXYevil:80");
    /// vars.index(0..10, 10..17);
    /// assert_eq!(vars.len(), 1); // so far it is only noted
    /// vars.settle();
    /// assert!(vars.is_empty());
    /// ```
    pub fn settle(&mut self) {
        if self.learn_places() || self.contains("HTTP_PROXY") {
            self.settle_repeated();
        }
    }

    /// Makes entries known by their names; whether any has the name of another.
    pub(super) fn learn_places(&mut self) -> bool {
        let Self { bytes, entries, buckets, second_letters, .. } = self;
        let (mut letters, mut repeated) = (*second_letters, false);
        for place in self.settled..entries.len() {
            let name = cut(bytes, entries[place].name);
            let key = Key::of(name);
            letters |= key.second_letter();
            let last = &mut buckets[key.bucket()];
            // Entries are of 16 bytes and more: their places are of 32 bits.
            let before = std::mem::replace(last, place as u32 + 1);
            entries[place].before = before;
            if before != 0 {
                repeated |= has(bytes, entries, before, key, name);
            }
        }
        *second_letters = letters;
        self.settled = self.entries.len();
        repeated
    }

    #[cold]
    fn settle_repeated(&mut self) {
        self.forget_places();
        let mut again = take(&mut self.again);
        for place in 0..self.entries.len() {
            let entry = self.entries[place];
            let name = cut(&self.bytes, entry.name);
            if name == b"HTTP_PROXY" {
                continue;
            }
            match self.position(name) {
                // As above.
                Some(at) => again.push((at as u32, entry.value)),
                None => {
                    let last = &mut self.buckets[Key::of(name).bucket()];
                    self.entries[self.settled] = Entry { before: *last, ..entry };
                    self.settled += 1;
                    *last = self.settled as u32; // As above.
                }
            }
        }
        self.entries.truncate(self.settled);
        // By name; of one name in the order they came.
        again.sort_by_key(|&(at, _)| at);
        for same in again.chunk_by(|(a, _), (b, _)| a == b) {
            self.merge(same);
        }
        again.clear();
        self.again = again;
    }

    /// The values of one name that came again. Each is copied once, however many there are.
    fn merge(&mut self, again: &[(u32, Span)]) {
        let (Some(&(at, _)), Some(&(_, last))) = (again.first(), again.last()) else { return };
        let Entry { name, value: first, .. } = self.entries[at as usize];
        let differs = |&(_, value): &(u32, Span)| self.slice(value) != self.slice(first);
        let joint: &[u8] = match self.slice(name) {
            b"HTTP_COOKIE" => b"; ",
            b"CONTENT_LENGTH" if again.iter().any(differs) => b", ",
            name if name.starts_with(b"HTTP_") => b", ",
            _ => {
                self.entries[at as usize].value = last;
                return;
            }
        };
        let start = self.bytes.len();
        self.bytes.extend_from_within(range(first));
        for &(_, value) in again {
            self.bytes.extend_from_slice(joint);
            self.bytes.extend_from_within(range(value));
        }
        self.entries[at as usize].value = span(&(start..self.bytes.len()));
    }
}
