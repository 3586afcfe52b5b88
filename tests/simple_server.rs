//! `wsgiref.simple_server` over real sockets.
// All of this file is tests.
#![allow(clippy::unwrap_used)]

use cgigate::{
    Application, Body, apps,
    handlers::run,
    simple_server::{Options, serve},
    types::FileWrapper,
};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// Serves `app` while `with` runs, and stops.
fn served(app: &dyn Application, options: &Options, with: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            serve(&listener, options, &stop, &|handler, slate, streams| {
                run(handler, app, slate, streams)
            })
            .unwrap();
        });
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| with(address)));
        stop.store(true, Ordering::Release);
        asked.unwrap();
    });
}

fn few() -> Options {
    Options { threads: 2, ..Options::default() }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_request_is_answered_and_the_connection_closed() {
    served(&apps::hello, &few(), |address| {
        let answer = ask(address, b"GET /x?y HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{answer}");
        assert!(
            answer.contains("\r\nServer: cgigate/") && answer.contains("\r\nConnection: close")
        );
        assert!(answer.ends_with("\r\n\r\nHello World\n"), "{answer}");
        let head = ask(address, b"HEAD / HTTP/1.0\r\n\r\n");
        assert!(
            head.contains("\r\nContent-Length: 12\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        let bad = ask(address, b"GET / HTTP/1.1\n\n");
        assert!(bad.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bad}");
        assert!(bad.ends_with("\r\n\r\n400 Bad Request\n"), "{bad}");
    });
}

#[test]
fn the_variables_are_those_of_rfc_3875() {
    served(&apps::environ, &few(), |address| {
        let answer = ask(address, b"GET /a%20b?q HTTP/1.1\r\nHost: h:1\r\nX-Y: z\r\n\r\n");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let want = format!(
            "GATEWAY_INTERFACE=CGI/1.1\nHTTP_HOST=h:1\nHTTP_X_Y=z\nPATH_INFO=/a b\n\
             QUERY_STRING=q\nREMOTE_ADDR=127.0.0.1\nREQUEST_METHOD=GET\nREQUEST_URI=/a%20b?q\n\
             SCRIPT_NAME=\nSERVER_NAME=127.0.0.1\nSERVER_PORT={}\nSERVER_PROTOCOL=HTTP/1.1\n\
             SERVER_SOFTWARE=cgigate/{}\n",
            address.port(),
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(body, want);
    });
}

#[test]
fn bodies_by_length_in_chunks_and_after_a_100() {
    served(&apps::echo, &few(), |address| {
        let sized = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody";
        assert!(ask(address, sized).ends_with("\r\n\r\nbody"));
        let chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                        2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n";
        let mut stream = connect(address);
        stream.write_all(chunked).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nbody"), "{answer}");

        let mut stream = connect(address);
        let head =
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
        stream.write_all(head).unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"body").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nbody"));
    });
}

#[test]
fn a_body_that_ends_early_stands_still_or_is_too_long_is_the_clients_fault() {
    let options = Options { max_body: 100, read_timeout: Duration::from_millis(200), ..few() };
    served(&apps::echo, &options, |address| {
        let mut stream = connect(address);
        stream.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        let slow = ask(address, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
        assert!(slow.starts_with("HTTP/1.1 408 "), "{slow}");
        let head = ask(address, b"GET / HTTP/1.1\r\n");
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
    });
}

#[test]
fn a_body_that_nobody_reads_does_not_cost_the_answer() {
    served(&apps::hello, &few(), |address| {
        let body = vec![b'x'; 3 << 20];
        let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = ask(address, &[head.as_bytes(), &body].concat());
        assert!(answer.ends_with("\r\n\r\nHello World\n"), "{answer}");
    });
}

#[test]
fn an_answer_cut_short_does_not_end_like_a_good_one() {
    let fault = cgigate::app(|_, start_response| {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok(Body::from_iter([Ok(b"partial\n".to_vec()), Err("a fault".into())].into_iter()))
    });
    served(&fault, &few(), |address| {
        let mut stream = connect(address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let error = stream.read_to_end(&mut answer).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_file_arrives_whole() {
    let path = std::env::temp_dir().join(format!("cgigate-http-{}", std::process::id()));
    let content: Vec<u8> = (0..300_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let app = cgigate::app(|_, start_response| {
        start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        Ok(FileWrapper::file(std::fs::File::open(&path)?, Some(200_000)).into())
    });
    served(&app, &few(), |address| {
        let answer = ask(address, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.as_bytes() == &content[..200_000], "{} bytes", body.len());
    });
    std::fs::remove_file(&path).unwrap();
}
