//! What stands in an outbox.

use super::run::{self, Run};
use crate::body::Body;
use crate::interest::{Interest, Interests};
use crate::proto::record;

/// What a record costs beside its bytes, so that empty messages are bounded too. An entry of the queue and its
/// share of the allocator take about this much.
pub const RECORD_CHARGE: usize = 128;

/// What is owed, with the number of its first frame.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) start: u64,
    pub(super) record: Record,
}

impl Entry {
    /// The number behind its last frame.
    pub(super) fn end(&self) -> u64 {
        self.start + self.record.count()
    }
}

#[derive(Debug)]
pub(super) enum Record {
    /// Small messages, each with a number of its own.
    Run(Run),
    Message {
        interests: Interests,
        body: Body,
    },
    Large(Box<Large>),
    Gap {
        missed: Vec<(Interest, u64)>,
        exact: bool,
    },
}

/// A message whose body goes in pieces on the bulk lane, before its frame.
#[derive(Debug)]
pub(super) struct Large {
    pub(super) interests: Interests,
    pub(super) body: Body,
}

impl Record {
    /// How many numbers it takes.
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Run(run) => run.count(),
            _ => 1,
        }
    }

    /// What it is charged, bytes.
    pub(super) fn charge(&self) -> usize {
        match self {
            Self::Run(run) => run.end() - run.begin() + run::CHARGE * run.count() as usize,
            Self::Message { interests, body } => RECORD_CHARGE + body.len() + 16 * interests.len(),
            Self::Large(large) => RECORD_CHARGE + large.body.len() + 16 * large.interests.len(),
            Self::Gap { missed, .. } => RECORD_CHARGE + 24 * missed.len(),
        }
    }

    /// Whether its body goes in pieces.
    pub(super) const fn is_large(&self) -> bool {
        matches!(self, Self::Large(_))
    }

    /// How many messages it is; none where it tells losses.
    pub(super) fn messages(&self) -> u64 {
        if matches!(self, Self::Gap { .. }) { 0 } else { self.count() }
    }

    /// Counts it as lost: each message once, and what it told itself.
    pub(super) fn lose(&self, mut count: impl FnMut(Interest, u64)) {
        match self {
            Self::Run(run) => {
                for (interests, _) in run.frames() {
                    interests.iter().for_each(|interest| count(*interest, 1));
                }
            }
            Self::Message { interests, .. } => interests.iter().for_each(|interest| count(*interest, 1)),
            Self::Large(large) => large.interests.iter().for_each(|interest| count(*interest, 1)),
            Self::Gap { missed, .. } => {
                missed.iter().for_each(|(interest, missed)| count(*interest, *missed))
            }
        }
    }

    /// Its frame on the data lane, but for the body of a message. A run has its frames already.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        match self {
            Self::Run(_) => {}
            Self::Message { interests, body } => record::put_message_head(&mut head, interests, body.len()),
            Self::Large(large) => record::put_large(&mut head, &large.interests),
            Self::Gap { missed, exact } => record::put_gap(&mut head, missed, *exact),
        }
        head
    }
}
