//! What one peer is owed: 1,000 messages into its outbox, out of it in records, and confirmed.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use talkie_transport::proto::outbox::{MIN_LIMIT, Outbox};
use talkie_transport::proto::record::MAX_CONTENT;
use talkie_transport::{Body, Interest, Interests};

/// Fit with their charges, also where each has 1 KiB.
const MESSAGES: usize = 1_000;
/// Bytes of a body.
const SIZES: [usize; 2] = [64, 1024];

fn fill(outbox: &mut Outbox, body: &Body) {
    let interests = Interests::from_slice(&[Interest { id: 7, epoch: 0 }]);
    for _ in 0..MESSAGES {
        assert!(outbox.push(&interests, 1, body));
    }
}

/// Into records' contents, in memory that is used again.
fn drain(outbox: &mut Outbox, buf: &mut Vec<u8>) {
    loop {
        buf.clear();
        if !outbox.poll_transmit(buf, MAX_CONTENT) {
            break;
        }
        divan::black_box(&*buf);
    }
    assert!(!outbox.has_unsent());
}

fn full(body: &Body) -> Outbox {
    let mut outbox = Outbox::new(MIN_LIMIT);
    fill(&mut outbox, body);
    outbox
}

fn body(bytes: usize) -> Body {
    Bytes::from(vec![1; bytes]).into()
}

#[divan::bench(args = SIZES)]
fn push_1_000(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = body(bytes);
    // One that has been used: the queue does not grow any more.
    let used = || {
        let mut outbox = full(&body);
        drain(&mut outbox, &mut Vec::new());
        outbox.acknowledge(outbox.last());
        outbox
    };
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(used)
        .bench_local_refs(|outbox| fill(outbox, &body));
}

#[divan::bench(args = SIZES)]
fn poll_transmit_1_000(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = body(bytes);
    let mut buf = Vec::with_capacity(MAX_CONTENT);
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .with_inputs(|| full(&body))
        .bench_local_refs(|outbox| drain(outbox, &mut buf));
}

#[divan::bench(args = SIZES)]
fn acknowledge_1_000(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = body(bytes);
    let sent = || {
        let mut outbox = full(&body);
        drain(&mut outbox, &mut Vec::new());
        outbox
    };
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(sent).bench_local_refs(|outbox| {
        outbox.acknowledge(outbox.last());
        assert!(outbox.is_empty());
    });
}
