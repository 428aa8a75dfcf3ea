//! `talkie bench throughput`: as fast as it goes, how much arrives.

use std::time::Duration;

use serde_json::json;
use talkie_instrument::{Bar, Counts, Figure, Outcome, Picture, counts};

use super::Context;
use super::progress::Progress;
use super::results::{Conditions, Results, audience, chart, size};
use super::stage::{Aim, Shot, Stage};
use crate::args::Load;
use crate::exit::Failure;

pub(super) async fn run(context: &Context, load: &Load) -> Result<Results, Failure> {
    let mut stage = Stage::open(context, load).await?;
    let conditions = Conditions::look(stage.processes()).await;
    let runs = load.sizes.len() as u32 * load.rounds;
    let progress = Progress::start((load.time + Duration::from_millis(400)) * runs);
    let mut outcomes = Vec::new();
    let mut charts = [
        chart("Messages a second, each subscriber", ""),
        chart("MiB a second, each subscriber", ""),
        chart("Lost", "%"),
        chart("Processor time per million deliveries", "s"),
    ];
    let mut number = 0;
    for bytes in &load.sizes {
        for round in 1..=load.rounds {
            progress.tell(format!("{}, round {round} of {}", size(*bytes), load.rounds));
            let aim = Aim { number, bytes: *bytes, rate: None, time: load.time };
            let figures = figures(&stage.shoot(aim).await?, *bytes);
            number += 1;
            let load_of = vec![("bytes", json!(bytes)), ("round", json!(round))];
            let outcome = Outcome { system: "talkie".to_owned(), load: load_of, figures };
            let label = match load.rounds {
                1 => size(*bytes),
                _ => format!("{}, round {round}", size(*bytes)),
            };
            let keys = ["messages_per_s", "mib_per_s", "lost_percent", "cpu_s_per_million"];
            for (key, chart) in keys.into_iter().zip(&mut charts) {
                let value = outcome.figure(key).and_then(|figure| figure.value);
                chart.bars.push(Bar { label: label.clone(), value });
            }
            outcomes.push(outcome);
        }
    }
    drop(progress);
    let subscribers = stage.subscribers();
    stage.close().await;
    let seconds = load.time.as_secs_f64();
    let to = audience(load.across, subscribers);
    let title = format!("Throughput to {to}, as fast as it goes for {seconds} s");
    let mut report = conditions.report("throughput", title);
    report.settings = vec![("subscribers", json!(subscribers)), ("seconds", json!(seconds))];
    report.outcomes = outcomes;
    let subtitle = format!("Talkie, one publisher process. {}.", report.host.words());
    let picture = Picture { subtitle, bars: charts.into(), ..Picture::default() };
    Ok(Results { report, histograms: Vec::new(), picture })
}

fn figures(shot: &Shot, bytes: usize) -> Vec<Figure> {
    let Shot { published, got } = shot;
    let mut all = Counts::default();
    got.iter().for_each(|one| all.add(&one.counts));
    let rates: Vec<f64> =
        got.iter().map(|one| one.counts.received as f64 * 1e9 / one.took_ns as f64).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let cpu_ns = published.cpu_ns + got.iter().map(|one| one.cpu_ns).sum::<u64>();
    let subscriber = got.iter().map(|one| one.usage.peak).max().unwrap_or_default();
    let due = published.count * got.len() as u64;
    let mut figures = vec![Figure::new("published", "published", "", published.count as f64)];
    figures.extend(counts(&all));
    figures.extend([
        Figure::new("lost_percent", "lost", "%", 100.0 * all.lost as f64 / due as f64),
        Figure::new("messages_per_s", "each subscriber", "messages/s", mean.round()),
        Figure::new("slowest_messages_per_s", "the slowest", "messages/s", slowest.round()),
        Figure::new("mib_per_s", "each subscriber", "MiB/s", mib(mean * bytes as f64)),
        Figure::new(
            "cpu_s_per_million",
            "cpu per million delivered",
            "s",
            cpu_ns as f64 / 1e3 / all.received as f64,
        ),
        Figure::new(
            "publisher_peak_mib",
            "publisher resident, most",
            "MiB",
            mib(published.usage.peak as f64),
        ),
        Figure::new("subscriber_peak_mib", "subscriber resident, most", "MiB", mib(subscriber as f64)),
    ]);
    figures
}
