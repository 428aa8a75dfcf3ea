//! Two nodes of one process over real sockets, on loopback alone.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use talkie_discovery::{Groups, InterfaceSpec, MeshKeys, Partner, Secret};
use talkie_transport::{
    Arrival, Config, Deliver, DownReason, Hand, Inbound, Interest, Interests, ListenAt, Parcel, PeerEvent,
    PeerSender, Pressed, Pushed, Transport,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq, Eq)]
enum Had {
    Linked,
    Control(Vec<u8>),
    Message(Vec<Interest>, Bytes),
    Gap(Vec<(Interest, u64)>, bool),
    Lost,
    Down,
    Forgotten,
}

/// Notes what arrives, and who from.
struct Notes(UnboundedSender<(PeerSender, Had)>);

impl Deliver for Notes {
    fn deliver(&self, from: &PeerSender, what: Inbound<'_>) -> Option<Pressed> {
        let had = match what {
            Inbound::Linked => Had::Linked,
            Inbound::Control(frame) => Had::Control(frame.to_vec()),
            Inbound::Messages(arrived) => {
                for Arrival { interests, body } in arrived {
                    let had = Had::Message(interests.to_vec(), body.clone());
                    let _ = self.0.send((from.clone(), had));
                }
                return None;
            }
            Inbound::Gap { interests, exact } => Had::Gap(interests.to_vec(), exact),
            Inbound::Lost => Had::Lost,
            Inbound::Down => Had::Down,
            Inbound::Forgotten => Had::Forgotten,
            other => panic!("unknown to this test: {other:?}"),
        };
        let _ = self.0.send((from.clone(), had));
        None
    }
}

struct Node {
    transport: Transport,
    had: Mutex<UnboundedReceiver<(PeerSender, Had)>>,
}

/// A group port of this test alone, so that tests side by side do not meet.
fn group() -> Groups {
    let port = 20_000 + fastrand::u16(..40_000);
    format!("239.255.82.55:{port}")
        .parse::<std::net::SocketAddrV4>()
        .map(|v4| Groups { v4: Some(v4), v6: None })
        .expect("a group")
}

fn config(name: &str, groups: Groups) -> Config {
    let mut config = Config::new(name.parse().expect("a name"));
    config.listen = ListenAt::At(SocketAddr::from(([127, 0, 0, 1], 0)));
    config.discovery.groups = groups;
    config.discovery.interfaces = vec!["lo".parse::<InterfaceSpec>().expect("a name")];
    config
}

impl Node {
    async fn start(config: Config, secret: &Secret) -> Self {
        let (notes, had) = unbounded_channel();
        let transport = Transport::start(config, MeshKeys::derive(secret), Arc::new(Notes(notes)))
            .await
            .expect("it starts");
        Self { transport, had: Mutex::new(had) }
    }

    #[expect(clippy::await_holding_lock, reason = "each test has one task")]
    async fn next(&self) -> (PeerSender, Had) {
        let mut had = self.had.lock().expect("one task");
        tokio::time::timeout(PATIENCE, had.recv()).await.expect("in time").expect("the node lives")
    }
}

async fn pair(max_message: usize) -> (Node, Node, PeerSender, PeerSender) {
    let (secret, groups) = (Secret::generate(), group());
    let with = |name| Config { max_message, ..config(name, groups) };
    let a = Node::start(with("a"), &secret).await;
    let b = Node::start(with("b"), &secret).await;
    let (to_b, linked) = a.next().await;
    assert_eq!(linked, Had::Linked);
    let (to_a, linked) = b.next().await;
    assert_eq!(linked, Had::Linked);
    (a, b, to_b, to_a)
}

fn interests(id: u64) -> Interests {
    [Interest { id, epoch: 0 }].into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_meet_by_multicast_and_talk_both_ways() {
    let (a, b, to_b, to_a) = pair(1 << 20).await;
    assert_eq!((to_b.id(), to_a.id()), (b.transport.id(), a.transport.id()));
    assert_eq!(to_b.name().to_string(), "b");
    for (from, to, at) in [(&to_b, "to b", &b), (&to_a, "to a", &a)] {
        assert!(from.control(b"control"));
        assert_eq!(
            from.push(
                &interests(7),
                0,
                to.len(),
                Parcel::Shared(&Bytes::from(to).into()),
                Hand::Own(Instant::now())
            ),
            Pushed::Queued
        );
        assert_eq!(at.next().await.1, Had::Control(b"control".to_vec()));
        assert_eq!(at.next().await.1, Had::Message(interests(7).to_vec(), Bytes::from(to)));
        from.flush().await.expect("it lives");
    }
    assert_eq!(a.transport.peers().len(), 1);
    let peer = &b.transport.peers()[0];
    assert_eq!((peer.id, peer.addr.ip()), (a.transport.id(), [127, 0, 0, 1].into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_hands_over_and_is_told_left() {
    let (a, b, to_b, _) = pair(1 << 20).await;
    let mut events = b.transport.peer_events();
    assert!(matches!(events.recv().await, Some(PeerEvent::Up(_))));
    for n in 0..1_000u64 {
        to_b.push(
            &interests(1),
            0,
            8,
            Parcel::Shared(&Bytes::copy_from_slice(&n.to_be_bytes()).into()),
            Hand::Own(Instant::now()),
        );
    }
    a.transport.leave().await.expect("everything was handed over");
    for n in 0..1_000u64 {
        assert_eq!(
            b.next().await.1,
            Had::Message(interests(1).to_vec(), Bytes::copy_from_slice(&n.to_be_bytes()))
        );
    }
    assert_eq!(b.next().await.1, Had::Down);
    assert_eq!(b.next().await.1, Had::Forgotten);
    let Some(PeerEvent::Down { reason, .. }) = events.recv().await else { panic!("it is told down") };
    assert_eq!(reason, DownReason::Left);
    assert!(b.transport.peers().is_empty());
    b.transport.leave().await.expect("nobody is left");
    assert_eq!(events.recv().await, None, "the stream ends with the node");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_message_crosses_and_small_ones_keep_their_order() {
    let max = 8 << 20;
    let (_a, b, to_b, _) = pair(max).await;
    let large = Bytes::from((0..max).map(|n| (n % 251) as u8).collect::<Vec<_>>());
    let sent = [Bytes::from_static(b"before"), large, Bytes::from_static(b"after")];
    for body in &sent {
        assert_eq!(
            to_b.push(
                &interests(1),
                0,
                body.len(),
                Parcel::Shared(&body.clone().into()),
                Hand::Own(Instant::now())
            ),
            Pushed::Queued
        );
    }
    for body in sent {
        let (_, had) = b.next().await;
        assert!(had == Had::Message(interests(1).to_vec(), body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_outbox_is_a_gap_with_a_count() {
    let (_a, b, to_b, _) = pair(1 << 20).await;
    let body = Bytes::from(vec![0; 64 * 1024]);
    let now = Instant::now();
    let pushed: Vec<_> = (0..2_000)
        .map(|_| {
            to_b.push(&interests(1), 0, body.len(), Parcel::Shared(&body.clone().into()), Hand::Own(now))
        })
        .collect();
    let overflowed = pushed.iter().filter(|pushed| **pushed == Pushed::Overflowed).count() as u64;
    assert!(overflowed > 0, "2,000 messages of 64 KiB do not fit 4 MiB");
    let (mut had, mut missed) = (0, 0);
    while had + missed < 2_000 {
        match b.next().await.1 {
            Had::Message(..) => had += 1,
            Had::Gap(gap, true) => missed += gap.iter().map(|(_, count)| count).sum::<u64>(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(missed, overflowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn partners_meet_without_multicast() {
    let secret = Secret::generate();
    let a = Node::start(config("a", group()), &secret).await;
    let at = a.transport.listen();
    assert_eq!(at.len(), 1);
    let mut b = config("b", group());
    b.discovery.multicast = false;
    b.discovery.partners = vec![at[0].to_string().parse::<Partner>().expect("an address")];
    let b = Node::start(b, &secret).await;
    assert_eq!(a.next().await.1, Had::Linked);
    assert_eq!(b.next().await.1, Had::Linked);
    assert_eq!(b.transport.peers()[0].via.to_string(), "partner");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_secret_never_links() {
    let groups = group();
    let secret = Secret::generate();
    let a = Node::start(config("a", groups), &secret).await;
    let mut b = config("b", groups);
    b.discovery.partners = vec![a.transport.listen()[0].to_string().parse::<Partner>().expect("an address")];
    let b = Node::start(b, &Secret::generate()).await;
    // A third with the first one's secret is found in milliseconds; by then the stranger would have been too.
    let c = Node::start(config("c", groups), &secret).await;
    let (from, linked) = a.next().await;
    assert_eq!((from.id(), linked), (c.transport.id(), Had::Linked));
    assert_eq!(c.next().await.0.id(), a.transport.id());
    assert_eq!((a.transport.peers().len(), b.transport.peers().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_say_what_happened() {
    let (secret, groups) = (Secret::generate(), group());
    let a = Node::start(config("a", groups), &secret).await;
    let b = Node::start(Config { max_message: 1_000, ..config("b", groups) }, &secret).await;
    let (to_b, _) = a.next().await;
    let (_, _) = b.next().await;
    let body = Bytes::from_static(b"hello");
    for _ in 0..10 {
        to_b.push(
            &interests(1),
            1,
            body.len(),
            Parcel::Shared(&body.clone().into()),
            Hand::Own(Instant::now()),
        );
    }
    to_b.push(
        &interests(1),
        1,
        1_001,
        Parcel::Shared(&Bytes::from(vec![0; 1_001]).into()),
        Hand::Own(Instant::now()),
    );
    to_b.flush().await.expect("it lives");
    let sent = a.transport.stats();
    assert_eq!(
        (sent.traffic.sent_messages, sent.traffic.sent_bytes, sent.traffic.lost_too_large),
        (10, 50, 1)
    );
    assert_eq!((sent.links.linked, sent.links.up, sent.links.told_up, sent.links.ended_left), (1, 1, 1, 0));
    assert_eq!(
        (sent.peers[0].id, sent.peers[0].queued_bytes, sent.peers[0].unacknowledged),
        (to_b.id(), 0, 0)
    );
    assert!(sent.peers[0].linked && sent.peers[0].name.as_str() == "b");
    assert!(sent.discovery.sent > 0);
    let had = b.transport.stats();
    assert_eq!((had.traffic.received_messages, had.traffic.received_bytes), (10, 50));
    assert!(sent.traffic.wire_sent_bytes >= 50 && had.traffic.wire_received_bytes >= 50);
    // Each link was dialed by one of the two, or both; each was made, replaced, or redundant.
    assert!(sent.links.dials + had.links.dials >= 1 && sent.links.handshakes >= sent.links.made);
    assert_eq!(sent.links.made - sent.links.replaced, 1);

    // With another secret: nothing but a refusal on both sides.
    let stranger = Node::start(
        Config {
            discovery: talkie_discovery::Config {
                partners: vec![a.transport.listen()[0].to_string().parse::<Partner>().expect("a partner")],
                ..config("c", group()).discovery
            },
            ..config("c", groups)
        },
        &Secret::generate(),
    )
    .await;
    let deadline = Instant::now() + PATIENCE;
    let refused = |node: &Node| node.transport.stats().links.refused_secret > 0;
    while !(refused(&stranger) && refused(&a) && stranger.transport.stats().links.dials_failed > 0) {
        assert!(Instant::now() < deadline, "{:?}", stranger.transport.stats());
        tokio::task::yield_now().await;
    }
    let links = stranger.transport.stats().links;
    assert!(links.made == 0 && links.handshakes == 0, "{links:?}");

    b.transport.leave().await.expect("all was confirmed");
    while a.next().await.1 != Had::Forgotten {}
    let left = a.transport.stats();
    assert_eq!((left.links.told_left, left.links.linked, left.links.up), (1, 0, 0));
    assert!(left.peers.is_empty());
    assert_eq!(
        (left.traffic.sent_messages, left.traffic.lost_too_large),
        (10, 1),
        "also of a peer that is gone"
    );
    assert!(left.traffic.wire_sent_bytes >= sent.traffic.wire_sent_bytes);
}
