//! All keys of a mesh that changes from one secret to another.

use std::sync::Arc;

use crate::keys::{MeshKeys, SecretMark};
use crate::secrets::Secrets;

/// The keys of each of a mesh's [`Secrets`], in their order. A cheap handle; wiped with the last one.
#[derive(Clone, Debug)]
pub struct Keyring(Arc<Ring>);

#[derive(Debug)]
struct Ring {
    first: MeshKeys,
    others: Vec<MeshKeys>,
}

impl Keyring {
    /// Derives all keys. Blocks for about 50 ms (and 19 MiB) for each passphrase, so call it off the async threads.
    #[must_use]
    pub fn derive(secrets: &Secrets) -> Self {
        let others = secrets.iter().skip(1).map(MeshKeys::derive).collect();
        Self(Arc::new(Ring { first: MeshKeys::derive(secrets.first()), others }))
    }

    /// The keys to send with.
    #[must_use]
    pub fn first(&self) -> &MeshKeys {
        &self.0.first
    }

    /// All keys that are accepted, those to send with first.
    pub fn iter(&self) -> impl Iterator<Item = &MeshKeys> {
        std::iter::once(&self.0.first).chain(&self.0.others)
    }

    /// The keys of the secret of that mark, if it is accepted.
    #[must_use]
    pub fn find(&self, mark: SecretMark) -> Option<&MeshKeys> {
        self.iter().find(|keys| keys.mark == mark)
    }

    /// All keys that are accepted: those of this mark first, then those to send with.
    pub fn beginning_with(&self, mark: Option<SecretMark>) -> impl Iterator<Item = &MeshKeys> {
        let is_first = move |keys: &&MeshKeys| mark == Some(keys.mark);
        self.iter().filter(is_first).chain(self.iter().filter(move |keys| !is_first(keys)))
    }

    /// The marks of all secrets that are accepted, in their order.
    #[must_use]
    pub fn marks(&self) -> Vec<SecretMark> {
        self.iter().map(|keys| keys.mark).collect()
    }
}

impl From<MeshKeys> for Keyring {
    fn from(first: MeshKeys) -> Self {
        Self(Arc::new(Ring { first, others: Vec::new() }))
    }
}
