//! What no web server would send, and what only a busy one does, by the dice of fixed seeds.

use crate::{
    peer::{Peer, Testbed},
    wire::{ABORT, STDIN, begin, get, head, post, record},
};
use std::{fs, path::Path, thread};

/// Marsaglia's xorshift: the same rolls for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Conversations to be spoilt: our own, and some of what real servers sent.
fn conversations() -> Vec<Vec<u8>> {
    let mut all = vec![
        get(1, "/hello"),
        post(1, "/echo", b"a body of some length"),
        [post(1, "/count", &[b'x'; 300]), get(2, "/environ")].concat(),
        [begin(9, 1, 1), get(1, "/hello"), record(ABORT, 9, b"")].concat(),
        [record(9, 0, b"\x0f\0FCGI_MPXS_CONNS"), head(3, "/count", &[]), record(STDIN, 3, b"")]
            .concat(),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams/fastcgi");
    let mut captured: Vec<_> = fs::read_dir(root)
        .unwrap()
        .flat_map(|server| fs::read_dir(server.unwrap().path()).unwrap())
        .map(|stream| stream.unwrap().path())
        .collect();
    captured.sort();
    all.extend(captured.iter().step_by(40).map(|path| fs::read(path).unwrap()));
    all
}

fn spoil(wire: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(wire.len().max(1)).min(wire.len().saturating_sub(1));
        match dice.roll(6) {
            0 => wire[at] ^= 1 << dice.roll(8),
            1 => wire[at] = dice.roll(256) as u8,
            2 => wire.truncate(at),
            3 => drop(wire.remove(at)),
            4 => wire.insert(at, dice.roll(256) as u8),
            _ => {
                let piece = wire[at..].to_vec();
                wire.extend(piece);
            }
        }
        if wire.is_empty() {
            return;
        }
    }
}

/// It answers or closes, whatever comes, and goes on serving the others.
#[test]
fn spoilt_conversations_are_answered_or_ended() {
    for threads in ["1", "16"] {
        let testbed = Testbed::start(&["--threads", threads]);
        let conversations = conversations();
        thread::scope(|scope| {
            for part in 0..4 {
                let (testbed, conversations) = (&testbed, &conversations);
                scope.spawn(move || {
                    for seed in (part..1200).step_by(4) {
                        let mut dice = Dice::new(seed);
                        let mut wire = conversations[dice.roll(conversations.len())].clone();
                        spoil(&mut wire, &mut dice);
                        let mut peer = if seed % 8 < 4 { testbed.unix() } else { testbed.tcp() };
                        peer.send_all_aside(wire);
                        peer.read_to_end();
                    }
                });
            }
        });
        is_well(&mut testbed.unix());
        is_well(&mut testbed.tcp());
    }
}

fn is_well(peer: &mut Peer) {
    peer.send(&get(1, "/hello"));
    assert_eq!(peer.answer(1).body(), b"Hello World\n");
}

/// Requests of several ids, their records shuffled as no single server would.
#[test]
fn any_interleaving_is_answered_under_the_right_ids() {
    for args in [["--threads", "1"], ["--threads", "16"], ["--multiplex", "off"]] {
        let testbed = Testbed::start(&args);
        for seed in 0..150 {
            let mut dice = Dice::new(seed);
            let ids: Vec<u16> = (0..=dice.roll(7)).map(|n| (n * 257 + 1) as u16).collect();
            let bodies: Vec<Vec<u8>> =
                ids.iter().map(|id| vec![*id as u8; dice.roll(5_000)]).collect();
            let mut queues: Vec<Vec<Vec<u8>>> = ids
                .iter()
                .zip(&bodies)
                .map(|(id, body)| records(&post(*id, "/echo", body)))
                .collect();
            let mut wire = Vec::new();
            while !queues.is_empty() {
                let at = dice.roll(queues.len());
                wire.extend(queues[at].remove(0));
                if queues[at].is_empty() {
                    drop(queues.remove(at));
                }
            }
            let mut peer = if seed % 2 == 0 { testbed.unix() } else { testbed.tcp() };
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(1 + dice.roll(rest.len()));
                peer.send(now);
                rest = later;
            }
            for (id, body) in ids.iter().zip(&bodies) {
                assert!(peer.answer(*id).body() == &body[..], "seed {seed}, request {id}");
            }
            is_well(&mut peer);
        }
    }
}

fn records(wire: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut all) = (wire, Vec::new());
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[4], rest[5]]));
        let (now, later) = rest.split_at(8 + len + usize::from(rest[6]));
        all.push(now.to_vec());
        rest = later;
    }
    all
}
