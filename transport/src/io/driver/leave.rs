//! How a node goes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Driver;
use crate::io::input::Input;
use crate::io::link::refuse;
use crate::proto::record::{Farewell, Kind, varint};

/// How long a goodbye may take to leave, and its reader to close.
const GOODBYE_WITHIN: Duration = Duration::from_millis(300);

impl Driver {
    /// Says goodbye on every link and by heartbeat, and waits a moment for the links to close.
    pub(super) async fn leave(mut self, inputs: &mut mpsc::Receiver<Input>) {
        self.listener.abort();
        for (number, link) in &self.links {
            // What was had is confirmed first: otherwise its sender would hold it in doubt.
            if let Some((_, had)) = link.session.received() {
                link.session.control(Some(*number), Kind::Ack, &varint(had));
            }
            link.session.control(Some(*number), Kind::Bye, &[Farewell::Leaving as u8]);
        }
        let context = Arc::clone(&self.context);
        let farewell = async {
            // A link that was just set up may wait among the inputs when its setup is over.
            while !self.links.is_empty() || context.setups.any() || !inputs.is_empty() {
                tokio::select! {
                    input = inputs.recv() => match input {
                        Some(Input::Closed { link, .. }) => {
                            self.links.remove(&link);
                        }
                        // The other side may have taken it up already.
                        Some(Input::Established(late)) => {
                            tokio::spawn(refuse(late.stream, late.seal, Farewell::Leaving));
                        }
                        Some(_) => {}
                        None => break,
                    },
                    () = context.setups.changed() => {}
                }
            }
        };
        let stopped = self.discovery.stop();
        let _ = tokio::join!(tokio::time::timeout(GOODBYE_WITHIN, farewell), stopped);
        for session in self.context.registry.all() {
            session.unlink(session.current());
            session.set_down();
            session.set_gone();
        }
        self.directory.close();
    }
}
