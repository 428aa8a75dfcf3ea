//! A way between two nodes that breaks again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Forwards connections to a target; each of the first ones breaks after so many bytes.
pub(crate) struct Cutter {
    pub(crate) at: SocketAddr,
    cuts: Arc<AtomicUsize>,
}

impl Cutter {
    pub(crate) async fn start(to: SocketAddr, after: Vec<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let at = listener.local_addr().expect("it is bound");
        let cuts = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&cuts);
        tokio::spawn(async move {
            let mut after = after.into_iter();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(to).await else { continue };
                let (bytes, count) = (after.next(), Arc::clone(&count));
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(async move {
                    tokio::select! {
                        () = forward(near_in, far_out, bytes) => {}
                        () = forward(far_in, near_out, bytes) => {}
                    }
                    count.fetch_add(usize::from(bytes.is_some()), Ordering::Relaxed);
                });
            }
        });
        Self { at, cuts }
    }

    /// How often it broke.
    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// Until so many bytes have passed.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, most: Option<usize>) {
    let mut buffer = vec![0; 64 * 1024];
    let mut left = most.unwrap_or(usize::MAX);
    while left > 0 {
        let room = left.min(buffer.len());
        let Ok(read @ 1..) = from.read(&mut buffer[..room]).await else { return };
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        left -= read;
    }
}
