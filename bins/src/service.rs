//! Word to a service manager, as sd_notify(3) has it: ready, how many nodes are linked, leaving.
//!
//! A few lines of our own and no crate: the socket is opened once and never waited for longer than a moment.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::output::plural;

/// How long a manager that does not read may hold up a command.
const WRITE_WITHIN: Duration = Duration::from_millis(100);

/// The manager that started this process, if one wants to know; without `$NOTIFY_SOCKET` every word is for nobody.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    managed: bool,
}

impl Manager {
    pub(crate) fn find() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self { socket: None, managed: false };
        };
        let socket = open(&name).map_err(unheard).ok();
        Self { socket, managed: true }
    }

    /// Whether this process is somebody's service.
    pub(crate) const fn is_there(&self) -> bool {
        self.managed
    }

    /// Joined, and linked to so many nodes.
    pub(crate) fn ready(&mut self, linked: usize) {
        self.tell(&format!("READY=1\nSTATUS={}", status(linked)));
    }

    /// Linked to so many nodes now.
    pub(crate) fn linked(&mut self, linked: usize) {
        self.tell(&format!("STATUS={}", status(linked)));
    }

    /// Saying goodbye from now on.
    pub(crate) fn stopping(&mut self) {
        self.tell("STOPPING=1\nSTATUS=Saying goodbye");
    }

    fn tell(&mut self, word: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(word.as_bytes())
        {
            unheard(error);
            // Once told is enough, and no other word will wait.
            self.socket = None;
        }
    }
}

fn status(linked: usize) -> String {
    format!("Linked to {}", plural(linked as u64, "node"))
}

fn open(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        #[cfg(target_os = "linux")]
        [b'@', rest @ ..] => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(rest)?,
        _ => return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{name:?} is no unix socket"))),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(WRITE_WITHIN))?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

fn unheard(error: io::Error) {
    tracing::warn!("NOTIFY_SOCKET: the service manager does not hear this node: {error}");
}
