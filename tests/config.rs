//! `config SERVER`: what is printed says what it was given, and what cannot be is said.
//! `scripts/test-servers` starts the real servers from it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

/// Exit status, and what was said.
fn config(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    let done = command.env_clear().arg("config").args(args).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8(said).unwrap())
}

const WAYS: [(&str, &[&str]); 8] = [
    ("nginx", &["fastcgi", "fastcgi-close", "scgi", "uwsgi"]),
    (
        "apache",
        &[
            "proxy_fcgi",
            "proxy_scgi",
            "proxy_uwsgi",
            "cgi",
            "fcgid",
            "authorizer",
            "access-checker",
        ],
    ),
    ("lighttpd", &["fastcgi", "scgi", "uwsgi", "spawn", "cgi", "authorizer"]),
    ("haproxy", &["fastcgi"]),
    ("caddy", &["fastcgi"]),
    ("busybox", &["cgi"]),
    ("iis", &["fastcgi", "cgi"]),
    ("systemd", &["socket", "service"]),
];

#[test]
fn every_way_prints_a_text_without_a_mark_left_in_it() {
    for (server, ways) in WAYS {
        assert_eq!(config(&[server]).0, Some(0), "{server}");
        for way in ways {
            let (code, text) = config(&[server, way]);
            assert_eq!(code, Some(0), "{server} {way}: {text}");
            let marks = text.split('@').skip(1).step_by(2);
            let is_mark =
                |word: &str| word.len() > 1 && word.chars().all(|c| c.is_uppercase() || c == '_');
            assert_eq!(marks.filter(|word| is_mark(word)).count(), 0, "{server} {way}: {text}");
        }
    }
}

#[test]
fn socket_mount_and_application_are_in_it() {
    let options = ["--listen", "unix:/run/a.sock", "--mount", "/my.app", "--app", "hello"];
    let rows: [(&[&str], &[&str]); 6] = [
        (&["nginx"], &["server unix:/run/a.sock;", "~ ^/my\\.app(/|$)", "CGIGATE_APP hello;"]),
        (&["nginx", "scgi"], &["scgi_pass unix:/run/a.sock;", "scgi_param CGIGATE_MOUNT /my.app;"]),
        (&["apache"], &["\"unix:/run/a.sock|fcgi://cgigate/\"", "<Location \"/my.app\">"]),
        (&["lighttpd"], &["\"socket\" => \"/run/a.sock\"", "\"CGIGATE_APP\" => \"hello\""]),
        (&["haproxy"], &["unix@/run/a.sock proto fcgi", "set-param CGIGATE_MOUNT /my.app"]),
        (&["systemd"], &["ListenStream=/run/a.sock\n", "fastcgi --mount /my.app --app hello\n"]),
    ];
    for (server, wanted) in rows {
        let (code, text) = config(&[server, &options].concat());
        assert_eq!(code, Some(0), "{text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "{server:?}: no {wanted} in\n{text}");
        }
    }
}

#[test]
fn several_machines_are_behind_one_server() {
    let nodes = ["--node", "10.0.0.1:9000", "--node", "[2001:db8::2]:9000", "--node", "three:1"];
    let rows: [(&str, &[&str]); 2] = [
        (
            "haproxy",
            &[
                "    server node1 10.0.0.1:9000\n    server node2 [2001:db8::2]:9000\n",
                "    server node3 three:1\n",
                "option httpchk GET /ping",
                "fastcgi --listen 10.0.0.1:9000 --allow BALANCER",
                "disable-l7-retry unless { method GET HEAD OPTIONS TRACE PUT DELETE }",
            ],
        ),
        (
            "nginx",
            &[
                "    server 10.0.0.1:9000 max_fails=1 fail_timeout=5s;\n    server [2001:db8::2]",
                "fastcgi_next_upstream error timeout invalid_header;",
            ],
        ),
    ];
    for (server, wanted) in rows {
        let (code, text) = config(&[&[server], &nodes[..]].concat());
        assert_eq!(code, Some(0), "{text}");
        for wanted in wanted {
            assert!(text.contains(wanted), "{server}: no {wanted} in\n{text}");
        }
        assert!(!text.contains('@'), "{text}");
    }
}

#[test]
fn what_cannot_be_is_wrong_usage_and_names_what_could() {
    for (args, why) in [
        (&["zeus"][..], "no such server; known: nginx, apache, lighttpd, haproxy, caddy, busybox"),
        (&["nginx", "cgi"], "no such way; known: fastcgi, fastcgi-close, scgi, uwsgi"),
        (&["nginx", "--listen", "fd:3"], "no other process can connect to that"),
        (&["nginx", "--listen", "unix:@name"], "nginx does not know abstract sockets"),
        (&["nginx", "--listen", "unix:s"], "name it by its whole path"),
        (&["nginx", "--listen", "127.0.0.1:0"], "name a port that the web server can know"),
        (&["haproxy", "--listen", "unix:@na me"], "--listen \"na me\""),
        (&["nginx", "--port", "0"], "not [ADDRESS:]PORT"),
        (&["nginx", "--port", "[::1]:0"], "not [ADDRESS:]PORT"),
        (&["nginx", "--mount", r"/a\b"], "--mount"),
        (&["nginx", "--mount", "/a;b"], "--mount \"/a;b\""),
        (&["nginx", "--app", "a\nb"], "--app"),
        (&["busybox", "--mount", "/x"], "/cgi-bin/NAME"),
        (&["caddy", "--node", "a:1"], "use `nginx` or `haproxy`, which ask by fastcgi"),
        (&["nginx", "scgi", "--node", "a:1"], "use `nginx` or `haproxy`, which ask by fastcgi"),
        (&["nginx", "--node", "a"], "use HOST:PORT"),
        (&["apache", "authorizer", "--listen", "unix:/s"], "host and port only"),
    ] {
        let (code, text) = config(args);
        assert_eq!((code, text.contains(why)), (Some(2), true), "{args:?}: {text}");
    }
}
