//! Where a server listens: `--listen`, what is spoken there, and who may connect.

use super::options::Served;
use crate::net::{self, Address};
use std::str::FromStr;
#[cfg(unix)]
use {
    super::{Usage, options::Server as Options},
    crate::{
        gateway::Protocol,
        net::{Allow, BindOptions, Listener},
    },
    std::env,
};

/// `[PROTOCOL+]ADDR`: an address, and what is spoken there if it is not what the command says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    served: Option<Served>,
    address: Address,
}

impl FromStr for Listen {
    type Err = net::AddressError;

    fn from_str(text: &str) -> Result<Self, net::AddressError> {
        let named = text.split_once('+').and_then(|(name, rest)| Some((name.parse().ok()?, rest)));
        let (served, address) = named.map_or((None, text), |(served, rest)| (Some(served), rest));
        Ok(Self { served, address: address.parse()? })
    }
}

/// A socket that listens, and what is spoken there.
#[cfg(unix)]
pub(super) struct Door {
    pub(super) served: Served,
    pub(super) listener: Listener,
}

#[cfg(unix)]
impl Door {
    /// Listens where the command line says; else where somebody has listened for this process; else
    /// where the protocol is at home.
    pub(super) fn open(
        command: Served,
        server: &Options,
        allow: &Allow,
    ) -> anyhow::Result<Vec<Self>> {
        if server.listen.is_empty() && net::stdin_listens() {
            return Ok(vec![Self { served: command, listener: Listener::stdin()? }]);
        }
        let mut places = server.listen.clone();
        if places.is_empty() {
            let default = match command {
                _ if !net::handed_over(None).is_empty() => "systemd",
                Served::WebServers(Protocol::FastCgi) => "127.0.0.1:9000",
                Served::WebServers(Protocol::Scgi) => "127.0.0.1:4000",
                Served::WebServers(Protocol::Uwsgi) => "127.0.0.1:3031",
                Served::Http => "127.0.0.1:8000",
            };
            places.extend(default.parse::<Listen>());
        }
        if let Some(exposed) = places.iter().find(|place| place.address.is_exposed())
            && !allow.has_networks()
        {
            let address = &exposed.address;
            let why = format!(
                "--listen {address}: others than this machine could connect; say who may by --allow CIDR, or listen on loopback or a unix socket"
            );
            return Err(Usage(why).into());
        }
        let options = bind_options(server);
        let mut doors = Vec::new();
        for Listen { served, address } in places {
            let served = served.unwrap_or(command);
            let listeners = Listener::bind(&address, &options)?;
            doors.extend(listeners.into_iter().map(|listener| Self { served, listener }));
        }
        Ok(doors)
    }
}

/// How sockets are made.
#[cfg(unix)]
pub(super) fn bind_options(server: &Options) -> BindOptions {
    BindOptions {
        backlog: server.backlog,
        socket_mode: server.socket_mode,
        socket_owner: server.socket_owner.clone(),
    }
}

/// Who may connect.
#[cfg(unix)]
pub(super) fn allow(command: Served, server: &Options) -> anyhow::Result<Allow> {
    const WEB_SERVERS: &str = "FCGI_WEB_SERVER_ADDRS";
    const FASTCGI: Served = Served::WebServers(Protocol::FastCgi);
    let mut allow = Allow::new(server.allow.clone(), server.allow_uid.clone());
    let mut served = server.listen.iter().filter_map(|listen| listen.served).chain([command]);
    if served.any(|served| served == FASTCGI)
        && let Some(addresses) = env::var_os(WEB_SERVERS)
    {
        let added = allow.add_web_servers(&addresses.to_string_lossy());
        added.map_err(|why| Usage(format!("{WEB_SERVERS}: {why}")))?;
    }
    Ok(allow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Protocol;

    #[test]
    fn a_protocol_can_stand_before_an_address() {
        let listen = |text: &str| text.parse::<Listen>().unwrap();
        let plain = listen("unix:/run/scgi+x.sock");
        assert_eq!(
            (plain.served, plain.address.to_string().as_str()),
            (None, "unix:/run/scgi+x.sock")
        );
        for (name, served) in [
            ("fastcgi", Served::WebServers(Protocol::FastCgi)),
            ("scgi", Served::WebServers(Protocol::Scgi)),
            ("uwsgi", Served::WebServers(Protocol::Uwsgi)),
            ("http", Served::Http),
        ] {
            for address in ["127.0.0.1:9000", "[::1]:9000", "unix:@a+b", "systemd:x", "fd:3"] {
                let both = listen(&format!("{name}+{address}"));
                assert_eq!(both.served, Some(served));
                assert_eq!(both.address.to_string(), address);
            }
        }
        for wrong in ["gopher+:70", "scgi+", "scgi++:1", "+:1", ""] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }
}
