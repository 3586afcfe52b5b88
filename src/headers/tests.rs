//! wsgiref's rules for `Headers`, one by one, and that no sequence of changes breaks them.

use super::*;
use crate::types::HeaderPart;
use proptest::prelude::*;

fn headers(fields: &[(&str, &str)]) -> Headers {
    Headers::new(fields.iter().copied()).unwrap()
}

/// Every door that a name and a value can come in by.
type Door = fn(&mut Headers, &[u8], &[u8]) -> Result<(), Violation>;

const DOORS: [(&str, Door); 5] = [
    ("add", |headers, name, value| headers.add(name, value)),
    ("set", |headers, name, value| headers.set(name, value)),
    ("set_default", |headers, name, value| headers.set_default(name, value).map(drop)),
    ("add_header", |headers, name, value| headers.add_header(name, Some(&to_native(value)), &[])),
    ("new", |_, name, value| Headers::new([(name, value)]).map(drop)),
];

/// The 33 control characters of ASCII.
fn controls() -> impl Iterator<Item = u8> {
    (0..=0x1f).chain([0x7f])
}

#[test]
fn a_list_goes_in_and_comes_out() {
    let list = vec![(b"A".to_vec(), b"1".to_vec()), (b"a".to_vec(), Vec::new())];
    assert_eq!(Headers::from_vec(list.clone()).unwrap().into_vec(), list);
    assert_eq!(Headers::default().into_vec(), []);
    assert!(Headers::from_vec(vec![(b"A".to_vec(), b"\n".to_vec())]).is_err());
}

#[test]
fn no_control_character_gets_in_by_any_door_and_a_refusal_changes_nothing() {
    for (door, enter) in DOORS {
        for byte in controls() {
            let (bad, value) = ([b'X', byte, b'Y'], [b'v', byte, b'w']);
            let mut fields = headers(&[("A", "1")]);
            let refused = enter(&mut fields, &bad, b"v");
            assert_eq!(refused, Err(Violation::HeaderControl(HeaderPart::Name)), "{door} {byte}");
            // A tab is white space inside a value (RFC 9110 section 5.5).
            let want = match byte {
                b'\t' => Ok(()),
                _ => Err(Violation::HeaderControl(HeaderPart::Value)),
            };
            assert_eq!(enter(&mut headers(&[]), b"X", &value), want, "{door} {byte:#x}");
            if want.is_err() {
                // `set_default` finds what is there, and so has nothing to refuse.
                let _ = enter(&mut fields, b"A", &value);
                assert_eq!(fields.to_bytes(), b"A: 1\r\n\r\n", "{door} {byte:#x}");
            }
        }
    }
    let said = headers(&[]).add("X", "\n").unwrap_err().to_string();
    assert_eq!(said, "Control characters not allowed in headers");
}

#[test]
fn no_control_character_gets_in_by_a_parameter() {
    for byte in controls().filter(|&byte| byte != b'\t') {
        let bad = format!("p{}q", char::from(byte));
        let mut fields = Headers::default();
        for params in [[(&*bad, None)], [(&*bad, Some("t"))], [("p", Some(&*bad))]] {
            assert!(fields.add_header("X", Some("v"), &params).is_err(), "{byte:#x}");
        }
        assert!(fields.is_empty());
    }
}

#[test]
fn looking_for_a_name_that_cannot_be_there_finds_nothing() {
    let mut fields = headers(&[("A", "1")]);
    for byte in controls() {
        let name = [b'A', byte];
        assert_eq!((fields.get(name), fields.contains(name)), (None, false));
        assert!(fields.get_all(name).is_empty());
        assert_eq!(fields.remove(name), 0);
    }
    assert_eq!(fields.len(), 1);
}

#[test]
fn a_name_is_a_token() {
    for name in ["", " ", "a b", "a:b", "caf\u{e9}", "(x)", "a,b", "a;b", "a=b", "\"x\"", "[x]"] {
        for (door, enter) in DOORS {
            let refused = enter(&mut headers(&[]), name.as_bytes(), b"v");
            assert_eq!(refused, Err(Violation::HeaderName(name.into())), "{door} {name}");
        }
    }
    assert!(Headers::new([("x!#$%&'*+-.^_`|~9", "caf\u{e9} \u{80}")]).is_ok());
}

#[test]
fn the_first_of_a_name_is_got_in_whatever_case() {
    let fields = headers(&[("Set-Cookie", "a=1"), ("X", ""), ("SET-cookie", "b=2")]);
    assert_eq!(fields.get("set-COOKIE"), Some(&b"a=1"[..]));
    assert_eq!(fields.get_all("set-cookie"), [b"a=1", b"b=2"]);
    assert_eq!(fields.get("Set_Cookie"), None);
    assert!(fields.get_all("nothing").is_empty());
    // An empty value is there.
    assert!(fields.contains("x") && !fields.contains("y"));
}

#[test]
fn set_replaces_all_of_a_name_at_the_end_with_the_new_spelling() {
    let mut fields = headers(&[("A", "1"), ("b", "2"), ("a", "3")]);
    fields.set("A", "4").unwrap();
    assert_eq!(format!("{fields:?}"), "Headers([('b', '2'), ('A', '4')])");
    assert_eq!(fields.get_all("a"), [b"4"]);
    // wsgiref takes the old one out first, and then it is lost.
    assert!(fields.set("b", "2\n").is_err());
    assert_eq!(fields.get("b"), Some(&b"2"[..]));
}

#[test]
fn remove_takes_all_of_a_name_and_no_more() {
    let mut fields = headers(&[("A", "1"), ("B", "2"), ("a", "3"), ("AB", "4")]);
    assert_eq!(fields.remove("A"), 2);
    assert_eq!(fields.remove("A"), 0);
    assert_eq!(fields.to_bytes(), b"B: 2\r\nAB: 4\r\n\r\n");
}

#[test]
fn set_default_finds_the_first_or_adds() {
    let mut fields = headers(&[("a", "1"), ("A", "2")]);
    assert_eq!(fields.set_default("A", "3"), Ok(&b"1"[..]));
    assert_eq!(fields.set_default("A", "3\n"), Ok(&b"1"[..]));
    assert_eq!(fields.set_default("B", "4"), Ok(&b"4"[..]));
    assert_eq!(fields.len(), 3);
}

#[test]
fn names_and_values_come_in_order_with_repetitions() {
    let fields = headers(&[("A", "1"), ("B", "2"), ("A", "3")]);
    assert_eq!(fields.keys().collect::<Vec<_>>(), [b"A", b"B", b"A"]);
    assert_eq!(fields.values().collect::<Vec<_>>(), [b"1", b"2", b"3"]);
    assert_eq!(fields.iter().last(), Some((&b"A"[..], &b"3"[..])));
    assert_eq!((fields.len(), fields.iter().len(), fields.is_empty()), (3, 3, false));
}

#[test]
fn it_is_printed_and_sent_as_pythons() {
    let fields = Headers::new([("A", &b"it's"[..]), ("B", b"\xe9\t")]).unwrap();
    assert_eq!(format!("{fields:?}"), "Headers([('A', \"it's\"), ('B', '\u{e9}\\t')])");
    assert_eq!(fields.to_string(), "A: it's\r\nB: \u{e9}\t\r\n\r\n");
    assert_eq!(fields.to_bytes(), b"A: it's\r\nB: \xe9\t\r\n\r\n");
    assert_eq!(Headers::default().to_bytes(), b"\r\n");
}

#[test]
fn parameters_are_quoted_and_their_names_spelled_with_dashes() {
    for (value, params, want) in [
        (Some("v"), &[("a_b", Some("u\\d\".gif"))][..], r#"v; a-b="u\\d\".gif""#),
        (Some("v"), &[("empty", Some("")), ("none", None)], "v; empty; none"),
        (Some("v"), &[("p", Some("plain"))], r#"v; p="plain""#),
        (Some(""), &[("p", Some("x"))], r#"; p="x""#),
        (None, &[("p", Some("x")), ("q", None)], r#"p="x"; q"#),
        (None, &[], ""),
    ] {
        let mut fields = headers(&[("X", "1")]);
        fields.add_header("x", value, params).unwrap();
        assert_eq!(fields.get_all("X"), [b"1", want.as_bytes()], "{value:?} {params:?}");
    }
}

#[test]
fn text_is_latin_1_or_refused() {
    let mut fields = Headers::default();
    let name = [("n", Some("\u{20ac}"))];
    assert_eq!(
        fields.add_header("X", Some("v"), &name),
        Err(Violation::HeaderNotLatin1('\u{20ac}'))
    );
    assert!(fields.is_empty());
    fields.add_header("X", Some("caf\u{e9}"), &[]).unwrap();
    assert_eq!(fields.get("X"), Some(&b"caf\xe9"[..]));
}

#[test]
fn a_thousand_changes_take_no_more_memory_than_one() {
    let mut fields = headers(&[("A", "1"), ("B", "2")]);
    for _ in 0..1000 {
        fields.set("A", "a value").unwrap();
        fields.set("B", "another").unwrap();
    }
    assert!(fields.lines.capacity() < 100, "{}", fields.lines.capacity());
}

/// One change, and what it does to a plain list.
#[derive(Clone, Debug)]
enum Change {
    Add(Vec<u8>, Vec<u8>),
    Set(Vec<u8>, Vec<u8>),
    SetDefault(Vec<u8>, Vec<u8>),
    AddHeader(Vec<u8>, Option<String>, Vec<(String, Option<String>)>),
    Remove(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    // Few names, so that they meet again, and some that are none.
    let name =
        || prop_oneof![8 => "[abAB]{1,2}", 1 => "[a:\\n ]{0,2}"].prop_map(String::into_bytes);
    let value = || {
        let any = prop::collection::vec(any::<u8>(), 0..6);
        prop_oneof![4 => "[ -~\\t]{0,6}".prop_map(String::into_bytes), 1 => any]
    };
    let text = || prop::option::of("[ -~\u{e9}\u{20ac}\\n]{0,4}");
    prop_oneof![
        (name(), value()).prop_map(|(n, v)| Change::Add(n, v)),
        (name(), value()).prop_map(|(n, v)| Change::Set(n, v)),
        (name(), value()).prop_map(|(n, v)| Change::SetDefault(n, v)),
        (name(), text(), prop::collection::vec(("[a-z_]{1,3}", text()), 0..3))
            .prop_map(|(n, v, p)| Change::AddHeader(n, v, p)),
        name().prop_map(Change::Remove),
    ]
}

fn apply(fields: &mut Headers, change: &Change) -> Result<(), Violation> {
    match change {
        Change::Add(name, value) => fields.add(name, value),
        Change::Set(name, value) => fields.set(name, value),
        Change::SetDefault(name, value) => fields.set_default(name, value).map(drop),
        Change::AddHeader(name, value, params) => {
            let params: Vec<_> = params.iter().map(|(n, t)| (&**n, t.as_deref())).collect();
            fields.add_header(name, value.as_deref(), &params)
        }
        Change::Remove(name) => {
            fields.remove(name);
            Ok(())
        }
    }
}

/// What a reader of the wire makes of the bytes.
fn parsed(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = to_native(bytes);
    let lines = text.strip_suffix("\r\n").unwrap().split_terminator("\r\n");
    let field = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        let bytes = |text| crate::types::from_native(text).unwrap().into_owned();
        (bytes(name), bytes(value))
    };
    lines.map(field).collect()
}

proptest! {
    #[test]
    fn no_sequence_of_changes_breaks_the_rules(changes in prop::collection::vec(change(), 0..12)) {
        let mut fields = Headers::default();
        for change in &changes {
            let before = fields.to_bytes();
            let changed = apply(&mut fields, change);
            if changed.is_err() {
                prop_assert_eq!(fields.to_bytes(), before, "refused: {:?}", change);
            }
            for (name, value) in fields.iter() {
                prop_assert!(check_name(name).is_ok() && check_value(value).is_ok());
            }
            // The lines are those of the fields, without gaps.
            let line = |(name, value): (&[u8], &[u8])| [name, b": ", value, b"\r\n"].concat();
            prop_assert_eq!(&fields.iter().flat_map(line).collect::<Vec<_>>(), &fields.lines);
            if let (Change::Set(name, value), Ok(())) = (change, changed) {
                prop_assert_eq!(fields.get_all(name), vec![&value[..]]);
                prop_assert_eq!(fields.iter().last(), Some((&name[..], &value[..])));
            }
        }
        prop_assert_eq!(parsed(&fields.to_bytes()), fields.into_vec());
    }
}

#[test]
fn a_control_character_is_seen_wherever_it_stands_and_no_other_is_taken_for_one() {
    for len in 0..40 {
        assert!(!has_control(&vec![b' '; len]));
        for (at, byte) in (0..len).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            for around in [b' ', b'~', 0x80, 0xff] {
                let mut bytes = vec![around; len];
                bytes[at] = byte;
                assert_eq!(has_control(&bytes), byte.is_ascii_control(), "{byte:#x} {at} {len}");
            }
        }
    }
}
