//! `WSGIServer`: listeners, an application, and the loop.

use super::{
    DefaultHandler, Options, ServerHandler, WsgiRequestHandler,
    connection::{After, Connection, PIECE, answer},
    front,
    handler::error_page,
    head_scan::HeadScan,
    refused::Refused,
};
use crate::{
    handlers::Slate,
    lock::lock,
    net::{Heir, Peer, Siblings, Succession},
    sys::{self, Bell, Epoll, Happened, Readiness, Ready, SocketCell},
    types::{Application, Vars},
};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long is waited for the rest of a request that nobody wants, where one client at a time is
/// served; and for what has arrived already.
const PATIENCE: Duration = Duration::from_secs(2);

/// `WSGIServer`: serves an application over HTTP.
///
/// As it is made it is wsgiref's: HTTP/1.0, one request a connection, one after the other. With
/// [`Options::http`] it is what `cgigate http` runs.
///
/// ```
/// use cgigate::simple_server::{Options, WsgiServer};
/// use std::{io::{Read, Write}, net::TcpStream, thread};
///
/// let mut server = WsgiServer::new("127.0.0.1:0")?;
/// server.set_app(cgigate::apps::hello);
/// server.options = Options::http();
/// let address = server.server_address().unwrap();
/// thread::scope(|scope| {
///     scope.spawn(|| server.serve_forever().unwrap());
///     let mut client = TcpStream::connect(address).unwrap();
///     client.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
///     let mut answer = String::new();
///     client.read_to_string(&mut answer).unwrap();
///     assert!(answer.ends_with("\r\n\r\nHello World\n"), "{answer}");
///     server.shutdown();
/// });
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct WsgiServer<'a> {
    listeners: Vec<TcpListener>,
    application: Option<Box<dyn Application + 'a>>,
    handler: Box<dyn WsgiRequestHandler + 'a>,
    /// Variables of every request. SERVER_NAME and SERVER_PORT are those of the address that is
    /// bound; where they are not here they are what the connection's own address says.
    pub base_environ: Vars,
    /// Limits, times, and how strict to be.
    pub options: Options,
    /// The attributes of responses; `wsgi.multithread` is told the truth.
    pub server_handler: ServerHandler,
    /// How long [`handle_request`](Self::handle_request) waits; `None` is for ever.
    pub timeout: Option<Duration>,
    stopping: AtomicBool,
    succession: Succession,
    siblings: Siblings,
    adopted: Mutex<Vec<OwnedFd>>,
    bell: Bell,
    waiting: AtomicUsize,
    serving: Mutex<bool>,
    served: Condvar,
}

/// What the parts of a server need to know of it while it serves.
pub(super) struct Serving<'s> {
    pub(super) application: Option<&'s dyn Application>,
    pub(super) handler: &'s dyn WsgiRequestHandler,
    pub(super) server_handler: &'s ServerHandler,
    pub(super) base_environ: &'s Vars,
    pub(super) options: &'s Options,
    pub(super) listeners: &'s [TcpListener],
    pub(super) stopping: &'s AtomicBool,
    /// Who gets the connections without a request when it stops.
    pub(super) succession: &'s Succession,
    /// The servers of other processes that share the listeners.
    pub(super) siblings: &'s Siblings,
    /// Connections that another server had.
    pub(super) adopted: &'s Mutex<Vec<OwnedFd>>,
    pub(super) bell: &'s Bell,
    /// Requests that wait for a thread.
    pub(super) waiting: &'s AtomicUsize,
}

impl Serving<'_> {
    /// The error page of this server.
    pub(super) fn page(&self, refused: &Refused, is_head: bool) -> Vec<u8> {
        let software = self.server_handler.0.software();
        error_page(refused, software, self.options.is_modern(), is_head)
    }

    /// So many requests wait for a thread.
    pub(super) fn tell_waiting(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::Relaxed);
        self.handler.queued(waiting);
    }

    /// Waits for a client that may take so long; false when it took longer. While others wait for
    /// a thread it has a tenth of the time: who stands still must not hold them all.
    pub(super) fn wait(
        &self,
        socket: &SocketCell,
        what: Readiness,
        patience: Option<Duration>,
    ) -> io::Result<bool> {
        const LOOK: Duration = Duration::from_millis(250);
        let Some(patience) = patience else { return socket.wait(what, None) };
        let began = Instant::now();
        loop {
            let left = match self.waiting.load(Ordering::Relaxed) {
                0 => patience,
                _ => patience / 10,
            };
            let left = left.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            if socket.wait(what, Some(left.min(LOOK)))? {
                return Ok(true);
            }
        }
    }
}

/// `make_server(host, port, app)`: a [`WsgiServer`] that listens, for `app`. An empty host is every
/// IPv4 address of this machine, and port 0 a free one.
///
/// ```no_run
/// use cgigate::{apps::demo, simple_server::make_server};
///
/// let server = make_server("127.0.0.1", 8000, demo)?;
/// server.handle_request()?; // one request
/// server.serve_forever()?; // and all that follow
/// # Ok::<_, std::io::Error>(())
/// ```
///
/// # Errors
/// The address is not this machine's, or taken.
pub fn make_server<'a>(
    host: &str,
    port: u16,
    app: impl Application + 'a,
) -> io::Result<WsgiServer<'a>> {
    let mut server = match host {
        "" => WsgiServer::new(("0.0.0.0", port))?,
        host => WsgiServer::new((host, port))?,
    };
    server.set_app(app);
    Ok(server)
}

impl<'a> WsgiServer<'a> {
    /// `WSGIServer(server_address, WSGIRequestHandler)`: binds, and listens at once. IPv6 is no
    /// other than IPv4, and no name server is asked what the address is called.
    ///
    /// ```
    /// use cgigate::simple_server::{Options, WsgiServer};
    /// use std::time::Duration;
    ///
    /// let mut server = WsgiServer::new(("127.0.0.1", 0))?;
    /// let read_timeout = Some(Duration::from_secs(5));
    /// server.options = Options { read_timeout, ..Options::http() };
    /// let taken = server.server_address().expect("it listens");
    /// assert!(WsgiServer::new(taken).is_err()); // somebody listens there already
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The address is not this machine's, or taken.
    pub fn new(address: impl ToSocketAddrs) -> io::Result<Self> {
        Self::of_listeners(vec![TcpListener::bind(address)?])
    }

    /// A server of sockets that listen already, as a service manager hands them over; Unix sockets
    /// too, which are no different once they do. They become non-blocking.
    ///
    /// ```
    /// use cgigate::simple_server::WsgiServer;
    /// use std::net::TcpListener;
    ///
    /// // Of both families, or as a service manager has opened them.
    /// let listeners = vec![TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    /// let mut server = WsgiServer::of_listeners(listeners)?;
    /// server.set_app(cgigate::apps::hello);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// They are no sockets that listen, or the system has no more descriptors.
    pub fn of_listeners(listeners: Vec<TcpListener>) -> io::Result<Self> {
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let mut server = Self {
            listeners,
            application: None,
            handler: Box::new(DefaultHandler),
            base_environ: Vars::default(),
            options: Options::default(),
            server_handler: ServerHandler::default(),
            timeout: None,
            stopping: AtomicBool::new(false),
            succession: Succession::default(),
            siblings: Siblings::default(),
            adopted: Mutex::default(),
            bell: Bell::new()?,
            waiting: AtomicUsize::new(0),
            serving: Mutex::new(false),
            served: Condvar::new(),
        };
        server.setup_environ();
        Ok(server)
    }

    /// `setup_environ`: what is the same for all requests.
    fn setup_environ(&mut self) {
        let mut base = Vars::default();
        if let (Some(address), [_]) = (self.server_address(), &self.listeners[..])
            && !address.ip().is_unspecified()
        {
            let name = match address.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            base.set("SERVER_NAME", name);
            base.set("SERVER_PORT", address.port().to_string());
        }
        base.set("GATEWAY_INTERFACE", "CGI/1.1");
        for name in ["REMOTE_HOST", "CONTENT_LENGTH", "SCRIPT_NAME"] {
            base.set(name, "");
        }
        base.set("SERVER_SOFTWARE", concat!("cgigate/", env!("CARGO_PKG_VERSION")));
        self.base_environ = base;
    }

    /// The address that is bound, with the real port.
    ///
    /// ```
    /// use cgigate::simple_server::WsgiServer;
    ///
    /// let server = WsgiServer::new("127.0.0.1:0")?;
    /// let address = server.server_address().expect("it listens");
    /// println!("Serving on http://{address}/");
    /// assert_ne!(address.port(), 0);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn server_address(&self) -> Option<SocketAddr> {
        self.listeners.first()?.local_addr().ok()
    }

    /// `set_app`: what answers.
    ///
    /// ```
    /// use cgigate::simple_server::WsgiServer;
    ///
    /// let greeting = String::from("Hello\n");
    /// let mut server = WsgiServer::new("127.0.0.1:0")?;
    /// server.set_app(cgigate::app(|_environ, start_response| {
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok(greeting.clone().into())
    /// }));
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn set_app(&mut self, application: impl Application + 'a) {
        self.application = Some(Box::new(application));
    }

    /// `get_app`
    ///
    /// ```
    /// use cgigate::{apps, simple_server::make_server, testing};
    ///
    /// let server = make_server("127.0.0.1", 0, apps::hello)?;
    /// let app = server.get_app().expect("it has one");
    /// assert_eq!(testing::get("/").ask(app).text(), "Hello World\n"); // without the network
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn get_app(&self) -> Option<&(dyn Application + 'a)> {
        self.application.as_deref()
    }

    /// Says who shares the listeners: then a modern server leaves connections that it has no thread
    /// for to those who have one.
    pub(crate) fn know(&mut self, siblings: Siblings) {
        siblings.tell(true);
        self.siblings = siblings;
    }

    /// `RequestHandlerClass`: other methods than the defaults.
    ///
    /// ```
    /// use cgigate::{net::Peer, simple_server::{WsgiRequestHandler, make_server}};
    ///
    /// struct Silent;
    ///
    /// impl WsgiRequestHandler for Silent {
    ///     fn log_message(&self, _: Peer, _: std::fmt::Arguments<'_>) {}
    /// }
    ///
    /// let mut server = make_server("127.0.0.1", 0, cgigate::apps::hello)?;
    /// server.set_handler(Silent);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn set_handler(&mut self, handler: impl WsgiRequestHandler + 'a) {
        self.handler = Box::new(handler);
    }

    fn serving<'s>(&'s self, server_handler: &'s ServerHandler) -> Serving<'s> {
        Serving {
            application: self.application.as_deref().map(|app| app as &dyn Application),
            handler: &*self.handler,
            server_handler,
            base_environ: &self.base_environ,
            options: &self.options,
            listeners: &self.listeners,
            stopping: &self.stopping,
            succession: &self.succession,
            siblings: &self.siblings,
            adopted: &self.adopted,
            bell: &self.bell,
            waiting: &self.waiting,
        }
    }

    fn server_handler(&self, threads: usize) -> ServerHandler {
        let mut handler = self.server_handler.clone();
        handler.0.wsgi_multithread = threads > 1;
        if self.options.is_modern() {
            handler.0.http_version = "1.1".into();
        }
        handler
    }

    /// `handle_request`: waits for one connection, and answers the request on it. False: none came
    /// within `timeout`, or the server was told to stop.
    ///
    /// ```
    /// use cgigate::{apps::hello, simple_server::make_server};
    /// use std::time::Duration;
    ///
    /// let mut server = make_server("127.0.0.1", 0, hello)?;
    /// server.timeout = Some(Duration::from_millis(10));
    /// assert!(!server.handle_request()?); // nobody came
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The listeners cannot be used.
    pub fn handle_request(&self) -> io::Result<bool> {
        let server_handler = self.server_handler(1);
        let serving = self.serving(&server_handler);
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        Queue::of(&serving)?.serve_one(&serving, &mut Slate::default(), deadline)
    }

    /// `serve_forever`: until [`shutdown`](Self::shutdown) or [`stop`](Self::stop) is called from
    /// another thread; then finishes what is in flight.
    ///
    /// ```
    /// use cgigate::{apps::hello, simple_server::make_server};
    /// use std::thread;
    ///
    /// let server = make_server("127.0.0.1", 0, hello)?;
    /// thread::scope(|scope| {
    ///     let serving = scope.spawn(|| server.serve_forever());
    ///     server.stop(); // when there is nothing more to be done
    ///     serving.join().expect("it does not panic")
    /// })?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The listeners cannot be used, or there are no threads to be had.
    pub fn serve_forever(&self) -> io::Result<()> {
        *lock(&self.serving) = true;
        let served = self.serve();
        self.stopping.store(false, Ordering::Release);
        *lock(&self.serving) = false;
        self.served.notify_all();
        served
    }

    fn serve(&self) -> io::Result<()> {
        let threads = if self.options.is_modern() { self.options.threads.max(1) } else { 1 };
        let server_handler = self.server_handler(threads);
        let serving = self.serving(&server_handler);
        if self.options.is_modern() {
            return front::serve(&serving);
        }
        let (queue, mut slate) = (Queue::of(&serving)?, Slate::default());
        while !self.stopping.load(Ordering::Acquire) {
            queue.serve_one(&serving, &mut slate, None)?;
        }
        Ok(())
    }

    /// Tells the server to stop, and does not wait for it.
    ///
    /// ```
    /// use cgigate::{apps::hello, simple_server::make_server};
    ///
    /// let server = make_server("127.0.0.1", 0, hello)?;
    /// server.stop(); // for a signal's thread, which must not wait
    /// server.serve_forever()?; // ends at once
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn stop(&self) {
        self.succession.end();
        self.stopping.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// The same, but connections without a request go to the heir. A modern server's alone.
    pub(crate) fn retire(&self, heir: Heir) {
        if !self.stopping.load(Ordering::Acquire) {
            self.succession.begin(heir);
            self.stopping.store(true, Ordering::Release);
            self.bell.ring();
        }
    }

    /// Takes a connection on which another server's client has no request under way.
    pub(crate) fn adopt(&self, socket: OwnedFd) {
        lock(&self.adopted).push(socket);
        self.bell.ring();
    }

    /// `shutdown`: tells `serve_forever` to stop, and waits until it has. In the thread that serves
    /// it would wait for ever.
    ///
    /// ```
    /// use cgigate::{apps::hello, simple_server::make_server};
    /// use std::thread;
    ///
    /// let server = make_server("127.0.0.1", 0, hello)?;
    /// thread::scope(|scope| {
    ///     scope.spawn(|| server.serve_forever());
    ///     // ... the requests of a test ...
    ///     server.shutdown();
    /// });
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn shutdown(&self) {
        self.stop();
        let serving = lock(&self.serving);
        drop(self.served.wait_while(serving, |serving| *serving));
    }
}

/// wsgiref's way: the clients wait in the kernel's queue, and are served one after the other.
struct Queue(Epoll);

impl Queue {
    fn of(serving: &Serving<'_>) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        for (listener, token) in serving.listeners.iter().zip(0..) {
            epoll.add(listener.as_raw_fd(), token, Ready::While)?;
        }
        epoll.add(serving.bell.as_raw_fd(), u64::MAX, Ready::Once)?;
        Ok(Self(epoll))
    }

    /// Waits for a connection that may be served, and serves it.
    fn serve_one(
        &self,
        serving: &Serving<'_>,
        slate: &mut Slate,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        let mut happened = [Happened::default(); Epoll::BATCH];
        loop {
            if serving.stopping.load(Ordering::Acquire) {
                return Ok(false);
            }
            let millis = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => -1,
                Some(Duration::ZERO) => return Ok(false),
                Some(left) => i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX),
            };
            let n = self.0.wait(&mut happened, millis);
            // One that is not taken now is reported again.
            let ready = happened[..n].iter().find_map(|one| {
                serving.listeners.get(usize::try_from(one.token).unwrap_or(usize::MAX))
            });
            let Some(listener) = ready else { continue };
            if let Some(mut connection) = accept(listener, serving)? {
                serve(&mut connection, serving, slate);
                return Ok(true);
            }
        }
    }
}

/// The next connection of a listener, if there is one and it may stay.
pub(super) fn accept(
    listener: &TcpListener,
    serving: &Serving<'_>,
) -> io::Result<Option<Connection>> {
    let (socket, address) = match sys::accept(listener.as_raw_fd()) {
        Ok(accepted) => accepted,
        // The others say something of a connection, and not of the listener.
        Err(e) if e.kind() == io::ErrorKind::InvalidInput || sys::is_exhausted(&e) => {
            return Err(e);
        }
        Err(_) => return Ok(None),
    };
    Ok(admit(socket, address, serving))
}

/// A new connection, if its peer may connect.
pub(super) fn admit(
    socket: OwnedFd,
    address: Option<IpAddr>,
    serving: &Serving<'_>,
) -> Option<Connection> {
    let client = match address {
        Some(address) => Peer::Ip(address),
        None => Peer::User(sys::peer_user(socket.as_fd()).ok()?),
    };
    let refused = serving.options.allow.as_ref().is_some_and(|allow| !allow.admits(client));
    let served = !refused && serving.handler.verify_request(client);
    served.then(|| Connection::new(socket, client))
}

/// Reads one request, answers it, and closes.
fn serve(connection: &mut Connection, serving: &Serving<'_>, slate: &mut Slate) {
    let mut scan = HeadScan::new(serving.options.rules);
    let deadline = serving.options.read_timeout.map(|limit| Instant::now() + limit);
    let after = loop {
        match scan.scan(&connection.buffer) {
            Ok(Some(head)) => break answer(connection, head, serving, slate, false),
            Ok(None) => {}
            Err(refused) => break connection.refuse(serving, &refused, None),
        }
        match receive(connection, deadline) {
            Ok(1..) => {}
            Ok(0) if scan.end(&mut connection.buffer) => {}
            Err(e) if e.kind() == io::ErrorKind::TimedOut && !scan.is_idle() => {
                break connection.refuse(serving, &TOO_SLOW, None);
            }
            Ok(0) | Err(_) => return,
        }
    };
    if after != After::Close {
        connection.drain(PATIENCE);
    }
}

pub(super) const TOO_SLOW: Refused =
    Refused { status: "408 Request Timeout", why: "the request stood still for too long" };

/// Adds to the buffer what comes until `deadline`.
fn receive(connection: &mut Connection, deadline: Option<Instant>) -> io::Result<usize> {
    let mut piece = [0; PIECE];
    loop {
        match connection.socket.recv(&mut piece) {
            Ok(n) => {
                connection.buffer.extend_from_slice(&piece[..n]);
                return Ok(n);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) || !connection.socket.wait(Readiness::Read, left)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}
