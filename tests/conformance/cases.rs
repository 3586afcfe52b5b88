//! The table: what is sent, and all that may come back for it by the specification.

use crate::wire::{
    ABORT, AUTHORIZER, BEGIN, DATA, FILTER, GET_VALUES, KEEP, PARAMS, RESPONDER, STDIN, begin, get,
    get_with, head, padded, pair, pairs, post, post_as, record, stream, vars,
};

/// What has to come, in any order, each once.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// 200 and this body.
    Body(u16, Vec<u8>),
    /// 200 and a body of so many `x`.
    Length(u16, usize),
    /// 200 and a body with this line.
    Line(u16, Vec<u8>),
    /// This status.
    Status(u16, &'static str),
    /// This status, a Content-Length or none, and no body.
    Bodiless(u16, &'static str),
    /// END_REQUEST with this protocolStatus, and nothing before it.
    End(u16, u8),
    /// A body that begins so, and appStatus 1.
    Broken(u16, &'static [u8]),
    /// A body that begins so, and no END_REQUEST at all.
    Cut(u16, &'static [u8]),
    /// STDERR with this, and 200.
    Log(u16, &'static [u8]),
    /// GET_VALUES_RESULT with these pairs.
    Values(Vec<u8>),
    /// UNKNOWN_TYPE
    Unknown(u8),
}

/// How the connection goes on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Another request is served on it.
    Open,
    /// It ends.
    Ends,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) wire: Vec<u8>,
    pub(crate) wants: Vec<Want>,
    pub(crate) after: After,
    pub(crate) half_close: bool,
}

const HELLO: &[u8] = b"Hello World\n";

fn hello(id: u16) -> Want {
    Want::Body(id, HELLO.into())
}

#[derive(Default)]
struct Table(Vec<Case>);

impl Table {
    fn add(&mut self, name: &str, wire: Vec<u8>, wants: Vec<Want>, after: After) -> &mut Case {
        let (name, half_close) = (name.into(), false);
        self.0.push(Case { name, wire, wants, after, half_close });
        self.0.last_mut().unwrap()
    }

    fn open(&mut self, name: &str, wire: Vec<u8>, wants: Vec<Want>) -> &mut Case {
        self.add(name, wire, wants, After::Open)
    }

    /// What nobody may answer but by the end of the connection.
    fn ends(&mut self, name: &str, wire: Vec<u8>) -> &mut Case {
        self.add(name, wire, vec![], After::Ends)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let mut table = Table::default();
    management(&mut table);
    records(&mut table);
    parameters(&mut table);
    order(&mut table);
    roles(&mut table);
    aborts(&mut table);
    bodies(&mut table);
    answers(&mut table);
    interleaved(&mut table);
    ends(&mut table);
    table.0
}

fn management(table: &mut Table) {
    // Little, for HAProxy's sake; it must be right, and more must be served all the same.
    let max_reqs = "32";
    let names = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"];
    let ask = |names: &[&str]| -> Vec<u8> {
        pairs(&names.iter().map(|name| (*name, "")).collect::<Vec<_>>())
    };
    let values = |content: &[u8]| record(GET_VALUES, 0, content);
    let all = pairs(&[(names[0], "10000"), (names[1], max_reqs), (names[2], "1")]);
    table.open("all values", values(&ask(&names)), vec![Want::Values(all.clone())]);
    let one = pairs(&[("FCGI_MPXS_CONNS", "1")]);
    table.open("one value", values(&ask(&names[2..])), vec![Want::Values(one.clone())]);
    let twice = ["FCGI_MPXS_CONNS", "OTHER", "FCGI_MPXS_CONNS"];
    table.open("a name asked twice and one unknown", values(&ask(&twice)), vec![Want::Values(one)]);
    table.open("an unknown name", values(&ask(&["OTHER"])), vec![Want::Values(vec![])]);
    table.open("no names", values(b""), vec![Want::Values(vec![])]);
    let given = pairs(&[("FCGI_MPXS_CONNS", "7"), (names[0], "x"), (names[1], "y")]);
    table.open("values that are given", values(&given), vec![Want::Values(all.clone())]);
    let wire = padded(GET_VALUES, 0, &ask(&names), 255);
    table.open("padded GET_VALUES", wire, vec![Want::Values(all.clone())]);
    let long = [&[0x80, 0, 0, 13, 0x80, 0, 0, 0][..], b"FCGI_MAX_REQS"].concat();
    let result = pairs(&[(names[1], max_reqs)]);
    table.open("four-byte lengths in GET_VALUES", values(&long), vec![Want::Values(result)]);
    let two = [values(&ask(&names)), values(b"")].concat();
    table.open("two GET_VALUES", two, vec![Want::Values(all.clone()), Want::Values(vec![])]);
    table.ends("GET_VALUES cut within a pair", values(b"\x0eFCGI"));
    for (kind, len, padding) in [(0, 0, 0), (12, 0, 0), (99, 8, 3), (255, 65_535, 255)] {
        let wire = padded(kind, 0, &vec![1; len], padding);
        let name = format!("unknown management type {kind} of {len} bytes");
        table.open(&name, wire, vec![Want::Unknown(kind)]);
    }
    for kind in [10, 11] {
        let wire = record(kind, 0, &[0; 8]);
        table.open(&format!("an answer of our own kind {kind}"), wire, vec![]);
    }
    let wire = record(GET_VALUES, 3, &ask(&names));
    table.open("GET_VALUES under a request's id", wire, vec![]);
    for at in [16, 30, 60] {
        let whole = post(1, "/count", b"12345");
        // Between whole records only: BEGIN is 16 bytes long, the others are found by walking.
        let cut = boundary(&whole, at);
        let wire = [&whole[..cut], &values(&ask(&names)), &whole[cut..]].concat();
        let wants = vec![Want::Values(all.clone()), Want::Body(1, b"5\n".into())];
        table.open(&format!("GET_VALUES in a request at {cut}"), wire, wants);
    }
}

/// The first end of a record that is not before `at`.
fn boundary(wire: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at {
        let len = usize::from(u16::from_be_bytes([wire[end + 4], wire[end + 5]]));
        end += 8 + len + usize::from(wire[end + 6]);
    }
    end
}

fn records(table: &mut Table) {
    table.open("a request", get(1, "/hello"), vec![hello(1)]);
    for id in [2, 255, 256, 0x1234, 65_535] {
        table.open(&format!("request id {id}"), get(id, "/hello"), vec![hello(id)]);
    }
    for (flags, after) in [(0, After::Ends), (0xfe, After::Ends), (0xff, After::Open)] {
        let mut wire = get(1, "/hello");
        wire[10] = flags;
        table.add(&format!("flags {flags:#x}"), wire, vec![hello(1)], after);
    }
    for padding in [1, 7, 8, 255] {
        let wire = repadded(&post(1, "/echo", b"padded"), padding);
        let name = format!("padding {padding}");
        table.open(&name, wire, vec![Want::Body(1, b"padded".into())]);
    }
    let mut wire = get(1, "/hello");
    wire[7] = 0xff;
    wire[11..16].fill(0xff);
    table.open("reserved bytes that are not zero", wire, vec![hello(1)]);
    for version in [0, 2, 255] {
        let mut wire = get(1, "/hello");
        wire[0] = version;
        table.ends(&format!("version {version}"), wire);
    }
    let mut wire = get(1, "/hello");
    let params = boundary(&wire, 17);
    wire[params] = 9;
    table.ends("another version in the middle", wire);
    table.ends("HTTP", b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n".to_vec());
    table.ends("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello, is this TLS?".to_vec());
    for len in [0, 7, 9] {
        let wire = record(BEGIN, 1, &[0, 1, 1, 0, 0, 0, 0, 0, 0][..len]);
        table.ends(&format!("BEGIN_REQUEST of {len} bytes"), wire);
    }
    for kind in 1..=8 {
        let wire = record(kind, 0, &[0, 1, 1, 0, 0, 0, 0, 0]);
        table.ends(&format!("type {kind} without a request's id"), wire);
    }
    for kind in [3, 6, 7, 12, 200] {
        let whole = get(1, "/hello");
        let wire = [&whole[..16], &record(kind, 1, b"nonsense"), &whole[16..]].concat();
        table.open(&format!("type {kind} from a web server"), wire, vec![hello(1)]);
    }
    for kind in [ABORT, PARAMS, STDIN, DATA, 3, 6, 77] {
        let wire =
            [record(kind, 9, b"for nobody"), record(kind, 9, b""), get(1, "/hello")].concat();
        table.open(&format!("type {kind} for an id that is not open"), wire, vec![hello(1)]);
    }
}

/// The same records, each with so much padding.
fn repadded(wire: &[u8], padding: u8) -> Vec<u8> {
    let (mut rest, mut out) = (wire, Vec::new());
    while !rest.is_empty() {
        let end = boundary(rest, 1);
        let id = u16::from_be_bytes([rest[2], rest[3]]);
        out.extend(padded(rest[1], id, &rest[8..end], padding));
        rest = &rest[end..];
    }
    out
}

/// A request whose PARAMS are these bytes in records of `size`.
fn with_params(params: &[u8], size: usize) -> Vec<u8> {
    let wire = [begin(1, RESPONDER, KEEP), stream(PARAMS, 1, params, size)].concat();
    [wire, record(STDIN, 1, b"")].concat()
}

fn parameters(table: &mut Table) {
    let environ = |more: &[(&str, &str)]| get_with(1, "/environ", more);
    let line = |line: &[u8]| vec![Want::Line(1, line.into())];
    table.open(
        "no variables at all",
        with_params(b"", 1),
        vec![Want::Line(1, b"Hello world!".into())],
    );
    for size in [1, 2, 3, 7] {
        let params = vars("/environ", &[("A", &"b".repeat(130))]);
        let name = format!("PARAMS in records of {size}");
        let wants = line(&[b"A=", &[b'b'; 130][..]].concat());
        table.open(&name, with_params(&params, size), wants);
    }
    for len in [0, 1, 127, 128, 255, 256, 65_535, 200_000] {
        let value = "v".repeat(len);
        let wants = line(format!("LONG={value}").as_bytes());
        table.open(&format!("a value of {len} bytes"), environ(&[("LONG", &value)]), wants);
    }
    let name = "N".repeat(128);
    table.open("a long name", environ(&[(&name, "1")]), line(format!("{name}=1").as_bytes()));
    table.open("an empty name", environ(&[("", "1"), ("B", "2")]), line(b"B=2"));
    table.open("an empty pair", environ(&[("", ""), ("B", "2")]), line(b"B=2"));
    let long = [&b"\x80\0\0\x01\x80\0\0\x02Ahi"[..], &vars("/environ", &[])].concat();
    table.open("four-byte lengths of short strings", with_params(&long, 65_535), line(b"A=hi"));
    let bytes = [pair(b"RAW", b"\xff\xfe\xe9"), vars("/environ", &[])].concat();
    table.open("bytes of no encoding", with_params(&bytes, 65_535), line(b"RAW=\xff\xfe\xe9"));
    let twice = [("HTTP_X", "1"), ("A", "old"), ("HTTP_COOKIE", "a"), ("HTTP_X", "2")];
    let joined = environ(&[&twice[..], &[("HTTP_COOKIE", "b"), ("A", "new")]].concat());
    table.open("header fields that came twice", joined.clone(), line(b"HTTP_X=1, 2"));
    table.open("cookies that came twice", joined.clone(), line(b"HTTP_COOKIE=a; b"));
    table.open("a variable that came twice", joined, line(b"A=new"));
    let malformed: [(&str, &[u8]); 6] = [
        ("within a length", b"\x04\x80\0"),
        ("behind its lengths", b"\x04\x01"),
        ("within its name", b"\x09\x01PATH_"),
        ("within its value", b"\x01\x05Aval"),
        ("2 GiB of name", b"\xff\xff\xff\xff\x01A1"),
        ("4 GiB of both", b"\xff\xff\xff\xff\xff\xff\xff\xffA1"),
    ];
    for (name, end) in malformed {
        let params = [&vars("/hello", &[])[..], end].concat();
        let wants = vec![Want::Status(1, "400")];
        table.open(&format!("PARAMS that end {name}"), with_params(&params, 65_535), wants);
    }
    let wants = vec![Want::Status(1, "431")];
    table.open("PARAMS over a MiB", environ(&[("A", &"x".repeat(1 << 20))]), wants.clone());
    let many = [&vars("/hello", &[])[..], &b"\x01\x01A1".repeat(10_000)].concat();
    table.open("10,005 variables", with_params(&many, 65_535), wants);
    let fewer = [&vars("/hello", &[])[..], &b"\x06\x01HTTP_A1".repeat(9_000)].concat();
    table.open("one field 9,000 times", with_params(&fewer, 65_535), vec![hello(1)]);
}

fn order(table: &mut Table) {
    let whole = head(1, "/count", &[]);
    let twice = [&whole[..], &record(PARAMS, 1, b"\x01\x01A1")].concat();
    table.add("PARAMS behind their end", twice, vec![], After::Ends).wants =
        vec![Want::Status(1, "400")];
    table.ends("a request that begins twice", [begin(1, 1, KEEP), begin(1, 1, KEEP)].concat());
    let early = [begin(1, 1, KEEP), record(STDIN, 1, b"early")].concat();
    table.ends("STDIN before the end of PARAMS", early);
    let early = [begin(1, 1, KEEP), record(DATA, 1, b"early")].concat();
    table.ends("DATA before the end of PARAMS", early);
    let get = get(1, "/hello");
    let early = [&get[..16], &record(STDIN, 1, b""), &get[16..]].concat();
    table.open("an empty STDIN before PARAMS", early, vec![hello(1)]);
    let late =
        [post(1, "/count", b"12"), record(STDIN, 1, b"late"), record(STDIN, 1, b"")].concat();
    table.open("STDIN behind its end", late, vec![Want::Body(1, b"2\n".into())]);
}

fn roles(table: &mut Table) {
    let as_role = |id, role: u16, vars: &[u8], flags| {
        [begin(id, role, flags), stream(PARAMS, id, vars, 65_535)].concat()
    };
    for role in [0, 4, 99, 65_535] {
        let wire =
            [as_role(1, role, &vars("/hello", &[]), KEEP), stream(STDIN, 1, b"x", 9)].concat();
        table.open(&format!("role {role}"), wire, vec![Want::End(1, 3)]);
    }
    let wire = as_role(1, 7, &vars("/hello", &[]), 0);
    table.add("an unknown role on a connection not kept", wire, vec![Want::End(1, 3)], After::Ends);
    for (query, status) in [("user=tester", "200"), ("user=x", "403")] {
        let wire = as_role(1, AUTHORIZER, &vars(&format!("/any?{query}"), &[]), KEEP);
        let wants = vec![Want::Status(1, status)];
        table.open(&format!("an authorizer asked for {query}"), wire.clone(), wants.clone());
        let more = [wire, stream(STDIN, 1, b"from some servers", 4)].concat();
        table.open(&format!("the same with STDIN: {query}"), more, wants);
    }
    let filter = |lengths: &[(&str, &str)], stdin: &[u8], data: &[u8]| {
        let head = as_role(1, FILTER, &vars("/x", lengths), KEEP);
        [head, stream(STDIN, 1, stdin, 3), stream(DATA, 1, data, 1000)].concat()
    };
    let lengths = |stdin, data| [("CONTENT_LENGTH", stdin), ("FCGI_DATA_LENGTH", data)];
    let file = b"the file".repeat(20_000);
    let upper = Want::Body(1, file.to_ascii_uppercase());
    let length = file.len().to_string();
    let wire = filter(&lengths("5", &length), b"stdin", &file);
    table.open("a filter", wire, vec![upper.clone()]);
    let wire = filter(&[("FCGI_DATA_LAST_MOD", "1")], b"stdin", &file);
    table.open("a filter that is told no lengths", wire, vec![upper]);
    table.open(
        "a filter of nothing",
        filter(&lengths("", "0"), b"", b""),
        vec![Want::Body(1, vec![])],
    );
    let wire = filter(&lengths("5", "4"), b"stdin", b"data and more");
    table.open("DATA longer than its length", wire, vec![Want::Body(1, b"DATA".into())]);
    let wire = filter(&lengths("5", "4"), b"stdin and more", b"data");
    table.open(
        "a filter's STDIN longer than its length",
        wire,
        vec![Want::Body(1, b"DATA".into())],
    );
    let short = vec![Want::Status(1, "400")];
    let wire = filter(&lengths("5", "9"), b"stdin", b"data");
    table.open("DATA shorter than its length", wire, short.clone());
    let wire = filter(&lengths("9", "4"), b"stdin", b"data");
    table.open("a filter's STDIN shorter than its length", wire, short.clone());
    let wire = filter(&lengths("5", "four"), b"stdin", b"data");
    table.open("FCGI_DATA_LENGTH that is no number", wire, short);
    let early = [as_role(1, FILTER, &vars("/x", &[]), KEEP), record(DATA, 1, b"early")].concat();
    table.add("DATA before the end of STDIN", early, vec![Want::Status(1, "400")], After::Ends);
}

fn aborts(table: &mut Table) {
    let abort = |id| record(ABORT, id, b"");
    let ended = || vec![Want::End(1, 0)];
    table.open("an abort before PARAMS", [begin(1, 1, KEEP), abort(1)].concat(), ended());
    let wire = [begin(1, 1, KEEP), record(PARAMS, 1, b"\x09\x06PA"), abort(1)].concat();
    table.open("an abort within PARAMS", wire, ended());
    let wire = [head(1, "/count", &[("CONTENT_LENGTH", "9")]), record(STDIN, 1, b"some"), abort(1)];
    table.open("an abort within the body", wire.concat(), ended());
    let wire = [&wire.concat()[..], &record(STDIN, 1, b"more"), &record(STDIN, 1, b"")].concat();
    table.open("a body that goes on behind its abort", wire, ended());
    let twice = [begin(1, 1, KEEP), abort(1), abort(1)].concat();
    table.open("two aborts", twice, ended());
    let wire = [begin(1, 1, KEEP), record(ABORT, 1, b"content"), get(2, "/hello")].concat();
    table.open("an abort with content", wire, vec![Want::End(1, 0), hello(2)]);
    let wire = [begin(1, 1, 0), abort(1)].concat();
    table.add("an abort on a connection not kept", wire, ended(), After::Ends);
    table.open("an abort of nobody", abort(9), vec![]);
}

fn bodies(table: &mut Table) {
    let ok = |body: &[u8]| vec![Want::Body(1, body.into())];
    let status = |status| vec![Want::Status(1, status)];
    for len in [0, 1, 65_535, 65_536, 131_071, 300_000] {
        let body: Vec<u8> = (0..len).map(|n| (n * 31 % 251) as u8).collect();
        table.open(&format!("echo of {len} bytes"), post(1, "/echo", &body), ok(&body));
    }
    let wire = [head(1, "/count", &[("CONTENT_LENGTH", "500")]), stream(STDIN, 1, &[1; 500], 1)];
    table.open("a body in records of one byte", wire.concat(), ok(b"500\n"));
    let lengths: [(&str, &[u8], Vec<Want>); 12] = [
        ("5", b"12345", ok(b"5\n")),
        ("5", b"1234567", ok(b"5\n")),
        ("5", b"123", status("400")),
        ("5", b"", status("400")),
        ("0", b"ignored", ok(b"0\n")),
        ("", b"12345", ok(b"5\n")),
        ("-1", b"12345", ok(b"5\n")),
        ("0005", b"12345", ok(b"5\n")),
        ("five", b"12345", status("400")),
        ("+5", b"12345", status("400")),
        ("5, 5", b"12345", status("400")),
        ("100000000000000000000000000000", b"12345", status("413")),
    ];
    for (length, body, wants) in lengths {
        let name = format!("CONTENT_LENGTH {length:?} of {} bytes", body.len());
        table.open(&name, post_as(1, "/count", length, body), wants);
    }
    let absent = [head(1, "/count", &[]), stream(STDIN, 1, b"until its end", 4)].concat();
    table.open("a body of no length", absent, ok(b"13\n"));
    let lengths = [("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "7")];
    let two = [head(1, "/count", &lengths), stream(STDIN, 1, b"1234567", 9)].concat();
    table.open("two lengths that differ", two, status("400"));
    table.open("a body that nobody reads", post(1, "/noread", &[b'x'; 200_000]), ok(b"ignored\n"));
    let mut wire = post(1, "/noread", &[b'x'; 200_000]);
    wire[10] = 0;
    table.add("the same on a connection not kept", wire, ok(b"ignored\n"), After::Ends);
}

fn answers(table: &mut Table) {
    table.open("an unknown path", get(1, "/nobody"), vec![Want::Status(1, "404")]);
    for code in ["204", "304"] {
        let wants = vec![Want::Bodiless(1, code)];
        table.open(&format!("status {code}"), get(1, &format!("/status?code={code}")), wants);
    }
    let wire = get_with(1, "/hello", &[("REQUEST_METHOD", "HEAD")]);
    table.open("HEAD", wire, vec![Want::Bodiless(1, "200")]);
    for n in [0, 1, 65_528, 65_529, 1 << 20] {
        table.open(
            &format!("{n} bytes"),
            get(1, &format!("/bytes?n={n}")),
            vec![Want::Length(1, n)],
        );
    }
    table.open("a stream", get(1, "/stream?chunks=9&size=9"), vec![Want::Length(1, 81)]);
    let log = vec![Want::Log(1, b"a line for the log\n")];
    table.open("a line for the log", get(1, "/stderr"), log);
    for how in ["error", "panic"] {
        let target = format!("/fault?when=before&how={how}");
        table.open(&format!("{how} before"), get(1, &target), vec![Want::Status(1, "500")]);
        let target = format!("/fault?when=after&how={how}");
        let cut = vec![Want::Cut(1, b"partial\n")];
        table.add(&format!("{how} after"), get(1, &target), cut, After::Ends);
        let wants = vec![Want::Broken(1, b"partial\n")];
        let known = get(1, &format!("{target}&length=100"));
        table.open(&format!("{how} after a length"), known, wants);
    }
}

fn interleaved(table: &mut Table) {
    let (one, two) = (post(1, "/echo", b"the first"), post(2, "/echo", b"the second"));
    let mut wire = Vec::new();
    let (mut first, mut second) = (&one[..], &two[..]);
    while !first.is_empty() {
        for rest in [&mut first, &mut second] {
            let (now, later) = rest.split_at(boundary(rest, 1));
            wire.extend_from_slice(now);
            *rest = later;
        }
    }
    let wants = vec![Want::Body(1, b"the first".into()), Want::Body(2, b"the second".into())];
    table.open("two requests record by record", wire, wants);
    let ids = [5, 300, 2, 65_535, 9, 1];
    let wire = ids.iter().flat_map(|id| get(*id, "/hello")).collect();
    table.open("six requests at once", wire, ids.map(hello).into());
    let wire = [get(1, "/sleep?ms=50"), get(2, "/hello")].concat();
    let wants = vec![Want::Body(1, b"slept 50\n".into()), hello(2)];
    table.open("one that sleeps and one behind it", wire, wants);
    let wire = [head(1, "/count", &[("CONTENT_LENGTH", "3")]), get(2, "/hello")].concat();
    let wire = [&wire[..], &stream(STDIN, 1, b"123", 1)].concat();
    let wants = vec![Want::Body(1, b"3\n".into()), hello(2)];
    table.open("a request within another's body", wire, wants);
    let wire = [begin(2, RESPONDER, KEEP), get(1, "/hello"), record(ABORT, 2, b"")].concat();
    table.open("a request within another's PARAMS", wire, vec![hello(1), Want::End(2, 0)]);
    let mut last = get(2, "/hello");
    last[10] = 0;
    let wants = vec![Want::Body(1, b"slept 20\n".into()), hello(2)];
    let wire = [get(1, "/sleep?ms=20"), last].concat();
    table.add("one not to be kept beside another", wire, wants, After::Ends);
    let wire = [get(1, "/bytes?n=3000000"), get(2, "/hello")].concat();
    table.open("hello behind three megabytes", wire, vec![Want::Length(1, 3_000_000), hello(2)]);
}

fn ends(table: &mut Table) {
    table.add("a sending side that closes at once", vec![], vec![], After::Ends).half_close = true;
    let half = |table: &mut Table, name: &str, wire: Vec<u8>, wants| {
        table.add(name, wire, wants, After::Ends).half_close = true;
    };
    half(table, "a whole request, then nothing more", get(1, "/hello"), vec![hello(1)]);
    let slow = vec![Want::Body(1, b"slept 30\n".into())];
    half(table, "a slow request, then nothing more", get(1, "/sleep?ms=30"), slow);
    let two = [get(1, "/hello"), get(2, "/hello")].concat();
    half(table, "two requests, then nothing more", two, vec![hello(1), hello(2)]);
    let body = post(1, "/count", &[b'x'; 100]);
    let short = vec![Want::Status(1, "400")];
    half(table, "half a body, then nothing more", body[..body.len() - 50].to_vec(), short);
    half(table, "half of PARAMS, then nothing more", get(1, "/hello")[..40].to_vec(), vec![]);
    half(table, "half a header, then nothing more", vec![1, 1, 0], vec![]);
    half(
        table,
        "values, then nothing more",
        record(GET_VALUES, 0, b""),
        vec![Want::Values(vec![])],
    );
}
