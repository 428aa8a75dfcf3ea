//! A message's head and payload to bytes and back.

use divan::Bencher;
use divan::counter::BytesCount;
use talkie_pubsub::Topic;
use talkie_pubsub::proto::envelope;

/// Bytes of a payload.
const SIZES: [usize; 3] = [64, 1024, 64 * 1024];
/// A message's number; three bytes of a varint.
const SEQ: u64 = 1_000_000;

fn topic() -> Topic {
    "orders/42".parse().unwrap()
}

/// Into memory of its own, which is given back: a hundred that are kept would ask the kernel for memory.
#[divan::bench(args = SIZES, sample_size = 100)]
fn encode(bencher: Bencher<'_, '_>, bytes: usize) {
    let (topic, payload) = (topic(), vec![1; bytes]);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let body = envelope::encode(SEQ, divan::black_box(&topic), divan::black_box(&payload));
        divan::black_box(body).len()
    });
}

/// Nothing is copied, whatever the size.
#[divan::bench(args = SIZES, sample_size = 100)]
fn decode(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = envelope::encode(SEQ, &topic(), &vec![1; bytes]);
    bencher.bench_local(|| envelope::decode(divan::black_box(&body)).unwrap().at);
}
