//! A bounded map that forgets what was not touched for longest.

use std::collections::{BTreeMap, HashMap};

use crate::node::NodeId;

/// What is known of nodes, in the order in which it was last touched.
#[derive(Debug)]
pub(super) struct Recent<T> {
    values: HashMap<NodeId, (u64, T)>,
    order: BTreeMap<u64, NodeId>,
    next: u64,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: BTreeMap::new(), next: 0 }
    }
}

impl<T> Recent<T> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn value(&self, id: NodeId) -> Option<&T> {
        self.values.get(&id).map(|(_, value)| value)
    }

    pub(super) fn value_mut(&mut self, id: NodeId) -> Option<&mut T> {
        self.values.get_mut(&id).map(|(_, value)| value)
    }

    /// Puts `value` in as the latest touched, in the place of any former one.
    pub(super) fn put(&mut self, id: NodeId, value: T) {
        self.remove(id);
        self.order.insert(self.next, id);
        self.values.insert(id, (self.next, value));
        self.next += 1;
    }

    pub(super) fn remove(&mut self, id: NodeId) -> Option<T> {
        let (stamp, value) = self.values.remove(&id)?;
        self.order.remove(&stamp);
        Some(value)
    }

    /// What was not touched for longest.
    pub(super) fn oldest(&self) -> Option<(NodeId, &T)> {
        let id = *self.order.first_key_value()?.1;
        self.value(id).map(|value| (id, value))
    }

    pub(super) fn pop_oldest(&mut self) -> Option<(NodeId, T)> {
        let id = *self.order.first_key_value()?.1;
        self.remove(id).map(|value| (id, value))
    }
}
