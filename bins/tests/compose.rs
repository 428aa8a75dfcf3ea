//! What Compose would do with `bins/deploy/compose/compose.yaml`, without an engine: a network namespace for each
//! service on one bridge, with its command, variables, host name, user and secret as the files have them.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test of real processes says so by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::Write as _;
use std::process::{Command, Stdio};

use common::{Running, SECRET, TempDir, clean, run, skipped};
use nix::sys::signal::Signal;

const FILE: &str = include_str!("../deploy/compose/compose.yaml");
const DOCKERFILE: &str = include_str!("../deploy/compose/Dockerfile");

/// The user `nonroot` of the image's base.
const USER: &str = "65532";

/// The file as paths and values, `services.door.command` and `["join"]`. It reads what that file uses of YAML: maps by
/// indentation, values on one line, anchors and what refers to them.
fn read(text: &str) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut anchors: BTreeMap<&str, String> = BTreeMap::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        let (key, value) = line.trim().split_once(':').expect(line);
        while path.last().is_some_and(|(outer, _)| *outer >= indent) {
            path.pop();
        }
        path.extend((key != "<<").then_some((indent, key)));
        let here = path.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
        match (value.trim(), value.trim().get(1..).unwrap_or_default()) {
            ("", _) => {}
            (anchor, name) if anchor.starts_with('&') => drop(anchors.insert(name, here)),
            (alias, name) if alias.starts_with('*') => {
                let from = format!("{}.", anchors[name]);
                let copied: Vec<_> = values
                    .iter()
                    .filter_map(|(path, value)| Some((path.strip_prefix(&from)?.to_owned(), value.clone())))
                    .collect();
                assert!(!copied.is_empty(), "{line}");
                values.extend(copied.into_iter().map(|(rest, value)| (format!("{here}.{rest}"), value)));
            }
            (value, _) => drop(values.insert(here, value.trim_matches('"').to_owned())),
        }
    }
    values
}

fn list(text: &str) -> Vec<String> {
    serde_json::from_str(text).expect(text)
}

/// A service as the file has it.
#[derive(Debug)]
struct Service {
    name: String,
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    hostname: String,
    health: Option<Vec<String>>,
}

fn services() -> Vec<Service> {
    let file = read(FILE);
    let names = file.keys().filter_map(|path| path.strip_prefix("services.")?.strip_suffix(".command"));
    let entrypoint =
        DOCKERFILE.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).expect("an entrypoint");
    let service = |name: &str| {
        let of = |key: &str| file.get(&format!("services.{name}.{key}")).cloned();
        let environment = format!("services.{name}.environment.");
        let variables = file
            .iter()
            .filter_map(|(path, value)| Some((path.strip_prefix(&environment)?.to_owned(), value.clone())));
        let mut command = list(entrypoint);
        command.extend(list(&of("command").expect("a command")));
        Service {
            name: name.to_owned(),
            command,
            environment: variables.collect(),
            hostname: of("hostname").expect("a host name"),
            health: of("healthcheck.test").map(|test| list(&test)),
        }
    };
    names.map(service).collect()
}

/// A bridge and a namespace for each service, as an engine makes them. Dropped, all is gone.
struct Network {
    prefix: String,
    folder: TempDir,
    addresses: Vec<String>,
}

impl Network {
    /// None, and said, where this cannot be had.
    fn new(hosts: usize) -> Option<Self> {
        let random = RandomState::new().build_hasher().finish().to_le_bytes();
        let prefix = format!("talkie-compose-{}-{}", std::process::id(), random[0]);
        // From Docker's own pools, 172.17.0.0/16 to 172.31.0.0/16.
        let subnet = format!("172.{}.{}", 17 + random[1] % 15, random[2]);
        let addresses = (0..hosts).map(|host| format!("{subnet}.{}", host + 2)).collect();
        let network = Self { prefix, folder: TempDir::new(), addresses };
        let switch = network.namespace("switch");
        let made = Command::new("ip").args(["netns", "add", &switch]).stderr(Stdio::null()).status();
        let runs = made.is_ok_and(|made| made.success())
            && Command::new("ip")
                .args(["netns", "exec", &switch, "unshare", "--uts", "--mount", "true"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|ran| ran.success());
        if !runs {
            let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!must, "with CI=true this must run, and namespaces cannot be made");
            skipped("namespaces cannot be made here, so that nothing of Compose is tried");
            return None;
        }
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        for host in 0..hosts {
            let (namespace, cable) = (network.namespace(&host.to_string()), format!("v{host}"));
            ip(&["netns", "add", &namespace]);
            ip(&["-n", &namespace, "link", "set", "lo", "up"]);
            ip(&[
                "-n", &switch, "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ]);
            ip(&["-n", &switch, "link", "set", &cable, "master", "br0", "up"]);
            // A network without `enable_ipv6` has none.
            let off = "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6";
            ip(&["netns", "exec", &namespace, "sh", "-c", off]);
            ip(&["-n", &namespace, "addr", "add", &format!("{}/16", network.addresses[host]), "dev", "eth0"]);
            ip(&["-n", &namespace, "link", "set", "eth0", "up"]);
        }
        let secret = network.folder.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        Some(network)
    }

    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Multicast passes no more, as on an overlay network.
    fn block_multicast(&self) -> bool {
        let mut nft = Command::new("ip");
        nft.args(["netns", "exec", &self.namespace("switch"), "nft", "-f", "-"]).stdin(Stdio::piped());
        let Ok(mut nft) = nft.stderr(Stdio::null()).spawn() else { return false };
        let rules = "table bridge talkie {\n chain forward {\n type filter hook forward priority 0;\n \
                     ip daddr 224.0.0.0/4 drop\n }\n}\n";
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        nft.wait().unwrap().success()
    }

    /// A program in a container of a service: its network, host name, user and secret, and only its variables.
    fn inside(&self, host: usize, service: &Service, program: &[String]) -> Command {
        let mut names = String::from("127.0.0.1 localhost\n");
        // A name that stands for every container, as a Swarm's `tasks.SERVICE` does.
        names.extend(self.addresses.iter().map(|address| format!("{address} everybody\n")));
        let hosts = self.folder.path().join("hosts");
        std::fs::write(&hosts, names).unwrap();
        let setup = format!(
            "set -e; mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/secrets /run/bin; \
             cp {secret} /run/secrets/talkie; chown {USER} /run/secrets/talkie; chmod {mode} /run/secrets/talkie; \
             : > /run/bin/talkie; mount --bind {binary} /run/bin/talkie; mount --bind {hosts} /etc/hosts; \
             mount -o remount,ro /run; echo {hostname} > /proc/sys/kernel/hostname; \
             exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs --inh-caps=-all \
             --bounding-set=-all \"$@\"",
            // Compose keeps the mode that the file has on the host; Swarm opens it to the container.
            mode = if host == 0 { "400" } else { "444" },
            secret = self.folder.path().join("secret").display(),
            binary = env!("CARGO_BIN_EXE_talkie"),
            hosts = hosts.display(),
            hostname = service.hostname,
        );
        let mut command = clean(Command::new("ip"));
        command.args(["netns", "exec", &self.namespace(&host.to_string())]);
        command.args(["unshare", "--uts", "--mount", "sh", "-c", &setup, "sh", "env", "-i", "PATH=/run/bin"]);
        command.args(service.environment.iter().map(|(variable, value)| format!("{variable}={value}")));
        command.args(program);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = (0..self.addresses.len()).map(|host| self.namespace(&host.to_string()));
        for namespace in hosts.chain([self.namespace("switch")]) {
            let _ = Command::new("ip").args(["netns", "del", &namespace]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(args: &[&str]) {
    let (code, _, said) = run(Command::new("ip").args(args));
    assert_eq!(code, 0, "ip {args:?}: {said}");
}

/// Starts all, waits until they have met and the order was delivered; gives what runs on, by host.
fn meet(network: &Network, services: &[Service], via: &str) -> Vec<Option<Running>> {
    let index = |name: &str| services.iter().position(|service| service.name == name).expect(name);
    let (door, kitchen, till) = (index("door"), index("kitchen"), index("till"));
    let mut running: Vec<Option<Running>> = services
        .iter()
        .enumerate()
        .map(|(host, service)| {
            let mut command = network.inside(host, service, &service.command);
            Some(Running::start(&mut command))
        })
        .collect();
    let of = |host: usize| running[host].as_ref().expect("it runs");
    of(till).says("published 1 message on orders/42, handed over to 1 node");
    // Nobody heard of the till later than of what it said, nor earlier that it left. The door may not have met it.
    of(kitchen).says("+ talkie@till");
    of(kitchen).says("orders/42 two coffees");
    of(kitchen).says("- talkie@till");
    let seen = of(door).says("+ talkie@kitchen");
    let address = &network.addresses[kitchen];
    assert!(seen.contains(&format!(" at {address}:")) && seen.contains(via), "{seen}");
    let mut till = running[till].take().expect("it ran");
    let (code, said) = till.ends();
    assert!(code == Some(0) && !said.contains("secret file"), "the secret is not warned of: {said}");
    running
}

#[test]
fn what_the_file_names_meets_on_a_bridge_and_is_healthy() {
    let services = services();
    let Some(network) = Network::new(services.len()) else { return };
    let mut running = meet(&network, &services, "found by multicast");
    for (host, service) in services.iter().enumerate() {
        let (Some(node), Some(health)) = (&mut running[host], &service.health) else {
            assert_eq!(service.name, "till", "what stays up has a health check");
            continue;
        };
        assert_eq!(health[0], "CMD");
        let check = || run(&mut network.inside(host, service, &health[1..]));
        let (code, stdout, said) = check();
        assert_eq!((code, said.as_str()), (0, ""), "{}", service.name);
        assert!(stdout.contains(&format!("talkie@{}", service.hostname)), "{stdout}");
        node.signal(Signal::SIGTERM);
        assert_eq!(node.ends(), (Some(0), String::new()));
        assert_eq!(check().0, 1, "{} is gone, and that is not healthy", service.name);
    }
}

#[test]
fn one_name_in_the_variable_is_enough_where_multicast_does_not_pass() {
    let mut services = services();
    let Some(network) = Network::new(services.len()) else { return };
    if !network.block_multicast() {
        return skipped("there is no nft here");
    }
    for service in &mut services {
        service.environment.insert("TALKIE_PARTNERS".to_owned(), "everybody".to_owned());
    }
    meet(&network, &services, "found by partner");
}

#[test]
fn a_network_that_goes_is_waited_for() {
    let services = services();
    let Some(network) = Network::new(services.len()) else { return };
    let mut running = meet(&network, &services, "found by multicast");
    let index = |name: &str| services.iter().position(|service| service.name == name).expect(name);
    let (door, kitchen) = (index("door"), index("kitchen"));
    for state in ["down", "up"] {
        ip(&["-n", &network.namespace("switch"), "link", "set", &format!("v{kitchen}"), state]);
        let sign = if state == "down" { "-" } else { "+" };
        running[door].as_ref().expect("it runs").says(&format!("{sign} talkie@kitchen"));
        running[kitchen].as_ref().expect("it runs").says(&format!("{sign} talkie@door"));
    }
    for host in [door, kitchen] {
        let node = running[host].as_mut().expect("it runs");
        node.signal(Signal::SIGTERM);
        assert_eq!(node.ends().0, Some(0));
    }
}

#[test]
fn the_file_gives_a_node_time_and_the_secret_where_it_looks() {
    let file = read(FILE);
    for Service { name, environment, health, .. } in services() {
        let of = |key: &str| file[&format!("services.{name}.{key}")].as_str();
        assert_eq!(environment["TALKIE_SECRET_FILE"], "/run/secrets/talkie");
        assert_eq!(of("secrets"), "[talkie]");
        let seconds = |text: &str| text.strip_suffix('s').unwrap().parse::<u64>().unwrap();
        // 7 s and half a second for a goodbye, then the process has ended by itself.
        assert!(seconds(of("stop_grace_period")) >= 8);
        if let Some(health) = health {
            let wait = health.iter().position(|word| word == "--wait").unwrap();
            assert!(seconds(of("healthcheck.timeout")) > health[wait + 1].parse().unwrap());
        }
    }
    assert!(file.contains_key("secrets.talkie.file"));
    let dockerfile = DOCKERFILE.lines().collect::<Vec<_>>();
    assert!(dockerfile.contains(&"CMD [\"join\"]") && DOCKERFILE.contains(":nonroot"));
    let rust = format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(dockerfile.iter().any(|line| line.starts_with(&rust)), "{rust}");
}
