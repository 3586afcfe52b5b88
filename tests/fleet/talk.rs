//! One request after the other, in any of the protocols, on a connection that is kept or not.

use super::load::{Kept, body_of_200, http_answer};
use cgigate::{scgi, uwsgi};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    FastCgi,
    Scgi,
    Uwsgi,
    Http,
}

impl Protocol {
    /// Each, with the name that it has on a command line.
    pub(crate) const ALL: [(Self, &str); 4] = [
        (Self::FastCgi, "fastcgi"),
        (Self::Scgi, "scgi"),
        (Self::Uwsgi, "uwsgi"),
        (Self::Http, "http"),
    ];
}

/// One connection.
pub(crate) enum Talk {
    FastCgi(Kept),
    Other(Protocol, UnixStream),
}

impl Talk {
    pub(crate) fn connect(protocol: Protocol, socket: &Path) -> io::Result<Self> {
        if protocol == Protocol::FastCgi {
            return Kept::connect(socket).map(Self::FastCgi);
        }
        let socket = UnixStream::connect(socket)?;
        socket.set_read_timeout(Some(super::LIMIT))?;
        Ok(Self::Other(protocol, socket))
    }

    /// The bytes of a request that the access log will know by `id`.
    pub(crate) fn request(&mut self, id: u64, target: &str, body: &[u8], keep: bool) -> Vec<u8> {
        let protocol = match self {
            Self::FastCgi(kept) => {
                kept.id = Some(id);
                return kept.request(target, body, keep);
            }
            Self::Other(protocol, _) => *protocol,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (id, length, mut wire) = (id.to_string(), body.len().to_string(), Vec::new());
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut vars = vec![
            ("REQUEST_METHOD", method),
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("REQUEST_ID", &id),
        ];
        match protocol {
            Protocol::Scgi => scgi::head(&mut wire, body.len() as u64, &vars).unwrap(),
            Protocol::Uwsgi => {
                vars.push(("CONTENT_LENGTH", &length));
                uwsgi::head(&mut wire, &vars).unwrap();
            }
            Protocol::FastCgi | Protocol::Http => write!(
                wire,
                "{method} {target} HTTP/1.1\r\nHost: h\r\nX-Request-ID: {id}\r\n\
                 Content-Length: {length}\r\n{}\r\n",
                if keep { "" } else { "Connection: close\r\n" },
            )
            .unwrap(),
        }
        wire.extend_from_slice(body);
        wire
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::FastCgi(kept) => kept.send(bytes),
            Self::Other(_, socket) => socket.write_all(bytes),
        }
    }

    /// The body of the answer, which is 200 or an error, and whether the connection stays.
    pub(crate) fn answer(&mut self) -> io::Result<(Vec<u8>, bool)> {
        match self {
            Self::FastCgi(kept) => kept.answer().map(|body| (body, true)),
            Self::Other(Protocol::Http, socket) => http_answer(socket),
            Self::Other(protocol, socket) => {
                let mut answer = Vec::new();
                socket.read_to_end(&mut answer)?;
                if *protocol == Protocol::Uwsgi {
                    answer.splice(..answer.len().min(8), *b"Status:");
                }
                body_of_200(answer).map(|body| (body, false))
            }
        }
    }
}
