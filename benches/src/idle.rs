//! What a node with 15 peers costs that has nothing to do.

use std::fs::read_to_string;
use std::thread::sleep;
use std::time::Duration;

use crate::command::{Mesh, Process};
use crate::start::keygen;
use crate::stats::print;

const NODES: usize = 16;
const LONG: Duration = Duration::from_secs(20);

pub(crate) fn run() {
    let mesh = Mesh::new(&keygen());
    let nodes: Vec<Process> = (0..NODES).map(|_| mesh.talkie(&["join"])).collect();
    for node in &nodes {
        for _ in 1..NODES {
            node.wait("peer_up");
        }
    }
    // The bursts of the start are over.
    sleep(Duration::from_secs(3));
    let before: Vec<f64> = nodes.iter().map(cpu_seconds).collect();
    sleep(LONG);
    let after = nodes.iter().map(cpu_seconds);
    let share: Vec<f64> =
        after.zip(before).map(|(after, before)| 100.0 * (after - before) / LONG.as_secs_f64()).collect();
    let resident: Vec<f64> = nodes.iter().map(|node| status_kib(node, "VmRSS:") / 1024.0).collect();
    let anonymous: Vec<f64> = nodes.iter().map(|node| status_kib(node, "RssAnon:") / 1024.0).collect();
    print("idle, 15 peers: resident", "MiB", &resident, "12 MiB");
    print("idle, 15 peers: of it anonymous", "MiB", &anonymous, "");
    print("idle, 15 peers: of a core", "%  ", &share, "0.5 %");
}

pub(crate) fn status_kib(node: &Process, field: &str) -> f64 {
    kib_of(node.pid(), field)
}

/// The same of any process.
pub(crate) fn kib_of(pid: u32, field: &str) -> f64 {
    let status = read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// From the scheduler's own count, which is exact to the nanosecond.
pub(crate) fn cpu_seconds(node: &Process) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("it lives");
    tasks
        .map_while(Result::ok)
        .filter_map(|task| read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|line| line.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()))
        .sum::<f64>()
        / 1e9
}
