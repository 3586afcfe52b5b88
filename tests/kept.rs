//! What a request costs that is like the one before it: no memory, on whichever thread.
#![cfg(target_os = "linux")]

mod fastcgi_peer;

use cgigate::{apps::hello, gateway::Settings};
use fastcgi_peer::{Apps, House, request_with};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

struct Counting;

/// By the house's threads: all but the one that asks.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local!(static ASKS: Cell<bool> = const { Cell::new(false) });

// SAFETY: everything is the system allocator's own; counting allocates nothing.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !ASKS.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const REQUESTS: usize = 50;
const TRIES: usize = 40;

/// The only test of this file: whatever else ran here would be counted too.
#[test]
fn requests_like_those_before_them_allocate_nothing() {
    ASKS.set(true);
    let settings = Settings { threads: 1, waiters: 1, ..Settings::default() };
    let house = House::open(Apps::default().with("/hello", hello), settings);
    let vars = [("HTTP_HOST", "app.example.org"), ("REMOTE_USER", ""), ("REMOTE_USER", "ann")];
    for ids in [&[1][..], &[1, 2, 3, 4]] {
        let ask = |id: &u16| request_with(*id, "/hello", true, &vars);
        let wire: Vec<u8> = ids.iter().flat_map(ask).collect();
        let mut peer = house.unix();
        let mut rounds = |count: usize| {
            for _ in 0..count {
                peer.send(&wire);
                for _ in ids {
                    assert_eq!(peer.any_answer().1.body(), b"Hello World\n");
                }
            }
            ALLOCATIONS.load(Ordering::Relaxed)
        };
        let mut before = rounds(20);
        assert!(before > 0, "the counter counts");
        // On a busy machine the steward takes over from a thread that only was preempted, and has to
        // take memory of its own for that, once.
        let mut counts = (0..TRIES).map(|_| {
            let after = rounds(REQUESTS);
            after - std::mem::replace(&mut before, after)
        });
        assert!(counts.any(|count| count == 0), "{} ids on a kept connection", ids.len());
    }
}
