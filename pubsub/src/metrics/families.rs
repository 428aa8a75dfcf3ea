//! THE table of figures as monitoring knows them: name, kind, meaning, where each is read.
//!
//! The endpoint's text and what the `metrics` facade is told are made of it, and a test holds docs/OBSERVABILITY.md to it.

use super::family::Tell;
pub(crate) use super::family::{Family, Kind};
use super::{Metrics, SubscriptionStats};

/// At most this many patterns are listed, those with most waiting: a program may hold tens of thousands, and a reading of
/// them all each few seconds would cost more than it tells. The sum of all is listed anyway.
pub(crate) const MOST_PATTERNS: usize = 256;

/// Every figure, from the network up.
pub(crate) const FAMILIES: &[Family] = &[
    Family::gauge("talkie_node_info", "This node; always 1", |m, tell| {
        let node = m.node.to_string();
        let labels = [("node", &*node), ("name", m.name.as_str()), ("version", env!("CARGO_PKG_VERSION"))];
        tell.labelled(&labels, 1);
    }),
    // Heartbeats.
    Family::counter("talkie_heartbeats_sent_total", "Heartbeats sent, or that could not be", |m, tell| {
        tell.by("result", [("sent", m.discovery.sent), ("error", m.discovery.send_errors)]);
    }),
    Family::counter("talkie_heartbeats_heard_total", "Datagrams heard, by what they were", |m, tell| {
        let heard = &m.discovery;
        tell.by(
            "result",
            [
                ("fresh", heard.fresh),
                ("own", heard.own),
                ("copy", heard.copies),
                ("rejected_size", heard.rejected_size),
                ("rejected_magic", heard.rejected_magic),
                ("rejected_rate", heard.rejected_rate),
                ("rejected_auth", heard.rejected_auth),
                ("rejected_group", heard.rejected_group),
                ("rejected_malformed", heard.rejected_malformed),
                ("rejected_replayed", heard.rejected_replayed),
            ],
        );
    }),
    Family::gauge("talkie_nodes_heard", "Nodes whose heartbeats are heard now", |m, tell| {
        tell.one(m.discovery.nodes);
    }),
    Family::gauge(
        "talkie_heartbeat_sockets",
        "Sockets for heartbeats, by interface and family",
        |m, tell| {
            tell.one(m.discovery.sockets);
        },
    ),
    Family::counter(
        "talkie_heartbeat_socket_errors_total",
        "Such sockets that could not be had",
        |m, tell| {
            tell.one(m.discovery.socket_errors);
        },
    ),
    Family::counter("talkie_network_changes_total", "Changes of interfaces or addresses", |m, tell| {
        tell.one(m.discovery.network_changes);
    }),
    Family::counter("talkie_partner_errors_total", "Look-ups of partners without an address", |m, tell| {
        tell.one(m.discovery.partner_errors);
    }),
    // Links and peers.
    Family::gauge("talkie_peers_up", "Nodes that are up", |m, tell| tell.one(m.links.up)),
    Family::gauge("talkie_peers_linked", "Nodes with a link", |m, tell| tell.one(m.links.linked)),
    Family::counter("talkie_peers_told_total", "Nodes told up, or down and why", |m, tell| {
        let links = &m.links;
        tell.by(
            "event",
            [
                ("up", links.told_up),
                ("left", links.told_left),
                ("closed", links.told_closed),
                ("timeout", links.told_timeout),
                ("secret", links.told_secret),
            ],
        );
    }),
    Family::counter("talkie_links_total", "Links taken up, and what else became of links", |m, tell| {
        let links = &m.links;
        tell.by(
            "event",
            [
                ("made", links.made),
                ("replaced", links.replaced),
                ("redundant", links.redundant),
                ("suspected", links.suspected),
                ("remade", links.remade),
            ],
        );
    }),
    Family::counter("talkie_links_ended_total", "Links that ended, by reason", |m, tell| {
        let links = &m.links;
        tell.by(
            "reason",
            [
                ("left", links.ended_left),
                ("closed", links.ended_closed),
                ("timeout", links.ended_timeout),
                ("forged", links.ended_forged),
                ("too_large", links.ended_too_large),
                ("stalled", links.ended_stalled),
                ("invalid", links.ended_invalid),
                ("refused", links.ended_refused),
                ("secret", links.ended_secret),
            ],
        );
    }),
    Family::gauge("talkie_secrets", "Secrets that are accepted", |m, tell| tell.one(m.links.secrets)),
    Family::counter("talkie_secret_changes_total", "Times that they changed", |m, tell| {
        tell.one(m.links.rekeyed);
    }),
    Family::gauge(
        "talkie_peers_other_secret",
        "Nodes that are up and send under another secret than this one",
        |m, tell| tell.one(m.links.other_secret),
    ),
    Family::counter("talkie_dials_total", "Dials begun, and those that led to no new link", |m, tell| {
        let links = &m.links;
        tell.by(
            "event",
            [("begun", links.dials), ("failed", links.dials_failed), ("redundant", links.dials_redundant)],
        );
    }),
    Family::counter("talkie_connections_total", "Connections from others, before any proof", |m, tell| {
        let links = &m.links;
        tell.by(
            "event",
            [
                ("accepted", links.accepted),
                ("turned_away", links.turned_away),
                ("error", links.accept_errors),
            ],
        );
    }),
    Family::counter("talkie_handshakes_total", "Handshakes of both directions, by result", |m, tell| {
        let links = &m.links;
        tell.by(
            "result",
            [
                ("ok", links.handshakes),
                ("secret", links.refused_secret),
                ("foreign", links.refused_foreign),
                ("version", links.refused_version),
                ("malformed", links.refused_malformed),
                ("timeout", links.refused_timeout),
                ("broken", links.refused_broken),
            ],
        );
    }),
    // Traffic.
    Family::counter("talkie_messages_total", "Messages to and from other nodes", |m, tell| {
        let traffic = &m.traffic;
        tell.by("direction", [("out", traffic.sent_messages), ("in", traffic.received_messages)]);
    }),
    Family::counter("talkie_message_bytes_total", "Bytes of those messages, each once", |m, tell| {
        tell.by("direction", [("out", m.traffic.sent_bytes), ("in", m.traffic.received_bytes)]);
    }),
    Family::counter("talkie_wire_bytes_total", "Bytes of sealed records on links", |m, tell| {
        let traffic = &m.traffic;
        tell.by("direction", [("out", traffic.wire_sent_bytes), ("in", traffic.wire_received_bytes)]);
    }),
    Family::counter(
        "talkie_messages_lost_total",
        "Messages to other nodes lost here, by reason",
        |m, tell| {
            let traffic = &m.traffic;
            tell.by(
                "reason",
                [
                    ("full", traffic.lost_full),
                    ("too_large", traffic.lost_too_large),
                    ("absent", traffic.lost_absent),
                    ("uncertain", traffic.lost_uncertain),
                    ("forgotten", traffic.lost_forgotten),
                ],
            );
        },
    ),
    // Publishing.
    Family::counter("talkie_published_total", "Messages published here", |m, tell| {
        tell.one(m.published.messages);
    }),
    Family::counter("talkie_published_bytes_total", "Bytes of their payloads", |m, tell| {
        tell.one(m.published.bytes);
    }),
    Family::counter("talkie_published_unwanted_total", "Of those, messages that nobody wanted", |m, tell| {
        tell.one(m.published.unwanted);
    }),
    Family::counter("talkie_published_receivers_total", "Who wanted them, over messages", |m, tell| {
        tell.by("where", [("nodes", m.published.nodes), ("local", m.published.local)]);
    }),
    Family::counter("talkie_publish_waits_total", "Publishes that waited for room", |m, tell| {
        tell.one(m.published.waits);
    }),
    Family {
        name: "talkie_publish_wait_seconds_total",
        kind: Kind::Time,
        help: "How long they waited in all",
        read: |m, tell| tell.seconds(&[], m.published.waited_us),
    },
    Family::counter(
        "talkie_group_acknowledged_total",
        "Messages acknowledged by a group's member",
        |m, tell| {
            tell.one(m.published.acknowledged);
        },
    ),
    Family::counter("talkie_group_redelivered_total", "Messages given to another member", |m, tell| {
        tell.one(m.published.redelivered);
    }),
    // Delivering.
    Family::counter("talkie_deliveries_total", "Messages that came to subscriptions", |m, tell| {
        tell.one(m.deliveries.received);
    }),
    Family::counter("talkie_gap_messages_total", "Messages told as gaps, by reason", |m, tell| {
        tell.by("reason", [("slow_reader", m.deliveries.dropped), ("lost", m.deliveries.missed)]);
    }),
    Family::counter("talkie_gaps_uncounted_total", "Gaps of unknown size", |m, tell| {
        tell.one(m.deliveries.uncounted);
    }),
    Family::counter("talkie_deliveries_malformed_total", "Messages of another type", |m, tell| {
        tell.one(m.deliveries.malformed);
    }),
    Family::counter("talkie_handlers_panicked_total", "Calls of handlers that panicked", |m, tell| {
        tell.one(m.deliveries.panicked);
    }),
    Family {
        name: "talkie_delivery_latency_seconds",
        kind: Kind::Histogram,
        help: "From a message's arrival or publish here until a subscription yields it; one of 16 is timed",
        read: |m, tell| tell.histogram(&m.latency),
    },
    Family::gauge("talkie_subscriptions", "Subscriptions of this node", |m, tell| {
        tell.one(m.subscriptions.len() as u64);
    }),
    // Requests.
    Family::counter("talkie_requests_total", "Requests made here", |m, tell| tell.one(m.requests.asked)),
    Family::gauge("talkie_requests_open", "Requests whose answers are waited for", |m, tell| {
        tell.one(m.requests.open);
    }),
    Family::counter("talkie_answers_total", "What became of requests made here", |m, tell| {
        let requests = &m.requests;
        tell.by(
            "result",
            [
                ("reply", requests.replies),
                ("dropped", requests.dropped),
                ("gone", requests.gone),
                ("ceased", requests.ceased),
                ("timed_out", requests.timed_out),
                ("no_room", requests.no_room),
                ("not_understood", requests.not_understood),
                ("late", requests.late),
            ],
        );
    }),
    Family::counter("talkie_requests_received_total", "Requests that came here", |m, tell| {
        tell.one(m.requests.received);
    }),
    Family::counter("talkie_requests_handled_total", "What became of requests that came here", |m, tell| {
        let requests = &m.requests;
        tell.by(
            "result",
            [
                ("replied", requests.replied),
                ("refused", requests.refused),
                ("expired", requests.expired),
                ("lost", requests.lost),
            ],
        );
    }),
    // What should stay 0.
    Family::counter("talkie_refused_total", "What peers sent that could not be used", |m, tell| {
        let refused = &m.refused;
        tell.by(
            "what",
            [
                ("malformed", refused.malformed),
                ("mismatched", refused.mismatched),
                ("control", refused.control),
                ("subscribers", refused.subscribers),
                ("trackers", refused.trackers),
            ],
        );
    }),
    // Memory and queues.
    Family::gauge("talkie_memory_bytes", "Memory of what waits", |m, tell| {
        let memory = &m.memory;
        tell.by(
            "of",
            [
                ("peers_up", memory.peers_up_bytes),
                ("peers_away", memory.peers_away_bytes),
                ("subscriptions", memory.subscriptions_bytes),
                ("presence", memory.presence_bytes),
                ("history", memory.history_bytes),
                ("groups", memory.groups_bytes),
                ("assembling", memory.assembling_bytes),
                ("interests", memory.interests_bytes),
            ],
        );
    }),
    Family::gauge("talkie_memory_limit_bytes", "What that is held to: of one peer, or of all", |m, tell| {
        let limits = &m.limits;
        tell.by(
            "of",
            [
                ("peer", limits.peer_bytes),
                ("peer_interests", limits.peer_interests_bytes),
                ("peer_presence", limits.peer_presence_bytes),
                ("own_presence", limits.own_presence_bytes),
                ("peers_away", limits.peers_away_bytes),
                ("bus_history", limits.bus_history_bytes),
                ("groups", limits.groups_bytes),
                ("assembling", limits.assembling_bytes),
            ],
        );
    }),
    Family::gauge("talkie_subscriptions_waiting", "Deliveries not read yet, of all", |m, tell| {
        tell.one(m.memory.subscriptions_waiting);
    }),
    Family::gauge("talkie_group_waiting", "Messages for groups not acknowledged yet", |m, tell| {
        tell.one(m.memory.groups_waiting);
    }),
    Family::gauge("talkie_assembling_waits", "Large messages that wait for memory", |m, tell| {
        tell.one(m.memory.assembling_waits);
    }),
    Family::gauge("talkie_presence_keys", "Keys that are present, of all nodes", |m, tell| {
        tell.one(m.memory.presence_keys);
    }),
    Family::gauge("talkie_subscription_waiting", "Deliveries not read yet, by pattern", |m, tell| {
        by_pattern(m, tell, |one| one.waiting);
    }),
    Family::gauge("talkie_subscription_waiting_bytes", "Memory of them", |m, tell| {
        by_pattern(m, tell, |one| one.waiting_bytes);
    }),
    Family::gauge("talkie_subscription_limit_bytes", "What that is held to", |m, tell| {
        by_pattern(m, tell, |one| one.limit_bytes);
    }),
    // Each peer that is up.
    Family::gauge("talkie_peer_rtt_seconds", "Round-trip time of pings, smoothed", |m, tell| {
        for peer in m.peers.iter().filter(|peer| peer.up) {
            let Some(rtt) = peer.rtt_us else { continue };
            tell.seconds(&[("node", &peer.id.to_string()), ("peer", peer.name.as_str())], rtt);
        }
    }),
    Family::gauge("talkie_peer_queued_bytes", "Memory of what it has not confirmed", |m, tell| {
        for peer in m.peers.iter().filter(|peer| peer.up) {
            tell.labelled(&[("node", &peer.id.to_string()), ("peer", peer.name.as_str())], peer.queued_bytes);
        }
    }),
    Family::gauge("talkie_peer_unacknowledged", "Messages and gaps that it has not confirmed", |m, tell| {
        for peer in m.peers.iter().filter(|peer| peer.up) {
            tell.labelled(
                &[("node", &peer.id.to_string()), ("peer", peer.name.as_str())],
                peer.unacknowledged,
            );
        }
    }),
    Family::counter("talkie_peer_messages_total", "Messages to and from it", |m, tell| {
        for peer in m.peers.iter().filter(|peer| peer.up) {
            let (node, traffic) = (peer.id.to_string(), &peer.traffic);
            for (way, value) in [("out", traffic.sent_messages), ("in", traffic.received_messages)] {
                let labels = [("node", &*node), ("peer", peer.name.as_str()), ("direction", way)];
                tell.labelled(&labels, value);
            }
        }
    }),
];

/// The fullest patterns; subscriptions of one pattern together.
fn by_pattern(metrics: &Metrics, tell: &mut Tell<'_>, value: fn(&SubscriptionStats) -> u64) {
    let mut patterns = std::collections::BTreeMap::<_, (u64, u64)>::new();
    for one in &metrics.subscriptions {
        let sums = patterns.entry((one.bus.as_str(), one.pattern.as_str())).or_default();
        sums.0 += one.waiting_bytes;
        sums.1 += value(one);
    }
    let mut patterns: Vec<_> = patterns.into_iter().collect();
    // A stable sort: among equals the same ones each time.
    patterns.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    for ((bus, pattern), (_, value)) in patterns.into_iter().take(MOST_PATTERNS) {
        tell.labelled(&[("bus", bus), ("pattern", pattern)], value);
    }
}
