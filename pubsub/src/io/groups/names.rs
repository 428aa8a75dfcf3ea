//! What makes two members, or two holders of interests, the same.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use talkie_discovery::NodeId;

use super::{Member, Whose};
use crate::io::outlet::Outlet;

impl<P: Outlet> Member<P> {
    /// Whether it is on this node; none: on the one that asks.
    pub(super) fn is_of(&self, who: Option<NodeId>) -> bool {
        match self {
            Self::Here(_) => who.is_none(),
            Self::There(peer, _) => who == Some(peer.id()),
        }
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::There(peer, _) if !peer.is_up())
    }
}

impl<P: PartialEq> PartialEq for Member<P> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here(queue), Self::Here(other)) => Arc::ptr_eq(queue, other),
            (Self::There(peer, one), Self::There(other, two)) => peer == other && one.id == two.id,
            _ => false,
        }
    }
}

impl<P: Eq> Eq for Member<P> {}

impl<P: Hash> Hash for Member<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Here(queue) => Arc::as_ptr(queue).hash(state),
            Self::There(peer, interest) => (peer, interest.id).hash(state),
        }
    }
}

impl<P: PartialEq> PartialEq for Whose<P> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here(local), Self::Here(other)) => Arc::ptr_eq(local, other),
            (Self::There(peer), Self::There(other)) => peer == other,
            _ => false,
        }
    }
}

impl<P: Eq> Eq for Whose<P> {}

impl<P: Hash> Hash for Whose<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Here(local) => Arc::as_ptr(local).hash(state),
            Self::There(peer) => peer.hash(state),
        }
    }
}
