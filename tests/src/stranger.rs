//! An attacker without the secret: plain sockets, and no code of the product.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How long a stranger's connection may live: the two seconds of a handshake, and room for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(6);

/// Hears every datagram to the group on the interface with this address.
///
/// # Panics
/// If the machine cannot.
pub fn eavesdrop(group: SocketAddrV4, on: Ipv4Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_reuse_address(true).expect("a shared port");
    socket.set_recv_buffer_size(1 << 20).expect("a large buffer");
    socket.bind(&SocketAddr::from(group).into()).expect("the group's port");
    socket.join_multicast_v4(group.ip(), &on).expect("the group");
    socket.into()
}

/// Sends to groups, out of the interface with this address and no other.
///
/// # Panics
/// If the machine cannot.
pub fn injector(on: Ipv4Addr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.bind(&SocketAddr::from((on, 0)).into()).expect("an address");
    socket.set_multicast_if_v4(&on).expect("an interface");
    socket.into()
}

/// Waits for `count` datagrams.
///
/// # Panics
/// If they do not come within ten seconds.
pub fn capture(ear: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    ear.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut buffer = [0; 65_536];
    let mut one = |_| {
        let length = ear.recv(&mut buffer).expect("a heartbeat within ten seconds");
        buffer[..length].to_vec()
    };
    (0..count).map(&mut one).collect()
}

/// How many datagrams are waiting that `own` has not sent.
///
/// # Panics
/// If the socket fails.
pub fn waiting(ear: &UdpSocket, own: Option<SocketAddr>) -> usize {
    ear.set_nonblocking(true).expect("non-blocking");
    let mut buffer = [0; 65_536];
    let mut count = 0;
    loop {
        match ear.recv_from(&mut buffer) {
            Ok((_, from)) => count += usize::from(Some(from) != own),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    ear.set_nonblocking(false).expect("blocking");
    count
}

/// Connects, sends these bytes, and gives what came back until the node closed.
///
/// # Panics
/// If the node keeps the connection for longer than [`PATIENCE`].
pub fn say(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let Ok(mut stream) = TcpStream::connect_timeout(&to, PATIENCE) else { return Vec::new() };
    // A node may have closed already: then there is nothing more to learn from it.
    let _ = stream.write_all(bytes);
    answer(&mut stream)
}

/// What comes back until the node closes.
///
/// # Panics
/// If the node keeps the connection for longer than [`PATIENCE`].
pub fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).expect("a timeout");
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("a stranger's connection was kept for {PATIENCE:?}")
            }
            Err(_) => return answer,
        }
    }
}

/// Datagrams a second of a [`Flood`], at most: what a node is held to stand. One that fills the wire is not promised.
const PACE: u32 = 100_000;

/// Sends datagrams to a group, at `PACE`, from a thread until it is ended or dropped.
#[derive(Debug)]
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<u64>>,
}

impl Flood {
    /// Floods with these datagrams, again and again.
    pub fn start(attacker: UdpSocket, group: SocketAddrV4, datagrams: Vec<Vec<u8>>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut sent, from) = (0, Instant::now());
            while !stopped.load(Ordering::Relaxed) {
                for datagram in &datagrams {
                    // A full queue of the interface is no reason to stop.
                    sent += u64::from(attacker.send_to(datagram, group).is_ok());
                }
                let due = from + Duration::from_secs(1) * u32::try_from(sent).unwrap_or(u32::MAX) / PACE;
                thread::park_timeout(due.saturating_duration_since(Instant::now()));
            }
            assert_eq!(waiting(&attacker, None), 0, "a datagram is never answered");
            sent
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it, and tells how many datagrams were sent.
    ///
    /// # Panics
    /// If anybody answered to a datagram.
    pub fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.thread.take().map(thread::JoinHandle::join);
        sent.map_or(0, |sent| sent.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
