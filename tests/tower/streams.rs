//! Bodies while they go on: nothing is waited for that is not needed, and nobody waits for a client
//! that has gone.

use crate::ways::{Server, WAYS, Way};
use axum::{
    Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody, channel::Channel};
use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

const LONG: Duration = Duration::from_secs(30);

/// The sending side of the response that is under way.
type Sender = http_body_util::channel::Sender<Bytes, Infallible>;

/// Responses whose frames the test makes.
fn channels() -> (Router, mpsc::Receiver<Sender>) {
    let (made, responses) = mpsc::channel();
    let router = Router::new().route(
        "/",
        get(move || {
            let (sender, body) = Channel::new(4);
            made.send(sender).unwrap();
            async { Response::new(Body::new(body)) }
        }),
    );
    (router, responses)
}

#[test]
fn the_head_is_on_the_wire_before_there_is_a_frame_and_each_frame_before_the_next() {
    for way in WAYS {
        let (router, responses) = channels();
        let server = Server::start(way, cgigate::tower(router), 2);
        let mut peer = server.begin("/", 0, b"");
        let mut frames = responses.recv_timeout(LONG).unwrap();
        peer.until(b"200 OK");
        peer.until(b"\r\n\r\n");
        for frame in ["one", "two", "three"] {
            frames.try_send(http_body::Frame::data(frame.into())).unwrap();
            peer.until(frame.as_bytes());
        }
        drop(frames);
        let rest = peer.rest();
        // In chunks the end has an end.
        assert!(rest.len() < 64, "{way:?}: {}", rest.escape_ascii());
    }
}

#[test]
fn a_body_is_read_no_sooner_than_it_is_asked_for() {
    for way in WAYS {
        let asked = Router::new().route(
            "/",
            post(|body: Body| async {
                let mut body = body;
                let first = body.frame().await.unwrap().unwrap();
                let (mut sender, answer) = Channel::<Bytes, Infallible>::new(1);
                tokio::spawn(async move {
                    sender.send(first).await.unwrap();
                    while let Some(frame) = body.frame().await {
                        sender.send(frame.unwrap()).await.unwrap();
                    }
                });
                Response::new(Body::new(answer))
            })
            .get(|| async { "here" }),
        );
        let server = Server::start(way, cgigate::tower(asked), 2);
        // Less of a body than that `cgigate http` gathers before it calls anybody.
        let begun = [&[b'x'; 80_000], &b"one"[..]].concat();
        let mut peer = server.begin("/", begun.len() + 4, &begun);
        // Its answer begins before its body has ended.
        peer.until(b"one");
        // Meanwhile the runtime is there for others.
        assert!(server.get("/").ends_with("here"), "{way:?}");
        peer.send(&server.piece(b"four"));
        peer.until(b"four");
    }
}

/// Says when it is dropped.
struct Dropped(mpsc::Sender<&'static str>, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

#[test]
fn what_waits_is_dropped_when_the_client_goes() {
    for way in WAYS {
        let (said, heard) = mpsc::channel();
        let before = said.clone();
        let router = Router::new()
            .route(
                "/before",
                get(|| async move {
                    let dropped = Dropped(before.clone(), "before");
                    before.send("waits").unwrap();
                    pending::<()>().await;
                    drop(dropped);
                }),
            )
            .route(
                "/after",
                get(|| async move {
                    let dropped = Dropped(said.clone(), "after");
                    let (sender, channel) = Channel::<Bytes, Infallible>::new(1);
                    let body = channel.map_frame(move |frame| {
                        let _ = (&dropped, &sender);
                        frame
                    });
                    said.send("waits").unwrap();
                    Response::new(Body::new(body))
                }),
            );
        let server = Server::start(way, cgigate::tower(router), 2);
        for path in ["before", "after"] {
            let mut peer = server.begin(&format!("/{path}"), 0, b"");
            assert_eq!(heard.recv_timeout(LONG).unwrap(), "waits");
            if path == "after" {
                peer.until(b"200 OK");
            }
            drop(peer);
            assert_eq!(heard.recv_timeout(LONG).unwrap(), path, "{way:?}");
        }
        assert!(server.log().is_none_or(|log| log.is_empty()), "{way:?}: {:?}", server.log());
    }
}

#[test]
fn a_client_that_only_sends_no_more_is_answered() {
    for way in WAYS {
        let counts = Router::new()
            .route("/", post(|body: Bytes| async move { format!("{} bytes", body.len()) }));
        let server = Server::start(way, cgigate::tower(counts), 2);
        // One that `cgigate http` gathers before it calls anybody, and one that it does not.
        for length in [10, 100_000] {
            let mut peer = server.begin("/", length, b"");
            peer.send(&[server.piece(&vec![b'x'; length]), server.end()].concat());
            peer.stop_sending();
            let answer = server.finish(peer);
            assert!(answer.ends_with(format!("{length} bytes").as_bytes()), "{way:?}");
        }
    }
}

#[test]
fn what_one_request_waits_for_another_may_bring() {
    for way in WAYS {
        let bell = Arc::new(Notify::new());
        let router = Router::new()
            .route(
                "/wait",
                get(|State(bell): State<Arc<Notify>>| async move {
                    bell.notified().await;
                    "rung"
                }),
            )
            .route(
                "/ring",
                get(|State(bell): State<Arc<Notify>>| async move {
                    // Whether or not it waits already.
                    bell.notify_one();
                    "ringing"
                }),
            )
            .with_state(bell);
        let server = Server::start(way, cgigate::tower(router), 2);
        let waits = server.begin("/wait", 0, b"");
        assert!(server.get("/ring").ends_with("ringing"), "{way:?}");
        assert!(server.finish(waits).ends_with(b"rung"), "{way:?}");
    }
}

/// A runtime for each thread would let this one's socket stall: whoever opened it is busy elsewhere.
#[test]
fn a_socket_that_one_request_opened_serves_another() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };
    for way in WAYS {
        let shared: Arc<tokio::sync::Mutex<Option<(TcpStream, TcpStream)>>> = Arc::default();
        let router = Router::new()
            .route(
                "/open",
                get(|State(shared): State<Arc<tokio::sync::Mutex<Option<_>>>>| async move {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                    let far = listener.accept().await.unwrap().0;
                    *shared.lock().await = Some((near, far));
                    "open"
                }),
            )
            .route(
                "/use",
                get(|State(shared): State<Arc<tokio::sync::Mutex<Option<_>>>>| async move {
                    let mut held = shared.lock().await;
                    let (near, far): &mut (TcpStream, TcpStream) = held.as_mut().unwrap();
                    let mut came = [0; 4];
                    let read = async { far.read_exact(&mut came).await.unwrap() };
                    let write = async {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        near.write_all(b"used").await.unwrap();
                    };
                    tokio::join!(read, write);
                    String::from_utf8(came.to_vec()).unwrap()
                }),
            )
            .route("/hold", get(pending::<()>))
            .with_state(shared);
        let server = Server::start(way, cgigate::tower(router), 4);
        assert!(server.get("/open").ends_with("open"), "{way:?}");
        let _held = server.begin("/hold", 0, b"");
        for _ in 0..10 {
            assert!(server.get("/use").ends_with("used"), "{way:?}");
        }
    }
}

#[test]
fn tasks_go_on_after_their_request() {
    let (started, proceed) = mpsc::channel::<oneshot::Sender<()>>();
    let (done, is_done) = mpsc::channel();
    let router = Router::new().route(
        "/",
        get(|| async move {
            let (go, gone) = oneshot::channel();
            started.send(go).unwrap();
            tokio::spawn(async move {
                gone.await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                done.send(()).unwrap();
            });
            "later"
        }),
    );
    let server = Server::start(WAYS[0], cgigate::tower(router), 2);
    assert!(server.get("/").ends_with("later"));
    proceed.recv_timeout(LONG).unwrap().send(()).unwrap();
    is_done.recv_timeout(LONG).unwrap();
}

#[test]
fn trailers_have_nowhere_to_go_and_an_error_cuts_the_answer() {
    let frames = |failing: bool| {
        let data = |text: &'static str| Ok(http_body::Frame::data(Bytes::from(text)));
        let last = match failing {
            true => Err(std::io::Error::other("the other half is lost")),
            false => Ok(http_body::Frame::trailers(http::HeaderMap::new())),
        };
        StreamBody::new(Frames(vec![data("one"), data(""), data("two"), last].into_iter()))
    };
    let router = Router::new()
        .route("/whole", get(move || async move { Response::new(Body::new(frames(false))) }))
        .route("/cut", get(move || async move { Response::new(Body::new(frames(true))) }));
    let app = cgigate::tower(router);
    let whole = cgigate::testing::get("/whole").ask(&app);
    assert_eq!((whole.text(), &*whole.log), ("onetwo".into(), ""));
    let cut = cgigate::testing::get("/cut").ask(&app);
    assert_eq!(
        (cut.text(), cut.ending),
        ("onetwo".into(), cgigate::handlers::Ending::Cut { length_known: false })
    );
    assert!(cut.log.contains("the other half is lost"), "{}", cut.log);
}

/// An iterator as a stream.
struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Frames<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[test]
fn a_body_that_ends_early_is_no_silent_end() {
    for way in WAYS.into_iter().filter(|way| *way != Way::Http) {
        let server = Server::start(way, cgigate::tower(crate::router::router()), 2);
        let peer = server.begin("/count", 9, b"four");
        if way == WAYS[0] {
            let mut peer = peer;
            peer.send(&server.end());
            let answer = String::from_utf8(server.finish(peer)).unwrap();
            assert!(
                answer.contains(" 400 Bad Request\r\n") && answer.contains("5 bytes early"),
                "{answer}"
            );
        } else {
            peer.stop_sending();
            let answer = String::from_utf8(server.finish(peer)).unwrap();
            assert!(!answer.contains("200 OK"), "{way:?}: {answer}");
        }
    }
}
