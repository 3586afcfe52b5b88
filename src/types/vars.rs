//! The string variables of an environ: spans over one byte buffer.

use super::{key::Key, native::to_native};
use std::{borrow::Cow, fmt, mem::take, ops::Range};

/// Where a name or a value lies in the buffer. A buffer of 4 GiB is refused long before.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Of a range below [`Vars::MAX_BYTES`].
    fn of(range: &Range<usize>) -> Self {
        Self { start: range.start as u32, len: (range.end - range.start) as u32 }
    }
}

/// CGI variables (RFC 3875 section 4.1), in the order they came.
///
/// Values are bytes: PEP 3333's "bytes in unicode" strings before anyone made them unicode.
/// [`Vars::native`] is the Latin-1 view of them. A name occurs once.
///
/// ```
/// use cgigate::types::Vars;
///
/// let mut vars = Vars::default();
/// vars.set("PATH_INFO", b"/caf\xe9");
/// assert_eq!(vars.get("PATH_INFO"), Some(&b"/caf\xe9"[..]));
/// assert_eq!(vars.native("PATH_INFO").unwrap(), "/caf\u{e9}");
/// ```
#[derive(Clone)]
pub struct Vars {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// How many of them can be found by their names: all, but between `index` and `settle`.
    settled: usize,
    /// A hash table over `entries`: for each bucket the entry that came last, counted from one, and
    /// 0 for none. The usual request's thirty names have a bucket each.
    buckets: [u32; BUCKETS],
    /// Values whose name was there, with the place of its entry, while `settle` is at them.
    again: Vec<(u32, Span)>,
    /// Which second letters names had, a bit for each: see `may_begin_with`.
    second_letters: u64,
}

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

/// One for each value of a byte.
const BUCKETS: usize = 1 << 8;

/// One variable.
#[derive(Clone, Copy)]
struct Entry {
    name: Span,
    value: Span,
    /// The entry of the same bucket that came before, as in `buckets`.
    before: u32,
}

impl Entry {
    /// Not yet found by its name. Of ranges below [`Vars::MAX_BYTES`].
    fn new(name: &Range<usize>, value: &Range<usize>) -> Self {
        Self { name: Span::of(name), value: Span::of(value), before: 0 }
    }
}

impl Default for Vars {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            settled: 0,
            buckets: [0; BUCKETS],
            again: Vec::new(),
            second_letters: 0,
        }
    }
}

impl Vars {
    /// The most bytes that names and values may take together.
    ///
    /// ```
    /// use cgigate::{Vars, gateway::Settings};
    ///
    /// let asked_for = usize::MAX; // by somebody who wants no limit
    /// let max_params = asked_for.min(Vars::MAX_BYTES);
    /// let settings = Settings { max_params, ..Settings::default() };
    /// ```
    pub const MAX_BYTES: usize = 1 << 30;

    /// Forgets everything but the memory it was kept in.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars: Vars = [("HTTP_COOKIE", "a secret")].into_iter().collect();
    /// vars.clear(); // for the next request
    /// assert!(vars.get("HTTP_COOKIE").is_none());
    /// ```
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.forget_places();
        self.second_letters = 0;
    }

    /// Gives back memory beyond `bytes`, after a request that was larger than most.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars: Vars = [("HTTP_COOKIE", "x".repeat(1 << 20))].into_iter().collect();
    /// vars.clear();
    /// vars.shrink_to(64 << 10); // the mebibyte is free again
    /// ```
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.entries.shrink_to(bytes / 16);
        self.again.shrink_to(bytes / 16);
    }

    /// Makes room for so many more variables, whose names and values are so many bytes together.
    pub(crate) fn reserve(&mut self, count: usize, bytes: usize) {
        self.bytes.reserve(bytes);
        self.entries.reserve(count);
    }

    /// The value of `name`, if it is there: an empty value is there.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let vars: Vars = [("PATH_INFO", "/a"), ("QUERY_STRING", "")].into_iter().collect();
    /// assert_eq!(vars.get("PATH_INFO"), Some(&b"/a"[..]));
    /// assert_eq!((vars.get("QUERY_STRING"), vars.get("REMOTE_USER")), (Some(&b""[..]), None));
    /// ```
    // Inlined up to the search: the key of a name that is written out is known then.
    #[inline]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.position(name.as_ref()).map(|at| self.slice(self.entries[at].value))
    }

    /// The value of `name`, unless it is absent or empty: what RFC 3875 means by "not set".
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let vars: Vars = [("QUERY_STRING", ""), ("REMOTE_USER", "ann")].into_iter().collect();
    /// assert_eq!((vars.filled("QUERY_STRING"), vars.filled("REMOTE_USER")), (None, Some(&b"ann"[..])));
    /// ```
    pub fn filled(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of `name` as PEP 3333's native string.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let vars: Vars = [("PATH_INFO", &b"/caf\xe9"[..])].into_iter().collect();
    /// assert_eq!(vars.native("PATH_INFO").as_deref(), Some("/caf\u{e9}"));
    /// ```
    pub fn native(&self, name: impl AsRef<[u8]>) -> Option<Cow<'_, str>> {
        self.get(name).map(to_native)
    }

    /// Whether `name` is there.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let vars: Vars = [("QUERY_STRING", "")].into_iter().collect();
    /// assert!(vars.contains("QUERY_STRING") && !vars.contains("REMOTE_USER"));
    /// ```
    #[inline]
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.position(name.as_ref()).is_some()
    }

    /// Sets `name`, in its old place if it was there.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars = Vars::default();
    /// vars.set("SCRIPT_NAME", "/app");
    /// vars.set("SCRIPT_NAME", "/site");
    /// vars.set_default("SCRIPT_NAME", "");
    /// assert_eq!((vars.get("SCRIPT_NAME"), vars.len()), (Some(&b"/site"[..]), 1));
    /// ```
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let value = self.push(value.as_ref());
        self.put(name.as_ref(), value);
    }

    /// Where in [`appended`](Self::appended) the value of `name` lies: there it stays.
    pub(crate) fn lies(&self, name: &str) -> Option<Range<usize>> {
        self.position(name.as_bytes()).map(|at| range(self.entries[at].value))
    }

    /// Sets `name` to what lies there in [`appended`](Self::appended), and copies nothing.
    ///
    /// # Panics
    /// When nothing does.
    pub(crate) fn set_lying(&mut self, name: &str, value: Range<usize>) {
        assert!(value.start <= value.end && value.end <= self.bytes.len());
        self.put(name.as_bytes(), Span::of(&value));
    }

    /// Moves the first `n` bytes of the value of `from` to the end of that of `to`. A value that is
    /// not there is empty. Where the two lie side by side nothing is copied.
    ///
    /// # Panics
    /// When there are fewer bytes.
    pub(crate) fn shift(&mut self, from: &str, n: usize, to: &str) {
        let (to_at, from_at) = (self.position(to.as_bytes()), self.position(from.as_bytes()));
        let value = |at: Option<usize>| match at {
            Some(at) => self.entries[at].value,
            None => Span { start: 0, len: 0 },
        };
        let (left, right) = (value(to_at), value(from_at));
        assert!(n <= right.len as usize);
        let moved = n as u32; // As above.
        let joint = if left.start + left.len == right.start {
            Span { start: left.start, len: left.len + moved }
        } else {
            let start = self.bytes.len();
            self.bytes.extend_from_within(range(left));
            self.bytes.extend_from_within(range(Span { len: moved, ..right }));
            span(&(start..self.bytes.len()))
        };
        let rest = Span { start: right.start + moved, len: right.len - moved };
        self.put_at(to_at, to.as_bytes(), joint);
        self.put_at(from_at, from.as_bytes(), rest);
    }

    fn put(&mut self, name: &[u8], value: Span) {
        self.put_at(self.position(name), name, value);
    }

    /// `at`: the place of `name`, which may have none.
    #[inline]
    fn put_at(&mut self, at: Option<usize>, name: &[u8], value: Span) {
        match at {
            Some(at) => self.entries[at].value = value,
            None => self.put_new(name, value),
        }
    }

    fn put_new(&mut self, name: &[u8], value: Span) {
        let name = self.push(name);
        self.entries.push(Entry { name, value, before: 0 });
        self.learn_places();
    }

    /// Sets `name` unless it is there.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars: Vars = [("SERVER_PORT", "8080")].into_iter().collect();
    /// vars.set_default("SERVER_PORT", "80");
    /// vars.set_default("SERVER_NAME", "localhost");
    /// assert_eq!(vars.get("SERVER_PORT"), Some(&b"8080"[..]));
    /// assert_eq!(vars.get("SERVER_NAME"), Some(&b"localhost"[..]));
    /// ```
    pub fn set_default(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        if !self.contains(name.as_ref()) {
            self.set(name, value);
        }
    }

    /// Takes `name` out; whether it was there.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars: Vars = [("HTTP_PROXY", "evil:80")].into_iter().collect();
    /// assert!(vars.remove("HTTP_PROXY") && vars.is_empty());
    /// assert!(!vars.remove("HTTP_PROXY"));
    /// ```
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let Some(at) = self.position(name.as_ref()) else { return false };
        self.entries.remove(at);
        self.forget_places();
        self.learn_places();
        true
    }

    /// Keeps the variables for which `keep(name, value)` says so.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars: Vars = [("HTTP_HOST", "a"), ("PATH_INFO", "/")].into_iter().collect();
    /// vars.retain(|name, _value| name.starts_with(b"HTTP_"));
    /// assert!(vars.names().eq([b"HTTP_HOST"]));
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.entries.retain(|entry| keep(cut(bytes, entry.name), cut(bytes, entry.value)));
        self.forget_places();
        self.learn_places();
    }

    /// Names and values, in the order they came.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let vars: Vars = [("PATH_INFO", "/"), ("HTTP_HOST", "a")].into_iter().collect();
    /// assert!(vars.iter().eq([(&b"PATH_INFO"[..], &b"/"[..]), (b"HTTP_HOST", b"a")]));
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + '_ {
        self.entries.iter().map(|at| (self.slice(at.name), self.slice(at.value)))
    }

    /// The names alone, in the order they came.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let pairs = [("HTTP_HOST", "a"), ("PATH_INFO", "/"), ("HTTP_ACCEPT", "*/*")];
    /// let vars: Vars = pairs.into_iter().collect();
    /// assert_eq!(vars.names().filter(|name| name.starts_with(b"HTTP_")).count(), 2);
    /// ```
    pub fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        self.entries.iter().map(|entry| self.slice(entry.name))
    }

    /// How many there are.
    ///
    /// ```
    /// use cgigate::Vars;
    ///
    /// let mut vars: Vars = [("PATH_INFO", "/"), ("QUERY_STRING", "")].into_iter().collect();
    /// vars.remove("QUERY_STRING");
    /// assert_eq!(vars.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(cgigate::Vars::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

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
    fn learn_places(&mut self) -> bool {
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

    #[inline]
    fn position(&self, name: &[u8]) -> Option<usize> {
        self.position_by(Key::of(name), name)
    }

    fn position_by(&self, key: Key, name: &[u8]) -> Option<usize> {
        find(&self.bytes, &self.entries, self.buckets[key.bucket()], key, name)
    }

    /// Whether a name may begin with `prefix`, of two letters or more. For prefixes that hardly a
    /// name has: no means no, and yes that it is worth looking at each.
    pub(crate) fn may_begin_with(&self, prefix: &str) -> bool {
        self.second_letters & Key::of(prefix.as_bytes()).second_letter() != 0
    }

    /// No entry can be found any more.
    fn forget_places(&mut self) {
        self.buckets.fill(0);
        self.settled = 0;
    }

    fn slice(&self, span: Span) -> &[u8] {
        cut(&self.bytes, span)
    }

    fn push(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        span(&(start..self.bytes.len()))
    }
}

fn cut(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[range(span)]
}

fn range(span: Span) -> Range<usize> {
    let start = span.start as usize;
    start..start + span.len as usize
}

fn span(range: &Range<usize>) -> Span {
    assert!(range.end <= Vars::MAX_BYTES, "variables of over a gibibyte");
    Span::of(range)
}

/// The place of the entry of `name` among those of its bucket, of which `last` came last.
#[inline]
fn find(bytes: &[u8], entries: &[Entry], last: u32, key: Key, name: &[u8]) -> Option<usize> {
    let mut at = last;
    // Ends: each leads to one that came before it.
    while let Some(entry) = entries.get((at as usize).wrapping_sub(1)) {
        let other = cut(bytes, entry.name);
        let may_be = other.len() == name.len() && Key::of(other) == key;
        if may_be && (name.len() <= Key::TELLS || other == name) {
            return Some(at as usize - 1);
        }
        at = entry.before;
    }
    None
}

/// Whether `name` is among the entries of its bucket, up to `last`.
#[cold]
fn has(bytes: &[u8], entries: &[Entry], last: u32, key: Key, name: &[u8]) -> bool {
    find(bytes, entries, last, key, name).is_some()
}

impl fmt::Debug for Vars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(n, v)| (to_native(n), to_native(v)))).finish()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut vars = Self::default();
        for (name, value) in pairs {
            vars.set(name, value);
        }
        vars
    }
}

#[cfg(test)]
#[path = "vars_tests.rs"]
mod tests;
