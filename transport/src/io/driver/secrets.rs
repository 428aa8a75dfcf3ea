//! The secrets change, here or at a peer.

use std::time::Instant;

use talkie_discovery::{Keyring, NodeId, SecretMark};

use super::Driver;
use crate::events::{DownReason, PeerSecrets};
use crate::proto::mesh::LinkNumber;
use crate::proto::record::{Farewell, Kind, put_secrets};
use crate::proto::rotation::Event;

impl Driver {
    /// This node accepts others from now on. New handshakes know it already.
    pub(super) fn rekey(&mut self, keys: &Keyring) {
        let now = Instant::now();
        self.context.counters.rekeyed.add(1);
        self.discovery.rekey(keys.clone());
        self.rotation.handle_rekey(now, keys.marks());
        tracing::info!(
            name: "talkie.secret.changed",
            "the secrets have changed: sends under {}, accepts {}",
            keys.first().check,
            keys.iter().map(|keys| keys.check.to_string()).collect::<Vec<_>>().join(" and ")
        );
        let links: Vec<_> = self.links.iter().map(|(number, link)| (*number, link.id)).collect();
        for (number, id) in links {
            self.tell_secrets(number);
            if let Some(link) = self.links.get(&number) {
                link.session.write(number);
            }
            self.note_secrets(id);
        }
    }

    pub(super) fn told_secrets(&mut self, now: Instant, id: NodeId, theirs: &[SecretMark]) {
        self.rotation.handle_told(now, id, theirs);
        self.note_secrets(id);
    }

    /// Carries out what the change of secrets wants.
    pub(super) fn drain_rotation(&mut self) {
        let now = Instant::now();
        self.rotation.handle_timeout(now);
        while let Some(event) = self.rotation.poll_event() {
            match event {
                Event::Remake(id, number, secret) => {
                    if let Some(link) = self.links.get_mut(&number) {
                        link.stale = true;
                        self.context.counters.remade.add(1);
                        self.context.set_live(id, false);
                        self.mesh.handle_stale(now, id, number, secret);
                    }
                }
                Event::Keep(id, number) => {
                    if let Some(link) = self.links.get_mut(&number) {
                        link.stale = false;
                        self.context.set_live(id, !link.suspect);
                        self.mesh.handle_kept(id, number);
                    }
                }
                Event::Cut(id, number) => self.cut(now, id, number),
            }
        }
    }

    /// Ends a link whose secret is not accepted any more.
    fn cut(&mut self, now: Instant, id: NodeId, number: LinkNumber) {
        let Some(link) = self.links.get(&number) else { return };
        let name = link.session.name();
        tracing::warn!(name: "talkie.secret.removed", %id, "ended the link to {name}: it was made under a secret that is not accepted any more, and no other is common");
        self.context.counters.ended_secret.add(1);
        link.session.control(Some(number), Kind::Bye, &[Farewell::Secret as u8]);
        self.closed(now, id, number, DownReason::Secret);
    }

    /// Tells the peer of a link which secrets this node accepts.
    pub(super) fn tell_secrets(&self, number: LinkNumber) {
        let Some(link) = self.links.get(&number) else { return };
        let mut body = Vec::new();
        put_secrets(&mut body, self.rotation.ours());
        link.session.queue_control(number, Kind::Secrets, &body);
    }

    /// Keeps what is shown of a peer true.
    pub(super) fn note_secrets(&self, id: NodeId) {
        let secrets = PeerSecrets::of(self.rotation.ours(), self.rotation.theirs(id));
        let shown = secrets.as_ref().map(ToString::to_string);
        if let (Some(name), Some(shown)) = (self.directory.set_secrets(id, secrets), shown) {
            tracing::info!(name: "talkie.peer.secret", %id, "{name} {shown}");
        }
    }
}
