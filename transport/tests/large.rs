//! Large messages over real sockets, on loopback: beside small ones, over links that break, and from a member that holds
//! the secret and breaks the rules.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod cutter;
#[allow(dead_code, reason = "each test file uses some of it")]
mod insider;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cutter::Cutter;
use insider::Insider;
use talkie_discovery::{Groups, MeshKeys, Secret};
use talkie_transport::{
    Body, Config, Deliver, Hand, Inbound, Interest, Interests, ListenAt, PeerSender, Pressed, Pushed, Room,
    Transport,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: usize = 1 << 20;
const PIECE: usize = 32 * 1024;

/// The tests look at the memory of the process and at its log: one at a time.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Notes the messages that arrive, and who is linked.
struct Notes(UnboundedSender<Bytes>, UnboundedSender<PeerSender>);

impl Deliver for Notes {
    fn deliver(&self, from: &PeerSender, what: Inbound<'_>) -> Option<Pressed> {
        match what {
            Inbound::Messages(arrived) => {
                arrived.iter().for_each(|arrival| drop(self.0.send(arrival.body.clone())));
            }
            Inbound::Linked => drop(self.1.send(from.clone())),
            Inbound::Gap { .. } | Inbound::Lost => panic!("a loss: {what:?}"),
            _ => {}
        }
        None
    }
}

struct Node {
    transport: Transport,
    keys: MeshKeys,
    had: UnboundedReceiver<Bytes>,
    linked: UnboundedReceiver<PeerSender>,
}

impl Node {
    async fn start(max_message: usize) -> Self {
        Self::join(max_message, MeshKeys::derive(&Secret::generate()), None).await
    }

    /// A node that knows where another listens.
    async fn join(max_message: usize, keys: MeshKeys, partner: Option<SocketAddr>) -> Self {
        let mut config = Config::new("node".parse().expect("a name"));
        config.listen = ListenAt::At(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.discovery.groups = Groups { v4: None, v6: None };
        config.discovery.multicast = false;
        config.discovery.interfaces = vec!["lo".parse().expect("a name")];
        config.max_message = max_message;
        config.discovery.partners =
            partner.into_iter().map(|at| at.to_string().parse().expect("an address")).collect();
        let ((notes, had), (links, linked)) = (unbounded_channel(), unbounded_channel());
        let transport =
            Transport::start(config, keys.clone(), Arc::new(Notes(notes, links))).await.expect("it starts");
        Self { transport, keys, had, linked }
    }

    async fn insider(&self) -> Insider {
        Insider::link(self.transport.listen()[0], &self.keys.link).await
    }

    async fn next(&mut self) -> Bytes {
        tokio::time::timeout(PATIENCE, self.had.recv()).await.expect("in time").expect("the node lives")
    }
}

/// A message that says its flow and number, and is filled with it.
fn message(flow: u64, number: u64, len: usize) -> Body {
    let mut body = vec![(flow + number) as u8; len];
    body[..8].copy_from_slice(&flow.to_be_bytes());
    body[8..16].copy_from_slice(&number.to_be_bytes());
    Bytes::from(body).into()
}

/// Flow and number of a message that is whole.
fn read(body: &[u8], len: usize) -> (u64, u64) {
    let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    let (flow, number) = (number(0), number(8));
    assert_eq!(body.len(), len, "message {number} of flow {flow}");
    assert!(body[16..].iter().all(|byte| *byte == (flow + number) as u8), "another's bytes");
    (flow, number)
}

fn push(to: &PeerSender, flow: u64, body: &Body) {
    let interests: Interests = [Interest { id: 1, epoch: 0 }].into_iter().collect();
    assert_ne!(
        to.push(&interests, flow, body.len(), body.into(), Hand::Own(Instant::now())),
        Pushed::Overflowed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_ones_pass_and_a_flush_waits_for_all_before_it() {
    let _alone = ALONE.lock().await;
    let mut to = Node::start(16 * MIB).await;
    let mut from = Node::join(16 * MIB, to.keys.clone(), Some(to.transport.listen()[0])).await;
    let peer = from.linked.recv().await.expect("it links");
    push(&peer, 1, &message(1, 0, 16 * MIB));
    push(&peer, 1, &message(1, 1, 16));
    push(&peer, 2, &message(2, 0, 16));
    // The last pushed comes first, and the one behind the large one behind it.
    for (wanted, len) in [((2, 0), 16), ((1, 0), 16 * MIB), ((1, 1), 16)] {
        assert_eq!(read(&to.next().await, len), wanted);
    }
    for number in 1..4 {
        push(&peer, 1, &message(1, 2 * number, MIB));
        push(&peer, 1, &message(1, 2 * number + 1, 16));
        peer.flush().await.expect("it lives");
        // What was confirmed was delivered: nothing is waited for.
        assert_eq!(to.had.try_recv().map(|body| body.len()), Ok(MIB));
        assert_eq!(to.had.try_recv().map(|body| body.len()), Ok(16));
    }
    // Leaving hands over first.
    push(&peer, 1, &message(1, 9, 16 * MIB));
    from.transport.leave().await.expect("nothing is in doubt");
    assert_eq!(read(&to.next().await, 16 * MIB), (1, 9));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_break_in_the_middle_lose_nothing_and_keep_the_order() {
    let _alone = ALONE.lock().await;
    // In the first piece, in the middle, near the end, behind one or two.
    for after in [20_000, 900_000, 2_090_000, 2_110_000, 3_000_000, 5_000_000, 300_000, 4_200_000] {
        across_a_break(after).await;
    }
}

/// Two flows with large messages and two without, over a first link that breaks after so many bytes.
async fn across_a_break(after: usize) {
    let mut to = Node::start(4 * MIB).await;
    let cutter = Cutter::start(to.transport.listen()[0], vec![after; 3]).await;
    let mut from = Node::join(4 * MIB, to.keys.clone(), Some(cutter.at)).await;
    let peer = from.linked.recv().await.expect("it links");
    let len = |flow, number| if flow < 2 && number % 2 == 0 { MIB } else { 40 };
    for number in 0..10 {
        for flow in 0..4 {
            // Whoever has no room waits for some.
            until("there is room", || peer.room(MIB, Instant::now()) == Room::Free).await;
            push(&peer, flow, &message(flow, number, len(flow, number)));
        }
    }
    let mut next = [0u64; 4];
    for _ in 0..40 {
        let body = to.next().await;
        let (flow, number) = read(&body, body.len());
        assert_eq!((number, body.len()), (next[flow as usize], len(flow, number)), "flow {flow}");
        next[flow as usize] += 1;
    }
    assert_eq!(next, [10; 4]);
    assert!(cutter.cuts() > 0, "the link broke after {after} bytes");
}

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_breaks_the_rules_loses_its_link_with_the_reason() {
    let _alone = ALONE.lock().await;
    let log = Log::install();
    let mut node = Node::start(4 * MIB).await;
    let limit = 4 * MIB + 32 * 1024;
    // What is said in pieces of total, offset and length; whether it is then to be delivered; and what the log says.
    type Saying = (Vec<(usize, usize, usize)>, bool, &'static str);
    let sayings: [Saying; 13] = [
        (vec![(limit + 1, 0, 1)], false, "over the limit"),
        (vec![(usize::MAX, 0, 1)], false, "over the limit"),
        (vec![(MIB, 1, 1)], false, "out of place: at 1 instead of 0"),
        (vec![(MIB, 0, PIECE), (MIB, PIECE + 1, 1)], false, "out of place: at 32769 instead of 32768"),
        (vec![(MIB, 0, PIECE), (MIB, 0, PIECE)], false, "out of place: at 0 instead of 32768"),
        (vec![(MIB, 0, PIECE), (MIB + 1, PIECE, 1)], false, "say 1048576 bytes and then 1048577"),
        (vec![(MIB, 0, PIECE), (PIECE, PIECE, 1)], false, "say 1048576 bytes and then 32768"),
        (vec![(PIECE, 0, PIECE + 1)], false, "beyond its end"),
        (vec![(MIB, 0, 0)], false, "malformed"),
        (vec![(PIECE, 0, PIECE), (PIECE, PIECE, 1)], false, "beyond its end"),
        (vec![(MIB, 0, PIECE)], true, "delivered that is not there"),
        (vec![], true, "delivered that is not there"),
        (vec![(2, 0, 1), (1, 0, 1)], true, "say 2 bytes and then 1"),
    ];
    for (pieces, deliver, why) in sayings {
        let mut insider = node.insider().await;
        for (total, at, len) in pieces {
            insider.piece(total, at, &vec![0; len]).await;
        }
        if deliver {
            insider.deliver().await;
        }
        insider.is_dropped().await;
        log.says(&insider.id(), why).await;
    }
    assert!(node.had.try_recv().is_err(), "none of it was delivered");

    // The next one is welcome, and what follows the rules arrives.
    let mut insider = node.insider().await;
    let body: Vec<u8> = (0..limit).map(|n| (n % 251) as u8).collect();
    // More than there is room for at once, in all.
    for _ in 0..70 {
        insider.send(&body, usize::MAX).await;
        insider.deliver().await;
        assert!(node.next().await == body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_no_large_ones_has_room_for_small_ones() {
    let _alone = ALONE.lock().await;
    let mut node = Node::start(4 * MIB).await;
    let _deaf = node.insider().await;
    let peer = node.linked.recv().await.expect("it links");
    let room = |payload| peer.room(payload, Instant::now());
    for number in 0.. {
        if room(4 * MIB) != Room::Free {
            break;
        }
        assert!(number < 10, "there is a limit");
        push(&peer, 1, &message(1, number, 4 * MIB));
    }
    assert_eq!(room(100), Room::Free);
    push(&peer, 2, &message(2, 0, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_keeps_no_turn_from_others() {
    /// Long before silence ends the links of those that read nothing.
    const SOON: Duration = Duration::from_secs(1);
    let _alone = ALONE.lock().await;
    let mut node = Node::start(16 * MIB).await;
    let mut to = Node::join(16 * MIB, node.keys.clone(), Some(node.transport.listen()[0])).await;
    let reader = node.linked.recv().await.expect("it links");
    // As many as take turns at a time, or more.
    let mut deaf = Vec::new();
    for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
        let insider = node.insider().await;
        let peer = node.linked.recv().await.expect("it links");
        // A piece leaves, and behind it more than a socket takes.
        push(&peer, 1, &message(1, 0, 4 * MIB));
        for number in 0..400 {
            push(&peer, 2, &message(2, number, 60_000));
        }
        deaf.push((insider, peer));
    }
    push(&reader, 1, &message(1, 0, MIB));
    let came = tokio::time::timeout(SOON, to.next()).await.expect("it has a turn");
    assert_eq!(read(&came, MIB), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_ends_is_bounded_and_its_memory_returns() {
    let _alone = ALONE.lock().await;
    let log = Log::install();
    let node = Node::start(64 * MIB).await;
    let before = resident();
    // A claim alone costs nothing.
    let mut claims = Vec::new();
    for _ in 0..3 {
        let mut insider = node.insider().await;
        insider.piece(64 * MIB, 0, &[7; PIECE]).await;
        insider.is_told(PIECE as u64).await;
        claims.push(insider);
    }
    let claimed = resident().saturating_sub(before);
    assert!(claimed < 8 * MIB, "{claimed} bytes for claims");
    drop(claims);

    let mut insider = node.insider().await;
    let body = vec![7; 64 * MIB];
    let before = resident();
    insider.send(&body, 60 * MIB).await;
    insider.is_told(60 * MIB as u64).await;
    let held = resident().saturating_sub(before);
    assert!((50 * MIB..80 * MIB).contains(&held), "{held} bytes held");
    // Whether it goes or breaks a rule: what it held is free.
    insider.piece(64 * MIB, 0, &[0]).await;
    insider.is_dropped().await;
    log.says(&insider.id(), "out of place").await;
    until("the memory returns", || resident() < before + 8 * MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_hold_room_and_stand_still_make_way() {
    make_way_after(PIECE).await;
}

#[tokio::test]
async fn those_who_never_deliver_what_is_whole_make_way() {
    make_way_after(64 * MIB).await;
}

/// Four send so much of a large message and stand still; then one that is honest wants room.
async fn make_way_after(bytes: usize) {
    let _alone = ALONE.lock().await;
    let log = Log::install();
    let mut node = Node::start(64 * MIB).await;
    let mut idlers = Vec::new();
    let large = vec![7; 64 * MIB];
    // All the room there is: 256 MiB.
    for _ in 0..4 {
        let mut insider = node.insider().await;
        insider.send(&large, bytes).await;
        insider.is_told(bytes as u64).await;
        // It lives, and says no more.
        idlers.push(tokio::spawn(async move { insider.is_dropped().await }));
    }
    let began = Instant::now();
    let mut honest = node.insider().await;
    let body = vec![9; 2 * MIB];
    let small = tokio::time::timeout(Duration::from_secs(1), async {
        honest.pieces([(body.len(), 0, PIECE), (body.len(), PIECE, PIECE)]).await;
        // Small ones pass what waits.
        honest.small(b"small").await;
        node.next().await
    });
    assert_eq!(small.await.expect("nothing holds it up"), &b"small"[..]);
    honest.is_told(2 * PIECE as u64).await;
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(7), "there was no room before: {waited:?}");
    until("one of them made way", || idlers.iter().any(tokio::task::JoinHandle::is_finished)).await;
    log.says_anywhere("stood still while others waited").await;
}

/// What was logged, by everybody in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn install() -> Self {
        static LOG: std::sync::OnceLock<Log> = std::sync::OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self::default();
            tracing::subscriber::set_global_default(log.clone()).expect("the first");
            log
        })
        .clone()
    }

    async fn says_anywhere(&self, text: &str) {
        until(text, || self.0.lock().expect("whole").iter().any(|line| line.contains(text))).await;
    }

    async fn says(&self, id: &str, text: &str) {
        let said = || {
            let lines = self.0.lock().expect("whole");
            lines.iter().any(|line| line.contains(id) && line.contains(text))
        };
        until(text, said).await;
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("whole").push(line.0);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
