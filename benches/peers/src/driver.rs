//! Starts the processes of each measurement, again and again, and collects what they tell.

pub mod child;
pub mod folder;
pub mod measure;
pub mod plan;
pub mod summary;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use talkie_instrument::Latencies;

use crate::driver::plan::{Case, Plan};

/// The figures of one measurement, by name.
pub type Figures = BTreeMap<String, f64>;

/// What one measurement of one system showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// What was measured.
    pub case: Case,
    /// The system's name.
    pub system: String,
    /// The round, from 1.
    pub round: usize,
    /// Its figures; none where it failed.
    pub figures: Figures,
    /// Why it failed, where it did.
    pub failed: Option<String>,
}

/// The time until the last subscriber had each message of W1, over all rounds.
pub type Curves = BTreeMap<(Case, String), Latencies>;

/// Runs all rounds: in each, every case once, and in each case every system once, one after the other.
pub fn run(plan: &Plan, mut told: impl FnMut(&Outcome)) -> (Vec<Outcome>, Curves) {
    let (mut outcomes, mut curves) = (Vec::new(), Curves::new());
    for round in 1..=plan.rounds {
        for (case, systems) in plan.cases() {
            for system in systems {
                let (figures, failed) = match measure::measure(&case, &system, plan) {
                    Ok(measured) => {
                        curves.entry((case, system.clone())).or_default().merge(&measured.last);
                        (measured.figures, None)
                    }
                    Err(why) => (Figures::new(), Some(why.to_string())),
                };
                let outcome = Outcome { case, system, round, figures, failed };
                told(&outcome);
                outcomes.push(outcome);
            }
        }
    }
    (outcomes, curves)
}
