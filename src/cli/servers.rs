//! The servers of one process: one for web servers, whatever they speak, and one for HTTP.

use super::{
    doorman::Doorman, doors::Door, logs::Errors, observe::Observed, options::Served, wear::Wear,
};
use crate::{
    fcgi::Role,
    gateway::{
        Asked, Connection, Dispatch, Dispatcher, Handle, Protocol, Refusal, Server, Settings,
    },
    handlers::{Attributes, Handler, Outcome, Plain, Slate, Streams},
    net::{Allow, Counter, Heir, Peer, Siblings},
    simple_server::{
        DefaultHandler, Options as HttpOptions, Refused, Size, WsgiRequestHandler, WsgiServer,
    },
    types::{Application, Exception, Vars},
};
use anyhow::{Context as _, bail};
use std::{
    io::{self, Write},
    net::{IpAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

/// What is told to the servers of a process while they serve.
#[derive(Clone)]
pub(super) struct Servers {
    web: Option<Handle>,
    http: Option<Http>,
}

/// The servers before they serve.
pub(super) struct Unopened {
    web: Option<Server>,
    http: Option<(Http, Receiver<News>)>,
    graceful_timeout: Duration,
}

/// How each is to serve.
pub(super) struct Plan<'p> {
    pub(super) settings: Settings,
    pub(super) http: HttpOptions,
    pub(super) allow: Allow,
    pub(super) multiprocess: bool,
    /// Who shares the listeners.
    pub(super) siblings: &'p dyn Fn(Counter) -> Siblings,
    pub(super) wear: Arc<Wear>,
    pub(super) observed: Arc<Observed>,
}

impl Plan<'_> {
    /// The servers of `doors`, each with its view of the applications.
    pub(super) fn servers(
        self,
        doors: &[Door],
        dispatcher: impl Fn(Served) -> Dispatcher,
    ) -> anyhow::Result<Unopened> {
        let (mut for_web, mut for_http) = (Vec::new(), Vec::new());
        for Door { served, listener } in doors {
            let socket = listener.as_fd().try_clone_to_owned()?;
            match served {
                Served::WebServers(protocol) => for_web.push((*protocol, socket)),
                // For its calls, of no matter which family the socket is.
                Served::Http => for_http.push(TcpListener::from(socket)),
            }
        }
        let doorman = Arc::new(Doorman::new(self.allow));
        let Settings { graceful_timeout, queue_timeout, .. } = self.settings;
        let mut unopened = Unopened { web: None, http: None, graceful_timeout };
        if !for_http.is_empty() {
            let mut front = WsgiServer::of_listeners(for_http)?;
            front.options = self.http;
            front.know((self.siblings)(Counter::Http).patient(queue_timeout));
            front.server_handler.0.wsgi_multiprocess = self.multiprocess;
            let (wear, observed) = (Arc::clone(&self.wear), Arc::clone(&self.observed));
            let (dispatcher, doorman) = (dispatcher(Served::Http), Arc::clone(&doorman));
            front.set_handler(InFront { dispatcher, doorman, wear, observed });
            let (tell, told) = mpsc::channel();
            unopened.http = Some((Http { front: Arc::new(front), tell }, told));
        }
        if let Some((first, _)) = for_web.first() {
            let attributes = Attributes {
                origin_server: false,
                wsgi_multiprocess: self.multiprocess,
                wsgi_multithread: self.settings.threads > 1,
                ..Attributes::BASE
            };
            let handler = |protocol: Protocol| {
                Plain(Attributes { preamble: protocol.preamble(), ..attributes.clone() })
            };
            let behind = Behind {
                dispatcher: dispatcher(Served::WebServers(*first)),
                max_variables: self.settings.max_variables,
                fastcgi: handler(Protocol::FastCgi),
                scgi: handler(Protocol::Scgi),
                uwsgi: handler(Protocol::Uwsgi),
                doorman,
                wear: self.wear,
                observed: self.observed,
            };
            let watches = behind.observed.watches();
            let server = Server::new(for_web, Arc::new(behind), self.settings)?;
            if watches {
                server.time_waiting();
            }
            server.know((self.siblings)(Counter::WebServers).patient(queue_timeout));
            unopened.web = Some(server);
        }
        Ok(unopened)
    }
}

impl Unopened {
    /// What they are told by.
    pub(super) fn servers(&self) -> Servers {
        let web = self.web.as_ref().map(Server::handle);
        Servers { web, http: self.http.as_ref().map(|(http, _)| http.clone()) }
    }

    /// Serves until they are told to stop, and what was in flight has ended.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { web, http, graceful_timeout } = self;
        let told = match http {
            Some((http, told)) => {
                http.serve_aside(web.as_ref().map(Server::handle))?;
                Some(told)
            }
            None => None,
        };
        if let Some(web) = web {
            web.run()?;
        }
        told.map_or(Ok(()), |told| await_end(&told, graceful_timeout))
    }
}

impl Servers {
    /// No new connections, and none kept; what is in flight ends. To be said once.
    pub(super) fn stop(&self) {
        if let Some(web) = &self.web {
            web.stop();
        }
        if let Some(http) = &self.http {
            http.front.stop();
            let _ = http.tell.send(News::Ending);
        }
    }

    /// The same, but connections without a request go to the heir.
    pub(super) fn retire(
        &self,
        heir: impl Fn(BorrowedFd<'_>, &str) -> io::Result<()> + Clone + Send + Sync + 'static,
    ) {
        if let Some(web) = &self.web {
            web.retire(Box::new(heir.clone()) as Heir);
        }
        if let Some(http) = &self.http {
            http.front.retire(Box::new(heir));
            let _ = http.tell.send(News::Ending);
        }
    }

    /// Takes a connection that another process had; one that nobody here understands is closed.
    pub(super) fn adopt(&self, Connection { socket, spoken }: Connection) {
        match (spoken.parse(), &self.web, &self.http) {
            (Ok(Served::WebServers(protocol)), Some(web), _) => web.adopt(protocol, socket),
            (Ok(Served::Http), _, Some(http)) => http.front.adopt(socket),
            (Ok(_) | Err(_), _, _) => {}
        }
    }
}

/// A server of HTTP, and who waits for its end.
#[derive(Clone)]
struct Http {
    front: Arc<WsgiServer<'static>>,
    tell: Sender<News>,
}

enum News {
    /// It shall end soon.
    Ending,
    Ended(thread::Result<io::Result<()>>),
}

impl Http {
    /// Serves in a thread of its own: an application that does not come back is not waited for
    /// longer than was said. `beside` ends with it if it fails.
    fn serve_aside(self, beside: Option<Handle>) -> io::Result<()> {
        let serve = move || {
            let served = panic::catch_unwind(AssertUnwindSafe(|| self.front.serve_forever()));
            if !matches!(served, Ok(Ok(())))
                && let Some(beside) = beside
            {
                beside.stop();
            }
            let _ = self.tell.send(News::Ended(served));
        };
        thread::Builder::new().name("http".into()).spawn(serve).map(drop)
    }
}

fn await_end(told: &Receiver<News>, patience: Duration) -> anyhow::Result<()> {
    let mut news = told.recv().ok();
    while let Some(News::Ending) = news {
        news = told.recv_timeout(patience).ok();
    }
    match news {
        Some(News::Ended(Ok(served))) => served.context("serve http"),
        Some(News::Ended(Err(_))) => bail!("serve http: a server thread panicked"),
        Some(News::Ending) | None => Ok(()),
    }
}

/// The applications as an HTTP server runs them.
struct InFront {
    dispatcher: Dispatcher,
    doorman: Arc<Doorman>,
    wear: Arc<Wear>,
    observed: Arc<Observed>,
}

impl WsgiRequestHandler for InFront {
    fn verify_request(&self, client: Peer) -> bool {
        self.doorman.admits(client)
    }

    fn handle(
        &self,
        _app: Option<&dyn Application>,
        handler: &dyn Handler,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        self.wear.count();
        let page = self.observed.page(&slate.vars);
        let app =
            page.unwrap_or_else(|| self.dispatcher.dispatch(Role::Responder, &mut slate.vars));
        self.observed.run(handler, app, slate, streams)
    }

    fn get_stderr(&self) -> Box<dyn Write + '_> {
        Box::new(Errors::default())
    }

    fn log_request(&self, client: Peer, requestline: &[u8], code: u16, size: Size) {
        if size == Size::Page {
            let client = self.address_string(client);
            let asked = Asked::line(client.as_bytes(), requestline);
            self.observed.refused(&code.to_string(), &asked);
        }
        if !self.observed.has_access_log() {
            DefaultHandler.log_request(client, requestline, code, size);
        }
    }

    fn refused(&self, refused: &Refused, environ: &dyn Fn() -> Option<Vars>) {
        if self.dispatcher.records()
            && let Some(vars) = environ()
        {
            let Refused { status, why } = *refused;
            self.dispatcher.refused(Refusal { status, why }, Role::Responder, &vars, None);
        }
    }

    fn limits_time(&self) -> bool {
        self.observed.limits_time()
    }

    fn queued(&self, waiting: usize) {
        self.observed.queued(waiting);
    }
}

/// The applications as they are run for web servers.
struct Behind {
    dispatcher: Dispatcher,
    max_variables: usize,
    fastcgi: Plain,
    scgi: Plain,
    uwsgi: Plain,
    doorman: Arc<Doorman>,
    wear: Arc<Wear>,
    observed: Arc<Observed>,
}

impl Dispatch for Behind {
    fn dispatch(&self, role: Role, vars: &mut Vars) -> &dyn Application {
        self.wear.count();
        let page = if role == Role::Responder { self.observed.page(vars) } else { None };
        // How long its body is was looked at when it came.
        page.unwrap_or_else(|| self.dispatcher.dispatch_within(None, role, vars))
    }

    fn run(
        &self,
        protocol: Protocol,
        app: &dyn Application,
        slate: &mut Slate,
        streams: Streams<'_>,
    ) -> Result<Outcome, Exception> {
        self.observed.run(self.handler(protocol), app, slate, streams)
    }

    fn refused(&self, refusal: Refusal, request: Option<(Role, &Vars)>) {
        let asked = request.map(|(_, vars)| Asked::of(vars)).unwrap_or_default();
        self.observed.refused(refusal.status, &asked);
        if let Some((role, vars)) = request.filter(|_| self.dispatcher.records()) {
            let limit = self.max_variables.to_string();
            let said = ("CGIGATE_MAX_VARIABLES", limit.as_bytes());
            let said = (refusal == Refusal::MANY_VARIABLES).then_some(said);
            self.dispatcher.refused(refusal, role, vars, said);
        }
    }

    fn queued(&self, waiting: usize) {
        self.observed.queued(waiting);
    }

    fn serves(&self, role: Role) -> bool {
        self.dispatcher.has_role(role)
    }

    fn handler(&self, protocol: Protocol) -> &(dyn Handler + Sync) {
        match protocol {
            Protocol::FastCgi => &self.fastcgi,
            Protocol::Scgi => &self.scgi,
            Protocol::Uwsgi => &self.uwsgi,
        }
    }

    fn admits(&self, socket: &OwnedFd, address: Option<IpAddr>) -> bool {
        self.doorman.admits_socket(socket, address)
    }
}
