//! What a publish costs beside its deliveries, and a subscription, on a bus with few or with many others.

use std::cell::Cell;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use divan::Bencher;
use talkie_pubsub::{Bus, Publisher, Subscription, Topic};
use tokio::runtime::Runtime;

use crate::local::join_alone;
use crate::matching::{EXACT, WILD, exact_pattern, wild_pattern};

/// Handles that take turns: more than the topics that a bus remembers.
const HANDLES: usize = 1_000;

/// A node with subscriptions of its own, exact and wildcard ones.
struct Crowd {
    runtime: Runtime,
    bus: Bus,
    held: Vec<Subscription>,
}

impl Crowd {
    fn new((exact, wild): (usize, usize)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bus = join_alone(&runtime);
        let patterns = (0..exact).map(exact_pattern).chain((0..wild).map(wild_pattern));
        let held = patterns.map(|pattern| bus.subscribe(pattern).unwrap()).collect();
        Self { runtime, bus, held }
    }

    fn end(self) {
        drop(self.held);
        self.runtime.block_on(self.bus.node().leave()).unwrap();
    }
}

/// Subscriptions beside the topic that nobody wants: none, and all of `matching.rs`.
const BESIDE: [(usize, usize); 2] = [(0, 0), (EXACT, WILD)];

fn payload() -> Bytes {
    Bytes::from(vec![1; 64])
}

/// The topic as a text that is read each time.
#[divan::bench(args = BESIDE, sample_size = 1_000)]
fn unwanted_text(bencher: Bencher<'_, '_>, beside: (usize, usize)) {
    let (crowd, payload) = (Crowd::new(beside), payload());
    bencher.bench_local(|| crowd.bus.try_publish("orders/none/new", payload.clone()).unwrap());
    crowd.end();
}

/// By a handle.
#[divan::bench(args = BESIDE, sample_size = 1_000)]
fn unwanted_handle(bencher: Bencher<'_, '_>, beside: (usize, usize)) {
    let (crowd, payload) = (Crowd::new(beside), payload());
    let handle = crowd.bus.publisher("orders/none/new").unwrap();
    bencher.bench_local(|| handle.try_publish(payload.clone()).unwrap());
    drop(handle);
    crowd.end();
}

/// The same with the call that would wait for room; there is nobody to wait for.
#[divan::bench(args = BESIDE, sample_size = 1_000)]
fn unwanted_awaited(bencher: Bencher<'_, '_>, beside: (usize, usize)) {
    let (crowd, payload) = (Crowd::new(beside), payload());
    let handle = crowd.bus.publisher("orders/none/new").unwrap();
    bencher.bench_local(|| {
        let published = pin!(handle.publish(payload.clone()));
        let Poll::Ready(receipt) = published.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it waits");
        };
        receipt.unwrap()
    });
    drop(handle);
    crowd.end();
}

/// By handles that take turns, so many: what is remembered of a topic is found again, or not.
#[divan::bench(args = [2, 100, HANDLES], sample_size = 1_000)]
fn unwanted_in_turns(bencher: Bencher<'_, '_>, handles: usize) {
    let (crowd, payload) = (Crowd::new((EXACT, WILD)), payload());
    let handle = |n: usize| crowd.bus.publisher(format!("orders/{n}/old")).unwrap();
    let handles: Vec<Publisher> = (0..handles).map(handle).collect();
    let next = Cell::new(0);
    bencher.bench_local(|| {
        let at = next.replace((next.get() + 1) % handles.len());
        handles[at].try_publish(payload.clone()).unwrap()
    });
    drop(handles);
    crowd.end();
}

/// To one subscription among all, put into its queue; read in between.
#[divan::bench(args = BESIDE, sample_size = 500)]
fn wanted_by_one(bencher: Bencher<'_, '_>, beside: (usize, usize)) {
    let (crowd, payload) = (Crowd::new(beside), payload());
    let mut taking = crowd.bus.subscribe("orders/one/more").unwrap();
    let handle = crowd.bus.publisher("orders/one/more").unwrap();
    bencher
        .with_inputs(|| while taking.now().is_some() {})
        .bench_local_values(|()| handle.try_publish(payload.clone()).unwrap());
    drop((taking, handle));
    crowd.end();
}

/// One more subscription, of a topic of its own, on a node without peers.
#[divan::bench(args = BESIDE, sample_size = 100)]
fn subscribe(bencher: Bencher<'_, '_>, beside: (usize, usize)) {
    let crowd = Crowd::new(beside);
    let topics = topics();
    let next = Cell::new(0);
    bencher
        .with_inputs(|| &topics[next.replace((next.get() + 1) % topics.len())])
        .bench_local_values(|topic| crowd.bus.subscribe(topic).unwrap());
    crowd.end();
}

/// One less.
#[divan::bench(args = BESIDE, sample_size = 100)]
fn unsubscribe(bencher: Bencher<'_, '_>, beside: (usize, usize)) {
    let crowd = Crowd::new(beside);
    let topics = topics();
    let next = Cell::new(0);
    bencher
        .with_inputs(|| {
            let topic = &topics[next.replace((next.get() + 1) % topics.len())];
            crowd.bus.subscribe(topic).unwrap()
        })
        .bench_local_values(drop);
    crowd.end();
}

/// More than are subscribed to at once.
fn topics() -> Vec<Topic> {
    (0..EXACT).map(|n| format!("orders/{n}/more").parse().unwrap()).collect()
}
