//! An own interest: who takes what comes for it on this node.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::io::handlers::Callee;
use crate::io::queue::Queue;
use crate::topic::{Pattern, Topic};

/// An own interest: the subscriptions and handlers that share a pattern.
#[derive(Debug)]
pub(crate) struct Local {
    pub(in crate::io) pattern: Pattern,
    /// The topic that the pattern is, if it has no wildcard.
    pub(in crate::io) exact: Option<Topic>,
    /// Replaced as a whole when one joins or leaves, so that delivering holds no lock.
    takers: RwLock<Arc<Takers>>,
    /// Whether publishers here may wait for one of them: looked at before a message is numbered, so it takes no lock.
    patient: AtomicBool,
}

/// Who takes messages.
#[derive(Debug, Clone, Default)]
pub(in crate::io) struct Takers {
    pub(in crate::io) queues: Vec<Joined<Queue>>,
    pub(in crate::io) handlers: Vec<Joined<Callee>>,
}

/// Where one of them is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The id of its interest.
    pub(crate) interest: u64,
    /// As in [`Joined`].
    pub(crate) born: u64,
}

/// One of them.
#[derive(Debug)]
pub(in crate::io) struct Joined<T: ?Sized> {
    /// The interest's epoch that it joined in: what is meant for an earlier one is not for it.
    pub(in crate::io) epoch: u64,
    /// How many subscriptions this node had made, itself included.
    pub(in crate::io) born: u64,
    /// Whether it asked for what was published before.
    pub(in crate::io) history: bool,
    pub(in crate::io) to: Arc<T>,
}

impl<T: ?Sized> Clone for Joined<T> {
    fn clone(&self) -> Self {
        Self { epoch: self.epoch, born: self.born, history: self.history, to: Arc::clone(&self.to) }
    }
}

impl<T: ?Sized> Joined<T> {
    /// Whether it is owed what is meant for the interest at this epoch; none: at any.
    pub(in crate::io) fn takes(&self, epoch: Option<u64>) -> bool {
        epoch.is_none_or(|epoch| self.epoch <= epoch)
    }
}

impl Local {
    pub(super) fn new(pattern: Pattern) -> Self {
        Self {
            exact: pattern.as_topic(),
            pattern,
            takers: RwLock::default(),
            patient: AtomicBool::new(false),
        }
    }

    /// Those of the moment.
    pub(in crate::io) fn takers(&self) -> Arc<Takers> {
        Arc::clone(&self.takers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A queue that has no room for a message of so many bytes, and whose reader is to be waited for; not that of the number `but`.
    /// `waited`: how long that was done.
    pub(in crate::io) fn full(
        &self,
        but: u64,
        (topic, payload): (usize, usize),
        waited: Duration,
    ) -> Option<Arc<Queue>> {
        if !self.patient.load(Ordering::Relaxed) {
            return None;
        }
        let takers = self.takers();
        let mut queues = takers.queues.iter().filter(|joined| joined.born != but);
        let full = queues.find(|joined| joined.to.is_awaited(topic, payload, waited))?;
        Some(Arc::clone(&full.to))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Takers)) {
        let mut takers = self.takers.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = Takers::clone(&takers);
        change(&mut all);
        // Those who publish meanwhile need not wait for one that is about to join.
        self.patient.store(all.queues.iter().any(|joined| joined.to.is_patient()), Ordering::Relaxed);
        *takers = Arc::new(all);
    }
}
