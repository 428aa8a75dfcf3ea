//! Publishes at a pace, or as fast as it goes.

use std::thread;
use std::time::Duration;

use talkie_instrument::{Kind, Pacer, Rate, Stamp, Turn, Usage, now_ns};
use talkie_pubsub::Bus;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::echoes::Echoes;
use super::wire::{Plan, Published};

/// How long subscribers may take to be known here.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(15);

/// How long what was published may take to be confirmed: at the end of a measurement of throughput much waits.
const FLUSH_WITHIN: Duration = Duration::from_secs(30);

/// Messages to warm up with, a fifth of a second of them at most: caches, connections, the scheduler.
const WARM_UP: u64 = 200;

/// Between warming up and the first message that counts: subscribers read their own usage in it.
const PAUSE_NS: u64 = 20_000_000;

/// Publishes as planned, on a thread of its own: the pacer sleeps in it, more precisely than the runtime's timers.
pub(super) async fn publish(bus: &Bus, plan: Plan) -> Result<Published, String> {
    let (tell, told) = oneshot::channel();
    let (bus, runtime) = (bus.clone(), Handle::current());
    let work = move || {
        let _ = tell.send(runtime.block_on(published(&bus, &plan)));
    };
    let thread = thread::Builder::new().name("publisher".to_owned()).spawn(work);
    thread.map_err(|error| format!("cannot start the publisher: {error}"))?;
    told.await.unwrap_or_else(|_| Err("the publisher ended".to_owned()))
}

async fn published(bus: &Bus, plan: &Plan) -> Result<Published, String> {
    let subscribed = bus.subscribed_on(plan.topic.as_str(), plan.subscribers);
    match tokio::time::timeout(SUBSCRIBED_WITHIN, subscribed).await {
        Ok(subscribed) => subscribed.map_err(|error| error.to_string())?,
        Err(_) => {
            let there = bus.subscribers(plan.topic.as_str()).map_or(0, |nodes| nodes.len());
            let all = plan.subscribers;
            let within = SUBSCRIBED_WITHIN.as_secs();
            return Err(format!("only {there} of {all} subscribers were found within {within} s"));
        }
    }
    let echoes = plan.echo.as_ref().map(|echo| Echoes::start(bus, echo, plan.subscribers)).transpose()?;
    let mut run = Run { bus, plan, done: Published::default() };
    let rate = plan.rate.map(Rate::per_second).transpose().map_err(|error| error.to_string())?;
    run.warm_up(rate.unwrap_or(Rate::per_second(2_000).map_err(|error| error.to_string())?)).await?;
    let before = Usage::own();
    match rate {
        Some(rate) => run.at_pace(rate).await?,
        None => run.as_fast_as_it_goes().await?,
    }
    let now = now_ns();
    let end = Stamp { kind: Kind::End, number: run.done.count, due_ns: now, sent_ns: now };
    run.send(&end).await?;
    let mut done = run.done;
    // Where one is lost or stands still, its report tells what it did not get.
    let _ = tokio::time::timeout(FLUSH_WITHIN, bus.flush()).await;
    done.usage = Usage::own();
    done.cpu_ns = done.usage.cpu_ns.saturating_sub(before.cpu_ns);
    if let Some(echoes) = echoes {
        done.echoes = Some(echoes.finish().await?);
    }
    Ok(done)
}

/// A publisher at work.
struct Run<'a> {
    bus: &'a Bus,
    plan: &'a Plan,
    done: Published,
}

impl Run<'_> {
    async fn warm_up(&mut self, rate: Rate) -> Result<(), String> {
        let mut pacer = Pacer::start(rate);
        for left in (0..WARM_UP.min(rate.get() / 5 + 1)).rev() {
            let turn = pacer.wait();
            self.send(&Stamp { kind: Kind::WarmUp, number: left, ..Stamp::of(&turn) }).await?;
        }
        self.done = Published::default();
        Ok(())
    }

    async fn at_pace(&mut self, rate: Rate) -> Result<(), String> {
        let count = u64::try_from(u128::from(rate.get()) * u128::from(self.plan.millis) / 1_000);
        let count = count.unwrap_or(u64::MAX).max(1);
        let start = now_ns() + PAUSE_NS;
        let mut pacer = Pacer::start_at(start, rate);
        for _ in 0..count {
            let turn = pacer.wait();
            self.send(&Stamp::of(&turn)).await?;
            let done = now_ns();
            self.done.late.record(turn.late_ns());
            self.done.call.record(done - turn.sent_ns);
            self.done.took_ns = done - start;
        }
        self.done.count = count;
        Ok(())
    }

    async fn as_fast_as_it_goes(&mut self) -> Result<(), String> {
        thread::sleep(Duration::from_nanos(PAUSE_NS));
        let start = now_ns();
        let end = start + self.plan.millis * 1_000_000;
        let mut now = start;
        for number in 0.. {
            // The clock is read for some of them only; it would cost a tenth.
            if number % 16 == 0 {
                now = now_ns();
                if now >= end {
                    break;
                }
            }
            self.send(&Stamp::of(&Turn { number, due_ns: now, sent_ns: now })).await?;
            self.done.count = number + 1;
        }
        self.done.took_ns = now - start;
        Ok(())
    }

    async fn send(&mut self, stamp: &Stamp) -> Result<(), String> {
        let mut payload = vec![0; self.plan.bytes];
        stamp.write(&mut payload);
        match self.bus.publish(self.plan.topic.as_str(), payload).await {
            Ok(receipt) => {
                self.done.overflowed += receipt.overflowed as u64;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
