//! A fixture: a request as a CGI process gets it, and what answers it, as files of one folder.
//!
//! The format is in `fixtures/README.md`. `check` reads such folders, `--record` writes them;
//! `scripts/check-fixtures` reads the same.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

/// Stands for any HTTP date in what is expected.
pub(crate) const DATE_MARK: &[u8] = b"{DATE}";
/// Stands for anything within a line: what was a secret when the answer was recorded.
pub(crate) const SECRET_MARK: &[u8] = b"{SECRET}";

/// The application of a case that none answers: no executable links it, so it is skipped.
pub(crate) const NOBODY: &str = "(none)";

/// Names and values.
pub(crate) type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// One case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fixture {
    pub(crate) environ: Pairs,
    pub(crate) stdin: Vec<u8>,
    /// Words of a command line, which CGI must not look at.
    pub(crate) args: Vec<Vec<u8>>,
    pub(crate) stdout: Vec<u8>,
    /// Lines that each occur in a line of stderr, in this order.
    pub(crate) stderr: Vec<u8>,
    pub(crate) exit: i32,
    /// The application that must be linked.
    pub(crate) app: Option<String>,
    /// The answer is the gateway's own: the status, and why.
    pub(crate) refused: Option<String>,
    /// It holds as CGI, and not on sockets.
    pub(crate) only_cgi: bool,
}

/// A folder that is no fixture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FixtureError {
    #[error("read {}: {error}", .file.display())]
    Read { file: PathBuf, error: io::Error },
    #[error("no environ")]
    NoEnviron,
    #[error("environ, line {0}: no NAME=value")]
    Line(usize),
    #[error("{0}: {1:?} is not what stands there")]
    Value(&'static str, String),
}

/// The files that make a folder a case.
const FILES: [&str; 5] = ["environ", "stdin", "args", "stdout", "exit"];

impl Fixture {
    /// Whether a folder is meant to be a case, be it a good one or not.
    pub(crate) fn is_at(folder: &Path) -> bool {
        FILES.iter().any(|name| folder.join(name).is_file())
    }

    /// The case in `folder`.
    ///
    /// # Errors
    /// A file of it cannot be read, or holds what it cannot hold.
    pub(crate) fn read(folder: &Path) -> Result<Self, FixtureError> {
        let file = |name: &str| {
            let file = folder.join(name);
            match fs::read(&file) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(FixtureError::Read { file, error }),
            }
        };
        let bytes = |name| file(name).map(Option::unwrap_or_default);
        let word = |name: &'static str| {
            let text = file(name)?.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
            Ok::<_, FixtureError>(text)
        };
        let environ = parse_environ(&file("environ")?.ok_or(FixtureError::NoEnviron)?)?;
        let exit = match word("exit")? {
            None => 0,
            Some(text) => text.parse().map_err(|_| FixtureError::Value("exit", text))?,
        };
        let only_cgi = match word("only")? {
            None => false,
            Some(text) if text == "cgi" => true,
            Some(text) => return Err(FixtureError::Value("only", text)),
        };
        Ok(Self {
            environ,
            stdin: bytes("stdin")?,
            args: lines(&bytes("args")?).map(<[u8]>::to_vec).collect(),
            stdout: bytes("stdout")?,
            stderr: bytes("stderr")?,
            exit,
            app: word("app")?,
            refused: word("refused")?,
            only_cgi,
        })
    }

    /// Writes it as files of `folder`, which is there and empty.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let write = |name: &str, content: &[u8]| match content {
            [] => Ok(()),
            content => File::create_new(folder.join(name))?.write_all(content),
        };
        File::create_new(folder.join("environ"))?.write_all(&render_environ(&self.environ))?;
        write("stdin", &self.stdin)?;
        write(
            "args",
            &self.args.iter().flat_map(|arg| [arg, &b"\n"[..]].concat()).collect::<Vec<_>>(),
        )?;
        write("stdout", &self.stdout)?;
        write("stderr", &self.stderr)?;
        write("exit", &if self.exit == 0 { vec![] } else { format!("{}\n", self.exit).into() })?;
        let line = |word: &Option<String>| word.iter().map(|word| format!("{word}\n")).collect();
        write("app", String::as_bytes(&line(&self.app)))?;
        write("refused", String::as_bytes(&line(&self.refused)))?;
        write("only", if self.only_cgi { b"cgi\n" } else { b"" })
    }
}

/// `NAME=value` lines; one that begins with TAB goes on with the value above, behind a line break.
///
/// # Errors
/// A line that is neither.
pub(crate) fn parse_environ(text: &[u8]) -> Result<Pairs, FixtureError> {
    let mut environ = Pairs::new();
    for (line, number) in lines(text).zip(1..) {
        match (line.strip_prefix(b"\t"), environ.last_mut()) {
            (Some(more), Some((_, value))) => {
                value.push(b'\n');
                value.extend_from_slice(more);
            }
            _ => {
                let at = line.iter().position(|&byte| byte == b'=').filter(|at| *at > 0);
                let at = at.ok_or(FixtureError::Line(number))?;
                environ.push((line[..at].to_vec(), line[at + 1..].to_vec()));
            }
        }
    }
    Ok(environ)
}

fn render_environ(environ: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (name, value) in environ {
        text.extend_from_slice(name);
        text.push(b'=');
        for &byte in value {
            text.push(byte);
            if byte == b'\n' {
                text.push(b'\t');
            }
        }
        text.push(b'\n');
    }
    text
}

/// The lines of a file, without their ends; a last one without an end is one too.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').take(
        // Of nothing there is no line.
        if text.is_empty() { 0 } else { usize::MAX },
    )
}

/// Where an answer differs from what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference<'a> {
    /// Counted from one.
    pub(crate) line: usize,
    /// With its end; `None` where there is no such line.
    pub(crate) expected: Option<&'a [u8]>,
    pub(crate) got: Option<&'a [u8]>,
}

/// The first line of `got` that is not as `expected` has it; the marks stand for what they stand for.
pub(crate) fn difference<'a>(expected: &'a [u8], got: &'a [u8]) -> Option<Difference<'a>> {
    if expected == got {
        return None;
    }
    let split = |text: &'a [u8]| text.split_inclusive(|&byte| byte == b'\n');
    let (mut wanted, mut there) = (split(expected), split(got));
    for line in 1.. {
        match (wanted.next(), there.next()) {
            (None, None) => break,
            (Some(wanted), Some(got)) if matches(wanted, got) => {}
            (expected, got) => return Some(Difference { line, expected, got }),
        }
    }
    None
}

/// Equal bytes, but for the marks.
fn matches(expected: &[u8], got: &[u8]) -> bool {
    if expected == got {
        return true;
    }
    let find = |mark: &[u8]| expected.windows(mark.len()).position(|bytes| bytes == mark);
    match (find(DATE_MARK), find(SECRET_MARK)) {
        (None, None) => false,
        (Some(at), secret) if secret.is_none_or(|secret| at < secret) => {
            let date = got.get(at..at + DATE_LEN).is_some_and(is_date);
            date && expected[..at] == got[..at]
                && matches(&expected[at + DATE_MARK.len()..], &got[at + DATE_LEN..])
        }
        (_, at) => {
            let at = at.unwrap_or_default();
            let rest = &expected[at + SECRET_MARK.len()..];
            got.len() >= at
                && expected[..at] == got[..at]
                && (at..=got.len()).any(|end| matches(rest, &got[end..]))
        }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, in bytes.
pub(crate) const DATE_LEN: usize = 29;

/// Whether these bytes have the form of an HTTP date (RFC 9110 section 5.6.7, IMF-fixdate).
pub(crate) fn is_date(bytes: &[u8]) -> bool {
    const FORM: &[u8; DATE_LEN] = b"aaa, 00 aaa 0000 00:00:00 GMT";
    bytes.len() == DATE_LEN
        && bytes.iter().zip(FORM).all(|(byte, form)| match form {
            b'a' => byte.is_ascii_alphabetic(),
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let pair = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let whole = Fixture {
            environ: vec![pair("A", b"1=2"), pair("PATH_INFO", b"/a\n\tb\n\n\xff"), pair("E", b"")],
            stdin: b"body".to_vec(),
            args: vec![b"--help".to_vec()],
            stdout: b"Status: 200 OK\r\n\r\n".to_vec(),
            stderr: b"oh\n".to_vec(),
            exit: 1,
            app: Some("hello".into()),
            refused: Some("404: nowhere".into()),
            only_cgi: true,
        };
        let empty = Fixture { environ: vec![pair("A", b"")], ..Fixture::default() };
        for (fixture, name) in [(whole, "whole"), (empty, "empty")] {
            let folder =
                std::env::temp_dir().join(format!("cgigate-{name}-{}", std::process::id()));
            fs::create_dir(&folder).unwrap();
            fixture.write(&folder).unwrap();
            assert!(Fixture::is_at(&folder));
            assert_eq!(Fixture::read(&folder).unwrap(), fixture);
            fs::remove_dir_all(&folder).unwrap();
        }
    }

    #[test]
    fn a_line_that_is_no_variable_is_named() {
        for wrong in ["A=1\nB\n", "A=1\n=2\n", "A=1\n\n"] {
            let error = parse_environ(wrong.as_bytes()).unwrap_err().to_string();
            assert_eq!(error, "environ, line 2: no NAME=value", "{wrong:?}");
        }
        assert!(parse_environ(b"\tA\n").is_err() && parse_environ(b"").unwrap().is_empty());
    }

    #[test]
    fn the_first_difference_is_found_and_marks_stand_for_what_they_stand_for() {
        let date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhi";
        assert_eq!(difference(b"Date: {DATE}\r\n\r\nhi", date), None);
        assert_eq!(difference(b"Date: {DATE}\n", b"Date: {DATE}\n"), None);
        let bad = difference(b"a\nDate: {DATE}\n", b"a\nDate: today\n").unwrap();
        assert_eq!((bad.line, bad.got), (2, Some(&b"Date: today\n"[..])));
        let shorter = difference(b"a\nb", b"a\n").unwrap();
        assert_eq!((shorter.line, shorter.expected, shorter.got), (2, Some(&b"b"[..]), None));
        assert!(difference(b"a", b"a\nb").is_some() && difference(b"a\n", b"a").is_some());
        let cookie = b"Set-Cookie: s={SECRET}; Path=/; Expires={DATE}\r\n";
        let got = b"Set-Cookie: s=12; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        assert_eq!(difference(cookie, got), None);
        assert!(difference(cookie, b"Set-Cookie: t=12; Path=/\r\n").is_some());
        assert!(difference(b"a{SECRET}b\n", b"a\nb\n").is_some(), "within a line");
    }
}
