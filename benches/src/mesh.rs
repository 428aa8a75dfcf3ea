//! Many processes on one host, started as fast as they can be: from the first start until each is linked to each,
//! and what a link costs.

use std::fs;

use nix::sys::signal::Signal;

use crate::command::{Mesh, Process};
use crate::idle::{cpu_seconds, status_kib};
use crate::start::keygen;
use crate::stats::{print, quantile};

/// What one start of a mesh showed.
struct Storm {
    /// From the first start, and from the last, to the last link; milliseconds.
    from_first: f64,
    from_last: f64,
    /// From the first start until half, and 99 of 100, of all links were there.
    half: f64,
    most: f64,
    /// Processor time of all nodes together, seconds; of the busiest, as a multiple of the mean.
    cpu: f64,
    busiest: f64,
    /// Of one node on average.
    resident_mib: f64,
    sockets: f64,
}

pub(crate) fn run(nodes: usize, rounds: usize) {
    let storms: Vec<Storm> = (0..rounds).map(|_| start(nodes)).collect();
    let show = |what: &str, unit: &str, of: fn(&Storm) -> f64, target: &str| {
        let samples: Vec<f64> = storms.iter().map(of).collect();
        print(&format!("{nodes} processes: {what}"), unit, &samples, target);
    };
    let target = match nodes {
        0..=16 => "150 ms",
        17..=64 => "3 s",
        _ => "15 s",
    };
    show("first start -> all linked", "ms ", |storm| storm.from_first, target);
    show("first start -> half of all links", "ms ", |storm| storm.half, "");
    show("first start -> 99 of 100 links", "ms ", |storm| storm.most, "");
    show("last start -> all linked", "ms ", |storm| storm.from_last, "");
    show("processor time of all until then", "s  ", |storm| storm.cpu, "");
    show("the busiest, of the mean", "x  ", |storm| storm.busiest, "2");
    show("resident, each", "MiB", |storm| storm.resident_mib, "");
    show("sockets, each", "   ", |storm| storm.sockets, "");
}

fn start(nodes: usize) -> Storm {
    let mesh = Mesh::new(&keygen());
    let running: Vec<Process> = (0..nodes).map(|_| mesh.talkie(&["join"])).collect();
    let mut ups = Vec::with_capacity(nodes * nodes);
    for node in &running {
        ups.extend((1..nodes).map(|_| node.wait("peer_up").0 as f64));
    }
    let last_link = quantile(&ups, 1.0) as u64;
    let cpu: Vec<f64> = running.iter().map(cpu_seconds).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let since = |began: Option<u64>| (last_link - began.unwrap_or(last_link)) as f64 / 1e6;
    let resident: Vec<f64> = running.iter().map(|node| status_kib(node, "VmRSS:") / 1024.0).collect();
    let sockets: Vec<f64> = running.iter().map(sockets).collect();
    // All at once: one after the other, those that remain would be busy looking for those that are gone.
    for node in &running {
        node.signal(Signal::SIGKILL);
    }
    let first = running.iter().map(|node| node.began).min().unwrap_or(0) as f64;
    Storm {
        half: (quantile(&ups, 0.5) - first) / 1e6,
        most: (quantile(&ups, 0.99) - first) / 1e6,
        from_first: since(running.iter().map(|node| node.began).min()),
        from_last: since(running.iter().map(|node| node.began).max()),
        cpu: cpu.iter().sum(),
        busiest: cpu.iter().copied().fold(0.0, f64::max) / mean(&cpu),
        resident_mib: mean(&resident),
        sockets: mean(&sockets),
    }
}

/// Not a number where a node does not show them: only root may look.
fn sockets(node: &Process) -> f64 {
    let Ok(open) = fs::read_dir(format!("/proc/{}/fd", node.pid())) else { return f64::NAN };
    let targets = open.map_while(Result::ok).filter_map(|fd| fs::read_link(fd.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count() as f64
}
