//! Noun: what a message is for, as the receiving node named it.

use smallvec::SmallVec;

/// Names an interest of the receiving node.
///
/// Opaque here: the pair travels with each message, and what an overflowing outbox drops is counted per pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interest {
    /// Never reused by the node that announced it.
    pub id: u64,
    /// Grows by one whenever another local subscription joins the same interest.
    pub epoch: u64,
}

/// The interests that one message goes to on one peer; most often one.
pub type Interests = SmallVec<[Interest; 2]>;
