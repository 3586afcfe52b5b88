//! The values that go into a template, each as its server writes it.

use super::{Config, Port, Speaks, Way};
use crate::{cli::Usage, net::Address};
use std::path::Path;

/// What several machines are asked for, to see whether they are well.
const PING: &str = "/ping";

/// What `@NAME@` stands for, by name.
pub(super) struct Values {
    values: Vec<(&'static str, Option<String>)>,
    /// How a line is made a comment that says what could stand there.
    comment: Option<&'static str>,
    /// A line with `@NODE@` is there for each of them.
    nodes: Vec<String>,
}

impl Values {
    pub(super) fn of(way: &Way, config: &Config, executable: &Path) -> Result<Self, Usage> {
        let executable = executable.to_string_lossy().into_owned();
        // IIS alone has paths with backslashes.
        plain("the executable's path", &executable.replace('\\', "/"))?;
        let mount = plain("--mount", &config.mount)?;
        let app = config.app.as_deref().map(|app| plain("--app", app)).transpose()?;
        if way.server == "busybox" {
            let name = mount.strip_prefix("/cgi-bin/");
            if config.mount != "/app" && name.is_none_or(|name| name.contains('/')) {
                let why =
                    "busybox httpd runs what is in /cgi-bin and nothing else: use /cgi-bin/NAME";
                return Err(Usage(format!("--mount {mount}: {why}")));
            }
        }
        let mount = match (way.server, mount.as_str()) {
            ("busybox", "/app") => "/cgi-bin/cgigate".into(),
            _ => mount,
        };
        let prefix = mount.trim_end_matches('/').to_owned();
        let regex = prefix.replace('.', r"\.").replace('+', r"\+");
        let location = if prefix.is_empty() { "/".into() } else { format!("~ ^{regex}(/|$)") };
        let (folder, file) = executable.rsplit_once(['/', '\\']).unwrap_or(("", &executable));
        let slash = if prefix.is_empty() { "/" } else { "" };
        let (folder, file) = (folder.to_owned(), file.to_owned());

        let protocol = protocol(way.speaks);
        let module = if protocol == "fastcgi" { "fastcgi" } else { "scgi" };
        let scheme = if protocol == "fastcgi" { "fcgi" } else { protocol };
        let listen = socket(way, config)?;
        let unix = match &listen {
            Address::Unix(path) => Some(plain("--listen", &path.to_string_lossy())?),
            _ => None,
        };
        let spawned = match (way.speaks, &unix) {
            (Speaks::Spawned, Some(path)) => path.clone(),
            _ => "/run/lighttpd/cgigate.sock".into(),
        };
        let tcp = matches!(listen, Address::Tcp(_)).then(|| listen.to_string());
        if way.server == "apache" && way.name == "authorizer" && tcp.is_none() {
            let why = "mod_authnz_fcgi connects to a host and port only";
            return Err(Usage(format!("--listen {listen}: {why}")));
        }
        let address = address(way.server, scheme, &listen);
        let web_group = match way.server {
            server @ ("haproxy" | "caddy") => server,
            _ => "www-data",
        };
        let owner = unix.as_ref().map(|_| format!(" --socket-owner :{web_group}"));
        let owner = owner.unwrap_or_default();
        let group = unix.as_ref().map(|_| "www-data".to_owned());
        let mode = unix.as_ref().map(|_| "0660".to_owned());
        // SCGI has the length first of all, and of itself.
        let length = (protocol != "scgi").then(|| "CONTENT_LENGTH".to_owned());
        let scgi_protocol = (module == "scgi").then(|| protocol.to_owned());
        // A service has them from its own command line, where no web server says them.
        let option = |name: &str, value: Option<&str>| {
            value.map(|value| format!(" --{name} {value}")).unwrap_or_default()
        };
        let mounted = Some(mount.as_str()).filter(|mount| *mount != "/app");
        let options = option("mount", mounted) + &option("app", app.as_deref());
        let kept = way.name != "fastcgi-close";
        let comment = (way.server != "iis").then_some("# ");
        let values = vec![
            ("ADDRESS", Some(address)),
            ("APP", app),
            ("BIND", Some(bind(way.server, config.port))),
            ("EXECUTABLE", Some(executable)),
            ("FILE", Some(file)),
            ("FOLDER", Some(folder)),
            ("GROUP", group),
            ("HOST", host(config.port)),
            ("IDLE", kept.then(|| "16".to_owned())),
            ("KEEP_CONN", Some(if kept { "on" } else { "off" }.to_owned())),
            ("KEPT", Some(if kept { "kept" } else { "closed after each request" }.to_owned())),
            ("LENGTH_NAME", length),
            ("LISTEN", Some(listen.to_string())),
            ("LOCATION", Some(location)),
            ("MODE", mode),
            ("MODULE", Some(module.to_owned())),
            ("MOUNT", Some(mount)),
            ("OPTIONS", Some(options)),
            ("OWNER", Some(owner)),
            ("PING", Some(PING.to_owned())),
            ("PREFIX", Some(prefix)),
            ("PROTOCOL", Some(protocol.to_owned())),
            ("REGEX", Some(regex)),
            ("SCGI", (protocol == "scgi").then(|| "1".to_owned())),
            ("SCGI_PROTOCOL", scgi_protocol),
            ("SCHEME", Some(scheme.to_owned())),
            ("SLASH", Some(slash.to_owned())),
            ("SOCKET", Some(spawned)),
            ("TCP", tcp),
            ("UNIX", unix),
            ("WEB", Some(web(config.port))),
        ];
        let nodes = config.nodes.iter().map(ToString::to_string).collect();
        Ok(Self { values, comment, nodes })
    }

    /// Appends the template with its values.
    pub(super) fn fill(&self, template: &str, text: &mut String) {
        for line in template.lines() {
            if line.contains("@NODE@") {
                for (node, number) in self.nodes.iter().zip(1..) {
                    let line = line.replace("@NODE@", node);
                    self.fill(&line.replace("@NUMBER@", &format!("{number}")), text);
                }
                continue;
            }
            let mut filled = line.to_owned();
            let mut missing = None;
            for (name, value) in &self.values {
                let mark = format!("@{name}@");
                if filled.contains(&mark) {
                    missing = missing.or(value.is_none().then_some(*name));
                    filled = filled.replace(&mark, value.as_deref().unwrap_or("NAME"));
                }
            }
            match (missing, self.comment) {
                (None, _) => text.push_str(&filled),
                (Some("APP"), Some(comment)) => {
                    let content = filled.trim_start();
                    text.push_str(&filled[..filled.len() - content.len()]);
                    text.push_str(comment);
                    text.push_str(content);
                }
                (Some(_), _) => continue,
            }
            text.push('\n');
        }
    }
}

/// Only what needs quotation marks in no server's language.
fn plain(what: &str, value: &str) -> Result<String, Usage> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/:._~+-".contains(c);
    if value.is_empty() || !value.chars().all(fits) || value.contains("--") {
        let why = "letters, digits and / . _ ~ + - are what all servers' files take as they are";
        return Err(Usage(format!("config: {what} {value:?}: {why}")));
    }
    Ok(value.to_owned())
}

fn protocol(speaks: Speaks) -> &'static str {
    match speaks {
        Speaks::Spawned | Speaks::FastCgi => "fastcgi",
        Speaks::Scgi => "scgi",
        Speaks::Uwsgi => "uwsgi",
    }
}

/// Where cgigate listens: what was said, or what it does without being told.
fn socket(way: &Way, config: &Config) -> Result<Address, Usage> {
    let listen = match (&config.listen, way.speaks) {
        (Some(listen), _) => listen.clone(),
        (None, Speaks::Spawned | Speaks::FastCgi) => Address::Tcp(([127, 0, 0, 1], 9000).into()),
        (None, Speaks::Scgi) => Address::Tcp(([127, 0, 0, 1], 4000).into()),
        (None, Speaks::Uwsgi) => Address::Tcp(([127, 0, 0, 1], 3031).into()),
    };
    let why = match (&listen, way.server, way.speaks) {
        (Address::Tcp(address), ..) if address.port() == 0 => {
            "name a port that the web server can know".into()
        }
        // It would be relative to a folder of the web server's.
        (Address::Unix(path), ..) if !path.is_absolute() => "name it by its whole path".into(),
        (_, _, Speaks::Spawned) | (Address::Tcp(_) | Address::Unix(_), ..) => return Ok(listen),
        (Address::Abstract(name), "haproxy" | "systemd", _) => {
            plain("--listen", name)?;
            return Ok(listen);
        }
        (Address::Abstract(_), server, _) => format!("{server} does not know abstract sockets"),
        (Address::Fd(_) | Address::Systemd(_), ..) => {
            "no other process can connect to that; name the socket itself".into()
        }
    };
    Err(Usage(format!("--listen {listen}: {why}")))
}

/// The same as the web server writes it.
fn address(server: &str, scheme: &str, listen: &Address) -> String {
    match (server, listen) {
        ("apache", Address::Unix(path)) => format!("unix:{}|{scheme}://cgigate/", path.display()),
        ("apache", address) => format!("{scheme}://{address}/"),
        ("lighttpd", Address::Unix(path)) => format!("\"socket\" => \"{}\"", path.display()),
        ("lighttpd", Address::Tcp(address)) => {
            format!("\"host\" => \"{}\", \"port\" => {}", address.ip(), address.port())
        }
        ("haproxy", Address::Unix(path)) => format!("unix@{}", path.display()),
        ("haproxy", Address::Abstract(name)) => format!("abns@{name}"),
        ("caddy", Address::Unix(path)) => format!("unix/{}", path.display()),
        ("systemd", Address::Unix(path)) => path.display().to_string(),
        ("systemd", Address::Abstract(name)) => format!("@{name}"),
        (_, address) => address.to_string(),
    }
}

/// Where the web server listens, as it writes that.
fn bind(server: &str, port: Port) -> String {
    match (server, port) {
        ("nginx" | "busybox", Port::Everywhere(port)) => port.to_string(),
        // Its `bind` is a line of its own.
        ("caddy", Port::At(address)) => format!(":{}", address.port()),
        (_, Port::Everywhere(port)) => format!(":{port}"),
        (_, Port::At(address)) => address.to_string(),
    }
}

/// The only address at which it listens.
fn host(port: Port) -> Option<String> {
    match port {
        Port::Everywhere(_) => None,
        Port::At(address) => Some(address.ip().to_string()),
    }
}

/// What a client on the same machine writes after `http://`.
fn web(port: Port) -> String {
    match port {
        Port::Everywhere(80) => "localhost".to_owned(),
        Port::Everywhere(port) => format!("localhost:{port}"),
        Port::At(address) if address.ip().is_unspecified() => {
            format!("localhost:{}", address.port())
        }
        Port::At(address) => address.to_string(),
    }
}
