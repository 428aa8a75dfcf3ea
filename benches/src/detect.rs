//! How soon the others are told that a node is gone, and how soon a frozen one is back.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::command::Mesh;
use crate::start::keygen;
use crate::stats::print;

pub(crate) fn run(rounds: usize) {
    for (signal, reason, target) in
        [(Signal::SIGKILL, "closed", "100 ms"), (Signal::SIGTERM, "left", "100 ms")]
    {
        let samples: Vec<f64> = (0..rounds).map(|_| told(signal, reason)).collect();
        print(&format!("{signal} -> told `{reason}`"), "ms", &samples, target);
    }
    // Four seconds each: fewer of them side by side.
    let frozen: Vec<(f64, f64)> = (0..rounds).map(|_| frozen()).collect();
    let (told, back): (Vec<f64>, Vec<f64>) = frozen.into_iter().unzip();
    print("SIGSTOP -> told `timeout`", "ms", &told, "3,500 ms");
    print("SIGCONT -> linked again", "ms", &back, "1,000 ms");
}

fn told(signal: Signal, reason: &str) -> f64 {
    let mesh = Mesh::new(&keygen());
    let watcher = mesh.talkie(&["join"]);
    watcher.wait("joined");
    let node = mesh.talkie(&["join"]);
    watcher.wait("peer_up");
    node.wait("peer_up");
    let at = node.signal(signal);
    let (heard, line) = watcher.wait("peer_down");
    assert_eq!(line["reason"], reason);
    (heard - at) as f64 / 1e6
}

fn frozen() -> (f64, f64) {
    let mesh = Mesh::new(&keygen());
    let watcher = mesh.talkie(&["join"]);
    watcher.wait("joined");
    let node = mesh.talkie(&["join"]);
    watcher.wait("peer_up");
    let at = node.signal(Signal::SIGSTOP);
    let (heard, line) = watcher.wait("peer_down");
    assert_eq!(line["reason"], "timeout");
    // It stays away for a while, so that the watcher's dials have slowed down.
    sleep(Duration::from_secs(2));
    let woken = node.signal(Signal::SIGCONT);
    let (back, _) = watcher.wait("peer_up");
    ((heard - at) as f64 / 1e6, (back - woken) as f64 / 1e6)
}
