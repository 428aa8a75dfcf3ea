//! The secret's slow arithmetic, off the async threads.

use talkie_discovery::{Keyring, Secret, Secrets};
use tokio::task::JoinHandle;

use crate::error::Closed;

/// Derives the mesh's keys (some 50 ms for each passphrase), and warns where a secret is easy to guess.
///
/// Fails only where the runtime shuts down.
pub(crate) async fn derive(secrets: Secrets) -> Result<Keyring, Closed> {
    let judged = secrets.clone();
    // Side by side: to judge a passphrase takes half as long as to stretch it.
    let judge =
        tokio::task::spawn_blocking(move || judged.iter().filter_map(Secret::weakness).collect::<Vec<_>>());
    let keys = blocking(tokio::task::spawn_blocking(move || Keyring::derive(&secrets))).await?;
    for weakness in blocking(judge).await? {
        tracing::warn!(name: "talkie.secret.weak", "the passphrase is weak: {weakness}");
    }
    Ok(keys)
}

/// What a blocking task found; fails only where the runtime shuts down.
pub(crate) async fn blocking<T>(work: JoinHandle<T>) -> Result<T, Closed> {
    work.await.map_err(|failed| match failed.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Closed,
    })
}
