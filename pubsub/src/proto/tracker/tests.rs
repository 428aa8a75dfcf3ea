use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::proto::presence::{CHARGE, MAX_ENTRIES, MAX_OWN_BYTES, MAX_PEER_BYTES};
use crate::proto::replica::MAX_FRAME;

mod sim;

fn bus() -> BusName {
    BusName::default()
}

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn here(on: &str, key: &str, meta: &[u8]) -> Here {
    Here { bus: bus(), topic: topic(on), key: key.into(), meta: Bytes::copy_from_slice(meta) }
}

fn place(key: &str, node: Option<u8>, id: u64) -> Place<u8> {
    Place { key: key.into(), node, id }
}

fn meta(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn listed(tracker: &Tracker<u8>, on: &str) -> Vec<(String, Option<u8>, u64, Vec<u8>)> {
    let all = tracker.list(&bus(), &topic(on));
    all.map(|(place, meta)| (place.key.to_string(), place.node, place.id, meta.to_vec())).collect()
}

/// Carries frames both ways until neither side has any.
fn settle(a: &mut Tracker<u8>, b: &mut Tracker<u8>) {
    let (mut buf, mut moved) = (Vec::new(), true);
    while std::mem::take(&mut moved) {
        while a.poll_transmit(&1, &mut buf) {
            assert!(buf.len() <= MAX_FRAME && is_about(&buf));
            b.handle_control(&0, &std::mem::take(&mut buf)).unwrap();
            moved = true;
        }
        while b.poll_transmit(&0, &mut buf) {
            a.handle_control(&1, &std::mem::take(&mut buf)).unwrap();
            moved = true;
        }
    }
}

fn linked() -> (Tracker<u8>, Tracker<u8>) {
    let (mut a, mut b) = (Tracker::default(), Tracker::default());
    a.handle_linked(&1);
    b.handle_linked(&0);
    (a, b)
}

#[test]
fn a_key_may_be_there_several_times_with_several_metas() {
    let (mut a, mut b) = linked();
    let first = a.track(here("room", "ann", b"desk")).unwrap();
    let second = a.track(here("room", "ann", b"phone")).unwrap();
    b.track(here("room", "ann", b"sofa")).unwrap();
    b.track(here("room", "annabel", b"")).unwrap();
    b.track(here("hall", "ann", b"")).unwrap();
    settle(&mut a, &mut b);
    assert_eq!(a.find(&bus(), &topic("room"), "ann").count(), 3);
    assert_eq!(a.find(&bus(), &topic("room"), "an").count(), 0);
    assert_eq!(listed(&b, "room").len(), 4);
    a.untrack(first);
    a.update(second, meta("car")).unwrap();
    settle(&mut a, &mut b);
    let of_a = b.list(&bus(), &topic("room")).find(|(place, _)| place.node == Some(0)).unwrap();
    assert_eq!(of_a, (&place("ann", Some(0), second), &meta("car")));
    b.handle_gone(&0);
    assert_eq!(listed(&b, "room").len(), 2);
    // What nobody is in or watches is forgotten.
    b.clear();
    assert!(b.spaces.is_empty());
    a.handle_closed();
    assert!(a.spaces.is_empty());
}

#[test]
fn a_watcher_is_told_the_way_from_what_it_knows_to_what_is() {
    let mut a = Tracker::<u8>::default();
    let ann = a.track(here("room", "ann", b"1")).unwrap();
    let watch = a.watch(&bus(), &topic("room"));
    assert_eq!(a.poll_change(watch), Some(Event::Joined(place("ann", None, ann), meta("1"))));
    assert_eq!(a.poll_change(watch), None);
    assert_eq!(a.poll_woken(), None);
    for n in 2..10_u8 {
        a.update(ann, Bytes::copy_from_slice(&[b'0' + n])).unwrap();
        let seen = a.track(here("room", "bob", b"")).unwrap();
        a.untrack(seen);
    }
    assert_eq!((a.poll_woken(), a.poll_woken()), (Some(watch), None), "woken once until it is read");
    let updated = Event::Updated { place: place("ann", None, ann), was: meta("1"), now: meta("9") };
    assert_eq!(a.poll_change(watch), Some(updated));
    assert_eq!(a.poll_change(watch), None, "bob came and went unseen");
    // Away and back with the same meta: nothing to tell.
    a.update(ann, meta("x")).unwrap();
    a.update(ann, meta("9")).unwrap();
    assert_eq!(a.poll_change(watch), None);
    a.track(here("hall", "cat", b"")).unwrap();
    assert_eq!(a.poll_change(watch), None, "another topic");
    a.update(ann, meta("unseen")).unwrap();
    a.untrack(ann);
    assert_eq!(a.poll_change(watch), Some(Event::Left(place("ann", None, ann), meta("9"))));
    a.unwatch(watch);
    a.track(here("room", "dan", b"")).unwrap();
    assert_eq!(a.poll_change(watch), None);
}

#[test]
fn a_slow_watcher_takes_no_more_memory_than_there_are_keys() {
    let mut a = Tracker::<u8>::default();
    let watch = a.watch(&bus(), &topic("room"));
    for n in 0..10_000 {
        let id = a.track(here("room", "ann", &[1])).unwrap();
        a.update(id, meta("2")).unwrap();
        if n > 0 {
            a.untrack(id);
        }
    }
    let (_, watcher) = &a.watchers[&watch];
    assert_eq!(watcher.waiting(), 1);
    while a.poll_change(watch).is_some() {}
    let (_, watcher) = &a.watchers[&watch];
    assert_eq!(watcher.waiting(), 0);
}

#[test]
fn a_node_says_no_more_than_its_peers_take() {
    let (mut a, mut b) = linked();
    for _ in 0..MAX_ENTRIES {
        a.track(here("t", "k", b"")).unwrap();
    }
    let full = a.track(here("t", "k", b"")).unwrap_err();
    assert_eq!(full.entries, MAX_ENTRIES);
    settle(&mut a, &mut b);
    assert_eq!((listed(&b, "t").len(), b.refused()), (MAX_ENTRIES, 0));
}

/// Those with low ids are told to have grown before those with high ids are told to be gone.
#[test]
fn what_grows_fits_beside_what_is_gone_and_not_told_to_be() {
    let (mut a, mut b) = linked();
    let small: Vec<u64> = (0..1_010).map(|_| a.track(here("t", "k", b"")).unwrap()).collect();
    let mut large = Vec::new();
    while let Ok(id) = a.track(here("t", "k", &[1; 16_000])) {
        large.push(id);
    }
    assert!(large.len() > 1_000);
    settle(&mut a, &mut b);
    large.into_iter().for_each(|id| a.untrack(id));
    for id in &small {
        a.update(*id, vec![2; 16_000].into()).unwrap();
    }
    settle(&mut a, &mut b);
    assert_eq!((b.refused(), listed(&b, "t").len()), (0, small.len()));
}

/// Whatever stands at the peer side by side of what was and what is: it fits.
#[test]
fn metas_that_grow_and_shrink_at_the_limit_are_never_refused() {
    for seed in 0..6 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut a, mut b) = linked();
        let mut own = Vec::new();
        for _ in 0..12_000 {
            let size = if rng.bool() { rng.usize(14_000..16_000) } else { rng.usize(..100) };
            let body = vec![rng.u8(..); size];
            match rng.u8(0..6) {
                0..=2 => own.extend(a.track(here("t", "k", &body)).ok()),
                3 if !own.is_empty() => {
                    let _ = a.update(own[rng.usize(..own.len())], body.into());
                }
                4 if !own.is_empty() => a.untrack(own.swap_remove(rng.usize(..own.len()))),
                5 if rng.u8(..) == 0 => {
                    a.handle_linked(&1);
                    b.handle_linked(&0);
                }
                _ => {
                    let mut buf = Vec::new();
                    if a.poll_transmit(&1, &mut buf) {
                        b.handle_control(&0, &buf).unwrap();
                    }
                    buf.clear();
                    if rng.bool() && b.poll_transmit(&0, &mut buf) {
                        a.handle_control(&1, &buf).unwrap();
                    }
                }
            }
            assert_eq!(b.refused(), 0, "seed {seed}");
        }
        settle(&mut a, &mut b);
        let said = |tracker: &Tracker<u8>| {
            listed(tracker, "t").into_iter().map(|(_, _, id, meta)| (id, meta)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(said(&a), said(&b), "seed {seed}");
    }
}

#[test]
fn a_peer_that_says_too_much_is_refused_and_the_rest_of_it_kept() {
    let (mut a, mut b) = linked();
    let most = MAX_PEER_BYTES / 16_384;
    let mut number = 0;
    let mut told = 0;
    // Frames as a node without limits would send them.
    while b.refused() == 0 {
        number += 1;
        let mut frame = vec![3, u8::from(number == 1), 1];
        crate::proto::replica::append(&mut frame, &(number as u64));
        let mut fields = Vec::new();
        here("t", "k", &vec![0; 16_384]).write_add(number as u64, &mut fields);
        crate::proto::replica::append(&mut frame, &(1_u8, fields.len()));
        frame.extend(fields);
        b.handle_control(&0, &frame).unwrap();
        told += 1;
        assert!(told <= most + 1);
    }
    let kept = listed(&b, "t").len();
    assert_eq!(kept, told - 1);
    assert!(kept * (16_384 + CHARGE) <= MAX_PEER_BYTES && MAX_PEER_BYTES > MAX_OWN_BYTES);
    b.handle_gone(&0);
    assert!(b.spaces.is_empty());
    a.handle_gone(&1);
}

#[test]
fn hostile_frames_are_errors() {
    let (_, mut b) = linked();
    let add = |id: u8, on: &[u8], key: &[u8]| {
        let mut fields = vec![id, 1, b'x', on.len() as u8];
        fields.extend(on);
        fields.push(key.len() as u8);
        fields.extend(key);
        fields.extend([1, b'm']);
        let mut item = vec![1, fields.len() as u8];
        item.extend(fields);
        item
    };
    let frame = |number: u8, items: &[u8]| [&[3, u8::from(number == 1), 1, number], items].concat();
    assert_eq!(b.handle_control(&0, &frame(1, &add(1, b"t", b"k"))), Ok(()));
    assert_eq!(b.handle_control(&0, &frame(2, &add(1, b"t", b"k"))), Err(ControlError::IdOrder(1)));
    assert_eq!(b.handle_control(&0, &frame(3, &add(2, b"*", b"k"))), Err(ControlError::Invalid(2)));
    assert_eq!(b.handle_control(&0, &frame(4, &add(2, b"t", b""))), Err(ControlError::Invalid(2)));
    assert_eq!(b.handle_control(&0, &frame(5, &[1, 200])), Err(ControlError::Malformed));
    assert_eq!(b.handle_control(&0, &frame(6, &[1, 1, 9])), Err(ControlError::Malformed));
    assert_eq!(b.list(&"x".parse().unwrap(), &topic("t")).count(), 1, "what was told stays in force");
    assert_eq!(b.handle_control(&9, &frame(1, &add(1, b"t", b"k"))), Ok(()), "of nobody");
    for seed in 0..20_000 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut frame = vec![rng.u8(3..=4), rng.u8(0..4), rng.u8(0..3), rng.u8(0..3)];
        frame.extend((0..rng.usize(0..40)).map(|_| rng.u8(..) & if rng.bool() { 7 } else { 255 }));
        let _ = b.handle_control(&0, &frame);
        b.poll_transmit(&0, &mut Vec::new());
    }
    b.handle_gone(&0);
    assert!(b.spaces.is_empty());
}

#[test]
fn many_keys_beyond_one_window_arrive() {
    let (mut a, mut b) = linked();
    for n in 0..2_000 {
        a.track(here("t", &format!("key {n:04}"), &[7; 400])).unwrap();
    }
    settle(&mut a, &mut b);
    assert_eq!(listed(&b, "t").len(), 2_000);
    let keys: BTreeSet<_> = listed(&b, "t").into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys.len(), 2_000);
}
