//! `setup_environ`: what the application finds, and what the handler sets beforehand.

use super::{TEXT, Wire, run_on};
use cgigate::{
    Environ, Vars, app,
    handlers::{Attributes, BaseCgiHandler, Handler, Plain, SimpleHandler, Slate},
};
use std::sync::Arc;

#[test]
fn the_class_bodies_are_those_of_wsgiref() {
    let base = Attributes::BASE;
    assert!(base.wsgi_multithread && base.wsgi_multiprocess && !base.wsgi_run_once);
    assert!(base.origin_server && base.wsgi_file_wrapper);
    assert_eq!(
        (&*base.http_version, base.server_software, base.traceback_limit),
        ("1.0", None, None)
    );
    assert_eq!(base.error_status, "500 Internal Server Error");
    assert_eq!(*base.error_headers, [("Content-Type".into(), "text/plain".into())]);
    let body = "A server error occurred.  Please contact the administrator.";
    assert_eq!(base.error_body, body.as_bytes());

    let cgi = Attributes::CGI;
    assert!(!cgi.wsgi_multithread && cgi.wsgi_multiprocess && cgi.wsgi_run_once);
    assert!(!cgi.origin_server);

    let simple = SimpleHandler::new(&b""[..], vec![], vec![], Vars::default());
    assert!(simple.attributes.wsgi_multithread && !simple.attributes.wsgi_multiprocess);
    assert!(simple.attributes.origin_server && simple.os_environ.is_empty());
    let base_cgi = BaseCgiHandler::new(&b""[..], vec![], vec![], Vars::default());
    assert!(!base_cgi.attributes.origin_server && !base_cgi.attributes.wsgi_multiprocess);
}

/// What an application sees: the variables, sorted, and the scheme.
fn seen(environ: &Environ<'_>) -> String {
    let mut vars: Vec<_> = environ.vars.iter().map(|(n, v)| [n, b"=", v].concat()).collect();
    vars.sort();
    format!("{} {}", String::from_utf8(vars.join(&b' ')).unwrap(), environ.wsgi.url_scheme)
}

#[test]
fn the_environ_is_laid_over_os_environ_and_the_handlers_variables_over_both() {
    struct Adds(Attributes);
    impl Handler for Adds {
        fn attributes(&self) -> &Attributes {
            &self.0
        }
        fn add_cgi_vars(&self, vars: &mut Vars) {
            vars.set("C", "handler");
            vars.set("HTTPS", "on"); // get_scheme sees it
        }
    }
    let show = app(|environ, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok(seen(&environ).into())
    });
    let vars = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Vars>();
    let mut out = Vec::new();
    let environ = vars(&[("B", "request"), ("C", "request"), ("wsgi.url_scheme", "gopher")]);
    let mut handler = BaseCgiHandler::new(&b""[..], &mut out, vec![], environ);
    handler.os_environ = vars(&[("A", "system"), ("B", "system"), ("wsgi.own", "x")]);
    let software = Attributes { server_software: Some("mine/1".into()), ..Attributes::BASE };
    let _ = handler.run_as(&Adds(software), &show).unwrap();
    let out = String::from_utf8(out).unwrap();
    let want = "A=system B=request C=handler HTTPS=on SERVER_SOFTWARE=mine/1 wsgi.own=x https";
    assert!(out.ends_with(&format!("\r\n\r\n{want}")), "{out}");
}

#[test]
fn server_software_is_an_origin_servers_and_only_where_there_is_none() {
    let show = app(|environ, start_response| {
        start_response.call("200 OK", &TEXT)?;
        Ok(environ.vars.native("SERVER_SOFTWARE").unwrap_or("none".into()).into_owned().into())
    });
    for (origin_server, given, want) in
        [(true, None, "mine"), (true, Some("theirs"), "theirs"), (false, None, "none")]
    {
        let software = Some("mine".into());
        let at = Attributes { origin_server, server_software: software, ..Attributes::BASE };
        let vars = given.map(|given| ("SERVER_SOFTWARE", given)).into_iter().collect();
        let done = run_on(&Plain(at), Wire::default(), vars, &show);
        assert!(done.text().ends_with(&format!("\r\n\r\n{want}")), "{}", done.text());
    }
}

/// Python's empty string is no name of a server; here it once was one, and `Server: ` went out.
#[test]
fn an_empty_server_software_is_none() {
    let show = app(|environ, start_response| {
        start_response.call("200 OK", &[("Date", "today")])?;
        Ok(format!("{}", environ.vars.contains("SERVER_SOFTWARE")).into())
    });
    let at = Attributes { server_software: Some("".into()), ..Attributes::BASE };
    let done = run_on(&Plain(at), Wire::default(), Vars::default(), &show);
    assert_eq!(done.text(), "HTTP/1.0 200 OK\r\nDate: today\r\nContent-Length: 5\r\n\r\nfalse");
}

/// Who still has the request of before, or may have it again, shall not cancel the next one.
#[test]
fn a_request_is_used_again_where_nobody_else_has_it() {
    let mut slate = Slate::default();
    let first = Arc::as_ptr(slate.request());
    slate.wipe(None);
    assert_eq!(Arc::as_ptr(slate.request()), first, "nobody has had it");
    slate.request().cancel();
    slate.wipe(None);
    assert!(!slate.request().is_cancelled(), "it is as new");

    let kept = Arc::clone(slate.request());
    slate.wipe(None);
    kept.cancel();
    assert!(!slate.request().is_cancelled());
    let weak = Arc::downgrade(slate.request());
    slate.wipe(None);
    assert!(weak.upgrade().is_none());
    slate.request().extensions().insert(1_u8);
    slate.wipe(None);
    assert_eq!(slate.request().extensions().get::<u8>(), None);
}
