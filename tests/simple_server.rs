//! `wsgiref.simple_server` through its public face, over real sockets.
// All of this file is tests.
#![allow(clippy::unwrap_used)]

use cgigate::{
    Application, Body, Vars, apps,
    net::Peer,
    simple_server::{
        Options, Request, Rules, WsgiRequestHandler, WsgiServer, get_environ, make_server,
    },
    types::FileWrapper,
};
use std::{
    fmt,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// Serves while `with` runs, and stops.
fn served(server: &WsgiServer<'_>, with: impl FnOnce(SocketAddr)) {
    let address = server.server_address().unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve_forever().unwrap());
        let asked = catch_unwind(AssertUnwindSafe(|| with(address)));
        server.stop();
        serving.join().unwrap();
        asked.unwrap();
    });
}

/// The log of a server.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl WsgiRequestHandler for Log {
    fn log_message(&self, client: Peer, message: fmt::Arguments<'_>) {
        self.0.lock().unwrap().push(format!("{} {message}", self.address_string(client)));
    }
}

fn wsgiref<'a>(app: impl Application + 'a) -> (WsgiServer<'a>, Log) {
    let mut server = make_server("127.0.0.1", 0, app).unwrap();
    let log = Log::default();
    server.set_handler(log.clone());
    (server, log)
}

/// As `cgigate http` has it, with two threads.
fn http<'a>(app: impl Application + 'a) -> (WsgiServer<'a>, Log) {
    let (mut server, log) = wsgiref(app);
    server.options = Options { threads: 2, ..Options::http() };
    (server, log)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const CLOSE: &[u8] = b"GET /x?y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

#[test]
fn by_default_one_request_a_connection_is_answered_as_http_1_0() {
    let (server, log) = wsgiref(apps::hello);
    served(&server, |address| {
        let answer = ask(address, b"GET /x HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\nDate: "), "{answer}");
        assert!(answer.contains("\r\nServer: cgigate\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nHello World\n"), "{answer}");
        let bad = ask(address, b"GET / HTTP/1.1\n\n");
        assert!(bad.starts_with("HTTP/1.0 400 Bad Request\r\nServer: cgigate\r\n"), "{bad}");
        assert!(bad.contains("\r\nConnection: close\r\nContent-Type: text/html;charset=utf-8\r\n"));
    });
    let lines = [
        "127.0.0.1 \"GET /x HTTP/1.1\" 200 12",
        "127.0.0.1 code 400, message a line does not end in CR LF",
        "127.0.0.1 \"GET / HTTP/1.1\" 400 -",
    ];
    assert_eq!(log.lines(), lines);
}

#[test]
fn handle_request_answers_one_and_waits_no_longer_than_its_timeout() {
    let (mut server, _) = wsgiref(apps::hello);
    let address = server.server_address().unwrap();
    let client = thread::spawn(move || ask(address, b"GET / HTTP/1.0\r\n\r\n"));
    assert!(server.handle_request().unwrap());
    assert!(client.join().unwrap().ends_with("Hello World\n"));
    server.timeout = Some(Duration::from_millis(20));
    assert!(!server.handle_request().unwrap());
}

#[test]
fn shutdown_waits_for_the_end_and_the_port_is_free_again() {
    let (server, _) = wsgiref(apps::hello);
    let address = server.server_address().unwrap();
    thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve_forever());
        assert!(ask(address, b"GET / HTTP/1.0\r\n\r\n").ends_with("Hello World\n"));
        server.shutdown();
        serving.join().unwrap().unwrap();
    });
    drop(server);
    TcpListener::bind(address).unwrap();
}

#[test]
fn set_app_and_get_app() {
    let mut server = WsgiServer::new("127.0.0.1:0").unwrap();
    assert!(server.get_app().is_none());
    server.set_app(apps::hello);
    assert!(server.get_app().is_some());
}

#[test]
fn without_an_application_the_server_lives_on() {
    let server = WsgiServer::new("127.0.0.1:0").unwrap();
    served(&server, |address| {
        for _ in 0..2 {
            let mut stream = connect(address);
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(answer, b"");
        }
    });
}

#[test]
fn the_variables_are_those_of_rfc_3875() {
    let (server, _) = http(apps::environ);
    served(&server, |address| {
        let request = b"GET /a%20b?q HTTP/1.1\r\nHost: h:1\r\nX-Y: z\r\nConnection: close\r\n\r\n";
        let answer = ask(address, request);
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let want = format!(
            "GATEWAY_INTERFACE=CGI/1.1\nHTTP_CONNECTION=close\nHTTP_HOST=h:1\nHTTP_X_Y=z\n\
             PATH_INFO=/a b\nQUERY_STRING=q\nREMOTE_ADDR=127.0.0.1\nREQUEST_METHOD=GET\n\
             REQUEST_URI=/a%20b?q\nSCRIPT_NAME=\nSERVER_NAME=127.0.0.1\nSERVER_PORT={}\n\
             SERVER_PROTOCOL=HTTP/1.1\nSERVER_SOFTWARE=cgigate/{}\n",
            address.port(),
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(body, want);
    });
}

#[test]
fn an_overridden_get_environ_has_the_last_word() {
    struct Ann;
    impl WsgiRequestHandler for Ann {
        fn get_environ(&self, request: &Request, client: Peer, rules: Rules, environ: &mut Vars) {
            get_environ(request, client, rules, environ);
            environ.set("REMOTE_USER", "ann");
        }
        fn log_message(&self, _: Peer, _: fmt::Arguments<'_>) {}
    }
    let (mut server, _) = wsgiref(apps::environ);
    server.set_handler(Ann);
    served(&server, |address| {
        let answer = ask(address, b"GET / HTTP/1.0\r\n\r\n");
        assert!(answer.contains("\nREMOTE_USER=ann\n"), "{answer}");
    });
}

#[test]
fn a_body_that_ends_early_is_the_clients_fault() {
    for server in [wsgiref(apps::echo).0, http(apps::echo).0] {
        served(&server, |address| {
            let answer = ask(address, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
            assert!(answer.contains(" 400 "), "{answer}");
        });
    }
}

#[test]
fn a_body_that_nobody_reads_does_not_cost_the_answer() {
    let body = vec![b'x'; 3 << 20];
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    for server in [wsgiref(apps::hello).0, http(apps::hello).0] {
        served(&server, |address| {
            let answer = ask(address, &[head.as_bytes(), &body].concat());
            assert!(answer.ends_with("\r\n\r\nHello World\n"), "{answer}");
        });
    }
}

#[test]
fn an_answer_cut_short_does_not_end_like_a_good_one() {
    let fault = cgigate::app(|_, start_response| {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok(Body::from_iter([Ok(b"partial\n".to_vec()), Err("a fault".into())].into_iter()))
    });
    let (server, log) = http(fault);
    served(&server, |address| {
        // In chunks the last is missing; without chunks nothing but a reset tells.
        let answer = ask(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(
            answer.ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n8\r\npartial\n\r\n"),
            "{answer}"
        );
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
    assert_eq!(log.lines()[0], "127.0.0.1 \"GET / HTTP/1.1\" 200 8 aborted");
}

#[test]
fn a_file_arrives_whole() {
    let path = std::env::temp_dir().join(format!("cgigate-file-{}", std::process::id()));
    let content: Vec<u8> = (0..300_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let app = cgigate::app(|_, start_response| {
        let headers = [("Content-Type", "text/plain"), ("Content-Length", "200000")];
        start_response.call("200 OK", &headers)?;
        Ok(FileWrapper::file(std::fs::File::open(&path)?, Some(200_000)).into())
    });
    let (server, _) = http(app);
    served(&server, |address| {
        let answer = ask(address, CLOSE);
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.as_bytes() == &content[..200_000], "{} bytes", body.len());
    });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn requests_beyond_threads_and_queue_are_told_to_come_back() {
    let (began, begins) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let (began, gone) = (Mutex::new(began), Mutex::new(gone));
    let gate = cgigate::app(move |_, start_response| {
        began.lock().unwrap().send(())?;
        gone.lock().unwrap().recv()?;
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok("through\n".into())
    });
    let (mut server, _) = http(gate);
    server.options = Options { threads: 1, max_queue: 1, ..server.options.clone() };
    served(&server, |address| {
        let mut first = connect(address);
        first.write_all(CLOSE).unwrap();
        begins.recv().unwrap();
        // One waits, and of two at once one is too many, whichever it is.
        let both: Vec<_> = (0..2).map(|_| thread::spawn(move || ask(address, CLOSE))).collect();
        let refused = loop {
            if let Some(at) = both.iter().position(thread::JoinHandle::is_finished) {
                break at;
            }
            thread::yield_now();
        };
        go.send(()).unwrap();
        go.send(()).unwrap();
        for (at, client) in both.into_iter().enumerate() {
            let answer = client.join().unwrap();
            if at == refused {
                assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
                assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
            } else {
                assert!(answer.ends_with("through\n"), "{answer}");
            }
        }
        let mut answer = String::new();
        first.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("through\n"), "{answer}");
    });
}
