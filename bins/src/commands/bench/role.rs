//! A process of this machine that follows orders on standard input, and ends with it.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use talkie_instrument::{Latencies, clock_name, now_ns};
use talkie_pubsub::{Bus, Delivery, PeerEvent};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{Notify, mpsc};

use super::publisher;
use super::taker::Taker;
use super::wire::{Order, Word};
use crate::commands::{Session, Setup};
use crate::exit::Failure;

/// Joins, and follows the orders until they end.
pub(crate) async fn run(setup: Setup) -> Result<(), Failure> {
    // Who is frozen cannot read that the orders have ended; and the kernel wakes the children of one that dies only if
    // they had stopped with all of their threads by then.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| Failure::Failed(format!("cannot end with the one who measures: {error}")))?;
    // No goodbye: who gave the orders is gone, and so are the others.
    follow(setup.join().await?).await
}

async fn follow(session: Session) -> Result<(), Failure> {
    let mut stop = session.stop.clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let mut taker = None;
    loop {
        tokio::select! {
            biased;
            why = stop.stopped() => return Err(stop.ended(why)),
            Some(word) = told.recv() => say(&word)?,
            line = orders.next_line() => {
                let Ok(Some(line)) = line else { return Ok(()) };
                let order = serde_json::from_str(&line)
                    .map_err(|error| Failure::Failed(format!("an order that cannot be read: {error}")))?;
                obey(&session.bus, order, &mut taker, &tell);
            }
        }
    }
}

/// Begins what is ordered; what comes of it is told.
fn obey(bus: &Bus, order: Order, taker: &mut Option<Taker>, tell: &mpsc::UnboundedSender<Word>) {
    let (bus, tell) = (bus.clone(), tell.clone());
    let done = |word: Result<Word, String>| word.unwrap_or_else(|why| Word::Failed { why });
    match order {
        Order::Who => drop(tell.send(Word::Who { clock: clock_name() })),
        Order::Subscribe(take) => {
            let started = Taker::start(&bus, take).map(|started| *taker = Some(started));
            drop(tell.send(done(started.map(|()| Word::Ready))));
        }
        Order::Report { published } => {
            let Some(taker) = taker.take() else { return };
            tokio::spawn(async move {
                let got = taker.report(published).await;
                drop(tell.send(done(got.map(|got| Word::Got(Box::new(got))))));
            });
        }
        Order::Publish(plan) => drop(tokio::spawn(async move {
            let published = publisher::publish(&bus, plan).await;
            drop(tell.send(done(published.map(|published| Word::Published(Box::new(published))))));
        })),
        Order::Local { subscribers, bytes, millis } => drop(tokio::spawn(async move {
            let all = local(&bus, subscribers, bytes, Duration::from_millis(millis)).await;
            drop(tell.send(done(all.map(|all| Word::Local(Box::new(all))))));
        })),
        Order::Meet { others } => drop(tokio::spawn(async move {
            let met = meet(&bus, others, &tell).await;
            met.unwrap_or_else(|why| drop(tell.send(Word::Failed { why })));
        })),
        Order::Watch => drop(tokio::spawn(async move {
            let mut peers = bus.node().peer_events();
            while let Some(event) = peers.recv().await {
                let at_ns = now_ns();
                match event {
                    PeerEvent::Up(_) => drop(tell.send(Word::Up)),
                    PeerEvent::Down { .. } => drop(tell.send(Word::Down { at_ns })),
                    _ => {}
                }
            }
        })),
    }
}

/// Subscriptions in this process, a task each: how long until all of them have a message.
async fn local(bus: &Bus, subscribers: usize, bytes: usize, time: Duration) -> Result<Latencies, String> {
    let topic = format!("local/{subscribers}");
    let (left, all_have_it) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..subscribers {
        let mut subscription = bus.subscribe(topic.as_str()).map_err(|error| error.to_string())?;
        let (left, all_have_it) = (Arc::clone(&left), Arc::clone(&all_have_it));
        tasks.spawn(async move {
            while subscription.next().await.is_some() {
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    all_have_it.notify_one();
                }
            }
        });
    }
    let payload = Bytes::from(vec![0; bytes]);
    let mut all = Latencies::default();
    let begin = now_ns();
    let (warm, end) = (begin + nanos(time) / 10, begin + nanos(time));
    loop {
        left.store(subscribers, Ordering::Release);
        let at = now_ns();
        bus.publish(topic.as_str(), payload.clone()).await.map_err(|error| error.to_string())?;
        all_have_it.notified().await;
        let now = now_ns();
        if at >= warm {
            all.record(now - at);
        }
        if now >= end && !all.is_empty() {
            return Ok(all);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Where those who meet talk.
const MEET: &str = "meet";

async fn meet(bus: &Bus, others: usize, tell: &mpsc::UnboundedSender<Word>) -> Result<(), String> {
    let mut subscription = bus.subscribe(MEET).map_err(|error| error.to_string())?;
    let mut peers = bus.node().peer_events();
    let linked = tell.clone();
    tokio::spawn(async move {
        let mut up = HashSet::new();
        while up.len() < others {
            match peers.recv().await {
                Some(PeerEvent::Up(peer)) => drop(up.insert(peer.id)),
                Some(PeerEvent::Down { peer, .. }) => drop(up.remove(&peer.id)),
                Some(_) => {}
                None => return,
            }
        }
        drop(linked.send(Word::Linked { at_ns: now_ns() }));
    });
    let publisher = bus.clone();
    tokio::spawn(async move {
        if publisher.subscribed_on(MEET, others).await.is_ok() {
            let _ = publisher.publish(MEET, "hello").await;
        }
    });
    let (own, mut heard) = (bus.node().id(), HashSet::new());
    while heard.len() < others {
        match subscription.next().await {
            Some(Delivery::Message(message)) if message.from != own => drop(heard.insert(message.from)),
            Some(_) => {}
            None => return Err("the node was closed".to_owned()),
        }
    }
    drop(tell.send(Word::Talked { at_ns: now_ns() }));
    // The subscription stays: the others may not have been heard by all yet.
    std::future::pending().await
}

fn say(word: &Word) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(word).map_err(std::io::Error::from)?;
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    Ok(output.write_all(&line).and_then(|()| output.flush())?)
}
