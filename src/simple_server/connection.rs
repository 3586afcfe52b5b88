//! One connection: what came of its next request, and what becomes of it.

use super::{
    handler::Size,
    refused::Refused,
    request::{Request, as_far_as_it_came},
    serving::Serving,
    under_way::UnderWay,
};
use crate::{
    net::Peer,
    sys::{self, Readiness, SocketCell},
    types::Vars,
};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

/// What is read at a time.
pub(super) const PIECE: usize = 16 << 10;

/// What may be left of a body that nobody wanted, so that the connection is kept all the same.
pub(super) const UNWANTED: u64 = 256 << 10;

/// A connected socket, and what came of the next request.
pub(super) struct Connection {
    pub(super) socket: Arc<SocketCell>,
    pub(super) under_way: Arc<UnderWay>,
    pub(super) client: Peer,
    /// Where it came to: for a server that has several addresses, or all.
    local: Option<SocketAddr>,
    pub(super) buffer: Vec<u8>,
    /// Of the last request's body, bytes that are still to come and that nobody wants.
    pub(super) skip: u64,
}

/// What is to become of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come, or be there.
    Keep,
    /// Nothing more is sent. What still comes is read, within reason: closing a socket with
    /// something unread in it resets the connection, and the answer may be lost with it.
    Drain,
    /// It has ended, or must end so that the client can tell.
    Close,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, client: Peer) -> Self {
        // For these calls, of no matter which family the socket is.
        let stream = TcpStream::from(socket);
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok();
        let socket = Arc::new(SocketCell::from(OwnedFd::from(stream)));
        Self { socket, under_way: Arc::default(), client, local, buffer: Vec::new(), skip: 0 }
    }

    /// The variables that hold for every request on it.
    pub(super) fn base_environ(&self, serving: &Serving<'_>, vars: &mut Vars) {
        for (name, value) in serving.base_environ.iter() {
            // What says nothing is there for wsgiref's sake alone.
            if serving.options.is_modern() && value.is_empty() && name != b"SCRIPT_NAME" {
                continue;
            }
            vars.set(name, value);
        }
        let (name, port) = match self.local {
            // An IPv6 address stands in brackets where it is a host (RFC 3875 section 4.1.14).
            Some(SocketAddr::V6(local)) => match local.ip().to_canonical() {
                IpAddr::V4(ip) => (ip.to_string(), local.port()),
                IpAddr::V6(ip) => (format!("[{ip}]"), local.port()),
            },
            Some(SocketAddr::V4(local)) => (local.ip().to_string(), local.port()),
            None => ("localhost".into(), 80),
        };
        vars.set_default("SERVER_NAME", name);
        vars.set_default("SERVER_PORT", port.to_string());
    }

    /// Answers with an error page. Without a `request`, what came of one is in the buffer.
    pub(super) fn refuse(
        &mut self,
        serving: &Serving<'_>,
        refused: &Refused,
        request: Option<&Request>,
    ) -> After {
        let blank = self.buffer.iter().take_while(|byte| b"\r\n".contains(byte)).count();
        let came = request.map_or(&self.buffer[blank..], |request| &request.requestline);
        // http.server does not keep a line that is too long.
        let line = if refused.code() == 414 { b"" } else { first_line(came) };
        let is_head = line.starts_with(b"HEAD ");
        serving.handler.log_error(self.client, refused);
        serving.handler.log_request(self.client, line, refused.code(), Size::Page);
        let page = serving.page(refused, is_head);
        // It fits the socket's buffer, unless the client does not read its answers.
        let sent = self.socket.send(&page);
        let environ = || match request {
            Some(request) => Some(self.environ(serving, request)),
            None => Some(self.environ(serving, &as_far_as_it_came(came)?)),
        };
        serving.handler.refused(refused, &environ);
        match sent {
            Ok(n) if n == page.len() => After::Drain,
            _ => After::Close,
        }
    }

    /// The variables of a request that is not run.
    fn environ(&self, serving: &Serving<'_>, request: &Request) -> Vars {
        let mut vars = Vars::default();
        self.base_environ(serving, &mut vars);
        serving.handler.get_environ(request, self.client, serving.options.rules, &mut vars);
        vars
    }

    /// Tells the client that nothing more comes, and reads what does for a while.
    pub(super) fn drain(&mut self, limit: Duration) {
        self.socket.shutdown_write();
        let (deadline, mut scratch) = (Instant::now() + limit, [0; PIECE]);
        let mut left = UNWANTED * 16;
        while left > 0 {
            match self.socket.recv(&mut scratch) {
                Ok(0) => return,
                Ok(n) => left = left.saturating_sub(n as u64),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let rest = deadline.saturating_duration_since(Instant::now());
                    if rest.is_zero()
                        || !self.socket.wait(Readiness::Read, Some(rest)).unwrap_or(false)
                    {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Takes back what came behind a request of which `done` bytes are done with, and `unread` bytes of
    /// the body are not: what is here of these goes now, the rest when it comes.
    pub(super) fn put_back(&mut self, mut buffer: Vec<u8>, done: usize, unread: u64) {
        buffer.drain(..done);
        let here = usize::try_from(unread).unwrap_or(usize::MAX).min(buffer.len());
        buffer.drain(..here);
        self.skip = unread - here as u64;
        buffer.shrink_to(PIECE);
        self.buffer = buffer;
    }

    /// The reset of a connection whose end would else look like that of a whole answer.
    pub(super) fn reset(&self) {
        if let Some(socket) = self.socket.take() {
            let _ = sys::reset_on_close(socket.as_fd());
        }
    }
}

fn first_line(head: &[u8]) -> &[u8] {
    head.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default()
}
