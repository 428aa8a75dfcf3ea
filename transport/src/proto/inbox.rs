//! What one peer has sent us: in order, each at most once, also across links.

/// What to do with a data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admit {
    /// The next one: deliver it.
    Deliver,
    /// Had before, on this link or an older one: drop it.
    Duplicate,
    /// A number was skipped: the link is broken.
    Hole,
}

/// How a link's data lane begins, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// Where the last link ended, or earlier.
    Resumed,
    /// The first link to this peer.
    Fresh,
    /// The peer, or this node, no longer knows the session: what was owed is lost uncounted.
    Lost,
}

/// The place in one peer's stream of numbered records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inbox {
    /// The peer's outbox that the numbers belong to; none before the first link.
    generation: Option<u64>,
    /// The number to come; none where only the generation is remembered.
    expected: Option<u64>,
}

impl Inbox {
    /// What a node keeps of a session that it has forgotten: enough to know that something was lost.
    pub const fn remembered(generation: u64) -> Self {
        Self { generation: Some(generation), expected: None }
    }

    /// The peer's outbox last heard of.
    pub const fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// Generation and last number received: what the next link's hello says.
    pub fn received(&self) -> Option<(u64, u64)> {
        Some((self.generation?, self.expected?.checked_sub(1)?))
    }

    /// A link's data lane begins with number `first` of the outbox `generation`.
    pub fn start(&mut self, generation: u64, first: u64) -> Begin {
        match (self.generation, self.expected) {
            (Some(known), Some(expected)) if known == generation && first <= expected => Begin::Resumed,
            (None, _) => {
                *self = Self { generation: Some(generation), expected: Some(first) };
                Begin::Fresh
            }
            _ => {
                *self = Self { generation: Some(generation), expected: Some(first) };
                Begin::Lost
            }
        }
    }

    /// A data frame with this number arrived on some link.
    pub fn admit(&mut self, number: u64) -> Admit {
        match self.expected {
            Some(expected) if number == expected => {
                self.expected = number.checked_add(1);
                Admit::Deliver
            }
            Some(expected) if number < expected => Admit::Duplicate,
            _ => Admit::Hole,
        }
    }
}
