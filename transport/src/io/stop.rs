//! How a node leaves: hand over first, then goodbye.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::input::Input;
use super::link::Context;
use crate::error::InDoubt;

/// How long leaving waits for peers to confirm what they were sent.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(5);

/// Leaves in a task of its own, so that a caller who goes away does not leave the node half gone.
pub(crate) async fn leave(context: Arc<Context>) -> Result<(), InDoubt> {
    tokio::spawn(async move {
        let doubt = hand_over(&context).await;
        let (done, gone) = oneshot::channel();
        if context.inputs.send(Input::Leave(done)).await.is_ok() {
            // The driver may have left for somebody else in between, which is as good.
            let _ = gone.await;
        }
        doubt
    })
    .await
    .unwrap_or(Ok(()))
}

/// Leaves when the last handle is gone.
pub(crate) async fn when_closed(context: Arc<Context>) {
    context.closing.cancelled().await;
    if let Err(doubt) = leave(context).await {
        tracing::debug!(name: "talkie.left.in_doubt", "left: {doubt}");
    }
}

async fn hand_over(context: &Context) -> Result<(), InDoubt> {
    let deadline = (Instant::now() + HAND_OVER_WITHIN).into();
    let mut messages = 0;
    for session in context.registry.all() {
        match tokio::time::timeout_at(deadline, session.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(doubt)) => messages += doubt.messages,
            Err(_) => messages += session.unacknowledged(),
        }
    }
    if messages == 0 { Ok(()) } else { Err(InDoubt { messages }) }
}
