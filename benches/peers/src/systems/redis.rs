//! Redis: Debian's redis-server on loopback, without persistence, and the blocking client of the crate `redis`.
//!
//! A publish waits for the server's answer, as the client does by default; for throughput [`BATCH`] of them share one.

use redis::{Client, Connection};

use crate::failure::Failure;
use crate::sink::Sink;
use crate::system::{Publisher, Setup, Subscriber, TOPIC};

/// Publishes that are sent together when it goes as fast as it can.
const BATCH: usize = 100;

/// A publisher.
pub struct Redis {
    connection: Connection,
    waiting: Vec<Vec<u8>>,
    batch: usize,
}

impl Publisher for Redis {
    async fn open(setup: &Setup) -> Result<Self, Failure> {
        let connection = Client::open(setup.endpoint.as_str())?.get_connection()?;
        Ok(Self { connection, waiting: Vec::new(), batch: if setup.flood { BATCH } else { 1 } })
    }

    async fn publish(&mut self, payload: &[u8]) -> Result<(), Failure> {
        if self.batch == 1 {
            let _receivers: u64 =
                redis::cmd("PUBLISH").arg(TOPIC).arg(payload).query(&mut self.connection)?;
            return Ok(());
        }
        self.waiting.push(payload.to_vec());
        if self.waiting.len() >= self.batch { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for payload in self.waiting.drain(..) {
            pipe.cmd("PUBLISH").arg(TOPIC).arg(payload).ignore();
        }
        pipe.query::<()>(&mut self.connection)?;
        Ok(())
    }
}

impl Subscriber for Redis {
    async fn run(setup: Setup, mut sink: Sink) -> Result<(), Failure> {
        tokio::task::spawn_blocking(move || {
            let mut connection = Client::open(setup.endpoint.as_str())?.get_connection()?;
            let mut subscription = connection.as_pubsub();
            subscription.subscribe(TOPIC)?;
            loop {
                sink.take(subscription.get_message()?.get_payload_bytes());
            }
        })
        .await?
    }
}
