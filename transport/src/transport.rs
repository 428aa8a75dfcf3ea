//! The handle of a node's links.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use talkie_discovery::{MeshKeys, NodeId, NodeName};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::directory::{Directory, PeerEvents};
use crate::error::{InDoubt, StartError};
use crate::events::Peer;
use crate::io::input::Input;
use crate::io::link::Context;
use crate::io::start;
use crate::peer::Deliver;

/// How long leaving waits for peers to confirm what they were sent.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(5);

/// The links of one node, and its heartbeats. Dropping it does not end them: [`Transport::close`] does.
#[derive(Debug)]
pub struct Transport {
    context: Arc<Context>,
    directory: Arc<Directory>,
}

impl Transport {
    /// Listens, announces and links. What arrives goes to `deliver`. Within a tokio runtime.
    ///
    /// # Errors
    /// The listening address is taken, the heartbeats cannot be set up, or the system gives no random bytes.
    pub async fn start(
        config: Config,
        keys: MeshKeys,
        deliver: Arc<dyn Deliver>,
    ) -> Result<Self, StartError> {
        let (context, directory) = start::start(config, &keys, deliver)?;
        Ok(Self { context, directory })
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.context.identity.id()
    }

    /// This node's name.
    pub fn name(&self) -> &NodeName {
        &self.context.name
    }

    /// Largest message, bytes.
    pub fn max_message(&self) -> usize {
        self.context.max_message
    }

    /// The addresses that this node can be dialed at now, a wildcard expanded.
    pub fn listen(&self) -> Vec<SocketAddr> {
        let reach = Arc::clone(&self.context.reach.borrow());
        reach.addresses(self.context.bound)
    }

    /// Who is up, in the order of ids.
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers = self.directory.peers();
        for peer in &mut peers {
            peer.rtt = self.context.registry.find(peer.id).and_then(|session| session.rtt());
        }
        peers
    }

    /// Peers as they come and go, those present first.
    pub fn peer_events(&self) -> PeerEvents {
        self.directory.listen()
    }

    /// Waits until peers have confirmed what they were sent (5 s at most), says goodbye, and ends.
    ///
    /// # Errors
    /// Some messages were not confirmed.
    pub async fn leave(&self) -> Result<(), InDoubt> {
        let mut messages = 0;
        let deadline = start::deadline(HAND_OVER_WITHIN);
        for session in self.context.registry.all() {
            match tokio::time::timeout_at(deadline, session.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(InDoubt { messages: more })) => messages += more,
                Err(_) => messages += session.unacknowledged(),
            }
        }
        let (done, gone) = oneshot::channel();
        if self.context.inputs.send(Input::Leave(done)).await.is_ok() {
            let _ = gone.await;
        }
        if messages == 0 { Ok(()) } else { Err(InDoubt { messages }) }
    }

    /// Says goodbye and ends, in the background. Also outside of a runtime.
    pub fn close(&self) {
        self.context.closing.cancel();
    }
}
