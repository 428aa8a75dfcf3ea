//! An attacker without the secret: raw sockets on loopback, and no code of the product.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How long a stranger's connection may live: the two seconds of a handshake, and room for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(6);

/// Hears every datagram to the group on loopback.
///
/// # Panics
/// If the machine cannot.
pub fn eavesdrop(group: SocketAddrV4) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_reuse_address(true).expect("a shared port");
    socket.set_recv_buffer_size(1 << 20).expect("a large buffer");
    socket.bind(&SocketAddr::from(group).into()).expect("the group's port");
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).expect("the group on loopback");
    socket.into()
}

/// Sends to the group, out of loopback and nothing else.
///
/// # Panics
/// If the machine cannot.
pub fn injector() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("an address");
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).expect("loopback");
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
