//! Nodes that meet on loopback and nowhere else, and how they are loaded.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use talkie_pubsub::{Bus, Config, Groups, QueueLimits, Secret, Subscription};

/// What is published on, and what the subscriber wants.
pub(crate) const TOPIC: &str = "orders/42";
/// Bytes of a message.
pub(crate) const PAYLOAD: usize = 64;
/// Messages a second where the publisher rests between them.
pub(crate) const PACE: u64 = 1_000;
/// Messages at first that are not counted, at [`PACE`]: connections, buffers, caches.
pub(crate) const WARM_UP: u64 = 500;

/// By what two nodes are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Unix,
    Tcp,
}

impl Link {
    pub(crate) const BOTH: [Self; 2] = [Self::Unix, Self::Tcp];

    /// As a setting of Talkie, `on` or `off`.
    pub(crate) const fn unix(self) -> &'static str {
        match self {
            Self::Unix => "on",
            Self::Tcp => "off",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Tcp => "tcp",
        }
    }
}

/// What the nodes of one mesh share, and no others on this host do.
pub(crate) struct Mesh {
    pub(crate) secret: Secret,
    pub(crate) group: SocketAddrV4,
    pub(crate) link: Link,
}

impl Mesh {
    pub(crate) fn new(link: Link) -> Self {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let port = free.expect("loopback").port();
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 255, 82, 55), port);
        Self { secret: Secret::generate(), group, link }
    }

    /// Another node in this process.
    pub(crate) async fn join(&self) -> Bus {
        Config::new(self.secret.clone())
            .groups(Groups { v4: Some(self.group), v6: None })
            .interfaces(["lo".parse().expect("a name")])
            .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .unix(self.link == Link::Unix)
            .join()
            .await
            .expect("it joins")
    }
}

/// Subscribes with room for all that is published here at full speed.
#[expect(clippy::field_reassign_with_default, reason = "there is no other way from outside the crate")]
pub(crate) fn subscribe(bus: &Bus) -> Subscription {
    let mut limits = QueueLimits::default();
    limits.messages = 1 << 20;
    limits.bytes = 256 << 20;
    bus.subscribe_with(TOPIC, limits).expect("a topic")
}
