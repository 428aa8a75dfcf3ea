//! The secret's slow arithmetic, off the async threads.

use talkie_discovery::{MeshKeys, Secret};
use tokio::task::JoinHandle;

use crate::error::JoinError;

/// Derives the mesh's keys (some 50 ms for a passphrase), and warns where the secret is easy to guess.
pub(crate) async fn derive(secret: Secret) -> Result<MeshKeys, JoinError> {
    let judged = secret.clone();
    // Side by side: to judge a passphrase takes half as long as to stretch it.
    let judge = tokio::task::spawn_blocking(move || judged.weakness());
    let keys = blocking(tokio::task::spawn_blocking(move || MeshKeys::derive(&secret))).await?;
    if let Some(weakness) = blocking(judge).await? {
        tracing::warn!(name: "talkie.secret.weak", "the passphrase is weak: {weakness}");
    }
    Ok(keys)
}

async fn blocking<T>(work: JoinHandle<T>) -> Result<T, JoinError> {
    work.await.map_err(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => JoinError::ShuttingDown,
    })
}
