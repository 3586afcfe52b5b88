//! `wsgiref.headers`: response header fields, ordered, case-insensitive, multi-valued.
//!
//! A name that is no token or a value with a control character cannot get in (RFC 9110 sections
//! 5.1 and 5.5), by whatever door and in every build: that, and nothing later, is what stops
//! response splitting. A change that is refused changes nothing.
//!
//! Names and values are bytes, and a `&str` stands for its UTF-8. Only
//! [`add_header`](Headers::add_header), which quotes, takes text: native strings as PEP 3333 has
//! them, a character a byte.
//!
//! ```
//! use cgigate::{headers::Headers, types::Violation};
//!
//! /// What is told to caches about a page of somebody who has logged in.
//! fn keep_private(headers: &mut Headers) -> Result<(), Violation> {
//!     headers.set("Cache-Control", "private, no-cache")?;
//!     headers.add("Vary", "Cookie")
//! }
//!
//! let mut headers = Headers::new([("cache-control", "public"), ("Vary", "Accept")])?;
//! keep_private(&mut headers)?;
//! assert_eq!(headers.get_all("Vary"), [&b"Accept"[..], b"Cookie"]);
//! assert_eq!(headers.get_all("Cache-Control"), [b"private, no-cache"]);
//! # Ok::<_, Violation>(())
//! ```

mod field;

use crate::types::{Violation, repr, to_native};
pub(crate) use field::{check_name, check_value, has_control};
use std::{fmt, ops::Range};

/// Header fields of a response.
///
/// ```
/// use cgigate::headers::Headers;
///
/// let mut headers = Headers::default();
/// headers.add("Content-Type", "text/plain")?;
/// headers.add_header("content-disposition", Some("attachment"), &[("filename", Some("bud.gif"))])?;
/// assert_eq!(headers.get("CONTENT-TYPE"), Some(&b"text/plain"[..]));
/// assert_eq!(
///     headers.to_bytes(),
///     b"Content-Type: text/plain\r\n\
///       content-disposition: attachment; filename=\"bud.gif\"\r\n\r\n"
/// );
/// # Ok::<_, cgigate::types::Violation>(())
/// ```
#[derive(Clone, Default)]
pub struct Headers {
    /// The fields as they go out, a line each.
    lines: Vec<u8>,
    /// Where in them the names and values lie, in their order.
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Headers {
    /// The fields of a list, in its order.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Vary", "Accept"), ("Set-Cookie", "a=1")])?;
    /// assert_eq!(headers.len(), 2);
    /// assert!(Headers::new([("Set-Cookie", "a\r\nX: y")]).is_err());
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    ///
    /// # Errors
    /// The first name or value that cannot be a header's.
    pub fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Violation> {
        let mut headers = Self::default();
        for (name, value) in fields {
            headers.add(name, value)?;
        }
        Ok(headers)
    }

    /// `Headers(headers)`: wraps a list that is the caller's, who gets it back by
    /// [`into_vec`](Self::into_vec).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::from_vec(vec![(b"A".to_vec(), b"1".to_vec())])?;
    /// headers.add("B", "2")?;
    /// let list = headers.into_vec();
    /// assert_eq!(list[1], (b"B".to_vec(), b"2".to_vec()));
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn from_vec(fields: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, Violation> {
        Self::new(fields)
    }

    /// The fields as a list of its own.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Vary", "Accept")])?;
    /// assert_eq!(headers.into_vec(), [(b"Vary".to_vec(), b"Accept".to_vec())]);
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn into_vec(self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    /// Forgets everything but the memory it was kept in.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::new([("Content-Type", "text/html"), ("ETag", "\"1\"")])?;
    /// headers.clear(); // it is to be another page
    /// headers.add("Content-Type", "text/plain")?;
    /// assert_eq!(headers.to_bytes(), b"Content-Type: text/plain\r\n\r\n");
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn clear(&mut self) {
        self.lines.clear();
        self.fields.clear();
    }

    /// How much memory it has, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.lines.capacity() + size_of::<(Range<usize>, Range<usize>)>() * self.fields.capacity()
    }

    /// Gives back memory beyond `bytes`, after a response that was larger than most.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::new([("X-Trace", "x".repeat(1 << 20))])?;
    /// headers.clear();
    /// headers.shrink_to(4 << 10); // the mebibyte is free again
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    #[inline]
    pub fn shrink_to(&mut self, bytes: usize) {
        self.lines.shrink_to(bytes);
        self.fields.shrink_to(bytes / 16);
    }

    /// Appends a field; one of the same name stays.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::default();
    /// headers.add("Set-Cookie", "a=1")?;
    /// headers.add("Set-Cookie", "b=2")?;
    /// assert_eq!(headers.len(), 2);
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    ///
    /// # Errors
    /// The name or the value cannot be a header's.
    pub fn add(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), Violation> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check_name(name)?;
        check_value(value)?;
        self.push(name, value);
        Ok(())
    }

    /// `headers[name] = value`: takes the place of all fields of that name, at the end.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::new([("X-N", "1"), ("x-n", "2")])?;
    /// headers.set("X-N", "3")?;
    /// assert_eq!(headers.to_bytes(), b"X-N: 3\r\n\r\n");
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    ///
    /// # Errors
    /// The name or the value cannot be a header's; the old fields are still there.
    pub fn set(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<(), Violation> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check_name(name)?;
        check_value(value)?;
        self.remove(name);
        self.push(name, value);
        Ok(())
    }

    /// `setdefault`: the first value of that name, which is `value` if there was none.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::new([("Vary", "Accept")])?;
    /// assert_eq!(headers.set_default("vary", "Cookie")?, b"Accept");
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    ///
    /// # Errors
    /// There was none, and the name or the value cannot be a header's.
    pub fn set_default(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<&[u8], Violation> {
        let name = name.as_ref();
        if !self.contains(name) {
            self.add(name, value)?;
        }
        Ok(self.get(name).unwrap_or_default())
    }

    /// `add_header`: appends a value with MIME parameters, each `name="text"`, or the name alone
    /// where there is no text or an empty one. Without value the parameters are all.
    ///
    /// `_` in a parameter's name stands for `-`. The text is quoted, with `\` before `\` and `"`.
    ///
    /// # Errors
    /// The name, the value or a parameter cannot be a header's, or has a character above U+00FF.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::default();
    /// headers.add_header("Content-Type", Some("text/plain"), &[("charset", Some("utf-8"))])?;
    /// assert_eq!(headers.get("Content-Type"), Some(&br#"text/plain; charset="utf-8""#[..]));
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn add_header(
        &mut self,
        name: impl AsRef<[u8]>,
        value: Option<&str>,
        params: &[(&str, Option<&str>)],
    ) -> Result<(), Violation> {
        let value = value.map(latin1);
        let params = params.iter().map(|(name, text)| format_param(name, *text));
        let parts = value.into_iter().chain(params).collect::<Result<Vec<_>, _>>()?;
        self.add(name, parts.join(&b"; "[..]))
    }

    /// `del headers[name]`: takes all fields of that name out, and says how many there were.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let mut headers = Headers::new([("X-N", "1"), ("x-n", "2")])?;
    /// headers.remove("X-N");
    /// assert!(headers.is_empty());
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> usize {
        let (name, before) = (name.as_ref(), self.fields.len());
        let lines = &self.lines;
        self.fields.retain(|(n, _)| !lines[n.clone()].eq_ignore_ascii_case(name));
        let removed = before - self.fields.len();
        if removed > 0 {
            self.close_gaps();
        }
        removed
    }

    /// `get`: the first value of that name, in whatever letter case (of ASCII).
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Content-Type", "text/html")])?;
    /// let is_html = headers.get("content-type").is_some_and(|kind| kind.starts_with(b"text/html"));
    /// assert!(is_html && headers.get("ETag").is_none());
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref();
        // Nearly always in the very same spelling, which is faster to see.
        let same = |n: &[u8]| n == name || n.eq_ignore_ascii_case(name);
        let is_it = |field: &&(Range<usize>, Range<usize>)| {
            field.0.len() == name.len() && same(&self.lines[field.0.clone()])
        };
        self.fields.iter().find(is_it).map(|(_, value)| &self.lines[value.clone()])
    }

    /// The last field, if there is one.
    pub(crate) fn last(&self) -> Option<(&[u8], &[u8])> {
        let (name, value) = self.fields.last()?;
        Some((&self.lines[name.clone()], &self.lines[value.clone()]))
    }

    /// `get_all`: the values of that name, in order.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])?;
    /// assert_eq!(headers.get_all("Set-Cookie"), [b"a=1", b"b=2"]);
    /// assert_eq!(headers.get("Set-Cookie"), Some(&b"a=1"[..]));
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Vec<&[u8]> {
        let name = name.as_ref();
        let same = self.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value).collect()
    }

    /// `name in headers`: a field without value is there.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("X-Empty", "")])?;
    /// assert!(headers.contains("x-empty") && !headers.contains("Date"));
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// `items`: names and values, in order. What wsgiref's `Headers` cannot do is loop over itself.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Vary", "Accept"), ("Set-Cookie", "a=1")])?;
    /// assert!(headers.iter().eq([(&b"Vary"[..], &b"Accept"[..]), (b"Set-Cookie", b"a=1")]));
    /// assert!(headers.keys().eq([&b"Vary"[..], b"Set-Cookie"]));
    /// assert!(headers.values().eq([&b"Accept"[..], b"a=1"]));
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + '_ {
        self.fields.iter().map(|(n, v)| (&self.lines[n.clone()], &self.lines[v.clone()]))
    }

    /// The names, in order, repetitions included.
    ///
    /// ```
    /// use cgigate::{headers::Headers, util::is_hop_by_hop};
    ///
    /// let headers = Headers::new([("Vary", "Accept"), ("Connection", "close")])?;
    /// assert!(headers.keys().any(is_hop_by_hop)); // which no handler would let through
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        self.iter().map(|(name, _)| name)
    }

    /// The values, in order.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])?;
    /// assert!(headers.values().eq([b"a=1", b"b=2"]));
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn values(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        self.iter().map(|(_, value)| value)
    }

    /// How many fields there are, repetitions included.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let headers = Headers::new([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])?;
    /// assert_eq!(headers.len(), 2);
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    ///
    /// ```
    /// assert!(cgigate::headers::Headers::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// `bytes(headers)`: a line each, and the empty line.
    ///
    /// ```
    /// use cgigate::headers::Headers;
    ///
    /// let head = Headers::new([("Status", "204 No Content"), ("ETag", "\"1\"")])?.to_bytes();
    /// assert_eq!(head, b"Status: 204 No Content\r\nETag: \"1\"\r\n\r\n");
    /// # Ok::<_, cgigate::types::Violation>(())
    /// ```
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.lines(), b"\r\n"].concat()
    }

    /// A line each, without the empty line.
    pub(crate) fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Keeps the lines of the fields alone, so that no number of changes makes them more.
    fn close_gaps(&mut self) {
        let mut end = 0;
        for (name, value) in &mut self.fields {
            let start = end;
            end += value.end + CRLF.len() - name.start;
            self.lines.copy_within(name.start..value.end + CRLF.len(), start);
            *name = start..start + name.len();
            *value = end - CRLF.len() - value.len()..end - CRLF.len();
        }
        self.lines.truncate(end);
    }

    /// As [`add`](Self::add), of what is known to be a name and a value.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let lines = &mut self.lines;
        let start = lines.len();
        lines.extend_from_slice(name);
        let name = start..lines.len();
        lines.extend_from_slice(COLON);
        let start = lines.len();
        lines.extend_from_slice(value);
        let value = start..lines.len();
        lines.extend_from_slice(CRLF);
        self.fields.push((name, value));
    }
}

const COLON: &[u8; 2] = b": ";
const CRLF: &[u8; 2] = b"\r\n";

fn latin1(text: &str) -> Result<Vec<u8>, Violation> {
    text.chars().map(|c| u8::try_from(c).map_err(|_| Violation::HeaderNotLatin1(c))).collect()
}

/// wsgiref's `_formatparam`, as `Headers` calls it: its unquoted form is nobody's.
fn format_param(name: &str, text: Option<&str>) -> Result<Vec<u8>, Violation> {
    let mut param = latin1(&name.replace('_', "-"))?;
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        param.extend_from_slice(b"=\"");
        param.extend_from_slice(&latin1(&quoted)?);
        param.push(b'"');
    }
    Ok(param)
}

/// Python's `str`, a character a byte; what goes on the wire is [`Headers::to_bytes`].
impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_native(&self.to_bytes()))
    }
}

/// Python's `repr`: `Headers([('A', '1')])`.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers([")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}({}, {})", repr(&to_native(name)), repr(&to_native(value)))?;
        }
        f.write_str("])")
    }
}

#[cfg(test)]
mod tests;
