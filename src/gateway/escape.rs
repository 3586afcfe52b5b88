//! What came from outside, as it may stand in a log or on a page: nothing in it can end a line,
//! move a terminal's cursor, or pretend to be something else.

use std::fmt::{self, Write};

/// In a line of text: printable ASCII, without `"` and `\`; of everything else each byte as `\xHH`.
///
/// One byte is one sign or four, whatever its neighbours are, so what came can be told again.
pub(crate) struct Line<'t>(pub(crate) &'t [u8]);

/// The same without spaces, and `-` for nothing: for a field that has no quotes around it.
pub(crate) struct Word<'t>(pub(crate) &'t [u8]);

/// As [`Line`] without what HTML is made of: for pages, whatever a browser takes them for.
pub(crate) struct Page<'t>(pub(crate) &'t [u8]);

/// As a string of JSON (RFC 8259 section 7), with its quotes: UTF-8 as it is, but for control
/// characters and what HTML and scripts are made of; of what is no UTF-8 each byte as `\\xHH`.
pub(crate) struct Json<'t>(pub(crate) &'t [u8]);

/// The same of a text in pieces.
pub(crate) struct JsonPieces<'t>(pub(crate) &'t [&'t [u8]]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, |byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte))
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_char('-'),
            word => escape(f, word, |byte| matches!(byte, b'!'..=b'~') && !b"\"\\".contains(&byte)),
        }
    }
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, |byte| matches!(byte, b' '..=b'~') && !b"\"\\<>&'".contains(&byte))
    }
}

/// Runs of bytes that may stay are written at once.
fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8], stays: impl Fn(u8) -> bool) -> fmt::Result {
    for run in bytes.chunk_by(|one, other| stays(*one) == stays(*other)) {
        match std::str::from_utf8(run) {
            Ok(text) if stays(run[0]) => f.write_str(text)?,
            _ => run.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?,
        }
    }
    Ok(())
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        JsonPieces(&[self.0]).fmt(f)
    }
}

impl fmt::Display for JsonPieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.iter().flat_map(|piece| piece.utf8_chunks()) {
            for c in chunk.valid().chars() {
                match c {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    '<' | '>' | '&' | '\'' | '\u{2028}' | '\u{2029}' => json_unit(f, c)?,
                    // Characters that only change how others are seen can hide what a line says.
                    '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                        json_unit(f, c)?;
                    }
                    c if c.is_control() => json_unit(f, c)?,
                    c => f.write_char(c)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\\\x{byte:02x}"))?;
        }
        f.write_char('"')
    }
}

/// All that are escaped so are in the basic plane: one unit.
fn json_unit(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    write!(f, "\\u{:04x}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_stands_in_a_line() {
        let line = |bytes| Line(bytes).to_string();
        assert_eq!(line(b"GET /a?b=c&d=<e>'"), "GET /a?b=c&d=<e>'");
        assert_eq!(line(b"\0\r\n\x1b[2J\"\\\x7f"), r"\x00\x0d\x0a\x1b[2J\x22\x5c\x7f");
        assert_eq!(line("é\u{202e}".as_bytes()), r"\xc3\xa9\xe2\x80\xae");
        let all: Vec<u8> = (0..=255).collect();
        for escaped in [line(&all), Page(&all).to_string()] {
            assert!(escaped.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{escaped}");
        }
    }

    #[test]
    fn no_html_stands_on_a_page() {
        let page = Page(b"<script>alert('&')</script>").to_string();
        assert_eq!(page, r"\x3cscript\x3ealert(\x27\x26\x27)\x3c/script\x3e");
    }

    #[test]
    fn json_tells_the_same_and_holds_no_control_character() {
        for (text, json) in [
            (&b""[..], r#""""#),
            (b"plain '", r#""plain \u0027""#),
            (b"\"\\/\r\n\0\x1b", r#""\"\\/\u000d\u000a\u0000\u001b""#),
            ("é\u{85}\u{2028}\u{202e}\u{1f600}".as_bytes(), r#""é\u0085\u2028\u202e😀""#),
            (b"<caf\xe9\xff>&", r#""\u003ccaf\\xe9\\xff\u003e\u0026""#),
        ] {
            assert_eq!(Json(text).to_string(), json);
            let (one, two) = text.split_at(text.len().min(2));
            assert_eq!(JsonPieces(&[one, b"", two]).to_string(), json);
        }
    }
}
