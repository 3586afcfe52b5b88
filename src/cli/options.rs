//! The command line, and the `CGIGATE_*` variables that stand for it.

#[cfg(unix)]
use super::{check::Check, conform::Conform, get::Get};
use super::{
    config::Config,
    doors::Listen,
    manual::{self, Completions, examples},
    record,
    values::{
        Limit, body_size, duration, limit, method, mode, number, page, patience, size, switch,
        target, variable, workers,
    },
};
use crate::{
    apps::Accel,
    gateway::{MountPoint, Protocol, RecordPlan},
    net::{Address, Network, Owner},
};
use clap::{Args, Parser, Subcommand};
use std::{fmt, num::NonZeroU64, path::PathBuf, str::FromStr, time::Duration};

/// Rust web applications behind a web server: CGI, FastCGI, SCGI, uwsgi and HTTP.
#[derive(Debug, Parser)]
#[command(name = "cgigate", version, arg_required_else_help = false)]
#[command(after_help = "`cgigate --help` tells more; `cgigate COMMAND --help` tells the options.")]
#[command(after_long_help = manual::help())]
pub(super) struct Options {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the linked applications
    Apps,
    /// Answer one made-up CGI request at the desk, its body on stdin
    #[command(after_help = examples::DESK)]
    Cgi(Desk),
    /// Answer one made-up CGI request as under IIS, its body on stdin
    #[command(after_help = examples::IIS)]
    Iis(Desk),
    /// Serve FastCGI [--listen: 127.0.0.1:9000]
    #[command(after_help = examples::FASTCGI)]
    Fastcgi(Server),
    /// Serve SCGI [--listen: 127.0.0.1:4000]
    #[command(after_help = examples::SCGI)]
    Scgi(Server),
    /// Serve the uwsgi protocol, modifier1 0 [--listen: 127.0.0.1:3031]
    #[command(after_help = examples::UWSGI)]
    Uwsgi(Server),
    /// Serve HTTP: for development, and as an embedded front [--listen: 127.0.0.1:8000]
    #[command(after_help = examples::HTTP)]
    Http(Server),
    /// Send one FastCGI request to any responder and print the answer
    #[cfg(unix)]
    #[command(after_help = examples::GET)]
    Get(Get),
    /// Print a configuration for a web server in front of this executable
    #[command(after_help = examples::CONFIG)]
    Config(Config),
    /// Replay fixtures against the linked applications, recorded ones too
    #[cfg(unix)]
    #[command(after_help = examples::CHECK)]
    Check(Check),
    /// Check any FastCGI responder against the specification
    #[cfg(unix)]
    #[command(after_help = examples::CONFORM)]
    Conform(Conform),
    /// Print the manual page, for `man -l`
    Man,
    /// Print what a shell needs to complete this command line
    #[command(after_help = examples::COMPLETIONS)]
    Completions(Completions),
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// Web servers, by what they speak to applications.
    WebServers(Protocol),
    /// Clients themselves.
    Http,
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebServers(protocol) => protocol.fmt(f),
            Self::Http => f.write_str("http"),
        }
    }
}

/// A name that nothing served has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no protocol: use fastcgi, scgi, uwsgi or http")]
pub(super) struct ServedError(String);

impl FromStr for Served {
    type Err = ServedError;

    fn from_str(name: &str) -> Result<Self, ServedError> {
        Ok(match name {
            "fastcgi" => Self::WebServers(Protocol::FastCgi),
            "scgi" => Self::WebServers(Protocol::Scgi),
            "uwsgi" => Self::WebServers(Protocol::Uwsgi),
            "http" => Self::Http,
            _ => return Err(ServedError(name.into())),
        })
    }
}

/// A request made up at the desk.
#[derive(Args, Debug)]
pub(super) struct Desk {
    /// The application that answers
    #[arg(long, env = "CGIGATE_APP")]
    pub(super) app: Option<String>,
    /// The request's method
    #[arg(short = 'X', long, env = "CGIGATE_METHOD", default_value = "GET", value_parser = method)]
    pub(super) method: String,
    /// Variables, one NAME=value a line, over the made-up ones; TAB goes on with the last value
    #[arg(long, env = "CGIGATE_ENVIRON", value_name = "FILE")]
    pub(super) environ: Option<PathBuf>,
    /// Check application and web server against PEP 3333 while they work
    #[arg(long, env = "CGIGATE_VALIDATE", value_parser = switch, action = clap::ArgAction::SetTrue)]
    pub(super) validate: bool,
    #[command(flatten)]
    pub(super) record: Record,
    /// What comes behind the host in a URL: PATH[?QUERY]
    #[arg(default_value = "/", value_parser = target)]
    pub(super) target: String,
}

/// The options of a server.
#[derive(Args, Clone, Debug)]
pub(super) struct Server {
    /// The application that answers; without it the path's first segment names it
    #[arg(long, value_name = "NAME", env = "CGIGATE_APP")]
    pub(super) app: Option<String>,
    /// Derive SCRIPT_NAME and PATH_INFO from REQUEST_URI and this path; outside of it: 404
    #[arg(long, env = "CGIGATE_MOUNT", value_name = "PATH")]
    pub(super) mount: Option<MountPoint>,
    /// A variable of this process that applications find among the request's; repeatable
    #[arg(long, env = "CGIGATE_PASS_ENV", value_name = "NAME", value_delimiter = ' ',
          value_parser = variable)]
    pub(super) pass_env: Vec<String>,
    /// Check application and web server against PEP 3333 while they work
    #[arg(long, env = "CGIGATE_VALIDATE", value_parser = switch, action = clap::ArgAction::SetTrue)]
    pub(super) validate: bool,
    /// The web server that sends the files of `files` itself, for it was told so: nginx,
    /// nginx:/PREFIX, apache, lighttpd
    #[arg(long, env = "CGIGATE_ACCEL", value_name = "SERVER")]
    pub(super) accel: Option<Accel>,
    /// 127.0.0.1:9000, [::1]:9000, :9000, unix:/path, unix:@name, fd:N, systemd[:NAME]; repeatable.
    /// Another protocol than the command's goes before it: scgi+unix:/path, http+:8000
    #[arg(
        long,
        help_heading = "Sockets",
        env = "CGIGATE_LISTEN",
        value_name = "[PROTOCOL+]ADDR",
        value_delimiter = ' '
    )]
    pub(super) listen: Vec<Listen>,
    /// Connections that may wait to be accepted
    #[arg(long, help_heading = "Sockets", value_name = "N", env = "CGIGATE_BACKLOG", default_value_t = 4096,
          value_parser = number(1_i32..), allow_negative_numbers = true)]
    pub(super) backlog: i32,
    /// Rights of a Unix socket's file
    #[arg(long, help_heading = "Sockets", value_name = "MODE", env = "CGIGATE_SOCKET_MODE", value_parser = mode, default_value = "0660")]
    pub(super) socket_mode: u32,
    /// Networks that may connect, as 10.0.0.0/8; repeatable [default: loopback]
    #[arg(
        long,
        help_heading = "Sockets",
        env = "CGIGATE_ALLOW",
        value_name = "CIDR",
        value_delimiter = ' '
    )]
    pub(super) allow: Vec<Network>,
    /// Users that may connect to a Unix socket, by number; repeatable [default: any]
    #[arg(
        long,
        help_heading = "Sockets",
        env = "CGIGATE_ALLOW_UID",
        value_name = "UID",
        value_delimiter = ' ',
        value_parser = number(0_u32..),
        allow_negative_numbers = true
    )]
    pub(super) allow_uid: Vec<u32>,
    /// Whom a Unix socket's file shall belong to: user, user:group or :group
    #[arg(long, help_heading = "Sockets", env = "CGIGATE_SOCKET_OWNER", value_name = "OWNER")]
    pub(super) socket_owner: Option<Owner>,
    /// Application calls at a time [default: 4 x CPUs, at least 4]
    #[arg(long, help_heading = "Processes", value_name = "N", env = "CGIGATE_THREADS", value_parser = number(1..=u16::MAX), allow_negative_numbers = true)]
    pub(super) threads: Option<u16>,
    /// Worker processes under a supervisor, or `auto`: one for each CPU
    #[arg(long, help_heading = "Processes", value_name = "N", env = "CGIGATE_WORKERS", default_value = "1", value_parser = workers, allow_negative_numbers = true)]
    pub(super) workers: usize,
    /// Requests after which a worker is replaced [default: none]
    #[arg(long, help_heading = "Processes", value_name = "N", env = "CGIGATE_MAX_REQUESTS", value_parser = number(NonZeroU64::MIN..), allow_negative_numbers = true)]
    pub(super) max_requests: Option<NonZeroU64>,
    /// How long requests in flight may take after a stop
    #[arg(long, help_heading = "Processes", value_name = "D", env = "CGIGATE_GRACEFUL_TIMEOUT", value_parser = duration, allow_negative_numbers = true, default_value = "30s")]
    pub(super) graceful_timeout: Duration,
    /// How long a worker that takes another's place may take until it is ready
    #[arg(long, help_heading = "Processes", value_name = "D", env = "CGIGATE_START_TIMEOUT", value_parser = duration, allow_negative_numbers = true, default_value = "60s")]
    pub(super) start_timeout: Duration,
    /// Run as this user, by name, once the sockets are bound
    #[arg(long, help_heading = "Processes", value_name = "USER", env = "CGIGATE_USER")]
    pub(super) user: Option<String>,
    /// Run in this group, by name [default: that of --user]
    #[arg(long, help_heading = "Processes", value_name = "GROUP", env = "CGIGATE_GROUP")]
    pub(super) group: Option<String>,
    /// Where the number of the process is written while it serves
    #[arg(long, help_heading = "Processes", env = "CGIGATE_PID_FILE", value_name = "FILE")]
    pub(super) pid_file: Option<PathBuf>,
    /// Connections at a time; further ones are answered 503
    #[arg(
        long,
        help_heading = "Limits",
        value_name = "N",
        env = "CGIGATE_MAX_CONNECTIONS",
        value_parser = number(0_usize..),
        allow_negative_numbers = true,
        default_value_t = 10_000
    )]
    pub(super) max_connections: usize,
    /// Bytes of a request's body; longer: 413 [default: none; http: 16M]
    #[arg(long, help_heading = "Limits", value_name = "SIZE", env = "CGIGATE_MAX_BODY", value_parser = body_size, allow_negative_numbers = true)]
    pub(super) max_body: Option<u64>,
    /// Bytes of a request's variables; longer: 431
    #[arg(long, help_heading = "Limits", value_name = "SIZE", env = "CGIGATE_MAX_PARAMS", value_parser = size, allow_negative_numbers = true, default_value = "1M")]
    pub(super) max_params: u64,
    /// Variables of a request; more: 431
    #[arg(
        long,
        help_heading = "Limits",
        value_name = "N",
        env = "CGIGATE_MAX_VARIABLES",
        value_parser = number(0_usize..),
        allow_negative_numbers = true,
        default_value_t = 10_000
    )]
    pub(super) max_variables: usize,
    /// Requests open at a time on one connection; further ones are refused with FCGI_OVERLOADED
    #[arg(long, help_heading = "Limits", value_name = "N", env = "CGIGATE_MAX_MULTIPLEXED", default_value_t = 1000,
          value_parser = number(1..=u16::MAX), allow_negative_numbers = true)]
    pub(super) max_multiplexed: u16,
    /// Complete requests that wait for a thread; further ones are answered 503
    #[arg(
        long,
        help_heading = "Limits",
        value_name = "N",
        env = "CGIGATE_MAX_QUEUE",
        value_parser = number(0_usize..),
        allow_negative_numbers = true,
        default_value_t = 1000
    )]
    pub(super) max_queue: usize,
    /// Off: says so to GET_VALUES, and serves what comes interleaved one after the other
    #[arg(long, help_heading = "Limits", env = "CGIGATE_MULTIPLEX", value_parser = ["on", "off"], default_value = "on")]
    pub(super) multiplex: String,
    /// How long a request may stand still: 408
    #[arg(long, help_heading = "Times", value_name = "D", env = "CGIGATE_READ_TIMEOUT", value_parser = patience, allow_negative_numbers = true, default_value = "60s")]
    pub(super) read_timeout: Limit,
    /// How long a peer may take nothing of its answer before its connection is closed
    #[arg(long, help_heading = "Times", value_name = "D", env = "CGIGATE_WRITE_TIMEOUT", value_parser = patience, allow_negative_numbers = true, default_value = "60s")]
    pub(super) write_timeout: Limit,
    /// How long an application may take: 504 if it has sent nothing; not in CGI, which has no second
    /// thread
    #[arg(long, help_heading = "Times", value_name = "D", env = "CGIGATE_REQUEST_TIMEOUT", value_parser = patience, allow_negative_numbers = true, default_value = "none")]
    pub(super) request_timeout: Limit,
    /// How long a complete request may wait for a thread: 503
    #[arg(long, help_heading = "Times", value_name = "D", env = "CGIGATE_QUEUE_TIMEOUT", value_parser = limit, allow_negative_numbers = true, default_value = "none")]
    pub(super) queue_timeout: Limit,
    /// How long a connection without a request is kept [default: none; http: 30s]
    #[arg(long, help_heading = "Times", value_name = "D", env = "CGIGATE_IDLE_TIMEOUT", value_parser = limit, allow_negative_numbers = true)]
    pub(super) idle_timeout: Option<Limit>,
    /// Where the server's own status is, as clients see the path; ?format=json, ?format=openmetrics, ?full
    #[arg(long, help_heading = "Status and logs", env = "CGIGATE_STATUS_PATH", value_name = "PATH", value_parser = page)]
    pub(super) status_path: Option<String>,
    /// Where the server itself answers `pong`
    #[arg(long, help_heading = "Status and logs", env = "CGIGATE_PING_PATH", value_name = "PATH", value_parser = page)]
    pub(super) ping_path: Option<String>,
    /// Serve both over HTTP on a socket of their own: /status, /ping, /metrics
    #[arg(long, help_heading = "Status and logs", env = "CGIGATE_ADMIN", value_name = "ADDR")]
    pub(super) admin: Option<Address>,
    /// A line for each request is added here; `-` is stdout; reopened on USR1
    #[arg(long, help_heading = "Status and logs", env = "CGIGATE_ACCESS_LOG", value_name = "FILE")]
    pub(super) access_log: Option<PathBuf>,
    /// How its lines look: Apache's combined format, or JSON
    #[arg(long, help_heading = "Status and logs", value_name = "FORMAT", env = "CGIGATE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    /// Requests that take longer are told on stderr, with the place where the application is
    #[arg(long, help_heading = "Status and logs", env = "CGIGATE_SLOW_LOG", value_name = "D", value_parser = duration, allow_negative_numbers = true)]
    pub(super) slow_log: Option<Duration>,
    /// What would go to stderr is added here once the server is ready; reopened on USR1
    #[arg(long, help_heading = "Status and logs", env = "CGIGATE_ERROR_LOG", value_name = "FILE")]
    pub(super) error_log: Option<PathBuf>,
    /// Confine the workers once they have started: files, programs, ports, signals (Landlock)
    #[arg(long, help_heading = "Sandbox", env = "CGIGATE_SANDBOX", value_parser = switch, action = clap::ArgAction::SetTrue)]
    pub(super) sandbox: bool,
    /// What they may read beside CGIGATE_FILES_ROOT, with all below it; repeatable
    #[arg(
        long,
        help_heading = "Sandbox",
        env = "CGIGATE_SANDBOX_READ",
        value_name = "PATH",
        value_delimiter = ' ',
        requires = "sandbox"
    )]
    pub(super) sandbox_read: Vec<PathBuf>,
    /// What they may change beside the folder of temporary files, with all below it; repeatable
    #[arg(
        long,
        help_heading = "Sandbox",
        env = "CGIGATE_SANDBOX_WRITE",
        value_name = "PATH",
        value_delimiter = ' ',
        requires = "sandbox"
    )]
    pub(super) sandbox_write: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) record: Record,
}

/// `--record` and what belongs to it.
#[derive(Args, Clone, Debug)]
pub(super) struct Record {
    /// Write each request and its answer as a fixture to this folder, for `check`; secrets blanked
    #[arg(
        help_heading = "Recording",
        id = "record",
        long = "record",
        env = "CGIGATE_RECORD",
        value_name = "DIR"
    )]
    folder: Option<PathBuf>,
    /// Record cookies, credentials and tokens as they are
    #[arg(help_heading = "Recording", id = "record_secrets", long = "record-secrets", env = "CGIGATE_RECORD_SECRETS",
          value_parser = switch, action = clap::ArgAction::SetTrue)]
    secrets: bool,
    /// Fixtures in the folder at the most; then no more are written
    #[arg(help_heading = "Recording", id = "record_count", long = "record-count", env = "CGIGATE_RECORD_COUNT",
          value_name = "N", value_parser = number(0_usize..), allow_negative_numbers = true, default_value_t = RecordPlan::COUNT)]
    count: usize,
    /// Bytes of a body, or of the variables; what has longer ones is not recorded
    #[arg(help_heading = "Recording", id = "record_size", long = "record-size", env = "CGIGATE_RECORD_SIZE",
          value_name = "SIZE", value_parser = size, allow_negative_numbers = true, default_value = "1M")]
    size: u64,
}

impl Record {
    /// What is to be recorded, if anything is.
    pub(super) fn plan(&self) -> Option<RecordPlan> {
        let folder = self.folder.clone().filter(|folder| !folder.as_os_str().is_empty())?;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let settings = record::settings();
        Some(RecordPlan { folder, secrets: self.secrets, settings, count: self.count, size })
    }
}

/// How the access log looks.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFormat {
    Text,
    Json,
}

impl Server {
    /// The options of a server that nobody gave a command line, as a web server spawns it.
    ///
    /// # Errors
    /// A variable holds what its option cannot be.
    pub(super) fn of_environment() -> Result<Self, clap::Error> {
        let options = Options::try_parse_from(["cgigate", "fastcgi"])?;
        match options.command {
            Some(Command::Fastcgi(server)) => Ok(server),
            _ => unreachable!("the command is the one just given"),
        }
    }
}
