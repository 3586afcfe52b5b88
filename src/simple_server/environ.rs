//! `WSGIRequestHandler.get_environ`: what RFC 3875 has a server say about a request.

use super::{
    request::{Request, Rules},
    request_line::is_space,
};
use crate::{net::Peer, types::Vars};
use percent_encoding::percent_decode;
use std::sync::Once;

/// The variables of `request`, over those of the server.
///
/// What a handler that overrides [`get_environ`](super::WsgiRequestHandler::get_environ) calls
/// first. Fields whose names have a `_` are dropped, for `X_A` and `X-A` would be one variable;
/// `Proxy` is dropped, for `HTTP_PROXY` is configuration to many programs (CVE-2016-5385); and a
/// field cannot take the place of a variable: `Remote-Addr` goes nowhere.
///
/// ```
/// use cgigate::{net::Peer, simple_server::{Request, Rules, WsgiRequestHandler, get_environ}, Vars};
///
/// /// Behind a proxy on this machine, which says whom it speaks for.
/// struct Behind;
///
/// impl WsgiRequestHandler for Behind {
///     fn get_environ(&self, request: &Request, client: Peer, rules: Rules, environ: &mut Vars) {
///         get_environ(request, client, rules, environ);
///         let said = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("X-Real-IP"));
///         if let Some((_, address)) = said {
///             environ.set("REMOTE_ADDR", address);
///         }
///     }
/// }
/// ```
pub fn get_environ(request: &Request, client: Peer, rules: Rules, environ: &mut Vars) {
    let query = request.path.iter().position(|&byte| byte == b'?');
    let (path, query) = match query {
        Some(at) => (&request.path[..at], &request.path[at + 1..]),
        None => (&request.path[..], &b""[..]),
    };
    environ.set("SERVER_PROTOCOL", &request.request_version);
    environ.set("REQUEST_METHOD", &request.command);
    environ.set("PATH_INFO", percent_decode(path).collect::<Vec<_>>());
    environ.set("QUERY_STRING", query);
    environ.set("REMOTE_ADDR", address_string(client));
    // text/plain is what Python's parser says of a message without a type.
    let kind = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Type"));
    match (kind, rules) {
        (Some((_, value)), _) => environ.set("CONTENT_TYPE", value),
        (None, Rules::Wsgiref) => environ.set("CONTENT_TYPE", "text/plain"),
        (None, Rules::Strict) => {}
    }
    let length = request.headers.iter().find(|(name, value)| {
        name.eq_ignore_ascii_case("Content-Length") && !strip(value).is_empty()
    });
    if let Some((_, value)) = length {
        environ.set("CONTENT_LENGTH", strip(value));
    }
    for (name, value) in &request.headers {
        add_field(name, strip(value), rules, environ);
    }
    if let Some(authority) = &request.authority {
        environ.set("HTTP_HOST", authority);
    }
    // What the client really sent: a path that was decoded no longer tells.
    environ.set("REQUEST_URI", &request.target);
}

/// One header field on its way to a variable.
fn add_field(name: &str, value: &[u8], rules: Rules, environ: &mut Vars) {
    let own = ["content-type", "content-length", "transfer-encoding", "proxy"];
    if name.contains('_') {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            // The name is a token.
            crate::sys::say(format_args!(
                "cgigate: header field {name}: dropped, for its name has a _ (not told again)"
            ));
        });
        return;
    }
    if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return;
    }
    let name = name.to_ascii_uppercase().replace('-', "_");
    if environ.contains(&name) {
        return;
    }
    let name = format!("HTTP_{name}");
    let Some(old) = environ.get(&name) else { return environ.set(name, value) };
    let joint: &[u8] = match rules {
        _ if name == "HTTP_COOKIE" => b"; ",
        Rules::Wsgiref => b",",
        Rules::Strict => b", ",
    };
    let joined = [old, joint, value].concat();
    environ.set(name, joined);
}

fn strip(value: &[u8]) -> &[u8] {
    let start = value.iter().take_while(|byte| is_space(**byte)).count();
    let end = value.iter().rev().take_while(|byte| is_space(**byte)).count();
    value.get(start..value.len() - end).unwrap_or_default()
}

/// The client's address as `REMOTE_ADDR` and logs have it: empty for one on a Unix socket.
pub(super) fn address_string(client: Peer) -> String {
    match client {
        Peer::Ip(address) => address.to_canonical().to_string(),
        Peer::User(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{head_scan::HeadScan, request::parse},
        *,
    };

    fn environ(bytes: &[u8], rules: Rules) -> Vars {
        let head = HeadScan::new(rules).scan(bytes).unwrap().expect("a head");
        let request = parse(&bytes[head], rules).unwrap();
        let mut environ: Vars = [("SERVER_NAME", "s"), ("SCRIPT_NAME", "")].into_iter().collect();
        get_environ(&request, Peer::Ip([127, 0, 0, 1].into()), rules, &mut environ);
        environ
    }

    const REQUEST: &[u8] =
        b"\r\nPOST /a%20b/%e4?q=%20&r HTTP/1.1\r\nhost: h:1\r\nCookie: a=1\r\nX-Two: 1\r\n\
        Content-Type: text/x\r\nContent-Length: 7\r\ncookie: b=2\r\nX-Two: 2\r\n\
        X_Two: evil\r\nContent_Length: 9\r\nProxy: evil\r\nServer-Name: evil\r\n\r\nbody";

    #[test]
    fn a_request_becomes_variables() {
        for (rules, two) in [(Rules::Strict, "1, 2"), (Rules::Wsgiref, "1,2")] {
            let environ = environ(REQUEST, rules);
            for (name, value) in [
                ("REQUEST_METHOD", "POST"),
                ("REQUEST_URI", "/a%20b/%e4?q=%20&r"),
                ("QUERY_STRING", "q=%20&r"),
                ("SERVER_PROTOCOL", "HTTP/1.1"),
                ("SERVER_NAME", "s"),
                ("REMOTE_ADDR", "127.0.0.1"),
                ("CONTENT_TYPE", "text/x"),
                ("CONTENT_LENGTH", "7"),
                ("HTTP_HOST", "h:1"),
                ("HTTP_COOKIE", "a=1; b=2"),
                ("HTTP_X_TWO", two),
            ] {
                assert_eq!(environ.native(name).as_deref(), Some(value), "{name}");
            }
            assert_eq!(environ.get("PATH_INFO"), Some(&b"/a b/\xe4"[..]));
            assert_eq!(environ.get("HTTP_PROXY"), None);
            assert_eq!(environ.get("HTTP_SERVER_NAME"), None);
        }
    }

    #[test]
    fn no_type_is_made_up_but_by_wsgiref() {
        let head = b"GET http://x/ HTTP/1.1\r\nHost: h\r\n\r\n";
        let strict = environ(head, Rules::Strict);
        assert_eq!((strict.get("CONTENT_TYPE"), strict.get("HTTP_HOST")), (None, Some(&b"x"[..])));
        let wsgiref = environ(head, Rules::Wsgiref);
        assert_eq!(wsgiref.get("CONTENT_TYPE"), Some(&b"text/plain"[..]));
    }
}
