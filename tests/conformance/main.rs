//! The testbed as a web server meets it: more than a hundred conversations, on Unix sockets and on
//! TCP, with one thread and with sixteen, whole, byte by byte and cut; and what no web server would
//! send.
#![cfg(target_os = "linux")]
// All of this is tests.
#![allow(clippy::unwrap_used)]

mod cases;
mod hostile;
mod peer;
mod process;
mod wire;

use cases::{After, Case, Want, cases};
use peer::{Answer, Came, Peer, Testbed};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
};

/// How the bytes of a case are sent.
#[derive(Clone, Copy, Debug)]
enum Feed {
    Whole,
    Singly,
    CutAt(usize),
}

fn converse(mut peer: Peer, case: &Case, feed: Feed) {
    match feed {
        Feed::Whole if case.wire.len() > 60_000 => peer.send_aside(case.wire.clone()),
        // Whoever sends garbage may be cut off while he does.
        Feed::Whole => drop(peer.try_send(&case.wire)),
        Feed::Singly => {
            for byte in &case.wire {
                let _ = peer.try_send(&[*byte]);
            }
        }
        Feed::CutAt(at) => {
            let _ = peer.try_send(&case.wire[..at]);
            std::thread::yield_now();
            let _ = peer.try_send(&case.wire[at..]);
        }
    }
    if case.half_close {
        peer.stop_sending();
    }
    if case.after == After::Ends {
        peer.read_to_end();
    } else {
        let managements =
            case.wants.iter().filter(|w| matches!(w, Want::Values(_) | Want::Unknown(_))).count();
        let requests: Vec<_> = case.wants.iter().filter_map(id_of).collect();
        let all_here = |peer: &Peer| {
            let ended = |id| peer.answers.get(id).is_some_and(|answer| answer.end.is_some());
            peer.management.len() >= managements && requests.iter().all(ended)
        };
        while !all_here(&peer) {
            assert_eq!(peer.next(), Came::Record, "the connection ended");
        }
    }
    let mut unexpected: Vec<_> = peer.answers.keys().copied().collect();
    let mut management = std::mem::take(&mut peer.management);
    for want in &case.wants {
        let answer = id_of(want).map(|id| {
            unexpected.retain(|other| *other != id);
            peer.answers.get(&id).unwrap_or_else(|| panic!("nothing for request {id}"))
        });
        check(want, answer, &mut management);
    }
    assert!(unexpected.is_empty() && management.is_empty(), "more came than was asked for");
    if case.after == After::Open {
        peer.answers.clear();
        peer.send(&wire::get(77, "/hello"));
        assert_eq!(peer.answer(77).body(), b"Hello World\n");
        assert!(peer.answers.is_empty() && peer.management.is_empty(), "something came late");
    }
}

fn id_of(want: &Want) -> Option<u16> {
    match want {
        Want::Body(id, _)
        | Want::Length(id, _)
        | Want::Line(id, _)
        | Want::Status(id, _)
        | Want::Bodiless(id, _)
        | Want::End(id, _)
        | Want::Broken(id, _)
        | Want::Cut(id, _)
        | Want::Log(id, _) => Some(*id),
        Want::Values(_) | Want::Unknown(_) => None,
    }
}

fn check(want: &Want, answer: Option<&Answer>, management: &mut Vec<(u8, Vec<u8>)>) {
    let Some(answer) = answer else {
        let (kind, content) = match want {
            Want::Unknown(kind) => (11, vec![*kind, 0, 0, 0, 0, 0, 0, 0]),
            Want::Values(pairs) => (10, pairs.clone()),
            _ => unreachable!("it has an id"),
        };
        assert_eq!(management.remove(0), (kind, content));
        return;
    };
    let brief = String::from_utf8_lossy(&answer.stdout[..answer.stdout.len().min(300)]);
    let whole = |status: &str| {
        assert!(answer.is(status), "not {status}: {brief:?}");
        assert_eq!(answer.end, Some((0, 0)), "{brief:?}");
    };
    match want {
        Want::Body(_, body) => {
            whole("200");
            assert!(answer.body() == &body[..], "another body, of {}", answer.body().len());
        }
        Want::Length(_, length) => {
            whole("200");
            assert_eq!(answer.body().len(), *length);
            assert!(answer.body().iter().all(|byte| *byte == b'x'), "not what was sent");
        }
        Want::Line(_, line) => {
            whole("200");
            let found = answer.body().split(|byte| *byte == b'\n').any(|found| found == &line[..]);
            assert!(found, "no such line: {brief:?}");
        }
        Want::Status(_, status) => whole(status),
        Want::Bodiless(_, status) => {
            whole(status);
            assert!(answer.body().is_empty(), "{brief:?}");
        }
        Want::End(_, status) => {
            assert_eq!((answer.end, &brief[..]), (Some((0, *status)), ""));
        }
        Want::Broken(_, body) => {
            assert_eq!((answer.end, answer.body()), (Some((1, 0)), *body), "{brief:?}");
        }
        Want::Cut(_, body) => assert_eq!((answer.end, answer.body()), (None, *body), "{brief:?}"),
        Want::Log(_, line) => {
            whole("200");
            assert!(answer.stderr.windows(line.len()).any(|window| window == *line));
        }
        Want::Values(_) | Want::Unknown(_) => unreachable!("they have no id"),
    }
}

/// Where a case is cut: everywhere if it is short, and at some places of the others.
fn feeds(case: &Case, often: bool) -> Vec<Feed> {
    let len = case.wire.len();
    let mut feeds = vec![Feed::Whole];
    if len < 4_000 {
        feeds.push(Feed::Singly);
    }
    let stride = if len < 400 && often { 1 } else { len / 7 + 1 };
    feeds.extend((1..len).step_by(stride).map(Feed::CutAt));
    feeds
}

/// Runs the whole table from several threads, and fails with all that went wrong.
fn run(threads: usize) {
    let testbed = Testbed::start(&["--threads", &threads.to_string()]);
    let cases = cases();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            for unix in [true, false] {
                for feed in feeds(case, unix && threads > 1) {
                    let peer = if unix { testbed.unix() } else { testbed.tcp() };
                    let talk = AssertUnwindSafe(|| converse(peer, case, feed));
                    if catch_unwind(talk).is_err() {
                        wrong.push(format!("{} ({feed:?}, unix: {unix})", case.name));
                        break;
                    }
                }
            }
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_conversation_goes_as_the_specification_says_with_one_thread() {
    run(1);
}

#[test]
fn every_conversation_goes_as_the_specification_says_with_sixteen_threads() {
    run(16);
}
