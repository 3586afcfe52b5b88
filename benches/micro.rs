//! What the parts of a request cost: `cargo bench`. A request as nginx sends it stands for all.
//!
//! The allocator counts, so each line says what it allocated: nothing, from the second round on.

use cgigate::{
    Vars,
    fcgi::{
        Client, Connection, Event, Limits, Request, RequestId, Role, end_request, pair_at, pairs,
        usual_pair,
    },
    handlers::{Attributes, Plain, Slate, Streams, run},
    headers::Headers,
};
use divan::{AllocProfiler, Bencher, black_box};
use std::num::NonZeroU16;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const ID: RequestId = RequestId(NonZeroU16::MIN);
const LIMITS: Limits = Limits { max_requests: 16, max_params: 1 << 20 };

/// nginx's fastcgi_params, and a browser's header fields.
const PARAMS: &[(&str, &str)] = &[
    ("SCRIPT_FILENAME", "/var/www/html/hello"),
    ("QUERY_STRING", ""),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("SCRIPT_NAME", "/hello"),
    ("REQUEST_URI", "/hello"),
    ("DOCUMENT_URI", "/hello"),
    ("DOCUMENT_ROOT", "/var/www/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.22.1"),
    ("REMOTE_ADDR", "203.0.113.57"),
    ("REMOTE_PORT", "51234"),
    ("SERVER_ADDR", "198.51.100.10"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "app.example.org"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "app.example.org"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en-GB,en;q=0.7,de;q=0.3"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"),
    ("HTTP_COOKIE", "session=3f6c1e0b2a9d4c5e8f7a6b5c4d3e2f10; theme=dark"),
];

fn main() {
    divan::main();
}

/// The request as bytes: BEGIN_REQUEST, PARAMS, an empty STDIN.
fn request() -> Vec<u8> {
    let params: Vec<_> = PARAMS.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let (mut client, mut bytes) = (Client::default(), Vec::new());
    let request = Request { id: ID, role: Role::Responder, keep_conn: true, params: &params };
    client.begin(&mut bytes, &request).expect("the first request of a connection");
    bytes.extend(cgigate::fcgi::header(cgigate::fcgi::RecordType::Stdin, ID.0.get(), 0));
    bytes
}

/// The content of its PARAMS stream.
fn params() -> Vec<u8> {
    let mut stream = Vec::new();
    for (name, value) in PARAMS {
        cgigate::fcgi::pair(&mut stream, name.as_bytes(), value.as_bytes());
    }
    stream
}

fn filled(vars: &mut Vars, stream: &[u8]) {
    vars.clear();
    vars.append(stream);
    vars.index_few(10_000, usual_pair, pair_at).expect("the pairs are whole");
}

mod record {
    use super::*;

    /// The same request, asked for in one piece: what the gateway does first.
    #[divan::bench]
    fn request_in_one_piece(bencher: Bencher<'_, '_>) {
        let (bytes, mut connection) = (request(), Connection::new(LIMITS));
        bencher.bench_local(|| {
            let whole = connection.whole(black_box(&bytes)).expect("it lies in one piece");
            connection.finish(ID);
            black_box(whole.1.params.len())
        });
    }

    /// A whole request through the protocol's machine, event by event.
    #[divan::bench]
    fn request_to_events(bencher: Bencher<'_, '_>) {
        let (bytes, mut connection) = (request(), Connection::new(LIMITS));
        bencher.bench_local(|| {
            let mut rest = &black_box(&bytes)[..];
            while let Ok((used, Some(event))) = connection.next(rest) {
                rest = &rest[used..];
                if matches!(black_box(event), Event::StdinEnd { .. }) {
                    connection.finish(ID);
                }
            }
        });
    }

    /// The records of an answer.
    #[divan::bench(args = [12, 8 << 10])]
    fn answer_to_bytes(bencher: Bencher<'_, '_>, len: usize) {
        let (data, mut out) = (vec![b'x'; len], Vec::with_capacity(64 << 10));
        bencher.bench_local(|| {
            out.clear();
            cgigate::fcgi::stream(&mut out, cgigate::fcgi::RecordType::Stdout, ID, &data);
            end_request(&mut out, ID, 0, cgigate::fcgi::ProtocolStatus::RequestComplete);
            black_box(&out);
        });
    }
}

#[divan::bench(name = "pairs")]
fn pairs_of_a_stream(bencher: Bencher<'_, '_>) {
    let stream = params();
    bencher.bench_local(|| {
        pairs(black_box(&stream)).flatten().map(|(n, v)| n.len() + v.len()).sum::<usize>()
    });
}

mod vars {
    use super::*;

    /// From the PARAMS stream to variables.
    #[divan::bench]
    fn fill(bencher: Bencher<'_, '_>) {
        let (stream, mut vars) = (params(), Vars::default());
        bencher.bench_local(|| filled(&mut vars, black_box(&stream)));
    }

    /// What an application asks for: early, late, not there.
    #[divan::bench(args = ["REQUEST_METHOD", "HTTP_COOKIE", "HTTP_RANGE"])]
    fn get(bencher: Bencher<'_, '_>, name: &str) {
        let mut vars = Vars::default();
        filled(&mut vars, &params());
        bencher.bench_local(|| black_box(&vars).get(black_box(name)).map(<[u8]>::len));
    }
}

mod headers {
    use super::*;

    /// The fields of an answer, added one by one to a list that is kept.
    #[divan::bench]
    fn add(bencher: Bencher<'_, '_>) {
        let mut headers = Headers::default();
        bencher.bench_local(|| {
            headers.clear();
            for (name, value) in
                [("Content-Type", "text/plain"), ("Content-Length", "12"), ("ETag", "\"a\"")]
            {
                headers.add(black_box(name), black_box(value)).expect("they can be a header's");
            }
        });
    }
}

/// From variables to the bytes of the answer: the application runs.
#[divan::bench(name = "run")]
fn run_hello(bencher: Bencher<'_, '_>) {
    let (stream, handler) = (params(), Plain(Attributes::CGI));
    let (mut slate, mut out, mut err) = (Slate::default(), Vec::with_capacity(4096), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        slate.wipe(None);
        filled(&mut slate.vars, &stream);
        let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
        run(&handler, &cgigate::apps::hello, &mut slate, streams).expect("hello does not fail")
    });
}
