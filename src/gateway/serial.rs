//! One connection, by itself: bytes come from a stream that blocks, and go to it, and requests run
//! one after the other on the thread that asked for them.
//!
//! For where no epoll is: the named pipe of Windows, other systems, tests without sockets. Answers
//! are those of the workers. What differs comes of the stream, which cannot be asked whether it
//! would block: FCGI_MPXS_CONNS is 0, and what is interleaved all the same waits its turn; the whole
//! body is read (64 KiB in memory, then a file) before the first byte of an answer is sent, or
//! two peers that write would wait for each other for ever; and an ABORT_REQUEST is noticed when
//! something is read.

mod answer;
mod streams;

use super::{
    Dispatch, Protocol, Settings,
    call::Call,
    connection::{Front, Rules},
    filter::FilterInput,
    sorting::Sorting,
    token::Token,
};
use crate::{
    fcgi::Role,
    handlers::{self, ContentInput, Ending, Streams},
    types::ClientGone,
};
use answer::Answer;
use std::{
    cell::RefCell,
    io::{self, BufRead, Read, Write},
    sync::Arc,
};
use streams::{Stderr, Stdin, Stdout};

/// A connection that serves itself.
///
/// ```
/// use cgigate::{Vars, app, fcgi::{self, Role, RecordType::{Params, Stdin}, RequestId}};
/// use cgigate::gateway::{Dispatch, Protocol, Serial, Settings};
/// use cgigate::handlers::{Attributes, Handler, Plain, Preamble};
/// use cgigate::types::Application;
/// use std::{io::{self, Read, Write}, num::NonZeroU16, sync::Arc};
///
/// /// What a web server says, and what it hears.
/// struct Wire(io::Cursor<Vec<u8>>, Vec<u8>);
/// # impl Read for Wire {
/// #     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> { self.0.read(buffer) }
/// # }
/// # impl Write for Wire {
/// #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.1.write(bytes) }
/// #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
/// # }
/// struct One<A>(A, Plain);
/// impl<A: Application> Dispatch for One<A> {
///     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &self.0 }
///     fn serves(&self, role: Role) -> bool { role == Role::Responder }
///     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.1 }
/// }
///
/// let hello = app(|_environ, start_response| {
///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
///     Ok("hello".into())
/// });
/// let preamble = Preamble::StatusLast;
/// let plain = Plain(Attributes { origin_server: false, preamble, ..Attributes::BASE });
/// let (id, mut request) = (RequestId(NonZeroU16::MIN), Vec::new());
/// fcgi::begin_request(&mut request, id, Role::Responder, false);
/// fcgi::stream(&mut request, Params, id, b"");
/// fcgi::stream(&mut request, Stdin, id, b"");
/// let wire = Wire(io::Cursor::new(request), Vec::new());
/// let (apps, settings) = (Arc::new(One(hello, plain)), Settings::default());
/// let mut connection = Serial::new(Protocol::FastCgi, wire, apps, settings);
/// connection.run();
/// let Wire(_, answer) = connection.into_stream();
/// assert!(answer.windows(25).any(|part| part == b"Status: 200 OK\r\n\r\nhello\x01\x06"));
/// ```
pub struct Serial<S> {
    line: RefCell<Line<S>>,
    has_stderr: bool,
}

/// The stream, and what has come of it.
struct Line<S> {
    protocol: Protocol,
    stream: S,
    apps: Arc<dyn Dispatch>,
    settings: Settings,
    front: Front,
    sorting: Sorting,
    input: Box<[u8]>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The peer was waited for long enough.
    TooSlow,
    /// Nothing more comes that could be understood.
    Ended,
    /// Nobody hears what is said.
    Gone,
}

/// There is one connection, so it needs no name.
const TOKEN: Token = Token(0);
const INPUT: usize = 64 << 10;

impl<S: Read + Write> Serial<S> {
    /// A new connection over `stream`. A read that fails with `TimedOut` or `WouldBlock` has lasted
    /// longer than the peer is waited for.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Serial, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, scgi, types::Application};
    /// # use std::{io::{self, Cursor}, sync::Arc};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// let mut request = Vec::new();
    /// scgi::head(&mut request, 0, &[("REQUEST_METHOD", "GET")])?;
    /// // What is read is the request; what is written comes behind it.
    /// let stream = Cursor::new(request.clone());
    /// let settings = Settings { max_body: Some(1 << 20), ..Settings::default() };
    /// let mut connection = Serial::new(Protocol::Scgi, stream, hello, settings);
    /// connection.run();
    /// let wire = connection.into_stream().into_inner();
    /// assert!(wire[request.len()..].starts_with(b"Status: 200 OK\r\n"));
    /// # Ok::<_, scgi::HeadError>(())
    /// ```
    pub fn new(
        protocol: Protocol,
        stream: S,
        apps: Arc<dyn Dispatch>,
        mut settings: Settings,
    ) -> Self {
        settings.multiplex = false;
        let front = Front::new(protocol, &settings, false);
        let (sorting, input) = (Sorting::default(), vec![0; INPUT].into_boxed_slice());
        let state = State::Open;
        let line = Line { protocol, stream, apps, settings, front, sorting, input, state };
        Self { line: RefCell::new(line), has_stderr: true }
    }

    /// What applications write to `wsgi.errors` goes to [`Dispatch::errors`] and not on the wire:
    /// IIS answers 500 where there is anything on STDERR.
    ///
    /// ```
    /// # use cgigate::{Vars, fcgi::Role, gateway::{Dispatch, Protocol, Serial, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{io::{Cursor, Write}, sync::Arc};
    /// # struct One<A>(A, Plain);
    /// # impl<A: Application> Dispatch for One<A> {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &self.0 }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.1 }
    /// # }
    /// use cgigate::fcgi::{self, RecordType::{Params, Stdin}, RequestId};
    ///
    /// let talks = cgigate::app(|mut environ, start_response| {
    ///     writeln!(environ.errors, "a line for the log")?;
    ///     start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
    ///     Ok("a page".into())
    /// });
    /// # let apps = Arc::new(One(talks, Plain(Attributes::CGI)));
    /// let (id, mut request) = (RequestId(std::num::NonZeroU16::MIN), Vec::new());
    /// fcgi::begin_request(&mut request, id, Role::Responder, false);
    /// fcgi::stream(&mut request, Params, id, b"");
    /// fcgi::stream(&mut request, Stdin, id, b"");
    /// let pipe = Cursor::new(request); // as IIS has one
    /// let mut connection =
    ///     Serial::new(Protocol::FastCgi, pipe, apps, Settings::default()).without_stderr();
    /// connection.run();
    /// let wire = connection.into_stream().into_inner();
    /// assert!(fcgi::words(&wire).all(|line| !line.starts_with("STDERR")));
    /// ```
    #[must_use]
    pub fn without_stderr(mut self) -> Self {
        self.has_stderr = false;
        self
    }

    /// Serves until either side ends the connection.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Serial, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, scgi, types::Application};
    /// # use std::{io::{self, Read, Write}, net::{TcpListener, TcpStream}};
    /// # use std::{sync::Arc, thread, time::Duration};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let client = thread::spawn(move || -> io::Result<String> {
    ///     let (mut stream, mut answer) = (TcpStream::connect(address)?, String::new());
    ///     stream.write_all(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,")?;
    ///     stream.read_to_string(&mut answer)?;
    ///     Ok(answer)
    /// });
    /// let (stream, _) = listener.accept()?;
    /// stream.set_read_timeout(Some(Duration::from_secs(60)))?; // it is waited for no longer
    /// Serial::new(Protocol::Scgi, stream, hello, Settings::default()).run();
    /// assert!(client.join().expect("it does not panic")?.ends_with("Hello World\n"));
    /// # Ok::<_, io::Error>(())
    /// ```
    pub fn run(&mut self) {
        while self.wait() && self.serve() {}
    }

    /// Waits for the peer to say something; false: it is done.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Serial, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{io::Cursor, sync::Arc};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// # let stream = Cursor::new(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,".to_vec());
    /// # let mut connection = Serial::new(Protocol::Scgi, stream, hello, Settings::default());
    /// // What `run` does, with something done in between:
    /// while connection.wait() {
    ///     println!("somebody is there");
    ///     if !connection.serve() {
    ///         break;
    ///     }
    /// }
    /// # assert!(connection.into_stream().into_inner().ends_with(b"Hello World\n"));
    /// ```
    pub fn wait(&mut self) -> bool {
        let line = self.line.get_mut();
        line.receive() || !line.sorting.ready.is_empty()
    }

    /// Answers what has come and what comes meanwhile, until no request is open. False: the
    /// connection has ended.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Serial, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{io::Cursor, sync::Arc};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// let stream = Cursor::new(b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,".to_vec());
    /// let mut connection = Serial::new(Protocol::Scgi, stream, hello, Settings::default());
    /// assert!(connection.wait());
    /// assert!(!connection.serve()); // of SCGI one request is all
    /// ```
    pub fn serve(&mut self) -> bool {
        loop {
            while let Some(call) = self.line.get_mut().next_call() {
                self.answer(call);
            }
            let line = self.line.get_mut();
            if line.front.wants_end() || line.state != State::Open {
                return false;
            }
            if !line.front.has_open() && !line.front.has_tail() {
                return true;
            }
            // An end is seen above, when what came before it has been answered.
            line.receive();
        }
    }

    /// The stream, to be closed or used for something else.
    ///
    /// ```
    /// # use cgigate::{Vars, apps, fcgi::Role, gateway::{Dispatch, Protocol, Serial, Settings}};
    /// # use cgigate::{handlers::{Attributes, Handler, Plain}, types::Application};
    /// # use std::{net::{Shutdown, TcpListener, TcpStream}, sync::Arc};
    /// # struct Hello(Plain);
    /// # impl Dispatch for Hello {
    /// #     fn dispatch(&self, _: Role, _: &mut Vars) -> &dyn Application { &apps::hello }
    /// #     fn serves(&self, _: Role) -> bool { true }
    /// #     fn handler(&self, _: Protocol) -> &(dyn Handler + Sync) { &self.0 }
    /// # }
    /// # let hello = Arc::new(Hello(Plain(Attributes::CGI)));
    /// # let listener = TcpListener::bind("127.0.0.1:0")?;
    /// # let client = TcpStream::connect(listener.local_addr()?)?;
    /// # drop(client);
    /// # let (stream, _) = listener.accept()?;
    /// let mut connection = Serial::new(Protocol::FastCgi, stream, hello, Settings::default());
    /// connection.run();
    /// let _gone_already = connection.into_stream().shutdown(Shutdown::Write);
    /// # Ok::<_, std::io::Error>(())
    /// ```
    pub fn into_stream(self) -> S {
        self.line.into_inner().stream
    }

    fn answer(&mut self, mut call: Box<Call>) {
        let line = self.line.get_mut();
        let (apps, protocol) = (Arc::clone(&line.apps), line.protocol);
        let max_body = line.settings.max_body.unwrap_or(u64::MAX);
        let answer = Answer::new(&self.line, &call, self.has_stderr, protocol);
        let stdin = ContentInput::new(Stdin::new(&self.line, &call), call.content, max_body);
        let (mut usual, mut filter);
        let stdin: &mut dyn BufRead = match &call.data {
            None => {
                usual = stdin;
                &mut usual
            }
            Some(data) => {
                filter = FilterInput::new(stdin, data.content);
                &mut filter
            }
        };
        let answer = RefCell::new(answer);
        let (stdout, stderr) = (&mut Stdout(&answer), &mut Stderr(&answer));
        let app = apps.dispatch(call.role, &mut call.slate.vars);
        let streams = Streams { stdin, stdout, stderr };
        let outcome = handlers::run(apps.handler(protocol), app, &mut call.slate, streams);
        // An error page that failed: whatever was sent is all there is.
        let ending = outcome.map_or(Ending::Cut { length_known: false }, |outcome| outcome.ending);
        answer.into_inner().finish(&call, ending);
        self.line.get_mut().sorting.put_away(call);
    }
}

impl<S: Read + Write> Line<S> {
    /// Reads once, and understands all of it. False: nothing more comes.
    fn receive(&mut self) -> bool {
        if self.state != State::Open {
            return false;
        }
        let stood_over = self.front.tail(&mut self.input);
        let n = loop {
            match self.stream.read(&mut self.input[stood_over..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match n {
            Ok(0) => self.end(State::Ended),
            Ok(n) => self.feed(stood_over + n),
            Err(error) if is_timeout(&error) => {
                self.front.refuse_slow(0, &mut self.sorting);
                self.end(State::TooSlow);
            }
            Err(_) => self.end(State::Gone),
        }
        self.say_answers();
        self.state == State::Open
    }

    fn feed(&mut self, len: usize) {
        let Self { apps, settings, front, sorting, input, .. } = self;
        // A connection that is waited for alone has no deadlines.
        let (now, came) = (0, None);
        let (apps, responds) = (&**apps, apps.serves(Role::Responder));
        let rules = Rules { settings, apps, responds, token: TOKEN, now, came, direct: false };
        if let Err(error) = front.feed(&input[..len], sorting, &rules) {
            front.give_up(error, sorting);
            apps.log(&format!("a connection was closed: {error}"));
            self.state = State::Ended;
        }
    }

    fn end(&mut self, state: State) {
        self.state = state;
        self.front.end(state == State::Gone, &mut self.sorting);
    }

    fn say_answers(&mut self) {
        let answers = std::mem::take(&mut self.sorting.answers);
        let _ = self.send(&answers);
        self.sorting.answers = answers;
        self.sorting.answers.clear();
        self.sorting.tell_refused(&*self.apps, &self.settings);
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.state == State::Gone {
            return Err(ClientGone.into());
        }
        let sent = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
        sent.map_err(|_| {
            self.end(State::Gone);
            ClientGone.into()
        })
    }

    /// The next request that can be run, and was not aborted meanwhile.
    fn next_call(&mut self) -> Option<Box<Call>> {
        while let Some(mut call) = self.sorting.ready.pop_front() {
            if self.front.run(&mut call) {
                return Some(call);
            }
            self.sorting.put_away(call);
        }
        None
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}
