//! The secret's slow arithmetic, off the async threads.

use talkie_discovery::{MeshKeys, Secret};

use crate::error::JoinError;

/// Derives the mesh's keys (some 50 ms for a passphrase), and warns where the secret is easy to guess.
pub(crate) async fn derive(secret: Secret) -> Result<MeshKeys, JoinError> {
    let work = move || {
        if let Some(weakness) = secret.weakness() {
            tracing::warn!("the secret is weak: {weakness}");
        }
        MeshKeys::derive(&secret)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(keys) => Ok(keys),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(JoinError::ShuttingDown),
        },
    }
}
