//! Two nodes with 100,000 subscriptions each: how soon a new link is in step, and what a change costs on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use talkie_pubsub::{Bus, Config, Partner, Secret, Subscription};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

use crate::idle::kib_of;
use crate::stats::{median, now_ns, print};

const COUNT: usize = 100_000;
/// How many subscriptions come, and go, at once.
const CHANGES: [usize; 4] = [1, 10, 100, 1_000];
/// A change of one is tried so often.
const REPEATS: usize = 20;
/// How often it is looked whether interests are gone: nobody tells that.
const LOOK: Duration = Duration::from_millis(1);
/// Nothing on the link for so long: all is acknowledged.
const PAUSE: Duration = Duration::from_millis(5);

/// What one link showed.
#[derive(Default)]
struct Link {
    /// Of one of the subscriptions while there was no link, µs.
    subscribe: f64,
    /// Memory of one of them, and of one that the other node told, bytes.
    own: f64,
    told: f64,
    /// From the connection until both know all, ms.
    in_step: f64,
    /// On the link until then, both ways, MiB.
    mib: f64,
    /// For each of [`CHANGES`]: bytes on the link, both ways, and µs until the other side knew.
    added: Vec<(f64, f64)>,
    /// Bytes of the same number less.
    removed: Vec<f64>,
}

pub(crate) fn run(rounds: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let links: Vec<Link> = (0..rounds).map(|_| runtime.block_on(link())).collect();
    let show = |what: &str, unit: &str, target: &str, of: &dyn Fn(&Link) -> f64| {
        print(what, unit, &links.iter().map(of).collect::<Vec<f64>>(), target);
    };
    show("100,000 subscriptions: each, without peers", "µs ", "", &|link| link.subscribe);
    // Later ones take what the first gave back.
    let first = links.first();
    let memory = |of: fn(&Link) -> f64| first.map(of).into_iter().collect::<Vec<f64>>();
    print("  memory of one (first round)", "B  ", &memory(|link| link.own), "");
    print("  memory of one of the other node (first round)", "B  ", &memory(|link| link.told), "");
    show("100,000 on each of two nodes: connected -> in step", "ms ", "1000 ms", &|link| link.in_step);
    show("  on the link until then, both ways", "MiB", "", &|link| link.mib);
    for (at, count) in CHANGES.into_iter().enumerate() {
        show(&format!("  {count} more: on the link, both ways"), "B  ", "", &|link| link.added[at].0);
        show(&format!("  {count} more: until the other node knows"), "µs ", "", &|link| link.added[at].1);
        show(&format!("  {count} less: on the link, both ways"), "B  ", "", &|link| link.removed[at]);
    }
}

async fn link() -> Link {
    let gate = Gate::new();
    let secret = Secret::generate();
    let ann = join(&secret, None).await;
    let bob = join(&secret, Some(gate.at)).await;
    let (began, empty) = (now_ns(), resident());
    let _ann = subscribe(&ann, "ann", COUNT);
    let _bob = subscribe(&bob, "bob", COUNT);
    let (subscribe_ns, full) = (now_ns() - began, resident());
    let opened = gate.open(ann.node().listen()[0]);
    let last = COUNT - 1;
    let (of_ann, of_bob) = (topic("ann", last), topic("bob", last));
    let (one, other) = tokio::join!(ann.subscribed_on(&of_bob, 1), bob.subscribed_on(&of_ann, 1));
    one.expect("it stays open");
    other.expect("it stays open");
    let (known, linked) = (now_ns(), resident());
    let connected = opened.await.expect("it was dialled");
    // The last one came in order, so all did: unless some were refused.
    for n in (0..COUNT).step_by(997) {
        assert_eq!(ann.subscribers(topic("bob", n)).expect("a topic").len(), 1);
        assert_eq!(bob.subscribers(topic("ann", n)).expect("a topic").len(), 1);
    }
    let mut link = Link {
        subscribe: subscribe_ns as f64 / 1e3 / (2 * COUNT) as f64,
        own: (full - empty) / (2 * COUNT) as f64,
        told: (linked - full) / (2 * COUNT) as f64,
        in_step: (known - connected) as f64 / 1e6,
        mib: wire(&ann, &bob) as f64 / f64::from(1 << 20),
        ..Link::default()
    };
    for count in CHANGES {
        let repeats = if count == 1 { REPEATS } else { 1 };
        let mut seen = Vec::new();
        for _ in 0..repeats {
            seen.push(change(&ann, &bob, count).await);
        }
        let middle = |of: fn(&[f64; 3]) -> f64| median(&seen.iter().map(of).collect::<Vec<f64>>());
        link.added.push((middle(|one| one[0]), middle(|one| one[1])));
        link.removed.push(middle(|one| one[2]));
    }
    ann.node().leave().await.expect("nothing is owed");
    bob.node().leave().await.expect("nothing is owed");
    link
}

/// So many more and then less: bytes and µs of more, bytes of less.
async fn change(ann: &Bus, bob: &Bus, count: usize) -> [f64; 3] {
    let last = topic("more", count - 1);
    let (before, began) = (settled(ann, bob).await, now_ns());
    let more = subscribe(ann, "more", count);
    bob.subscribed_on(&last, 1).await.expect("it stays open");
    let added = (now_ns() - began) as f64 / 1e3;
    let between = settled(ann, bob).await;
    drop(more);
    while !bob.subscribers(&last).expect("a topic").is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    [(between - before) as f64, added, (settled(ann, bob).await - between) as f64]
}

/// Bytes on the link so far, both ways, once acknowledgements have come, too.
async fn settled(ann: &Bus, bob: &Bus) -> u64 {
    let mut before = wire(ann, bob);
    loop {
        tokio::time::sleep(PAUSE).await;
        let now = wire(ann, bob);
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Bytes on the link so far, both ways.
fn wire(ann: &Bus, bob: &Bus) -> u64 {
    ann.metrics().traffic.wire_sent_bytes + bob.metrics().traffic.wire_sent_bytes
}

/// Bytes of memory that this process takes.
fn resident() -> f64 {
    kib_of(std::process::id(), "VmRSS:") * 1024.0
}

fn topic(whose: &str, n: usize) -> String {
    format!("orders/{whose}/{n:06}")
}

fn subscribe(bus: &Bus, whose: &str, count: usize) -> Vec<Subscription> {
    (0..count).map(|n| bus.subscribe(topic(whose, n)).expect("a topic")).collect()
}

/// A node that looks for no other but this one.
async fn join(secret: &Secret, partner: Option<SocketAddr>) -> Bus {
    let partners: Vec<Partner> =
        partner.into_iter().map(|at| at.to_string().parse().expect("an address")).collect();
    Config::new(secret.clone())
        .interfaces(["lo".parse().expect("a name")])
        .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .multicast(false)
        .unix(false)
        .partners(partners)
        .join()
        .await
        .expect("it joins")
}

/// An address where nobody listens until it is opened: nodes can have their subscriptions before they have a link.
struct Gate {
    socket: TcpSocket,
    at: SocketAddr,
}

impl Gate {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let at = socket.local_addr().expect("it is bound");
        Self { socket, at }
    }

    /// Passes connections on from now on. When the first one came.
    fn open(self, to: SocketAddr) -> oneshot::Receiver<u64> {
        let listener = self.socket.listen(16).expect("it is bound");
        let (first, opened) = oneshot::channel();
        tokio::spawn(pass(listener, to, first));
        opened
    }
}

async fn pass(listener: TcpListener, to: SocketAddr, first: oneshot::Sender<u64>) {
    let mut first = Some(first);
    while let Ok((mut near, _)) = listener.accept().await {
        if let Some(first) = first.take() {
            let _ = first.send(now_ns());
        }
        tokio::spawn(async move {
            // Nobody listens any more once that node has left.
            let Ok(mut far) = TcpStream::connect(to).await else { return };
            near.set_nodelay(true).expect("TCP");
            far.set_nodelay(true).expect("TCP");
            // Until either leaves.
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
