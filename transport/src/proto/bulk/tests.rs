use super::*;
use crate::proto::record::{MAX_PIECE, put_piece_head};

const LIMIT: usize = 1 << 20;

fn piece(total: usize, at: usize, bytes: usize) -> Vec<u8> {
    let mut piece = Vec::new();
    put_piece_head(&mut piece, total, at);
    piece.extend((at..at + bytes).map(|place| place as u8));
    piece
}

/// An assembly that has had so many bytes of a message.
fn begun(total: usize, had: usize) -> Assembly {
    let mut assembly = Assembly::new(LIMIT);
    for at in (0..had).step_by(MAX_PIECE) {
        assembly.push(&piece(total, at, MAX_PIECE.min(had - at))).expect("it is in order");
        if assembly.wanted().is_some() {
            assembly.handle_granted();
        }
        assembly.poll_taken();
    }
    assembly
}

#[test]
fn pieces_become_the_message_and_the_next_one_follows() {
    for total in [1, FIRST, FIRST + 1, LIMIT, 100_000] {
        let mut assembly = begun(total, total);
        let message = assembly.take().expect("it is whole");
        assert!(message.iter().enumerate().all(|(place, byte)| *byte == place as u8));
        assert_eq!(message.len(), total);
        assert_eq!(assembly.take(), Err(PieceError::Absent), "once");
        assert_eq!(assembly.push(&piece(7, 0, 7)), Ok(()));
        assert_eq!(assembly.take().map(|message| message.len()), Ok(7));
    }
}

#[test]
fn what_is_out_of_place_is_refused_with_its_reason() {
    let total = 100_000;
    for (bad, why) in [
        (piece(total, 999, 1), PieceError::OutOfPlace { given: 999, expected: 1_000 }),
        (piece(total, 1_001, 1), PieceError::OutOfPlace { given: 1_001, expected: 1_000 }),
        (piece(total, 0, 1_000), PieceError::OutOfPlace { given: 0, expected: 1_000 }),
        (piece(total + 1, 1_000, 1), PieceError::Unsteady { was: total, now: total as u64 + 1 }),
        (piece(999, 1_000, 1), PieceError::Unsteady { was: total, now: 999 }),
        (piece(total, 1_000, total - 999), PieceError::Beyond),
        (piece(total, 1_000, 0), PieceError::Malformed),
        (piece(LIMIT + 1, 1_000, 1), PieceError::TooLarge { given: LIMIT as u64 + 1, limit: LIMIT }),
        (vec![0xff; 30], PieceError::Malformed),
        (vec![0x80], PieceError::Malformed),
        (vec![], PieceError::Malformed),
    ] {
        let mut assembly = begun(total, 1_000);
        assert_eq!(assembly.push(&bad), Err(why));
        // None of it was taken.
        assert_eq!((assembly.had, assembly.slot.map(|slot| slot.body.len())), (1_000, Some(1_000)));
    }
    let mut assembly = Assembly::new(LIMIT);
    let lie = piece(LIMIT + 1, 0, 1);
    assert_eq!(assembly.push(&lie), Err(PieceError::TooLarge { given: LIMIT as u64 + 1, limit: LIMIT }));
    assert_eq!(
        assembly.push(&piece(9, 1, 1)),
        Err(PieceError::OutOfPlace { given: 1, expected: 0 }),
        "the first begins at the beginning"
    );
    assert_eq!(assembly.push(&piece(0, 0, 0)), Err(PieceError::Malformed), "an empty message is not large");
    let mut assembly = begun(10, 10);
    assert_eq!(assembly.push(&piece(10, 10, 1)), Err(PieceError::Beyond), "before the former is delivered");
    let mut assembly = begun(total, 99_999);
    assert_eq!(assembly.take(), Err(PieceError::Absent), "a byte is missing");
}

#[test]
fn memory_is_spent_when_there_is_room_and_not_before() {
    let mut assembly = Assembly::new(usize::MAX / 2);
    let total = 1 << 40;
    assembly.push(&piece(total, 0, MAX_PIECE)).expect("it is in order");
    assert_eq!(assembly.wanted(), Some(total));
    assembly.push(&piece(total, MAX_PIECE, FIRST - MAX_PIECE)).expect("it may be under way");
    assert_eq!(assembly.poll_taken(), None, "no more is asked for");
    let room = assembly.slot.as_ref().map(|slot| slot.body.capacity());
    assert!(room.is_some_and(|room| room <= 2 * FIRST), "{room:?}");
    assert_eq!(assembly.push(&piece(total, FIRST, 1)), Err(PieceError::Flood));

    let assembly = begun(LIMIT, MAX_PIECE);
    assert_eq!(assembly.wanted(), None);
    assert_eq!(assembly.slot.as_ref().map(|slot| slot.body.capacity()), Some(LIMIT), "all at once");
}

#[test]
fn more_than_the_window_is_a_flood_also_where_there_is_room() {
    let limit = 4 * MAX_WINDOW;
    let mut assembly = Assembly::new(limit);
    let mut at = 0;
    let end = loop {
        match assembly.push(&piece(limit, at, MAX_PIECE)) {
            Ok(()) => at += MAX_PIECE,
            Err(end) => break end,
        }
        if assembly.wanted().is_some() {
            assembly.handle_granted();
        }
    };
    assert_eq!((end, at), (PieceError::Flood, MAX_WINDOW));
}

#[test]
fn what_was_taken_is_told_in_steps_and_at_the_end_of_a_message() {
    let mut assembly = Assembly::new(LIMIT);
    assert_eq!(assembly.poll_taken(), None);
    let told = TELL_AFTER as usize;
    assembly.push(&piece(100_000, 0, told - 1)).expect("in order");
    assembly.handle_granted();
    assert_eq!(assembly.poll_taken(), None);
    assembly.push(&piece(100_000, told - 1, 1)).expect("in order");
    assert_eq!(assembly.poll_taken(), Some(TELL_AFTER));
    assert_eq!(assembly.poll_taken(), None, "once");
    assembly.push(&piece(100_000, told, 100_000 - told)).expect("in order");
    assembly.poll_taken();
    assembly.take().expect("whole");
    assembly.push(&piece(5, 0, 5)).expect("in order");
    assert_eq!(assembly.poll_taken(), Some(100_005), "small, but whole");
    // The next has no room: only what was before it is taken.
    assembly.take().expect("whole");
    assembly.push(&piece(9, 0, 9)).expect("in order");
    assembly.take().expect("whole");
    assembly.push(&piece(FIRST + 1, 0, FIRST)).expect("in order");
    assert_eq!(assembly.poll_taken(), None);
    assembly.handle_granted();
    assert_eq!(assembly.poll_taken(), Some(100_014 + FIRST as u64));
}

#[test]
fn the_window_opens_with_what_was_taken_and_a_message_begins_small() {
    let mut window = Window::new(4 * FIRST);
    assert_eq!(window.room(), FIRST);
    window.handle_sent(FIRST - 1, false);
    assert_eq!(window.room(), 1);
    window.handle_taken(1);
    assert_eq!(window.room(), 3 * FIRST + 2, "something of it was taken");
    window.handle_sent(10, true);
    assert_eq!(window.room(), FIRST, "the next message begins");
    window.handle_sent(20, false);
    window.handle_taken(FIRST as u64 + 9);
    assert_eq!(window.room(), FIRST - 20, "nothing of it was taken yet");
    window.handle_taken(u64::MAX);
    assert_eq!(window.room(), 4 * FIRST, "no more than was sent is believed");
    window.handle_taken(0);
    assert_eq!(window.room(), 4 * FIRST, "what was taken stays so");
    window.handle_sent(3 * FIRST + 5, false);
    assert_eq!(window.room(), FIRST - 5, "the whole window bounds it");
    assert_eq!(Window::new(usize::MAX).size, MAX_WINDOW as u64);
    for (us, size) in [(0, MIN_WINDOW), (524, MIN_WINDOW), (1_000, 125_000), (9_000, MAX_WINDOW)] {
        window.handle_rtt(Duration::from_micros(us));
        assert_eq!(window.size, size as u64, "{us} µs");
    }
    // One that shrinks has no room until it is kept to again.
    window.handle_rtt(Duration::ZERO);
    assert_eq!(window.room(), 0);
}

/// Sender and receiver with random pieces: never stuck, never refused.
#[test]
fn an_honest_sender_is_never_refused_and_never_stuck() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut window = Window::new(rng.usize(FIRST..2 * MAX_WINDOW));
        let mut assembly = Assembly::new(LIMIT);
        for _ in 0..10 {
            let total = rng.usize(1..LIMIT);
            let (mut at, mut turns) = (0, 0);
            while at < total {
                let len = (total - at).min(MAX_PIECE);
                if len <= window.room() {
                    assembly
                        .push(&piece(total, at, len))
                        .unwrap_or_else(|why| panic!("seed {seed} at {at} of {total}: {why}"));
                    at += len;
                    window.handle_sent(len, at == total);
                }
                if rng.bool() && assembly.wanted().is_some() {
                    assembly.handle_granted();
                }
                if rng.bool()
                    && let Some(taken) = assembly.poll_taken()
                {
                    window.handle_taken(taken);
                }
                turns += 1;
                assert!(turns < 2_000, "seed {seed}: stuck at {at} of {total}");
            }
            assembly.take().expect("whole");
        }
    }
}
