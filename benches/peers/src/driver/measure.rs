//! One measurement: a fresh set of processes, and the figures of what they tell.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use talkie_instrument::{Usage, now_ns};
use talkie_pubsub::Secret;

use crate::driver::child::{Role, Server};
use crate::driver::folder::Folder;
use crate::driver::plan::{Case, Plan, SMALL, System};
use crate::driver::summary::{self, Measured};
use crate::failure::Failure;
use crate::role::{Load, Sent};
use crate::sink::Got;
use crate::system::{LARGE, Setup};

/// How long nodes rest before their memory is read: the bursts of the start are over.
const REST: Duration = Duration::from_secs(2);

/// Measures one system once.
pub fn measure(case: &Case, name: &str, plan: &Plan) -> Result<Measured, Failure> {
    let system = System::named(name).ok_or_else(|| Failure::new(format!("no such system: {name}")))?;
    match *case {
        Case::Fanout { subscribers, rate, large } => {
            let load =
                Load { subscribers, bytes: SMALL, rate, ms: plan.fanout_ms(), warm_up_ms: plan.warm_up_ms() };
            processes(system, load, large)
        }
        Case::Throughput { subscribers, bytes } => {
            let load =
                Load { subscribers, bytes, rate: 0, ms: plan.throughput_ms(), warm_up_ms: plan.warm_up_ms() };
            processes(system, load, false)
        }
        Case::Local { subscribers } => local(system, subscribers),
        Case::Start { processes } => start(system, processes, plan.starts()),
        Case::Memory { peers } => memory(system, peers),
    }
}

/// What the roles of one measurement share.
struct Stage {
    system: &'static System,
    variables: Vec<(String, String)>,
    setup: Setup,
    _folder: Folder,
}

impl Stage {
    fn new(system: &'static System) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let setup =
            Setup { system: system.name.to_owned(), folder: folder.path().into(), ..Setup::default() };
        let mut variables = Vec::new();
        if system.is_talkie() {
            variables = vec![
                ("TALKIE_SECRET".to_owned(), Secret::generate().to_text().to_string()),
                ("TALKIE_INTERFACE".to_owned(), "lo".to_owned()),
                ("TALKIE_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
                ("TALKIE_GROUP".to_owned(), format!("239.255.82.55:{}", port())),
                ("TALKIE_UNIX".to_owned(), if system.is_unix_talkie() { "on" } else { "off" }.to_owned()),
            ];
        }
        Ok(Self { system, variables, setup, _folder: folder })
    }

    fn start(&self, word: &str, more: &[String]) -> Result<Role, Failure> {
        let setup = serde_json::to_string(&self.setup)?;
        let mut args = vec![word, setup.as_str()];
        args.extend(more.iter().map(String::as_str));
        Role::start(self.system.program, &args, &self.variables)
    }
}

/// A port for the heartbeats of one measurement, above those that the system gives out.
fn port() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    61_000 + (u64::from(std::process::id()) * 97 + NEXT.fetch_add(1, Ordering::Relaxed)) % 4_500
}

/// W1 and W2: one publisher process and its subscriber processes.
fn processes(system: &'static System, load: Load, large: bool) -> Result<Measured, Failure> {
    let mut stage = Stage::new(system)?;
    (stage.setup.flood, stage.setup.large) = (load.rate == 0, large);
    let server = Server::start(system.name, &stage.setup.folder)?;
    if let Some(server) = &server {
        stage.setup.endpoint.clone_from(&server.endpoint);
    }
    let lasts = Duration::from_millis(load.ms + load.warm_up_ms);
    let mut publisher = stage.start("pub", &[serde_json::to_string(&load)?])?;
    let ready = publisher.wait("ready", Duration::ZERO)?;
    if let Some(endpoint) = ready.get("endpoint").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        endpoint.clone_into(&mut stage.setup.endpoint);
    }
    let subscribers: Vec<Role> =
        (0..load.subscribers).map(|_| stage.start("sub", &[])).collect::<Result<_, _>>()?;
    for subscriber in &subscribers {
        subscriber.wait("connected", Duration::ZERO)?;
    }
    publisher.go()?;
    publisher.wait("started", lasts)?;
    let before = server.as_ref().map_or(0, Server::cpu_ns);
    let got: Vec<Got> = subscribers
        .iter()
        .map(|subscriber| summary::part(&subscriber.wait("got", lasts)?, "got"))
        .collect::<Result<_, _>>()?;
    let server_ns = server.as_ref().map_or(0, Server::cpu_ns) - before;
    publisher.go()?;
    let sent: Sent = summary::part(&publisher.wait("sent", Duration::ZERO)?, "sent")?;
    let mut measured = summary::deliveries(&load, &sent, &got, server_ns)?;
    if large {
        let bytes = got.iter().map(|got| got.large_bytes).min().unwrap_or(0);
        if bytes == 0 {
            return Err(Failure::new("no large message arrived"));
        }
        measured.figures.insert("large messages".to_owned(), bytes as f64 / LARGE as f64);
    }
    Ok(measured)
}

/// W3: one process.
fn local(system: &'static System, subscribers: usize) -> Result<Measured, Failure> {
    let mut stage = Stage::new(system)?;
    stage.setup.count = subscribers;
    let role = stage.start("local", &[])?;
    let told = role.wait("local", Duration::from_secs(30))?;
    let median = summary::quantile(&summary::numbers(&told, "ns"), 0.5);
    Ok(Measured::from([
        ("us until all".to_owned(), median / 1e3),
        ("ns per delivery".to_owned(), median / subscribers as f64),
    ]))
}

/// W4: processes that start at once.
fn start(system: &'static System, processes: usize, starts: usize) -> Result<Measured, Failure> {
    let mut took = Vec::new();
    for _ in 0..starts {
        let mut stage = Stage::new(system)?;
        // Where zenoh scouts.
        (stage.setup.count, stage.setup.endpoint) = (processes - 1, format!("224.0.0.224:{}", port()));
        let began = now_ns();
        let nodes: Vec<Role> = (0..processes).map(|_| stage.start("meet", &[])).collect::<Result<_, _>>()?;
        let mut last = 0.0;
        for node in &nodes {
            last = summary::number(&node.wait("met", Duration::from_secs(10))?, "at_ns").max(last);
        }
        took.push((last - began as f64) / 1e6);
    }
    Ok(Measured::from([
        ("ms".to_owned(), summary::quantile(&took, 0.5)),
        ("ms max".to_owned(), summary::quantile(&took, 1.0)),
    ]))
}

/// W6: nodes that know each other and do nothing.
fn memory(system: &'static System, peers: usize) -> Result<Measured, Failure> {
    let mut stage = Stage::new(system)?;
    (stage.setup.count, stage.setup.endpoint) = (peers, format!("224.0.0.224:{}", port()));
    let nodes: Vec<Role> = (0..=peers).map(|_| stage.start("idle", &[])).collect::<Result<_, _>>()?;
    for node in &nodes {
        node.wait("idle", Duration::from_secs(10))?;
    }
    sleep(REST);
    let usages: Vec<Usage> = nodes.iter().filter_map(|node| Usage::of(node.id())).collect();
    if usages.len() < nodes.len() {
        return Err(Failure::new("a node is gone"));
    }
    let median = |of: fn(&Usage) -> u64| {
        summary::quantile(
            &usages.iter().map(|usage| of(usage) as f64 / f64::from(1 << 20)).collect::<Vec<_>>(),
            0.5,
        )
    };
    Ok(Measured::from([
        ("resident MiB".to_owned(), median(|usage| usage.resident)),
        ("anonymous MiB".to_owned(), median(|usage| usage.anonymous)),
    ]))
}
