//! Plain functions of `http::Request`.

use cgigate::{
    Body, Exception,
    testing::{Answer, get, post},
    types::{FileWrapper, InputStream},
};
use http::{Request, Response, StatusCode};
use std::io::Read;

fn shout(request: Request<InputStream<'_>>) -> Result<Response<String>, Exception> {
    let mut text = String::new();
    let (head, mut body) = request.into_parts();
    body.read_to_string(&mut text)?;
    let response =
        Response::builder().status(StatusCode::CREATED).header("X-Method", head.method.as_str());
    Ok(response.body(text.to_uppercase())?)
}

#[test]
fn a_function_answers_with_whatever_can_be_a_body() {
    let of = |answer: Answer| (answer.status, answer.text(), answer.log);
    let fine = |status, text: &str| (status, text.to_owned(), String::new());
    let answer = post("/", "hello").ask(&cgigate::http(shout));
    assert_eq!(answer.header("x-method"), Some("POST"));
    assert_eq!(of(answer), fine(201, "HELLO"));
    assert_eq!(of(get("/").ask(&cgigate::http(|_| Response::new("text")))), fine(200, "text"));
    assert_eq!(
        of(get("/").ask(&cgigate::http(|_| Response::new(b"bytes".to_vec())))),
        fine(200, "bytes")
    );
    let uri = cgigate::http(|request| Response::new(request.uri().to_string()));
    assert_eq!(of(get("/a%2fb?c").ask(&uri)), fine(200, "/a%2fb?c"));
    let made = cgigate::http(|_| {
        let blocks = ["one ", "two"].map(|block| Ok(block.as_bytes().to_vec()));
        Response::new(Body::from_iter(blocks.into_iter()))
    });
    assert_eq!(of(get("/").ask(&made)), fine(200, "one two"));
    let file = cgigate::http(|_| Response::new(FileWrapper::new(&b"a file"[..])));
    assert_eq!(of(get("/").ask(&file)), fine(200, "a file"));
}

#[test]
fn what_it_cannot_go_on_from_is_a_500_and_in_the_log() {
    let fails =
        cgigate::http(|_| Err::<Response<&str>, _>(std::io::Error::other("the disk is full")));
    let answer = get("/").ask(&fails);
    assert_eq!((answer.status, &*answer.log), (500, "the disk is full\n"));
    // A body that ended early is the client's fault, wherever it is met.
    let answer = post("/", "four").header("Content-Length", "9").ask(&cgigate::http(shout));
    assert_eq!(answer.status, 201, "streams of tests end where they end");
}
