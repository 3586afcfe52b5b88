//! FastCGI as IIS speaks it: the named pipe that is the process's stdin, with neither stdout nor
//! stderr. The test is the web server.
#![allow(unsafe_code)]

use crate::testbed;
use cgigate::fcgi::{self, RecordType, RequestId, Role};
use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::windows::{
        ffi::OsStrExt as _,
        io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    },
    ptr::null,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use windows_sys::Win32::{
    Foundation::{
        HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation, TRUE, WAIT_OBJECT_0,
        WAIT_TIMEOUT,
    },
    Storage::FileSystem::{FILE_FLAG_OVERLAPPED, PIPE_ACCESS_DUPLEX},
    System::{
        Pipes::{CreateNamedPipeW, PIPE_READMODE_BYTE, PIPE_TYPE_BYTE, PIPE_WAIT, WaitNamedPipeW},
        Threading::{
            CREATE_UNICODE_ENVIRONMENT, CreateEventW, CreateProcessW, GetExitCodeProcess,
            PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOW, SetEvent, TerminateProcess,
            WaitForSingleObject,
        },
    },
};

/// Long beyond all patience: a test that waits for it has failed.
const LIMIT: Duration = Duration::from_secs(30);

fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// A responder that IIS has started.
struct Responder {
    pipe: String,
    process: OwnedHandle,
    shutdown: OwnedHandle,
}

impl Responder {
    /// `flags`: how IIS made the pipe.
    fn start(flags: u32, vars: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // What one of them is to inherit, another must not.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let pipe = format!(r"\\.\pipe\cgigate-{}-{number}", std::process::id());
        // SAFETY: the name is a string of UTF-16 that ends with a null; null stands for the usual
        // rights.
        let listener = unsafe {
            CreateNamedPipeW(
                wide(&pipe).as_ptr(),
                PIPE_ACCESS_DUPLEX | flags,
                PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT,
                1,
                8192,
                8192,
                0,
                null(),
            )
        };
        assert!(listener != INVALID_HANDLE_VALUE);
        // SAFETY: null stands for the usual rights and no name.
        let shutdown = unsafe { CreateEventW(null(), TRUE, 0, null()) };
        assert!(!shutdown.is_null());
        // SAFETY: both were made just now.
        let [listener, shutdown] =
            [listener, shutdown].map(|raw| unsafe { OwnedHandle::from_raw_handle(raw) });
        let event = (shutdown.as_raw_handle() as usize).to_string();
        let own = [("_FCGI_X_PIPE_", &*pipe), ("_FCGI_SHUTDOWN_EVENT_", &event)];
        let process = spawn(&listener, &[&listener, &shutdown], &[&own, vars].concat());
        Self { pipe, process, shutdown }
    }

    /// A connection, as soon as the responder takes one.
    fn connect(&self) -> File {
        let deadline = Instant::now() + LIMIT;
        loop {
            // SAFETY: a string of UTF-16 that ends with a null. Fails at once while the responder is
            // between two connections.
            unsafe { WaitNamedPipeW(wide(&self.pipe).as_ptr(), 1000) };
            match OpenOptions::new().read(true).write(true).open(&self.pipe) {
                Ok(connection) => return connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn shut_down(&self) {
        // SAFETY: the event is open.
        assert!(unsafe { SetEvent(self.shutdown.as_raw_handle()) } != 0);
    }

    fn is_running(&self) -> bool {
        // SAFETY: the process's handle is open.
        unsafe { WaitForSingleObject(self.process.as_raw_handle(), 0) == WAIT_TIMEOUT }
    }

    fn exit_code(&self) -> u32 {
        let (process, mut code) = (self.process.as_raw_handle(), 99);
        // SAFETY: the process's handle is open.
        let waited = unsafe { WaitForSingleObject(process, LIMIT.as_millis() as u32) };
        assert_eq!(waited, WAIT_OBJECT_0, "the responder did not end");
        // SAFETY: `code` lives through the call.
        assert!(unsafe { GetExitCodeProcess(process, &raw mut code) } != 0);
        code
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        // SAFETY: the process's handle is open. That it has ended is no matter.
        unsafe { TerminateProcess(self.process.as_raw_handle(), 1) };
    }
}

/// Starts the testbed with `stdin`, and neither stdout nor stderr, as std cannot.
fn spawn(stdin: &OwnedHandle, inherit: &[&OwnedHandle], vars: &[(&str, &str)]) -> OwnedHandle {
    let inherited = std::env::vars().filter(|(name, _)| !name.starts_with("CGIGATE_"));
    let mut environ: Vec<String> =
        inherited.map(|(name, value)| format!("{name}={value}")).collect();
    environ.extend(vars.iter().map(|(name, value)| format!("{name}={value}")));
    let block: Vec<u16> = environ.iter().flat_map(wide).chain([0]).collect();
    let mut command = wide(format!("\"{}\"", testbed().display()));
    let startup = STARTUPINFOW {
        cb: size_of::<STARTUPINFOW>() as u32,
        dwFlags: STARTF_USESTDHANDLES,
        hStdInput: stdin.as_raw_handle(),
        hStdOutput: INVALID_HANDLE_VALUE,
        hStdError: INVALID_HANDLE_VALUE,
        ..Default::default()
    };
    let mut process = PROCESS_INFORMATION::default();
    let set = |flag| {
        for handle in inherit {
            // SAFETY: the handle is open.
            let done =
                unsafe { SetHandleInformation(handle.as_raw_handle(), HANDLE_FLAG_INHERIT, flag) };
            assert!(done != 0);
        }
    };
    set(HANDLE_FLAG_INHERIT);
    // SAFETY: strings and block end with their nulls, and all of it lives through the call.
    let started = unsafe {
        CreateProcessW(
            null(),
            command.as_mut_ptr(),
            null(),
            null(),
            TRUE,
            CREATE_UNICODE_ENVIRONMENT,
            block.as_ptr().cast(),
            null(),
            &raw const startup,
            &raw mut process,
        )
    };
    assert!(started != 0, "{}", std::io::Error::last_os_error());
    set(0);
    // SAFETY: both handles were made just now.
    let [process, _thread] =
        [process.hProcess, process.hThread].map(|raw| unsafe { OwnedHandle::from_raw_handle(raw) });
    process
}

const ID: RequestId = RequestId(NonZeroU16::MIN);

fn request(path: &str, query: &str, body: &[u8], keep_conn: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    fcgi::begin_request(&mut wire, ID, Role::Responder, keep_conn);
    let mut pairs = Vec::new();
    for (name, value) in [
        ("REQUEST_METHOD", "POST"),
        ("SERVER_SOFTWARE", "Microsoft-IIS/10.0"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("CONTENT_LENGTH", &body.len().to_string()),
    ] {
        fcgi::pair(&mut pairs, name.as_bytes(), value.as_bytes());
    }
    fcgi::stream(&mut wire, RecordType::Params, ID, &pairs);
    fcgi::stream(&mut wire, RecordType::Params, ID, b"");
    if !body.is_empty() {
        fcgi::stream(&mut wire, RecordType::Stdin, ID, body);
    }
    fcgi::stream(&mut wire, RecordType::Stdin, ID, b"");
    wire
}

/// The answer's STDOUT; nothing may come on STDERR.
fn answer(connection: &mut File) -> Vec<u8> {
    let mut stdout = Vec::new();
    loop {
        let mut header = [0; 8];
        connection.read_exact(&mut header).unwrap();
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; len + usize::from(header[6])];
        connection.read_exact(&mut content).unwrap();
        match header[1] {
            6 => stdout.extend_from_slice(&content[..len]),
            3 => {
                assert_eq!(content[..5], [0; 5], "END_REQUEST");
                return stdout;
            }
            kind => panic!("a record of type {kind}: {}", content.escape_ascii()),
        }
    }
}

fn body_of(stdout: &[u8]) -> &[u8] {
    let blank = stdout.windows(4).position(|four| four == b"\r\n\r\n");
    &stdout[blank.expect("a header block") + 4..]
}

fn at_end(connection: &mut File) -> bool {
    // Where the other end was closed with nothing left, Windows may also say so by an error.
    connection.read(&mut [0]).map_or(true, |n| n == 0)
}

const BYTES: &[u8] = b"one \r\n\n\r\x1a\0\xff end";

/// The usual pipe, and the one that IIS is said to make.
const WAYS: [u32; 2] = [0, FILE_FLAG_OVERLAPPED];

#[test]
fn requests_come_one_a_connection() {
    for flags in WAYS {
        let responder = Responder::start(flags, &[]);
        for body in [BYTES, b"two", &BYTES.repeat(20_000)] {
            let mut connection = responder.connect();
            let mut writer = connection.try_clone().unwrap();
            let wire = request("/echo", "", body, false);
            let asked = thread::spawn(move || writer.write_all(&wire).unwrap());
            assert!(body_of(&answer(&mut connection)) == body);
            asked.join().unwrap();
            assert!(at_end(&mut connection));
        }
    }
}

#[test]
fn a_kept_connection_takes_the_next_request() {
    for flags in WAYS {
        let responder = Responder::start(flags, &[]);
        for _ in 0..2 {
            let mut connection = responder.connect();
            for path in ["/z\u{fc}rich", "/\u{65e5}\u{672c}", "/\u{1f600}"] {
                let path = format!("/environ{path}");
                connection.write_all(&request(&path, "", b"", true)).unwrap();
                let stdout = answer(&mut connection);
                let wanted = format!("\nPATH_INFO={}\n", &path["/environ".len()..]);
                let text = String::from_utf8_lossy(body_of(&stdout)).into_owned();
                assert!(text.contains(&wanted), "{text}");
            }
            // The web server goes, and comes again.
        }
        assert!(responder.is_running());
    }
}

/// IIS answers 500 where there is anything on STDERR.
#[test]
fn what_is_for_the_log_is_in_the_log_and_not_on_the_wire() {
    let log = std::env::temp_dir().join(format!("cgigate-log-{}", std::process::id()));
    let name = log.display().to_string();
    let responder = Responder::start(0, &[("CGIGATE_ERROR_LOG", &name)]);
    let mut connection = responder.connect();
    connection.write_all(&request("/stderr", "", b"", true)).unwrap();
    assert_eq!(body_of(&answer(&mut connection)), b"logged\n");
    connection.write_all(&request("/fault", "when=before&how=panic", b"", true)).unwrap();
    assert!(String::from_utf8_lossy(&answer(&mut connection)).contains("Status: 500 "));
    connection.write_all(&request("/hello", "", b"", false)).unwrap();
    assert_eq!(body_of(&answer(&mut connection)), b"Hello World\n");
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.starts_with("a line for the log\n"), "{logged}");
    assert!(logged.contains("panicked at"), "{logged}");
    // The responder has it open: it may be left behind, in the folder of temporary files.
    let _ = std::fs::remove_file(log);
}

#[test]
fn settings_come_by_the_environment() {
    let responder = Responder::start(0, &[("CGIGATE_APP", "count"), ("CGIGATE_MAX_BODY", "5")]);
    let mut connection = responder.connect();
    connection.write_all(&request("/x", "", b"four", true)).unwrap();
    assert_eq!(body_of(&answer(&mut connection)), b"4\n");
    connection.write_all(&request("/x", "", b"sixsix", true)).unwrap();
    assert!(String::from_utf8_lossy(&answer(&mut connection)).contains("Status: 413 "));
}

#[test]
fn the_shutdown_event_ends_it_at_rest() {
    for flags in WAYS {
        let responder = Responder::start(flags, &[]);
        let mut connection = responder.connect();
        connection.write_all(&request("/hello", "", b"", false)).unwrap();
        answer(&mut connection);
        drop(connection);
        responder.shut_down();
        assert_eq!(responder.exit_code(), 0);
    }
}

#[test]
fn the_shutdown_event_lets_a_request_end() {
    let responder = Responder::start(0, &[]);
    let mut connection = responder.connect();
    // The application is in its sleep from the moment that its first block is here.
    let query = "chunks=3&size=4&delay_ms=300";
    connection.write_all(&request("/stream", query, b"", true)).unwrap();
    let mut first = [0; 8];
    connection.read_exact(&mut first).unwrap();
    let len = usize::from(u16::from_be_bytes([first[4], first[5]]));
    connection.read_exact(&mut vec![0; len]).unwrap();
    responder.shut_down();
    let rest = answer(&mut connection);
    assert!(rest.ends_with(b"xxxx"), "{}", rest.escape_ascii());
    assert_eq!(responder.exit_code(), 0);
}

/// A CGI program has all three streams; one with a request in its environment is no responder.
#[test]
fn a_request_in_the_environment_is_answered_and_the_pipe_is_left_alone() {
    let responder = Responder::start(0, &[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/hello")]);
    responder.exit_code();
}
