use super::*;

const MS: Duration = Duration::from_millis(1);

fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn marks(of: &[u8]) -> Vec<SecretMark> {
    of.iter().map(|n| SecretMark::from_bytes([*n; 8])).collect()
}

fn mark(n: u8) -> SecretMark {
    SecretMark::from_bytes([n; 8])
}

fn events(rotation: &mut Rotation, now: Instant) -> Vec<Event> {
    rotation.handle_timeout(now);
    std::iter::from_fn(|| rotation.poll_event()).collect()
}

/// Node 9 of links under secret 1 to the nodes `of`, which accept what it accepts.
fn node(now: Instant, ours: &[u8], of: &[u8]) -> Rotation {
    let mut rotation = Rotation::new(id(9), marks(ours));
    for n in of {
        rotation.handle_linked(now, id(*n), u64::from(*n), mark(1), &marks(ours));
    }
    assert_eq!(events(&mut rotation, now + 60_000 * MS), [], "nothing is to do while nothing changes");
    assert_eq!(rotation.poll_timeout(), None);
    rotation
}

#[test]
fn a_link_is_made_anew_once_both_send_under_another_secret() {
    let now = Instant::now();
    let mut node = node(now, &[1], &[2]);
    node.handle_rekey(now, marks(&[1, 5]));
    node.handle_told(now, id(2), &marks(&[1, 5]));
    node.handle_rekey(now, marks(&[5, 1]));
    assert_eq!(events(&mut node, now + 9_000 * MS), [], "the other still sends under the old one");
    node.handle_told(now, id(2), &marks(&[5, 1]));
    assert_eq!(events(&mut node, now), [Event::Remake(id(2), 2, mark(5))]);
    assert_eq!(events(&mut node, now + 9_000 * MS), [], "it is asked for once");
    node.handle_linked(now, id(2), 7, mark(5), &marks(&[5, 1]));
    node.handle_rekey(now, marks(&[5]));
    node.handle_told(now, id(2), &marks(&[5]));
    assert_eq!(events(&mut node, now + 9_000 * MS), []);
    assert_eq!(node.poll_timeout(), None);
}

#[test]
fn links_are_made_anew_one_after_the_other() {
    let now = Instant::now();
    let mut node = node(now, &[1, 5], &[2, 3, 4]);
    node.handle_rekey(now, marks(&[5, 1]));
    for n in [2, 3, 4] {
        node.handle_told(now, id(n), &marks(&[5, 1]));
    }
    assert_eq!(events(&mut node, now), [Event::Remake(id(2), 2, mark(5))]);
    assert_eq!(events(&mut node, now + TURN - MS), []);
    node.handle_linked(now, id(2), 12, mark(5), &marks(&[5, 1]));
    assert_eq!(events(&mut node, now), [Event::Remake(id(3), 3, mark(5))]);
    // One that is not to be had does not keep the others waiting for long.
    assert_eq!(node.poll_timeout(), Some(now + TURN));
    assert_eq!(events(&mut node, now + TURN), [Event::Remake(id(4), 4, mark(5))]);
    node.handle_closed(id(4), 4);
    node.handle_linked(now + TURN, id(3), 13, mark(5), &marks(&[5, 1]));
    assert_eq!((events(&mut node, now + 9_000 * MS), node.poll_timeout()), (vec![], None));
}

#[test]
fn the_side_that_does_not_decide_waits_for_the_other() {
    let now = Instant::now();
    let mut node = Rotation::new(id(1), marks(&[5, 1]));
    node.handle_linked(now, id(2), 2, mark(1), &marks(&[5, 1]));
    assert_eq!(events(&mut node, now + COURTESY - MS), []);
    assert_eq!(events(&mut node, now + COURTESY), [Event::Remake(id(2), 2, mark(5))]);
}

#[test]
fn a_link_of_a_removed_secret_is_made_anew_at_once_and_ends_where_that_fails() {
    let now = Instant::now();
    let mut node = node(now, &[1, 5], &[2, 3, 4]);
    // Node 4 says that it holds the new one, too: that is no proof.
    node.handle_told(now, id(2), &marks(&[1, 5]));
    node.handle_told(now, id(3), &marks(&[1]));
    node.handle_rekey(now, marks(&[5]));
    let asked = events(&mut node, now);
    assert_eq!(asked, [2, 3, 4].map(|n| Event::Remake(id(n), u64::from(n), mark(5))), "all at once");
    node.handle_linked(now + 5 * MS, id(2), 12, mark(5), &marks(&[1, 5]));
    assert_eq!(events(&mut node, now + CUT_AFTER - MS), []);
    // What it tells meanwhile gives it no more time.
    node.handle_told(now + CUT_AFTER - MS, id(4), &marks(&[5]));
    let mut cut = events(&mut node, now + CUT_AFTER);
    cut.sort_unstable_by_key(|event| if let Event::Cut(id, _) = event { Some(*id) } else { None });
    assert_eq!(cut, [Event::Cut(id(3), 3), Event::Cut(id(4), 4)]);
    node.handle_closed(id(3), 3);
    node.handle_closed(id(4), 4);
    assert_eq!((events(&mut node, now + 9_000 * MS), node.poll_timeout()), (vec![], None));
}

#[test]
fn one_that_tells_nothing_keeps_its_link_until_its_secret_is_removed() {
    let now = Instant::now();
    let mut node = Rotation::new(id(9), marks(&[1]));
    node.handle_linked(now, id(2), 2, mark(1), &[]);
    node.handle_told(now, id(2), &[]);
    assert_eq!(node.theirs(id(2)), marks(&[1]), "an older version, which holds just one");
    node.handle_rekey(now, marks(&[5, 1]));
    assert_eq!((events(&mut node, now + 9_000 * MS), node.poll_timeout()), (vec![], None));
    node.handle_rekey(now, marks(&[5]));
    assert_eq!(events(&mut node, now), [Event::Remake(id(2), 2, mark(5))]);
    assert_eq!(events(&mut node, now + CUT_AFTER), [Event::Cut(id(2), 2)]);
}

#[test]
fn the_side_whose_peer_removed_the_secret_helps_and_ends_nothing() {
    let now = Instant::now();
    let mut node = node(now, &[1, 5], &[2]);
    node.handle_told(now, id(2), &marks(&[5]));
    assert_eq!(events(&mut node, now), [Event::Remake(id(2), 2, mark(5))]);
    assert_eq!((events(&mut node, now + 9_000 * MS), node.poll_timeout()), (vec![], None));
}

#[test]
fn a_change_that_is_taken_back_leaves_the_link() {
    let now = Instant::now();
    let mut node = node(now, &[1, 5], &[2]);
    node.handle_rekey(now, marks(&[5]));
    assert_eq!(events(&mut node, now), [Event::Remake(id(2), 2, mark(5))]);
    node.handle_rekey(now + MS, marks(&[1, 5]));
    assert_eq!(events(&mut node, now + MS), [Event::Keep(id(2), 2)]);
    assert_eq!((events(&mut node, now + 9_000 * MS), node.poll_timeout()), (vec![], None));
}

/// Two nodes whose files change in whatever steps, as long as they have one in common: never cut, and in the end they are
/// linked under what both send under, made anew as often as there were such changes.
#[test]
fn pairs_that_keep_one_in_common_are_never_cut_and_never_take_turns_for_ever() {
    let now = Instant::now();
    for first in [9, 1] {
        let (a, b) = (id(5), id(first));
        let mut sides = [Rotation::new(a, marks(&[1])), Rotation::new(b, marks(&[1]))];
        let ids = [a, b];
        let mut rings = [marks(&[1]), marks(&[1])];
        let (mut made, mut at) = (1, now);
        sides[0].handle_linked(at, b, made, mark(1), &rings[1]);
        sides[1].handle_linked(at, a, made, mark(1), &rings[0]);
        let steps: [(usize, &[u8]); 6] =
            [(0, &[1, 5]), (1, &[1, 5]), (1, &[5, 1]), (0, &[5, 1]), (0, &[5]), (1, &[5])];
        for (who, ring) in steps {
            rings[who] = marks(ring);
            sides[who].handle_rekey(at, marks(ring));
            sides[1 - who].handle_told(at, ids[who], &marks(ring));
            for _ in 0..5_000 {
                at += MS;
                for side in 0..2 {
                    for event in events(&mut sides[side], at) {
                        let Event::Remake(_, number, secret) = event else { panic!("{event:?}") };
                        assert_eq!(number, made);
                        assert!(rings.iter().all(|ring| ring.contains(&secret)), "both accept it");
                        made += 1;
                        sides[0].handle_linked(at, b, made, secret, &rings[1]);
                        sides[1].handle_linked(at, a, made, secret, &rings[0]);
                    }
                }
            }
        }
        assert_eq!(made, 2, "made anew once");
    }
}
