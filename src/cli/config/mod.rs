//! `config SERVER [WAY]`: a configuration that works, for a web server in front of this executable.
//!
//! Each way to be behind a server is one text beside this file, as its operator would write it.
//! `@NAME@` in it stands for a value. A line with a value that there is none of is left out; but
//! where no application was named, the line that would name it stays as a comment.

mod node;
mod values;

use super::Usage;
use anyhow::Context as _;
use clap::Args;
use node::Node;
use std::{env, io::Write as _, net::SocketAddr, process::ExitCode, str::FromStr};
use values::Values;

use crate::{gateway::MountPoint, net::Address};

/// What the configuration shall say.
#[derive(Args, Debug)]
pub(super) struct Config {
    /// nginx, apache, lighttpd, haproxy, caddy, busybox, iis or systemd
    server: String,
    /// How it shall ask: the configuration names the other ways at its end
    way: Option<String>,
    /// Where cgigate listens [default: that of the protocol]
    #[arg(long, env = "CGIGATE_LISTEN")]
    listen: Option<Address>,
    /// Where the web server listens: PORT or ADDRESS:PORT. Apache and lighttpd say it elsewhere
    #[arg(long, env = "CGIGATE_PORT", value_name = "[ADDRESS:]PORT", default_value = "80")]
    port: Port,
    /// The path below which the applications are
    #[arg(long, env = "CGIGATE_MOUNT", value_name = "PATH", default_value = "/app",
          value_parser = mount)]
    mount: String,
    /// The application that answers; without it the path's next segment names it
    #[arg(long, env = "CGIGATE_APP")]
    app: Option<String>,
    /// One of several machines that answer; repeatable, for nginx and haproxy
    #[arg(long = "node", env = "CGIGATE_NODE", value_name = "HOST:PORT", value_delimiter = ' ')]
    nodes: Vec<Node>,
}

/// Where the web server listens: at a port of all addresses, or at one address alone.
#[derive(Clone, Copy, Debug)]
enum Port {
    Everywhere(u16),
    At(SocketAddr),
}

impl FromStr for Port {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = text.parse().map(Self::Everywhere).or_else(|_| text.parse().map(Self::At));
        let number = |port: &Self| match port {
            Self::Everywhere(port) => *port,
            Self::At(address) => address.port(),
        };
        port.ok().filter(|port| number(port) > 0).ok_or("not [ADDRESS:]PORT")
    }
}

/// Kept as text, which goes into texts.
fn mount(text: &str) -> Result<String, String> {
    text.parse::<MountPoint>().map_err(|error| error.to_string())?;
    Ok(if text == "/" { text } else { text.trim_end_matches('/') }.to_owned())
}

/// One way to be behind one web server.
struct Way {
    server: &'static str,
    name: &'static str,
    speaks: Speaks,
    template: &'static str,
}

/// Who starts the executable, and what is spoken with it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    /// The web server starts it.
    Spawned,
    /// It listens by itself.
    FastCgi,
    Scgi,
    Uwsgi,
}

use Speaks::{FastCgi, Scgi, Spawned, Uwsgi};

macro_rules! ways {
    ($($server:literal: $($name:literal $speaks:ident $file:literal),+;)+) => {
        /// The first way of each server is the usual one.
        const WAYS: &[Way] = &[$($(
            Way { server: $server, name: $name, speaks: $speaks, template: include_str!($file) },
        )+)+];
    };
}

ways! {
    "nginx":
        "fastcgi" FastCgi "nginx-fastcgi.conf",
        "fastcgi-close" FastCgi "nginx-fastcgi.conf",
        "scgi" Scgi "nginx-socket.conf",
        "uwsgi" Uwsgi "nginx-socket.conf";
    "apache":
        "proxy_fcgi" FastCgi "apache-proxy.conf",
        "proxy_scgi" Scgi "apache-proxy.conf",
        "proxy_uwsgi" Uwsgi "apache-proxy.conf",
        "cgi" Spawned "apache-cgi.conf",
        "fcgid" Spawned "apache-fcgid.conf",
        "authorizer" FastCgi "apache-authorizer.conf",
        "access-checker" Spawned "apache-access-checker.conf";
    "lighttpd":
        "fastcgi" FastCgi "lighttpd-socket.conf",
        "scgi" Scgi "lighttpd-socket.conf",
        "uwsgi" Uwsgi "lighttpd-socket.conf",
        "spawn" Spawned "lighttpd-spawn.conf",
        "cgi" Spawned "lighttpd-cgi.conf",
        "authorizer" FastCgi "lighttpd-authorizer.conf";
    "haproxy":
        "fastcgi" FastCgi "haproxy.cfg";
    "caddy":
        "fastcgi" FastCgi "Caddyfile";
    "busybox":
        "cgi" Spawned "busybox.sh";
    "iis":
        "fastcgi" Spawned "iis-fastcgi.config",
        "cgi" Spawned "iis-cgi.config";
    "systemd":
        "socket" FastCgi "cgigate.socket",
        "service" FastCgi "cgigate.service";
}

/// In front of several machines, which `--node` names.
const NODES: [Way; 2] = [
    Way {
        server: "nginx",
        name: "fastcgi",
        speaks: FastCgi,
        template: include_str!("nginx-nodes.conf"),
    },
    Way {
        server: "haproxy",
        name: "fastcgi",
        speaks: FastCgi,
        template: include_str!("haproxy-nodes.cfg"),
    },
];

pub(super) fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let ways = match &config.nodes[..] {
        [] => ways_of(config)?,
        _ => vec![way_of_nodes(config)?],
    };
    let executable = match ways[0].server {
        // Those who ask for it elsewhere mean another machine.
        "iis" if !cfg!(windows) => r"C:\cgigate\cgigate.exe".into(),
        _ => env::current_exe().context("find the executable's own path")?,
    };
    let mut text = String::new();
    for way in &ways {
        let values = Values::of(way, config, &executable)?;
        values.fill(way.template, &mut text);
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    if let ([way], []) = (&ways[..], &config.nodes[..]) {
        text.push_str(&other_ways(way));
    }
    std::io::stdout().write_all(text.as_bytes()).context("write the configuration")?;
    Ok(ExitCode::SUCCESS)
}

/// The way to be behind a server together with other machines.
fn way_of_nodes(config: &Config) -> Result<&'static Way, Usage> {
    let Config { server, way, .. } = config;
    let asked =
        |known: &&Way| known.server == server && way.as_deref().is_none_or(|it| it == known.name);
    NODES.iter().find(asked).ok_or_else(|| {
        Usage(format!("config {server} --node: use `nginx` or `haproxy`, which ask by fastcgi"))
    })
}

/// The ways that are asked for. systemd has a unit for each half of one way, and wants both.
fn ways_of(config: &Config) -> Result<Vec<&'static Way>, Usage> {
    let server = &config.server;
    let mut ways: Vec<_> = WAYS.iter().filter(|way| way.server == server).collect();
    if ways.is_empty() {
        let mut known: Vec<_> = WAYS.iter().map(|way| way.server).collect();
        known.dedup();
        let known = known.join(", ");
        return Err(Usage(format!("config {server}: no such server; known: {known}")));
    }
    match &config.way {
        None if server == "systemd" => {}
        None => ways.truncate(1),
        Some(name) => {
            let known: Vec<_> = ways.iter().map(|way| way.name).collect();
            let known = known.join(", ");
            ways.retain(|way| way.name == name);
            if ways.is_empty() {
                let why = format!("config {server} {name}: no such way; known: {known}");
                return Err(Usage(why));
            }
        }
    }
    Ok(ways)
}

/// What else could have been asked for, as a comment.
fn other_ways(way: &Way) -> String {
    let others = WAYS.iter().filter(|other| other.server == way.server && other.name != way.name);
    let others: Vec<_> = others.map(|other| other.name).collect();
    match (others.is_empty(), way.server) {
        (true, _) => String::new(),
        (false, "iis") => format!("<!-- Other ways: cgigate config iis {} -->\n", others.join("|")),
        (false, server) => {
            format!("\n# Other ways: cgigate config {server} {}\n", others.join("|"))
        }
    }
}
