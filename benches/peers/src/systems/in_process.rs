//! What tokio has for one process: a broadcast channel, and one mpsc channel per subscriber.

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};

use crate::failure::Failure;
use crate::local::{Gate, measure};
use crate::role::runtime;
use crate::system::Setup;

/// Messages that a channel holds.
const ROOM: usize = 1_024;

/// The role of this name.
pub fn role(word: &str, setup: &Setup) -> Result<(), Failure> {
    if word != "local" {
        return Err(Failure::new(format!("no such role: {word}")));
    }
    let _words = crate::say::words();
    runtime()?.block_on(async {
        let gate = Gate::default();
        if setup.system == "tokio-broadcast" {
            let (sender, _) = broadcast::channel(ROOM);
            for _ in 0..setup.count {
                let (gate, mut receiver) = (gate.clone(), sender.subscribe());
                tokio::spawn(async move {
                    while receiver.recv().await.is_ok() {
                        gate.pass();
                    }
                });
            }
            let publish =
                async |payload: &[u8]| Ok(sender.send(Bytes::copy_from_slice(payload)).map(drop)?);
            return measure(&gate, setup.count, publish).await;
        }
        let senders: Vec<mpsc::Sender<Bytes>> = (0..setup.count)
            .map(|_| {
                let (sender, mut receiver) = mpsc::channel(ROOM);
                let gate = gate.clone();
                tokio::spawn(async move {
                    while receiver.recv().await.is_some() {
                        gate.pass();
                    }
                });
                sender
            })
            .collect();
        let publish = async |payload: &[u8]| {
            let payload = Bytes::copy_from_slice(payload);
            for sender in &senders {
                sender.send(payload.clone()).await?;
            }
            Ok(())
        };
        measure(&gate, setup.count, publish).await
    })
}
