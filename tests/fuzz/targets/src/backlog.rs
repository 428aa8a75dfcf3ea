//! What waits in one subscription.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use talkie_pubsub::QueueLimits;
use talkie_pubsub::proto::backlog::{Backlog, Drop, Item, Waiting};
use talkie_pubsub::proto::headers::Headers;

use crate::feed::{Feed, node};

static FILL: [u8; 4_096] = [7; 4_096];

/// Per sender.
#[derive(Debug, Default)]
struct Sender {
    /// How many messages it has sent, or were lost on the way.
    sent: u64,
    /// How many of those were read, or told as missing.
    told: u64,
}

/// Whatever is dropped, and at which end: a reader is told of each message in its place, so that what it was given and told to miss before
/// one is exactly what was sent before it. What waits keeps to its limits, and what was dropped is counted.
pub fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let limits = QueueLimits { messages: feed.below(24), bytes: feed.below(64) * 64 };
    let drop = if feed.flag() { Drop::Oldest } else { Drop::Newest };
    let mut backlog = Backlog::new(limits, drop, 3);
    let mut senders: BTreeMap<u8, Sender> = BTreeMap::new();
    let (mut pushed, mut read, mut gaps) = (0_u64, 0_u64, 0_usize);
    while feed.more() {
        match feed.byte() % 8 {
            0..4 => {
                let from = feed.byte() % 4;
                let sender = senders.entry(from).or_default();
                let len = feed.number().min(4_095) as usize;
                let room = backlog.has_room(3, len);
                let dropped = backlog.dropped();
                backlog.push(Waiting {
                    topic: feed.flag().then(|| "a/b".parse().expect("a topic")),
                    from: node(usize::from(from)),
                    name: None,
                    seq: sender.sent,
                    headers: Headers::new(),
                    payload: Bytes::from_static(&FILL[..len]),
                    group: None,
                    came: None,
                });
                assert!(!room || backlog.dropped() == dropped, "there was room");
                sender.sent += 1;
                pushed += 1;
            }
            4 => {
                let (from, missed) = (feed.byte() % 4, u64::from(feed.byte()) + 1);
                backlog.push_gap(node(usize::from(from)), missed, true);
                senders.entry(from).or_default().sent += missed;
                gaps += 1;
            }
            5 => {
                if let Some(item) = backlog.pop() {
                    read += tell(item, &mut senders);
                }
            }
            6 => {
                let mut taken = VecDeque::new();
                backlog.take(feed.below(40), usize::from(feed.byte()) * 32, &mut taken);
                read += taken.into_iter().map(|item| tell(item, &mut senders)).sum::<u64>();
            }
            _ => {
                let (pressed, eased) = (backlog.is_pressed(), backlog.is_eased());
                assert!(!(pressed && eased), "both full and empty");
            }
        }
        let (waiting, bytes) = backlog.waiting();
        // One that is longer than the limit alone waits beside the others.
        assert!(bytes <= limits.bytes + 4_096 + 192 + 3, "{bytes} of {}", limits.bytes);
        assert!(waiting <= limits.messages.max(1) + 4 + 4 + gaps, "{waiting} of {}", limits.messages);
        assert_eq!(backlog.is_empty(), waiting == 0);
        assert!(read + backlog.dropped() <= pushed);
    }
    while let Some(item) = backlog.pop() {
        read += tell(item, &mut senders);
    }
    assert_eq!(backlog.waiting(), (0, 0));
    assert_eq!(read + backlog.dropped(), pushed, "each was read or dropped");
    assert!(senders.values().all(|sender| sender.told == sender.sent), "delivered + missed = sent: {senders:?}");
}

/// A reader is told of this; whether it is a message.
fn tell(item: Item, senders: &mut BTreeMap<u8, Sender>) -> u64 {
    match item {
        Item::Message(message) => {
            let sender = senders.get_mut(&message.from.as_bytes()[0]).expect("it has sent something");
            assert_eq!(message.seq, sender.told, "out of its place");
            sender.told += 1;
            1
        }
        Item::Gap { from, missed, exact } => {
            assert!(exact && missed > 0);
            senders.get_mut(&from.as_bytes()[0]).expect("it has sent something").told += missed;
            0
        }
    }
}
