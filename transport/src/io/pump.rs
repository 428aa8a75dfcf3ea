//! The task that writes what the publishers' own tasks leave.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::session::Session;
use super::stream::Stream;
use super::writer::Step;
use crate::proto::mesh::LinkNumber;

/// The writer task of one link: writes what waits whenever it is woken, until the link ends.
pub(crate) async fn write_link(
    session: Arc<Session>,
    number: LinkNumber,
    stream: Arc<Stream>,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    let run = async {
        loop {
            wake.notified().await;
            loop {
                match session.step(number) {
                    Ok(Step::Wrote) => {
                        // Whoever waits for a processor goes first, so that more is there for the next write. The runtime's
                        // own turn comes less often: it would wake another thread, to see whether there is work for it.
                        std::thread::yield_now();
                        tokio::task::coop::consume_budget().await;
                    }
                    Ok(Step::WrotePiece) => {
                        // Whoever waits for a processor has its turn: a large message takes two of them whole.
                        std::thread::yield_now();
                        tokio::task::yield_now().await;
                    }
                    Ok(Step::Drained) => break,
                    Ok(Step::Blocked) => {
                        if stream.writable().await.is_err() {
                            return;
                        }
                    }
                    // The reader hears of a broken socket too, and tells why.
                    Err(_) => return,
                }
            }
        }
    };
    tokio::select! {
        () = run => {}
        () = stop.cancelled() => {}
    }
}
