use super::*;

/// Hands on what one side has to say, without an answer.
fn one_way(from: &mut Replica<usize>, peer: usize, to: &mut Replica<usize>, own: usize) {
    let mut buf = Vec::new();
    while from.poll_transmit(&peer, &mut buf) {
        to.handle_control(&own, &std::mem::take(&mut buf)).unwrap();
    }
}

#[test]
fn an_entry_is_confirmed_when_the_peer_has_acknowledged_it() {
    let (mut a, mut b) = linked();
    let mut seen = Seen::default();
    let (interest, _) = a.subscribe(&bus("x"), &pattern("a"));
    assert!(!a.is_confirmed(interest.id, &mut seen), "it was not told yet");
    one_way(&mut a, 1, &mut b, 0);
    assert!(!a.is_confirmed(interest.id, &mut seen), "it may be on its way");
    // What changes later is no reason to wait longer.
    a.subscribe(&bus("x"), &pattern("a"));
    let mut later = Seen::default();
    assert!(!a.is_confirmed(interest.id, &mut later));
    one_way(&mut b, 0, &mut a, 1);
    assert!(a.is_confirmed(interest.id, &mut seen));
    assert!(!a.is_confirmed(interest.id, &mut later), "the second subscription has another epoch");
    settle(&mut a, &mut b);
    assert!(a.is_confirmed(interest.id, &mut later));
    // On another link the peer may be another process: all is told again.
    a.handle_linked(&1);
    b.handle_linked(&0);
    assert!(!a.is_confirmed(interest.id, &mut seen));
    settle(&mut a, &mut b);
    assert!(a.is_confirmed(interest.id, &mut seen));
    // One that goes is not waited for.
    a.handle_linked(&2);
    assert!(!a.is_confirmed(interest.id, &mut seen));
    a.handle_unlinked(&2);
    assert!(a.is_confirmed(interest.id, &mut seen));
}

#[test]
fn what_does_not_fit_into_the_window_is_not_confirmed_before_it_is_told() {
    let (mut a, mut b) = linked();
    let last = (0..60_000).map(|n| a.subscribe(&bus("x"), &pattern(&format!("topic/{n}"))).0).last().unwrap();
    let mut seen = Seen::default();
    one_way(&mut a, 1, &mut b, 0);
    let mut rounds = 0;
    while !a.is_confirmed(last.id, &mut seen) {
        one_way(&mut b, 0, &mut a, 1);
        assert!(rounds > 0 || !a.is_confirmed(last.id, &mut seen), "some frames are not sent yet");
        one_way(&mut a, 1, &mut b, 0);
        rounds += 1;
    }
    assert!(rounds > 1 && view(&b, 0).contains_key(&last.id));
}
