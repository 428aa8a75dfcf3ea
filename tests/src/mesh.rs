//! A mesh of a test's own: a fresh secret and a private group on loopback.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Mutex, OnceLock},
    time::Duration,
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::{
    SOON,
    command::{Finished, Talkie},
    process::Process,
};

/// The group of every test, with a port of its own for each mesh.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 82, 55);

/// What the nodes of one test share, so that tests in parallel never meet.
#[derive(Clone, Debug)]
pub struct Mesh {
    secret: String,
    group: SocketAddrV4,
}

impl Mesh {
    /// A mesh with a new secret and a port that nobody uses.
    pub fn new() -> Self {
        Self::with_secret(&keygen())
    }

    /// A mesh with this secret.
    pub fn with_secret(secret: &str) -> Self {
        Self { secret: secret.to_owned(), group: SocketAddrV4::new(GROUP, free_port()) }
    }

    /// Another secret on the same group: a neighbour.
    pub fn neighbour(&self) -> Self {
        Self { secret: keygen(), group: self.group }
    }

    /// The secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The group with its port.
    pub fn group(&self) -> SocketAddrV4 {
        self.group
    }

    /// A command of this mesh. The settings are variables, so that a test's flags beat them.
    pub fn talkie(&self, command: &str) -> Talkie {
        Talkie::new(command)
            .env("TALKIE_SECRET", &self.secret)
            .env("TALKIE_GROUP", self.group.to_string())
            .env("TALKIE_LISTEN", "127.0.0.1:0")
    }

    /// `talkie join --json`, joined.
    #[track_caller]
    pub fn join(&self, name: &str) -> Member {
        Member::start(self.talkie("join").name(name))
    }

    /// `talkie sub PATTERN… --json`, every subscription in force.
    #[track_caller]
    pub fn sub(&self, name: &str, patterns: &[&str]) -> Member {
        let member = Member::start(self.talkie("sub").name(name).args(patterns));
        member.expect_count("subscribed", patterns.len(), SOON);
        member
    }

    /// `talkie reply PATTERN … --json`, in force.
    #[track_caller]
    pub fn reply(&self, name: &str, pattern: &str, how: &[&str]) -> Member {
        let member = Member::start(self.talkie("reply").name(name).arg(pattern).args(how));
        member.expect_count("subscribed", 1, SOON);
        member
    }

    /// `talkie pub TOPIC PAYLOAD`, to its end.
    #[track_caller]
    pub fn publish(&self, name: &str, topic: &str, payload: &str) -> Finished {
        self.talkie("pub").name(name).args([topic, payload]).run()
    }
}

impl Default for Mesh {
    fn default() -> Self {
        Self::new()
    }
}

/// A node that has joined: the process and what it said of itself.
#[derive(Debug)]
pub struct Member {
    /// The running command.
    pub process: Process,
    /// Its node id.
    pub id: String,
    /// Its `joined` line.
    pub joined: Value,
}

impl Member {
    /// Starts the command and waits for `joined`.
    #[track_caller]
    pub fn start(command: Talkie) -> Self {
        Self::joined(command.spawn(), SOON)
    }

    /// A process that joins within this time.
    #[track_caller]
    pub fn joined(process: Process, within: Duration) -> Self {
        let joined = process.expect("joined", |_| true, within);
        let id = joined["node"].as_str().expect("joined names the node").to_owned();
        Self { process, id, joined }
    }

    /// The first address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        crate::lines::address(&self.joined["listen"][0]).expect("an address that it listens on")
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Waits for `peer_up` of that node.
    #[track_caller]
    pub fn meets(&self, other: &Self) -> Value {
        self.process.expect("peer_up", |line| line["node"] == *other.id, SOON)
    }
}

impl std::ops::Deref for Member {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl std::ops::DerefMut for Member {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A new secret from `talkie keygen`.
///
/// # Panics
/// If that fails.
pub fn keygen() -> String {
    let done = Talkie::new("keygen").run().exits(0);
    done.text().trim().to_owned()
}

/// A port that is free for TCP and UDP on loopback and that no other test of this process was given.
///
/// Under the range from which the system picks ports itself (32768 on Linux), so that no node that lets
/// the system pick can take it in between.
///
/// # Panics
/// If none is free.
pub fn free_port() -> u16 {
    static GIVEN: OnceLock<Mutex<HashSet<u16>>> = OnceLock::new();
    let mut given = GIVEN.get_or_init(Mutex::default).lock().expect("nobody panics under this lock");
    let mut random = fastrand::Rng::new();
    for _ in 0..1000 {
        let port = random.u16(10_000..32_000);
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        if is_free(at, Type::DGRAM) && is_free(at, Type::STREAM) && given.insert(port) {
            return port;
        }
    }
    panic!("no free port");
}

/// Whether nobody holds this port. It is looked at without listening, and shared from then on: a process that another
/// test starts at this very moment may hold a copy of the socket until it runs its own program.
fn is_free(at: SocketAddr, kind: Type) -> bool {
    let socket = Socket::new(Domain::IPV4, kind, None).expect("a socket");
    let free = socket.bind(&at.into()).is_ok();
    socket.set_reuse_address(true).expect("a shared port");
    free
}
