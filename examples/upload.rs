//! A form with a file, which goes to disk as it comes: a video takes no more memory than a letter.
//!
//!     UPLOADS=/var/tmp cargo run --example upload -- http --max-body 10G
//!
//! and open <http://127.0.0.1:8000/>. The form is RFC 7578, multipart/form-data.

use cgigate::{Application, Environ, Gateway, Response, StartResponse};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufWriter, ErrorKind, Read, Write},
    path::PathBuf,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

const FORM: &str = "<!DOCTYPE html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Upload</title>
<form method=\"post\" enctype=\"multipart/form-data\">
  <input type=\"file\" name=\"file\" required>
  <button>Send</button>
</form>
</html>
";

struct Upload {
    folder: PathBuf,
}

impl Application for Upload {
    fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
        if environ.get("REQUEST_METHOD") != Some(b"POST") {
            start.call("200 OK", &[("Content-Type", "text/html; charset=utf-8")])?;
            return Ok(FORM.into());
        }
        let text = [("Content-Type", "text/plain; charset=utf-8")];
        let kind = environ.vars.native("CONTENT_TYPE").unwrap_or_default();
        let Some(boundary) = boundary(&kind).map(str::to_owned) else {
            start.call("415 Unsupported Media Type", &text)?;
            return Ok("Send multipart/form-data.\n".into());
        };
        match self.store(environ.input, &boundary) {
            Ok(Some((name, length))) => {
                start.call("201 Created", &text)?;
                Ok(format!("{name}: {length} bytes\n").into())
            }
            Ok(None) => {
                start.call("400 Bad Request", &text)?;
                Ok("There is no file in it.\n".into())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                start.call("400 Bad Request", &text)?;
                Ok("The form ends early.\n".into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Upload {
    /// Stores the first part that is a file: what the client called it, and its length.
    fn store(&self, mut input: impl BufRead, boundary: &str) -> io::Result<Option<(String, u64)>> {
        let delimiter = format!("\r\n--{boundary}");
        // The first one stands at the very beginning, without the line break that the others have.
        copy_until(&mut (&b"\r\n"[..]).chain(&mut input), delimiter.as_bytes(), &mut io::sink())?;
        while line(&mut input)? != "--" {
            let mut file_name = None;
            loop {
                let field = line(&mut input)?;
                if field.is_empty() {
                    break;
                }
                if field.to_ascii_lowercase().starts_with("content-disposition:") {
                    file_name = quoted(&field, "filename");
                }
            }
            let Some(name) = file_name.filter(|name| !name.is_empty()) else {
                copy_until(&mut input, delimiter.as_bytes(), &mut io::sink())?;
                continue;
            };
            let path = self.folder.join(own_name());
            let mut file = BufWriter::new(File::create_new(&path)?);
            let copied = copy_until(&mut input, delimiter.as_bytes(), &mut file);
            let copied = copied.and_then(|length| file.flush().map(|()| length));
            // Half a file is no file.
            return match copied {
                Ok(length) => Ok(Some((name, length))),
                Err(error) => {
                    fs::remove_file(&path)?;
                    Err(error)
                }
            };
        }
        Ok(None)
    }
}

/// What the client calls a file is no name to store it under.
fn own_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("upload-{since}-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn boundary(content_type: &str) -> Option<&str> {
    let parameters = content_type.strip_prefix("multipart/form-data")?;
    let value = parameters.split(';').find_map(|one| one.trim().strip_prefix("boundary="))?;
    Some(value.trim_matches('"')).filter(|value| (1..=70).contains(&value.len()))
}

/// `name="value"` in a header field.
fn quoted(field: &str, name: &str) -> Option<String> {
    let (_, rest) = field.split_once(&format!("; {name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// A line without its end, and not longer than a header field may be.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.by_ref().take(8 << 10).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Copies what comes before `delimiter`, and takes the delimiter too; how many bytes were copied.
///
/// It begins with the only CR that it has: where it breaks off, no other can have begun within it.
fn copy_until(input: &mut impl BufRead, delimiter: &[u8], out: &mut impl Write) -> io::Result<u64> {
    let (mut matched, mut copied) = (0, 0);
    while matched < delimiter.len() {
        let there = input.fill_buf()?;
        let Some(&byte) = there.first() else { return Err(ErrorKind::UnexpectedEof.into()) };
        let taken = if byte == delimiter[matched] {
            matched += 1;
            1
        } else if matched > 0 {
            out.write_all(&delimiter[..matched])?;
            copied += std::mem::take(&mut matched) as u64;
            0
        } else {
            let plain = there.iter().position(|&byte| byte == b'\r').unwrap_or(there.len());
            out.write_all(&there[..plain])?;
            copied += plain as u64;
            plain
        };
        input.consume(taken);
    }
    Ok(copied)
}

fn main() -> process::ExitCode {
    let make = || {
        Ok(Upload {
            folder: std::env::var_os("UPLOADS").map_or_else(std::env::temp_dir, PathBuf::from),
        })
    };
    Gateway::new().make("upload", make).main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgigate::testing::{Answer, get, post};

    /// An application with a new folder, which goes with it.
    struct Folder(Upload);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("{}-folder", own_name()));
            fs::create_dir(&folder).expect("a name of our own");
            Self(Upload { folder })
        }

        fn post(&self, body: impl Into<Vec<u8>>) -> Answer {
            let kind = "multipart/form-data; boundary=\"b--b\"";
            post("/", body).header("Content-Type", kind).validated().ask(&self.0)
        }

        fn files(&self) -> Vec<Vec<u8>> {
            let files = fs::read_dir(&self.0.folder).expect("the folder is there");
            files.map(|file| fs::read(file.expect("a name").path()).expect("a file")).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0.folder);
        }
    }

    fn form(content: &[u8]) -> Vec<u8> {
        let before = "preamble\r\n--b--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n\
            --b--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"../a.txt\"\r\n\
            Content-Type: text/plain\r\n\r\n";
        [before.as_bytes(), content, b"\r\n--b--b--\r\n"].concat()
    }

    #[test]
    fn the_file_is_stored_byte_by_byte_under_a_name_of_our_own() {
        let tricky = b"\r\r\n\r\n--b--\r\n--b-\r\n--b--c\n--b--b--\r\n-".to_vec();
        let long = [tricky.repeat(5000), b"\r".to_vec()].concat();
        for content in [vec![], b"\r\n".to_vec(), tricky, long] {
            let folder = Folder::new();
            let answer = folder.post(form(&content));
            assert_eq!((answer.status, &*answer.log), (201, ""));
            assert_eq!(answer.text(), format!("../a.txt: {} bytes\n", content.len()));
            assert_eq!(folder.files(), [content]);
        }
    }

    #[test]
    fn half_a_file_is_no_file() {
        let folder = Folder::new();
        let whole = form(b"content");
        for length in 0..whole.len() - 4 {
            assert_eq!(folder.post(&whole[..length]).status, 400, "{length}");
            assert!(folder.files().is_empty(), "{length}");
        }
    }

    #[test]
    fn what_is_no_form_with_a_file_is_refused() {
        let folder = Folder::new();
        assert_eq!(folder.post("--b--b--\r\n").status, 400);
        assert_eq!(folder.post(form(b"").escape_ascii().to_string()).status, 400);
        assert_eq!(post("/", "a=b").ask(&folder.0).status, 415);
        assert!(get("/").ask(&folder.0).text().contains("multipart/form-data"));
    }

    /// It is on disk before the rest of it was even made.
    #[test]
    fn the_file_is_never_in_memory_as_a_whole() {
        struct Endless<'f>(&'f Folder, u64);
        impl Read for Endless<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.1 += buf.len() as u64;
                if self.1 > 4 << 20 {
                    let stored = self.0.files().concat().len() as u64;
                    assert!(self.1 - stored < 1 << 20, "{stored} of {}", self.1);
                    return Ok(0);
                }
                buf.fill(b'x');
                Ok(buf.len())
            }
        }
        let folder = Folder::new();
        let head = form(b"");
        let head = &head[..head.len() - b"\r\n--b--b--\r\n".len()];
        let input = io::BufReader::new(head.chain(Endless(&folder, 0)));
        assert!(folder.0.store(input, "b--b").is_err());
        assert!(folder.files().is_empty());
    }
}
