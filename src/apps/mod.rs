//! The applications that come with the gateway: for trying a server out, and to copy from.
//!
//! Each is an [`Application`](crate::Application) and knows nothing of the gateway that runs it.
//!
//! ```
//! use cgigate::{Gateway, apps};
//!
//! let gateway = Gateway::new()
//!     .responder("site", apps::Files::below("/srv/www")).about("the site").index()
//!     .responder("probe", apps::probe).about("what the web server in front gets wrong");
//! assert_eq!(gateway.apps().count(), 2); // and in an executable: gateway.main()
//! ```

mod demo;
mod echo;
mod environ;
mod files;
mod hello;
mod probe;
mod welcome;

pub use demo::demo;
pub use echo::echo;
pub use environ::environ;
pub(crate) use files::{ACCEL, SETTINGS as FILES_SETTINGS};
pub use files::{Accel, AccelError, Files, Links, files};
pub use hello::hello;
pub use probe::probe;
pub use welcome::Welcome;

/// Says that the body is what its Content-Type says: it may hold what the client sent.
const NOSNIFF: (&str, &str) = ("X-Content-Type-Options", "nosniff");

#[cfg(test)]
mod testing {
    //! Runs an application as CGI would, for the tests of its neighbours.

    use crate::{
        Application,
        handlers::{Attributes, Plain, Slate, Streams, run},
        types::to_native,
    };

    /// The whole response as native text.
    pub(super) fn answer(app: &dyn Application, vars: &[(&str, &[u8])], stdin: &[u8]) -> String {
        let mut slate = Slate::default();
        for (name, value) in vars {
            slate.vars.set(name, value);
        }
        let (mut stdin, mut stdout, mut stderr) = (stdin, Vec::new(), Vec::new());
        let streams = Streams { stdin: &mut stdin, stdout: &mut stdout, stderr: &mut stderr };
        let _ = run(&Plain(Attributes::CGI), app, &mut slate, streams).unwrap();
        assert_eq!(to_native(&stderr), "");
        to_native(&stdout).into_owned()
    }
}
