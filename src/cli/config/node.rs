//! `--node HOST:PORT`: one of several machines behind one web server.

use std::{fmt, net::SocketAddr, str::FromStr};

/// Where a machine's FastCGI listens: HAProxy and nginx write it as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node(String);

impl FromStr for Node {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |host: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && !host.starts_with('-') && host.bytes().all(fits)
        };
        let named = text.rsplit_once(':').is_some_and(|(host, port)| {
            is_name(host) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        let numbered = text.parse::<SocketAddr>().is_ok_and(|address| address.port() > 0);
        if named || numbered { Ok(Self(text.into())) } else { Err("use HOST:PORT") }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_hosts_with_a_port() {
        for text in ["10.0.0.1:9000", "[2001:db8::1]:9000", "node-1.example:9000"] {
            assert_eq!(text.parse::<Node>().unwrap().to_string(), text);
        }
        for text in ["", "10.0.0.1", ":9000", "a:0", "a:x", "a b:1", "a;b:1", "-a:1", "::1:9000"] {
            assert!(text.parse::<Node>().is_err(), "{text}");
        }
    }
}
