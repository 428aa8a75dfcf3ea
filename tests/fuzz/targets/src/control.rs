//! What a peer says of itself, if it may say what it will: its interests, and who is present on it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use talkie_pubsub::proto::interest::OwnInterests;
use talkie_pubsub::proto::presence::OwnEntries;
use talkie_pubsub::proto::replica::{Change, Entry, MAX_FRAME, Own, Replica};

use crate::feed::Feed;

/// What is told of each change is what is so then. No peer is charged anything but what it says, within its bounds; what it said before
/// stays where a frame is refused, and when it is forgotten nothing of it is left. What is answered fits into a frame.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    if feed.flag() {
        drive::<OwnInterests>(feed, interest);
    } else {
        drive::<OwnEntries>(feed, present);
    }
}

type View<E> = BTreeMap<(u8, u64), E>;

fn drive<O: Own>(mut feed: Feed<'_>, item: fn(&mut Feed<'_>, u64) -> (u8, Vec<u8>))
where
    O::Entry: Debug,
{
    let mut replica: Replica<u8, O> = Replica::default();
    let mut view: View<O::Entry> = View::new();
    let mut refused = [false; 3];
    let mut numbers = [1_u64; 3];
    while feed.more() {
        let peer = feed.byte() % 3;
        let it = usize::from(peer);
        match feed.byte() % 16 {
            0 | 1 => {
                replica.handle_linked(&peer);
                numbers[it] = 1;
            }
            2 => replica.handle_unlinked(&peer),
            3 if feed.flag() => {
                replica.handle_forgotten(&peer);
                refused[it] = false;
            }
            3 => {
                let frame = feed.bytes(60);
                let _ = replica.handle_control(&peer, frame);
            }
            4 => {
                let ack = [vec![O::Entry::FRAMES.1], varint(feed.number()), varint(feed.number())].concat();
                let _ = replica.handle_control(&peer, &ack);
            }
            _ => {
                let frame = frame::<O>(&mut feed, &mut numbers[it], item);
                let before: Vec<_> = replica.view(&peer).map(|(id, entry)| (id, entry.clone())).collect();
                if replica.handle_control(&peer, &frame).is_err() && !frame_has_items(&frame) {
                    assert!(replica.view(&peer).map(|(id, entry)| (id, entry.clone())).eq(before));
                }
            }
        }
        while let Some((peer, change)) = replica.poll_event() {
            match change {
                Change::Set { id, entry } => _ = view.insert((peer, id), entry),
                Change::Removed { id, entry } => {
                    assert_eq!(view.remove(&(peer, id)), Some(entry), "it was not there");
                }
                Change::Refused => {
                    assert!(!std::mem::replace(&mut refused[usize::from(peer)], true), "told once");
                    assert!(replica.refused(&peer) > 0);
                }
                _ => panic!("another kind"),
            }
        }
        let mut charged = 0;
        for peer in 0..3 {
            let told = view.range((peer, 0)..=(peer, u64::MAX)).map(|((_, id), entry)| (*id, entry));
            assert!(replica.view(&peer).eq(told));
            let (entries, bytes) =
                replica.view(&peer).fold((0, 0), |(n, bytes), (_, entry)| (n + 1, bytes + entry.charge()));
            assert!(entries <= O::Entry::MAX && bytes <= O::Entry::MAX_BYTES);
            charged += bytes;
        }
        assert_eq!(replica.size(), (view.len(), charged));
        let mut buf = Vec::new();
        while replica.poll_transmit(&peer, &mut buf) {
            assert!(!buf.is_empty() && buf.len() <= MAX_FRAME);
            buf.clear();
        }
    }
    (0..3).for_each(|peer| replica.handle_forgotten(&peer));
    assert_eq!((replica.size(), replica.peers().count()), ((0, 0), 0));
}

/// A frame that is most often in its place, of most often well-formed items.
fn frame<O: Own>(
    feed: &mut Feed<'_>,
    next: &mut u64,
    item: fn(&mut Feed<'_>, u64) -> (u8, Vec<u8>),
) -> Vec<u8> {
    let shape = feed.byte();
    let (flags, number) = (shape & 3, if shape >> 2 & 7 == 7 { feed.number() } else { *next });
    let run = if shape >> 5 == 7 { feed.number() } else { 1 };
    *next = number.wrapping_add(1);
    let mut frame = [vec![O::Entry::FRAMES.0, flags], varint(run), varint(number)].concat();
    for _ in 0..feed.below(4) {
        let id = feed.number();
        let (kind, fields) = item(feed, id);
        frame.push(kind);
        frame.extend(varint(fields.len() as u64));
        frame.extend(fields);
    }
    if feed.byte() < 8 {
        frame.truncate(feed.below(64));
    }
    frame
}

/// Whether a part of it may have been taken before it was refused.
fn frame_has_items(frame: &[u8]) -> bool {
    frame.len() > 4
}

const NAMES: [&str; 8] = ["a", "b", "a/*", "**", "", "a//b", "x\u{1}", "other"];

fn name(feed: &mut Feed<'_>) -> Vec<u8> {
    let pick = feed.byte();
    if pick >= 240 {
        return text(feed.bytes(9));
    }
    // The first ones can be names.
    text(NAMES[usize::from(if pick < 200 { pick % 2 } else { pick % 8 })].as_bytes())
}

fn interest(feed: &mut Feed<'_>, id: u64) -> (u8, Vec<u8>) {
    match feed.below(8) {
        0 => (3, varint(id)),
        1 => (2, [varint(id), varint(feed.number()), varint(feed.number())].concat()),
        2 => (feed.byte(), feed.bytes(9).to_vec()),
        3 => (5, [varint(id), varint(feed.number()), name(feed), name(feed), name(feed)].concat()),
        kind => {
            let asked = if feed.flag() { varint(feed.number()) } else { Vec::new() };
            let kind = if kind == 4 { 4 } else { 1 };
            (kind, [varint(id), varint(feed.number()), name(feed), name(feed), asked].concat())
        }
    }
}

fn present(feed: &mut Feed<'_>, id: u64) -> (u8, Vec<u8>) {
    match feed.below(8) {
        0 => (3, varint(id)),
        1 => (2, [varint(id), text(feed.bytes(9))].concat()),
        2 => (feed.byte(), feed.bytes(9).to_vec()),
        _ => (1, [varint(id), name(feed), name(feed), name(feed), text(feed.bytes(9))].concat()),
    }
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len() as u64), bytes.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
