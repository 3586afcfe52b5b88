//! Rules 17 to 32: what web servers say of a request.

use crate::door::{DOORS, Door, House, asked};
use cgigate::{Vars, util};
use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, Stdio},
};

const SOCKETS: [Door; 3] = [Door::FastCgi, Door::Scgi, Door::Uwsgi];

/// What `environ` sees.
fn environ() -> crate::door::Asked {
    asked("GET /environ")
}

#[test]
fn rule_17_path_info_is_bytes_that_were_decoded_once() {
    for door in DOORS {
        let house = House::behind(door);
        for path in [&b"/environ/caf\xe9"[..], b"/environ/caf\xc3\xa9", b"/environ/a%2Fb"] {
            let answer = house.ask(&environ().without("PATH_INFO").with("PATH_INFO", path));
            assert_eq!(answer.var("PATH_INFO"), Some(&path[8..]), "{door:?}");
        }
    }
}

#[test]
fn rule_17_no_dots_lead_out_of_the_files() {
    let folder = std::env::temp_dir().join(format!("cgigate-rule-17-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("root")).unwrap();
    std::fs::write(folder.join("secret"), "secret\n").unwrap();
    let house = House::behind(Door::Cgi);
    // As HAProxy and Caddy hand them over.
    for path in ["/files/../secret", "/files/x/../../secret", "/files//../secret"] {
        let mut command = house.command(&asked(&format!("GET {path}")));
        command.env("CGIGATE_FILES_ROOT", folder.join("root"));
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(text.starts_with("Status: 404 "), "{path}: {text}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn rule_18_a_line_break_in_the_path_is_a_byte_like_another() {
    for door in DOORS {
        let house = House::behind(door);
        let path = "/environ/a\nb\r\nX-Evil: 1";
        let answer = house.ask(&environ().without("PATH_INFO").with("PATH_INFO", path));
        assert!(answer.body.windows(30).any(|w| w.starts_with(b"PATH_INFO=/a\nb\r\nX-Evil: 1\n")));
        assert_eq!(answer.field("X-Evil"), None, "{door:?}");
    }
    // nginx has the whole path in SCRIPT_NAME then, and HAProxy neither of both.
    for door in SOCKETS {
        let house = House::with(door, &["--mount", "/app", "--app", "environ"]);
        let without = environ().without("PATH_INFO").without("SCRIPT_NAME");
        let lost = without.with("REQUEST_URI", "/app/a%0Ab");
        for lost in [lost.clone().with("SCRIPT_NAME", "/app/a\nb").with("PATH_INFO", ""), lost] {
            let body = house.ask(&lost).body;
            let found = |wanted: &[u8]| body.windows(wanted.len()).any(|window| window == wanted);
            assert!(found(b"\nPATH_INFO=/a\nb\n") && found(b"\nSCRIPT_NAME=/app\n"), "{door:?}");
        }
    }
}

#[test]
fn rule_19_a_mount_makes_script_name_and_path_info_out_of_request_uri() {
    // What comes of REQUEST_URI. The captured streams are in tests/mount.rs.
    let rows: [(&str, Option<&[u8]>); 12] = [
        ("/app", Some(b"")),
        ("/app/", Some(b"/")),
        ("/app?x=/app/y", Some(b"")),
        ("/app/a%20b+c", Some(b"/a b+c")),
        ("/app/a%252Fb", Some(b"/a%2Fb")),
        ("/app/caf%E9", Some(b"/caf\xe9")),
        ("/app//a//b/", Some(b"/a/b/")),
        ("/app/a/../b/./c", Some(b"/b/c")),
        ("/app/a/%2e%2E/b", Some(b"/b")),
        ("/application", None),
        ("/app/../other", None),
        ("/other/../app/x", Some(b"/x")),
    ];
    for door in SOCKETS {
        let house = House::with(door, &["--mount", "/app", "--app", "environ"]);
        for (uri, path) in rows {
            let stock = environ().without("PATH_INFO").with("SCRIPT_NAME", "/app/whole/path");
            let answer = house.ask(&stock.with("REQUEST_URI", uri));
            match path {
                Some(path) => {
                    assert_eq!(answer.var("PATH_INFO"), Some(path), "{door:?} {uri}");
                    assert_eq!(answer.var("SCRIPT_NAME"), Some(&b"/app"[..]), "{door:?} {uri}");
                }
                None => assert_eq!(answer.status(), "404 Not Found", "{door:?} {uri}"),
            }
        }
    }
}

#[test]
fn rule_20_empty_is_absent_and_minus_one_unknown() {
    for door in DOORS {
        let house = House::behind(door);
        // SCGI's own head has a number first, always.
        let lengths = if door == Door::Scgi { &["0"][..] } else { &["0", "", "-1"] };
        for length in lengths {
            let answer = house.ask(&asked("POST /count").with("CONTENT_LENGTH", length));
            assert_eq!(answer.body, b"0\n", "{door:?} {length:?}");
        }
        for length in ["+5", "5, 5", "0x5", "five", "5.0"] {
            let answer = house.ask(&asked("POST /count").with("CONTENT_LENGTH", length));
            assert_eq!(answer.status(), "400 Bad Request", "{door:?} {length:?}");
        }
        // HAProxy sends no query and, at the root, no script where there is none.
        let bare = asked("GET /hello").without("QUERY_STRING").without("SCRIPT_NAME");
        assert_eq!(house.ask(&bare).body, b"Hello World\n", "{door:?}");
    }
    // Caddy says -1 of a body that comes in chunks.
    let house = House::behind(Door::FastCgi);
    let caddy = asked("POST /echo").with("CONTENT_LENGTH", "-1").unmeasured(b"hello");
    assert_eq!(house.ask(&caddy).body, b"hello");
}

#[test]
fn rule_21_a_body_without_a_length_ends_where_its_stream_ends() {
    let chunked = |body: &[u8]| {
        asked("POST /echo").with("HTTP_TRANSFER_ENCODING", "chunked").unmeasured(body)
    };
    // mod_proxy_fcgi, Caddy and nginx; decoded already, whatever the field says.
    let house = House::behind(Door::FastCgi);
    assert_eq!(house.ask(&chunked(b"5\r\nhello\r\n0\r\n\r\n")).body, b"5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(house.ask(&asked("POST /echo").unmeasured(b"hello")).body, b"hello");
    // mod_cgi: to end of file. busybox: nobody has decoded it, and no SERVER_NAME came.
    let house = House::behind(Door::Cgi);
    let apache = chunked(b"hello").with("SERVER_SOFTWARE", "Apache/2.4.71 (Unix)");
    assert_eq!(house.ask(&apache).body, b"hello");
    let busybox =
        chunked(b"5\r\nhello\r\n0\r\n\r\n").with("SERVER_SOFTWARE", "busybox httpd/1.35.0");
    assert_eq!(house.ask(&busybox).body, b"hello");
    // A length that was told holds: nginx leaves the field in beside it.
    for door in DOORS {
        let told = asked("POST /echo").with("HTTP_TRANSFER_ENCODING", "chunked").sending(b"hello");
        assert_eq!(House::behind(door).ask(&told).body, b"hello", "{door:?}");
    }
}

#[test]
fn rule_21_without_length_and_chunks_cgi_leaves_its_stdin_alone() {
    // Python's is the client's socket, and never ends: whoever read it would wait for ever.
    let (stdin, mut client) = UnixStream::pair().unwrap();
    client.write_all(b"GET /next HTTP/1.1\r\n").unwrap();
    let house = House::behind(Door::Cgi);
    let answer = house.run_on(&asked("POST /count"), OwnedFd::from(stdin));
    assert_eq!(answer.body, b"0\n");
}

#[test]
fn rule_22_a_socket_that_does_not_listen_is_no_fastcgi() {
    let house = House::behind(Door::Cgi);
    let (stdin, _server) = UnixStream::pair().unwrap();
    assert_eq!(house.run_on(&asked("GET /hello"), stdin.into()).body, b"Hello World\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stdin, _) = listener.accept().unwrap();
    assert_eq!(house.run_on(&asked("GET /hello"), stdin.into()).body, b"Hello World\n");
    // lighttpd's, without a body: /dev/null, and O_NONBLOCK. Only of a pipe can that be seen.
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(house.run_on(&asked("GET /hello"), null.into()).body, b"Hello World\n");
    let (stdin, mut server) = UnixStream::pair().unwrap();
    stdin.set_nonblocking(true).unwrap();
    server.write_all(b"hello").unwrap();
    let echo = asked("POST /echo").with("CONTENT_LENGTH", "5");
    assert_eq!(house.run_on(&echo, stdin.into()).body, b"hello");
}

#[test]
fn rule_23_a_client_that_is_gone_is_no_fault_whatever_sigpipe_does() {
    let house = House::behind(Door::Cgi);
    for trap in ["trap '' PIPE;", "trap - PIPE;"] {
        let request = house.command(&asked("GET /stream?chunks=100&size=70000"));
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("{trap} exec \"$0\"")).arg(request.get_program());
        for (name, value) in request.get_envs() {
            command.env(name, value.unwrap());
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 10]).unwrap();
        drop(stdout);
        let done = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{trap}");
        assert!(done.status.code().is_some(), "{trap} ended by a signal: {:?}", done.status);
    }
}

#[test]
fn rule_24_a_query_never_becomes_a_command_line() {
    let house = House::behind(Door::Cgi);
    let want = house.run(&asked("GET /hello?a=1"), &[]);
    for args in [&["--help"][..], &["-d", "allow_url_include"], &["fastcgi", "--listen", ":9"]] {
        let answer = house.run(&asked(&format!("GET /hello?{}", args.join("+"))), args);
        assert_eq!(
            (answer.head, answer.body, answer.ending),
            (want.head.clone(), want.body.clone(), want.ending)
        );
    }
}

#[test]
fn rule_25_a_field_that_came_twice_is_joined() {
    for door in SOCKETS {
        let twice = environ()
            .with("HTTP_COOKIE", "a=1")
            .with("HTTP_X_DUP", "one")
            .with("HTTP_COOKIE", "b=2; c=3")
            .with("HTTP_X_DUP", "two")
            // nginx sends a parameter that was overridden twice: the last holds.
            .with("SERVER_NAME", "first")
            .with("SERVER_NAME", "last");
        let answer = House::behind(door).ask(&twice);
        assert_eq!(answer.var("HTTP_COOKIE"), Some(&b"a=1; b=2; c=3"[..]), "{door:?}");
        assert_eq!(answer.var("HTTP_X_DUP"), Some(&b"one, two"[..]), "{door:?}");
        assert_eq!(answer.var("SERVER_NAME"), Some(&b"last"[..]), "{door:?}");
    }
}

#[test]
fn rule_26_a_field_with_an_underscore_does_not_pass_for_another() {
    for door in SOCKETS {
        // lighttpd: `X_Real_User: evil` before `X-Real-User: good`, and Content_Length.
        let spoofed = environ()
            .with("HTTP_X_REAL_USER", "evil")
            .with("HTTP_X_REAL_USER", "good")
            .with("HTTP_CONTENT_LENGTH", "7")
            .with("HTTP_X.DOT", "1");
        let answer = House::behind(door).ask(&spoofed);
        assert_eq!(answer.var("HTTP_X_REAL_USER"), Some(&b"evil, good"[..]), "{door:?}");
        assert_eq!(answer.var("HTTP_X.DOT"), Some(&b"1"[..]), "{door:?}");
    }
}

#[test]
fn rule_27_http_proxy_reaches_no_application() {
    for door in DOORS {
        let answer = House::behind(door).ask(&environ().with("HTTP_PROXY", "http://evil.test/"));
        assert_eq!((answer.status(), answer.var("HTTP_PROXY")), ("200 OK", None), "{door:?}");
    }
}

#[test]
fn rule_28_auth_type_makes_no_user() {
    for door in DOORS {
        // As HAProxy and Python say it of a client who only claims to be somebody.
        let answer = House::behind(door).ask(&environ().with("AUTH_TYPE", "Basic"));
        assert_eq!(answer.var("AUTH_TYPE"), Some(&b"Basic"[..]), "{door:?}");
        assert_eq!(answer.var("REMOTE_USER"), None, "{door:?}");
        let bearer = environ().with("HTTP_AUTHORIZATION", "Bearer abc");
        let answer = House::behind(door).ask(&bearer);
        assert_eq!(answer.var("HTTP_AUTHORIZATION"), Some(&b"Bearer abc"[..]), "{door:?}");
    }
}

#[test]
fn rule_29_the_fields_beside_content_type_and_length_count_for_nothing() {
    for door in DOORS {
        let both = asked("POST /echo")
            .with("HTTP_CONTENT_LENGTH", "999")
            .with("HTTP_CONTENT_TYPE", "text/evil")
            .with("CONTENT_TYPE", "text/x-good")
            .sending(b"hello");
        let answer = House::behind(door).ask(&both);
        assert_eq!(answer.field("Content-Type"), Some("text/x-good"), "{door:?}");
        assert_eq!(answer.body, b"hello", "{door:?}");
    }
}

#[test]
fn rule_30_addresses_are_made_of_http_host() {
    let vars: Vars = [
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "8080"),
        ("HTTP_HOST", "www.example.test:81"),
        ("SCRIPT_NAME", "/app"),
    ]
    .into_iter()
    .collect();
    let mut test = util::setup_testing_defaults(vars);
    let uri = util::application_uri(&test.environ()).unwrap();
    assert_eq!(uri, b"http://www.example.test:81/app");
    // lighttpd and Caddy without a Host: an empty SERVER_NAME is no error of the request.
    for door in DOORS {
        let answer = House::behind(door).ask(&asked("GET /hello").with("SERVER_NAME", ""));
        assert_eq!(answer.status(), "200 OK", "{door:?}");
    }
}

#[test]
fn rule_31_an_absolute_target_has_a_path_like_another() {
    for door in SOCKETS {
        let house = House::with(door, &["--mount", "/app", "--app", "environ"]);
        for uri in ["http://other.example.test/app/x?y=1", "https://h:1/app/x", "HTTP://h/app/x"] {
            let answer = house.ask(&environ().with("REQUEST_URI", uri));
            assert_eq!(answer.var("PATH_INFO"), Some(&b"/x"[..]), "{door:?} {uri}");
            assert_eq!(answer.var("REQUEST_URI"), Some(uri.as_bytes()), "{door:?}");
        }
    }
}

#[test]
fn rule_32_any_token_is_a_method_and_forwarded_fields_are_the_clients() {
    for door in DOORS {
        let house = House::behind(door);
        for method in ["FROB", "get", "M-SEARCH", "PATCH"] {
            let asked = asked(&format!("{method} /environ"));
            let answer = house.ask(&asked.with("HTTP_X_FORWARDED_FOR", "203.0.113.9"));
            assert_eq!(answer.var("REQUEST_METHOD"), Some(method.as_bytes()), "{door:?}");
            assert_eq!(answer.var("HTTP_X_FORWARDED_FOR"), Some(&b"203.0.113.9"[..]), "{door:?}");
            // Nobody's address is taken from it.
            assert_eq!(answer.var("REMOTE_ADDR"), None, "{door:?}");
        }
    }
}
