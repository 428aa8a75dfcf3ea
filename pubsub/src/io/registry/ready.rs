//! Waiting until the others know of an own interest.

use std::collections::HashSet;

use talkie_discovery::NodeId;

use super::{Members, Registry};
use crate::error::Closed;
use crate::io::outlet::Outlet;
use crate::proto::replica::Seen;

impl<P: Outlet> Registry<P> {
    /// Resolves when every node that is `up` has confirmed the interest, as it is now. Nodes that come meanwhile must, too, and
    /// those that go need not.
    pub(crate) async fn ready(&self, interest: u64, up: impl Fn() -> Vec<NodeId>) -> Result<(), Closed> {
        let mut seen = Seen::default();
        self.until(|| {
            // Before the members: one that is told up a moment before its link is told here counts as well.
            let up = up();
            let members = self.members();
            members.replica.is_confirmed(interest, &mut seen) && members.all_linked(&up)
        })
        .await
    }
}

impl<P: Outlet> Members<P> {
    fn all_linked(&self, nodes: &[NodeId]) -> bool {
        let linked: HashSet<NodeId> = self.replica.linked().map(Outlet::id).collect();
        nodes.iter().all(|node| linked.contains(node))
    }
}
