//! What can be told of a request.

use super::{LONG, PATH, QUERY, asked_path};
use crate::types::{Environ, Vars, Wsgi};
use percent_encoding::percent_decode;
use std::{borrow::Cow, env, fs};

/// What the field `Proxy` is given, to be found again.
pub(super) const PROXY: &str = "cgigate-probe";

/// What a web server has to do for the programs behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// RFC 3875 section 4.1: the variables that there must be.
    Variables,
    /// Which of them is not there, the first of them.
    Lacking(&'static str),
    RequestUri,
    /// Sections 4.1.5 and 4.1.13.
    Paths,
    Https,
    Authorization,
    Underscores,
    Proxy,
    Arguments,
}

impl Rule {
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Variables | Self::Lacking(_) => "the variables of RFC 3875 are there",
            Self::RequestUri => "REQUEST_URI is what the client asked for",
            Self::Paths => {
                "SCRIPT_NAME and PATH_INFO are the path, decoded once and cut between them"
            }
            Self::Https => "HTTPS is on where the client speaks https",
            Self::Authorization => "HTTP_AUTHORIZATION is passed on",
            Self::Underscores => "a field X_PROBE is not taken for X-Probe",
            Self::Proxy => "a field Proxy does not become HTTP_PROXY",
            Self::Arguments => "words of the query do not become arguments",
        }
    }
}

/// What is found of a rule.
pub(super) enum Verdict {
    Right,
    /// What is there instead.
    Wrong(String),
    /// The request has not asked for it.
    Unasked,
}

pub(super) struct Finding {
    pub(super) rule: Rule,
    pub(super) verdict: Verdict,
}

use Verdict::{Right, Unasked, Wrong};

/// All rules, in the order in which they should be mended.
pub(super) fn findings(environ: &Environ<'_>) -> Vec<Finding> {
    let vars = &*environ.vars;
    let full = vars.get("QUERY_STRING") == Some(QUERY.as_bytes());
    let asked = |verdict| if full { verdict } else { Unasked };
    let finding = |rule, verdict| Finding { rule, verdict };
    vec![
        variables(vars),
        finding(Rule::RequestUri, request_uri(vars)),
        finding(Rule::Paths, paths(vars)),
        finding(Rule::Https, https(vars)),
        finding(Rule::Authorization, asked(authorization(vars))),
        finding(Rule::Underscores, asked(underscores(vars))),
        finding(Rule::Proxy, asked(proxy(vars, &environ.wsgi))),
        finding(Rule::Arguments, asked(arguments(&environ.wsgi))),
    ]
}

fn variables(vars: &Vars) -> Finding {
    const MUST: [&str; 6] = [
        "REQUEST_METHOD",
        "SERVER_PROTOCOL",
        "SERVER_NAME",
        "SERVER_PORT",
        "REMOTE_ADDR",
        "GATEWAY_INTERFACE",
    ];
    let lacking: Vec<_> = MUST.into_iter().filter(|name| vars.filled(name).is_none()).collect();
    // May be empty, and must be there.
    let query = (!vars.contains("QUERY_STRING")).then_some("QUERY_STRING");
    let lacking: Vec<_> = lacking.into_iter().chain(query).collect();
    match lacking.first() {
        None => Finding { rule: Rule::Variables, verdict: Right },
        Some(first) => Finding {
            rule: Rule::Lacking(first),
            verdict: Wrong(format!("there is no {}", lacking.join(", "))),
        },
    }
}

fn request_uri(vars: &Vars) -> Verdict {
    match vars.filled("REQUEST_URI") {
        None => Wrong("there is none, so that --mount has nothing to go by".into()),
        // Decoded: what was a question mark once cannot be told from one that begins the query.
        Some(uri) if uri.contains(&b' ') => Wrong("it has been decoded".into()),
        Some(_) => Right,
    }
}

fn paths(vars: &Vars) -> Verdict {
    let part = |name| vars.get(name).unwrap_or_default();
    let (script_name, path_info) = (part("SCRIPT_NAME"), part("PATH_INFO"));
    let shown = format!(
        "SCRIPT_NAME={} PATH_INFO={}",
        script_name.escape_ascii(),
        path_info.escape_ascii()
    );
    let asked = asked_path(vars);
    if asked.is_empty() {
        // Nothing to compare with, but for what every path must be.
        let begins = |path: &[u8]| path.is_empty() || path.starts_with(b"/");
        return if begins(script_name) && begins(path_info) { Right } else { Wrong(shown) };
    }
    let decoded: Cow<'_, [u8]> = percent_decode(asked).into();
    // `//` is merged by some servers, and `..` resolved: of those paths nothing is said.
    if decoded.windows(2).any(|two| two == b"//" || two == b"..") {
        return Unasked;
    }
    if [script_name, path_info].concat() != *decoded {
        return Wrong(shown);
    }
    // Together they are the path; where it is cut shows by what this page has asked for itself.
    let own: Cow<'_, [u8]> = percent_decode(PATH.as_bytes()).into();
    let own = [&own[..], LONG.0.as_bytes()].into_iter().find(|own| decoded.ends_with(own));
    match own {
        Some(own) if path_info != own => Wrong(shown),
        _ => Right,
    }
}

fn https(vars: &Vars) -> Verdict {
    let on = |name: &str, value: &[u8]| {
        vars.get(name).is_some_and(|there| there.eq_ignore_ascii_case(value))
    };
    let forwarded = on("HTTP_X_FORWARDED_PROTO", b"https") || on("REQUEST_SCHEME", b"https");
    match forwarded && !on("HTTPS", b"on") && !on("HTTPS", b"1") {
        true => Wrong("the client speaks https, says what stands before this server".into()),
        false => Right,
    }
}

fn authorization(vars: &Vars) -> Verdict {
    match vars.filled("HTTP_AUTHORIZATION").or(vars.filled("REMOTE_USER")) {
        Some(_) => Right,
        None => Wrong("it is withheld, and no REMOTE_USER says that the server has looked".into()),
    }
}

fn underscores(vars: &Vars) -> Verdict {
    match vars.get("HTTP_X_PROBE") {
        Some(value) if value.windows(10).any(|bytes| bytes == b"underscore") => {
            Wrong("a client can send X_Forwarded_For for X-Forwarded-For".into())
        }
        _ => Right,
    }
}

/// The gateway drops the variable before an application sees it; what it was dropped from is there.
fn proxy(vars: &Vars, wsgi: &Wsgi) -> Verdict {
    // A socket's variables as they came: behind the name a few bytes of framing, and the value.
    let came = vars.appended();
    let name = b"HTTP_PROXY";
    let found = came.windows(name.len()).enumerate().any(|(at, bytes)| {
        let behind = &came[at + name.len()..];
        let behind = &behind[..behind.len().min(PROXY.len() + 4)];
        bytes == name && behind.windows(PROXY.len()).any(|value| value == PROXY.as_bytes())
    });
    // Of a CGI process the environment as it was started with (proc(5)).
    let own = || fs::read("/proc/self/environ").unwrap_or_default();
    let told = format!("HTTP_PROXY={PROXY}").into_bytes();
    match found || (wsgi.run_once && own().split(|&byte| byte == 0).any(|var| var == told)) {
        true => {
            Wrong("dropped here; other programs take it for their proxy (CVE-2016-5385)".into())
        }
        false => Right,
    }
}

fn arguments(wsgi: &Wsgi) -> Verdict {
    // The command line of a server is its operator's.
    match wsgi.run_once && env::args_os().skip(1).any(|arg| arg == QUERY) {
        true => {
            Wrong("not looked at here; other programs take them for options (CVE-2012-1823)".into())
        }
        false => Right,
    }
}
