//! A publisher and its subscribers: processes of this machine, or this process and servers across machines.

use std::time::Duration;

use super::Context;
use super::across::Across;
use super::crew::Crew;
use super::wire::{Got, Order, Plan, Published, Take, Word};
use crate::args::Load;
use crate::exit::Failure;

/// How long an order may take that is done at once, such as joining and subscribing, on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// Those who take part.
pub(super) enum Stage {
    /// The first process publishes, the others subscribe.
    Here(Crew, usize),
    Across(Across),
}

/// One run of a load: what was published, and what each subscriber got.
pub(super) struct Shot {
    pub(super) published: Published,
    pub(super) got: Vec<Got>,
}

/// What to run.
#[derive(Clone, Copy)]
pub(super) struct Aim {
    /// From 0; each has a topic of its own.
    pub(super) number: usize,
    pub(super) bytes: usize,
    pub(super) rate: Option<u64>,
    pub(super) time: Duration,
}

/// Where there is no number on the command line.
const SUBSCRIBERS: usize = 4;

impl Stage {
    pub(super) async fn open(context: &Context, load: &Load) -> Result<Self, Failure> {
        if load.across {
            return Ok(Self::Across(Across::open(context, load).await?));
        }
        let subscribers = load.subscribers.unwrap_or(SUBSCRIBERS);
        let mut crew = Crew::new(context.log.as_deref())?;
        for _ in 0..=subscribers {
            crew.start()?;
        }
        Ok(Self::Here(crew, subscribers))
    }

    pub(super) fn subscribers(&self) -> usize {
        match self {
            Self::Here(_, subscribers) => *subscribers,
            Self::Across(across) => across.servers(),
        }
    }

    /// Processes on this machine that take part in the measurement.
    pub(super) fn processes(&self) -> usize {
        match self {
            Self::Here(_, subscribers) => subscribers + 1,
            Self::Across(_) => 1,
        }
    }

    /// How latency is measured, in words.
    pub(super) fn clock(&self) -> &'static str {
        if self.round_trip() { "round trip" } else { "one way" }
    }

    fn round_trip(&self) -> bool {
        matches!(self, Self::Across(across) if across.round_trip)
    }

    /// Runs a load once.
    pub(super) async fn shoot(&mut self, aim: Aim) -> Result<Shot, Failure> {
        let topic = format!("bench/{}", aim.number);
        let times = aim.rate.is_some();
        let echo = (times && self.round_trip()).then(|| format!("echo/{}", aim.number));
        let take = Take { topic: topic.clone(), echo: echo.clone(), times };
        self.each(&Order::Subscribe(take), "subscribing").await?;
        let plan = Plan {
            topic,
            echo,
            subscribers: self.subscribers(),
            bytes: aim.bytes,
            rate: aim.rate,
            millis: u64::try_from(aim.time.as_millis()).unwrap_or(u64::MAX).max(1),
        };
        let published = self.publish(plan, aim.time).await?;
        let report = Order::Report { published: published.count };
        let words = self.each(&report, "what the subscribers got").await?;
        let got: Vec<Got> = words
            .into_iter()
            .filter_map(|word| if let Word::Got(got) = word { Some(*got) } else { None })
            .collect();
        if got.len() != self.subscribers() {
            return Err(Failure::Failed("not every subscriber told what it got".to_owned()));
        }
        Ok(Shot { published, got })
    }

    async fn each(&mut self, order: &Order, what: &str) -> Result<Vec<Word>, Failure> {
        match self {
            Self::Here(crew, subscribers) => crew.each(1..*subscribers + 1, order, SOON, what).await,
            Self::Across(across) => across.each(order, what).await,
        }
    }

    async fn publish(&mut self, plan: Plan, time: Duration) -> Result<Published, Failure> {
        match self {
            Self::Here(crew, _) => {
                // A publisher that is held up for longer than it publishes is not worth waiting for.
                let within = time * 2 + Duration::from_secs(60);
                match crew.each(0..1, &Order::Publish(plan), within, "publishing").await?.pop() {
                    Some(Word::Published(published)) => Ok(*published),
                    _ => Err(Failure::Failed("the publisher did not tell what it published".to_owned())),
                }
            }
            Self::Across(across) => across.publish(plan).await,
        }
    }

    /// Ends it. Dropping it does so, too, without a goodbye.
    pub(super) async fn close(self) {
        if let Self::Across(across) = self {
            across.close().await;
        }
    }
}
