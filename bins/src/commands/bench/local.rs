//! `talkie bench local`: subscriptions in the publisher's own process, until all have a message.

use std::time::Duration;

use serde_json::json;
use talkie_instrument::{Bar, Curve, Figure, Outcome, Picture, percentiles, shown};

use super::Context;
use super::crew::Crew;
use super::progress::Progress;
use super::results::{Conditions, Results, chart, size};
use super::stage::SOON;
use super::wire::{Order, Word};
use crate::exit::Failure;

pub(super) async fn run(
    context: &Context,
    subscribers: &[usize],
    bytes: usize,
    time: Duration,
) -> Result<Results, Failure> {
    let conditions = Conditions::look(1).await;
    let progress = Progress::start(time * subscribers.len() as u32);
    let (mut outcomes, mut histograms, mut picture) = (Vec::new(), Vec::new(), Picture::default());
    let mut each = chart("Per delivery", "ns");
    for many in subscribers {
        progress.tell(words(*many));
        // A process for each, so that what one leaves behind is not measured with the next.
        let mut crew = Crew::new(context.log.as_deref())?;
        crew.start()?;
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let order = Order::Local { subscribers: *many, bytes, millis };
        let told = crew.each(0..1, &order, time * 2 + SOON, "measuring").await?.pop();
        let Some(Word::Local(all)) = told else {
            return Err(Failure::Failed("the process did not tell what it measured".to_owned()));
        };
        let per_delivery = all.mean_ns() / *many as f64;
        let mut figures = vec![Figure::new("messages", "messages", "", all.len() as f64)];
        figures.extend(percentiles(&all, "", ""));
        figures.push(Figure::new("ns_per_delivery", "per delivery", "ns", per_delivery));
        outcomes.push(Outcome {
            system: "talkie".to_owned(),
            load: vec![("subscribers", json!(many))],
            figures,
        });
        let label = words(*many);
        each.bars.push(Bar { label: label.clone(), value: Some(per_delivery) });
        histograms.push((format!("{many} subscribers"), (*all).clone()));
        picture.curves.push(Curve { label, latencies: *all });
    }
    drop(progress);
    let seconds = time.as_secs_f64();
    let title =
        format!("Subscribers in the publisher's own process, {}: until all have a message", size(bytes));
    let mut report = conditions.report("local", title);
    report.settings = vec![("bytes", json!(bytes)), ("seconds", json!(seconds))];
    report.outcomes = outcomes;
    picture.subtitle = format!("Talkie, a task for each subscriber. {}.", report.host.words());
    picture.bars.push(each);
    Ok(Results { report, histograms, picture })
}

fn words(subscribers: usize) -> String {
    format!("{} subscriber{}", shown(subscribers as f64), if subscribers == 1 { "" } else { "s" })
}
