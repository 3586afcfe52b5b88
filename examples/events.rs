//! Server-sent events: a page that counts, without being loaded again.
//!
//!     cargo run --example events -- http
//!
//! and open <http://127.0.0.1:8000/>. Each block is on the wire before the next is made, so that
//! there is nothing to flush here. nginx would gather them all the same: `X-Accel-Buffering: no`
//! says that it should not. Every page that is open occupies a thread: `--threads 200`.

use cgigate::{Body, Environ, Exception, Gateway, Response, StartResponse};
use std::{thread, time::Duration};

const PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Events</title>
<p>Seconds since you came: <output id=\"count\">0</output></p>
<script>
  new EventSource('?events').onmessage = event => count.value = event.data;
</script>
</html>
";

fn events<'r>(environ: Environ<'r>, start_response: &mut dyn StartResponse) -> Response<'r> {
    if environ.get("QUERY_STRING") != Some(b"events") {
        start_response.call("200 OK", &[("Content-Type", "text/html; charset=utf-8")])?;
        return Ok(PAGE.into());
    }
    start_response.call(
        "200 OK",
        &[
            ("Content-Type", "text/event-stream"),
            ("Cache-Control", "no-cache"),
            ("X-Accel-Buffering", "no"),
        ],
    )?;
    // A browser that has lost the connection says how far it came.
    let last = environ.vars.native("HTTP_LAST_EVENT_ID").and_then(|id| id.parse::<u64>().ok());
    let first = last.map_or(0, |last| last.saturating_add(1));
    // It never ends: when the page is closed, the next write fails, and the body is dropped.
    Ok(Body::from_iter((first..).map(move |count| {
        if count > first {
            thread::sleep(Duration::from_secs(1));
        }
        Ok::<_, Exception>(format!("id: {count}\ndata: {count}\n\n").into_bytes())
    })))
}

fn main() -> std::process::ExitCode {
    Gateway::new().responder("events", events).main()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_asks_for_the_events() {
        let page = cgigate::testing::get("/").validated().ask(&super::events);
        assert_eq!((page.status, &*page.log), (200, ""));
        assert!(page.text().contains("new EventSource('?events')"));
    }
}
