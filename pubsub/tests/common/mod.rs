//! A mesh of nodes of this process, on loopback alone.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use talkie_pubsub::{Bus, Config, Delivery, Groups, Message, Secret, Subscription};

/// Far more than anything here takes, so that only a defect runs into it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the nodes of one test share, so that tests side by side never meet.
pub(crate) struct Mesh {
    secret: Secret,
    groups: Groups,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        Self::with_secret(Secret::generate())
    }

    pub(crate) fn with_secret(secret: Secret) -> Self {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        // An address of this process's own: a port that was free may be another's a moment later.
        let [.., high, low] = std::process::id().to_be_bytes();
        let v4 = Some(SocketAddrV4::new(Ipv4Addr::new(239, 255, high, low), free));
        Self { secret, groups: Groups { v4, v6: None } }
    }

    pub(crate) fn config(&self, name: &str) -> Config {
        Config::new(self.secret.clone())
            .name(name.parse().unwrap())
            .groups(self.groups)
            .interfaces(["lo".parse().unwrap()])
            .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The same, whose secrets are those of a file.
    pub(crate) fn config_of_file(&self, name: &str, file: &std::path::Path) -> Config {
        let config = Config::from_secret_file(file).unwrap().name(name.parse().unwrap());
        let config = config.groups(self.groups).interfaces(["lo".parse().unwrap()]);
        config.listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    pub(crate) const fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(crate) async fn join(&self, name: &str) -> Bus {
        self.config(name).join().await.unwrap()
    }
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it should have happened by now")
}

pub(crate) async fn message<T: std::fmt::Debug>(subscription: &mut Subscription<T>) -> Message<T> {
    match soon(subscription.next()).await {
        Some(Delivery::Message(message)) => message,
        other => panic!("{other:?}"),
    }
}
