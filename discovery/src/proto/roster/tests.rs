use super::*;
use crate::proto::beacon::tests::beacon;

#[expect(clippy::disallowed_methods, reason = "some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

const SECOND: Duration = Duration::from_secs(1);

struct Rig {
    now: Instant,
    secret: SecretMark,
    roster: Roster,
}

impl Rig {
    fn new() -> Self {
        Self {
            now: start(),
            secret: SecretMark::from_bytes([1; 8]),
            roster: Roster::new(NodeId::from_bytes([0; 16])),
        }
    }

    fn hear_by(&mut self, way: u64, beacon: &Beacon, addrs: &[&str]) -> Heard {
        let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
        self.roster.handle_beacon(self.now, Way(way), self.secret, beacon, addrs)
    }

    fn hear(&mut self, beacon: &Beacon) -> Heard {
        self.hear_by(1, beacon, &["192.0.2.7:8255"])
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.roster.poll_event()).collect()
    }
}

fn left(id: u8, sequence: u64) -> Beacon {
    Beacon { leaving: true, ..beacon(id, sequence) }
}

fn numbered(n: usize, sequence: u64) -> Beacon {
    let mut bytes = [1; 16];
    bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
    Beacon { id: NodeId::from_bytes(bytes), ..beacon(1, sequence) }
}

fn is_seen(events: &[Event]) -> bool {
    matches!(events, [Event::Seen { .. }])
}

#[test]
fn the_secret_of_the_newest_heartbeat_is_told() {
    let mut rig = Rig::new();
    for (sequence, mark) in [(1, 1), (2, 2), (3, 1)] {
        rig.secret = SecretMark::from_bytes([mark; 8]);
        rig.hear(&beacon(7, sequence));
        let [Event::Seen { secret, .. }] = rig.events()[..] else { panic!() };
        assert!(secret == rig.secret);
    }
    // A copy of it by another way says the same, however it was sealed.
    rig.secret = SecretMark::from_bytes([2; 8]);
    assert_eq!(rig.hear_by(2, &beacon(7, 3), &["192.0.2.8:8255"]), Heard::Copy);
    let [Event::Seen { secret, .. }] = rig.events()[..] else { panic!() };
    assert!(secret == SecretMark::from_bytes([1; 8]));
}

#[test]
fn each_fresh_heartbeat_is_told_once() {
    let mut rig = Rig::new();
    for sequence in [1, 2, 5, 100] {
        assert_eq!(rig.hear(&beacon(7, sequence)), Heard::Fresh);
        let [Event::Seen { id, name, addrs, .. }] = &rig.events()[..] else { panic!() };
        assert_eq!((*id, name), (NodeId::from_bytes([7; 16]), &beacon(7, 1).name));
        assert_eq!(addrs[..], ["192.0.2.7:8255".parse().unwrap()]);
    }
    assert_eq!(rig.roster.population(), 2);
}

#[test]
fn our_own_is_not_news() {
    let mut rig = Rig::new();
    assert_eq!(rig.hear(&beacon(0, 1)), Heard::Own);
    assert!(rig.events().is_empty());
    assert_eq!(rig.roster.population(), 1);
}

#[test]
fn replays_change_nothing() {
    let mut rig = Rig::new();
    for sequence in 1..=100 {
        rig.hear(&beacon(7, sequence));
    }
    rig.events();
    for round in 0..100 {
        for sequence in 1..=100 {
            assert_eq!(rig.hear(&beacon(7, sequence)), Heard::Replayed, "round {round}");
        }
    }
    assert!(rig.events().is_empty());
}

#[test]
fn a_copy_by_another_way_is_neither_fresh_nor_replayed() {
    let mut rig = Rig::new();
    assert_eq!(rig.hear_by(1, &beacon(7, 1), &["192.0.2.7:1"]), Heard::Fresh);
    assert!(is_seen(&rig.events()));
    assert_eq!(rig.hear_by(2, &beacon(7, 1), &["192.0.2.7:1"]), Heard::Copy);
    assert!(rig.events().is_empty(), "nothing new in it");
    assert_eq!(rig.hear_by(3, &beacon(7, 1), &["[fe80::7%3]:1"]), Heard::Copy);
    let [Event::Seen { addrs, .. }] = &rig.events()[..] else { panic!() };
    assert_eq!(addrs.len(), 2, "an address more is told");
    for way in 1..=3 {
        assert_eq!(rig.hear_by(way, &beacon(7, 1), &["192.0.2.8:1"]), Heard::Replayed);
    }
    for way in 4..100 {
        let addr = format!("192.0.2.{way}:1");
        rig.hear_by(way, &beacon(7, 1), &[&addr]);
    }
    let [Event::Seen { addrs, .. }] = &rig.events()[..] else { panic!() };
    assert_eq!(addrs.len(), MAX_KNOWN);
    assert_eq!(rig.hear_by(200, &beacon(7, 1), &[]), Heard::Replayed, "ways are bounded");
}

#[test]
fn a_node_on_two_networks_has_the_addresses_of_both() {
    let mut rig = Rig::new();
    let told = |rig: &mut Rig| {
        let events = rig.events();
        let [Event::Seen { addrs, .. }] = &events[..] else { panic!("{events:?}") };
        addrs.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let (one, other) = (["192.0.2.7:1", "[fe80::7%2]:1"], ["198.51.100.7:1", "192.0.2.7:1"]);
    rig.hear_by(1, &beacon(7, 1), &one);
    rig.hear_by(2, &beacon(7, 1), &other);
    assert_eq!(told(&mut rig), ["192.0.2.7:1", "[fe80::7%2]:1", "198.51.100.7:1"]);
    // Each heartbeat tells of both at once, whichever way it comes by first; that way's addresses come first.
    rig.now += SECOND;
    rig.hear_by(2, &beacon(7, 2), &other);
    assert_eq!(told(&mut rig), ["198.51.100.7:1", "192.0.2.7:1", "[fe80::7%2]:1"]);
    rig.hear_by(1, &beacon(7, 2), &one);
    assert!(rig.events().is_empty(), "nothing new in the copy");
    // One network is cut, and the other's address changes: what was told by the one remains for a while.
    for sequence in 3..=12 {
        rig.now += SECOND;
        rig.hear_by(2, &beacon(7, sequence), &["198.51.100.8:1"]);
        assert_eq!(told(&mut rig), ["198.51.100.8:1", "192.0.2.7:1", "[fe80::7%2]:1"], "{sequence}");
    }
    rig.now += SECOND;
    rig.hear_by(2, &beacon(7, 13), &["198.51.100.8:1"]);
    assert_eq!(told(&mut rig), ["198.51.100.8:1"]);
}

#[test]
fn who_cannot_be_dialled_is_not_told() {
    let mut rig = Rig::new();
    assert_eq!(rig.hear_by(1, &beacon(7, 1), &[]), Heard::Fresh);
    assert!(rig.events().is_empty());
    assert_eq!(rig.hear_by(2, &beacon(7, 1), &["192.0.2.7:1"]), Heard::Copy);
    assert!(is_seen(&rig.events()));
}

#[test]
fn a_goodbye_is_told_once_and_is_final() {
    let mut rig = Rig::new();
    rig.hear(&beacon(7, 9));
    rig.events();
    assert_eq!(rig.hear(&left(7, 10)), Heard::Fresh);
    assert_eq!(rig.events(), [Event::Left { id: NodeId::from_bytes([7; 16]) }]);
    assert_eq!(rig.roster.population(), 1);
    for beacon in [left(7, 11), left(7, 12)] {
        assert_eq!(rig.hear(&beacon), Heard::Copy);
    }
    for sequence in 1..=12 {
        assert_eq!(rig.hear(&beacon(7, sequence)), Heard::Replayed);
    }
    assert!(rig.events().is_empty());
    assert_eq!(rig.hear(&left(8, 1)), Heard::Fresh, "of one never heard before");
    assert_eq!(rig.events(), [Event::Left { id: NodeId::from_bytes([8; 16]) }]);
}

#[test]
fn an_event_that_no_longer_holds_is_not_told() {
    let mut rig = Rig::new();
    rig.hear(&beacon(7, 1));
    rig.hear(&left(7, 2));
    assert_eq!(rig.events(), [Event::Left { id: NodeId::from_bytes([7; 16]) }]);
}

#[test]
fn a_node_that_went_silent_is_forgotten_but_not_its_sequence() {
    let mut rig = Rig::new();
    rig.hear(&beacon(7, 50));
    rig.events();
    let expires = rig.roster.poll_timeout().unwrap();
    assert_eq!(expires - rig.now, 30 * SECOND);
    rig.roster.handle_timeout(expires - Duration::from_millis(1));
    assert_eq!(rig.roster.population(), 2);
    rig.roster.handle_timeout(expires);
    assert_eq!((rig.roster.population(), rig.roster.poll_timeout()), (1, None));
    assert!(rig.events().is_empty(), "only links know who lives");
    for sequence in 1..=50 {
        assert_eq!(rig.hear(&beacon(7, sequence)), Heard::Replayed);
    }
    assert_eq!(rig.hear(&beacon(7, 51)), Heard::Fresh, "it lives after all");
    assert!(is_seen(&rig.events()));
}

#[test]
fn a_large_mesh_waits_longer_for_each() {
    let mut rig = Rig::new();
    for n in 0..1_999 {
        rig.hear(&numbered(n, 1));
    }
    assert_eq!(rig.roster.poll_timeout(), Some(rig.now + 120 * SECOND));
}

#[test]
fn the_largest_sequence_mutes_only_its_id() {
    let mut rig = Rig::new();
    assert_eq!(rig.hear(&beacon(7, u64::MAX)), Heard::Fresh);
    assert_eq!(rig.hear(&beacon(7, 1)), Heard::Replayed);
    assert_eq!(rig.hear(&left(7, u64::MAX)), Heard::Replayed);
    assert_eq!(rig.hear(&beacon(8, 1)), Heard::Fresh);
}

#[test]
fn made_up_ids_cost_bounded_memory() {
    let mut rig = Rig::new();
    for n in 0..100_000 {
        rig.now += Duration::from_millis(1);
        assert_eq!(rig.hear(&numbered(n, 5)), Heard::Fresh);
        let roster = &rig.roster;
        assert!(roster.here.len() <= MAX_NODES && roster.gone.len() <= MAX_NODES);
        assert!(roster.news.len() <= MAX_NEWS && roster.in_news.len() == roster.news.len());
    }
    assert_eq!(rig.roster.population(), MAX_NODES + 1);
    assert_eq!(rig.events().len(), MAX_NODES, "those that are still here");
    assert_eq!(rig.hear(&numbered(99_999, 5)), Heard::Replayed);
    assert_eq!(rig.hear(&numbered(99_999 - MAX_NODES, 5)), Heard::Replayed, "pushed out, but remembered");
    assert_eq!(rig.hear(&numbered(0, 5)), Heard::Fresh, "forgotten in the end");
}

#[test]
fn who_is_heard_is_not_pushed_out() {
    let mut rig = Rig::new();
    for n in 0..MAX_NODES {
        rig.hear(&numbered(n, 1));
    }
    rig.hear(&numbered(0, 2));
    rig.hear(&numbered(MAX_NODES, 1));
    assert!(rig.roster.here.value(numbered(0, 0).id).is_some());
    assert!(rig.roster.here.value(numbered(1, 0).id).is_none(), "the least recently heard is");
}

#[test]
fn who_was_spoken_to_since_it_was_heard_has_heard_us() {
    let mut rig = Rig::new();
    let mutual = |rig: &mut Rig, sequence| {
        rig.hear(&beacon(7, sequence));
        let [Event::Seen { mutual, .. }] = rig.events()[..] else { panic!() };
        mutual
    };
    let millis = Duration::from_millis;
    assert!(!mutual(&mut rig, 1), "nothing was sent at all");
    rig.now += SECOND;
    assert!(!mutual(&mut rig, 2));
    rig.roster.handle_sent(rig.now + millis(1));
    rig.now += SECOND;
    assert!(mutual(&mut rig, 3));
    rig.now += 3 * SECOND;
    assert!(mutual(&mut rig, 4), "two lost heartbeats are no silence");
    // Silence: it may have been cut off, and what was sent meanwhile lost.
    rig.roster.handle_sent(rig.now + millis(3_000));
    rig.now += millis(3_003);
    assert!(!mutual(&mut rig, 5));
    rig.roster.handle_sent(rig.now);
    assert!(mutual(&mut rig, 6));
    // Both started together.
    for (before, expected) in [(0, true), (2, true), (3, false)] {
        let mut rig = Rig::new();
        rig.roster.handle_sent(rig.now);
        rig.now += millis(before);
        assert_eq!(mutual(&mut rig, 1), expected, "{before} ms");
    }
    // The event is held until it is read: what was sent meanwhile counts.
    let mut rig = Rig::new();
    rig.hear(&beacon(7, 1));
    rig.roster.handle_sent(rig.now);
    assert!(matches!(rig.events()[..], [Event::Seen { mutual: true, .. }]));
}

#[test]
fn random_histories_keep_the_rules() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rig = Rig::new();
        let mut newest = [0_u64; 6];
        let mut left_at = [false; 6];
        for _ in 0..400 {
            rig.now += Duration::from_millis(rng.u64(0..3_000));
            rig.roster.handle_timeout(rig.now);
            let n = rng.usize(1..6);
            let sequence = rng.u64(1..40) + newest[n].saturating_sub(20);
            let leaving = rng.u8(..) < 6;
            let heard = rig.hear_by(rng.u64(0..3), &Beacon { leaving, ..beacon(n as u8, sequence) }, &[]);
            if heard == Heard::Fresh {
                assert!(sequence > newest[n] && !left_at[n], "seed {seed}");
                left_at[n] = leaving;
            } else {
                assert!(sequence <= newest[n] || left_at[n], "seed {seed}");
            }
            newest[n] = newest[n].max(sequence);
        }
    }
}

#[test]
fn a_node_is_told_with_its_host_as_its_newest_heartbeat_has_it() {
    let mut rig = Rig::new();
    for (sequence, host) in [(1, HostMark::from_bytes([9; HostMark::LEN])), (2, None)] {
        rig.hear_by(1, &Beacon { host, ..beacon(7, sequence) }, &["192.0.2.7:1"]);
        let [Event::Seen { host: told, .. }] = rig.events()[..] else { panic!() };
        assert_eq!(told, host);
    }
}
