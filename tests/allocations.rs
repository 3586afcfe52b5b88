//! The hot path allocates nothing: from the second request of a kind on, `run` takes no memory.

#[allow(unsafe_code, reason = "an allocator is unsafe")]
#[path = "../src/sys/counted.rs"]
mod counted;

use cgigate::{
    Application, Body,
    handlers::{Attributes, Plain, Slate, Streams, run},
};
use counted::allocations;
use std::io::Write as _;

#[test]
fn from_the_second_request_on_nothing_is_allocated() {
    let block = cgigate::app(|_, start_response| {
        start_response.call("200 OK", &[("Content-Type", "text/plain"), ("X-A", "b")])?;
        Ok("Hello, world!\n".into())
    });
    let written = cgigate::app(|environ, start_response| {
        let path = environ.vars.native("PATH_INFO").unwrap_or_default();
        let mut write = start_response.call("200 OK", &[("Content-Type", "text/plain")])?;
        write!(write, "{path}")?;
        Ok(Body::Empty)
    });
    let apps: [(&str, &dyn Application); 3] =
        [("hello", &cgigate::apps::hello), ("one block", &block), ("write()", &written)];
    let handler = Plain(Attributes::CGI);
    for (name, app) in apps {
        let (mut slate, mut out, mut err) =
            (Slate::default(), Vec::with_capacity(4096), Vec::new());
        let counts = [(); 4].map(|()| {
            out.clear();
            let before = allocations();
            slate.wipe(None);
            for i in 0..20u8 {
                slate.vars.set([b'A' + i; 12], [b'x'; 16]);
            }
            slate.vars.set("PATH_INFO", "/some/path");
            let streams = Streams { stdin: &mut &b""[..], stdout: &mut out, stderr: &mut err };
            let _ = run(&handler, app, &mut slate, streams).unwrap();
            allocations() - before
        });
        assert!(counts[0] > 0, "{name}: the counter counts");
        assert_eq!(counts[1..], [0, 0, 0], "{name}: {counts:?}");
    }
}
