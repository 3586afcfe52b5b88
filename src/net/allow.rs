//! Who may connect: `--allow`, `--allow-uid`, and `FCGI_WEB_SERVER_ADDRS` (FastCGI 1.0, section 3.2).

use super::Peer;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network as CIDR has it: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// An IPv4 address that is mapped into IPv6 (`::ffff:10.0.0.1`, RFC 4291 section 2.5.5.2) is the
/// IPv4 address: that is how such peers look on a socket of both families. No other network of
/// IPv6 has addresses of IPv4 in it, `::/0` neither.
///
/// ```
/// use cgigate::net::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("::ffff:10.1.2.3".parse()?));
/// assert!(!network.contains("11.0.0.1".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits of it count.
    prefix: u32,
}

/// A text that is no [`Network`].
///
/// ```
/// use cgigate::net::Network;
///
/// let error = "10.0.0.0/33".parse::<Network>().unwrap_err();
/// assert!(error.to_string().starts_with("\"10.0.0.0/33\" is no network: "));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: use an address, or 10.0.0.0/8, 2001:db8::/32")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.into());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
        let prefix = match prefix {
            None => most,
            // `parse` would take a sign too.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|prefix| *prefix <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        const MAPPED: u32 = Ipv6Addr::BITS - Ipv4Addr::BITS;
        Ok(match address.to_canonical() {
            mapped @ IpAddr::V4(_) if address.is_ipv6() && prefix >= MAPPED => {
                Self { address: mapped, prefix: prefix - MAPPED }
            }
            _ => Self { address, prefix },
        })
    }
}

impl Network {
    /// Whether an address lies in it.
    ///
    /// ```
    /// use cgigate::net::Network;
    ///
    /// let network: Network = "2001:db8::/32".parse()?;
    /// assert!(network.contains("2001:db8::7".parse()?));
    /// assert!(!network.contains("10.0.0.7".parse()?));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.leading_zeros() >= self.prefix
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Who may connect.
///
/// By default: over TCP this machine, over a Unix socket whoever its file lets.
///
/// ```
/// use cgigate::net::{Allow, Peer};
///
/// let loopback = Allow::default();
/// assert!(loopback.admits(Peer::Ip("127.0.0.1".parse()?)));
/// assert!(!loopback.admits(Peer::Ip("10.0.0.7".parse()?)));
/// let mut named = Allow::new(vec!["10.0.0.0/8".parse()?], vec![33]);
/// named.add_web_servers("192.0.2.1, 192.0.2.2")?;
/// assert!(named.admits(Peer::Ip("192.0.2.2".parse()?)) && !named.admits(Peer::User(1000)));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// None: loopback.
    networks: Vec<Network>,
    /// None: anybody.
    uids: Vec<u32>,
}

impl Allow {
    /// Peers in one of `networks`, or of one of the users `uids`; where a list is empty, what is so
    /// by default.
    ///
    /// ```
    /// use cgigate::net::{Allow, Peer};
    ///
    /// let www_data = 33;
    /// let allow = Allow::new(Vec::new(), vec![www_data]);
    /// assert!(allow.admits(Peer::User(www_data)) && !allow.admits(Peer::User(0)));
    /// assert!(allow.admits(Peer::Ip("::1".parse()?))); // networks are as by default
    /// # Ok::<_, std::net::AddrParseError>(())
    /// ```
    pub fn new(networks: Vec<Network>, uids: Vec<u32>) -> Self {
        Self { networks, uids }
    }

    /// Adds the addresses of `FCGI_WEB_SERVER_ADDRS`, separated by commas.
    ///
    /// ```
    /// use cgigate::net::{Allow, NetworkError};
    ///
    /// let mut allow = Allow::default();
    /// allow.add_web_servers(&std::env::var("FCGI_WEB_SERVER_ADDRS").unwrap_or_default())?;
    /// assert!(allow.add_web_servers("192.0.2.1,www.example.org").is_err()); // no names
    /// # Ok::<_, NetworkError>(())
    /// ```
    ///
    /// # Errors
    /// One of them is none.
    pub fn add_web_servers(&mut self, addresses: &str) -> Result<(), NetworkError> {
        let listed = addresses.split(',').map(str::trim).filter(|address| !address.is_empty());
        let networks = listed.map(Network::from_str).collect::<Result<Vec<_>, _>>()?;
        self.networks.extend(networks);
        Ok(())
    }

    /// Whether it says who may connect over TCP; else only this machine may.
    ///
    /// ```
    /// use cgigate::net::Allow;
    ///
    /// assert!(!Allow::default().has_networks());
    /// assert!(Allow::new(vec!["10.0.0.0/8".parse()?], Vec::new()).has_networks());
    /// # Ok::<_, cgigate::net::NetworkError>(())
    /// ```
    pub fn has_networks(&self) -> bool {
        !self.networks.is_empty()
    }

    /// Whether the peer of a new connection may stay, whose address is known unless it came over a
    /// Unix socket; `Err` is the one that may not, where it can be told.
    #[cfg(unix)]
    pub(crate) fn admits_socket(
        &self,
        socket: &impl std::os::fd::AsFd,
        address: Option<IpAddr>,
    ) -> Result<(), Option<Peer>> {
        let peer = match address {
            Some(address) => Peer::Ip(address),
            // Whoever it is: nobody need be asked.
            None if self.uids.is_empty() => return Ok(()),
            None => crate::sys::peer_user(socket.as_fd()).map(Peer::User).map_err(|_| None)?,
        };
        if self.admits(peer) { Ok(()) } else { Err(Some(peer)) }
    }

    /// Whether a peer may connect.
    ///
    /// ```
    /// use cgigate::net::{Allow, Peer};
    /// use std::net::{TcpListener, TcpStream};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let _client = TcpStream::connect(listener.local_addr()?)?;
    /// let (_, address) = listener.accept()?;
    /// assert!(Allow::default().admits(Peer::Ip(address.ip())));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn admits(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) if self.networks.is_empty() => address.to_canonical().is_loopback(),
            Peer::Ip(address) => self.networks.iter().any(|network| network.contains(address)),
            Peer::User(uid) => self.uids.is_empty() || self.uids.contains(&uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn every_bit_of_the_prefix_counts_and_none_behind_it() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.9.9.9", "9.1.2.3"),
            ("192.0.2.5", "192.0.2.5", "192.0.2.4"),
            ("192.0.2.4/31", "192.0.2.5", "192.0.2.6"),
            ("0.0.0.0/1", "127.255.255.255", "128.0.0.0"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::"),
            ("2001:db8::2/127", "2001:db8::3", "2001:db8::1"),
            ("::/0", "2001:db8::", "10.0.0.1"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::ffff:10.0.0.0/104", "10.1.1.1", "11.0.0.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("10.0.0.0/8", "::ffff:10.1.1.1", "::ffff:11.1.1.1"),
            ("::/0", "::1", "::ffff:10.1.1.1"),
        ] {
            assert!(contains(network, inside), "{inside} in {network}");
            assert!(!contains(network, outside), "{outside} in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            " 10.0.0.1",
            "example.test",
            "[::1]",
            "fe80::1%eth0",
            "1.2.3.4:80",
            "10.0.0.0/99999999999",
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no network")), "{error}");
        }
    }

    #[test]
    fn by_default_only_loopback_may_and_a_list_stands_instead() {
        let ip = |address: &str| Peer::Ip(address.parse().unwrap());
        let default = Allow::default();
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(default.admits(ip(loopback)), "{loopback}");
        }
        for foreign in ["10.0.0.1", "2001:db8::1", "::", "0.0.0.0", "::ffff:10.0.0.1"] {
            assert!(!default.admits(ip(foreign)), "{foreign}");
        }
        let mut allow = Allow::new(vec!["10.0.0.0/8".parse().unwrap()], vec![]);
        allow.add_web_servers("192.0.2.1, 2001:db8::1,").unwrap();
        for listed in ["10.1.1.1", "192.0.2.1", "2001:db8::1"] {
            assert!(allow.admits(ip(listed)), "{listed}");
        }
        assert!(!allow.admits(ip("127.0.0.1")) && !allow.admits(ip("192.0.2.2")));
        assert_eq!(allow.add_web_servers("1.2.3.4,x"), Err(NetworkError("x".into())));
        assert!(!allow.admits(ip("1.2.3.4")), "all or none");
        let mut empty = Allow::default();
        empty.add_web_servers("").unwrap();
        assert!(!empty.has_networks(), "empty is absent");
    }

    #[test]
    fn users_are_asked_for_only_where_they_are_listed() {
        assert!(Allow::default().admits(Peer::User(12)));
        let allow = Allow::new(vec![], vec![33, 0]);
        assert!(allow.admits(Peer::User(33)) && allow.admits(Peer::User(0)));
        assert!(!allow.admits(Peer::User(12)));
    }

    proptest! {
        #[test]
        fn a_network_has_the_addresses_that_share_its_prefix(
            ours: u128, flip in 0..128u32, prefix in 0..=128u32,
        ) {
            let ours = ours | 1 << 127; // Not a mapped one.
            let theirs = ours ^ 1 << (127 - flip);
            prop_assume!(flip > 0);
            let (ours, theirs) = (Ipv6Addr::from_bits(ours), Ipv6Addr::from_bits(theirs));
            let network: Network = format!("{ours}/{prefix}").parse().unwrap();
            prop_assert!(network.contains(ours.into()));
            prop_assert_eq!(network.contains(theirs.into()), flip >= prefix);
        }

        #[test]
        fn a_mapped_address_is_the_address_itself(ours: u32, theirs: u32, prefix in 0..=32u32) {
            let (ours, theirs) = (Ipv4Addr::from_bits(ours), Ipv4Addr::from_bits(theirs));
            let plain: Network = format!("{ours}/{prefix}").parse().unwrap();
            let mapped: Network = format!("::ffff:{ours}/{}", prefix + 96).parse().unwrap();
            prop_assert_eq!(plain, mapped);
            let theirs_mapped = IpAddr::from(theirs.to_ipv6_mapped());
            prop_assert_eq!(plain.contains(theirs.into()), plain.contains(theirs_mapped));
        }

        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,20}") {
            let _ = text.parse::<Network>();
        }
    }
}
