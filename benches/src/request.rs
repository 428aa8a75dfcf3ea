//! Requests of 64 bytes to other processes, one after the other: Talkie over TCP and over Unix sockets beside a plain TCP
//! echo, interleaved in one run. To one, and to four at once until the last has answered.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use talkie_pubsub::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::command::{Mesh, Process};
use crate::role::{join, tell};
use crate::start::keygen;
use crate::stats::{median, now_ns, quantile};

const PAYLOAD: usize = 64;
const COUNT: usize = 10_000;
/// Requests at first that are not counted.
const WARM_UP: usize = 500;
const WITHIN: Duration = Duration::from_secs(5);
/// Name, role, and whether Talkie may use Unix sockets. The floor first.
const SYSTEMS: [(&str, &str, &str); 3] =
    [("tcp-echo", "tcp", "off"), ("talkie-tcp", "talkie", "off"), ("talkie-unix", "talkie", "on")];

pub(crate) fn run(rounds: usize) {
    for responders in [1, 4] {
        let mut seen = SYSTEMS.map(|_| (Vec::new(), Vec::new()));
        for _ in 0..rounds {
            for ((_, system, unix), (p50, p99)) in SYSTEMS.into_iter().zip(&mut seen) {
                let took = measure(system, unix, responders);
                p50.push(median(&took));
                p99.push(quantile(&took, 0.99));
            }
        }
        let floor = [median(&seen[0].0), median(&seen[0].1)];
        for ((name, ..), (p50, p99)) in SYSTEMS.into_iter().zip(&seen) {
            let show = |of: &[f64], floor| {
                let (middle, least, most) = (median(of), quantile(of, 0.0), quantile(of, 1.0));
                format!("{middle:>6.1} ({least:.1}–{most:.1}) = {:.2} of the echo", middle / floor)
            };
            println!(
                "request to {responders}, 64 B, {name:<11} µs: p50 {}   p99 {}",
                show(p50, floor[0]),
                show(p99, floor[1])
            );
        }
    }
}

/// How long each request took, µs.
fn measure(system: &str, unix: &'static str, responders: usize) -> Vec<f64> {
    let mesh = Mesh::new(&keygen()).unix(unix);
    let answering: Vec<Process> =
        (0..responders).map(|_| mesh.role(&[&format!("{system}-answer")])).collect();
    let listen = |one: &Process| one.wait("ready").1["listen"].as_str().expect("an address").to_owned();
    let at: Vec<String> = answering.iter().map(listen).collect();
    let ask = format!("{system}-ask");
    let words: Vec<&str> = std::iter::once(ask.as_str()).chain(at.iter().map(String::as_str)).collect();
    let asking = mesh.role(&words);
    let (_, line) = asking.wait("latencies");
    let ns = line["ns"].as_array().expect("a list");
    assert_eq!(ns.len(), COUNT, "every request was answered");
    ns.iter().map(|ns| ns.as_f64().expect("a number") / 1e3).collect()
}

/// Gives each request back to whoever asked.
pub(crate) async fn talkie_answer() {
    let bus = join().await;
    let mut requests = bus.respond("echo").expect("a topic");
    println!("{}", json!({"event": "ready", "listen": "-"}));
    while let Some(request) = requests.next().await {
        let payload = request.payload.clone();
        request.reply(payload).expect("it is waited for");
    }
}

pub(crate) async fn talkie_ask(responders: usize) {
    let bus = join().await;
    bus.answered_on("echo", responders).await.expect("it stays open");
    let payload = Bytes::from(vec![7; PAYLOAD]);
    timed(async || {
        if responders == 1 {
            let reply = bus.request("echo", payload.clone(), WITHIN).await.expect("it answers");
            assert_eq!(reply.payload.len(), PAYLOAD);
        } else {
            let mut answers = bus.request_all("echo", payload.clone(), WITHIN).await.expect("they answer");
            let mut replies = 0;
            while let Some(answer) = answers.next().await {
                assert!(matches!(answer, Answer::Reply(_)), "{answer:?}");
                replies += 1;
            }
            assert_eq!(replies, responders);
        }
    })
    .await;
}

pub(crate) async fn tcp_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    println!("{}", json!({"event": "ready", "listen": listener.local_addr().expect("bound").to_string()}));
    let (mut stream, _) = listener.accept().await.expect("whoever asks");
    stream.set_nodelay(true).expect("TCP");
    // As long as the asker has not left.
    let mut payload = [0; PAYLOAD];
    while stream.read_exact(&mut payload).await.is_ok() && stream.write_all(&payload).await.is_ok() {}
}

pub(crate) async fn tcp_ask(at: &[&str]) {
    let mut streams = Vec::new();
    for at in at {
        let at: SocketAddr = at.parse().expect("an address");
        let stream = TcpStream::connect(at).await.expect("it listens");
        stream.set_nodelay(true).expect("TCP");
        streams.push(stream);
    }
    let mut payload = [7; PAYLOAD];
    timed(async || {
        for stream in &mut streams {
            stream.write_all(&payload).await.expect("it reads");
        }
        for stream in &mut streams {
            stream.read_exact(&mut payload).await.expect("it answers");
        }
    })
    .await;
}

/// Asks one time after the other, in a task as a service has them, and tells how long each took.
async fn timed(mut ask: impl AsyncFnMut()) {
    let mut took = Vec::with_capacity(COUNT);
    for at in 0..WARM_UP + COUNT {
        let began = now_ns();
        ask().await;
        if at >= WARM_UP {
            took.push(now_ns() - began);
        }
    }
    tell(&took);
    std::future::pending::<()>().await;
}
