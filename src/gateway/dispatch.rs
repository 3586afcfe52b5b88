//! Which application answers a request.

use super::{
    App, Gateway, MountPoint, Recorder, Refusal,
    mount::{MountPointError, Outside},
    recorder::Holds,
};
use crate::{
    fcgi::Role,
    handlers::Content,
    types::{Application, Environ, RequestFault, Response, StartResponse, Vars},
    util::{first_segment, shift_segment},
};
use std::{io::Write as _, ops::Range, sync::Arc};

/// A gateway with all that was said about which of its applications is meant.
pub(crate) struct Dispatcher {
    gateway: Arc<Gateway>,
    /// As `cgigate http` has them, `welcome` too.
    http: bool,
    /// There is one responder alone: no path has to name it.
    is_alone: bool,
    /// `--app`, `CGIGATE_APP`.
    app: Option<String>,
    /// The executable's own name, if an application has it.
    own_name: Option<&'static str>,
    /// `--max-body`, in bytes.
    max_body: u64,
    /// `--mount`.
    mount: Option<MountPoint>,
    /// `--pass-env`: variables that every request has.
    passed: Vec<(String, Vec<u8>)>,
    /// `--record` has to be shown what no application sees.
    recorder: Option<Recorder>,
}

/// A mount that nothing can be found below: the web server's configuration is wrong, not the request.
struct BadMount(Refusal);

impl Application for BadMount {
    fn call<'r>(
        &'r self,
        mut environ: Environ<'r>,
        start_response: &mut dyn StartResponse,
    ) -> Response<'r> {
        writeln!(environ.errors, "cgigate: CGIGATE_MOUNT: {}", self.0.why)?;
        self.0.call(environ, start_response)
    }
}

const BAD_MOUNT: &BadMount =
    &BadMount(Refusal::new("500 Internal Server Error", "no path to mount at; use / or /path"));
const NO_PATH: &BadMount = &BadMount(Refusal::new(
    "404 Not Found",
    "the web server says no path at all; have it send REQUEST_URI",
));

impl Dispatcher {
    /// `own_name` is that of the executable, without directory and extension.
    pub(crate) fn new(
        gateway: impl Into<Arc<Gateway>>,
        app: Option<String>,
        own_name: Option<&str>,
        max_body: u64,
    ) -> Self {
        Self::of(gateway.into(), false, app, own_name, max_body)
    }

    /// The same for `cgigate http`.
    pub(crate) fn http(
        gateway: impl Into<Arc<Gateway>>,
        app: Option<String>,
        own_name: Option<&str>,
        max_body: u64,
    ) -> Self {
        Self::of(gateway.into(), true, app, own_name, max_body)
    }

    fn of(
        gateway: Arc<Gateway>,
        http: bool,
        app: Option<String>,
        own_name: Option<&str>,
        max_body: u64,
    ) -> Self {
        let own_name = own_name.and_then(|own| {
            let mut responders = gateway.of_role(Role::Responder, http);
            responders.find(|mount| mount.name == own).map(|mount| mount.name)
        });
        let is_alone = gateway.of_role(Role::Responder, http).nth(1).is_none();
        let (mount, passed, recorder) = (None, Vec::new(), None);
        Self { gateway, http, is_alone, app, own_name, max_body, mount, passed, recorder }
    }

    /// Everything is below `mount`, unless the parameter CGIGATE_MOUNT has a place to say and this
    /// is `None`.
    pub(crate) fn mounted(self, mount: Option<MountPoint>) -> Self {
        Self { mount, ..self }
    }

    /// Every request has these variables, unless the web server has set them for it.
    pub(crate) fn passing(self, passed: Vec<(String, Vec<u8>)>) -> Self {
        Self { passed, ..self }
    }

    /// Shows `recorder` what is refused before an application sees it.
    pub(crate) fn recorded(self, recorder: &Recorder) -> Self {
        Self { recorder: Some(recorder.clone()), ..self }
    }

    /// Whether any application has that role.
    pub(crate) fn has_role(&self, role: Role) -> bool {
        self.gateway.of_role(role, self.http).next().is_some()
    }

    /// The application, or what stands for it; SCRIPT_NAME and PATH_INFO become those that it
    /// expects.
    pub(crate) fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
        self.dispatch_within(Some(self.max_body), role, vars)
    }

    /// The same for a request that has a limit of its own; `None` if its length is known to be a
    /// good one.
    pub(crate) fn dispatch_within(
        &self,
        max_body: Option<u64>,
        role: Role,
        vars: &mut Vars,
    ) -> &dyn Application {
        let Said { app: asked, mount: at } = match vars.may_begin_with("CGIGATE_") {
            true => Said::of(vars),
            false => Said::default(),
        };
        for (name, value) in &self.passed {
            vars.set_default(name, value);
        }
        if let Some(refused) = max_body.and_then(|max_body| self.measure(max_body, role, vars)) {
            return refused;
        }
        // Authorizers are asked about the paths of others, which are below no mount.
        let mount = match (&self.mount, &at) {
            _ if role != Role::Responder => None,
            (Some(mount), _) | (None, Some(Ok(mount))) => Some(mount),
            (None, Some(Err(error))) => {
                self.tell(BAD_MOUNT.0, role, vars, Some(("CGIGATE_MOUNT", error.text())));
                return BAD_MOUNT;
            }
            (None, None) => None,
        };
        let mut place = match mount.map(|mount| mount.find(vars)) {
            Some(Ok(place)) => Some(place),
            Some(Err(Outside)) => {
                return self.refuse_outside(mount.map(MountPoint::path), role, vars);
            }
            None => None,
        };
        let path_info = match &place {
            Some(place) => place.path_info(vars),
            None => vars.get("PATH_INFO").unwrap_or_default(),
        };
        let name = self.app.as_deref().map(str::as_bytes).or(asked.as_deref());
        let name = name.or(self.own_name.map(str::as_bytes));
        let picked = self.pick(role, name, path_info);
        let segment = picked.as_ref().and_then(|(_, segment)| segment.clone());
        match (&mut place, segment) {
            (Some(place), segment) => {
                place.go_on(segment.map_or(0, |segment| segment.end));
                place.apply(vars);
            }
            (None, Some(segment)) => shift_segment(vars, segment),
            (None, None) => {}
        }
        match picked {
            Some((app, _)) => app,
            None => {
                let said = name.map(|name| ("CGIGATE_APP", name));
                self.refuse(&Refusal::NOT_FOUND, role, vars, said)
            }
        }
    }

    /// What answers a request that is not below the mount.
    #[cold]
    fn refuse_outside(
        &self,
        mount: Option<&[u8]>,
        role: Role,
        vars: &Vars,
    ) -> &'static dyn Application {
        let said = mount.map(|path| ("CGIGATE_MOUNT", path));
        let paths = ["REQUEST_URI", "SCRIPT_NAME", "PATH_INFO"];
        if paths.iter().all(|name| vars.filled(name).is_none()) {
            self.tell(NO_PATH.0, role, vars, said);
            return NO_PATH;
        }
        self.refuse(&Refusal::NOT_FOUND, role, vars, said)
    }

    /// What answers a request whose body is too long, or of no length that makes sense.
    fn measure(&self, max_body: u64, role: Role, vars: &Vars) -> Option<&'static dyn Application> {
        let measured = Measured::of(vars, max_body)?;
        Some(self.refuse(measured.refusal, role, vars, measured.said()))
    }

    /// What answers in an application's place.
    #[cold]
    fn refuse(
        &self,
        refusal: &'static Refusal,
        role: Role,
        vars: &Vars,
        said: Option<(&str, &[u8])>,
    ) -> &'static dyn Application {
        self.tell(*refusal, role, vars, said);
        refusal
    }

    /// The record of what is refused needs what was `said` to the gateway: replayed, it is to be
    /// refused for the same reason.
    #[cold]
    fn tell(&self, refusal: Refusal, role: Role, vars: &Vars, said: Option<(&str, &[u8])>) {
        if let Some(recorder) = self.recorder_for(role) {
            recorder.refused(refusal, Holds::Always, vars, said);
        }
    }

    /// Whether anybody records what is refused.
    pub(crate) fn records(&self) -> bool {
        self.recorder.is_some()
    }

    /// A request was refused before it could be dispatched; `said`: for what the gateway was told,
    /// and a CGI process is not.
    pub(crate) fn refused(
        &self,
        refusal: Refusal,
        role: Role,
        vars: &Vars,
        said: Option<(&str, &[u8])>,
    ) {
        let Some(recorder) = self.recorder_for(role) else { return };
        let measured = Measured::of(vars, self.max_body);
        match measured.filter(|measured| measured.refusal.status == refusal.status) {
            Some(measured) => recorder.refused(refusal, Holds::Always, vars, measured.said()),
            None => recorder.refused(refusal, Holds::Then, vars, said),
        }
    }

    /// CGI, which a record is written for, has responders alone.
    fn recorder_for(&self, role: Role) -> Option<&Recorder> {
        self.recorder.as_ref().filter(|_| role == Role::Responder)
    }

    fn is_responder(&self, name: &[u8]) -> bool {
        let mut mounts = self.gateway.mounts.iter();
        mounts.any(|mount| mount.role == Role::Responder && mount.name.as_bytes() == name)
    }

    /// The application, and the segment of its path that has named it.
    fn pick(&self, role: Role, name: Option<&[u8]>, path_info: &[u8]) -> Option<Picked<'_>> {
        let mut mounts = self.gateway.of_role(role, self.http);
        let mut named_by = None;
        let mount = match name {
            // A responder's name says nothing about who authorizes.
            Some(name) if role == Role::Responder || !self.is_responder(name) => {
                mounts.find(|mount| mount.name.as_bytes() == name)?
            }
            // Authorizers and filters are chosen by their role alone: no path comes for them.
            _ if role != Role::Responder || self.is_alone => mounts.next()?,
            _ if matches!(path_info, [] | [b'/']) => Gateway::index_of(mounts, self.http)?,
            _ => {
                let segment = first_segment(path_info).ok()??;
                let name = &path_info[segment.clone()];
                named_by = Some(segment);
                mounts.find(|mount| mount.name.as_bytes() == name)?
            }
        };
        match &mount.app {
            App::Ready(app) => Some((&**app, named_by)),
            // `build` and `greet` come before the first request.
            App::Make(_) | App::Welcome(_) => None,
        }
    }
}

/// What the web server says to the gateway about a request.
#[derive(Default)]
struct Said {
    app: Option<Vec<u8>>,
    mount: Option<Result<MountPoint, MountPointError>>,
}

impl Said {
    /// Takes it out of the variables: it is not said to the application.
    #[cold]
    fn of(vars: &mut Vars) -> Self {
        let app = vars.get("CGIGATE_APP").map(<[u8]>::to_vec);
        let mount = vars.filled("CGIGATE_MOUNT").map(MountPoint::new);
        if vars.names().any(|name| name.starts_with(b"CGIGATE_")) {
            vars.retain(|name, _| !name.starts_with(b"CGIGATE_"));
        }
        Self { app, mount }
    }
}

/// What is wrong with how long a request says its body is.
struct Measured {
    refusal: &'static Refusal,
    /// What it is longer than, where that is not what a number can be.
    limit: Option<String>,
}

impl Measured {
    /// What the gateway was told for that.
    fn said(&self) -> Option<(&str, &[u8])> {
        self.limit.as_ref().map(|limit| ("CGIGATE_MAX_BODY", limit.as_bytes()))
    }

    fn of(vars: &Vars, max_body: u64) -> Option<Self> {
        match Content::length(vars) {
            Ok(Some(length)) if length > max_body => {
                Some(Self { refusal: &Refusal::LONG_BODY, limit: Some(max_body.to_string()) })
            }
            Ok(_) => None,
            Err(RequestFault::BodyTooLong { .. }) => {
                Some(Self { refusal: &Refusal::LONG_BODY, limit: None })
            }
            Err(_) => Some(Self { refusal: &Refusal::NO_LENGTH, limit: None }),
        }
    }
}

type Picked<'d> = (&'d dyn Application, Option<Range<usize>>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{handlers::*, types::app};

    fn gateway() -> Gateway {
        let say = |text: &'static str| {
            app(move |_, start_response| {
                start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
                Ok(text.into())
            })
        };
        let gateway = Gateway::new().responder("one", say("one")).index();
        gateway.responder("two", say("two")).authorizer("three", say("three"))
    }

    fn answer(dispatcher: &Dispatcher, role: Role, vars: &[(&str, &str)]) -> String {
        answer_and_log(dispatcher, role, vars).0
    }

    fn answer_and_log(
        dispatcher: &Dispatcher,
        role: Role,
        vars: &[(&str, &str)],
    ) -> (String, String) {
        let mut slate = Slate::default();
        slate.vars = vars.iter().copied().collect();
        let app = dispatcher.dispatch(role, &mut slate.vars);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
        let _ = run(&Plain(Attributes::CGI), app, &mut slate, streams).unwrap();
        let text = String::from_utf8(out).unwrap();
        let script = slate.vars.native("SCRIPT_NAME").unwrap_or_default().into_owned();
        let body = text.rsplit("\r\n").next().unwrap_or_default().trim_end();
        (format!("{body} {script}"), String::from_utf8(err).unwrap())
    }

    #[test]
    fn a_name_that_was_given_wins_then_the_executables_own_then_the_path() {
        let responder = |app: Option<&str>, own: Option<&str>, vars: &[(&str, &str)]| {
            let dispatcher = Dispatcher::new(gateway(), app.map(Into::into), own, u64::MAX);
            answer(&dispatcher, Role::Responder, vars)
        };
        let path = ("PATH_INFO", "/one/x");
        assert_eq!(responder(Some("two"), Some("one"), &[path]), "two ");
        assert_eq!(responder(None, Some("one"), &[path, ("CGIGATE_APP", "two")]), "two ");
        assert_eq!(responder(None, Some("two"), &[path]), "two ");
        assert_eq!(responder(None, Some("other"), &[path]), "one /one");
        assert_eq!(responder(None, None, &[("PATH_INFO", "/")]), "one ");
        assert_eq!(responder(None, None, &[]), "one ");
        for wrong in ["/three", "/nine", "/../one", "//../two"] {
            assert_eq!(responder(None, None, &[("PATH_INFO", wrong)]), "404 Not Found ", "{wrong}");
        }
        assert_eq!(responder(Some("nine"), None, &[]), "404 Not Found ");
    }

    #[test]
    fn an_authorizer_is_chosen_by_its_role_alone() {
        let dispatcher = Dispatcher::new(gateway(), None, None, u64::MAX);
        assert_eq!(answer(&dispatcher, Role::Authorizer, &[]), "three ");
        let named = |app: &str| Dispatcher::new(gateway(), Some(app.into()), None, u64::MAX);
        assert_eq!(answer(&named("two"), Role::Authorizer, &[]), "three ");
        assert_eq!(answer(&named("thre"), Role::Authorizer, &[]), "404 Not Found ");
        assert!(dispatcher.has_role(Role::Authorizer) && !dispatcher.has_role(Role::Filter));
    }

    #[test]
    fn below_a_mount_the_path_is_that_of_request_uri() {
        let mount = |at: &str| Some(at.parse().unwrap());
        let dispatcher = Dispatcher::new(gateway(), None, None, u64::MAX).mounted(mount("/app"));
        let responder = |vars: &[(&str, &str)]| answer(&dispatcher, Role::Responder, vars);
        let stock = [("SCRIPT_NAME", "/app/two/x"), ("REQUEST_URI", "/app/two/x?y")];
        assert_eq!(responder(&stock), "two /app/two");
        assert_eq!(responder(&[("REQUEST_URI", "/two")]), "404 Not Found ");
        assert_eq!(responder(&[stock[1], ("CGIGATE_MOUNT", "/app/two")]), "two /app/two");
        assert_eq!(answer(&dispatcher, Role::Authorizer, &[("REQUEST_URI", "/x")]), "three ");
        let free = Dispatcher::new(gateway(), None, None, u64::MAX);
        let responder = |at| answer(&free, Role::Responder, &[stock[1], ("CGIGATE_MOUNT", at)]);
        assert_eq!(responder("/app"), "two /app/two");
        assert_eq!(responder("/else"), "404 Not Found ");
        assert_eq!(responder("a/.."), "500 Internal Server Error ");
    }

    #[test]
    fn a_mount_that_the_web_server_got_wrong_is_told_to_its_log() {
        let free = Dispatcher::new(gateway(), None, None, u64::MAX);
        for (vars, status, lacks) in [
            (&[("CGIGATE_MOUNT", "a/..")][..], "500 Internal Server Error ", "use / or /path"),
            (&[("CGIGATE_MOUNT", "/app")], "404 Not Found ", "have it send REQUEST_URI"),
        ] {
            let (answer, log) = answer_and_log(&free, Role::Responder, vars);
            assert!(answer == status && log.contains(lacks), "{answer}: {log}");
        }
    }

    #[test]
    fn one_application_alone_takes_every_request() {
        let alone = Gateway::new().responder(
            "x",
            app(|_, start_response| {
                start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
                Ok("x".into())
            }),
        );
        let dispatcher = Dispatcher::new(alone, None, None, u64::MAX);
        assert_eq!(answer(&dispatcher, Role::Responder, &[("PATH_INFO", "/any/../where")]), "x ");
    }

    #[test]
    fn a_body_too_long_or_of_no_length_is_refused_before_the_application_runs() {
        let dispatcher = Dispatcher::new(gateway(), None, None, 100);
        let length = |value| answer(&dispatcher, Role::Responder, &[("CONTENT_LENGTH", value)]);
        assert_eq!(length("101"), "413 Content Too Large ");
        assert_eq!(length("5, 7"), "400 Bad Request ");
        assert_eq!(length("-1"), "one ");
    }
}
