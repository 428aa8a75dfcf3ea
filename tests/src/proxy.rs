//! Somebody in the middle of a link: passes bytes on, records them, cuts, and flips a bit.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// How much of the first connection is recorded: more than any handshake.
const RECORDED: usize = 64 * 1024;

/// Passes TCP connections on to a target on loopback.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    closed: AtomicBool,
    connections: AtomicUsize,
    tamper: AtomicBool,
    live: Mutex<Vec<TcpStream>>,
    recorded: Mutex<Vec<(Towards, Vec<u8>)>>,
}

/// Which way bytes went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Towards {
    /// From the one that dialled the proxy.
    Target,
    /// From the target.
    Dialler,
}

impl Proxy {
    /// A proxy to this address, on a port of its own.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&accepting, &listener, target));
        Self { addr, shared }
    }

    /// Where to dial it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections were passed on so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Breaks every connection at once.
    ///
    /// # Panics
    /// Never: nobody panics under the lock.
    pub fn cut(&self) {
        for stream in self.shared.live.lock().expect("nobody panics under this lock").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Flips one bit of the next bytes that go towards the target.
    pub fn tamper(&self) {
        self.shared.tamper.store(true, Ordering::Relaxed);
    }

    /// True when [`Proxy::tamper`] has flipped its bit.
    pub fn has_tampered(&self) -> bool {
        !self.shared.tamper.load(Ordering::Relaxed)
    }

    /// The first bytes of the first connection, in the order in which they passed.
    ///
    /// # Panics
    /// Never: nobody panics under the lock.
    pub fn recorded(&self) -> Vec<(Towards, Vec<u8>)> {
        self.shared.recorded.lock().expect("nobody panics under this lock").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.cut();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.addr);
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, target: SocketAddr) {
    for dialler in listener.incoming().map_while(Result::ok) {
        if shared.closed.load(Ordering::Relaxed) {
            return;
        }
        let Ok(to) = TcpStream::connect(target) else { continue };
        let (Ok(from_dialler), Ok(from_target)) = (dialler.try_clone(), to.try_clone()) else { continue };
        let _ = (dialler.set_nodelay(true), to.set_nodelay(true));
        let first = shared.connections.fetch_add(1, Ordering::Relaxed) == 0;
        let mut live = shared.live.lock().expect("nobody panics under this lock");
        live.extend(dialler.try_clone());
        live.extend(to.try_clone());
        drop(live);
        let (one, other) = (Arc::clone(shared), Arc::clone(shared));
        thread::spawn(move || pump(&one, Towards::Target, first, from_dialler, to));
        thread::spawn(move || pump(&other, Towards::Dialler, first, from_target, dialler));
    }
}

fn pump(shared: &Shared, towards: Towards, first: bool, mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        if first {
            let mut recorded = shared.recorded.lock().expect("nobody panics under this lock");
            if recorded.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() < RECORDED {
                recorded.push((towards, buffer[..read].to_vec()));
            }
        }
        if towards == Towards::Target && shared.tamper.swap(false, Ordering::Relaxed) {
            buffer[read / 2] ^= 1;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
