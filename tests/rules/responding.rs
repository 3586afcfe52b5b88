//! Rules 1 to 16: what a web server takes for an answer.

use crate::door::{DOORS, Door, House, PATIENCE, asked, record, records, stream};
use cgigate::{
    app,
    handlers::{Attributes, Plain, Slate, Streams, run},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

#[test]
fn rule_01_the_header_block_is_one_record_and_one_write() {
    let house = House::with(Door::FastCgi, &["--listen", "127.0.0.1:0"]);
    let port = house.port();
    // What each write brings: header block, first block and all that is known by then.
    for (target, writes) in [("GET /hello", 1), ("GET /stream?chunks=2&size=5", 3)] {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(&asked(target).fastcgi(0)).unwrap();
        let mut wire = Vec::new();
        socket.read_to_end(&mut wire).unwrap();
        assert_eq!(segments(&socket), writes, "{target}");
        let answer = records(&wire);
        let (kind, _, first) = &answer.0[0];
        let text = String::from_utf8_lossy(first);
        assert_eq!(*kind, 6, "STDOUT first");
        let block = text.split_once("Status: 200 OK\r\n\r\n").map(|(_, block)| block);
        assert!(matches!(block, Some("Hello World\n" | "xxxxx")), "{text}");
    }
}

/// How many segments have brought data: at least as many as there were writes, if these were small
/// and each was acknowledged or sent at once; and one alone if there was one.
#[allow(unsafe_code)]
fn segments(socket: &TcpStream) -> u32 {
    use std::os::fd::AsRawFd;
    // `tcpi_data_segs_in` of `struct tcp_info`, linux/tcp.h, which libc does not know.
    const DATA_SEGS_IN: usize = 152 / 4;
    let mut info = [0_u32; 64];
    let mut length = size_of_val(&info) as libc::socklen_t;
    let (fd, into) = (socket.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the descriptor is open, and `length` is how many bytes may be written to `info`.
    let failed =
        unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, into, &mut length) };
    assert!(failed == 0 && length as usize > 4 * DATA_SEGS_IN, "no tcp_info");
    info[DATA_SEGS_IN]
}

#[test]
fn rule_02_status_is_first_for_cgi_and_last_for_fastcgi() {
    for door in DOORS {
        let target = "GET /status?code=201&location=http://h/x";
        let head = House::behind(door).ask(&asked(target)).head;
        let place = match door {
            Door::Cgi | Door::Scgi => head.first().map(|line| line == "Status: 201 Created"),
            Door::FastCgi => head.last().map(|line| line == "Status: 201 Created"),
            Door::Uwsgi => head.first().map(|line| line == "HTTP/1.1 201 Created"),
        };
        assert_eq!(place, Some(true), "{door:?}: {head:?}");
    }
}

#[test]
fn rule_03_a_location_never_comes_without_a_status() {
    for door in DOORS {
        for location in ["http://h/x", "/local"] {
            let target = format!("GET /status?code=302&location={location}");
            let answer = House::behind(door).ask(&asked(&target));
            assert_eq!((answer.status(), answer.field("Location")), ("302 Found", Some(location)));
        }
    }
}

#[test]
fn rule_04_no_body_for_head_204_and_304() {
    for door in DOORS {
        let house = House::behind(door);
        for target in ["HEAD /hello", "HEAD /status?code=404", "HEAD /stream?chunks=3&size=9"] {
            let answer = house.ask(&asked(target));
            assert_eq!(answer.body.escape_ascii().to_string(), "", "{door:?} {target}");
        }
        for code in ["204", "304"] {
            let answer = house.ask(&asked(&format!("GET /status?code={code}")));
            assert!(answer.status().starts_with(code) && answer.body.is_empty(), "{answer:?}");
        }
    }
}

#[test]
fn rule_05_a_status_is_three_digits_and_its_words_are_the_applications() {
    for door in DOORS {
        let house = House::behind(door);
        let words = |code| house.ask(&asked(&format!("GET /status?code={code}")));
        assert_eq!(words("418").status(), "418 I'm a teapot");
        assert_eq!(words("abc").status(), "500 Internal Server Error");
        assert_eq!(words("99").status(), "500 Internal Server Error");
    }
}

#[test]
fn rule_06_a_1xx_is_no_answer() {
    for door in DOORS {
        for code in ["100", "101", "103"] {
            let answer = House::behind(door).ask(&asked(&format!("GET /status?code={code}")));
            assert_eq!(answer.status(), "500 Internal Server Error", "{door:?} {code}");
        }
    }
}

#[test]
fn rule_07_an_http_status_line_for_uwsgi_and_nph_alone() {
    for door in DOORS {
        let head = House::behind(door).ask(&asked("GET /hello")).head;
        let line = head.iter().any(|line| line.starts_with("HTTP/"));
        assert_eq!(line, door == Door::Uwsgi, "{door:?}: {head:?}");
    }
    let folder = std::env::temp_dir().join(format!("cgigate-rule-7-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let nph = folder.join("nph-hello.cgi");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cgigate"), &nph).unwrap();
    let done = Command::new(&nph).env_clear().env("REQUEST_METHOD", "GET").output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.") && text.contains(" 200 OK\r\n"), "{text}");
    assert!(!text.contains("Status:") && text.ends_with("Hello World\n"), "{text}");
}

#[test]
fn rule_08_a_length_is_told_only_where_it_is_the_bodys() {
    for door in DOORS {
        let house = House::behind(door);
        assert_eq!(house.ask(&asked("GET /hello")).field("Content-Length"), Some("12"));
        let stream = house.ask(&asked("GET /stream?chunks=3&size=5"));
        assert_eq!((stream.field("Content-Length"), stream.body.len()), (None, 15));
    }
    let say = |length: &'static str| {
        app(move |_, start_response| {
            start_response.call("200 OK", &[("Content-Length", length)])?;
            Ok("hello".into())
        })
    };
    let answer = |length| {
        let mut slate = Slate::default();
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut errors };
        let outcome = run(&Plain(Attributes::CGI), &say(length), &mut slate, streams).unwrap();
        (String::from_utf8(out).unwrap(), String::from_utf8(errors).unwrap(), outcome.ending)
    };
    // Too long is cut, too short ends so that the server can tell; either is logged.
    let (out, errors, _) = answer("2");
    assert!(out.ends_with("\r\n\r\nhe") && !errors.is_empty(), "{out} {errors}");
    let (out, errors, ending) = answer("9");
    assert!(out.ends_with("\r\n\r\nhello") && !errors.is_empty(), "{out} {errors}");
    assert_ne!(format!("{ending:?}"), "Whole");
}

/// What becomes of a header field.
fn with_field(name: &'static str, value: &'static str) -> String {
    let app = app(move |_, start_response| {
        start_response.call("200 OK", &[(name, value)])?;
        Ok("hello".into())
    });
    let mut slate = Slate::default();
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut errors };
    let _ = run(&Plain(Attributes::CGI), &app, &mut slate, streams).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn rule_09_hop_by_hop_fields_are_refused() {
    for name in ["Transfer-Encoding", "Connection", "Keep-Alive", "Upgrade", "Trailer"] {
        let answer = with_field(name, "chunked");
        assert!(answer.starts_with("Status: 500 ") && !answer.contains(name), "{answer}");
    }
}

#[test]
fn rule_10_lines_are_not_folded_and_many_fields_are_one_block() {
    for value in ["one\r\n two", "one\n two", "a\0b", "a\x1bb"] {
        assert!(with_field("X-Folded", value).starts_with("Status: 500 "), "{value:?}");
    }
    for door in DOORS {
        let answer = House::behind(door).ask(&asked("GET /headers?n=2000"));
        assert_eq!(answer.field("X-2000"), Some("2000"), "{door:?}");
    }
}

#[test]
fn rule_11_lines_end_in_crlf_and_overload_is_a_real_503() {
    for door in DOORS {
        // The lines of the header block are checked wherever one comes.
        let answer = House::behind(door).ask(&asked("GET /headers?n=3"));
        assert!(answer.head.len() >= 6 && answer.field("Content-Type").is_some(), "{answer:?}");
    }
    for door in [Door::FastCgi, Door::Scgi, Door::Uwsgi] {
        let house = House::with(door, &["--max-connections", "1"]);
        let _first = house.connect();
        // Accepted by one thread, it may be counted behind the next, which another has accepted.
        let mut answers = (0..100).map(|_| house.ask(&asked("GET /hello")));
        let full = answers.find(|answer| answer.status() == "503 Service Unavailable");
        let answer = full.unwrap_or_else(|| panic!("{door:?}: never full"));
        assert!(answer.field("Retry-After").is_some(), "{door:?}");
    }
}

#[test]
fn rule_12_a_cut_answer_does_not_rely_on_app_status() {
    // With a length the client can tell by itself; without one the connection ends, and no
    // END_REQUEST says that all is well.
    let house = House::behind(Door::FastCgi);
    let told = house.ask(&asked("GET /fault?when=after&how=error&length=100"));
    assert_eq!((told.body.as_slice(), told.ending), (&b"partial\n"[..], Some(1)));
    let untold = house.ask(&asked("GET /fault?when=after&how=error"));
    assert_eq!((untold.body.as_slice(), untold.ending), (&b"partial\n"[..], None));
    let cgi = House::behind(Door::Cgi).ask(&asked("GET /fault?when=after&how=error"));
    assert_eq!((cgi.body.as_slice(), cgi.ending), (&b"partial\n"[..], Some(1)));
}

#[test]
fn rule_13_nothing_comes_that_was_not_asked_for() {
    let house = House::behind(Door::FastCgi);
    let begin = record(1, 7, &[0, 1, 0, 0, 0, 0, 0, 0]);
    let get = b"\x0e\x03REQUEST_METHODGET\x09\x06PATH_INFO/hello";
    let request = [begin, stream(4, 7, get), record(5, 7, b"")].concat();
    let answer = records(&house.converse(&request));
    assert!(answer.0.iter().all(|(_, id, _)| *id == 7), "other ids: {:?}", answer.0);
    // Whoever sends a strange type is told that it is unknown.
    let answer = records(&house.converse(&[record(99, 0, b""), request].concat()));
    assert_eq!(answer.of(11, 0), [&[99, 0, 0, 0, 0, 0, 0, 0][..]]);
    assert_eq!(answer.of(3, 7).len(), 1);
}

#[test]
fn rule_14_what_is_logged_comes_by_stderr_or_in_the_gateways_log() {
    for door in DOORS {
        let house = House::behind(door);
        let answer = house.ask(&asked("GET /stderr"));
        assert_eq!(answer.body, b"logged\n", "{door:?}");
        match door {
            Door::Cgi | Door::FastCgi => assert_eq!(answer.errors, "a line for the log\n"),
            Door::Scgi | Door::Uwsgi => assert_eq!(house.logs("a line for the log"), ""),
        }
    }
}

/// A panic has a long backtrace, and nginx 4 KiB for all that comes before the header block and with it.
#[test]
fn rule_14_what_is_logged_first_follows_the_header_block() {
    let house = House::behind(Door::FastCgi);
    for target in ["GET /stderr", "GET /fault?how=panic"] {
        let answer = records(&house.converse(&asked(target).fastcgi(0)));
        let kinds: Vec<_> = answer.0.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!((kinds[0], kinds[1]), (6, 7), "{target}: {kinds:?}");
    }
}

#[test]
fn rule_14_stderr_has_an_end_where_the_answer_is_cut() {
    // HAProxy 2.6 dies as a whole where the connection ends behind a STDERR that has none.
    let house = House::behind(Door::FastCgi);
    let vars = b"\x0e\x03REQUEST_METHODGET\x09\x06PATH_INFO/fault\x0c\x0aQUERY_STRINGwhen=after";
    let begin = record(1, 1, &[0, 1, 1, 0, 0, 0, 0, 0]);
    let wire = [begin, stream(4, 1, vars), record(5, 1, b"")].concat();
    let answer = records(&house.converse(&wire));
    assert_eq!(answer.of(3, 1).len(), 0, "no END_REQUEST");
    let last = answer.0.last().unwrap();
    assert_eq!((last.0, last.2.len()), (7, 0), "{:?}", answer.0);
    assert!(answer.of(7, 1)[0].starts_with(b"an error, as asked for"));
}

#[test]
fn rule_15_no_path_of_a_file_goes_to_the_web_server() {
    let folder = std::env::temp_dir().join(format!("cgigate-rule-15-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("page.txt"), "a page\n").unwrap();
    let house = House::behind(Door::Cgi);
    let request = asked("GET /files/page.txt");
    let mut command = house.command(&request);
    let done = command.env("CGIGATE_FILES_ROOT", &folder).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(text.ends_with("\r\n\r\na page\n"), "{text}");
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let folder = folder.display().to_string();
    for leak in ["X-Accel", "X-Sendfile", "X-LIGHTTPD", &folder] {
        assert!(!head.contains(leak), "{head}");
    }
}

#[test]
fn rule_16_a_body_that_nobody_reads_is_received_to_its_end() {
    let body = vec![b'x'; 1 << 20];
    for door in DOORS {
        let answer = House::behind(door).ask(&asked("POST /noread").sending(&body));
        assert_eq!((answer.status(), &answer.body[..]), ("200 OK", &b"ignored\n"[..]), "{door:?}");
    }
}

#[test]
fn rule_16_behind_nginx_a_body_of_no_told_length_is_awaited_before_the_answer() {
    // Once its client has the header block, nginx stops sending at the first write that would wait.
    let house = House::behind(Door::FastCgi);
    let vars = b"\x0e\x04REQUEST_METHODPOST\x09\x05PATH_INFO/echo\
        \x0f\x0cSERVER_SOFTWAREnginx/1.22.1\x0e\x00CONTENT_LENGTH";
    let begin = record(1, 1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    let mut socket = house.connect();
    socket.write_all(&[begin, stream(4, 1, vars), record(5, 1, b"first")].concat()).unwrap();
    // More than a socket takes: all of it goes in although nothing is read yet, so it is received.
    for _ in 0..64 {
        socket.write_all(&record(5, 1, &[b'x'; 32768])).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    let early = socket.read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock, "answered before the end");
    socket.set_nonblocking(false).unwrap();
    let mut sending = socket.try_clone().unwrap();
    sending.write_all(&record(5, 1, b"")).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(records(&answer).into_answer().body.len(), 5 + (64 << 15));
}
