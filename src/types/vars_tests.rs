//! Variables as they come, are changed and are found.

use super::*;

fn wire(pairs: &[(&str, &str)]) -> Vars {
    let mut vars = Vars::default();
    for (name, value) in pairs {
        let start = vars.appended().len();
        vars.append(name.as_bytes());
        let middle = vars.appended().len();
        vars.append(value.as_bytes());
        vars.index(start..middle, middle..vars.appended().len());
    }
    vars.settle();
    vars
}

#[test]
fn header_fields_that_came_twice_are_joined_and_other_names_replaced() {
    let vars = wire(&[
        ("HTTP_COOKIE", "a=1"),
        ("HTTP_X_DUP", "one"),
        ("SCRIPT_NAME", "/old"),
        ("HTTP_COOKIE", "b=2"),
        ("HTTP_X_DUP", "two"),
        ("SCRIPT_NAME", "/new"),
        ("HTTP_COOKIE", "c=3"),
    ]);
    assert_eq!(vars.get("HTTP_COOKIE"), Some(&b"a=1; b=2; c=3"[..]));
    assert_eq!(vars.get("HTTP_X_DUP"), Some(&b"one, two"[..]));
    assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/new"[..]));
    assert_eq!(vars.len(), 3);
}

#[test]
fn the_proxy_header_never_arrives() {
    let vars = wire(&[("HTTP_PROXY", "http://evil"), ("A", "1"), ("HTTP_PROXY", "x")]);
    assert_eq!((vars.len(), vars.get("HTTP_PROXY")), (1, None));
}

#[test]
fn two_lengths_are_one_if_equal_and_no_number_if_not() {
    let same = wire(&[("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "5")]);
    assert_eq!(same.get("CONTENT_LENGTH"), Some(&b"5"[..]));
    let different = wire(&[("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "7")]);
    assert_eq!(different.get("CONTENT_LENGTH"), Some(&b"5, 7"[..]));
}

/// Each of them used to copy all that was joined before it: 25 GB for a megabyte of PARAMS.
#[test]
fn a_name_that_came_a_hundred_thousand_times_costs_its_own_length() {
    let vars = wire(&vec![("HTTP_A", "b"); 100_000]);
    assert_eq!((vars.len(), vars.get("HTTP_A").map(<[u8]>::len)), (1, Some(299_998)));
    assert!(vars.appended().len() < 1_100_000);
    let names: Vec<_> = (0..100_000).map(|n| format!("NAME_{n}")).collect();
    let many: Vec<_> = names.iter().chain(&names).map(|name| (&name[..], "x")).collect();
    assert_eq!(wire(&many).len(), 100_000);
    assert!(wire(&vec![("HTTP_PROXY", "x"); 100_000]).is_empty());
}

#[test]
fn an_empty_value_is_joined_like_any_other() {
    let vars = wire(&[("HTTP_X", ""), ("A", "1"), ("HTTP_X", "x"), ("HTTP_X", "")]);
    assert_eq!(vars.get("HTTP_X"), Some(&b", x, "[..]));
}

#[test]
fn names_of_one_bucket_are_told_apart() {
    let names = ["HTTP_AB_x_TAIL_AB", "HTTP_AB_y_TAIL_AB", "HTTP_AB_z_TAIL_AB"];
    let bucket = |name: &str| Key::of(name.as_bytes()).bucket();
    assert_eq!(bucket(names[0]), bucket(names[1]));
    let mut vars: Vars = names.iter().map(|name| (name, name)).collect();
    assert!(names.iter().all(|name| vars.get(name) == Some(name.as_bytes())));
    assert!(vars.remove(names[1]));
    let there: Vec<_> = names.iter().map(|name| vars.contains(name)).collect();
    assert_eq!(there, [true, false, true]);
}

/// RFC 3875, what web servers add to it, and what browsers and proxies send.
#[test]
fn the_names_that_nearly_all_requests_have_need_no_second_look() {
    const NAMES: &str = "AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE CONTEXT_DOCUMENT_ROOT \
        CONTEXT_PREFIX DOCUMENT_ROOT DOCUMENT_URI GATEWAY_INTERFACE HTTPS HTTP_ACCEPT \
        HTTP_ACCEPT_ENCODING HTTP_ACCEPT_LANGUAGE HTTP_AUTHORIZATION HTTP_CACHE_CONTROL \
        HTTP_CONNECTION HTTP_CONTENT_LENGTH HTTP_CONTENT_TYPE HTTP_COOKIE HTTP_DNT HTTP_HOST \
        HTTP_IF_MODIFIED_SINCE HTTP_IF_NONE_MATCH HTTP_ORIGIN HTTP_PRAGMA HTTP_PRIORITY \
        HTTP_PROXY HTTP_RANGE HTTP_REFERER HTTP_SEC_CH_UA HTTP_SEC_CH_UA_MOBILE \
        HTTP_SEC_CH_UA_PLATFORM HTTP_SEC_FETCH_DEST HTTP_SEC_FETCH_MODE HTTP_SEC_FETCH_SITE \
        HTTP_SEC_FETCH_USER HTTP_TE HTTP_UPGRADE_INSECURE_REQUESTS HTTP_USER_AGENT \
        HTTP_X_FORWARDED_FOR HTTP_X_FORWARDED_HOST HTTP_X_FORWARDED_PROTO HTTP_X_REAL_IP \
        HTTP_X_REQUESTED_WITH HTTP_X_REQUEST_ID PATH_INFO PATH_TRANSLATED QUERY_STRING \
        REDIRECT_STATUS REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_PORT REMOTE_USER \
        REQUEST_METHOD REQUEST_SCHEME REQUEST_URI SCRIPT_FILENAME SCRIPT_NAME SERVER_ADDR \
        SERVER_ADMIN SERVER_NAME SERVER_PORT SERVER_PROTOCOL SERVER_SIGNATURE SERVER_SOFTWARE \
        UNIQUE_ID";
    let vars: Vars = NAMES.split_whitespace().map(|name| (name, "")).collect();
    assert!(vars.len() == 66 && vars.entries.iter().all(|entry| entry.before == 0));
}

/// The usual pairs are noted by a way of their own; what they come to may not tell.
#[test]
fn it_is_all_the_same_which_pairs_are_usual() {
    fn pair(stream: &[u8]) -> Option<Split<'_>> {
        let (&[name, value], rest) = stream.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked(name.into())?;
        let (value, rest) = rest.split_at_checked(value.into())?;
        Some((name, value, rest))
    }
    let pair_at = |stream: &[u8], at: usize| {
        let (name, value, _) = pair(&stream[at..])?;
        let value_at = at + 2 + name.len();
        Some(Ok::<_, ()>((at + 2..value_at, value_at..value_at + value.len())))
    };
    let mut wire = Vec::new();
    for name in "AB HTTPS HTTP_COOKIE C HTTP_COOKIE HTTP_AB_x_TAIL_AB HTTP_AB_y_TAIL_AB HTTP_PROXY \
        QUERY_STRING CGIGATE_APP C SCRIPT_NAME REQUEST_URI QUERY_STRING HTTP_COOKIE ABC"
        .split_whitespace()
        .chain([""])
    {
        let value = wire.len().to_string();
        wire.extend([name.len() as u8, value.len() as u8]);
        wire.extend_from_slice(name.as_bytes());
        wire.extend_from_slice(value.as_bytes());
    }
    let come_to = |room: usize, usual: fn(&[u8]) -> Option<Split<'_>>| {
        let mut vars = Vars::default();
        vars.reserve(room, 0);
        vars.append(&wire);
        vars.index_few(17, usual, pair_at).unwrap();
        assert!(vars.may_begin_with("CGIGATE_") && !vars.contains("HTTP_PROXY"));
        assert!(vars.names().all(|name| vars.contains(name)));
        format!("{vars:?}")
    };
    let all_by_the_other = come_to(100, |_| None);
    assert!(all_by_the_other.contains(r#""HTTP_COOKIE": "#), "{all_by_the_other}");
    for room in [0, 5, 100] {
        assert_eq!(come_to(room, pair), all_by_the_other, "{room}");
        let some = come_to(room, |stream| pair(stream).filter(|(name, ..)| name.len() % 3 > 0));
        assert_eq!(some, all_by_the_other, "{room}");
    }
    let mut vars = Vars::default();
    vars.append(&wire);
    assert_eq!(vars.index_few(16, pair, pair_at), Err(Unindexed::TooMany));
}

#[test]
fn a_few_more_or_less_are_found_all_the_same() {
    let names: Vec<_> = (0..500).map(|n| format!("N{n}")).collect();
    let mut vars = Vars::default();
    for round in [500, 3, 70, 0, 500] {
        for name in &names[..round] {
            vars.set(name, name);
        }
        assert!(names.iter().take(round).all(|name| vars.get(name) == Some(name.as_bytes())));
        assert_eq!(vars.len(), round);
        vars.clear();
        assert!(!vars.contains("N0"));
    }
}

#[test]
fn short_and_empty_names_are_names() {
    let vars = wire(&[("AB", "1"), ("CB", "2"), ("", "3"), ("AB", "4")]);
    assert_eq!(vars.iter().collect::<Vec<_>>().len(), 3);
    assert_eq!(vars.get("AB"), Some(&b"4"[..]));
    assert_eq!(vars.get(""), Some(&b"3"[..]));
}

#[test]
fn parts_are_shared_and_a_shift_copies_only_what_lies_apart() {
    let mut vars = wire(&[("REQUEST_URI", "/app/x?y"), ("SCRIPT_NAME", "/old")]);
    let uri = vars.lies("REQUEST_URI").unwrap();
    vars.set_lying("SCRIPT_NAME", uri.start..uri.start + 4);
    vars.set_lying("PATH_INFO", uri.start + 4..uri.start + 6);
    let before = vars.appended().len();
    vars.shift("PATH_INFO", 2, "SCRIPT_NAME");
    assert_eq!(vars.get("SCRIPT_NAME"), Some(&b"/app/x"[..]));
    assert_eq!((vars.get("PATH_INFO"), vars.appended().len()), (Some(&b""[..]), before));
    vars.set("PATH_INFO", "/apart");
    vars.shift("PATH_INFO", 3, "SCRIPT_NAME");
    vars.shift("PATH_INFO", 1, "OTHER");
    let get = |name| vars.native(name).unwrap_or_default().into_owned();
    assert_eq!([get("SCRIPT_NAME"), get("PATH_INFO"), get("OTHER")], ["/app/x/ap", "rt", "a"]);
    assert_eq!(get("REQUEST_URI"), "/app/x?y");
}

#[test]
fn set_keeps_the_place_and_remove_takes_it_away() {
    let mut vars: Vars = [("A", "1"), ("B", "2")].into_iter().collect();
    vars.set("A", "3");
    vars.set_default("B", "9");
    assert_eq!(format!("{vars:?}"), r#"{"A": "3", "B": "2"}"#);
    assert!(vars.remove("A") && !vars.remove("A"));
    assert_eq!((vars.filled("A"), vars.is_empty()), (None, false));
}
