//! Section 6.4 of the FastCGI specification: `wsgi.input` of a filter ends at the end of STDIN, and
//! whoever reads on reads DATA, as after libfcgi's `FCGX_StartFilterData`.

use crate::handlers::{Content, ContentInput};
use std::io::{self, BufRead, Read};

/// What brings STDIN first, and then DATA.
pub(super) trait StartData {
    /// Goes on to DATA, whatever of STDIN was left unread.
    fn start_data(&mut self);
}

/// `wsgi.input` of a filter.
pub(super) struct FilterInput<S> {
    input: ContentInput<S>,
    part: Part,
    data: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Stdin,
    /// The end of STDIN was told.
    Between,
    Data,
}

impl<S: BufRead + StartData> FilterInput<S> {
    /// The STDIN of `input`, and behind it `data`.
    pub(super) fn new(input: ContentInput<S>, data: Content) -> Self {
        Self { input, part: Part::Stdin, data }
    }

    pub(super) fn stream_mut(&mut self) -> &mut S {
        self.input.stream_mut()
    }
}

impl<S: BufRead + StartData> BufRead for FilterInput<S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.part {
            Part::Stdin => {
                if self.input.fill_buf()?.is_empty() {
                    self.part = Part::Between;
                }
            }
            Part::Between => {
                self.input.stream_mut().start_data();
                self.input.restart(self.data, u64::MAX);
                self.part = Part::Data;
            }
            Part::Data => {}
        }
        if self.part == Part::Between { Ok(&[]) } else { self.input.fill_buf() }
    }

    fn consume(&mut self, n: usize) {
        if self.part != Part::Between {
            self.input.consume(n);
        }
    }
}

impl<S: BufRead + StartData> Read for FilterInput<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}
