//! Whom a node of this host is dialed by.

use super::*;

fn host(n: u8) -> Option<HostMark> {
    HostMark::from_bytes([n; HostMark::LEN])
}

/// By whose Unix sockets the next dials begin.
fn doors(mesh: &mut Mesh, now: Instant) -> Vec<Option<NodeId>> {
    dials(mesh, now).into_iter().map(|dial| dial.unix).collect()
}

#[test]
fn only_a_node_of_this_host_is_dialed_by_its_unix_socket() {
    let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    for (ours, theirs, expected) in [
        (host(7), host(7), Some(id(1))),
        (host(7), host(8), None),
        (host(7), None, None),
        (None, host(7), None),
        (None, None, None),
    ] {
        let mut mesh = Mesh::new(id(9)).on_host(ours);
        mesh.handle_seen(start, &mut rng, id(1), vec![addr(1)], false);
        mesh.handle_host(id(1), theirs);
        assert_eq!(doors(&mut mesh, start), [expected], "{ours:?} {theirs:?}");
    }
}

#[test]
fn a_member_tells_the_host_of_another_and_never_takes_it_away() {
    let (start, mut rng) = (Instant::now(), fastrand::Rng::with_seed(1));
    let mut mesh = Mesh::new(id(9)).on_host(host(7));
    assert!(matches!(mesh.handle_offer(start, &offer(1, 1)), Decision::Adopt { .. }));
    let told = |n: u8, host| Member { id: id(n), addrs: vec![addr(n)], host };
    mesh.handle_members(start, &mut rng, id(1), &[told(2, host(7)), told(3, None)]);
    let mut first = doors(&mut mesh, start + Duration::from_secs(1));
    first.sort();
    assert_eq!(first, [None, Some(id(2))]);
    // Its own word counts for more, whatever else others say.
    mesh.handle_host(id(2), host(8));
    mesh.handle_members(start, &mut rng, id(1), &[told(2, host(7))]);
    mesh.handle_host(id(3), host(7));
    mesh.handle_members(start, &mut rng, id(1), &[told(3, None)]);
    let later = start + Duration::from_secs(2);
    for (n, expected) in [(2, None), (3, Some(id(3)))] {
        mesh.handle_seen(later, &mut rng, id(n), vec![addr(n)], false);
        assert_eq!(doors(&mut mesh, later), [expected], "node {n}");
    }
    // The partner is on this host, as its hello says: found again, it is dialed by its socket.
    mesh.handle_told(id(1), &[addr(1)]);
    mesh.handle_host(id(1), host(7));
    assert_eq!(mesh.members().map(|(_, _, host)| host).collect::<Vec<_>>(), [host(7)]);
    mesh.handle_closed(later, &mut rng, id(1), 1, DownReason::Closed);
    assert_eq!(doors(&mut mesh, later), [Some(id(1))]);
}
