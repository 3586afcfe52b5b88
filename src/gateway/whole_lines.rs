//! `wsgi.errors` where the protocol carries none: it goes to the log by whole lines, so that those of
//! two requests are not mixed.

/// The line that has no end yet.
#[derive(Debug, Default)]
pub(crate) struct WholeLines(Vec<u8>);

impl WholeLines {
    /// Adds what was written, and tells the lines that are whole now, without the last one's end.
    pub(crate) fn add(&mut self, data: &[u8], tell: impl FnOnce(&[u8])) {
        self.0.extend_from_slice(data);
        if let Some(end) = self.0.iter().rposition(|&byte| byte == b'\n') {
            tell(&self.0[..end]);
            self.0.drain(..=end);
        }
    }

    /// Nothing more comes: what is left is a line.
    pub(crate) fn end(&mut self, tell: impl FnOnce(&[u8])) {
        if !self.0.is_empty() {
            tell(&self.0);
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_when_they_are_whole_and_the_last_at_the_end() {
        let (mut lines, mut told) = (WholeLines::default(), Vec::new());
        for data in ["a", "b\nc\nd", "", "e\n", "f"] {
            lines.add(data.as_bytes(), |lines| told.push(lines.to_owned()));
        }
        assert_eq!(told, [&b"ab\nc"[..], b"de"]);
        lines.end(|line| told.push(line.to_owned()));
        lines.end(|_| panic!("nothing is left"));
        assert_eq!(told[2..], [b"f"]);
    }
}
