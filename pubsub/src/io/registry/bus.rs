//! A bus of this node, as those who publish and ask on it share it.

use std::sync::{Arc, Mutex};

use talkie_transport::Interest;

use super::Local;
use crate::io::desk::Desk;
use crate::io::groups::{GroupIndex, Groups, Holder};
use crate::io::handlers::Calls;
use crate::io::order::Order;
use crate::io::outlet::Outlet;
use crate::proto::index::Index;
use crate::proto::interest::Role;
use crate::proto::interest::Wanted;
use crate::topic::BusName;

/// A bus that was opened here. It stays while the node lives, for its sequence must not begin again.
#[derive(Debug)]
pub(crate) struct BusState<P: Outlet> {
    pub(crate) name: BusName,
    pub(in crate::io) index: Index<P, Arc<Local>>,
    /// Members of groups.
    pub(in crate::io) members: Arc<GroupIndex<P>>,
    /// The node's.
    pub(in crate::io) groups: Arc<Groups<P>>,
    pub(super) responders: Index<P, Arc<Desk<P>>>,
    /// Held while one is matched and pushed, so that order is the same for all.
    pub(in crate::io) order: Mutex<Order<P>>,
    /// Of handlers here, for what is published here.
    pub(in crate::io) calls: Calls,
}

impl<P: Outlet> BusState<P> {
    pub(super) fn new(name: BusName, groups: Arc<Groups<P>>) -> Self {
        Self {
            name,
            index: Index::default(),
            members: Arc::default(),
            groups,
            responders: Index::default(),
            order: Mutex::default(),
            calls: Calls::default(),
        }
    }

    pub(super) fn set_remote(&self, peer: &P, wanted: &Wanted, interest: Interest) {
        match &wanted.role {
            Role::Subscriber => self.set_subscriber(peer, wanted, interest),
            Role::Responder => self.responders.set_remote(peer, &wanted.pattern, interest),
            Role::Member(group) => {
                self.members.set_remote(&Holder::there(peer, group), &wanted.pattern, interest);
                self.index.touch();
            }
        }
    }

    pub(super) fn remove_remote(&self, peer: &P, wanted: &Wanted, id: u64) {
        match &wanted.role {
            Role::Subscriber => self.index.remove_remote(peer, &wanted.pattern, id),
            Role::Responder => self.responders.remove_remote(peer, &wanted.pattern, id),
            Role::Member(group) => {
                self.members.remove_remote(&Holder::there(peer, group), &wanted.pattern, id);
                self.index.touch();
            }
        }
    }
}
