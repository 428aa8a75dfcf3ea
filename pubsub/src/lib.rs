//! Talkie: programs on a local network that find each other and share topics. There is nothing to configure but a
//! secret, which the members of a mesh share.
//!
//! ```no_run
//! use talkie_pubsub::{Config, Delivery};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Config::from_env()?.join().await?; // TALKIE_SECRET
//! let mut orders = bus.subscribe("orders/*")?; // in force at once
//! bus.publish("orders/42", "two coffees").await?;
//! while let Some(delivery) = orders.next().await {
//!     match delivery {
//!         Delivery::Message(message) => println!("{}: {:?}", message.topic, message.payload),
//!         Delivery::Gap { from, missed, .. } => eprintln!("{missed} orders of {from} are lost"),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! A program that publishes and ends first waits for interest ([`Bus::subscribed_on`]) and leaves with
//! [`Node::leave`], or its message has nobody to go to.
//!
//! # What to rely on
//! - Messages of one publisher on one topic arrive in their order and at most once, also across links that break and are
//!   made again.
//! - What is shared out to a group is done at least once while its publisher lives, and twice only where it is marked.
//! - Nothing is lost silently while both processes live: what a subscription does not get is a [`Delivery::Gap`] with a
//!   count, where it would have been. If the publisher dies, [`PeerEvent::Down`] is the notice.
//! - Memory is bounded. A slow reader gets gaps; a node that stands still delays a publisher by 250 ms at most, once, and by
//!   nothing with [`Bus::try_publish`]. Neither holds up anybody else.
//! - A message goes to those who want it when it is published. Who subscribes later gets what comes later, and what its publisher
//!   keeps for that ([`Publisher::keeping`]) if it asks ([`SubscribeOptions::history`]).
//!
//! # Where to go on
//! | to | see |
//! |---|---|
//! | publish and take values instead of bytes | [`Bus::typed`] |
//! | publish to all but oneself, to this node, or to one node | [`Bus::publish_with`], [`Publisher::with`] |
//! | send small key/value pairs beside a payload | [`PublishOptions::header`], [`Message::headers`], [`RequestOptions`] |
//! | keep the last messages for late joiners | [`Publisher::keeping`], [`SubscribeOptions::history`] |
//! | choose how much may wait, and what happens then | [`Bus::subscribe_with`] |
//! | take messages where they arrive, without a queue | [`Bus::handle`] |
//! | share messages out, each to one of several | [`SubscribeOptions::group`] |
//! | know which nodes are there | [`Node::peers`], [`Node::peer_events`] |
//! | know who is present on a topic, with what | [`Bus::presence`] |
//! | ask, and get an answer | [`Bus::request`], [`Bus::request_all`], [`Bus::respond`] |
//! | know who is there | [`Node::peers`], [`Node::peer_events`] |
//! | know that all others know of a subscription | [`Subscription::ready`] |
//! | know that everything was handed over | [`Bus::flush`], [`Node::leave`] |
//! | have several buses on one node | [`Node::open`] |
//! | set up without the environment | [`Config::new`] and its setters; [`settings`] is the table of all |
//! | try a service on a network that breaks, in milliseconds | `testing`, with the feature of that name |
//! | see a publish and its deliveries in one trace | `Headers::continue_trace`, with the feature `trace-context` |
//! | see every counter | [`Bus::metrics`]; [`Config::metrics`] serves them to Prometheus |
//!
//! # Floor plan
//! This crate answers "who wants this?". A message passes `bus` → `proto::index` → `io::fanout` ‖ `io::dispatch` →
//! `io::queue` → `subscription`; a subscription is told to the others by `proto::replica`. A request passes `request` →
//! `io::registry::exchange` ‖ `io::exchange` → `io::desk` → `respond`, and its answer goes back to `io::asker`.
//! ```text
//! handles  config (settings) · node · bus · typed · subscription · handler · request ‖ respond · presence · metrics · error
//! io/      registry (what they share) · fanout ‖ dispatch · queue · handlers · exchange (asker ‖ desk) · kept · presences · outlet (a peer) ·
//!          groups · counters (latency · endpoint · recorder) · keys · clock · net (transport, or with the feature `testing` also simulated)
//! proto/   index (pattern_map) · history · replica (interest, presence) · tracker · backlog · pending · ledger · nouns: envelope · exchange ·
//!          group · value · headers · fingerprint
//! nouns    topic · group · delivery · audience · options · answer
//! ```

mod answer;
mod audience;
mod bus;
mod config;
mod delivery;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod handler;
#[allow(clippy::disallowed_methods, reason = "the clock and tasks live here")]
mod io;
mod metrics;
mod node;
mod options;
mod presence;
#[allow(clippy::exhaustive_enums, reason = "shells and simulators must handle every case of a machine")]
pub mod proto;
mod publisher;
mod request;
mod respond;
pub mod settings;
mod subscription;
#[cfg(feature = "testing")]
pub mod testing;
mod topic;
mod trace;
mod typed;

pub use answer::{Answer, Reply, Unanswered};
pub use audience::{Audience, PublishOptions, SubscriptionId};
pub use bus::Bus;
pub use bytes::Bytes;
pub use config::Config;
pub use delivery::{Delivery, DeliveryRef, Message, MessageRef, QueueLimits, Receipt};
pub use error::{
    Closed, FlushError, HistoryError, JoinError, PresenceError, PublishError, ReplyError, RequestError,
    RespondError, SubscribeError, SubscribedOnError, TrackError,
};
pub use group::{GroupName, GroupNameError, MAX_GROUP_BYTES};
pub use handler::Handler;
pub use metrics::{
    Deliveries, LatencyBucket, LatencyStats, MemoryLimits, MemoryStats, Metrics, PublishStats, RefusedStats,
    RequestStats, SubscriptionStats,
};
pub use node::Node;
pub use options::{SubscribeOptions, WhenFull};
pub use presence::{Presence, PresenceChange, PresenceChanges, Present, Tracked};
pub use proto::fingerprint::Fingerprint;
pub use proto::headers::{Headers, HeadersError, MAX_HEADER_KEY, MAX_HEADERS, MAX_HEADERS_BYTES};
pub use proto::history::History;
pub use proto::presence::Full;
pub use proto::value::{DecodeError, EncodeError};
pub use publisher::Publisher;
pub use request::{Answers, RequestOptions};
pub use respond::{Request, Requests};
pub use settings::ConfigError;
pub use subscription::Subscription;
pub use talkie_discovery::{
    GroupError, Groups, InterfaceSpec, InterfaceSpecError, NodeId, NodeIdError, NodeName, NodeNameError,
    Partner, PartnerError, Secret, SecretError, SecretFileError, Secrets, Stats as DiscoveryStats,
    TooManySecrets, Via,
};
pub use talkie_transport::{
    DEFAULT_MAX_MESSAGE, DEFAULT_PORT, DownReason, LinkKind, LinkStats, MAX_MAX_MESSAGE, Peer, PeerEvent,
    PeerEvents, PeerSecrets, PeerStats, StartError, Traffic,
};
pub use topic::{
    BusName, BusNameError, MAX_BUS_BYTES, MAX_BYTES, MAX_SEGMENTS, Pattern, PatternError, ToPattern, ToTopic,
    Topic, TopicError,
};
pub use typed::Typed;

/// The code in README.md compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// So does that in docs/COOKBOOK.md.
#[cfg(doctest)]
#[doc = include_str!("../../docs/COOKBOOK.md")]
struct Cookbook;
