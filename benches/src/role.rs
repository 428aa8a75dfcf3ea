//! What the processes that a measurement starts do. They speak to it by JSON lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use talkie_pubsub::{Bus, Config, Delivery, QueueLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stats::now_ns;
use crate::{present, request};

const PAYLOAD: usize = 64;
/// Bytes of a large message.
const LARGE: usize = 16 << 20;
/// Messages at first that are not counted: caches, connections, the scheduler.
const WARM_UP: u64 = 200;

pub(crate) fn run(words: &[&str]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    runtime.block_on(async {
        let number = |at: usize| words[at].parse::<u64>().expect("a number");
        match words[0] {
            "meet" => meet().await,
            "talkie-sub" => talkie_sub().await,
            "talkie-pub" => talkie_pub(number(1) as usize, number(2), number(3)).await,
            "large-sub" => large_sub().await,
            "large-pub" => large_pub(number(1), number(2)).await,
            "present" => present::role().await,
            "talkie-answer" => request::talkie_answer().await,
            "talkie-ask" => request::talkie_ask(words.len() - 1).await,
            "tcp-answer" => request::tcp_answer().await,
            "tcp-ask" => request::tcp_ask(&words[1..]).await,
            "tcp-sub" => tcp_sub(words[1]).await,
            "tcp-pub" => tcp_pub(number(1) as usize, number(2), number(3)).await,
            other => panic!("there is no role {other}"),
        }
    });
}

pub(crate) async fn join() -> Bus {
    Config::from_env().expect("the measurement sets it").join().await.expect("it joins")
}

/// Publishes to whoever comes, and tells when it has had a message of somebody else.
async fn meet() {
    let bus = join().await;
    let mut subscription = bus.subscribe("meet").expect("a topic");
    println!("{}", json!({"event": "ready"}));
    bus.subscribed_on("meet", 1).await.expect("it stays open");
    bus.publish("meet", "hello").await.expect("it fits");
    let own = bus.node().id();
    while let Some(delivery) = subscription.next().await {
        if matches!(&delivery, Delivery::Message(message) if message.from != own) {
            println!("{}", json!({"event": "met", "at_ns": now_ns()}));
            break;
        }
    }
    // Stay until the measurement has seen both.
    std::future::pending::<()>().await;
}

/// Calls `send` with each payload at the moment it is due. A message carries that moment.
async fn at_pace(rate: u64, count: u64, mut send: impl AsyncFnMut(Vec<u8>)) {
    let start = now_ns();
    let mut ended = 0;
    for number in 0..WARM_UP + count {
        let due = start + number * 1_000_000_000 / rate;
        // The main thread's own sleep: the runtime's timers are no finer than a millisecond. The others go on.
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
        // A call that took too long delays the next ones, which counts against it; a sleep's slack does not.
        let due = if ended > due { due } else { now_ns() };
        let mut payload = vec![0; PAYLOAD];
        payload[..8].copy_from_slice(&if number < WARM_UP { 0 } else { due }.to_be_bytes());
        payload[8..16].copy_from_slice(&count.to_be_bytes());
        send(payload).await;
        ended = now_ns();
    }
}

/// Notes the latency of a payload; `false`: that was the last.
fn note(payload: &[u8], latencies: &mut Vec<u64>) -> bool {
    let now = now_ns();
    let number = |at: usize| u64::from_be_bytes(payload[at..at + 8].try_into().expect("eight bytes"));
    let (due, count) = (number(0), number(8));
    if due > 0 {
        latencies.push(now.saturating_sub(due));
    }
    (latencies.len() as u64) < count
}

pub(crate) fn tell(latencies: &[u64]) {
    println!("{}", json!({"event": "latencies", "ns": latencies}));
}

async fn talkie_pub(subscribers: usize, rate: u64, count: u64) {
    let bus = join().await;
    println!("{}", json!({"event": "ready", "listen": "-"}));
    bus.subscribed_on("bench", subscribers).await.expect("it stays open");
    at_pace(rate, count, async |payload| {
        bus.publish("bench", payload).await.expect("it fits");
    })
    .await;
    bus.flush().await.expect("all of them live");
    std::future::pending::<()>().await;
}

async fn talkie_sub() {
    let bus = join().await;
    let mut subscription = bus.subscribe("bench").expect("a topic");
    let mut latencies = Vec::new();
    while let Some(delivery) = subscription.next().await {
        let Delivery::Message(message) = delivery else { panic!("a loss: {delivery:?}") };
        if !note(&message.payload, &mut latencies) {
            break;
        }
    }
    tell(&latencies);
    std::future::pending::<()>().await;
}

/// Small messages alone, and then beside large ones, which go as fast as they may.
async fn large_pub(rate: u64, count: u64) {
    let bus = large_bus().await;
    for topic in ["small", "large"] {
        bus.subscribed_on(topic, 1).await.expect("it stays open");
    }
    let small = async |payload| {
        bus.publish("small", payload).await.expect("it fits");
    };
    at_pace(rate, count, small).await;
    let done = Arc::new(AtomicBool::new(false));
    let (large, ended) = (bus.clone(), Arc::clone(&done));
    let large = tokio::spawn(async move {
        let payload = Bytes::from(vec![7; LARGE]);
        while !ended.load(Ordering::Relaxed) {
            large.publish("large", payload.clone()).await.expect("it fits");
        }
        large.publish("large", "").await.expect("it fits");
    });
    at_pace(rate, count, small).await;
    done.store(true, Ordering::Relaxed);
    large.await.expect("it ends");
    std::future::pending::<()>().await;
}

async fn large_sub() {
    let bus = large_bus().await;
    let mut small = bus.subscribe("small").expect("a topic");
    let mut large = bus.subscribe_with("large", limits()).expect("a topic");
    let large = tokio::spawn(async move {
        let (mut count, mut began) = (0u64, 0);
        loop {
            let delivery = large.next().await.expect("it stays open");
            let Delivery::Message(message) = delivery else { panic!("a loss: {delivery:?}") };
            match message.payload.len() {
                LARGE if began == 0 => began = now_ns(),
                LARGE => count += 1,
                _ => {
                    break json!({"event": "large", "count": count, "bytes": count * LARGE as u64, "ns": now_ns() - began});
                }
            }
        }
    });
    for _ in 0..2 {
        let mut latencies = Vec::new();
        while let Some(delivery) = small.next().await {
            let Delivery::Message(message) = delivery else { panic!("a loss: {delivery:?}") };
            if !note(&message.payload, &mut latencies) {
                break;
            }
        }
        tell(&latencies);
    }
    println!("{}", large.await.expect("it ends"));
    std::future::pending::<()>().await;
}

#[expect(clippy::field_reassign_with_default, reason = "there is no other way from outside the crate")]
fn limits() -> QueueLimits {
    let mut limits = QueueLimits::default();
    limits.bytes = 8 * LARGE;
    limits
}

async fn large_bus() -> Bus {
    Config::from_env().expect("the measurement sets it").max_message(LARGE).join().await.expect("it joins")
}

async fn tcp_pub(subscribers: usize, rate: u64, count: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    println!("{}", json!({"event": "ready", "listen": listener.local_addr().expect("bound").to_string()}));
    let mut streams = Vec::new();
    for _ in 0..subscribers {
        let (stream, _) = listener.accept().await.expect("a subscriber");
        stream.set_nodelay(true).expect("TCP");
        streams.push(stream);
    }
    at_pace(rate, count, async |payload| {
        let mut framed = (payload.len() as u32).to_be_bytes().to_vec();
        framed.extend_from_slice(&payload);
        for stream in &mut streams {
            stream.write_all(&framed).await.expect("it reads");
        }
    })
    .await;
    std::future::pending::<()>().await;
}

async fn tcp_sub(at: &str) {
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    let mut latencies = Vec::new();
    loop {
        let len = stream.read_u32().await.expect("it writes");
        let mut payload = vec![0; len as usize];
        stream.read_exact(&mut payload).await.expect("it writes");
        if !note(&payload, &mut latencies) {
            break;
        }
    }
    tell(&latencies);
    std::future::pending::<()>().await;
}
