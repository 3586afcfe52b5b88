//! The shells: applications meet connections.
//!
//! [`Gateway`] holds the applications of an executable; `dispatch.rs` picks one for each request;
//! the neighbours bring requests and take answers away.
//!
//! ```
//! use cgigate::{Gateway, apps};
//!
//! /// What `main` hands over to the command line: `site().main()`.
//! fn site() -> Gateway {
//!     let folder = || std::env::var_os("SITE").ok_or("set SITE to a folder");
//!     Gateway::new()
//!         .make("site", move || Ok(apps::Files::below(folder()?))).about("the pages").index()
//!         .responder("echo", apps::echo).about("what was sent")
//! }
//!
//! assert!(site().apps().map(|(name, _)| name).eq(["site", "echo"]));
//! ```

mod applications;
mod call;
pub(crate) mod cgi;
mod connection;
mod dispatch;
mod filter;
pub(crate) mod fixture;
mod incoming;
mod mount;
pub(crate) mod nameless;
mod open;
mod protocol;
mod recorder;
mod refusal;
mod roll;
mod serial;
mod settings;
mod sorting;
mod spool;
mod token;
mod whole_lines;

// The workers are Linux's: they wait with epoll.
#[cfg(target_os = "linux")]
mod access_log;
#[cfg(target_os = "linux")]
mod ahead;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod deadlines;
#[cfg(target_os = "linux")]
mod desk;
#[cfg(target_os = "linux")]
mod drain;
#[cfg(target_os = "linux")]
mod escape;
#[cfg(target_os = "linux")]
mod executable;
#[cfg(target_os = "linux")]
mod known;
#[cfg(target_os = "linux")]
mod loan;
#[cfg(target_os = "linux")]
mod log_file;
#[cfg(target_os = "linux")]
mod outgoing;
#[cfg(target_os = "linux")]
mod overdue;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod reception;
#[cfg(target_os = "linux")]
mod records;
#[cfg(target_os = "linux")]
mod room;
#[cfg(target_os = "linux")]
mod scoreboard;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod shared;
#[cfg(target_os = "linux")]
mod slot;
#[cfg(target_os = "linux")]
pub(crate) mod status;
#[cfg(target_os = "linux")]
mod steward;
#[cfg(target_os = "linux")]
mod streams;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod teller;
#[cfg(target_os = "linux")]
mod threads;
#[cfg(target_os = "linux")]
mod turns;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod wire;

use crate::{
    fcgi::Role,
    types::{Application, Exception},
    validate::validator,
};
use std::{fmt, sync::Arc};

#[cfg(target_os = "linux")]
pub(crate) use access_log::{AccessLog, Asked, LogFormat};
pub use applications::Dispatch;
#[cfg(target_os = "linux")]
pub(crate) use control::{Connection, Control, Inheritance, Word};
pub(crate) use dispatch::Dispatcher;
#[cfg(target_os = "linux")]
pub(crate) use executable::Executable;
#[cfg(target_os = "linux")]
pub(crate) use log_file::LogFile;
pub(crate) use mount::MountPoint;
pub use protocol::Protocol;
pub(crate) use recorder::{Plan as RecordPlan, Recorder, Settings as RecordSettings};
pub use refusal::Refusal;
#[cfg(target_os = "linux")]
pub(crate) use scoreboard::{Block, Place, Scoreboard};
pub use serial::Serial;
#[cfg(target_os = "linux")]
pub use server::{Handle, Server};
pub use settings::Settings;
#[cfg(target_os = "linux")]
pub(crate) use supervisor::{End, Plan, Predecessor, Supervisor, tell_manager};
#[cfg(target_os = "linux")]
pub(crate) use watch::Watch;
#[cfg(target_os = "linux")]
pub(crate) use whole_lines::WholeLines;

/// The applications linked into an executable, by name.
///
/// ```no_run
/// use cgigate::{Environ, Gateway, Response, StartResponse};
///
/// fn hello<'r>(_environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok("Hello, world!\n".into())
/// }
///
/// fn main() -> std::process::ExitCode {
///     Gateway::new().responder("hello", hello).about("greets").main()
/// }
/// ```
#[derive(Default)]
pub struct Gateway {
    mounts: Vec<Mount>,
}

struct Mount {
    name: &'static str,
    about: &'static str,
    index: bool,
    /// Of `cgigate http` alone, where it is the index.
    welcome: bool,
    role: Role,
    app: App,
}

/// Built already, or when its worker starts.
enum App {
    Ready(Ready),
    Make(Box<Make>),
    /// When it is known that it can be asked for, of all others.
    Welcome(Box<Greet>),
}

type Ready = Box<dyn Application>;
type Greet = dyn Fn(Vec<(&'static str, &'static str)>) -> Ready + Send + Sync;
type Make = dyn Fn() -> Result<Ready, Exception> + Send + Sync;

/// An application could not be built.
///
/// ```
/// let error = cgigate::gateway::BuildError { name: "shop", error: "no database".into() };
/// assert_eq!(error.to_string(), "build the application shop: no database");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("build the application {name}: {error}")]
pub struct BuildError {
    /// The application.
    pub name: &'static str,
    /// What it says.
    pub error: Exception,
}

impl Gateway {
    /// No application yet.
    ///
    /// ```
    /// assert_eq!(cgigate::Gateway::new().apps().count(), 0);
    /// ```
    pub fn new() -> Self {
        // Room for most executables at once: one that answers CGI pays for every reallocation.
        Self { mounts: Vec::with_capacity(8) }
    }

    /// Registers an application that answers requests: what CGI knows, and FastCGI's usual role.
    ///
    /// ```
    /// use cgigate::{Gateway, apps};
    ///
    /// let gateway = Gateway::new().responder("hello", apps::hello).responder("echo", apps::echo);
    /// assert_eq!(gateway.apps().count(), 2);
    /// ```
    #[must_use]
    pub fn responder(self, name: &'static str, app: impl Application + 'static) -> Self {
        self.mount(name, Role::Responder, App::Ready(Box::new(app)))
    }

    /// Registers a FastCGI authorizer (section 6.3): 200 lets the request pass, and its
    /// `Variable-NAME` headers become variables; anything else is the answer.
    ///
    /// ```
    /// use cgigate::{Body, Environ, Gateway, Response, StartResponse};
    ///
    /// fn door<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    ///     if environ.get("HTTP_COOKIE") == Some(b"key=sesame") {
    ///         start_response.call("200 OK", &[("Variable-MEMBER", "ann")])?;
    ///         return Ok(Body::Empty);
    ///     }
    ///     start_response.call("403 Forbidden", &[("Content-Type", "text/plain")])?;
    ///     Ok("Members only.\n".into())
    /// }
    ///
    /// let gateway = Gateway::new().authorizer("door", door);
    /// # let _ = gateway;
    /// # let member = cgigate::testing::get("/").header("Cookie", "key=sesame").ask(&door);
    /// # assert_eq!((member.status, member.header("Variable-MEMBER")), (200, Some("ann")));
    /// ```
    #[must_use]
    pub fn authorizer(self, name: &'static str, app: impl Application + 'static) -> Self {
        self.mount(name, Role::Authorizer, App::Ready(Box::new(app)))
    }

    /// Registers a FastCGI filter (section 6.4): its `wsgi.input` ends at the end of STDIN, and
    /// whoever reads on after that end reads DATA. Each ends at its length, CONTENT_LENGTH or
    /// FCGI_DATA_LENGTH, where that is told; to end before it is an error.
    ///
    /// ```
    /// use cgigate::{Environ, Gateway, Response, StartResponse};
    /// use std::io::{Read, copy, sink};
    ///
    /// fn louder<'r>(mut environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    ///     copy(&mut environ.input, &mut sink())?; // STDIN: the request's body
    ///     let mut page = Vec::new();
    ///     environ.input.read_to_end(&mut page)?; // DATA: the file to be filtered
    ///     start_response.call("200 OK", &[("Content-Type", "text/html")])?;
    ///     Ok(page.to_ascii_uppercase().into())
    /// }
    ///
    /// let gateway = Gateway::new().filter("louder", louder);
    /// # let _ = gateway;
    /// ```
    #[must_use]
    pub fn filter(self, name: &'static str, app: impl Application + 'static) -> Self {
        self.mount(name, Role::Filter, App::Ready(Box::new(app)))
    }

    /// Registers an application that is built once in each worker, where it may open what it
    /// needs, or say why it can't.
    ///
    /// ```
    /// use cgigate::{Gateway, apps::Files};
    ///
    /// let docs = || Ok(Files::below(std::env::var_os("DOCS").ok_or("set DOCS to a folder")?));
    /// let gateway = Gateway::new().make("docs", docs);
    /// # let _ = gateway;
    /// ```
    #[must_use]
    pub fn make<A: Application + 'static>(
        self,
        name: &'static str,
        make: impl Fn() -> Result<A, Exception> + Send + Sync + 'static,
    ) -> Self {
        let make = move || make().map(|app| Box::new(app) as Box<dyn Application>);
        self.mount(name, Role::Responder, App::Make(Box::new(make)))
    }

    /// One line about the application registered last, for the command `apps`.
    ///
    /// ```
    /// use cgigate::{Gateway, apps};
    ///
    /// let gateway = Gateway::new().responder("hello", apps::hello).about("greets");
    /// assert_eq!(gateway.apps().next(), Some(("hello", "greets")));
    /// ```
    #[must_use]
    pub fn about(mut self, text: &'static str) -> Self {
        if let Some(last) = self.mounts.last_mut() {
            last.about = text;
        }
        self
    }

    /// Makes the application registered last the one for `/`.
    ///
    /// ```
    /// use cgigate::{Gateway, apps};
    ///
    /// let gateway = Gateway::new().responder("hello", apps::hello).index().responder("echo", apps::echo);
    /// # let _ = gateway; // `/` is answered by hello, `/echo` by echo
    /// ```
    #[must_use]
    pub fn index(mut self) -> Self {
        if let Some(last) = self.mounts.last_mut() {
            last.index = true;
        }
        self
    }

    /// Registers what greets somebody who tries the executable out: the index of `cgigate http`,
    /// and of no web server's clients. It is made of the names and descriptions of the others.
    ///
    /// ```
    /// use cgigate::{Gateway, apps};
    ///
    /// let gateway = Gateway::new().responder("hello", apps::hello).welcome(apps::Welcome::new);
    /// assert_eq!(gateway.apps().count(), 1);
    /// ```
    #[must_use]
    pub fn welcome<A: Application + 'static>(
        self,
        make: impl Fn(Vec<(&'static str, &'static str)>) -> A + Send + Sync + 'static,
    ) -> Self {
        let make = move |apps| Box::new(make(apps)) as Ready;
        let mut gateway = self.mount("welcome", Role::Responder, App::Welcome(Box::new(make)));
        if let Some(last) = gateway.mounts.last_mut() {
            last.welcome = true;
        }
        gateway
    }

    /// Names and descriptions, in the order of registration.
    ///
    /// ```
    /// use cgigate::{Gateway, apps};
    ///
    /// let gateway = Gateway::new().responder("hello", apps::hello).about("greets");
    /// for (name, about) in gateway.apps() {
    ///     println!("{name} {about}"); // what `site apps` prints
    /// }
    /// ```
    pub fn apps(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        self.mounts.iter().filter(|mount| !mount.welcome).map(|mount| (mount.name, mount.about))
    }

    fn mount(mut self, name: &'static str, role: Role, app: App) -> Self {
        self.mounts.push(Mount { name, about: "", index: false, welcome: false, role, app });
        self
    }

    /// The applications of a role, as `cgigate http` has them or as everybody else.
    fn of_role(&self, role: Role, http: bool) -> impl Iterator<Item = &Mount> + Clone {
        self.mounts.iter().filter(move |mount| mount.role == role && (http || !mount.welcome))
    }

    /// The one for `/`: whom `cgigate http` has to greet is first.
    fn index_of<'m>(
        mut mounts: impl Iterator<Item = &'m Mount> + Clone,
        http: bool,
    ) -> Option<&'m Mount> {
        let greets = mounts.clone().find(|mount| http && mount.welcome);
        greets.or_else(|| mounts.find(|mount| mount.index))
    }

    /// Builds what was left for this moment.
    pub(crate) fn build(&mut self) -> Result<(), BuildError> {
        for mount in &mut self.mounts {
            if let App::Make(make) = &mount.app {
                let app = make().map_err(|error| BuildError { name: mount.name, error })?;
                mount.app = App::Ready(app);
            }
        }
        Ok(())
    }

    /// Builds what greets, which needs to know the others: before HTTP is served.
    pub(crate) fn greet(&mut self) {
        let apps: Vec<_> = self.apps().collect();
        for mount in &mut self.mounts {
            if let App::Welcome(make) = &mount.app {
                mount.app = App::Ready(make(apps.clone()));
            }
        }
    }

    /// The same applications, each under the validator.
    pub(crate) fn validated(self) -> Self {
        self.wrapped(|_, app| Box::new(validator(app)))
    }

    /// The same applications, each in the middleware that `wrap` makes for its name and role.
    pub(crate) fn wrapped(
        mut self,
        wrap: impl Fn((&'static str, Role), Ready) -> Ready + Send + Sync + 'static,
    ) -> Self {
        let wrap = Arc::new(wrap);
        let wrapped = |mount: Mount| {
            let (which, wrap) = ((mount.name, mount.role), Arc::clone(&wrap));
            let app = match mount.app {
                App::Ready(app) => App::Ready(wrap(which, app)),
                App::Make(make) => App::Make(Box::new(move || Ok(wrap(which, make()?)))),
                App::Welcome(make) => App::Welcome(Box::new(move |apps| wrap(which, make(apps)))),
            };
            Mount { app, ..mount }
        };
        self.mounts = self.mounts.into_iter().map(wrapped).collect();
        self
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.apps().map(|(name, _)| name)).finish()
    }
}
