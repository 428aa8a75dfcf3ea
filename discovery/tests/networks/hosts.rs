//! Network namespaces as hosts, and discovery on them.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Pid, Uid, gettid};
use talkie_discovery::{Announcement, Config, Discovery, Event, MeshKeys, NodeId, Reach, Stats, StatsReader};
use tokio::sync::{oneshot, watch};

/// Far above what anything here takes, and below the 30 s after which a look alone would find it.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn is_skipped(test: &str) -> bool {
    let able = Uid::effective().is_root()
        && thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).is_ok()).join().unwrap()
        && Command::new("ip").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(able || !must, "with CI=true {test} must run, and needs root, namespaces and ip");
    if !able {
        // Past the harness, which keeps what a passing test prints to itself.
        let _ = writeln!(std::io::stdout(), "SKIPPED: {test} (needs root, network namespaces and ip)");
    }
    !able
}

/// A namespace that is held by a thread.
pub(super) struct Host {
    network: File,
    pub(super) thread: Pid,
    _hold: mpsc::Sender<()>,
}

impl Host {
    pub(super) fn new() -> Self {
        let (hold, held) = mpsc::channel::<()>();
        let (made, is_made) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            made.send((File::open("/proc/thread-self/ns/net").unwrap(), gettid())).unwrap();
            let _ = held.recv();
        });
        let (network, thread) = is_made.recv().unwrap();
        let host = Self { network, thread, _hold: hold };
        host.ip(&["link set lo up"]);
        host
    }

    pub(super) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.network, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap())
    }

    /// Commands of `ip`, all in one go.
    pub(super) fn ip(&self, commands: &[&str]) {
        self.within(|| {
            let mut command = Command::new("ip");
            command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
            let mut ip = command.spawn().unwrap();
            ip.stdin.take().unwrap().write_all((commands.join("\n") + "\n").as_bytes()).unwrap();
            let output = ip.wait_with_output().unwrap();
            assert!(output.status.success(), "{commands:?}: {}", String::from_utf8_lossy(&output.stderr));
        });
    }

    pub(super) fn set(&self, file: &str, value: &str) {
        self.within(|| std::fs::write(format!("/proc/sys/net/{file}"), value).unwrap());
    }

    /// A cable to another host: an interface on each, down and without addresses.
    pub(super) fn cable(&self, name: &str, other: &Self, far: &str) {
        let other = other.thread;
        self.ip(&[&format!("link add {name} type veth peer name {far} netns {other}")]);
    }

    pub(super) fn start(&self, id: u8, keys: &MeshKeys) -> Node {
        let who = Announcement {
            id: NodeId::from_bytes([id; 16]),
            name: format!("node-{id}").parse().unwrap(),
            listen: "[::]:4000".parse().unwrap(),
            host: None,
        };
        let (keys, network) = (keys.clone(), self.network.try_clone().unwrap());
        let (told, events) = mpsc::channel();
        let (started, is_started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            setns(network, CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (discovery, mut found) = Discovery::start(Config::default(), keys, who).unwrap();
                started.send((discovery.stats_reader(), discovery.reach())).unwrap();
                let tell = async {
                    while let Some(event) = found.recv().await {
                        let _ = told.send(event);
                    }
                };
                tokio::select! {
                    () = tell => {}
                    _ = stopped => {}
                }
            });
        });
        let (stats, reach) = is_started.recv_timeout(LIMIT).unwrap();
        Node { events, stats, reach, _stop: stop }
    }
}

/// Discovery on a host; dropped, it ends.
pub(super) struct Node {
    events: mpsc::Receiver<Event>,
    stats: StatsReader,
    pub(super) reach: watch::Receiver<Arc<Reach>>,
    _stop: oneshot::Sender<()>,
}

impl Node {
    pub(super) fn stats(&self) -> Stats {
        self.stats.stats()
    }

    /// Until an event of that node satisfies.
    #[track_caller]
    pub(super) fn sees(
        &self,
        wanted: u8,
        within: Duration,
        satisfies: impl Fn(&[SocketAddr]) -> bool,
    ) -> Vec<SocketAddr> {
        let end = Instant::now() + within;
        let mut last = None;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::Seen { id, addrs, .. }) if id == NodeId::from_bytes([wanted; 16]) => {
                    if satisfies(&addrs) {
                        return addrs;
                    }
                    last = Some(addrs);
                }
                Ok(_) => {}
                Err(_) => panic!("not seen within {within:?}, but {last:?}: {:?}", self.stats()),
            }
        }
    }

    /// What was told so far is not asked for.
    pub(super) fn forget(&self) {
        while self.events.try_recv().is_ok() {}
    }

    /// Until the counters satisfy.
    #[track_caller]
    pub(super) fn counts(&self, satisfies: impl Fn(Stats) -> bool) {
        let end = Instant::now() + LIMIT;
        while !satisfies(self.stats()) {
            assert!(Instant::now() < end, "{:?}", self.stats());
            thread::sleep(Duration::from_millis(1));
        }
    }
}
