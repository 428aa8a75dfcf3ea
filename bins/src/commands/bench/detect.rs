//! `talkie bench detect`: a process is killed or frozen, until another is told.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use talkie_instrument::{Bar, BarChart, Outcome, Picture};

use super::Context;
use super::crew::Crew;
use super::progress::Progress;
use super::results::{Conditions, Results, spread};
use super::stage::SOON;
use super::wire::{Order, Word};
use crate::exit::Failure;

/// About what a frozen process takes to be noticed.
const FROZEN: Duration = Duration::from_millis(3_300);

pub(super) async fn run(context: &Context, rounds: u32) -> Result<Results, Failure> {
    let conditions = Conditions::look(2).await;
    let progress = Progress::start((FROZEN + Duration::from_millis(100)) * rounds);
    let mut outcomes = Vec::new();
    let mut charts =
        [("killed", Signal::SIGKILL), ("frozen", Signal::SIGSTOP)].map(|how| (how, BarChart::default()));
    for ((how, signal), chart) in &mut charts {
        let mut told = Vec::new();
        for round in 1..=rounds {
            progress.tell(format!("{how}, round {round} of {rounds}"));
            told.push(gone(context, *signal).await?);
        }
        let figures = spread("told", "told after", &told);
        *chart = BarChart {
            title: format!("Told after: {how}"),
            unit: "ms".to_owned(),
            bars: figures.iter().map(|one| Bar { label: one.label.clone(), value: one.value }).collect(),
        };
        outcomes.push(Outcome { system: "talkie".to_owned(), load: vec![("how", json!(how))], figures });
    }
    drop(progress);
    let title = "Detection: a process is killed or frozen, until another is told".to_owned();
    let mut report = conditions.report("detect", title);
    report.settings = vec![("rounds", json!(rounds))];
    report.outcomes = outcomes;
    let subtitle = format!("Talkie, {rounds} rounds. {}.", report.host.words());
    let bars = charts.into_iter().map(|(_, chart)| chart).collect();
    Ok(Results { report, histograms: Vec::new(), picture: Picture { subtitle, bars, ..Picture::default() } })
}

/// Milliseconds from the signal until the other is told.
async fn gone(context: &Context, signal: Signal) -> Result<f64, Failure> {
    let mut crew = Crew::new(context.log.as_deref())?;
    let (watcher, other) = (crew.start()?, crew.start()?);
    crew.order(watcher, &Order::Watch).await?;
    while !matches!(crew.next(SOON, "meeting").await?, (_, Word::Up)) {}
    let at = crew.signal(other, signal)?;
    loop {
        if let (_, Word::Down { at_ns }) = crew.next(SOON, "noticing").await? {
            return Ok(at_ns.saturating_sub(at) as f64 / 1e6);
        }
    }
}
