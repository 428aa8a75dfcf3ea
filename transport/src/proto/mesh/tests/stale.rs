//! Links that are made anew for the sake of their secret.

use talkie_discovery::SecretMark;

use super::*;

fn mark(n: u8) -> SecretMark {
    SecretMark::from_bytes([n; SecretMark::LEN])
}

fn linked(now: Instant) -> Mesh {
    let mut mesh = Mesh::new(id(9));
    mesh.handle_seen(now, &mut fastrand::Rng::with_seed(1), id(1), vec![addr(1), addr(2)], false);
    mesh.handle_offer(now, &offer(1, 1));
    events(&mut mesh);
    assert_eq!(dials(&mut mesh, now), []);
    mesh
}

#[test]
fn a_stale_link_is_dialed_anew_and_replaced_without_an_event() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = linked(now);
    mesh.handle_stale(now, id(1), 7, mark(5));
    assert_eq!(dials(&mut mesh, now), [], "an old link is of no interest");
    mesh.handle_stale(now, id(1), 1, mark(5));
    let dialed = dials(&mut mesh, now);
    assert_eq!(
        (dialed[0].secret, &dialed[0].addrs[..]),
        (Some(mark(5)), &[addr(1), addr(2)][..]),
        "its way works"
    );
    // A heartbeat under another one meanwhile changes nothing; the peer may not follow at once.
    mesh.handle_secret(id(1), mark(1));
    mesh.handle_dial_ended(now, &mut rng, dialed[0].number, Outcome::Failed);
    let later = now + 200 * MS;
    assert_eq!(dials(&mut mesh, later)[0].secret, Some(mark(5)));
    let here = Offer { seen: 1, live: true, ..offer(1, 2) };
    assert_eq!(mesh.handle_offer(later, &here), Decision::Adopt { number: 2, replaces: Some(1) });
    assert_eq!((mesh.state_of(id(1)), events(&mut mesh)), ((2, true), vec![]));
    assert_eq!(dials(&mut mesh, later + Duration::from_secs(9)), []);
}

#[test]
fn a_link_is_kept_only_where_nothing_else_is_wrong_with_it() {
    let now = Instant::now();
    let mut mesh = linked(now);
    mesh.handle_stale(now, id(1), 1, mark(5));
    mesh.handle_kept(id(1), 1);
    assert_eq!(dials(&mut mesh, now), []);
    mesh.handle_stale(now, id(1), 1, mark(5));
    mesh.handle_suspect(now, id(1), 1);
    mesh.handle_kept(id(1), 1);
    assert_eq!(dials(&mut mesh, now).len(), 1, "it is still silent");
    let mut mesh = linked(now);
    mesh.handle_suspect(now, id(1), 1);
    mesh.handle_stale(now, id(1), 1, mark(5));
    mesh.handle_alive(id(1), 1);
    assert_eq!(dials(&mut mesh, now).len(), 1, "it is still stale");
}

#[test]
fn a_node_is_dialed_under_the_secret_that_it_was_heard_under_last() {
    let (now, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9));
    for n in [1, 5] {
        mesh.handle_seen(now, &mut rng, id(1), vec![addr(1)], false);
        mesh.handle_secret(id(1), mark(n));
    }
    assert_eq!(dials(&mut mesh, now)[0].secret, Some(mark(5)));
}
