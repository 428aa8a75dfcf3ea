//! Late joiners on a mesh whose links break and mend: by chance, from seeds that are printed, in time of its own.

#![cfg(feature = "testing")]
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail"
)]

use std::collections::HashMap;
use std::time::Duration;

use talkie_pubsub::testing::Mesh;
use talkie_pubsub::{Bus, Delivery, History, Publisher, SubscribeOptions, Subscription};

const TOPICS: [&str; 3] = ["a/1", "a/2", "b/1"];
const PATTERNS: [&str; 5] = ["a/1", "a/2", "a/*", "*/1", "**"];

/// What one node publishes on one topic.
struct Source {
    publisher: Publisher,
    /// How many of the last are kept.
    last: u64,
    published: u64,
}

/// One subscription, and what it was given.
struct Late {
    node: usize,
    pattern: &'static str,
    asks: bool,
    all: Subscription,
    /// By node and topic: what was published of it when it subscribed, the first number that it got, and the last one.
    seen: HashMap<(usize, &'static str), Seen>,
    settled: bool,
}

#[derive(Default)]
struct Seen {
    before: u64,
    /// And when every node knew of it.
    ready: Option<u64>,
    first: Option<u64>,
    last: u64,
}

struct World {
    mesh: Mesh,
    random: fastrand::Rng,
    nodes: Vec<Bus>,
    sources: HashMap<(usize, &'static str), Source>,
    late: Vec<Late>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (mesh, random) = (Mesh::seeded(seed), fastrand::Rng::with_seed(seed));
        let mut world = Self { mesh, random, nodes: Vec::new(), sources: HashMap::new(), late: Vec::new() };
        (0..3).for_each(|_| world.join());
        world
    }

    fn join(&mut self) {
        let node = self.nodes.len();
        let bus = self.mesh.join(&format!("node{node}"));
        for topic in TOPICS {
            let last = self.random.u64(1..8);
            let keeping = History::last(usize::try_from(last).unwrap());
            let publisher = bus.publisher(topic).unwrap().keeping(keeping).unwrap();
            self.sources.insert((node, topic), Source { publisher, last, published: 0 });
        }
        self.nodes.push(bus);
    }

    fn publish(&mut self) {
        let node = self.random.usize(..self.nodes.len());
        let topic = TOPICS[self.random.usize(..TOPICS.len())];
        for _ in 0..self.random.usize(1..6) {
            let source = self.sources.get_mut(&(node, topic)).unwrap();
            source.published += 1;
            source.publisher.try_publish(source.published.to_be_bytes().to_vec()).unwrap();
        }
    }

    fn subscribe(&mut self) {
        let node = self.random.usize(..self.nodes.len());
        let pattern = PATTERNS[self.random.usize(..PATTERNS.len())];
        let asks = self.random.u8(..4) > 0;
        let options = SubscribeOptions::new().history(asks).messages(1 << 20);
        let all = self.nodes[node].subscribe_with(pattern, options).unwrap();
        let before = |(at, source): (&(usize, &'static str), &Source)| {
            (*at, Seen { before: source.published, ..Seen::default() })
        };
        let seen = self.sources.iter().map(before).collect();
        self.late.push(Late { node, pattern, asks, all, seen, settled: false });
    }

    /// Until each node knows of every subscription, and each subscription has what was published.
    async fn settle(&mut self) {
        self.mesh.everywhere().delay(Duration::ZERO).mend();
        for bus in &self.nodes {
            let mut events = bus.node().peer_events();
            while bus.node().peers().len() + 1 < self.nodes.len() {
                events.recv().await.unwrap();
            }
        }
        for late in &self.late {
            late.all.ready().await.unwrap();
        }
        for bus in &self.nodes {
            bus.flush().await.unwrap();
        }
        for late in &mut self.late {
            late.read(&self.nodes);
            late.check(&self.sources);
        }
    }
}

impl Late {
    fn read(&mut self, nodes: &[Bus]) {
        while let Some(delivery) = self.all.now() {
            let Delivery::Message(message) = delivery else { panic!("{}: {delivery:?}", self.pattern) };
            let node = nodes.iter().position(|bus| bus.node().id() == message.from).unwrap();
            let topic = TOPICS.into_iter().find(|topic| *topic == message.topic.as_str()).unwrap();
            let number = u64::from_be_bytes(message.payload[..].try_into().unwrap());
            let seen = self.seen.entry((node, topic)).or_default();
            if seen.first.is_none() {
                seen.first = Some(number);
            } else {
                assert_eq!(
                    number,
                    seen.last + 1,
                    "{} of {topic} by {node}: no hole, no double",
                    self.pattern
                );
            }
            seen.last = number;
        }
    }

    fn check(&mut self, sources: &HashMap<(usize, &'static str), Source>) {
        let pattern: talkie_pubsub::Pattern = self.pattern.parse().unwrap();
        for (at @ (node, topic), source) in sources {
            let seen = self.seen.entry(*at).or_default();
            if !pattern.matches(&topic.parse().unwrap()) {
                assert_eq!(seen.first, None);
                continue;
            }
            let ready = *seen.ready.get_or_insert(source.published);
            let what = format!("{} of node {} on {topic} of {node}", self.pattern, self.node);
            // It was matched after `before` were published, at once on its own node, and after `ready` at the latest.
            let matched = if *node == self.node { seen.before..=seen.before } else { seen.before..=ready };
            let oldest = |published: u64| match self.asks {
                true => (published + 1).saturating_sub(source.last).max(1),
                false => published + 1,
            };
            match seen.first {
                Some(first) => {
                    assert_eq!(seen.last, source.published, "{what}: all that was published");
                    let firsts = oldest(*matched.start())..=oldest(*matched.end());
                    assert!(firsts.contains(&first), "{what}: {first} is none of {firsts:?}");
                }
                None => assert!(oldest(*matched.end()) > source.published, "{what}: nothing came"),
            }
        }
        self.settled = true;
    }
}

#[tokio::test(start_paused = true)]
async fn each_that_asks_is_given_what_was_kept_and_then_all() {
    let rounds = std::env::var("TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(60);
    for seed in 0..rounds {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..120 {
            let (one, other) =
                (world.random.usize(..world.nodes.len()), world.random.usize(..world.nodes.len()));
            let between = world.mesh.between(&world.nodes[one], &world.nodes[other]);
            match world.random.u8(..32) {
                0..12 => world.publish(),
                12..18 => world.subscribe(),
                18..20 if !world.late.is_empty() => {
                    let at = world.random.usize(..world.late.len());
                    world.late.swap_remove(at);
                }
                20..22 => _ = between.cut(),
                22..24 => _ = between.mend(),
                24 => _ = between.delay(Duration::from_millis(world.random.u64(..500))),
                // Time for links to be told down and made anew, or for some of what is under way.
                25 => tokio::time::sleep(Duration::from_millis(world.random.u64(..8_000))).await,
                26..29 => tokio::task::yield_now().await,
                29 if world.nodes.len() < 6 => world.join(),
                30 => world.settle().await,
                _ => {}
            }
        }
        world.settle().await;
        world.settle().await;
        assert!(world.late.iter().all(|late| late.settled));
    }
}
