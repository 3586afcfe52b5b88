//! One worker process that serves web servers: listeners in, until it is told to stop.

use super::{
    Dispatch, Protocol, Settings,
    shared::{BELL, LISTENERS, Shared},
    steward::Stewardship,
    threads::{Thread, report},
};
use crate::{
    net::{Heir, Siblings},
    sys::Ready,
};
use std::{
    io,
    net::TcpListener,
    os::fd::{AsRawFd, OwnedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread,
};

/// The threads of one worker process and the listeners they serve.
///
/// ```
/// use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Server, Settings}, scgi};
/// use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
/// use std::{io::{Read, Write}, net::{TcpListener, TcpStream}, sync::Arc, thread};
///
/// struct Hello(Plain);
///
/// impl Dispatch for Hello {
///     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
///     fn serves(&self, role: Role) -> bool { role == Role::Responder }
///     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
/// }
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut stream = TcpStream::connect(listener.local_addr()?)?;
/// let preamble = Protocol::Scgi.preamble();
/// let hello = Hello(Plain(Attributes { origin_server: false, preamble, ..Attributes::BASE }));
/// let listeners = vec![(Protocol::Scgi, listener.into())];
/// let server = Server::new(listeners, Arc::new(hello), Settings::default())?;
/// let handle = server.handle();
/// let serving = thread::spawn(|| server.run());
///
/// let mut request = Vec::new();
/// scgi::head(&mut request, 0, &[("REQUEST_METHOD", "GET")])?;
/// stream.write_all(&request)?;
/// let mut answer = String::new();
/// stream.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("Status: 200 OK\r\n"), "{answer}");
///
/// handle.stop();
/// serving.join().expect("it does not panic")?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    shared: Arc<Shared>,
}

/// What a [`Server`] is told by from another thread.
///
/// ```
/// # use cgigate::{Vars, apps, fcgi::Role};
/// # use cgigate::gateway::{Dispatch, Handle, Protocol, Server, Settings};
/// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
/// # use std::{net::TcpListener, sync::Arc, thread};
/// # struct Hello(Plain);
/// # impl Dispatch for Hello {
/// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
/// #     fn serves(&self, _: Role) -> bool { true }
/// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
/// # }
/// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
/// # let listeners = vec![(Protocol::Scgi, TcpListener::bind("127.0.0.1:0")?.into())];
/// let server = Server::new(listeners, hello, Settings::default())?;
/// let handle: Handle = server.handle();
/// let serving = thread::spawn(|| server.run());
/// // ... until somebody has had enough:
/// handle.stop();
/// serving.join().expect("it does not panic")?;
/// # Ok::<_, std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// Applications may use this much; the address space is taken, the memory only when it is used.
const STACK: usize = 2 << 20;

impl Server {
    /// A server of `listeners`, which become non-blocking, with what is spoken on each.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Server, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{net::TcpListener, sync::Arc, time::Duration};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// // Two doors to the same applications:
    /// let listen = || TcpListener::bind("127.0.0.1:0");
    /// let [fastcgi, scgi] = [listen()?.into(), listen()?.into()];
    /// let listeners = vec![(Protocol::FastCgi, fastcgi), (Protocol::Scgi, scgi)];
    /// let read_timeout = Some(Duration::from_secs(10));
    /// let settings = Settings { threads: 2, read_timeout, ..Settings::default() };
    /// let server = Server::new(listeners, hello, settings)?;
    /// # drop(server);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub fn new(
        listeners: Vec<(Protocol, OwnedFd)>,
        apps: Arc<dyn Dispatch>,
        settings: Settings,
    ) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(|(protocol, listener)| {
            // For this call of no matter which family the socket is.
            let listener = TcpListener::from(listener);
            listener.set_nonblocking(true)?;
            Ok((protocol, OwnedFd::from(listener)))
        });
        let listeners = listeners.collect::<io::Result<_>>()?;
        let shared = Arc::new(Shared::new(listeners, apps, settings)?);
        shared.settle();
        shared.epoll.add(shared.bell.as_raw_fd(), BELL, Ready::Once)?;
        for (listener, token) in shared.listeners.iter().zip(LISTENERS..) {
            shared.epoll.add(listener.socket.raw(), token, Ready::While)?;
        }
        Ok(Self { shared })
    }

    /// What it is told by.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Server, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{net::TcpListener, sync::Arc, thread};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// # let listeners = vec![(Protocol::Scgi, TcpListener::bind("127.0.0.1:0")?.into())];
    /// let server = Server::new(listeners, hello, Settings::default())?;
    /// let handle = server.handle();
    /// let clock = thread::spawn(move || handle.stop()); // from any thread
    /// server.run()?;
    /// # clock.join().expect("it does not panic");
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Says who shares the listeners: then it leaves connections that it has no thread for to those
    /// who have one.
    pub(crate) fn know(&self, siblings: Siblings) {
        siblings.tell(true);
        let _known_already = self.shared.siblings.set(siblings);
    }

    /// Notes when requests come: somebody wants to know how long they wait.
    pub(crate) fn time_waiting(&self) {
        self.shared.times_waiting.store(true, Ordering::Relaxed);
    }

    /// Serves until it is stopped and what was in flight has ended, or the time for that is over.
    /// The calling thread becomes the steward.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Server, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{net::TcpListener, sync::Arc, thread};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// # let listeners = vec![(Protocol::Scgi, TcpListener::bind("127.0.0.1:0")?.into())];
    /// let server = Server::new(listeners, hello, Settings::default())?;
    /// # server.handle().stop();
    /// match server.run() {
    ///     Ok(()) => println!("stopped, and nothing is in flight"),
    ///     Err(error) => eprintln!("serve: {error}"),
    /// }
    /// # Ok::<_, std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn run(self) -> io::Result<()> {
        let mut threads = Vec::new();
        for number in 0..self.shared.lines.len() {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name(format!("worker {number}"));
            threads.push(builder.stack_size(STACK).spawn(move || Thread::run(&shared, number))?);
        }
        let mut steward = Stewardship::new(Arc::clone(&self.shared));
        // As for the other threads: what it held is closed, and it goes on.
        while let Err(panic) = catch_unwind(AssertUnwindSafe(|| steward.run())) {
            steward.recover();
            report(&self.shared, &*panic);
        }
        if self.shared.table.live() == 0 {
            for thread in threads {
                // Panics are caught, but for one while another is mended: its message is out.
                let _ = thread.join();
            }
        }
        Ok(())
    }
}

impl Handle {
    /// No new connections, and none kept; what is in flight ends. A second call ends at once.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Server, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{net::TcpListener, sync::Arc, thread};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// # let listeners = vec![(Protocol::Scgi, TcpListener::bind("127.0.0.1:0")?.into())];
    /// # let server = Server::new(listeners, hello, Settings::default())?;
    /// let handle = server.handle();
    /// let serving = thread::spawn(|| server.run());
    /// handle.stop(); // what is in flight may end, for as long as `graceful_timeout` says
    /// handle.stop(); // enough
    /// serving.join().expect("it does not panic")?;
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn stop(&self) {
        // One that retires stops now: that is the first call yet.
        let retired = self.shared.succession.end();
        if self.shared.stopping.swap(true, Ordering::SeqCst) && !retired {
            self.shared.done.store(true, Ordering::SeqCst);
        }
        self.shared.steward.call();
    }

    /// No new connections; what is in flight ends, and connections without a request go to the heir.
    pub(crate) fn retire(&self, heir: Heir) {
        if !self.shared.is_stopping() {
            self.shared.succession.begin(heir);
            self.shared.stopping.store(true, Ordering::SeqCst);
            self.shared.steward.call();
        }
    }

    /// Takes a connection on which another server's peer has no request under way.
    pub(crate) fn adopt(&self, protocol: Protocol, socket: OwnedFd) {
        self.shared.adopt(protocol, socket);
    }
}
