//! Where a server listens: addresses, the sockets behind them, and who may connect.
//!
//! ```
//! use cgigate::net::{Address, Allow, Peer};
//!
//! let address: Address = "0.0.0.0:9000".parse()?;
//! let allow = Allow::new(vec!["10.1.0.0/16".parse()?], Vec::new());
//! // As the command line has it: where others can come, somebody must have said who may.
//! assert!(!address.is_exposed() || allow.has_networks());
//! assert!(allow.admits(Peer::Ip("10.1.2.3".parse()?)));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod allow;
#[cfg(unix)]
mod connect;
#[cfg(unix)]
mod listener;
#[cfg(unix)]
mod notify;
mod owner;
#[cfg(unix)]
mod siblings;
#[cfg(unix)]
mod succession;

pub use crate::sys::Peer;
pub use allow::{Allow, Network, NetworkError};
#[cfg(unix)]
pub(crate) use connect::Destination;
#[cfg(unix)]
pub use listener::{BindOptions, ListenError, Listener};
#[cfg(unix)]
pub(crate) use listener::{handed_over, stdin_listens};
#[cfg(unix)]
pub(crate) use notify::notify;
pub use owner::{Owner, OwnerError};
#[cfg(unix)]
pub(crate) use siblings::{Counter, Lodging, Siblings, Vacancies};
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};
#[cfg(unix)]
pub(crate) use succession::{Heir, Passed, Succession};

/// An address to listen on, as `--listen` takes it.
///
/// ```
/// let address: cgigate::net::Address = ":9000".parse()?;
/// assert_eq!(address.to_string(), "127.0.0.1:9000");
/// # Ok::<_, cgigate::net::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:9000`, `[::1]:9000`, `:9000` for loopback.
    Tcp(SocketAddr),
    /// `unix:/run/app.sock`
    Unix(PathBuf),
    /// `unix:@name`: no file, but a name of this network namespace (unix(7)).
    Abstract(String),
    /// `fd:N`: a socket that the process was started with.
    Fd(i32),
    /// `systemd`, `systemd:NAME`: one of LISTEN_FDS (sd_listen_fds(3)).
    Systemd(Option<String>),
}

/// A text that is no [`Address`].
///
/// ```
/// use cgigate::net::Address;
///
/// let error = "9000".parse::<Address>().unwrap_err();
/// assert!(error.to_string().starts_with("\"9000\" is no address: use 127.0.0.1:9000, "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address: use 127.0.0.1:9000, [::1]:9000, :9000, unix:/path, unix:@name, fd:N or systemd[:NAME]"
)]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.into());
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("unix", path) => match path.strip_prefix('@') {
                Some("") => Err(wrong()),
                Some(name) => Ok(Self::Abstract(name.into())),
                None if path.is_empty() => Err(wrong()),
                None => Ok(Self::Unix(path.into())),
            },
            ("fd", number) => number
                .parse()
                .ok()
                .filter(|fd| (0..1 << 20).contains(fd))
                .map(Self::Fd)
                .ok_or_else(wrong),
            ("systemd", "") => Ok(Self::Systemd(None)),
            ("systemd", name) => Ok(Self::Systemd(Some(name.into()))),
            ("" | "localhost", port) => {
                let port = port.parse().map_err(|_| wrong())?;
                Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()))
            }
            _ => text.parse().map(Self::Tcp).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Systemd(None) => f.write_str("systemd"),
            Self::Systemd(Some(name)) => write!(f, "systemd:{name}"),
        }
    }
}

impl Address {
    /// Whether others than this machine can reach it.
    ///
    /// ```
    /// use cgigate::net::Address;
    ///
    /// let [loopback, every] = ["127.0.0.1:80", "0.0.0.0:80"].map(|text| text.parse::<Address>());
    /// assert!(!loopback?.is_exposed() && every?.is_exposed());
    /// # Ok::<_, cgigate::net::AddressError>(())
    /// ```
    pub fn is_exposed(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().to_canonical().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_the_same_both_ways_and_nonsense_is_named() {
        for text in ["127.0.0.1:9000", "[::1]:9000", "unix:/a b", "unix:@n", "fd:3", "systemd:x"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "9000", "x", "unix:", "unix:@", "fd:", "fd:-1", ":x", "1.2.3.4", "[::1]"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?} is no address")), "{error}");
        }
        let exposed = |text: &str| text.parse::<Address>().unwrap().is_exposed();
        assert!(exposed("0.0.0.0:1") && exposed("[::]:1"));
        assert!(!exposed(":1") && !exposed("[::ffff:127.0.0.1]:1") && !exposed("unix:/x"));
    }
}
