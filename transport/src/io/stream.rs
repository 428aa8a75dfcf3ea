//! TCP options, in one place.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;

/// The kernel gives a connection up when sent data stays unacknowledged for this long: as long as silence is
/// death ([`crate::proto::liveness::DEAD_AFTER`]), instead of TCP's own quarter of an hour.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = crate::proto::liveness::DEAD_AFTER;
/// Most bytes that wait unsent in the kernel, so that a ping never waits behind more than this much data: about
/// two records.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;

/// Sets what every link wants. A platform that lacks an option goes without it.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let socket = SockRef::from(stream);
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        socket.set_tcp_notsent_lowat(UNSENT)?;
    }
    Ok(())
}
