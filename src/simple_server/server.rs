//! `WSGIServer`: listeners, an application, and the loop.

use super::{
    DefaultHandler, Options, ServerHandler, WsgiRequestHandler, front, queue::Queue,
    serving::Serving,
};
use crate::{
    handlers::Slate,
    lock::lock,
    net::{Heir, Siblings, Succession},
    sys::Bell,
    types::{Application, Vars},
};
use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::fd::OwnedFd,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

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
