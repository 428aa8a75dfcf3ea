//! NATS: Debian's nats-server on loopback, and the client async-nats.

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt;

use crate::failure::Failure;
use crate::sink::Sink;
use crate::system::{Publisher, Setup, Subscriber, TOPIC};

/// Messages that may wait in a client for its connection, at most.
const WAITING: usize = 8_192;

/// A publisher.
pub struct Nats(Client);

async fn connect(setup: &Setup) -> Result<Client, Failure> {
    let options = async_nats::ConnectOptions::new().subscription_capacity(64 * 1024).client_capacity(WAITING);
    Ok(options.connect(&setup.endpoint).await?)
}

impl Publisher for Nats {
    async fn open(setup: &Setup) -> Result<Self, Failure> {
        Ok(Self(connect(setup).await?))
    }

    async fn publish(&mut self, payload: &[u8]) -> Result<(), Failure> {
        Ok(self.0.publish(TOPIC, Bytes::copy_from_slice(payload)).await?)
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush().await?)
    }
}

impl Subscriber for Nats {
    async fn run(setup: Setup, mut sink: Sink) -> Result<(), Failure> {
        let client = connect(&setup).await?;
        let mut subscription = client.subscribe(TOPIC).await?;
        client.flush().await?;
        while let Some(message) = subscription.next().await {
            sink.take(&message.payload);
        }
        Ok(())
    }
}
