//! The index of a bus with many interests of many peers.

use std::cell::Cell;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use talkie_discovery::NodeId;
use talkie_pubsub::proto::index::Index;
use talkie_pubsub::{Pattern, Topic};
use talkie_transport::Interest;

pub(crate) const EXACT: usize = 100_000;
pub(crate) const WILD: usize = 10_000;
/// Peers that share the interests between them.
const PEERS: usize = 100;
/// Coprime to both, so that one after the other is not next to it in memory.
const STRIDE: usize = 7_919;

/// As in a node: cheap to clone, compared by id.
type Peer = Arc<NodeId>;
type Orders = Index<Peer, ()>;

/// One interest: whose, in what, under which id.
type Wanted = (Peer, Pattern, Interest);

fn exact() -> Vec<Wanted> {
    wanted(EXACT, exact_pattern)
}

fn wild() -> Vec<Wanted> {
    wanted(WILD, wild_pattern)
}

pub(crate) fn exact_pattern(n: usize) -> String {
    format!("orders/{n}/new")
}

/// A third each: one segment open, all behind, and the first.
pub(crate) fn wild_pattern(n: usize) -> String {
    match n % 3 {
        0 => format!("shops/{n}/*"),
        1 => format!("shops/{n}/**"),
        _ => format!("*/{n}/closed"),
    }
}

fn wanted(count: usize, pattern: impl Fn(usize) -> String) -> Vec<Wanted> {
    let peers: Vec<Peer> =
        (0..PEERS).map(|n| Arc::new(NodeId::from_bytes((n as u128).to_be_bytes()))).collect();
    let one = |n: usize| {
        let interest = Interest { id: n as u64 + 1, epoch: 0 };
        (Arc::clone(&peers[n % PEERS]), pattern(n).parse().unwrap(), interest)
    };
    (0..count).map(one).collect()
}

fn add(index: &Orders, wanted: &[Wanted]) {
    for (peer, pattern, interest) in wanted {
        index.set_remote(peer, pattern, *interest);
    }
}

fn remove(index: &Orders, wanted: &[Wanted]) {
    for (peer, pattern, interest) in wanted {
        index.remove_remote(peer, pattern, interest.id);
    }
}

fn bench_add(bencher: Bencher<'_, '_>, wanted: &[Wanted]) {
    bencher
        .counter(ItemsCount::new(wanted.len()))
        .with_inputs(Orders::default)
        .bench_local_refs(|index| add(index, wanted));
}

fn bench_remove(bencher: Bencher<'_, '_>, wanted: &[Wanted]) {
    let full = || {
        let index = Orders::default();
        add(&index, wanted);
        index
    };
    bencher.counter(ItemsCount::new(wanted.len())).with_inputs(full).bench_local_refs(|index| {
        remove(index, wanted);
        assert!(index.is_empty());
    });
}

/// Beside all interests, exact and not. Each topic has as many matches as `matches` says.
fn bench_match(bencher: Bencher<'_, '_>, count: usize, topic: impl Fn(usize) -> String, matches: usize) {
    let index = Orders::default();
    add(&index, &exact());
    add(&index, &wild());
    let topics: Vec<Topic> = (0..count).map(|n| topic(n).parse().unwrap()).collect();
    let next = Cell::new(0);
    bencher
        .counter(ItemsCount::new(1usize))
        .with_inputs(|| &topics[next.replace((next.get() + STRIDE) % count)])
        .bench_local_values(|topic| {
            let found = index.matches(topic);
            // Its memory is given back within what is measured: a publish pays for that too.
            assert_eq!(found.remote.len(), matches);
        });
}

// Each of these does it for all interests: the figure is of all, the items a second are of one.

#[divan::bench(sample_count = 10, sample_size = 1)]
fn add_100_000_exact(bencher: Bencher<'_, '_>) {
    bench_add(bencher, &exact());
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn add_10_000_wildcard(bencher: Bencher<'_, '_>) {
    bench_add(bencher, &wild());
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn remove_100_000_exact(bencher: Bencher<'_, '_>) {
    bench_remove(bencher, &exact());
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn remove_10_000_wildcard(bencher: Bencher<'_, '_>) {
    bench_remove(bencher, &wild());
}

#[divan::bench(sample_size = 100)]
fn match_exact(bencher: Bencher<'_, '_>) {
    bench_match(bencher, EXACT, |n| format!("orders/{n}/new"), 1);
}

#[divan::bench(sample_size = 100)]
fn match_wildcard(bencher: Bencher<'_, '_>) {
    bench_match(bencher, WILD, |n| format!("shops/{n}/closed"), 1);
}

#[divan::bench(sample_size = 100)]
fn match_none(bencher: Bencher<'_, '_>) {
    bench_match(bencher, EXACT, |n| format!("orders/{n}/old"), 0);
}
