//! `talkie bench discovery`: processes that start at once, until they talk and all are linked.

use std::time::Duration;

use serde_json::json;
use talkie_instrument::{Bar, Outcome, Picture};

use super::Context;
use super::crew::Crew;
use super::progress::Progress;
use super::results::{Conditions, Results, chart, spread};
use super::wire::{Order, Word};
use crate::exit::Failure;

/// How long so many may take on a busy machine; a healthy one needs a hundredth.
const MET_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &Context, nodes: usize, rounds: u32) -> Result<Results, Failure> {
    let conditions = Conditions::look(nodes).await;
    // About what it takes; nobody knows before.
    let progress = Progress::start(Duration::from_millis(100 + 40 * nodes as u64) * rounds);
    let sizes = if nodes == 2 { vec![2] } else { vec![2, nodes] };
    let mut outcomes = Vec::new();
    let mut charts = ["Until all are linked, median", "Until all have a message of all, median"]
        .map(|title| chart(title, "ms"));
    for nodes in sizes {
        let (mut linked, mut talked) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            progress.tell(format!("{nodes} processes, round {round} of {rounds}"));
            let met = meet(context, nodes).await?;
            linked.push(met.linked_ms);
            talked.push(met.talked_ms);
        }
        let mut figures = spread("linked", "linked", &linked);
        figures.extend(spread("talked", "talked", &talked));
        let load = vec![("nodes", json!(nodes))];
        let outcome = Outcome { system: "talkie".to_owned(), load, figures };
        for (key, chart) in ["linked_median_ms", "talked_median_ms"].into_iter().zip(&mut charts) {
            let value = outcome.figure(key).and_then(|figure| figure.value);
            chart.bars.push(Bar { label: format!("{nodes} processes"), value });
        }
        outcomes.push(outcome);
    }
    drop(progress);
    let title = "Discovery: from the start of the processes until they talk".to_owned();
    let mut report = conditions.report("discovery", title);
    report.settings = vec![("rounds", json!(rounds))];
    report.outcomes = outcomes;
    let subtitle = format!("Talkie, started at once, {rounds} rounds. {}.", report.host.words());
    let picture = Picture { subtitle, bars: charts.into(), ..Picture::default() };
    Ok(Results { report, histograms: Vec::new(), picture })
}

/// Since the start of the first process, milliseconds.
struct Met {
    linked_ms: f64,
    talked_ms: f64,
}

async fn meet(context: &Context, nodes: usize) -> Result<Met, Failure> {
    let mut crew = Crew::new(context.log.as_deref())?;
    let order = Order::Meet { others: nodes - 1 };
    for _ in 0..nodes {
        let index = crew.start()?;
        crew.order(index, &order).await?;
    }
    let (mut linked, mut talked) = (Vec::new(), Vec::new());
    while linked.len() < nodes || talked.len() < nodes {
        match crew.next(MET_WITHIN, "meeting").await? {
            (_, Word::Linked { at_ns }) => linked.push(at_ns),
            (_, Word::Talked { at_ns }) => talked.push(at_ns),
            _ => {}
        }
    }
    let began = crew.started_ns(0);
    let since = |all: &[u64]| all.iter().max().map_or(0, |last| last.saturating_sub(began)) as f64 / 1e6;
    Ok(Met { linked_ms: since(&linked), talked_ms: since(&talked) })
}
