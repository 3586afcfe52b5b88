//! `setup_testing_defaults`: an environ out of nothing, to test applications and servers with.

use super::guess_scheme;
use crate::types::{Environ, ErrorStream, InputStream, Request, Scheme, Vars, Wsgi};
use std::io::Cursor;

/// `setup_testing_defaults`: the variables that are given, and trivial ones for all that a WSGI
/// environ must have besides. Nothing that is given is replaced.
///
/// Not for servers: what it adds is made up. The scheme is [`guess_scheme`]'s.
///
/// ```
/// use cgigate::{types::Scheme, util::setup_testing_defaults};
///
/// let mut test = setup_testing_defaults([("HTTPS", "on")].into_iter().collect());
/// test.input = std::io::Cursor::new(b"a body".to_vec());
/// let environ = test.environ();
/// assert_eq!(environ.get("PATH_INFO"), Some(&b"/"[..]));
/// assert_eq!(environ.get("SERVER_PORT"), Some(&b"443"[..]));
/// assert_eq!(environ.wsgi.url_scheme, Scheme::Https);
/// ```
pub fn setup_testing_defaults(vars: Vars) -> TestEnviron {
    let scheme = guess_scheme(&vars);
    TestEnviron::new(vars, scheme)
}

/// All that an [`Environ`] for a test borrows from. It can be changed before the application is
/// called, and looked at afterwards.
///
/// ```
/// use cgigate::{Application, Vars, apps, util::setup_testing_defaults};
/// # use cgigate::{Exception, StartResponse, types::HeaderIter};
/// # struct Ignored;
/// # impl StartResponse for Ignored {
/// #     fn start_response(&mut self, _: &[u8], _: &mut HeaderIter<'_>, _: Option<Exception>)
/// #         -> Result<(), Exception> { Ok(()) }
/// #     fn write(&mut self, _: &[u8]) -> Result<(), Exception> { Ok(()) }
/// # }
///
/// let mut test = setup_testing_defaults(Vars::default());
/// test.vars.set("PATH_INFO", "/notes");
/// let body = apps::hello.call(test.environ(), &mut Ignored)?;
/// # drop(body);
/// assert!(test.errors.is_empty());
/// # Ok::<_, Exception>(())
/// ```
#[derive(Debug)]
pub struct TestEnviron {
    /// The variables.
    pub vars: Vars,
    /// `wsgi.input`: empty at first.
    pub input: Cursor<Vec<u8>>,
    /// `wsgi.errors`: what the application wrote there.
    pub errors: Vec<u8>,
    /// The other `wsgi.*` keys: version 1.0, and neither threads nor processes.
    pub wsgi: Wsgi,
    request: Request,
}

impl TestEnviron {
    /// As [`setup_testing_defaults`], where `wsgi.url_scheme` is given as well.
    ///
    /// ```
    /// use cgigate::{Vars, types::Scheme, util::{TestEnviron, application_uri}};
    ///
    /// let mut test = TestEnviron::new(Vars::default(), Scheme::Https);
    /// assert_eq!(application_uri(&test.environ())?, b"https://127.0.0.1/");
    /// # Ok::<_, cgigate::util::MissingKey>(())
    /// ```
    pub fn new(mut vars: Vars, url_scheme: Scheme) -> Self {
        vars.set_default("SERVER_NAME", "127.0.0.1");
        vars.set_default("SERVER_PROTOCOL", "HTTP/1.0");
        let server_name = vars.get("SERVER_NAME").unwrap_or_default().to_vec();
        vars.set_default("HTTP_HOST", server_name);
        vars.set_default("REQUEST_METHOD", "GET");
        if !vars.contains("SCRIPT_NAME") && !vars.contains("PATH_INFO") {
            vars.set("SCRIPT_NAME", "");
            vars.set("PATH_INFO", "/");
        }
        let port = match url_scheme {
            Scheme::Http => "80",
            Scheme::Https => "443",
        };
        vars.set_default("SERVER_PORT", port);
        let wsgi = Wsgi {
            version: (1, 0),
            url_scheme,
            multithread: false,
            multiprocess: false,
            run_once: false,
            file_wrapper: false,
        };
        let (input, errors) = (Cursor::default(), Vec::new());
        Self { vars, input, errors, wsgi, request: Request::default() }
    }

    /// The environ, to call an application with.
    ///
    /// ```
    /// use cgigate::{Vars, util::setup_testing_defaults};
    /// use std::io::Write;
    ///
    /// let mut test = setup_testing_defaults(Vars::default());
    /// test.wsgi.multithread = true;
    /// assert!(test.environ().wsgi.multithread);
    /// writeln!(test.environ().errors, "a line")?;
    /// assert_eq!(test.errors, b"a line\n");
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn environ(&mut self) -> Environ<'_> {
        Environ::new(
            &mut self.vars,
            InputStream::Lent(&mut self.input),
            ErrorStream::Lent(&mut self.errors),
            self.wsgi,
            &self.request,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn out_of_nothing_comes_a_whole_environ() {
        let mut test = setup_testing_defaults(Vars::default());
        assert_eq!(
            format!("{:?}", test.vars),
            r#"{"SERVER_NAME": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.0", "#.to_owned()
                + r#""HTTP_HOST": "127.0.0.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "#
                + r#""PATH_INFO": "/", "SERVER_PORT": "80"}"#
        );
        let mut environ = test.environ();
        let mut input = Vec::new();
        environ.input.read_to_end(&mut input).unwrap();
        environ.errors.write_all(b"a line\n").unwrap();
        drop(environ);
        assert_eq!((input.len(), test.errors), (0, b"a line\n".to_vec()));
    }

    #[test]
    fn what_is_given_stays_and_the_host_is_the_servers_name() {
        let given = [("SERVER_NAME", "srv"), ("PATH_INFO", "/x"), ("SERVER_PORT", "8443")];
        let test = TestEnviron::new(given.into_iter().collect(), Scheme::Https);
        for (name, value) in given.into_iter().chain([("HTTP_HOST", "srv")]) {
            assert_eq!(test.vars.get(name), Some(value.as_bytes()), "{name}");
        }
        // One of the two paths is enough for neither to be made up.
        assert!(!test.vars.contains("SCRIPT_NAME"));
    }
}
