//! `talkie bench fanout`: at a fixed rate, how long until subscriber processes have a message.

use std::time::Duration;

use serde_json::json;
use talkie_instrument::{
    Bar, Counts, Curve, Figure, Latencies, Outcome, Picture, Rate, counts, percentiles, shown,
};

use super::Context;
use super::progress::Progress;
use super::results::{Conditions, Results, audience, chart, size};
use super::stage::{Aim, Shot, Stage};
use super::wire::{Got, Times};
use crate::args::Load;
use crate::exit::Failure;

pub(super) async fn run(context: &Context, load: &Load, rate: Rate) -> Result<Results, Failure> {
    let mut stage = Stage::open(context, load).await?;
    let conditions = Conditions::look(stage.processes()).await;
    let runs = load.sizes.len() as u32 * load.rounds;
    let progress = Progress::start((load.time + Duration::from_millis(400)) * runs);
    let mut sizes = Vec::new();
    let mut number = 0;
    for bytes in &load.sizes {
        let mut rounds = Vec::new();
        for round in 1..=load.rounds {
            progress.tell(format!("{}, round {round} of {}", size(*bytes), load.rounds));
            let aim = Aim { number, bytes: *bytes, rate: Some(rate.get()), time: load.time };
            rounds.push(Round::of(stage.shoot(aim).await?));
            number += 1;
        }
        sizes.push((*bytes, rounds));
    }
    drop(progress);
    let (subscribers, clock) = (stage.subscribers(), stage.clock());
    stage.close().await;
    Ok(results(load, rate, conditions, subscribers, clock, sizes))
}

/// What one round, or all rounds of a size, showed.
#[derive(Default)]
struct Round {
    counts: Counts,
    times: Times,
    last: Latencies,
    late: Latencies,
    call: Latencies,
    rounds: u64,
    published: u64,
    took_ns: u64,
    cpu_ns: u64,
    /// The most of any process, bytes.
    publisher: u64,
    subscriber: u64,
}

impl Round {
    fn of(shot: Shot) -> Self {
        let Shot { published, got } = shot;
        let mut round = Self {
            late: published.late,
            call: published.call,
            rounds: 1,
            published: published.count,
            took_ns: published.took_ns,
            cpu_ns: published.cpu_ns + got.iter().map(|one| one.cpu_ns).sum::<u64>(),
            publisher: published.usage.resident,
            subscriber: got.iter().map(|one| one.usage.resident).max().unwrap_or_default(),
            ..Self::default()
        };
        for Got { counts, times, .. } in &got {
            round.counts.add(counts);
            if published.echoes.is_none() {
                round.times.merge(times);
            }
        }
        if let Some(echoes) = published.echoes {
            round.times = echoes;
        }
        round.last = round.times.last.latencies(u32::try_from(got.len()).unwrap_or(u32::MAX));
        round
    }

    fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.times.from_due.merge(&other.times.from_due);
        self.times.from_sent.merge(&other.times.from_sent);
        self.last.merge(&other.last);
        self.late.merge(&other.late);
        self.call.merge(&other.call);
        self.rounds += other.rounds;
        self.published += other.published;
        self.took_ns += other.took_ns;
        self.cpu_ns += other.cpu_ns;
        self.publisher = self.publisher.max(other.publisher);
        self.subscriber = self.subscriber.max(other.subscriber);
    }

    /// From the first message to the last, messages a second.
    fn rate(&self) -> f64 {
        self.published.saturating_sub(self.rounds) as f64 * 1e9 / self.took_ns as f64
    }

    fn figures(&self) -> Vec<Figure> {
        let quantile = |all: &Latencies, q: f64| if all.is_empty() { f64::NAN } else { all.quantile_us(q) };
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut figures = counts(&self.counts);
        figures.extend(percentiles(&self.times.from_due, "", ""));
        figures.extend(percentiles(&self.last, "last_", "last "));
        figures.extend([
            Figure::new("sent_p50_us", "from the call p50", "µs", quantile(&self.times.from_sent, 0.5)),
            Figure::new("sent_p99_us", "from the call p99", "µs", quantile(&self.times.from_sent, 0.99)),
            Figure::new("call_p50_us", "publish call p50", "µs", quantile(&self.call, 0.5)),
            Figure::new("call_p99_us", "publish call p99", "µs", quantile(&self.call, 0.99)),
            Figure::new("late_p50_us", "publisher late p50", "µs", quantile(&self.late, 0.5)),
            Figure::new("late_p99_us", "publisher late p99", "µs", quantile(&self.late, 0.99)),
            Figure::new("rate_reached", "rate reached", "/s", self.rate()),
            Figure::new(
                "cpu_s_per_million",
                "cpu per million delivered",
                "s",
                self.cpu_ns as f64 / 1e3 / self.counts.received as f64,
            ),
            Figure::new("publisher_resident_mib", "publisher resident", "MiB", mib(self.publisher)),
            Figure::new("subscriber_resident_mib", "subscriber resident", "MiB", mib(self.subscriber)),
        ]);
        figures
    }
}

fn results(
    load: &Load,
    rate: Rate,
    conditions: Conditions,
    subscribers: usize,
    clock: &'static str,
    sizes: Vec<(usize, Vec<Round>)>,
) -> Results {
    let seconds = load.time.as_secs_f64();
    let (to, each) = (audience(load.across, subscribers), shown(rate.get() as f64));
    let title = format!("Fan-out to {to}, {each} messages a second for {seconds} s, latency {clock}");
    let mut report = conditions.report("fanout", title);
    report.settings = vec![
        ("subscribers", json!(subscribers)),
        ("rate", json!(rate.get())),
        ("seconds", json!(seconds)),
        ("clock", json!(clock)),
    ];
    let mut picture = Picture {
        subtitle: format!("Talkie; latency counts from when a message was due. {}.", report.host.words()),
        ..Picture::default()
    };
    let mut histograms = Vec::new();
    let mut charts =
        [chart("Last subscriber, p99", "µs"), chart("Processor time per million deliveries", "s")];
    for (bytes, rounds) in sizes {
        let mut all = Round::default();
        for (at, round) in rounds.iter().enumerate() {
            all.add(round);
            report.outcomes.push(outcome(bytes, json!(at + 1), round));
        }
        if rounds.len() > 1 {
            report.outcomes.push(outcome(bytes, json!("all"), &all));
        }
        for (key, chart) in ["last_p99_us", "cpu_s_per_million"].into_iter().zip(&mut charts) {
            let value = report.outcomes.last().and_then(|one| one.figure(key)?.value);
            chart.bars.push(Bar { label: format!("talkie, {}", size(bytes)), value });
        }
        for (what, latencies) in [("every delivery", all.times.from_due), ("last subscriber", all.last)] {
            histograms.push((format!("{bytes}-{what}"), latencies.clone()));
            picture.curves.push(Curve { label: format!("{what}, {}", size(bytes)), latencies });
        }
    }
    picture.bars = charts.into();
    Results { report, histograms, picture }
}

fn outcome(bytes: usize, round: serde_json::Value, of: &Round) -> Outcome {
    Outcome {
        system: "talkie".to_owned(),
        load: vec![("bytes", json!(bytes)), ("round", round)],
        figures: of.figures(),
    }
}
