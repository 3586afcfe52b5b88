//! What a server is told about the applications that it runs.

use super::{Protocol, Refusal};
use crate::{
    fcgi::Role,
    handlers::{self, Handler, Outcome, Slate, Streams},
    types::{Application, Exception, Vars},
};

/// What a server has to be told about the applications that it runs.
///
/// One that has two applications, by the name that the client asks for:
///
/// ```
/// use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
/// use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
///
/// struct Hosts {
///     shop: Box<dyn Application>,
///     rest: Box<dyn Application>,
///     handlers: [Plain; 3],
/// }
///
/// impl Dispatch for Hosts {
///     fn dispatch(&self, _: Role, vars: &mut Vars) -> &dyn Application {
///         match vars.get("HTTP_HOST") {
///             Some(b"shop.example.org") => &*self.shop,
///             _ => &*self.rest,
///         }
///     }
///     fn serves(&self, role: Role) -> bool {
///         role == Role::Responder
///     }
///     fn handler(&self, protocol: Protocol) -> &(dyn Handler + Sync) {
///         &self.handlers[protocol as usize]
///     }
/// }
///
/// let handler = |protocol: Protocol| {
///     let preamble = protocol.preamble();
///     Plain(Attributes { origin_server: false, preamble, ..Attributes::BASE })
/// };
/// let handlers = [Protocol::FastCgi, Protocol::Scgi, Protocol::Uwsgi].map(handler);
/// let hosts = Hosts { shop: Box::new(apps::echo), rest: Box::new(apps::hello), handlers };
/// assert!(hosts.serves(Role::Responder) && !hosts.serves(Role::Filter));
/// ```
pub trait Dispatch: Send + Sync {
    /// The application for a request; it may change the variables, as `shift_path_info` does.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application, util::shift_path_info_strict};
    /// # struct Site(Plain);
    /// impl Dispatch for Site {
    ///     fn dispatch(&self, _: Role, vars: &mut Vars) -> &dyn Application {
    ///         // What the application is asked for is below the segment that has named it.
    ///         match shift_path_info_strict(vars).ok().flatten().as_deref() {
    ///             Some(b"echo") => &apps::echo,
    ///             _ => &apps::hello,
    ///         }
    ///     }
    ///     // ...
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// }
    /// ```
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application;

    /// Whether there is an application of that role; a request of another is refused.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// # struct Door(Plain);
    /// impl Dispatch for Door {
    ///     fn serves(&self, role: Role) -> bool {
    ///         role == Role::Authorizer // and pages are somebody else's business
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// }
    /// ```
    fn serves(&self, role: Role) -> bool;

    /// How requests are run: where the status stands is the protocol's.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// struct Site {
    ///     scgi: Plain, // Preamble::StatusFirst
    ///     uwsgi: Plain, // Preamble::StatusLine
    ///     fastcgi: Plain, // Preamble::StatusLast
    /// }
    ///
    /// impl Dispatch for Site {
    ///     fn handler(&self, protocol: Protocol) -> &(dyn Handler + Sync) {
    ///         match protocol {
    ///             Protocol::Scgi => &self.scgi,
    ///             Protocol::Uwsgi => &self.uwsgi,
    ///             Protocol::FastCgi => &self.fastcgi,
    ///         }
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// }
    /// ```
    fn handler(&self, protocol: Protocol) -> &(dyn Handler + Sync);

    /// Runs a request's application: whoever keeps count of requests does it around this.
    ///
    /// ```
    /// # use cgigate::{Exception, Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{self, Handler, Outcome, Plain, Slate, Streams}, types::Application};
    /// # use std::time::Instant;
    /// # struct Site(Plain);
    /// impl Dispatch for Site {
    ///     fn run(
    ///         &self,
    ///         protocol: Protocol,
    ///         app: &dyn Application,
    ///         slate: &mut Slate,
    ///         streams: Streams<'_>,
    ///     ) -> Result<Outcome, Exception> {
    ///         let began = Instant::now();
    ///         let outcome = handlers::run(self.handler(protocol), app, slate, streams)?;
    ///         println!("{} after {:?}", outcome.status, began.elapsed());
    ///         Ok(outcome)
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`run`](handlers::run()).
    fn run(
        &self,
        protocol: Protocol,
        app: &dyn Application,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        handlers::run(self.handler(protocol), app, slate, streams)
    }

    /// A request was refused, and is not run; its role and its variables, as far as they are known.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Refusal}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// # struct Site(Plain);
    /// impl Dispatch for Site {
    ///     fn refused(&self, refusal: Refusal, request: Option<(Role, &Vars)>) {
    ///         let uri = request.and_then(|(_, vars)| vars.native("REQUEST_URI"));
    ///         // /upload: 413 Content Too Large
    ///         println!("{}: {}", uri.unwrap_or("?".into()), refusal.status);
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// }
    /// ```
    fn refused(&self, _refusal: Refusal, _request: Option<(Role, &Vars)>) {}

    /// So many complete requests wait for a thread; told a thousand times a second at the most.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// # use std::sync::atomic::{AtomicUsize, Ordering};
    /// struct Site {
    ///     handler: Plain,
    ///     waiting: AtomicUsize, // for a page of figures
    /// }
    ///
    /// impl Dispatch for Site {
    ///     fn queued(&self, waiting: usize) {
    ///         self.waiting.store(waiting, Ordering::Relaxed);
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.handler }
    /// }
    /// ```
    fn queued(&self, _waiting: usize) {}

    /// Whether the peer of a new connection may connect; over a Unix socket it has no address.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// # use cgigate::net::{Allow, Peer};
    /// # use std::{net::IpAddr, os::fd::OwnedFd};
    /// struct Site {
    ///     handler: Plain,
    ///     allow: Allow,
    /// }
    ///
    /// impl Dispatch for Site {
    ///     fn admits(&self, _: &OwnedFd, address: Option<IpAddr>) -> bool {
    ///         // Who may connect to a Unix socket its file has said already.
    ///         address.is_none_or(|address| self.allow.admits(Peer::Ip(address)))
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.handler }
    /// }
    /// ```
    #[cfg(unix)]
    fn admits(&self, _socket: &std::os::fd::OwnedFd, _address: Option<std::net::IpAddr>) -> bool {
        true
    }

    /// Whole lines that an application wrote to `wsgi.errors`, without the last line's end, where
    /// the protocol carries none of them.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// # use std::{fs::File, io::Write};
    /// struct Site {
    ///     handler: Plain,
    ///     log: File,
    /// }
    ///
    /// impl Dispatch for Site {
    ///     fn errors(&self, lines: &[u8]) {
    ///         // In one write: other threads have lines of their own.
    ///         let _nobody_to_tell = (&self.log).write_all(&[lines, b"\n"].concat());
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.handler }
    /// }
    /// ```
    fn errors(&self, lines: &[u8]) {
        crate::sys::say_lines(lines);
    }

    /// One line about something that went wrong outside of applications.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol}};
    /// # use cgigate::{handlers::{Handler, Plain}, types::Application};
    /// # struct Site(Plain);
    /// impl Dispatch for Site {
    ///     fn log(&self, line: &str) {
    ///         println!("site: {line}"); // a connection was closed: ...
    ///     }
    ///     // ...
    /// #   fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #   fn serves(&self, _: Role) -> bool { true }
    /// #   fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// }
    /// ```
    fn log(&self, line: &str) {
        crate::sys::say(format_args!("cgigate: {line}"));
    }
}
