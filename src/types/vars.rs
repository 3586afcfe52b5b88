//! The string variables of an environ: spans over one byte buffer.

use super::native::to_native;
use std::{borrow::Cow, fmt, ops::Range};

/// Where a name or a value lies in the buffer. A buffer of 4 GiB is refused long before.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    len: u32,
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
#[derive(Clone, Default)]
pub struct Vars {
    bytes: Vec<u8>,
    index: Vec<(Span, Span)>,
    /// Memory of [`settle`](Self::settle), kept for the next request.
    order: Vec<u32>,
}

/// A name that is taken out: no variable begins so far behind.
const GONE: Span = Span { start: u32::MAX, len: 0 };

/// Variables of which each can be compared with each other one before sorting is cheaper.
const FEW: usize = 256;

impl Vars {
    /// The most bytes that names and values may take together.
    pub const MAX_BYTES: usize = 1 << 30;

    /// Forgets everything but the memory it was kept in.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.index.clear();
    }

    /// Gives back memory beyond `bytes`, after a request that was larger than most.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.shrink_to(bytes);
        self.index.shrink_to(bytes / 16);
        self.order.shrink_to(bytes / 16);
    }

    /// The value of `name`, if it is there: an empty value is there.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let at = self.position(name.as_ref())?;
        Some(self.slice(self.index[at].1))
    }

    /// The value of `name`, unless it is absent or empty: what RFC 3875 means by "not set".
    pub fn filled(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value of `name` as PEP 3333's native string.
    pub fn native(&self, name: impl AsRef<[u8]>) -> Option<Cow<'_, str>> {
        self.get(name).map(to_native)
    }

    /// Whether `name` is there.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.position(name.as_ref()).is_some()
    }

    /// Sets `name`, in its old place if it was there.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        let value = self.push(value);
        match self.position(name) {
            Some(at) => self.index[at].1 = value,
            None => {
                let name = self.push(name);
                self.index.push((name, value));
            }
        }
    }

    /// Sets `name` unless it is there.
    pub fn set_default(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        if !self.contains(name.as_ref()) {
            self.set(name, value);
        }
    }

    /// Takes `name` out; whether it was there.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let at = self.position(name.as_ref());
        at.map(|at| self.index.remove(at)).is_some()
    }

    /// Keeps the variables for which `keep(name, value)` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let bytes = &self.bytes;
        self.index.retain(|&(name, value)| keep(cut(bytes, name), cut(bytes, value)));
    }

    /// Names and values, in the order they came.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + '_ {
        self.index.iter().map(|&(name, value)| (self.slice(name), self.slice(value)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes a piece of a stream of pairs as it came from the wire; [`index`](Self::index) says
    /// later where in [`appended`](Self::appended) the names and values lie.
    pub fn append(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
    }

    /// All that was appended.
    pub fn appended(&self) -> &[u8] {
        &self.bytes
    }

    /// A pair whose bytes were appended already. Names may repeat until [`settle`](Self::settle).
    ///
    /// # Panics
    /// When a range lies outside of what was appended.
    pub fn index(&mut self, name: Range<usize>, value: Range<usize>) {
        assert!(name.end <= self.bytes.len() && value.end <= self.bytes.len());
        self.index.push((span(&name), span(&value)));
    }

    /// Makes a request's variables of what came on a wire: of `HTTP_*` that came twice the values
    /// are joined (RFC 9110 section 5.3; cookies by RFC 6265 section 5.4), of other names the last
    /// holds, and `HTTP_PROXY` is dropped, which programs take for a configured proxy.
    ///
    /// Two different CONTENT_LENGTH become one that is no number, and so an error of the request.
    pub fn settle(&mut self) {
        // One bit for each name seen, by a cheap hash: only where the bit is taken already can a
        // name be a repetition, and only then is it looked for.
        let mut seen = 0u64;
        let few = self.index.len() <= FEW;
        for at in 0..self.index.len() {
            let name = self.slice(self.index[at].0);
            let bit = 1u64 << (hash(name) & 63);
            let repeated = seen & bit != 0
                && (!few || self.index[..at].iter().any(|(n, _)| self.slice(*n) == name));
            if repeated || name == b"HTTP_PROXY" {
                return self.unite();
            }
            seen |= bit;
        }
    }

    /// Leaves one variable of each name: sorted, so that a peer that sends a name a thousand times
    /// costs no more than one that sends a thousand names.
    fn unite(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        // At most MAX_BYTES pairs of two bytes each, which fit.
        order.extend(0..self.index.len() as u32);
        order.sort_unstable_by(|&a, &b| {
            let name = |at: u32| self.slice(self.index[at as usize].0);
            name(a).cmp(name(b)).then(a.cmp(&b))
        });
        let mut rest = &order[..];
        while let Some(&first) = rest.first() {
            let name = self.index[first as usize].0;
            let same = |&&at: &&u32| self.slice(self.index[at as usize].0) == self.slice(name);
            let (group, others) = rest.split_at(rest.iter().take_while(same).count());
            rest = others;
            if self.slice(name) == b"HTTP_PROXY" {
                self.index[first as usize].0 = GONE;
            } else if group.len() > 1 {
                self.index[first as usize].1 = self.merge(name, group);
            }
            for &again in &group[1..] {
                self.index[again as usize].0 = GONE;
            }
        }
        self.index.retain(|(name, _)| name.start != GONE.start);
        self.order = order;
    }

    /// The value of `name`, which came at all the places in `group`.
    fn merge(&mut self, name: Span, group: &[u32]) -> Span {
        let value = |vars: &Self, at: u32| vars.index[at as usize].1;
        let last = value(self, group[group.len() - 1]);
        let differs = |&at: &u32| self.slice(value(self, at)) != self.slice(last);
        let joint: &[u8] = match self.slice(name) {
            b"HTTP_COOKIE" => b"; ",
            b"CONTENT_LENGTH" if group.iter().any(differs) => b", ",
            name if name.starts_with(b"HTTP_") => b", ",
            _ => return last,
        };
        let start = self.bytes.len();
        for (nth, &at) in group.iter().enumerate() {
            if nth > 0 {
                self.bytes.extend_from_slice(joint);
            }
            self.bytes.extend_from_within(range(value(self, at)));
        }
        span(&(start..self.bytes.len()))
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.index.iter().position(|(n, _)| n.len as usize == name.len() && self.slice(*n) == name)
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
    // Both fit: just checked against 2^30.
    Span { start: range.start as u32, len: (range.end - range.start) as u32 }
}

/// Length and two bytes tell the usual forty names well apart.
fn hash(name: &[u8]) -> usize {
    let byte = |at: usize| name.get(at).copied().map_or(0, usize::from);
    name.len() + 7 * byte(name.len() / 2 + 1) + 13 * byte(name.len().wrapping_sub(2))
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
mod tests {
    use super::*;

    fn wire(pairs: &[(&str, &str)]) -> Vars {
        let mut vars = Vars::default();
        for (name, value) in pairs {
            let start = vars.appended().len();
            vars.append(name.as_bytes());
            let middle = vars.appended().len();
            vars.append(value.as_bytes());
            vars.index(start..middle, middle..vars.appended().len());
        }
        vars.settle();
        vars
    }

    #[test]
    fn header_fields_that_came_twice_are_joined_and_other_names_replaced() {
        let vars = wire(&[
            ("HTTP_COOKIE", "a=1"),
            ("HTTP_X_DUP", "one"),
            ("SCRIPT_NAME", "/old"),
            ("HTTP_COOKIE", "b=2"),
            ("HTTP_X_DUP", "two"),
            ("SCRIPT_NAME", "/new"),
            ("HTTP_COOKIE", "c=3"),
        ]);
        assert_eq!(vars.get("HTTP_COOKIE"), Some(&b"a=1; b=2; c=3"[..]));
        assert_eq!(vars.get("HTTP_X_DUP"), Some(&b"one, two"[..]));
        assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/new"[..]));
        assert_eq!(vars.len(), 3);
    }

    #[test]
    fn the_proxy_header_never_arrives() {
        let vars = wire(&[("HTTP_PROXY", "http://evil"), ("A", "1"), ("HTTP_PROXY", "x")]);
        assert_eq!((vars.len(), vars.get("HTTP_PROXY")), (1, None));
    }

    #[test]
    fn two_lengths_are_one_if_equal_and_no_number_if_not() {
        let same = wire(&[("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "5")]);
        assert_eq!(same.get("CONTENT_LENGTH"), Some(&b"5"[..]));
        let different = wire(&[("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "7")]);
        assert_eq!(different.get("CONTENT_LENGTH"), Some(&b"5, 7"[..]));
    }

    /// Each of them used to copy all that was joined before it: 25 GB for a megabyte of PARAMS.
    #[test]
    fn a_name_that_came_a_hundred_thousand_times_costs_its_own_length() {
        let vars = wire(&vec![("HTTP_A", "b"); 100_000]);
        assert_eq!((vars.len(), vars.get("HTTP_A").map(<[u8]>::len)), (1, Some(299_998)));
        assert!(vars.appended().len() < 1_100_000);
        let names: Vec<_> = (0..100_000).map(|n| format!("NAME_{n}")).collect();
        let many: Vec<_> = names.iter().chain(&names).map(|name| (&name[..], "x")).collect();
        assert_eq!(wire(&many).len(), 100_000);
        assert!(wire(&vec![("HTTP_PROXY", "x"); 100_000]).is_empty());
    }

    #[test]
    fn an_empty_value_is_joined_like_any_other() {
        let vars = wire(&[("HTTP_X", ""), ("A", "1"), ("HTTP_X", "x"), ("HTTP_X", "")]);
        assert_eq!(vars.get("HTTP_X"), Some(&b", x, "[..]));
    }

    #[test]
    fn names_of_one_hash_are_told_apart() {
        let vars = wire(&[("AB", "1"), ("CB", "2"), ("", "3"), ("AB", "4")]);
        assert_eq!(vars.iter().collect::<Vec<_>>().len(), 3);
        assert_eq!(vars.get("AB"), Some(&b"4"[..]));
        assert_eq!(vars.get(""), Some(&b"3"[..]));
    }

    #[test]
    fn set_keeps_the_place_and_remove_takes_it_away() {
        let mut vars: Vars = [("A", "1"), ("B", "2")].into_iter().collect();
        vars.set("A", "3");
        vars.set_default("B", "9");
        assert_eq!(format!("{vars:?}"), r#"{"A": "3", "B": "2"}"#);
        assert!(vars.remove("A") && !vars.remove("A"));
        assert_eq!((vars.filled("A"), vars.is_empty()), (None, false));
    }
}
