//! What a process of a measurement does: it publishes, or it subscribes.

use std::env;
use std::process::exit;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use talkie_instrument::{Kind, Latencies, Pacer, Rate, STAMP_BYTES, Stamp, Usage, now_ns};
use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;
use crate::say::{say, words};
use crate::sink::Sink;
use crate::system::{Publisher, Setup, Subscriber};

/// What a publisher sends.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Load {
    /// Processes that subscribe.
    pub subscribers: usize,
    /// Bytes of a payload, at least [`STAMP_BYTES`].
    pub bytes: usize,
    /// Messages a second; 0: as fast as it goes.
    pub rate: u64,
    /// How long it counts, milliseconds.
    pub ms: u64,
    /// Before that, milliseconds.
    pub warm_up_ms: u64,
}

/// What a publisher sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    /// Messages.
    pub published: u64,
    /// From before the first to behind the last, nanoseconds.
    pub ns: u64,
    /// Processor time of this process until all subscribers had what came, nanoseconds.
    pub cpu_ns: u64,
    /// How long each call took that published one; only at a pace.
    pub calls: Latencies,
}

/// Between two messages that ask who is there, and two end marks: soon, and no load.
const REPEAT: Duration = Duration::from_millis(5);

/// Messages between two looks at the clock when it goes as fast as it can.
const GLANCE: u64 = 32;

/// The `main` of a system's roles: `pub SETUP LOAD` or `sub SETUP`, both as JSON. Other words go to `other`.
pub fn main<P: Publisher, S: Subscriber>(other: impl FnOnce(&str, &Setup) -> Result<(), Failure>) {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match *args.as_slice() {
        ["pub", setup, load] => publisher::<P>(setup, load),
        ["sub", setup] => subscriber::<S>(setup),
        [word, setup] => {
            serde_json::from_str(setup).map_err(Failure::from).and_then(|setup| other(word, &setup))
        }
        _ => Err(Failure::new("this program is started by `peers`")),
    };
    if let Err(why) = done {
        say(&json!({"event": "failed", "why": why.to_string()}));
        exit(1);
    }
}

/// A runtime as `#[tokio::main]` makes it.
pub fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

fn subscriber<S: Subscriber>(setup: &str) -> Result<(), Failure> {
    let setup: Setup = serde_json::from_str(setup)?;
    let _words = words();
    // A plain loop needs one thread, and would pay for more.
    let runtime =
        if setup.is_floor() { Builder::new_current_thread().enable_all().build()? } else { runtime()? };
    // A task of the runtime, as it is in a service; `block_on` itself would cost a change of threads.
    let sink = Sink::new(!setup.flood);
    runtime.block_on(async { tokio::spawn(S::run(setup, sink)).await? })
}

fn publisher<P: Publisher>(setup: &str, load: &str) -> Result<(), Failure> {
    let setup: Setup = serde_json::from_str(setup)?;
    let load: Load = serde_json::from_str(load)?;
    let words = words();
    runtime()?.block_on(async {
        let mut system = P::open(&setup).await?;
        say(&json!({"event": "ready", "endpoint": system.endpoint()}));
        system.gather(load.subscribers).await?;
        let mut sender = Sender { system, payload: vec![0; load.bytes.max(STAMP_BYTES)], rate: load.rate };
        // Until all subscribers have one: then they are connected.
        sender.repeat(Kind::WarmUp, 0, &words).await?;
        if setup.large {
            sender.system.large()?;
        }
        sender.send(Kind::WarmUp, load.warm_up_ms, |_| {}).await?;
        say(&json!({"event": "started"}));
        let mut calls = Latencies::default();
        let (began, cpu) = (now_ns(), Usage::own().cpu_ns);
        let published = sender.send(Kind::Counted, load.ms, |ns| calls.record(ns)).await?;
        let ns = now_ns() - began;
        // Until all subscribers have told what they got, which is when the queues are empty.
        sender.repeat(Kind::End, published, &words).await?;
        let sent = Sent { published, ns, cpu_ns: Usage::own().cpu_ns - cpu, calls };
        say(&json!({"event": "sent", "sent": sent}));
        std::future::pending().await
    })
}

struct Sender<P> {
    system: P,
    payload: Vec<u8>,
    rate: u64,
}

impl<P: Publisher> Sender<P> {
    fn stamp(&mut self, kind: Kind, number: u64, due_ns: u64, sent_ns: u64) {
        Stamp { kind, number, due_ns, sent_ns }.write(&mut self.payload);
    }

    /// Sends one kind again and again until the driver says a word.
    async fn repeat(&mut self, kind: Kind, number: u64, words: &Receiver<String>) -> Result<(), Failure> {
        self.stamp(kind, number, 0, 0);
        loop {
            self.system.publish(&self.payload).await?;
            self.system.flush().await?;
            if words.try_recv().is_ok() {
                return Ok(());
            }
            tokio::time::sleep(REPEAT).await;
        }
    }

    /// Sends for so many milliseconds; how many.
    async fn send(&mut self, kind: Kind, ms: u64, note: impl FnMut(u64)) -> Result<u64, Failure> {
        let until = now_ns() + ms * 1_000_000;
        if self.rate == 0 { self.flood(kind, until).await } else { self.at_pace(kind, until, note).await }
    }

    async fn flood(&mut self, kind: Kind, until: u64) -> Result<u64, Failure> {
        let mut number: u64 = 0;
        while !number.is_multiple_of(GLANCE) || now_ns() < until {
            self.stamp(kind, number, 0, 0);
            self.system.publish(&self.payload).await?;
            number += 1;
        }
        self.system.flush().await?;
        Ok(number)
    }

    /// An open loop: the schedule never shifts. A message that is late because of an earlier one counts from when it was
    /// due. Where the publisher slept it counts from when it woke: the slack of a sleep is none of the system's doing.
    async fn at_pace(&mut self, kind: Kind, until: u64, mut note: impl FnMut(u64)) -> Result<u64, Failure> {
        let mut pacer = Pacer::start(Rate::per_second(self.rate)?);
        let mut ended = 0;
        loop {
            // The main thread's own sleep: the runtime's timers are no finer than a millisecond. Its others go on.
            let turn = pacer.wait();
            if turn.due_ns >= until {
                return Ok(turn.number);
            }
            let due = if ended > turn.due_ns { turn.due_ns } else { turn.sent_ns };
            self.stamp(kind, turn.number, due, turn.sent_ns);
            self.system.publish(&self.payload).await?;
            ended = now_ns();
            note(ended.saturating_sub(turn.sent_ns));
        }
    }
}
