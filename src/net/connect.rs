//! Connections to where somebody else listens.

use super::Address;
use std::{
    fmt,
    io::{self, ErrorKind},
    net::TcpStream,
    os::{
        fd::OwnedFd,
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddr, UnixStream},
    },
    str::FromStr,
    sync::mpsc,
    thread,
    time::Duration,
};

/// Where to connect to: an [`Address`] that is not of this process, or a host's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Address(Address),
    /// `php:9000`, to be looked up.
    Host {
        name: String,
        port: u16,
    },
}

/// A text that is no [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address to connect to: use 127.0.0.1:9000, :9000, host:9000, unix:/path or unix:@name"
)]
pub(crate) struct DestinationError(String);

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        match text.parse() {
            Ok(Address::Fd(_) | Address::Systemd(_)) => Err(DestinationError(text.into())),
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => host(text).ok_or_else(|| DestinationError(text.into())),
        }
    }
}

fn host(text: &str) -> Option<Destination> {
    let (name, port) = text.rsplit_once(':')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let plain = !name.is_empty() && name.bytes().all(is_name);
    let port = port.parse().ok().filter(|_| plain)?;
    Some(Destination::Host { name: name.into(), port })
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

impl Destination {
    /// A connected stream socket.
    ///
    /// # Errors
    /// What the system says; `TimedOut` when it takes longer than `limit`.
    pub(crate) fn connect(&self, limit: Option<Duration>) -> io::Result<OwnedFd> {
        let Some(limit) = limit else { return self.dial() };
        // Neither the look-up of a name nor a Unix socket with a full backlog can be told a limit,
        // so another thread waits for them, in the worst case until the process ends.
        let (done, outcome) = mpsc::channel();
        let destination = self.clone();
        thread::Builder::new().spawn(move || done.send(destination.dial()))?;
        outcome.recv_timeout(limit).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    fn dial(&self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Host { name, port } => TcpStream::connect((&**name, *port))?.into(),
            Self::Address(Address::Tcp(address)) => TcpStream::connect(address)?.into(),
            Self::Address(Address::Unix(path)) => UnixStream::connect(path)?.into(),
            Self::Address(Address::Abstract(name)) => {
                let address = UnixAddr::from_abstract_name(name)?;
                UnixStream::connect_addr(&address)?.into()
            }
            Self::Address(Address::Fd(_) | Address::Systemd(_)) => {
                return Err(ErrorKind::Unsupported.into());
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn destinations_are_the_same_both_ways_and_nonsense_is_named() {
        for text in ["127.0.0.1:9000", "[::1]:1", "unix:/a b", "unix:@n", "php-fpm.local:9000"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!(":9000".parse::<Destination>().unwrap().to_string(), "127.0.0.1:9000");
        for text in ["", "9000", "host", "unix:", "fd:3", "systemd", "/run/x.sock", "a b:1", "x:y"]
        {
            let error = text.parse::<Destination>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?} is no address")), "{error}");
        }
    }

    #[test]
    fn a_host_is_looked_up_and_a_refusal_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = Destination::Host { name: "localhost".into(), port };
        assert!(host.connect(Some(Duration::from_secs(10))).is_ok());
        drop(listener);
        let error = host.connect(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    }

    #[test]
    fn a_full_backlog_is_waited_for_no_longer_than_the_limit() {
        let name = format!("cgigate-full-{}", std::process::id());
        let address = UnixAddr::from_abstract_name(&name).unwrap();
        let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        crate::sys::listen(std::os::fd::AsFd::as_fd(&listener), 0).unwrap();
        let full = Destination::Address(Address::Abstract(name));
        let limit = Some(Duration::from_millis(20));
        let mut waiting = Vec::new();
        let error = loop {
            match full.connect(limit) {
                Ok(connected) => waiting.push(connected),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
}
