//! The four protocols that have sockets, behind one face.

use crate::fastcgi_peer::{Apps, House, Peer, params, stdin};
use cgigate::{
    Application,
    fcgi::{self, RequestId, Role},
    gateway::{Protocol, Settings},
    scgi,
    simple_server::{Options, WsgiRequestHandler, WsgiServer, make_server},
    uwsgi,
};
use std::{net::SocketAddr, num::NonZeroU16, sync::Arc, thread};

/// How a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Gateway(Protocol),
    Http,
}

pub(crate) const WAYS: [Way; 4] = [
    Way::Gateway(Protocol::FastCgi),
    Way::Gateway(Protocol::Scgi),
    Way::Gateway(Protocol::Uwsgi),
    Way::Http,
];

/// A server of one application.
pub(crate) enum Server {
    House(Protocol, House),
    Http(SocketAddr, Arc<WsgiServer<'static>>),
}

/// Nothing on stderr.
struct Quiet;

impl WsgiRequestHandler for Quiet {
    fn log_message(&self, _: cgigate::net::Peer, _: std::fmt::Arguments<'_>) {}
    fn get_stderr(&self) -> Box<dyn std::io::Write + '_> {
        Box::new(std::io::sink())
    }
}

impl Server {
    pub(crate) fn start(way: Way, app: impl Application + 'static, threads: usize) -> Self {
        match way {
            Way::Gateway(protocol) => {
                let settings = Settings { threads, ..Settings::default() };
                let apps = Apps::default().otherwise(app);
                Self::House(protocol, House::speaking(protocol, apps, settings))
            }
            Way::Http => {
                let mut server = make_server("127.0.0.1", 0, app).unwrap();
                server.options = Options { threads, ..Options::http() };
                server.set_handler(Quiet);
                let (address, server) = (server.server_address().unwrap(), Arc::new(server));
                let serving = Arc::clone(&server);
                thread::spawn(move || serving.serve_forever().unwrap());
                Self::Http(address, server)
            }
        }
    }

    pub(crate) fn connect(&self) -> Peer {
        match self {
            Self::House(_, house) => house.unix(),
            Self::Http(address, _) => Peer::to(*address),
        }
    }

    /// Sends the head of a request, and the body as far as it is there: `length` bytes will come.
    pub(crate) fn begin(&self, target: &str, length: usize, body: &[u8]) -> Peer {
        let mut peer = self.connect();
        peer.send(&[self.head(target, length), self.piece(body)].concat());
        if length == 0 {
            peer.send(&self.end());
        }
        peer
    }

    /// The whole answer to a request without a body, framing and all.
    pub(crate) fn get(&self, target: &str) -> String {
        String::from_utf8_lossy(&self.finish(self.begin(target, 0, b""))).into_owned()
    }

    /// All that comes until the connection ends, without FastCGI's records.
    pub(crate) fn finish(&self, mut peer: Peer) -> Vec<u8> {
        if let Self::House(Protocol::FastCgi, _) = self {
            let answer = peer.answer(1);
            assert!(peer.at_end());
            return answer.stdout;
        }
        peer.rest()
    }

    fn head(&self, target: &str, length: usize) -> Vec<u8> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let method = if length == 0 { "GET" } else { "POST" };
        let digits = length.to_string();
        let mut vars = vec![
            ("REQUEST_METHOD", method),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", path),
            ("QUERY_STRING", query),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("HTTP_USER_AGENT", "caf\u{e9}"),
            // The name keeps the gateway from taking its peer for nginx.
            ("SERVER_SOFTWARE", "test"),
        ];
        let mut wire = Vec::new();
        match self {
            Self::Http(..) => {
                return format!(
                    "{method} {target} HTTP/1.1\r\nHost: h\r\nUser-Agent: caf\u{e9}\r\n\
                     Connection: close\r\nContent-Length: {length}\r\n\r\n"
                )
                .into_bytes();
            }
            Self::House(Protocol::Scgi, _) => scgi::head(&mut wire, length as u64, &vars).unwrap(),
            Self::House(protocol, _) => {
                vars.push(("CONTENT_LENGTH", &digits));
                if *protocol == Protocol::Uwsgi {
                    uwsgi::head(&mut wire, &vars).unwrap();
                    return wire;
                }
                let id = RequestId(NonZeroU16::MIN);
                fcgi::begin_request(&mut wire, id, Role::Responder, false);
                let mut stream = Vec::new();
                for (name, value) in vars {
                    fcgi::pair(&mut stream, name.as_bytes(), value.as_bytes());
                }
                params(&mut wire, 1, &stream);
            }
        }
        wire
    }

    /// Some of a body.
    pub(crate) fn piece(&self, body: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        match self {
            Self::House(Protocol::FastCgi, _) => {
                for piece in body.chunks(32 << 10) {
                    stdin(&mut wire, 1, piece);
                }
            }
            _ => wire.extend(body),
        }
        wire
    }

    /// The end of a body.
    pub(crate) fn end(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        if let Self::House(Protocol::FastCgi, _) = self {
            stdin(&mut wire, 1, b"");
        }
        wire
    }

    /// What the gateway logged; the HTTP server's log is its process's stderr.
    pub(crate) fn log(&self) -> Option<String> {
        match self {
            Self::House(_, house) => Some(house.log()),
            Self::Http(..) => None,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Http(_, server) = self {
            server.stop();
        }
    }
}
