//! An authorizer: the web server serves the files, and asks here who may have them.
//!
//!     PEOPLE=/etc/people cargo run --example authorizer -- fastcgi
//!
//! PEOPLE names a file with a `name:password` a line. (One for real use would keep hashes.)
//!
//! nginx asks by `auth_request`, as a request like others, a responder's:
//!
//! ```nginx
//! location /members/ {
//!     auth_request /who;
//!     auth_request_set $who $upstream_http_variable_remote_user;
//!     # and to an application behind it: fastcgi_param REMOTE_USER $who;
//! }
//! location = /who {
//!     internal;
//!     fastcgi_pass 127.0.0.1:9000;
//!     fastcgi_pass_request_body off;
//!     include fastcgi_params;
//!     fastcgi_param CONTENT_LENGTH "";
//! }
//! ```
//!
//! Apache asks by `mod_authnz_fcgi`, in the role of FastCGI that is called AUTHORIZER (section 6.3),
//! and hands over the name and the password of Basic authentication decoded:
//!
//! ```apache
//! AuthnzFcgiDefineProvider authn people fcgi://127.0.0.1:9000/
//! <Location /members/>
//!     AuthType Basic
//!     AuthName people
//!     AuthBasicProvider people
//!     Require valid-user
//! </Location>
//! ```
//!
//! A 200 lets the request pass, and its field `Variable-NAME` is a variable of what is protected.

use cgigate::{Application, Environ, Gateway, Response, StartResponse, Vars};
use std::{fs, process::ExitCode, sync::Arc};

/// Names and passwords, `name:password`.
#[derive(Clone)]
struct People(Arc<Vec<Vec<u8>>>);

impl Application for People {
    fn call<'r>(&'r self, environ: Environ<'r>, start: &mut dyn StartResponse) -> Response<'r> {
        let said = credentials(environ.vars).unwrap_or_default();
        // All are compared, whoever it is: how long it takes tells nothing.
        let known = self.0.iter().fold(false, |known, one| known | equal(one, &said));
        if !known {
            let ask = ("WWW-Authenticate", "Basic realm=\"people\"");
            start.call("401 Unauthorized", &[("Content-Type", "text/plain"), ask])?;
            return Ok("Who are you?\n".into());
        }
        let name = said.split(|&byte| byte == b':').next().unwrap_or_default();
        start.call(
            "200 OK",
            &[("Content-Type", &b"text/plain"[..]), ("Variable-REMOTE_USER", name)],
        )?;
        Ok("".into())
    }
}

/// `name:password`: decoded by the web server, or as the client sent it (RFC 7617).
fn credentials(vars: &Vars) -> Option<Vec<u8>> {
    if let (Some(name), Some(password)) = (vars.filled("REMOTE_USER"), vars.get("REMOTE_PASSWD")) {
        return Some([name, b":", password].concat());
    }
    let (scheme, text) = vars.filled("HTTP_AUTHORIZATION")?.split_at_checked(6)?;
    if scheme.eq_ignore_ascii_case(b"Basic ") { decoded(text.trim_ascii()) } else { None }
}

/// Base64 (RFC 4648 section 4).
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for byte in text.iter().take_while(|&&byte| byte != b'=') {
        // One of 64: six bits.
        bits = bits << 6 | LETTERS.iter().position(|letter| letter == byte)? as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

/// In a time that tells only whether the lengths are the same.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

fn main() -> ExitCode {
    let people = std::env::var_os("PEOPLE").ok_or("set PEOPLE to a file".to_owned());
    let text =
        people.and_then(|path| fs::read(&path).map_err(|why| format!("{}: {why}", path.display())));
    let people = match text {
        Ok(text) => text
            .split(|&byte| byte == b'\n')
            .filter(|one| one.contains(&b':'))
            .map(<[u8]>::to_vec)
            .collect(),
        Err(why) => {
            eprintln!("authorizer: read who may pass: {why}");
            return ExitCode::FAILURE;
        }
    };
    let people = People(Arc::new(people));
    Gateway::new().authorizer("people", people.clone()).responder("people", people).main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgigate::testing::{Request, get};

    fn asked(request: Request) -> (u16, Option<String>) {
        let people = People(Arc::new(vec![b"ann:secret".to_vec(), b"bob:caf\xe9 ole".to_vec()]));
        let answer = request.validated().ask(&people);
        assert_eq!(answer.log, "");
        let name = answer.header("Variable-REMOTE_USER").map(str::to_owned);
        assert_eq!(answer.status == 401, answer.header("WWW-Authenticate").is_some());
        (answer.status, name)
    }

    #[test]
    fn who_is_known_passes_by_either_way() {
        let basic = |text: &str| get("/").header("Authorization", format!("basic {text}"));
        let apache = |password| get("/").var("REMOTE_USER", "ann").var("REMOTE_PASSWD", password);
        assert_eq!(asked(basic("YW5uOnNlY3JldA==")), (200, Some("ann".into())));
        assert_eq!(asked(basic("Ym9iOmNhZukgb2xl")), (200, Some("bob".into())));
        assert_eq!(asked(apache("secret")), (200, Some("ann".into())));
        for request in [
            get("/"),
            apache(""),
            apache("wrong!"),
            basic(""),
            basic("!"),
            basic("YW5u"),
            get("/").header("Authorization", "Bearer YW5uOnNlY3JldA=="),
            // A name that a web server checked by itself is nobody's word for a password.
            get("/").var("REMOTE_USER", "ann:secret"),
        ] {
            assert_eq!(asked(request.clone()), (401, None), "{request:?}");
        }
    }
}
