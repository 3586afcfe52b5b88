//! How each web server is told to do it right.

use super::findings::Rule;
use crate::types::Vars;

/// The web server in front, by SERVER_SOFTWARE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Nginx,
    Apache,
    Lighttpd,
    HaProxy,
    Caddy,
    Other,
}

use Front::{Apache, Caddy, HaProxy, Lighttpd, Nginx, Other};

impl Front {
    pub(super) fn of(vars: &Vars) -> Self {
        let software = vars.get("SERVER_SOFTWARE").unwrap_or_default();
        let begins = [
            (&b"nginx"[..], Nginx),
            (b"Apache", Apache),
            (b"lighttpd", Lighttpd),
            (b"HAProxy", HaProxy),
            (b"Caddy", Caddy),
        ];
        let found = begins.iter().find(|(name, _)| {
            software.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        });
        found.map_or(Other, |(_, front)| *front)
    }

    /// The lines that mend it.
    pub(super) fn mend(self, rule: Rule, mount: &str) -> String {
        match rule {
            Rule::Variables => String::new(),
            Rule::Lacking(name) => self.variable(name),
            Rule::RequestUri => self.variable("REQUEST_URI"),
            Rule::Paths => match self {
                Nginx => format!("fastcgi_param CGIGATE_MOUNT {mount};"),
                Apache => format!("SetEnv CGIGATE_MOUNT \"{mount}\""),
                Lighttpd => format!("setenv.add-environment += ( \"CGIGATE_MOUNT\" => \"{mount}\" )"),
                HaProxy => format!("set-param CGIGATE_MOUNT {mount}"),
                Caddy => format!("env CGIGATE_MOUNT {mount}"),
                Other => format!("start the gateway with --mount {mount}"),
            },
            Rule::Https => match self {
                Nginx => "fastcgi_param HTTPS on;".into(),
                Apache => "SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on".into(),
                Lighttpd => "extforward.forwarder = ( \"127.0.0.1\" => \"trust\" )   # mod_extforward".into(),
                HaProxy => "set-param HTTPS on if { req.hdr(x-forwarded-proto) https }".into(),
                Caddy => "env HTTPS on".into(),
                Other => "have it set the variable HTTPS to on".into(),
            },
            Rule::Authorization => match self {
                Apache => "CGIPassAuth On                    # mod_fcgid: FcgidPassHeader Authorization".into(),
                HaProxy => "set-param HTTP_AUTHORIZATION %[req.hdr(authorization)] if { req.hdr(authorization) -m found }".into(),
                Nginx => "fastcgi_param HTTP_AUTHORIZATION $http_authorization if_not_empty;".into(),
                Lighttpd | Caddy | Other => {
                    "no switch for it is known: let the server look at credentials itself".into()
                }
            },
            Rule::Underscores => match self {
                Nginx => "underscores_in_headers off;".into(),
                HaProxy => "option http-restrict-req-hdr-names delete".into(),
                Caddy => "request_header -X_*".into(),
                Lighttpd => "lighttpd has no switch for it: trust no field that only a proxy should set".into(),
                Apache | Other => "trust no field that only a proxy should set".into(),
            },
            Rule::Proxy => match self {
                Nginx => "fastcgi_param HTTP_PROXY \"\";".into(),
                Apache => "RequestHeader unset Proxy early".into(),
                Caddy => "request_header -Proxy".into(),
                HaProxy => "http-request del-header Proxy".into(),
                Lighttpd | Other => "nothing is to be done for this gateway".into(),
            },
            Rule::Arguments => match self {
                Apache => "RewriteCond %{QUERY_STRING} ^-\nRewriteRule ^ - [F]".into(),
                Nginx | Lighttpd | HaProxy | Caddy | Other => {
                    "nothing is to be done for this gateway".into()
                }
            },
        }
    }

    /// Has it send a variable.
    fn variable(self, name: &str) -> String {
        // What nginx and HAProxy call it.
        let (nginx, haproxy) = match name {
            "REQUEST_METHOD" => ("$request_method", "%[method]"),
            "SERVER_PROTOCOL" => ("$server_protocol", "HTTP/%[req.ver]"),
            "SERVER_NAME" => ("$server_name", "%[req.hdr(host)]"),
            "SERVER_PORT" => ("$server_port", "%[dst_port]"),
            "REMOTE_ADDR" => ("$remote_addr", "%[src]"),
            "REQUEST_URI" => ("$request_uri", "%[pathq]"),
            "QUERY_STRING" => ("$query_string", "%[query]"),
            _ => ("CGI/1.1", "CGI/1.1"),
        };
        match self {
            Nginx => format!("fastcgi_param {name} {nginx};"),
            HaProxy => format!("set-param {name} {haproxy}"),
            Apache => format!("ProxyFCGISetEnvIf true {name} ..."),
            Lighttpd | Caddy | Other => format!("have it set the variable {name}"),
        }
    }

    /// Has it take requests whose fields are long.
    pub(super) fn long_request(self) -> &'static str {
        match self {
            Nginx => "large_client_header_buffers 4 32k;",
            Apache => "LimitRequestFieldSize 32768",
            Lighttpd => "server.max-request-field-size = 32768",
            HaProxy => "tune.bufsize 32768",
            Caddy => "servers {\n  max_header_size 32KB\n}",
            Other => "see what the server calls the size of a request's fields",
        }
    }

    /// Has it take answers whose fields are long.
    pub(super) fn long_answer(self) -> &'static str {
        match self {
            Nginx => "fastcgi_buffer_size 32k;\nfastcgi_buffers 8 32k;",
            HaProxy => "tune.bufsize 32768",
            Apache => "ProxyPass ... responsefieldsize=32768",
            Lighttpd | Caddy | Other => "see what the server calls the size of an answer's fields",
        }
    }
}
