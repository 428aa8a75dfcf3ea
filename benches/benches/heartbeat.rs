//! One heartbeat: what a node pays to send it, and to hear one of its mesh or of another.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::{Duration, Instant};

use divan::Bencher;
use talkie_discovery::proto::beacon::{Beacon, Versions};
use talkie_discovery::proto::open::{Opener, Refusal};
use talkie_discovery::proto::seal::{self, Datagram, NONCE_LEN};
use talkie_discovery::{Groups, MeshKeys, NodeId, Secret};

/// From one heartbeat to the next: below the pace at which a source is refused.
const PACE: Duration = Duration::from_millis(2);

fn group() -> SocketAddr {
    Groups::default().v4.unwrap().into()
}

fn fresh_keys() -> MeshKeys {
    MeshKeys::derive(&Secret::generate())
}

fn beacon() -> Beacon {
    Beacon {
        id: NodeId::from_bytes([7; 16]),
        sequence: 77,
        versions: Versions::OURS,
        port: NonZeroU16::new(8255).unwrap(),
        addrs: vec!["192.0.2.7".parse().unwrap(), "fd00::7".parse().unwrap()],
        name: "web@host-7".parse().unwrap(),
        leaving: false,
        host: None,
    }
}

/// Without the random nonce, which the system gives.
#[divan::bench(sample_size = 16)]
fn seal(bencher: Bencher<'_, '_>) {
    let (key, group, beacon) = (fresh_keys().heartbeat, group(), beacon());
    bencher.bench_local(|| seal::seal(&key, group, [1; NONCE_LEN], divan::black_box(&beacon)));
}

#[divan::bench(sample_size = 16)]
fn open(bencher: Bencher<'_, '_>) {
    let keys = fresh_keys();
    let datagram = seal::seal(&keys.heartbeat, group(), [1; NONCE_LEN], &beacon());
    bench_open(bencher, keys, &datagram, Ok(beacon()));
}

/// One of another mesh: it is tried for the group of the other family, too.
#[divan::bench(sample_size = 16)]
fn refuse(bencher: Bencher<'_, '_>) {
    let datagram = seal::seal(&fresh_keys().heartbeat, group(), [1; NONCE_LEN], &beacon());
    bench_open(bencher, fresh_keys(), &datagram, Err(Refusal::Auth));
}

fn bench_open(
    bencher: Bencher<'_, '_>,
    keys: MeshKeys,
    datagram: &Datagram,
    expected: Result<Beacon, Refusal>,
) {
    let mut opener = Opener::new(keys.into(), Groups::default());
    let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut now = Instant::now();
    let mut hear = || {
        now += PACE;
        opener.handle_datagram(now, source, group(), divan::black_box(datagram)).map(|opened| opened.beacon)
    };
    assert_eq!(hear(), expected);
    bencher.bench_local(&mut hear);
    assert_eq!(hear(), expected, "it was never refused for its rate");
}
