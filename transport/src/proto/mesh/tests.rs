use super::*;
use crate::proto::members::Member;

mod here;
mod lan;
mod stale;
use lan::{Lan, Step};

const MS: Duration = Duration::from_millis(1);

fn id(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, n], 8255))
}

fn offer(n: u8, link: LinkNumber) -> Offer {
    Offer { id: id(n), link, seen: 0, live: false, via: Via::Multicast }
}

fn events(mesh: &mut Mesh) -> Vec<Event> {
    std::iter::from_fn(|| mesh.poll_event()).collect()
}

fn dials(mesh: &mut Mesh, now: Instant) -> Vec<Dial> {
    mesh.handle_timeout(now);
    std::iter::from_fn(|| mesh.poll_transmit()).collect()
}

/// Everybody hears everybody at nearly the same moment, so both sides dial: one link stays, the same on both, and
/// nobody is told down.
#[test]
fn simultaneous_dials_end_in_one_link_and_no_flap() {
    for seed in 0..400 {
        let mut lan = Lan::new(seed, 4);
        for from in 0..4 {
            for to in (0..4).filter(|to| *to != from) {
                lan.later(Step::Heartbeat { from, to });
            }
        }
        lan.run_until(2_000 * MS);
        lan.assert_meshed(seed);
        for (node, told) in lan.told.iter().enumerate() {
            let ups = told.iter().filter(|event| matches!(event, Event::Up(_))).count();
            assert_eq!((ups, told.len()), (3, 3), "seed {seed} node {node}: {told:?}");
        }
        assert!(lan.conns.len() <= 2 * 6, "seed {seed}: {} handshakes for 6 pairs", lan.conns.len());
    }
}

/// Links break at random, also in the middle of being made; in the end each pair has one again.
#[test]
fn broken_links_are_made_again_by_whatever_side() {
    for seed in 0..400 {
        let mut lan = Lan::new(seed, 3);
        for from in 0..3 {
            for to in (0..3).filter(|to| *to != from) {
                lan.later(Step::Heartbeat { from, to });
            }
        }
        for round in 1..40u32 {
            lan.run_until(MS * round * 7);
            let victims: Vec<usize> = (0..lan.conns.len()).filter(|_| lan.rng.u8(..) < 20).collect();
            for conn in victims {
                lan.kill(conn);
            }
        }
        lan.run_until(6_000 * MS);
        lan.assert_meshed(seed);
        for told in &lan.told {
            // Up and down alternate for each peer.
            for peer in 1..=3 {
                let of_peer: Vec<bool> = told
                    .iter()
                    .filter_map(|event| match event {
                        Event::Up(it) if *it == id(peer) => Some(true),
                        Event::Down(it, _) if *it == id(peer) => Some(false),
                        _ => None,
                    })
                    .collect();
                assert!(
                    of_peer.iter().enumerate().all(|(at, up)| *up == (at % 2 == 0)),
                    "seed {seed}: {told:?}"
                );
            }
        }
    }
}

#[test]
fn after_a_cut_the_mesh_is_whole_within_two_seconds() {
    for seed in 0..50 {
        let mut lan = Lan::new(seed, 4);
        for from in 0..4 {
            for to in (0..4).filter(|to| *to != from) {
                lan.later(Step::Heartbeat { from, to });
            }
        }
        lan.run_until(1_000 * MS);
        lan.cut = true;
        for conn in 0..lan.conns.len() {
            lan.kill(conn);
        }
        lan.run_until(11_000 * MS);
        lan.cut = false;
        lan.run_until(13_000 * MS);
        lan.assert_meshed(seed);
    }
}

#[test]
fn a_closed_link_is_dialed_at_once_and_told_down_when_that_fails() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(now, &mut rng, id(1), vec![addr(1)], false);
    let dialed = dials(&mut mesh, now);
    mesh.handle_dial_ended(now, &mut rng, dialed[0].number, Outcome::Reached(id(1)));
    assert!(matches!(mesh.handle_offer(now, &offer(1, 1)), Decision::Adopt { number: 1, replaces: None }));
    assert_eq!(events(&mut mesh), [Event::Up(id(1))]);
    mesh.handle_closed(now, &mut rng, id(1), 1, DownReason::Closed);
    let dialed = dials(&mut mesh, now);
    assert_eq!(dialed.len(), 1);
    assert_eq!(events(&mut mesh), []);
    mesh.handle_dial_ended(now + MS, &mut rng, dialed[0].number, Outcome::Failed);
    assert_eq!(events(&mut mesh), [Event::Down(id(1), DownReason::Closed)]);
    // Without an answer it is told after the grace.
    mesh.handle_offer(now, &Offer { seen: 1, ..offer(1, 2) });
    events(&mut mesh);
    mesh.handle_closed(now, &mut rng, id(1), 2, DownReason::Closed);
    mesh.handle_timeout(now + GRACE - MS);
    assert_eq!(events(&mut mesh), []);
    mesh.handle_timeout(now + GRACE);
    assert_eq!(events(&mut mesh), [Event::Down(id(1), DownReason::Closed)]);
    // And after ten minutes nothing is owed any more.
    mesh.handle_timeout(now + OWED_FOR);
    assert_eq!(events(&mut mesh), [Event::Forgotten(id(1))]);
}

#[test]
fn a_reset_link_that_is_back_at_once_is_no_event() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(now, &mut rng, id(1), vec![addr(1)], false);
    mesh.handle_offer(now, &offer(1, 1));
    events(&mut mesh);
    mesh.handle_closed(now, &mut rng, id(1), 1, DownReason::Closed);
    mesh.handle_offer(now + 5 * MS, &Offer { seen: 1, ..offer(1, 2) });
    mesh.handle_timeout(now + 10 * GRACE);
    assert_eq!(events(&mut mesh), []);
}

#[test]
fn a_goodbye_is_told_as_left_and_forgotten_at_once() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_offer(now, &offer(1, 1));
    mesh.handle_closed(now, &mut rng, id(1), 1, DownReason::Left);
    let told = events(&mut mesh);
    assert_eq!(told, [Event::Up(id(1)), Event::Down(id(1), DownReason::Left), Event::Forgotten(id(1))]);
    assert_eq!(mesh.poll_timeout(), None);
    // A link of it that was on its way comes too late.
    assert_eq!(mesh.handle_offer(now, &offer(1, 2)), Decision::Refuse);
    assert_eq!(mesh.handle_adopted(now, &offer(1, 3), 9), Decision::Refuse);
    assert_eq!(events(&mut mesh), []);
}

#[test]
fn a_goodbye_by_heartbeat_does_not_end_a_live_link() {
    let now = Instant::now();
    let mut mesh = Mesh::new(id(9));
    mesh.handle_offer(now, &offer(1, 1));
    events(&mut mesh);
    mesh.handle_left(id(1));
    assert_eq!(events(&mut mesh), []);
    assert_eq!(mesh.state_of(id(1)), (1, true));
}

#[test]
fn a_heartbeat_never_dials_a_linked_peer_nor_this_node() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(now, &mut rng, id(9), vec![addr(9)], false);
    mesh.handle_offer(now, &offer(1, 1));
    mesh.handle_seen(now, &mut rng, id(1), vec![addr(1)], false);
    assert_eq!(dials(&mut mesh, now + Duration::from_secs(1)), []);
}

#[test]
fn pauses_between_dials_grow_to_five_seconds() {
    let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(7));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_partner(start, 0, &[addr(1)]);
    let (mut now, mut at) = (start, Vec::new());
    while now < start + Duration::from_secs(60) {
        for dial in dials(&mut mesh, now) {
            at.push(now);
            mesh.handle_dial_ended(now, &mut rng, dial.number, Outcome::Failed);
        }
        now = mesh.poll_timeout().expect("it is tried on").max(now + MS);
    }
    let pauses: Vec<_> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] < 130 * MS && pauses[0] >= 74 * MS, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(5)), "{pauses:?}");
    assert!((14..=24).contains(&at.len()), "{} dials in a minute", at.len());
}

#[test]
fn a_partner_is_told_linked_and_looked_for_again_when_lost() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_partner(now, 3, &[addr(1), addr(2)]);
    let dialed = dials(&mut mesh, now);
    assert_eq!(dialed.len(), 2, "one name may stand for several nodes");
    mesh.handle_dial_ended(now, &mut rng, dialed[0].number, Outcome::Reached(id(1)));
    mesh.handle_dial_ended(now, &mut rng, dialed[1].number, Outcome::Failed);
    mesh.handle_offer(now, &Offer { via: Via::Partner, ..offer(1, 1) });
    assert_eq!(events(&mut mesh), [Event::Up(id(1)), Event::Partner(3, true)]);
    mesh.handle_closed(now, &mut rng, id(1), 1, DownReason::Left);
    assert!(events(&mut mesh).contains(&Event::Partner(3, false)));
}

#[test]
fn an_own_address_among_the_partners_is_dialed_once() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_partner(now, 0, &[addr(9)]);
    let dialed = dials(&mut mesh, now);
    mesh.handle_dial_ended(now, &mut rng, dialed[0].number, Outcome::Myself);
    mesh.handle_partner(now + MS, 0, &[addr(9)]);
    assert_eq!(dials(&mut mesh, now + Duration::from_secs(100)), []);
}

#[test]
fn a_network_that_comes_brings_failing_dials_forward() {
    let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_partner(start, 0, &[addr(1)]);
    mesh.handle_seen(start, &mut rng, id(2), vec![addr(2)], false);
    let (mut now, mut last) = (start, start);
    // Until both pause for longer than a moment: no dial of late, and none soon.
    while now < last + 300 * MS || mesh.poll_timeout().unwrap() < now + 300 * MS {
        for dial in dials(&mut mesh, now) {
            mesh.handle_dial_ended(now, &mut rng, dial.number, Outcome::Failed);
            last = now;
        }
        now += MS;
        assert!(now < start + Duration::from_secs(30), "they wait ever longer");
    }
    mesh.handle_network(now, &mut rng);
    let dialed = dials(&mut mesh, now);
    assert_eq!(dialed.len(), 2, "both at once: {dialed:?}");
    mesh.handle_network(now, &mut rng);
    assert_eq!(dials(&mut mesh, now), [], "one at a time");
    mesh.handle_dial_ended(now, &mut rng, dialed[0].number, Outcome::Failed);
    mesh.handle_network(now, &mut rng);
    assert_eq!(dials(&mut mesh, now), [], "a flapping interface makes no storm");
}

#[test]
fn strangers_by_the_thousand_cost_bounded_memory_and_no_link() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(255));
    mesh.handle_offer(now, &offer(1, 1));
    for n in 0..20_000u64 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        mesh.handle_seen(now, &mut rng, NodeId::from_bytes(bytes), vec![addr(2)], false);
    }
    assert!(mesh.peers.len() <= MAX_UNLINKED + 1);
    assert_eq!(mesh.state_of(id(1)), (1, true));
    assert_eq!(dials(&mut mesh, now + Duration::from_secs(1)).len(), dials::FIRST_DIALS);
}

#[test]
fn links_that_end_as_soon_as_they_are_made_are_dialed_ever_more_slowly() {
    let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(3));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(start, &mut rng, id(1), vec![addr(1)], false);
    let (mut now, mut links) = (start, 0);
    while now < start + Duration::from_secs(10) {
        for dial in dials(&mut mesh, now) {
            links += 1;
            mesh.handle_dial_ended(now, &mut rng, dial.number, Outcome::Reached(id(1)));
            let (seen, _) = mesh.state_of(id(1));
            mesh.handle_offer(now, &Offer { seen, ..offer(1, links) });
            mesh.handle_closed(now, &mut rng, id(1), links, DownReason::Closed);
        }
        now = mesh.poll_timeout().expect("it is tried on").max(now + MS);
    }
    assert!((8..=20).contains(&links), "{links} links in ten seconds");
}

#[test]
fn a_link_that_is_dead_for_the_peer_is_replaced_and_a_twin_is_refused() {
    let now = Instant::now();
    let mut mesh = Mesh::new(id(9));
    mesh.handle_offer(now, &offer(1, 1));
    // The peer dialed before it heard of the first link, or has it alive.
    assert_eq!(mesh.handle_offer(now, &offer(1, 2)), Decision::Refuse);
    assert_eq!(mesh.handle_offer(now, &Offer { seen: 1, live: true, ..offer(1, 3) }), Decision::Refuse);
    // It had the first link, and lost it.
    let dead = Offer { seen: 1, live: false, ..offer(1, 4) };
    assert_eq!(mesh.handle_offer(now, &dead), Decision::Adopt { number: 2, replaces: Some(1) });
    assert_eq!(events(&mut mesh), [Event::Up(id(1))], "replacing a link is no event");
}

#[test]
fn the_newest_word_of_the_arbiter_counts_in_whatever_order_it_comes() {
    let now = Instant::now();
    let mut mesh = Mesh::new(id(1));
    assert_eq!(mesh.handle_adopted(now, &offer(9, 2), 6), Decision::Adopt { number: 6, replaces: None });
    assert_eq!(mesh.handle_adopted(now, &offer(9, 1), 5), Decision::Refuse);
    assert_eq!(mesh.handle_adopted(now, &offer(9, 3), 7), Decision::Adopt { number: 7, replaces: Some(2) });
}

/// Everybody has heard everybody, so only one side of each pair is to dial.
/// Number 0 is that of no link: what a peer under it is owed would never be forgotten.
#[test]
fn the_word_of_an_arbiter_that_counts_from_nothing_does_not_count() {
    let (now, mut mesh) = (Instant::now(), Mesh::new(id(1)));
    assert_eq!(mesh.handle_adopted(now, &offer(9, 1), 0), Decision::Refuse);
    assert_eq!((mesh.linked(), events(&mut mesh)), (0, vec![]));
    assert_eq!(mesh.handle_adopted(now, &offer(9, 2), 1), Decision::Adopt { number: 1, replaces: None });
}

#[test]
fn nodes_that_know_of_each_other_do_not_dial_twice_over() {
    let (mut handshakes, mut pairs) = (0, 0);
    for seed in 0..100 {
        let mut lan = Lan::new(seed, 12);
        lan.mutual = true;
        for from in 0..12 {
            for to in (0..12).filter(|to| *to != from) {
                lan.later(Step::Heartbeat { from, to });
            }
        }
        lan.run_until(500 * MS);
        lan.assert_meshed(seed);
        handshakes += lan.conns.len();
        pairs += 66;
    }
    // The first that each hears is waited for less.
    assert!(handshakes * 100 <= pairs * 120, "{handshakes} handshakes for {pairs} pairs");
}

#[test]
fn one_common_partner_is_enough_for_all_to_meet() {
    // Also where each new link brings only some of the members, taken by chance.
    for (seed, nodes, most_told) in (0..50).map(|seed| (seed, 16, 64)).chain([(50, 64, 24), (51, 64, 24)]) {
        let mut lan = Lan::new(seed, nodes);
        (lan.telling, lan.most_told) = (true, most_told);
        for from in 1..usize::from(nodes) {
            lan.later(Step::Heartbeat { from, to: 0 });
        }
        lan.run_until(1_000 * MS);
        lan.assert_meshed(seed);
        for (node, told) in lan.told.iter().enumerate() {
            assert!(told.iter().all(|event| matches!(event, Event::Up(_))), "seed {seed} {node}: {told:?}");
        }
    }
}

fn member(n: u64) -> Member {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Member { id: NodeId::from_bytes(bytes), addrs: vec![addr(3)], host: None }
}

/// An insider makes nodes up: that costs it its word, and the others their place in no queue.
#[test]
fn made_up_members_cost_bounded_dials_and_keep_nobody_out() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_offer(now, &offer(1, 1));
    events(&mut mesh);
    let told: Vec<_> = (0..100_000).map(member).collect();
    mesh.handle_members(now, &mut rng, id(1), &told);
    assert_eq!(mesh.peers.len(), MAX_PEERS + 1);
    let dialed = dials(&mut mesh, now + Duration::from_secs(1));
    assert_eq!(dialed.len(), dials::FIRST_DIALS / 2);
    assert!(dialed.iter().all(|dial| dial.via == Via::Member));
    // One that is heard is dialed at once all the same.
    mesh.handle_seen(now, &mut rng, id(2), vec![addr(2)], false);
    let heard = dials(&mut mesh, now + Duration::from_secs(1));
    assert_eq!(heard.iter().map(|dial| dial.target).collect::<Vec<_>>(), [Target::Node(id(2))]);
    assert_eq!(mesh.state_of(id(1)), (1, true));
    // Half a minute later they are forgotten.
    mesh.handle_timeout(now + CANDIDATE_FOR);
    assert!(mesh.peers.len() <= 2, "{}", mesh.peers.len());
    assert_eq!(events(&mut mesh), []);
}

#[test]
fn being_told_of_adds_and_changes_nothing_else() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    let told = |n| Member { id: id(n), addrs: vec![addr(n)], host: None };
    mesh.handle_members(now, &mut rng, id(1), &[told(3)]);
    assert!(mesh.peers.is_empty(), "who is not linked has no word");
    mesh.handle_offer(now, &offer(1, 1));
    mesh.handle_offer(now, &offer(2, 2));
    mesh.handle_closed(now, &mut rng, id(2), 2, DownReason::Left);
    events(&mut mesh);
    // Itself, one that left, one that is linked, one without an address.
    let nobody = Member { id: id(4), addrs: vec![], host: None };
    mesh.handle_members(now, &mut rng, id(1), &[told(9), told(2), told(1), nobody]);
    assert_eq!(mesh.peers.len(), 1);
    assert_eq!(dials(&mut mesh, now + Duration::from_secs(1)), []);
    mesh.handle_members(now, &mut rng, id(1), &[told(3)]);
    let dialed = dials(&mut mesh, now + Duration::from_secs(1));
    assert_eq!(
        dialed.iter().map(|dial| (dial.via, dial.addrs.clone())).collect::<Vec<_>>(),
        [(Via::Member, vec![addr(3)])]
    );
    mesh.handle_offer(now, &Offer { via: Via::Member, ..offer(3, 3) });
    assert_eq!(mesh.via(id(3)), Some(Via::Member));
}

#[test]
fn a_silent_link_is_replaced_by_another_way_without_an_event() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(now, &mut rng, id(1), vec![addr(2), addr(3)], false);
    mesh.handle_offer(now, &offer(1, 1));
    mesh.handle_told(id(1), &[addr(2), addr(4)]);
    events(&mut mesh);
    assert_eq!(dials(&mut mesh, now), []);
    mesh.handle_suspect(now, id(1), 7);
    assert_eq!(dials(&mut mesh, now), [], "an old link is of no interest");
    mesh.handle_suspect(now, id(1), 1);
    assert_eq!(mesh.state_of(id(1)), (1, false));
    let dialed = dials(&mut mesh, now);
    assert_eq!(dialed[0].addrs, [addr(4), addr(3), addr(2)], "the silent way comes last");
    // It fails at first, and is tried again; the peer may have noticed nothing.
    mesh.handle_dial_ended(now, &mut rng, dialed[0].number, Outcome::Failed);
    let later = now + 200 * MS;
    assert_eq!(dials(&mut mesh, later).len(), 1);
    let here = Offer { seen: 1, live: true, ..offer(1, 2) };
    assert_eq!(mesh.handle_offer(later, &here), Decision::Adopt { number: 2, replaces: Some(1) });
    assert_eq!((mesh.state_of(id(1)), events(&mut mesh)), ((2, true), vec![]));
    assert_eq!(dials(&mut mesh, later + Duration::from_secs(9)), []);
}

#[test]
fn a_suspected_link_that_lives_is_kept() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(now, &mut rng, id(1), vec![addr(2)], false);
    mesh.handle_offer(now, &offer(1, 1));
    mesh.handle_suspect(now, id(1), 1);
    mesh.handle_alive(id(1), 1);
    assert_eq!(dials(&mut mesh, now + Duration::from_secs(1)), []);
    assert_eq!(mesh.handle_offer(now, &Offer { seen: 1, live: true, ..offer(1, 2) }), Decision::Refuse);
    assert_eq!((mesh.state_of(id(1)), mesh.poll_timeout()), ((1, true), None));
    // A dial that hung since the first silence does not hold up the one of the next.
    mesh.handle_suspect(now, id(1), 1);
    assert_eq!(dials(&mut mesh, now).len(), 1);
    mesh.handle_alive(id(1), 1);
    mesh.handle_suspect(now + MS, id(1), 1);
    assert_eq!(dials(&mut mesh, now + MS).len(), 1);
}

/// Each of a hundred members tells of a node that a firewall keeps from this one.
#[test]
fn being_told_again_of_a_node_that_is_not_reached_hurries_no_dial() {
    let (mut now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    mesh.handle_offer(now, &offer(1, 1));
    let told = [Member { id: id(3), addrs: vec![addr(3)], host: None }];
    mesh.handle_members(now, &mut rng, id(1), &told);
    let end = now + Duration::from_secs(20);
    let mut tries = 0;
    while now < end {
        for dial in dials(&mut mesh, now) {
            tries += 1;
            mesh.handle_dial_ended(now, &mut rng, dial.number, Outcome::Failed);
        }
        now += 100 * MS;
        mesh.handle_members(now, &mut rng, id(1), &told);
    }
    assert!((6..=10).contains(&tries), "{tries} dials in 20 s");
    // A new address is news.
    mesh.handle_members(now, &mut rng, id(1), &[Member { id: id(3), addrs: vec![addr(4)], host: None }]);
    assert_eq!(dials(&mut mesh, now + 250 * MS).len(), 1);
}

/// Hundreds that start together would else wait for each other longer than a handshake may take.
#[test]
fn fewer_dials_are_under_way_while_handshakes_are_slow() {
    let (mut now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(255));
    let mut under_way = |took: Duration, rounds: u64| {
        let mut most = 0;
        for round in 0..rounds {
            for n in 0..100 {
                let Member { id, addrs, .. } = member(round * 1_000 + n);
                mesh.handle_seen(now, &mut rng, id, addrs, false);
            }
            now += Duration::from_secs(1);
            let dialed = dials(&mut mesh, now);
            most = dialed.len();
            now += took;
            for Dial { number, target, .. } in dialed {
                let Target::Node(id) = target else { panic!("a partner") };
                mesh.handle_dial_ended(now, &mut rng, number, Outcome::Reached(id));
                mesh.handle_left(id);
            }
        }
        most
    };
    assert_eq!(under_way(Duration::from_secs(1), 10), dials::MIN_DIALS);
    assert_eq!(under_way(MS, 10), dials::MAX_DIALS);
}
