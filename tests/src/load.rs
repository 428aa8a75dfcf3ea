//! Messages that flow while something goes wrong, and the account of them.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{
    SLACK, SOON,
    feeder::Feeder,
    hosts::Host,
    ledger::{Ledger, Totals},
    mesh::Member,
    process::Process,
};

/// The topic of every load.
pub const TOPIC: &str = "t";

/// A publisher of running numbers on [`TOPIC`], at a steady pace.
#[derive(Debug)]
pub struct Load {
    /// Its node id.
    pub id: String,
    /// The running command.
    pub process: Process,
    feeder: Feeder,
    per_second: u32,
}

impl Load {
    /// Publishes from this host to all of `subs`; returns when each has half a second's messages.
    ///
    /// # Panics
    /// If it does not come to that.
    #[track_caller]
    pub fn start(host: Host<'_>, secret: &str, name: &str, per_second: u32, subs: &[&Member]) -> Self {
        let command = host.talkie("pub", secret).name(name);
        let wanted = subs.len().to_string();
        let mut process = command.args([TOPIC, "-", "--timeout", "20", "--subscribers", &wanted]).spawn();
        let feeder = Feeder::start(process.take_stdin(), per_second, |number| number.to_string());
        let mut id = String::new();
        for sub in subs {
            let up = sub.expect("peer_up", |line| line["name"] == name, SOON);
            up["node"].as_str().expect("a node").clone_into(&mut id);
            let before = sub.count("message");
            sub.expect_count("message", before + per_second as usize / 2, SOON);
        }
        Self { id, process, feeder, per_second }
    }

    /// For this long, the length of a fault elsewhere, messages keep coming in. The load is the clock.
    #[track_caller]
    pub fn flows(&self, to: &Member, during: Duration) {
        for _ in 0..during.as_millis() / 500 {
            let so_far = to.count("message");
            let more = self.per_second as usize / 2;
            to.expect_count("message", so_far + more, Duration::from_millis(500) + SLACK);
        }
    }

    /// Waits for a message that was published after now; gives the moment when it came.
    #[track_caller]
    pub fn arrives(&self, at: &Member) -> Instant {
        let from = self.feeder.fed();
        let number = |line: &Value| line["payload"].as_str()?.parse::<u64>().ok();
        let is_new =
            |line: &Value| line["node"] == *self.id && number(line).is_some_and(|number| number >= from);
        at.sees_line("message", is_new, SOON).at
    }
}

/// A hundred messages more come in.
#[track_caller]
pub fn progresses(sub: &Member) {
    let so_far = sub.count("message");
    sub.expect_count("message", so_far + 100, SOON);
}

/// Ends the loads and checks every message of each against what every subscriber printed; gives the totals and how
/// many were published in all.
///
/// # Panics
/// If a promise was broken, or the last messages do not arrive.
#[track_caller]
pub fn balance(loads: Vec<Load>, subs: &[&Member]) -> (Totals, u64) {
    let mut ledger = Ledger::new();
    let mut all = 0;
    for sub in subs {
        ledger.subscribes(&sub.id, TOPIC);
    }
    for load in loads {
        let count = load.feeder.finish(SOON);
        all += count;
        (0..count).for_each(|number| ledger.published(&load.id, TOPIC, number.to_string()));
        let last = Value::from((count - 1).to_string());
        for sub in subs {
            sub.expect("message", |line| line["payload"] == last && line["node"] == *load.id, SOON + SOON);
        }
        // With exit 1 where a node that it lost meanwhile left messages in doubt.
        load.process.wait(SOON);
    }
    for sub in subs {
        ledger.printed_all(&sub.id, sub);
    }
    let totals = ledger.balance();
    println!("{all} published to each of {} subscribers: {totals:?}", subs.len());
    (totals, all)
}
