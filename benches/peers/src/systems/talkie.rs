//! Talkie: a node per process, found by multicast on loopback.
//!
//! `talkie` links over TCP, `talkie-unix` over Unix sockets; the driver says so by `TALKIE_UNIX`. Those that end in `-handler`
//! take what arrives in a handler instead of a subscription.

mod words;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use talkie_pubsub::{Bus, Config, Delivery, DeliveryRef, Publisher as Topic, QueueLimits};

pub use words::role;

use crate::failure::Failure;
use crate::sink::Sink;
use crate::system::{LARGE, LARGE_TOPIC, Publisher, Setup, Subscriber, TOPIC};

/// A publisher.
pub struct Talkie {
    bus: Bus,
    publisher: Topic,
}

/// Joins with what the driver put into the environment.
pub async fn join(large: bool) -> Result<Bus, Failure> {
    let config = Config::from_env()?;
    let config = if large { config.max_message(LARGE) } else { config };
    Ok(config.join().await?)
}

impl Publisher for Talkie {
    async fn open(setup: &Setup) -> Result<Self, Failure> {
        let bus = join(setup.large).await?;
        Ok(Self { publisher: bus.publisher(TOPIC)?, bus })
    }

    async fn gather(&mut self, subscribers: usize) -> Result<(), Failure> {
        Ok(self.bus.subscribed_on(TOPIC, subscribers).await?)
    }

    async fn publish(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.publisher.publish(Bytes::copy_from_slice(payload)).await?;
        Ok(())
    }

    fn large(&self) -> Result<(), Failure> {
        let bus = self.bus.clone();
        tokio::spawn(async move {
            let payload = Bytes::from(vec![7; LARGE]);
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                if let Err(why) = bus.publish(LARGE_TOPIC, payload.clone()).await {
                    eprintln!("a large message was not published: {why}");
                    return;
                }
            }
        });
        Ok(())
    }
}

impl Subscriber for Talkie {
    async fn run(setup: Setup, mut sink: Sink) -> Result<(), Failure> {
        let bus = join(setup.large).await?;
        if setup.large {
            let mut large = bus.subscribe_with(LARGE_TOPIC, limits(1_024, 4 * LARGE))?;
            let counter = sink.large();
            tokio::spawn(async move {
                while let Some(delivery) = large.next().await {
                    if let Delivery::Message(message) = delivery {
                        counter.take(message.payload.len());
                    }
                }
            });
        }
        if setup.system.ends_with("-handler") {
            let sink = Mutex::new(sink);
            let _handler = bus.handle(TOPIC, move |delivery| match delivery {
                DeliveryRef::Message(message) => {
                    sink.lock().unwrap_or_else(PoisonError::into_inner).take(message.payload);
                }
                DeliveryRef::Gap { missed, .. } => eprintln!("a gap of {missed}"),
                _ => {}
            })?;
            return std::future::pending().await;
        }
        // As for throughput the peers' subscribers: room for some 100 ms at full speed.
        let limits = if setup.flood { limits(1 << 20, 256 << 20) } else { QueueLimits::default() };
        let mut subscription = bus.subscribe_with(TOPIC, limits)?;
        while let Some(delivery) = subscription.next().await {
            match delivery {
                Delivery::Message(message) => sink.take(&message.payload),
                // Counted by the sink as well, from the numbers; here it is said where it was.
                Delivery::Gap { missed, .. } => eprintln!("a gap of {missed}"),
                _ => {}
            }
        }
        Ok(())
    }
}

fn limits(messages: usize, bytes: usize) -> QueueLimits {
    QueueLimits { messages, bytes }
}
