use super::*;

fn visit(status: u16) -> Visit {
    let (app, queue) = (Duration::from_millis(3), Duration::from_micros(10));
    Visit { status, received: 5, sent: 7, app, queue }
}

#[test]
fn no_two_threads_write_into_one_pair_of_cache_lines() {
    const PAIR: usize = 128;
    let board = Scoreboard::new(2, 3).unwrap();
    let mut pairs = std::collections::HashSet::new();
    for block in 0..board.blocks {
        // Its first words are the steward's; the seats are a thread's each.
        let head = &board.block(block)[..block::LEN];
        for own in (0..board.seats).map(|at| board.seat(block, at).0).chain([head]) {
            let range = own.as_ptr_range();
            assert_eq!((range.start.addr() % PAIR, range.end.addr() % PAIR), (0, 0));
            assert!(pairs.insert(range.start), "two have one place");
        }
    }
}

#[test]
fn what_a_worker_counted_stays_when_it_dies_and_the_next_one_goes_on() {
    let board = Arc::new(Scoreboard::new(2, 3).unwrap());
    let place = board.place(1).unwrap();
    place.taken_by(77);
    let block = Block::new(Arc::clone(&board), place.number()).unwrap();
    let seat = block.seat(block.take_seat().unwrap());
    seat.begin(1, [&b"GET "[..], b"/one"]);
    seat.end(&visit(200));
    seat.begin(1, [&b"GET "[..], b"/two"]);
    block.tell_queued(4);
    let read = board.read();
    assert_eq!(read.totals.of(200), 1);
    assert_eq!((read.totals.received, read.totals.sent), (5, 7));
    let [process] = &read.processes[..] else { panic!("{read:?}") };
    assert_eq!((process.pid, process.threads, process.queued), (77, 3, 4));
    assert_eq!(process.busy[0].text, b"GET /two");

    drop(place); // It was killed in the middle.
    let read = board.read();
    assert!(read.processes.is_empty() && read.totals.of(200) == 1);
    let place = board.place(1).unwrap();
    let block = Block::new(Arc::clone(&board), place.number()).unwrap();
    block.seat(block.take_seat().unwrap()).end(&visit(200));
    assert_eq!(board.read().totals.of(200), 2);
}

#[test]
fn every_status_has_its_count_and_what_is_none_has_one_too() {
    let board = Arc::new(Scoreboard::new(1, 1).unwrap());
    let _place = board.place(1).unwrap();
    let block = Block::new(Arc::clone(&board), 0).unwrap();
    for status in [0, 99, 100, 404, 599, 600, u16::MAX] {
        block.seat(0).end(&visit(status));
    }
    let totals = board.read().totals;
    assert_eq!((totals.of(100), totals.of(404), totals.of(599), totals.of(0)), (1, 1, 1, 4));
    assert_eq!((totals.app.count(), totals.app.micros), (7, 21_000));
}

#[test]
fn a_long_text_is_cut_and_says_so() {
    let board = Arc::new(Scoreboard::new(1, 1).unwrap());
    let place = board.place(1).unwrap();
    place.taken_by(1);
    let block = Block::new(Arc::clone(&board), 0).unwrap();
    for len in [0, 1, 7, 8, 9, 255, 256, 300, 1 << 20] {
        let text: Vec<u8> = (0..len).map(|at| at as u8).collect();
        block.seat(0).begin(1, [&text[..]]);
        let busy = &board.read().processes[0].busy[0];
        assert_eq!((&busy.text[..], busy.is_cut), (&text[..len.min(256)], len >= 256));
    }
}

#[test]
fn seats_and_blocks_are_given_out_as_many_as_there_are() {
    let board = Arc::new(Scoreboard::new(1, 1).unwrap());
    let places: Vec<_> = std::iter::from_fn(|| board.place(1)).collect();
    assert_eq!(places.len(), 20);
    let block = Block::new(Arc::clone(&board), 19).unwrap();
    assert_eq!(std::iter::from_fn(|| block.take_seat()).count(), 1 + EXTRA_SEATS);
    assert!(Block::new(board, 20).is_none());
}

#[test]
fn another_process_finds_the_same_and_refuses_what_is_none() {
    let board = Arc::new(Scoreboard::new(1, 2).unwrap());
    let again =
        |board: &Scoreboard| Scoreboard::inherited(board.as_fd().try_clone_to_owned().unwrap());
    board.count_restart();
    board.count_reload();
    let read = again(&board).unwrap().read();
    assert_eq!((read.restarts, read.reloads), (1, 1));
    board.head(head::BLOCKS).store(u64::MAX / 2, Relaxed);
    assert!(again(&board).is_err());
    board.head(head::MAGIC).store(1, Relaxed);
    assert!(again(&board).is_err());
}
