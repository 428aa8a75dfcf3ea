//! A node that has no file descriptor left keeps its links, says so, waits, and comes back.
#![allow(clippy::disallowed_methods, reason = "promised delays are measured in real time")]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    io::Read as _,
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use talkie_tests::{
    SLACK, SOON,
    command::{Talkie, binary},
    feeder::Feeder,
    ledger::{Ledger, Totals},
    mesh::{Member, Mesh},
};

/// Most file descriptors of the node.
const LIMIT: usize = 64;

/// How long it has none left.
const STARVED: Duration = Duration::from_secs(4);

/// Messages a second that cross its link meanwhile.
const RATE: u32 = 500;

/// How soon after that a peer that waited must be linked.
const RELIEVED: Duration = Duration::from_secs(1);

/// Connections that prove nothing, opened again as the node closes them: always more than it can hold.
struct Siege {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Siege {
    fn of(node: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let idle = || {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let Ok(mut stream) = TcpStream::connect(node) else { return };
                    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                    // Nothing comes but the end; a look now and then whether the siege is over.
                    while !over.load(Ordering::Relaxed) && stream.read(&mut [0]).is_err() {}
                }
            })
        };
        let threads = (0..3 * LIMIT).map(|_| idle()).collect();
        Self { over, threads }
    }

    /// All of them are closed when it returns.
    fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

fn limit(node: &Member) {
    let limits = ["--pid", &node.pid().to_string(), &format!("--nofile={LIMIT}:")].map(str::to_owned);
    assert!(Command::new("prlimit").args(limits).status().unwrap().success(), "prlimit");
}

/// Whatever the number of descriptors is, a command joins, or it says why not and may be started again.
#[test]
fn a_start_without_file_descriptors_is_told_as_a_failure() {
    let mesh = Mesh::new();
    let (mut joined, mut failed) = (0, 0);
    for limit in 4..32 {
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let command = Talkie::program("sh", &format!("with {limit} descriptors"))
            .args(["-c", &script, "sh", binary().to_str().unwrap()])
            .args(["peers", "--wait", "0", "--interface", "lo"])
            .env("TALKIE_SECRET", mesh.secret())
            .env("TALKIE_GROUP", mesh.group().to_string())
            .env("TALKIE_LISTEN", "127.0.0.1:0");
        let done = command.run();
        match done.code() {
            Some(0) => joined += 1,
            Some(1) => {
                failed += 1;
                let why = done.stderr.lines().last().unwrap_or_default();
                assert!(why.starts_with("talkie: ") && why.contains("Too many open files"), "{done:?}");
            }
            // The system could not load it.
            Some(127) => {}
            _ => panic!("with {limit}: {done:?}"),
        }
    }
    println!("{failed} failed, {joined} joined");
    assert!(joined > 0 && failed > 0, "{failed} failed, {joined} joined");
}

#[test]
fn a_node_without_file_descriptors_keeps_its_links_and_comes_back() {
    let mesh = Mesh::new();
    let sub = Member::start(mesh.talkie("sub").name("sub").arg("t"));
    let mut publisher = mesh.talkie("pub").name("pub").args(["t", "-"]).spawn();
    let feeder = Feeder::start(publisher.take_stdin(), RATE, |number| number.to_string());
    sub.expect_count("message", 100, SOON);
    limit(&sub);
    let siege = Siege::of(sub.addr());
    sub.expect_log("cannot accept connections", SOON);
    let (cpu, begun, had) = (sub.cpu(), Instant::now(), sub.count("message"));

    // Who comes now has to wait.
    let late = mesh.talkie("join").name("late").spawn();
    let joined = late.expect("joined", |_| true, SOON);
    sub.expect_count("message", had + RATE as usize * STARVED.as_secs() as usize, SOON);
    let (used, took) = (sub.cpu() - cpu, begun.elapsed());
    assert!(took < STARVED + SLACK, "messages come as before, and took {took:?}\n{}", sub.story());
    let share = used.as_secs_f64() / took.as_secs_f64();
    assert!(share < 0.3, "{share:.2} of a processor");
    let told = sub.stderr().lines().filter(|line| line.contains("cannot accept")).count();
    assert_eq!(told, 1, "{}", sub.stderr());
    let waited = sub.count("peer_up");

    siege.end();
    let relieved = Instant::now();
    let up = sub.sees_line("peer_up", |line| line["node"] == joined["node"], SOON);
    let took = up.at.saturating_duration_since(relieved);
    println!("linked {took:?} after relief, {waited} linked before it, {share:.3} of a processor");
    assert!(took < RELIEVED + SLACK, "linked after {took:?}\n{}", sub.story());

    let count = feeder.finish(SOON);
    publisher.wait(SOON);
    let last = (count - 1).to_string();
    sub.expect("message", |line| line["payload"] == *last, SOON);
    let id = sub.events(&["message"])[0]["node"].as_str().unwrap().to_owned();
    let mut ledger = Ledger::new();
    (0..count).for_each(|number| ledger.published(&id, "t", number.to_string()));
    ledger.subscribes("sub", "t");
    ledger.printed_all("sub", &sub);
    assert_eq!(ledger.balance(), Totals { delivered: count, ..Totals::default() });
}
