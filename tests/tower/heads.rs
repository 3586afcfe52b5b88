//! What an environ becomes, and what becomes of the head of a response.

use crate::router::router;
use cgigate::{
    adapter::MetaVariables,
    testing::{Answer, Request, get, post},
    types::Scheme,
};
use http::{HeaderValue, Response, StatusCode, Version};

/// The URI that an application sees.
fn uri(vars: &[(&str, &[u8])]) -> String {
    let request = vars.iter().fold(get("/"), |request, (name, value)| request.var(name, value));
    let answer = request.ask(&cgigate::http(|request| Response::new(request.uri().to_string())));
    if answer.status == 200 { answer.text() } else { answer.status.to_string() }
}

fn head(request: Request) -> http::request::Parts {
    let (sender, receiver) = std::sync::mpsc::channel();
    let app = cgigate::http(move |request| {
        sender.send(request.into_parts().0).unwrap();
        Response::new("")
    });
    assert_eq!(request.ask(&app).status, 200);
    receiver.recv().unwrap()
}

#[test]
fn the_path_is_path_info_and_the_query_stays_as_it_is() {
    let rewritten = ("REQUEST_URI", &b"/elsewhere?x"[..]);
    for (path, query, wanted) in [
        ("/", "", "/"),
        ("", "", "/"),
        ("", "a=1", "/?a=1"),
        ("/a b/c", "a=1&b=%20", "/a%20b/c?a=1&b=%20"),
        ("/100%/?#x", "a?b#c", "/100%25/%3F%23x?a?b%23c"),
        ("//double//", "", "//double//"),
        ("no-slash", "", "/no-slash"),
        ("*", "", "*"),
        ("*", "a", "/*?a"),
        ("/caf\u{e9};v=1,2", "\u{e9} <\">", "/caf%C3%A9;v=1,2?%C3%A9%20%3C%22%3E"),
        ("/[a]{b}|^`\\", "[a]{b}|^`\\", "/%5Ba%5D%7Bb%7D%7C%5E%60%5C?[a]{b}|^`\\"),
        ("/new\nline", "", "/new%0Aline"),
    ] {
        let vars = [rewritten, ("PATH_INFO", path.as_bytes()), ("QUERY_STRING", query.as_bytes())];
        assert_eq!(uri(&vars), wanted, "{path} ? {query}");
    }
    assert_eq!(uri(&[rewritten, ("PATH_INFO", b"/\xff\xfe")]), "/%FF%FE");
}

#[test]
fn the_path_is_spelled_as_the_client_did_where_the_server_left_it_alone() {
    for (request_uri, script_name, path_info, wanted) in [
        ("/app/a%2Fb?q", "/app", "/a/b", "/a%2Fb"),
        ("/%61pp/a%2Fb", "/app", "/a/b", "/a%2Fb"),
        ("/app/%e4", "/app", "/\u{e4}", "/%C3%A4"),
        ("/app/[x]|", "/app", "/[x]|", "/[x]|"),
        ("/app", "/app", "", "/"),
        ("/a%00b", "", "/a\0b", "/a%00b"),
        // Tidied, rewritten, absolute, cut short, or not a spelling at all: PATH_INFO it is.
        ("/app//b", "/app", "/b", "/b"),
        ("/app/x/../b", "/app", "/b", "/b"),
        ("/other/a%2Fb", "/app", "/a/b", "/a/b"),
        ("http://h/app/a%2Fb", "/app", "/a/b", "/a/b"),
        ("/app/a%2", "/app", "/a/", "/a/"),
        ("/app/a%2Fb/c", "/app", "/a/b", "/a/b"),
        ("/app%2Fa", "/app", "/a", "/a"),
        ("", "/app", "/a", "/a"),
    ] {
        let vars = [
            ("REQUEST_URI", request_uri.as_bytes()),
            ("SCRIPT_NAME", script_name.as_bytes()),
            ("PATH_INFO", path_info.as_bytes()),
        ];
        assert_eq!(uri(&vars), wanted, "{request_uri}");
    }
}

#[test]
fn a_uri_beyond_all_bounds_is_a_414() {
    let long = |length: usize| [&b"/"[..], &vec![b'x'; length - 1]].concat();
    assert_eq!(uri(&[("PATH_INFO", &long(65_534))]).len(), 65_534);
    assert_eq!(uri(&[("PATH_INFO", &long(65_535))]), "414");
    assert_eq!(uri(&[("QUERY_STRING", &vec![b' '; 30_000])]), "414");
}

#[test]
fn a_method_is_any_token() {
    for method in ["GET", "PROPFIND", "get", "M-SEARCH"] {
        assert_eq!(head(Request::new(method, "/")).method.as_str(), method);
    }
    for method in ["", "G ET", "GET\u{e9}"] {
        let answer = Request::new(method, "/").ask(&cgigate::http(|_| Response::new("")));
        assert_eq!(answer.status, 400);
        assert_eq!(answer.log, "the value of REQUEST_METHOD is none that HTTP knows\n");
    }
}

#[test]
fn header_fields_come_by_their_names_with_their_bytes() {
    let request = post("/", "four")
        .header("X-Latin", b"caf\xe9")
        .header("Cookie", "a=1; b=2")
        .header("Content-Type", "text/x")
        .header("X-Empty", "")
        .header("Transfer-Encoding", "chunked")
        .var("HTTP_CONTENT_TYPE", "text/other")
        .var("HTTP_CONTENT_LENGTH", "7")
        .var("HTTP_ODD{NAME", "x")
        .var("HTTP_", "x")
        .var("REMOTE_USER", "ann");
    let headers = head(request).headers;
    let mut came: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    came.sort_unstable();
    let wanted: [(&str, &[u8]); 6] = [
        ("content-length", b"4"),
        ("content-type", b"text/x"),
        ("cookie", b"a=1; b=2"),
        ("host", b"127.0.0.1"),
        ("x-empty", b""),
        ("x-latin", b"caf\xe9"),
    ];
    assert_eq!(came, wanted);
    for length in ["", "-1", "+4", "4, 5", "99999999999999999999"] {
        let headers = head(get("/").header("Content-Length", length)).headers;
        assert_eq!(headers.get("content-length"), None, "{length}");
    }
    let answer = get("/").header("X-Bad", b"a\x01b").ask(&cgigate::http(|_| Response::new("")));
    assert_eq!(
        (answer.status, &*answer.log),
        (400, "the value of HTTP_X_BAD is none that HTTP knows\n")
    );
}

/// `HeaderMap` panics beyond its bounds where it is not asked politely.
#[test]
fn more_fields_than_http_can_hold_are_a_431() {
    let many = (0..33_000).fold(get("/"), |request, n| request.header(&format!("X-{n}"), "1"));
    assert_eq!(many.ask(&cgigate::http(|_| Response::new(""))).status, 431);
}

#[test]
fn the_version_is_the_servers() {
    for (protocol, version) in [
        ("HTTP/0.9", Version::HTTP_09),
        ("HTTP/1.0", Version::HTTP_10),
        ("HTTP/1.1", Version::HTTP_11),
        ("HTTP/2.0", Version::HTTP_2),
        ("HTTP/2", Version::HTTP_2),
        ("HTTP/3.0", Version::HTTP_3),
        ("INCLUDED", Version::HTTP_11),
    ] {
        assert_eq!(head(get("/").var("SERVER_PROTOCOL", protocol)).version, version);
    }
}

#[test]
fn all_variables_are_in_the_extensions() {
    let request = get("/").var("REMOTE_USER", "ann").var("SCRIPT_NAME", "/app").var("HTTPS", "on");
    let head = head(request);
    let meta = head.extensions.get::<MetaVariables>().unwrap();
    assert_eq!(meta.get("REMOTE_USER"), Some(&b"ann"[..]));
    assert_eq!((&*meta.link("/x"), meta.wsgi.url_scheme), ("/app/x", Scheme::Https));
}

fn answered(response: Response<&'static str>) -> Answer {
    get("/").ask(&cgigate::http(move |_| response.clone()))
}

#[test]
fn fields_of_the_connection_are_not_the_applications() {
    let response = Response::builder()
        .header("Connection", "close")
        .header("Transfer-Encoding", "chunked")
        .header("Keep-Alive", "timeout=5")
        .header("Status", "404 Gone")
        .header("Set-Cookie", "a=1")
        .header("Set-Cookie", "b=2")
        .header("X-Latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let headers = answered(response.body("hi").unwrap()).headers;
    let fields: Vec<_> = headers.iter().collect();
    let wanted: [(&[u8], &[u8]); 4] = [
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-latin", b"caf\xe9"),
        (b"Content-Length", b"2"),
    ];
    assert_eq!(fields, wanted);
}

#[test]
fn any_final_status_goes_out_and_an_interim_one_is_a_fault() {
    for code in [200, 299, 404, 599, 999] {
        let response = Response::builder().status(code).body("x").unwrap();
        assert_eq!(answered(response).status, code);
    }
    let answer = answered(Response::builder().status(101).body("x").unwrap());
    assert_eq!(answer.status, 500);
    assert!(answer.log.contains("Status 101 is interim"), "{}", answer.log);
}

#[test]
fn responses_without_content_have_none_and_no_length_is_made_up() {
    let router = cgigate::tower(router());
    let nothing = get("/nothing").ask(&router);
    assert_eq!(
        (nothing.status, nothing.header("content-length"), nothing.body.len()),
        (204, None, 0)
    );
    let head = Request::new("HEAD", "/hello").ask(&router);
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("12"), 0));
    // What a GET would be told of is not known here.
    let unknown = Request::new("HEAD", "/sleep").ask(&cgigate::tower(Bare(StatusCode::OK)));
    assert_eq!((unknown.status, unknown.header("content-length")), (200, None));
    let unchanged = get("/").ask(&cgigate::tower(Bare(StatusCode::NOT_MODIFIED)));
    assert_eq!((unchanged.status, unchanged.header("content-length")), (304, None));
    let empty = get("/").ask(&cgigate::tower(Bare(StatusCode::OK)));
    assert_eq!((empty.status, empty.header("content-length")), (200, Some("0")));
}

/// A service that is no axum: a status, and no body.
#[derive(Clone)]
struct Bare(StatusCode);

impl tower_service::Service<http::Request<cgigate::adapter::RequestBody>> for Bare {
    type Response = Response<http_body_util::Empty<bytes::Bytes>>;
    type Error = cgigate::Exception;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<cgigate::adapter::RequestBody>) -> Self::Future {
        let mut response = Response::default();
        *response.status_mut() = self.0;
        std::future::ready(Ok(response))
    }
}
