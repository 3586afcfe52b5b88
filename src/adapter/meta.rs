//! RFC 3875 section 4.1, "Request Meta-Variables", for applications that never see an environ.

use crate::types::{Environ, Vars, Wsgi};
use std::{borrow::Cow, ops::Deref, sync::Arc};

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
///     http::Response::new(format!("{user} at {}\n", meta.script_name()))
/// });
/// let request = cgigate::testing::get("/").var("REMOTE_USER", "ann").var("SCRIPT_NAME", "/app");
/// assert_eq!(request.ask(&whoami).text(), "ann at /app\n");
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

    /// `SCRIPT_NAME`: where the application is mounted. It goes before every path in a link or a
    /// redirect, and is empty at the root.
    pub fn script_name(&self) -> Cow<'_, str> {
        self.native("SCRIPT_NAME").unwrap_or_default()
    }
}

impl Deref for MetaVariables {
    type Target = Vars;

    fn deref(&self) -> &Vars {
        &self.vars
    }
}
