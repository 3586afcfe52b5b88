//! RFC 3875 section 4.1, "Request Meta-Variables", for applications that never see an environ.

use crate::{
    types::{Environ, Vars, Wsgi},
    util::SCRIPT,
};
use percent_encoding::percent_encode;
use std::{ops::Deref, sync::Arc};

/// All that the web server said of a request, in the extensions of its `http::Request`.
///
/// It can be asked like the [`Vars`] of an environ, and is cheap to clone.
///
/// ```
/// use cgigate::adapter::MetaVariables;
///
/// let whoami = cgigate::http(|request| {
///     let meta = request.extensions().get::<MetaVariables>().expect("every request has them");
///     let user = meta.native("REMOTE_USER").unwrap_or("nobody".into());
///     http::Response::new(format!("{user} at {}\n", meta.link("/")))
/// });
/// let request = cgigate::testing::get("/").var("REMOTE_USER", "ann").var("SCRIPT_NAME", "/app");
/// assert_eq!(request.ask(&whoami).text(), "ann at /app/\n");
/// ```
#[derive(Clone, Debug)]
pub struct MetaVariables {
    vars: Arc<Vars>,
    /// `wsgi.url_scheme` and the other keys that are no strings.
    pub wsgi: Wsgi,
}

impl MetaVariables {
    pub(super) fn of(environ: &Environ<'_>) -> Self {
        Self { vars: Arc::new(environ.vars.clone()), wsgi: environ.wsgi }
    }

    /// How a link or a redirect to a path of this application begins at the host: with SCRIPT_NAME,
    /// percent-encoded, for the path alone is below where the application is mounted.
    ///
    /// ```
    /// # use cgigate::adapter::MetaVariables;
    /// let away = cgigate::http(|request| {
    ///     let meta = request.extensions().get::<MetaVariables>().expect("every request has them");
    ///     http::Response::builder().status(303).header("Location", meta.link("/page?n=2")).body("")
    /// });
    /// let answer = cgigate::testing::get("/").var("SCRIPT_NAME", "/my app").ask(&away);
    /// assert_eq!(answer.header("Location"), Some("/my%20app/page?n=2"));
    /// ```
    pub fn link(&self, path: &str) -> String {
        let script = self.get("SCRIPT_NAME").unwrap_or_default();
        format!("{}{path}", percent_encode(script, SCRIPT))
    }
}

impl Deref for MetaVariables {
    type Target = Vars;

    fn deref(&self) -> &Vars {
        &self.vars
    }
}
