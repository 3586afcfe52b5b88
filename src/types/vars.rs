//! The string variables of an environ: spans over one byte buffer.

mod index;

use super::{key::Key, native::to_native};
pub use index::{Split, Unindexed};
use std::{borrow::Cow, fmt, ops::Range};

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

    /// How much memory they have, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let Self { bytes, entries, again, .. } = self;
        bytes.capacity()
            + size_of::<Entry>() * entries.capacity()
            + size_of::<(u32, Span)>() * again.capacity()
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
