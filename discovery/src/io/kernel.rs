//! The kernel's notices of interfaces and addresses that change (rtnetlink). They only wake a look.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use linux::Kernel;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use other::Kernel;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::io;

    use netlink_sys::protocols::NETLINK_ROUTE;
    use netlink_sys::{Socket, SocketAddr};
    use nix::errno::Errno;
    use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use crate::proto::removed::Removed;

    /// What is wanted: interfaces, and addresses of both families.
    const GROUPS: [i32; 3] = [RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR];

    /// Room for what matters of one notice; the rest of a longer one is cut off.
    const ROOM: usize = 4096;

    /// The most notices that are read for one look, several times what the socket holds; more lead to another look.
    const MOST: usize = 1_024;

    /// Tells that something changed.
    pub(crate) struct Kernel(AsyncFd<Socket>);

    impl Kernel {
        /// Listens from now on. Must be called within a runtime.
        pub(crate) fn listen() -> io::Result<Self> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_non_blocking(true)?;
            let groups = GROUPS.iter().fold(0, |all, group| all | group.unsigned_abs());
            socket.bind(&SocketAddr::new(0, groups))?;
            // Unsound only for types that change or close their descriptor meanwhile; its successor is `unsafe` to call.
            #[allow(deprecated)]
            Ok(Self(AsyncFd::with_interest(socket, Interest::READABLE)?))
        }

        /// Waits until there are notices to read. Cancel-safe.
        pub(crate) async fn noticed(&self) -> io::Result<()> {
            // That it is readable is kept until all is read.
            self.0.readable().await.map(drop)
        }

        /// Reads the notices that are there.
        pub(crate) fn read(&self, removed: &mut Removed) -> io::Result<()> {
            let mut buffer = [0; ROOM];
            for _ in 0..MOST {
                let mut room = buffer.as_mut_slice();
                match self.0.try_io(Interest::READABLE, |socket| socket.recv(&mut room, 0)) {
                    Ok(size) => removed.handle_notices(buffer.get(..size).unwrap_or(&buffer)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // More came than the socket holds.
                    Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                        removed.handle_overrun()
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        }
    }

    #[cfg(test)]
    mod tests {
        use std::io::Write;
        use std::process::{Command, Stdio};

        use nix::sched::{CloneFlags, unshare};

        use super::*;

        /// Many commands of `ip` in one go, in the network of this thread.
        fn ip(commands: &[String]) {
            let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            ip.stdin.take().unwrap().write_all((commands.join("\n") + "\n").as_bytes()).unwrap();
            assert!(ip.wait().unwrap().success());
        }

        #[tokio::test]
        async fn what_is_removed_is_told_and_more_than_fits_may_be_anything() {
            let able = nix::unistd::Uid::effective().is_root() && unshare(CloneFlags::CLONE_NEWNET).is_ok();
            let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(able || !must, "with CI=true this must run, and needs root and network namespaces");
            if !able {
                println!("SKIPPED: notices of the kernel (needs root and network namespaces)");
                return;
            }
            let kernel = Kernel::listen().unwrap();
            ip(&["link add one index 71 type veth peer name two".to_owned(), "link del one".to_owned()]);
            kernel.noticed().await.unwrap();
            let mut removed = Removed::default();
            kernel.read(&mut removed).unwrap();
            assert!(removed.has(71) && !removed.has(70), "{removed:?}");

            let flood = (0..4_000).map(|n| format!("addr {} 10.0.0.1/8 dev lo", ["add", "del"][n % 2]));
            ip(&flood.collect::<Vec<_>>());
            kernel.noticed().await.unwrap();
            kernel.read(&mut removed).unwrap();
            assert!(removed.has(70), "notices were lost");
            let mut after = Removed::default();
            kernel.read(&mut after).unwrap();
            assert_eq!(after, Removed::default(), "all was read");
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod other {
    use std::io;

    use crate::proto::removed::Removed;

    /// Nothing tells here: the interfaces are looked at every second.
    pub(crate) enum Kernel {}

    impl Kernel {
        pub(crate) fn listen() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(crate) async fn noticed(&self) -> io::Result<()> {
            match *self {}
        }

        pub(crate) fn read(&self, _removed: &mut Removed) -> io::Result<()> {
            match *self {}
        }
    }
}
