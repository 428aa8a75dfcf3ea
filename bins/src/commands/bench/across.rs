//! Servers on other machines: found by the mesh, told what to do by messages, and heard by messages.

use std::collections::HashMap;
use std::time::Duration;

use talkie_instrument::clock_name;
use talkie_pubsub::{Bus, BusName, Delivery, NodeId, Subscription, settings};

use super::Context;
use super::publisher;
use super::stage::SOON;
use super::taker;
use super::wire::{Order, Plan, Published, Word};
use crate::args::Load;
use crate::exit::Failure;

/// The bus of all that measure, so that nobody else's topics meet theirs.
pub(super) const BUS: &str = "talkie-bench";

/// Who subscribes to this is a server.
pub(super) const CALL: &str = "serve/call";

/// How long servers may take to be found; without a number, how long it looks.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_secs(2);

/// Bytes of a word's piece: fits wherever `--max-message` is not set very low.
pub(super) const PIECE: usize = 64 << 10;

/// Most bytes of a word: a report of a few million messages. Beyond it the sender is no server of this program.
const LONGEST: usize = 256 << 20;

/// Where a server is told what to do.
pub(super) fn orders_of(server: NodeId) -> String {
    format!("order/{server}")
}

/// Where the one who measures is told what happened.
pub(super) fn words_to(driver: NodeId) -> String {
    format!("word/{driver}")
}

/// This node and the servers.
pub(super) struct Across {
    bus: Bus,
    servers: Vec<NodeId>,
    words: Subscription,
    /// Whether latency is there and back, since clocks differ or it was asked for.
    pub(super) round_trip: bool,
}

impl Across {
    /// Joins with the user's settings and finds the servers.
    pub(super) async fn open(context: &Context, load: &Load) -> Result<Self, Failure> {
        let config = settings::from_flags(context.settings.clone())?;
        let longest = config.longest_message();
        if let Some(size) = load.sizes.iter().find(|size| **size > longest) {
            return Err(Failure::Usage(format!("--size: {size} bytes; --max-message allows {longest}")));
        }
        let bus = config.bus(bus_name()?).join().await?;
        context.stop.guard(&bus);
        let words = taker::subscribe(&bus, &words_to(bus.node().id())).map_err(Failure::Failed)?;
        let servers = find(&bus, load.subscribers).await?;
        let mut across = Self { bus, servers, words, round_trip: load.round_trip };
        across.agree_on_a_clock().await?;
        Ok(across)
    }

    /// One clock for all, or the way there and back.
    async fn agree_on_a_clock(&mut self) -> Result<(), Failure> {
        let own = clock_name();
        for word in self.each(&Order::Who, "asking the servers").await? {
            let same = matches!(&word, Word::Who { clock } if clock.is_some() && *clock == own);
            self.round_trip |= !same;
        }
        Ok(())
    }

    pub(super) fn servers(&self) -> usize {
        self.servers.len()
    }

    /// Orders the same of all servers; what each says to it.
    pub(super) async fn each(&mut self, order: &Order, what: &str) -> Result<Vec<Word>, Failure> {
        let bytes = serde_json::to_vec(order).map_err(|error| Failure::Failed(error.to_string()))?;
        for server in &self.servers {
            let topic = orders_of(*server);
            let known = tokio::time::timeout(SOON, self.bus.subscribed_on(topic.as_str(), 1)).await;
            known.map_err(|_| gone(*server))?.map_err(|error| Failure::Failed(error.to_string()))?;
            let sent = self.bus.publish(topic, bytes.clone()).await;
            sent.map_err(|error| Failure::Failed(error.to_string()))?;
        }
        let words = tokio::time::timeout(SOON, self.words_of_all()).await;
        words.map_err(|_| Failure::Failed(format!("{what} took longer than {} s", SOON.as_secs())))?
    }

    /// A word of each server. One that is gone while it is waited for is a failure.
    async fn words_of_all(&mut self) -> Result<Vec<Word>, Failure> {
        let mut pieces: HashMap<NodeId, Vec<u8>> = HashMap::new();
        let mut words = Vec::new();
        let mut peers = self.bus.node().peer_events();
        while words.len() < self.servers.len() {
            let delivery = tokio::select! {
                delivery = self.words.next() => delivery,
                event = peers.recv() => match event {
                    Some(talkie_pubsub::PeerEvent::Down { peer, .. }) if self.servers.contains(&peer.id) => {
                        return Err(gone(peer.id));
                    }
                    _ => continue,
                },
            };
            let message = match delivery {
                Some(Delivery::Message(message)) if self.servers.contains(&message.from) => message,
                Some(Delivery::Gap { from, .. }) if self.servers.contains(&from) => {
                    return Err(Failure::Failed("a part of a server's report was lost".to_owned()));
                }
                Some(_) => continue,
                None => return Err(Failure::Failed("the node was closed".to_owned())),
            };
            let Some((more, piece)) = message.payload.split_first() else { continue };
            let word = pieces.entry(message.from).or_default();
            if word.len() + piece.len() > LONGEST {
                return Err(Failure::Failed("a server's report is too long".to_owned()));
            }
            word.extend_from_slice(piece);
            if *more == 0 {
                let word = serde_json::from_slice(word).map_err(|error| {
                    Failure::Failed(format!("{} speaks another version: {error}", message.name))
                });
                pieces.remove(&message.from);
                match word? {
                    Word::Failed { why } => return Err(Failure::Failed(format!("{}: {why}", message.name))),
                    word => words.push(word),
                }
            }
        }
        Ok(words)
    }

    pub(super) async fn publish(&mut self, plan: Plan) -> Result<Published, Failure> {
        publisher::publish(&self.bus, plan).await.map_err(Failure::Failed)
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(SOON, self.bus.node().leave()).await;
    }
}

pub(super) fn bus_name() -> Result<BusName, Failure> {
    BUS.parse().map_err(|error| Failure::Failed(format!("{BUS}: {error}")))
}

/// As many servers as asked for, or all that are found in two seconds.
async fn find(bus: &Bus, wanted: Option<usize>) -> Result<Vec<NodeId>, Failure> {
    let there = || bus.subscribers(CALL).unwrap_or_default();
    match wanted {
        None => tokio::time::sleep(LOOK).await,
        Some(wanted) => {
            let found = tokio::time::timeout(FOUND_WITHIN, bus.subscribed_on(CALL, wanted)).await;
            if found.is_err() {
                let (there, within) = (there().len(), FOUND_WITHIN.as_secs());
                return Err(Failure::Failed(format!(
                    "only {there} of {wanted} servers were found within {within} s; `talkie bench serve` is one"
                )));
            }
        }
    }
    let mut servers = there();
    servers.sort();
    servers.truncate(wanted.unwrap_or(usize::MAX));
    if servers.is_empty() {
        let within = LOOK.as_secs();
        return Err(Failure::Failed(format!(
            "no server was found within {within} s; run `talkie bench serve` on the other machines"
        )));
    }
    Ok(servers)
}

fn gone(server: NodeId) -> Failure {
    Failure::Failed(format!("the server {server} is gone"))
}
