use super::super::head_scan::HeadScan;
use super::*;
use proptest::prelude::*;

fn read_by(bytes: &[u8], rules: Rules) -> Result<Option<Request>, Refused> {
    match HeadScan::new(rules).scan(bytes)? {
        Some(head) => parse(&bytes[head], rules).map(Some),
        None => Ok(None),
    }
}

fn read(bytes: impl AsRef<[u8]>) -> Request {
    read_by(bytes.as_ref(), Rules::Strict).unwrap().expect("all of a head")
}

#[test]
fn what_is_ambiguous_malformed_or_too_much_is_refused() {
    let host = "Host: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\n";
    let long = "x".repeat(8 << 10);
    let wide = "x".repeat(60 << 10);
    let many: String = (0..=MAX_FIELDS).map(|n| format!("X-{n}: 1\r\n")).collect();
    for (request, status) in [
        // Line ends, lines that are no fields, names that are no tokens.
        ("GET / HTTP/1.1\nHost: a\n\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nX: a\rContent-Length: 5\r\nHost: a\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\n X: folded\r\nHost: a\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".into(), "400"),
        (format!("{post}Content-Length : 5\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding : chunked\r\n{host}"), "400"),
        (format!("{post}Content-Length\t: 5\r\n{host}"), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX(): 1\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX\u{e9}: 1\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\0X: 1\r\n\r\n".into(), "400"),
        // Host.
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into(), "400"),
        (format!("GET / HTTP/1.1\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n{host}"), "400"),
        (format!("GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n{host}"), "400"),
        // The request line.
        (format!("G{{T / HTTP/1.1\r\n{host}"), "400"),
        (format!("GET  / HTTP/1.1\r\n{host}"), "400"),
        (format!("GET /\tHTTP/1.1\r\n{host}"), "400"),
        (format!("GET / HTTP/1.1 \r\n{host}"), "400"),
        (format!(" GET / HTTP/1.1\r\n{host}"), "400"),
        (format!("GET / x HTTP/1.1\r\n{host}"), "400"),
        (format!("GET x HTTP/1.1\r\n{host}"), "400"),
        (format!("GET * HTTP/1.1\r\n{host}"), "400"),
        (format!("GET ftp://a/ HTTP/1.1\r\n{host}"), "400"),
        (format!("GET http:///x HTTP/1.1\r\n{host}"), "400"),
        (format!("GET http://u@a/ HTTP/1.1\r\n{host}"), "400"),
        (format!("GET /#x HTTP/1.1\r\n{host}"), "400"),
        (format!("GET /\0 HTTP/1.1\r\n{host}"), "400"),
        (format!("GET /\x7f HTTP/1.1\r\n{host}"), "400"),
        (format!("GET /%3f%00 HTTP/1.1\r\n{host}"), "400"),
        (format!("GET /%%00?x HTTP/1.1\r\n{host}"), "400"),
        (format!("CONNECT a:1 HTTP/1.1\r\n{host}"), "400"),
        (format!("CONNECT / HTTP/1.1\r\n{host}"), "400"),
        ("GET /\r\n".into(), "400"),
        ("GET / HTTP/0.9\r\n\r\n".into(), "400"),
        ("GET / HTTP/1\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.1.1\r\n\r\n".into(), "400"),
        ("GET / HTTP/1.01\r\n\r\n".into(), "400"),
        ("GET / HTTP/2.0\r\n".into(), "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "505"),
        ("GET / http/1.1\r\n\r\n".into(), "400"),
        ("\r\n\r\n".into(), "400"),
        ("\x16\x03\x01\x02\n".into(), "400"),
        // Where the body ends.
        (format!("{post}Content-Length: 5, 5\r\n{host}"), "400"),
        (format!("{post}Content-Length: +5\r\n{host}"), "400"),
        (format!("{post}Content-Length: -5\r\n{host}"), "400"),
        (format!("{post}Content-Length: 0x5\r\n{host}"), "400"),
        (format!("{post}Content-Length: 5 5\r\n{host}"), "400"),
        (format!("{post}Content-Length: 1_0\r\n{host}"), "400"),
        (format!("{post}Content-Length: 5.0\r\n{host}"), "400"),
        (format!("{post}Content-Length:\r\n{host}"), "400"),
        (format!("{post}Content-Length: 1\r\nContent-Length: 2\r\n{host}"), "400"),
        (format!("{post}Content-Length: 5\r\ncontent-length: 05x\r\n{host}"), "400"),
        (format!("{post}Content-Length: 99999999999999999999\r\n{host}"), "413"),
        (format!("{post}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: x\r\nContent-Length: 1\r\n{host}"), "400"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), "400"),
        (format!("{post}Transfer-Encoding: chunked, chunked\r\n{host}"), "400"),
        (
            format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n{host}"),
            "400",
        ),
        (format!("{post}Transfer-Encoding: chunked, x\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: chunked,\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: ,chunked\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: \r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: \x0bchunked\r\n{host}"), "400"),
        (format!("{post}Transfer-Encoding: xchunked\r\n{host}"), "501"),
        (format!("{post}Transfer-Encoding: \"chunked\"\r\n{host}"), "501"),
        (format!("{post}Transfer-Encoding: chunked;q=1\r\n{host}"), "501"),
        (format!("{post}Transfer-Encoding: gzip, chunked\r\n{host}"), "501"),
        (format!("{post}Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n{host}"), "501"),
        (format!("{post}Transfer-Encoding: identity\r\n{host}"), "501"),
        (format!("{post}Expect: more\r\n{host}"), "417"),
        // Too much.
        (format!("GET /{long} HTTP/1.1\r\n{host}"), "414"),
        (format!("GET /{long}"), "414"),
        (format!("GET / HTTP/1.1\r\nX: {wide}\r\nY: {wide}\r\n{host}"), "431"),
        (format!("GET / HTTP/1.1\r\nX: {wide}{wide}"), "431"),
        (format!("GET / HTTP/1.1\r\n{many}{host}"), "431"),
    ] {
        let Err(refused) = read_by(request.as_bytes(), Rules::Strict) else {
            panic!("accepted: {request:?}");
        };
        assert!(refused.status.starts_with(status), "{refused}, not {status}: {request:?}");
    }
}

#[test]
fn wsgirefs_rules_take_what_is_odd_and_refuse_what_is_dangerous() {
    for good in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/01.07\r\n\r\n",
        "GET / HTTP/0.8\r\n\r\n",
        "get / HTTP/1.0\r\nHost: a\r\nHost: b\r\nX: a\x1bb\r\n\r\n",
        "CONNECT / HTTP/1.0\r\nContent-Length:\r\nExpect: more\r\n\r\n",
        "GET / HTTP/1.0\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
    ] {
        let read = read_by(good.as_bytes(), Rules::Wsgiref);
        assert!(matches!(read, Ok(Some(_))), "{good:?}: {read:?}");
    }
    for bad in [
        "GET / HTTP/0.9\r\n\r\n",
        "GET / HTTP/1.12345678901\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nX: \0\r\n\r\n",
        "GET / HTTP/1.1\r\nX\x01: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let read = read_by(bad.as_bytes(), Rules::Wsgiref);
        assert!(read.is_err(), "{bad:?}: {read:?}");
    }
}

#[test]
fn a_value_is_found_where_it_is_whatever_it_holds() {
    let head = b"GET / HTTP/1.0\r\nA: \x01b\x7f \t\r\nB:\r\nC: \xc3\xa9\r\n\r\n";
    let request = read_by(head, Rules::Wsgiref).unwrap().unwrap();
    let values: Vec<_> = request.headers.iter().map(|(_, value)| &value[..]).collect();
    assert_eq!(values, [&b"\x01b\x7f \t"[..], b"", b"\xc3\xa9"]);
    let strict = read(b"GET / HTTP/1.0\r\nA: b \t\r\n\r\n");
    assert_eq!(strict.headers, [("A".to_owned(), b"b".to_vec())]);
}

#[test]
fn the_end_of_the_stream_ends_a_head_where_wsgiref_has_it_so() {
    for (sent, headers) in [
        ("GET / HTTP/1.0", 0),
        ("GET / HTTP/1.0\r", 0),
        ("GET / HTTP/1.0\r\n", 0),
        ("GET / HTTP/1.0\r\nA: b", 1),
        ("\r\nGET / HTTP/1.0\r\nA: b\r\nC: d\r\n", 2),
    ] {
        let (mut bytes, mut scan) = (sent.as_bytes().to_vec(), HeadScan::new(Rules::Wsgiref));
        assert_eq!(scan.scan(&bytes), Ok(None), "{sent:?}");
        assert!(scan.end(&mut bytes), "{sent:?}");
        let head = scan.scan(&bytes).unwrap().expect("a head");
        assert_eq!(parse(&bytes[head], Rules::Wsgiref).unwrap().headers.len(), headers);
    }
    for nothing in ["", "\r\n", "   \r\n"] {
        let (mut bytes, mut scan) = (nothing.as_bytes().to_vec(), HeadScan::new(Rules::Wsgiref));
        assert_eq!(scan.scan(&bytes), Ok(None), "{nothing:?}");
        assert!(!scan.end(&mut bytes), "{nothing:?}");
    }
}

#[test]
fn the_forms_of_the_target() {
    for (line, path, host) in [
        ("GET http://x:8?q HTTP/1.1", "/?q", Some("x:8")),
        ("GET HTTP://x/y?q?r HTTP/1.1", "/y?q?r", Some("x")),
        ("OPTIONS * HTTP/1.1", "", None),
        ("GET //x/../y HTTP/1.0", "/x/../y", None),
        ("GET /?//x HTTP/1.0", "/?//x", None),
    ] {
        let request = read(format!("{line}\r\nHost: h\r\n\r\n"));
        assert_eq!(request.path, path.as_bytes(), "{line}");
        assert_eq!(request.authority.as_deref(), host.map(str::as_bytes), "{line}");
        assert_eq!(request.requestline, line.as_bytes());
    }
}

#[test]
fn a_connection_is_kept_by_default_in_1_1_and_if_asked_in_1_0() {
    for (version, connection, kept) in [
        ("1.1", "X: y", true),
        ("1.1", "Connection: x, Close", false),
        ("1.0", "X: y", false),
        ("1.0", "Connection: Keep-Alive", true),
        ("1.0", "Connection: keep-alive\r\nConnection: close", false),
    ] {
        let request = read(format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n\r\n"));
        assert_eq!(request.keep_alive, kept, "{version} {connection}");
    }
    let chunked = read(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert_eq!(chunked.framing, Framing::Chunked);
    let expects = read(b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\r\n");
    assert!(expects.expects_continue && expects.framing == Framing::Length(0));
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_are_one_request_or_refused(
        line in "[A-Z]{1,5} [ -~]{1,20} HTTP/1\\.[01]\r\n",
        rest in proptest::collection::vec(any::<u8>(), 0..80),
        strict: bool,
    ) {
        let rules = if strict { Rules::Strict } else { Rules::Wsgiref };
        let bytes = [line.as_bytes(), b"Host: a\r\n", &rest, b"\r\n\r\n"].concat();
        let whole = HeadScan::new(rules).scan(&bytes);
        prop_assert!(whole != Ok(None));
        let mut scan = HeadScan::new(rules);
        let mut came = Ok(None);
        for end in 0..=bytes.len() {
            came = scan.scan(&bytes[..end]);
            if came != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(&came, &whole);
        if let Ok(Some(head)) = came {
            let _ = parse(&bytes[head], rules);
        }
    }
}
