//! Unix sockets between nodes of one host: abstract ones, which live in no file and end with their process.

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use sha2::{Digest, Sha256};
use talkie_discovery::{HostMark, NodeId};
use tokio::net::{UnixListener, UnixStream};

/// What is hashed before an id. A socket's name is seen by every user of the host, an id by members only.
const LABEL: &[u8] = b"talkie/1 unix socket";

/// What stands for the address of whoever is at the other end: this host, and no port.
pub(crate) const HERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Where this node takes links of its host.
pub(crate) struct Door {
    pub(crate) listener: UnixListener,
    /// What the others know this host by.
    pub(crate) host: HostMark,
}

/// Opens the door of the node `id`; none where the system has no such sockets, or does not let this process have one.
pub(crate) fn listen(id: NodeId) -> Option<Door> {
    let Some(host) = HostMark::look() else {
        tracing::debug!(name: "talkie.unix.unused", "this host cannot be told from others, so nodes on it link by TCP");
        return None;
    };
    match bind(id) {
        Ok(listener) => Some(Door { listener, host }),
        Err(e) => {
            tracing::info!(name: "talkie.unix.unused", "no Unix socket for nodes of this host, they link by TCP: {e}");
            None
        }
    }
}

/// The socket of the node `id`, without the byte 0 that begins an abstract name.
fn name(id: NodeId) -> String {
    let digest = Sha256::new().chain_update(LABEL).chain_update(id.as_bytes()).finalize();
    digest.iter().take(16).fold(String::from("talkie/"), |mut name, byte| {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

#[cfg(target_os = "linux")]
fn bind(id: NodeId) -> io::Result<UnixListener> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net;

    let listener = net::UnixListener::bind_addr(&net::SocketAddr::from_abstract_name(name(id))?)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Connects to the node `id` on this host. Answers at once: refused where it is not, and where too many wait for it.
#[cfg(target_os = "linux")]
pub(crate) async fn connect(id: NodeId) -> io::Result<UnixStream> {
    UnixStream::connect(format!("\0{}", name(id))).await
}

#[cfg(not(target_os = "linux"))]
fn bind(_: NodeId) -> io::Result<UnixListener> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) async fn connect(_: NodeId) -> io::Result<UnixStream> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PROTOCOL.md repeats it.
    #[test]
    fn a_name_does_not_show_the_id() {
        let id: NodeId = "039571b3e6c3e7c2decd84341b0f2c79".parse().unwrap();
        assert_eq!(name(id), "talkie/564d65a745e133ddec42cda7f2933ba0");
    }

    #[tokio::test]
    async fn whoever_is_not_there_refuses_at_once() {
        let id = NodeId::from_bytes(std::array::from_fn(|_| fastrand::u8(..)));
        assert_eq!(connect(id).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let door = listen(id).unwrap();
        connect(id).await.unwrap();
        // Full: the others are sent away and not made to wait.
        let mut waiting = Vec::new();
        let full = loop {
            match connect(id).await {
                Ok(stream) => waiting.push(stream),
                Err(e) => break e,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock, "after {}", waiting.len());
        drop(door);
        assert_eq!(connect(id).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
