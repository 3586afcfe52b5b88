//! `send_headers`: the preamble, and the last word on the fields.

use super::{HEAD, TEXT, Wire, run_on};
use cgigate::{
    Application, Vars, app,
    handlers::{Attributes, Handler, Plain},
    headers::Headers,
};

#[test]
fn an_origin_server_has_a_status_line_and_a_date_and_ancient_clients_get_the_body_alone() {
    let dated = [("Date", "today"), ("Server", "theirs")];
    let own = app(move |_, start_response| {
        start_response.call("200 OK", &dated)?;
        Ok("x".into())
    });
    let plain = app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok("x".into())
    });
    let software = Some("mine".into());
    let at =
        Attributes { server_software: software, http_version: "1.1".into(), ..Attributes::BASE };
    let origin = |protocol: Option<&str>, app: &dyn Application| {
        let vars = protocol.map(|protocol| ("SERVER_PROTOCOL", protocol)).into_iter().collect();
        run_on(&Plain(at.clone()), Wire::default(), vars, app).text()
    };
    let text = origin(Some("HTTP/1.1"), &plain);
    let (status, rest) = text.split_once("Date: ").unwrap();
    let (date, rest) = rest.split_once("\r\n").unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");
    assert!(httpdate::parse_http_date(date).is_ok(), "{date}");
    assert_eq!(rest, "Server: mine\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx");

    let want = "HTTP/1.1 200 OK\r\nDate: today\r\nServer: theirs\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(origin(None, &own), want); // wsgiref sends nothing at all
    assert_eq!(origin(Some(""), &own), want);
    assert_eq!(origin(Some("http/0.9"), &own), "x");
    // Gateways leave that to the server in front.
    let vars = [("SERVER_PROTOCOL", "HTTP/0.9")].into_iter().collect();
    let done = run_on(&Plain(Attributes::CGI), Wire::default(), vars, &plain);
    assert_eq!(done.text(), format!("{HEAD}Content-Length: 1\r\n\r\nx"));
}

#[test]
fn a_handler_has_the_last_word_on_the_fields_but_breaks_no_rule_either() {
    struct Cleans(Attributes);
    impl Handler for Cleans {
        fn attributes(&self) -> &Attributes {
            &self.0
        }
        fn cleanup_headers(&self, headers: &mut Headers) {
            // What wsgiref's own does, an override that calls `super()` first finds done.
            assert_eq!(headers.get("Content-Length"), Some(&b"1"[..]));
            assert!(headers.set("X", "a\nb").is_err());
            headers.set("X", "cleaned").unwrap();
        }
    }
    let plain = app(|_, start_response| {
        start_response.call("200 OK", &[("X", "y")])?;
        Ok("x".into())
    });
    let done = run_on(&Cleans(Attributes::CGI), Wire::default(), Vars::default(), &plain);
    assert_eq!(done.text(), "Status: 200 OK\r\nContent-Length: 1\r\nX: cleaned\r\n\r\nx");
}

#[test]
fn a_handler_may_take_the_length_away_that_was_made_of_the_only_block() {
    struct Unsized(Attributes);
    impl Handler for Unsized {
        fn attributes(&self) -> &Attributes {
            &self.0
        }
        fn cleanup_headers(&self, headers: &mut Headers) {
            headers.remove("Content-Length");
        }
    }
    let plain = app(|_, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok("x".into())
    });
    let done = run_on(&Unsized(Attributes::CGI), Wire::default(), Vars::default(), &plain);
    assert_eq!(done.text(), format!("{HEAD}\r\nx"));
}
