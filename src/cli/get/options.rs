//! The command line of `get`: curl's words where curl has them.

use crate::{cli::values::duration, fcgi::Role, net::Destination};
use clap::{Args, builder::BoolishValueParser};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// What to ask of whom.
#[derive(Args, Debug)]
pub(in crate::cli) struct Get {
    /// Where the responder listens: 127.0.0.1:9000, :9000, host:9000, unix:/path, unix:@name
    #[arg(long, env = "CGIGATE_CONNECT", value_name = "ADDR", default_value = "127.0.0.1:9000")]
    pub(super) connect: Destination,
    /// What comes behind the host in a URL: PATH[?QUERY]
    pub(super) path: Option<OsString>,
    /// The request's method [default: GET; with a body POST]
    #[arg(short = 'X', long, env = "CGIGATE_METHOD")]
    pub(super) method: Option<String>,
    /// A header field, 'Name: value'; repeatable [env: CGIGATE_HEADER, one a line]
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub(super) header: Vec<OsString>,
    /// The body: these words, of a file (@FILE), of stdin (@-). A pipe is read to its end first, for
    /// its length; not so with -H 'Transfer-Encoding: chunked'
    #[arg(short, long, env = "CGIGATE_DATA", value_name = "DATA|@FILE")]
    pub(super) data: Option<OsString>,
    /// A parameter as it is sent, over the one made up; repeatable. php-fpm wants
    /// SCRIPT_FILENAME=/path/of.php [env: CGIGATE_PARAM, white space between]
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) param: Vec<OsString>,
    /// Print the header block too, as it came
    #[arg(short, long, env = "CGIGATE_INCLUDE", value_parser = BoolishValueParser::new())]
    pub(super) include: bool,
    /// How long nothing may go on: the connecting, the sending, the answer; 0: for ever
    #[arg(long, env = "CGIGATE_TIMEOUT", value_name = "D", value_parser = duration,
          default_value = "60s")]
    timeout: Duration,
    /// What the application is asked to be: responder, authorizer, filter
    #[arg(long, env = "CGIGATE_ROLE", value_parser = role, default_value = "responder")]
    pub(super) role: Role,
    /// The file that a filter is to change, as FCGI_DATA
    #[arg(long, env = "CGIGATE_FILTER_DATA", value_name = "FILE")]
    pub(super) filter_data: Option<PathBuf>,
    /// Ask with GET_VALUES instead, and print what is answered
    #[arg(long, env = "CGIGATE_PING", value_parser = BoolishValueParser::new())]
    pub(super) ping: bool,
    /// Say in words what a captured stream holds (- for stdin); connect to nobody
    #[arg(long, env = "CGIGATE_DECODE", value_name = "FILE")]
    pub(super) decode: Option<PathBuf>,
}

impl Get {
    /// How long to wait for anything; `None`: as long as it takes.
    pub(super) fn limit(&self) -> Option<Duration> {
        Some(self.timeout).filter(|limit| !limit.is_zero())
    }
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "responder" => Ok(Role::Responder),
        "authorizer" => Ok(Role::Authorizer),
        "filter" => Ok(Role::Filter),
        _ => Err(format!("{text:?} is no role: use responder, authorizer or filter")),
    }
}
