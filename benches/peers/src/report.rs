//! What is made of all outcomes: medians with their spread, a table, the targets, a picture.

pub mod picture;
pub mod table;
pub mod targets;
pub mod versions;

use std::collections::BTreeMap;

use crate::driver::Outcome;
use crate::driver::plan::Case;
use crate::driver::summary::quantile;

/// A figure over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// A system in a case.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Its name.
    pub system: String,
    /// Its figures over the rounds in which it did not fail.
    pub figures: BTreeMap<String, Spread>,
    /// Why it failed, in each round in which it did.
    pub failures: Vec<String>,
}

/// All rows, in the order in which they were measured first.
#[derive(Debug, Clone, Default)]
pub struct Medians(pub Vec<(Case, Vec<Row>)>);

impl Medians {
    /// Over all rounds.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut medians = Self::default();
        for first in outcomes.iter().filter(|outcome| outcome.round == 1) {
            let same = |outcome: &&Outcome| outcome.case == first.case && outcome.system == first.system;
            let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            let mut row = Row { system: first.system.clone(), ..Row::default() };
            for outcome in outcomes.iter().filter(same) {
                row.failures.extend(outcome.failed.clone());
                for (name, value) in &outcome.figures {
                    samples.entry(name.clone()).or_default().push(*value);
                }
            }
            row.figures = samples.into_iter().map(|(name, samples)| (name, Spread::of(&samples))).collect();
            match medians.0.last_mut() {
                Some((case, rows)) if *case == first.case => rows.push(row),
                _ => medians.0.push((first.case, vec![row])),
            }
        }
        medians
    }

    /// The rows of a case.
    pub fn rows(&self, case: Case) -> &[Row] {
        self.0.iter().find(|(found, _)| *found == case).map_or(&[], |(_, rows)| rows)
    }

    /// The median of one figure of one system.
    pub fn median(&self, case: Case, system: &str, figure: &str) -> Option<f64> {
        let row = self.rows(case).iter().find(|row| row.system == system)?;
        row.figures.get(figure).map(|spread| spread.median)
    }
}

impl Spread {
    fn of(samples: &[f64]) -> Self {
        Self { median: quantile(samples, 0.5), min: quantile(samples, 0.0), max: quantile(samples, 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Figures;

    fn outcome(round: usize, system: &str, ms: Option<f64>) -> Outcome {
        Outcome {
            case: Case::Start { processes: 2 },
            system: system.to_owned(),
            round,
            figures: ms.map(|ms| Figures::from([("ms".to_owned(), ms)])).unwrap_or_default(),
            failed: if ms.is_none() { Some("it did not work".to_owned()) } else { None },
        }
    }

    #[test]
    fn a_failed_round_is_kept_beside_the_figures_of_the_others() {
        let outcomes = [
            outcome(1, "a", Some(3.0)),
            outcome(1, "b", None),
            outcome(2, "a", Some(1.0)),
            outcome(2, "b", Some(7.0)),
            outcome(3, "a", Some(2.0)),
            outcome(3, "b", Some(9.0)),
        ];
        let medians = Medians::of(&outcomes);
        let rows = medians.rows(Case::Start { processes: 2 });
        assert_eq!(rows[0].figures["ms"], Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(rows[1].figures["ms"], Spread { median: 9.0, min: 7.0, max: 9.0 });
        assert_eq!(rows[1].failures, ["it did not work"]);
    }
}
